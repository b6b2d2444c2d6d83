//! ID tokens of a person who has logged in by `gcloud auth application-default login`. Google issues them for the login's own
//! client, whatever audience is wished for; Cloud Run takes them from whoever may invoke the service.

use google_cloud_auth::credentials::idtoken::{IDTokenCredentials, user_account};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

/// What says that credentials are a person's.
const KIND: &str = "authorized_user";
/// Where Google's tools leave them (AIP-4113).
const WELL_KNOWN: &str = ".config/gcloud/application_default_credentials.json";

/// Who gives a person's tokens; nothing when the Application Default Credentials are not a person's.
///
/// # Errors
/// When they are, and something is missing in them.
pub(super) fn credentials() -> Result<Option<IDTokenCredentials>, String> {
    let Some(path) = path(|name| std::env::var_os(name)) else { return Ok(None) };
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    of(&text).map_err(|cause| {
        format!("{}: {cause}; log in again by `gcloud auth application-default login`", path.display())
    })
}

/// Where Application Default Credentials are looked for (AIP-4110).
fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let well_known = || variable("HOME").map(|home| PathBuf::from(home).join(WELL_KNOWN));
    variable("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from).or_else(well_known)
}

fn of(text: &str) -> Result<Option<IDTokenCredentials>, String> {
    let Ok(json) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    if json.get("type").and_then(Value::as_str) != Some(KIND) {
        return Ok(None);
    }
    user_account::Builder::new(json).build().map(Some).map_err(|error| super::authorization::because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_where_googles_own_clients_look() {
        let of = |pairs: &'static [(&str, &str)]| {
            path(|name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value)))
        };
        let home = PathBuf::from("/home/a/.config/gcloud/application_default_credentials.json");
        assert_eq!(of(&[("HOME", "/home/a")]), Some(home));
        let named = of(&[("HOME", "/home/a"), ("GOOGLE_APPLICATION_CREDENTIALS", "/k.json")]);
        assert_eq!((named, of(&[])), (Some(PathBuf::from("/k.json")), None));
    }

    #[tokio::test]
    async fn only_a_persons_whole_credentials_are_taken() {
        assert!(matches!(of("{\"type\": \"service_account\"}"), Ok(None)) && matches!(of("no JSON"), Ok(None)));
        assert!(of("{\"type\": \"authorized_user\", \"client_id\": \"c\"}").is_err_and(|cause| !cause.is_empty()));
        let whole =
            "{\"type\": \"authorized_user\", \"client_id\": \"c\", \"client_secret\": \"s\", \"refresh_token\": \"r\"}";
        assert!(matches!(of(whole), Ok(Some(_))));
    }
}
