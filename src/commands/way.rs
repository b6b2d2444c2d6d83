//! The way of a run to its target: what the command line says, and where it says nothing, what the scenario's section
//! `target` does.

use super::connection::ConnectionOptions;
use super::error::CommandError;
use super::run::RunOptions;
use crate::driver::{DriveError, Proxy, TargetOptions};
use crate::scenario::{Audience, Claim, Scenario, ScenarioError, Target};
use std::path::{Path, PathBuf};

/// Where a run goes and how it gets there.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Scheme, host and port.
    pub(super) url: String,
    pub(super) connection: ConnectionOptions,
    /// The scenario file.
    scenario: PathBuf,
    /// What was not said on the command line but in the scenario, by the names of the options.
    from_file: Vec<&'static str>,
}

impl Way {
    /// What `options` and the scenario say together.
    ///
    /// # Errors
    /// When neither says where requests go.
    pub(super) fn of(options: &RunOptions, scenario: &Scenario) -> Result<Self, CommandError> {
        let target = scenario.target.clone().unwrap_or(Target { traceparent: true, ..Target::default() });
        let Some(url) = options.target.as_ref().or(target.url.as_ref()) else {
            return Err(CommandError::Usage(format!(
                "nobody says where requests go\n\nhint: give --target http://127.0.0.1:8080, or write `target: {{url: …}}` \
                 in {}",
                options.scenario.display()
            )));
        };
        let mut way = Self {
            url: url.clone(),
            connection: options.connection.clone(),
            scenario: options.scenario.clone(),
            from_file: Vec::new(),
        };
        way.complete(target, options.target.is_some());
        Ok(way)
    }

    /// Reads the files and secrets that are named.
    ///
    /// # Errors
    /// When one is not there, or does not hold what it should.
    pub(super) fn load(&self) -> Result<TargetOptions, CommandError> {
        self.connection.load().map_err(|error| self.told(error))
    }

    /// An error about a value of the scenario, told with its place there; that of a name with the option that helps; others as
    /// they are.
    pub(super) fn told(&self, mut error: CommandError) -> CommandError {
        match &mut error {
            CommandError::Drive(DriveError::Target(cause)) if self.from_file.contains(&cause.option) => {
                let key = cause.option.trim_start_matches('-').replace('-', "_");
                ScenarioError::of_target(&self.scenario, &key, &cause.cause, cause.hint).into()
            }
            CommandError::Drive(DriveError::Unnamed { host, port, hint, .. }) => {
                let detour = format!("; --resolve {host}:{port}:ADDRESS says where its host is");
                hint.push_str(&detour);
                error
            }
            _ => error,
        }
    }

    /// Takes from `target` what the command line leaves open. What a value was written for goes with it: name and addresses
    /// of a target that is put aside, the password for a proxy that is.
    fn complete(&mut self, target: Target, elsewhere: bool) {
        let folder = self.scenario.parent().unwrap_or(Path::new("")).to_owned();
        let (connection, from_file) = (&mut self.connection, &mut self.from_file);
        let beside = |path: String| folder.join(path);
        connection.protocol = connection.protocol.or(target.http);
        connection.insecure |= target.insecure;
        connection.traceparent &= target.traceparent;
        if connection.cacert.is_none() && target.cacert.is_some() {
            connection.cacert = target.cacert.map(beside);
            from_file.push("--cacert");
        }
        if connection.identity.is_none() && target.identity.is_some() {
            connection.identity = target.identity.map(|(cert, key)| (folder.join(cert), folder.join(key)));
            from_file.extend(["--cert", "--key"]);
        }
        if connection.proxy.is_none() && target.proxy.is_some() {
            connection.proxy = target.proxy.map(Proxy::from);
            connection.proxy_auth =
                target.proxy_auth.map(|auth| of_folder(Claim::of_proxy_user(&auth), &auth, &folder));
            from_file.extend(["--proxy", "--proxy-auth"]);
        }
        if connection.auth.is_none() && connection.google_id_token.is_none() {
            connection.auth = target.auth.map(|auth| of_folder(Claim::of_load(&auth), &auth, &folder));
            connection.google_id_token = target.google_id_token.map(|audience| match audience {
                Audience::Target => None,
                Audience::Named(audience) => Some(audience),
            });
            from_file.push("--auth");
        }
        if elsewhere {
            return;
        }
        if connection.sni.is_none() && target.sni.is_some() {
            connection.sni = target.sni;
            from_file.push("--sni");
        }
        if connection.resolve.is_empty() && !target.resolve.is_empty() {
            connection.resolve = target.resolve;
            from_file.push("--resolve");
        }
    }
}

