//! How a target is reached, as the user asked for it: files and variables of the environment enter here.

use super::error::CommandError;
use super::progress::Progress;
use crate::driver::{
    AddressOverride, Authorization, DriveError, Identity, Protocol, Proxy, Secret, TargetError, TargetOptions,
};
use crate::trial::TargetRecording;
use std::path::PathBuf;

/// What a load is told of its connections.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Which HTTP is spoken; HTTP/1.1 if left out.
    pub protocol: Option<Protocol>,
    /// Certificates to trust besides the system's.
    pub cacert: Option<PathBuf>,
    /// Client certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// A proxy to go through.
    pub proxy: Option<Proxy>,
    /// Its user, and where the password is.
    pub proxy_auth: Option<String>,
    /// Who the load says it is, and where the secret is.
    pub auth: Option<String>,
    /// Whether a Google ID token is sent, and for which audience: without one, for the target's address.
    pub google_id_token: Option<Option<String>>,
    /// Whether measured requests carry a `traceparent`.
    pub traceparent: bool,
    /// Name to ask for in TLS.
    pub sni: Option<String>,
    /// Addresses instead of what the name system says.
    pub resolve: Vec<AddressOverride>,
}

/// Variables by which other programs are told of a proxy.
const PROXY_VARIABLES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

impl ConnectionOptions {
    /// Reads the files and secrets that are named.
    ///
    /// # Errors
    /// When one is not there, or does not hold what it should.
    pub fn load(&self) -> Result<TargetOptions, CommandError> {
        let mut options = TargetOptions {
            protocol: self.protocol.unwrap_or_default(),
            resolve: self.resolve.clone(),
            proxy: self.proxy.clone(),
            traceparent: self.traceparent,
            ..TargetOptions::default()
        };
        options.tls.insecure = self.insecure;
        if let Some(path) = &self.cacert {
            options.tls.trust(path).map_err(unusable)?;
        }
        if let Some((certificate, key)) = &self.identity {
            options.tls.identity = Some(Identity::load(certificate, key).map_err(unusable)?);
        }
        if let Some(name) = &self.sni {
            options.tls.ask_for(name).map_err(unusable)?;
        }
        if let (Some(proxy), Some(user)) = (&mut options.proxy, &self.proxy_auth) {
            proxy.user = Some(user_of(user).map_err(unusable)?);
        }
        options.authorization = match (&self.auth, &self.google_id_token) {
            (_, Some(audience)) => Authorization::GoogleIdToken(audience.clone()),
            (Some(auth), None) => Authorization::read(auth).map_err(unusable)?,
            (None, None) => Authorization::None,
        };
        Ok(options)
    }

    /// Says what makes the measurement another one than the user may think.
    pub(super) fn announce(&self, progress: &Progress) {
        if self.insecure {
            progress.say("insecure: any certificate is accepted, so whose answers are measured is not proven");
        }
        let set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if self.proxy.is_none()
            && let Some(name) = PROXY_VARIABLES.iter().find(set)
        {
            progress.say(&format!(
                "{name} is set and not used: the load goes straight to the target (--proxy goes through one)"
            ));
        }
    }
}

/// Says what went wrong with the connections that is in no answer.
pub(super) fn tell(target: &TargetRecording, progress: &Progress) {
    if target.token_refresh_failures > 0 {
        let cause = target.token_refresh_failure.as_deref().unwrap_or("no cause known");
        progress.say(&format!(
            "the token could not be renewed {} times, and an old one was sent: {cause}",
            target.token_refresh_failures
        ));
    }
}

fn unusable(error: TargetError) -> CommandError {
    CommandError::Drive(DriveError::Target(error))
}

/// User and password of a proxy.
fn user_of(text: &str) -> Result<(String, Secret), TargetError> {
    const OPTION: &str = "--proxy-auth";
    let (user, source) = text.split_once(':').ok_or(TargetError {
        option: OPTION,
        cause: "it does not say where the password is".to_owned(),
        hint: "write USER:env:NAME or USER:file:PATH",
    })?;
    Ok((user.to_owned(), Secret::read(OPTION, source)?))
}
