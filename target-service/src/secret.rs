//! Secrets: from the environment, or from a file that is mounted. Nothing here ever shows one.

use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

/// A secret that cannot be had. The messages name where it should be and hold nothing of it.
#[derive(Debug, Error)]
pub(crate) enum SecretError {
    #[error("{0} and {0}_FILE are both set; unset one of them")]
    Both(&'static str),
    #[error("{0} is not valid UTF-8; set it so or unset it for the default")]
    NotText(&'static str),
    #[error("{name}_FILE is {path:?}, which cannot be read: {source}; mount the secret there")]
    File { name: &'static str, path: PathBuf, source: std::io::Error },
}

/// The value of the variable `name`, or what the file named by `name` with `_FILE` behind it holds, without the line
/// end that editors leave. An empty variable counts as unset.
pub(crate) fn read(
    lookup: &impl Fn(&str) -> Option<OsString>,
    name: &'static str,
) -> Result<Option<String>, SecretError> {
    let filled = |name: &str| lookup(name).filter(|value| !value.is_empty());
    match (filled(name), filled(&format!("{name}_FILE"))) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(SecretError::Both(name)),
        (Some(value), None) => value.into_string().map(Some).map_err(|_| SecretError::NotText(name)),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let text = std::fs::read_to_string(&path).map_err(|source| SecretError::File { name, path, source })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(pairs: &[(&str, &str)]) -> Result<Option<String>, String> {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value));
        read(&lookup, "TOKEN").map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hunter2\n").unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(read_from(&[]), Ok(None));
        assert_eq!(read_from(&[("TOKEN", ""), ("TOKEN_FILE", "")]), Ok(None));
        assert_eq!(read_from(&[("TOKEN", "hunter2")]), Ok(Some("hunter2".to_owned())));
        assert_eq!(read_from(&[("TOKEN_FILE", file)]), Ok(Some("hunter2".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let both = read_from(&[("TOKEN", "hunter2"), ("TOKEN_FILE", "/run/token")]).unwrap_err();
        assert_eq!(both, "TOKEN and TOKEN_FILE are both set; unset one of them");
        let missing = read_from(&[("TOKEN_FILE", "/no/such/file")]).unwrap_err();
        assert!(missing.starts_with("TOKEN_FILE is \"/no/such/file\", which cannot be read"), "{missing}");
    }
}