/// A claim whose secret, if it is in a file, is looked for from `folder`. One that is none, which a checked scenario never
/// has, is told when it is read.
fn of_folder(claim: Result<Claim<'_>, &'static str>, text: &str, folder: &Path) -> String {
    claim.map_or_else(|_| text.to_owned(), |claim| claim.from_folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{DeliveryOptions, Display, ExportOptions, Schedule};
    use crate::driver::{Authorization, Protocol};
    use std::fs;

    const STEPS: &str = "name: s
journeys: [{name: a, steps: [{name: x, get: /}]}]
load: closed
stages: [{name: n, hold: 1, duration: 1s}]
";

    /// A run of a scenario with this target, in `folder`; the command line says nothing of it.
    fn options(folder: &Path, target: &str) -> (RunOptions, Scenario) {
        let path = folder.join("s.yaml");
        fs::write(&path, format!("{STEPS}target: {target}\n")).unwrap();
        let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let connection = ConnectionOptions {
            protocol: None,
            cacert: None,
            identity: None,
            insecure: false,
            proxy: None,
            proxy_auth: None,
            auth: None,
            google_id_token: None,
            traceparent: true,
            sni: None,
            resolve: Vec::new(),
        };
        let options = RunOptions {
            scenario: path,
            target: None,
            connection,
            seed: 1,
            time_factor: 1.0,
            json: None,
            display: Display::Quiet,
            schedule: Schedule::default(),
            exports: ExportOptions::default(),
            delivery: DeliveryOptions::default(),
        };
        (options, scenario)
    }

    #[test]
    fn what_the_command_line_leaves_open_is_the_scenario_s() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("word"), "sesame\n").unwrap();
        let (mut options, scenario) = options(
            folder.path(),
            "{url: 'http://a:1', http: auto, insecure: true, sni: b, resolve: ['a:1:127.0.0.1'], proxy: 'http://p:2', \
             proxy_auth: 'me:file:word', auth: 'bearer:file:word', traceparent: false}",
        );
        let way = Way::of(&options, &scenario).unwrap();
        let target = way.load().unwrap();
        assert_eq!(way.url, "http://a:1");
        assert_eq!((target.protocol, target.tls.insecure, target.traceparent), (Protocol::Auto, true, false));
        assert_eq!(target.authorization, Authorization::BearerFile(folder.path().join("word")));
        assert!(target.tls.server_name.is_some() && target.resolve.len() == 1);
        let proxy = target.proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.user.unwrap().0.as_str()), ("p", 2, "me"));

        // What is said on the command line wins, and what the file said with the same thing in mind goes.
        options.target = Some("http://b:1".to_owned());
        options.connection.protocol = Some(Protocol::Http2);
        options.connection.proxy = Some("http://q:3".parse().unwrap());
        options.connection.google_id_token = Some(None);
        let way = Way::of(&options, &scenario).unwrap();
        let target = way.load().unwrap();
        assert_eq!((way.url.as_str(), target.protocol), ("http://b:1", Protocol::Http2));
        assert_eq!(target.proxy, Some("http://q:3".parse().unwrap()), "no password for another proxy");
        assert_eq!(target.authorization, Authorization::GoogleIdToken(None));
        assert!(target.tls.server_name.is_none() && target.resolve.is_empty(), "they were for the other target");
    }

    #[test]
    fn a_run_that_goes_nowhere_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut options, scenario) = options(folder.path(), "{http: 2}");
        let told = Way::of(&options, &scenario).unwrap_err();
        assert_eq!(told.status(), crate::commands::ExitStatus::Usage);
        assert!(told.to_string().contains("--target") && told.to_string().contains("s.yaml"), "{told}");
        options.target = Some("http://a:1".to_owned());
        assert_eq!(Way::of(&options, &scenario).unwrap().url, "http://a:1");
    }

    #[test]
    fn a_file_or_secret_that_cannot_be_used_is_told_at_its_place_in_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let told = |target: &str| {
            let (options, scenario) = options(folder.path(), target);
            let error = Way::of(&options, &scenario).unwrap().load().unwrap_err().to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
        let error = told("{url: 'http://a:1', cacert: ca.pem}");
        assert!(error.starts_with("s.yaml:5:37: ca.pem holds no certificate in PEM\n\nhint: "), "{error}");
        let error = told("{url: 'http://a:1', auth: 'basic:me:file:missing'}");
        assert!(error.starts_with("s.yaml:5:35: failed to read missing: "), "{error}");
        let error = told("{url: 'http://a:1', proxy: 'http://p:1', proxy_auth: 'me:env:TIDEGATE_UNSET'}");
        assert!(error.starts_with("s.yaml:5:62: environment variable TIDEGATE_UNSET is not set"), "{error}");
        // The same on the command line is told as an option.
        let (mut options, scenario) = options(folder.path(), "{url: 'http://a:1', cacert: ca.pem}");
        options.connection.cacert = Some(folder.path().join("ca.pem"));
        let error = Way::of(&options, &scenario).unwrap().load().unwrap_err().to_string();
        assert!(error.starts_with("--cacert: "), "{error}");
    }
}
