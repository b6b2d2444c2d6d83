//! Addresses of PostgreSQL: the usual ones, and those of a socket as Cloud SQL's users write them.

use std::fs::File;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Whether the text begins as an address of PostgreSQL does.
pub(super) fn is_address(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

/// Reads an address: a host and port, or the folder of a socket in any of the three forms in use,
/// `postgres://user:password@/database?host=/cloudsql/P:R:I`, `…@//cloudsql/P:R:I/database` (Django's) and
/// `…@%2Fcloudsql%2FP:R:I/database`. `password` replaces the one in the address. What neither says comes from
/// libpq's variables (`PGPASSWORD` and so on). The error holds nothing of the address.
pub(super) fn options(url: &str, password: Option<&str>) -> Result<PgConnectOptions, String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let is_whole = match rest.split_once('@') {
        None => true,
        Some((user, place)) => !user.contains(['/', '?', '#']) && !place.contains('@'),
    };
    if !is_whole {
        // Pieces of a password would pass for the host or the database.
        return Err("user and password may hold @, /, ? and # only as %40, %2F, %3F and %23".to_owned());
    }
    let options = PgConnectOptions::from_str(&with_host(url)).map_err(|error| error.to_string())?;
    if options.get_database().is_none() {
        return Err("it names no database".to_owned());
    }
    let options = password.map_or(options.clone(), |password| options.password(password));
    Ok(secured(options, url)?.application_name("target-service"))
}

/// The options with TLS as libpq has it, where the library differs: through a socket there is none, whatever `sslmode`
/// says, and `require` with authorities of its own (`sslrootcert`) verifies by them.
fn secured(options: PgConnectOptions, url: &str) -> Result<PgConnectOptions, String> {
    if options.get_socket().is_some() {
        return Ok(options.ssl_mode(PgSslMode::Disable));
    }
    let Some(path) = root_certificate(url) else { return Ok(options) };
    // The library reads it with every connection, and a file that is not there would pass for a server that starts.
    if !path.contains('%') {
        File::open(path).map_err(|error| format!("its sslrootcert {path:?} cannot be read ({error})"))?;
    }
    Ok(match options.get_ssl_mode() {
        PgSslMode::Require => options.ssl_mode(PgSslMode::VerifyCa),
        _ => options,
    })
}

/// The file of authorities that the address names.
fn root_certificate(url: &str) -> Option<&str> {
    const NAMES: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
    let mut parameters = url.split_once('?')?.1.split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find_map(|(name, value)| NAMES.contains(&name).then_some(value))
}

/// Where the options lead, without user and password.
pub(super) fn shown(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(socket) => format!("postgres:///{database}?host={}", socket.display()),
        None => format!("postgres://{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// The address in the form that the URL standard can read, which knows no user without a host.
fn with_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (address, query) = rest.split_once('?').map_or((rest, ""), |(address, query)| (address, query));
    let (user, place) = address.rsplit_once('@').map_or(("", address), |(user, place)| (user, place));
    let at = if user.is_empty() { "" } else { "@" };
    let and_query = |parameters: &str| match (parameters, query) {
        ("", "") => String::new(),
        ("", query) => format!("?{query}"),
        (parameters, "") => format!("?{parameters}"),
        (parameters, query) => format!("?{parameters}&{query}"),
    };
    if let Some(path) = place.strip_prefix('/').filter(|path| path.starts_with('/')) {
        let whole = path.rsplit_once('/').filter(|(socket, _)| !socket.is_empty());
        let (socket, database) = whole.unwrap_or((path, ""));
        return format!("{scheme}://{user}{at}localhost/{database}{}", and_query(&format!("host={socket}")));
    }
    // The colons of an instance's name would be read as a port.
    if place.len() > 3 && place.as_bytes()[..3].eq_ignore_ascii_case(b"%2f") {
        let (socket, database) = place.split_once('/').unwrap_or((place, ""));
        return format!("{scheme}://{user}{at}localhost/{database}{}", and_query(&format!("host={socket}")));
    }
    let host = if place.starts_with('/') { "localhost" } else { "" };
    format!("{scheme}://{user}{at}{host}{place}{}", and_query(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(url: &str) -> (String, String, String) {
        let options = options(url, None).unwrap();
        let socket = options.get_socket().expect("a socket").display().to_string();
        (socket, options.get_username().to_owned(), options.get_database().unwrap().to_owned())
    }

    #[test]
    fn the_socket_of_cloud_sql_is_read_in_every_form() {
        let expected = ("/cloudsql/p:europe-west1:i".to_owned(), "shop".to_owned(), "store".to_owned());
        for url in [
            "postgres://shop:pw@/store?host=/cloudsql/p:europe-west1:i",
            "postgresql://shop:pw@/store?host=/cloudsql/p:europe-west1:i&sslmode=disable",
            "postgres://shop:pw@//cloudsql/p:europe-west1:i/store",
            "postgres://shop:pw@%2Fcloudsql%2Fp:europe-west1:i/store",
            "postgres://shop:pw@localhost/store?host=/cloudsql/p:europe-west1:i",
        ] {
            assert_eq!(socket(url), expected, "{url}");
        }
    }

    #[test]
    fn tls_is_as_libpq_has_it() {
        let mode = |url: &str| format!("{:?}", options(url, None).unwrap().get_ssl_mode());
        assert_eq!(mode("postgres://shop:pw@db/store"), "Prefer");
        assert_eq!(mode("postgres://shop:pw@db/store?sslmode=require"), "Require");
        assert_eq!(mode("postgres://shop:pw@db/store?sslmode=verify-full"), "VerifyFull");
        assert_eq!(mode("postgres://shop:pw@/store?host=/cloudsql/p:r:i&sslmode=verify-full"), "Disable");
        let authorities = tempfile::NamedTempFile::new().unwrap();
        let path = authorities.path().display();
        let with = |mode: &str| format!("postgres://shop:pw@db/store?sslmode={mode}&sslrootcert={path}");
        assert_eq!(mode(&with("require")), "VerifyCa");
        assert_eq!(mode(&with("verify-full")), "VerifyFull");
        let error =
            options("postgres://shop:pw@db/store?sslmode=verify-full&sslrootcert=/no/ca.pem", None).unwrap_err();
        assert!(error.contains("\"/no/ca.pem\" cannot be read"), "{error}");
        assert!(options("postgres://shop:pw@db/store?sslmode=sometimes", None).unwrap_err().contains("sometimes"));
    }

    #[test]
    fn hosts_ports_and_escapes_are_read() {
        let options = options("postgres://shop:p%40w@db.internal:6432/store", None).unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db.internal", 6432));
        assert_eq!(options.get_username(), "shop");
    }

    #[test]
    fn what_is_no_address_is_told() {
        for url in ["postgres://shop:pw@db", "postgres://shop:pw@db:many/store", "postgres://shop:pw@//cloudsql"] {
            assert!(options(url, None).is_err(), "{url}");
        }
        for url in ["postgres://shop:p@w@db/store", "postgres://shop:p/w@db/store", "postgres://shop:p?w@db/store"] {
            assert!(options(url, None).is_err(), "{url}");
        }
    }
}
