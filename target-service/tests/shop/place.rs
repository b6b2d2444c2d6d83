//! Where a test's shops keep their data: a file of its own, or a database of its own on a real PostgreSQL server.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sqlx::Connection as _;

use crate::service::{self, Service};

/// The secret of the shop's user, which must never be seen anywhere.
pub(crate) const PASSWORD: &str = "hunter2-and-so-on";
/// A user without any rights, for a server that refuses to run as root.
const NOBODY: u32 = 65_534;

/// Of every server of PostgreSQL, unless it is told otherwise.
const PORT: u16 = 5432;

/// How the server is reached over TLS, and over nothing else.
#[derive(Clone)]
pub(crate) struct Tls {
    /// The address that its certificate is for.
    pub(crate) named: IpAddr,
    /// Another address of its.
    pub(crate) unnamed: IpAddr,
    /// The certificate of the authority that has certified it.
    pub(crate) authority: PathBuf,
    /// That of an authority that has certified nobody.
    pub(crate) stranger: PathBuf,
}

impl Tls {
    /// Makes the certificates and the server's key in `folder`. None where somebody else has the port.
    fn prepare(folder: &Path) -> Option<Self> {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let [named, unnamed] = [81, 82].map(|network| IpAddr::V4(Ipv4Addr::new(127, network, high, low)));
        let free = [named, unnamed].into_iter().all(|address| TcpListener::bind((address, PORT)).is_ok());
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            std::fs::write(folder.join(name), pem("CERTIFICATE", params.self_signed(&key).unwrap().der())).unwrap();
            Issuer::new(params, key)
        };
        let (issuer, _) = (authority("authority.pem"), authority("stranger.pem"));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![named.to_string()]).unwrap();
        std::fs::write(folder.join("server.pem"), pem("CERTIFICATE", params.signed_by(&key, &issuer).unwrap().der()))
            .unwrap();
        std::fs::write(folder.join("server.key"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        let path = |name| folder.join(name);
        free.then(|| Self { named, unnamed, authority: path("authority.pem"), stranger: path("stranger.pem") })
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

/// A database that holds nothing yet.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
}

impl Place {
    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("shop.db").display());
        Self { folder, url }
    }

    /// None where no PostgreSQL is installed, unless the environment says that everything real must be here.
    pub(crate) async fn server() -> Option<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let Some(server) = Server::running() else {
            assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "postgres is required, and is not installed");
            // Not by a macro: what those print is hidden unless the test fails.
            let _ = writeln!(std::io::stderr(), "skipped: postgres is not installed");
            return None;
        };
        let mut admin = server.connect().await;
        let name = format!("shop_{}", LAST.fetch_add(1, Ordering::Relaxed));
        execute(&mut admin, &format!("CREATE DATABASE {name} OWNER shop")).await;
        let socket = server.socket.display();
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            url: format!("postgres://shop:{PASSWORD}@/{name}?host={socket}"),
        })
    }

    /// How this database is reached over TLS. None where that cannot be tried, unless the environment says that
    /// everything real must be here.
    pub(crate) fn tls() -> Option<Tls> {
        let tls = Server::running().and_then(|server| server.tls.clone());
        if tls.is_none() {
            assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "somebody else has port {PORT} everywhere");
            let _ = writeln!(std::io::stderr(), "skipped: somebody else has port {PORT} of every address");
        }
        tls
    }

    /// The address of this database at an IP address.
    pub(crate) fn url_at(&self, address: IpAddr, parameters: &str) -> String {
        let name = self.url.rsplit_once("@/").unwrap().1.split('?').next().unwrap();
        format!("postgres://shop:{PASSWORD}@{address}:{PORT}/{name}?{parameters}")
    }

    /// A shop on this database with further settings.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> Service {
        let mut settings = settings.to_vec();
        if !settings.iter().any(|(name, _)| name.starts_with("DATABASE_URL")) {
            settings.push(("DATABASE_URL", &self.url));
        }
        Service::start(self.folder.path(), &settings)
    }

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = service::command(subcommand, self.folder.path());
        command.env("DATABASE_URL", &self.url);
        command
    }

    /// The number that a query of the database gives.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        if self.url.starts_with("sqlite") {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            return sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        }
        let url = self.url.replace("@/", "@localhost/");
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// Allows the shop's user so many connections to this database.
    pub(crate) async fn limit_connections(&self, limit: u32) {
        let name = self.url.rsplit_once("@/").unwrap().1.split('?').next().unwrap();
        let mut admin = Server::running().unwrap().connect().await;
        execute(&mut admin, &format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}")).await;
    }
}

async fn execute(connection: &mut sqlx::PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// A PostgreSQL server that lives as long as the tests do.
struct Server {
    /// The folder of its socket, named as Cloud SQL's are.
    socket: PathBuf,
    tls: Option<Tls>,
    /// Its guard ends the server and removes its files when the other end of its standard input is gone, in whatever
    /// way this process ends.
    _guard: Child,
}

impl Server {
    fn running() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(|| find().map(|programs| Self::start(&programs))).as_ref()
    }

    fn start(programs: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let socket = folder.join("project:europe-west1:shop");
        std::fs::create_dir(&socket).unwrap();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let tls = Tls::prepare(&folder);
        let listen = tls.as_ref().map_or_else(String::new, |tls| format!("{},{}", tls.named, tls.unnamed));
        let script = r#"
            trap '' INT TERM
            PATH="$1:$PATH" && cd "$2" && unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS
            initdb -D data -U admin --pwfile=password -A scram-sha-256 --no-sync >initdb.log 2>&1 || exit
            printf '%s all all %s scram-sha-256\n' local '' hostssl 127.0.0.0/8 >data/pg_hba.conf
            chmod 600 server.key
            postgres -D data -k "$3" -c listen_addresses="$4" -c fsync=off -c log_statement=all \
              -c ssl=on -c ssl_cert_file="$2/server.pem" -c ssl_key_file="$2/server.key" >postgres.log 2>&1 &
            cat >/dev/null
            kill -QUIT $! && wait
            cd / && rm -rf "$2"
        "#;
        let mut guard = Command::new("sh");
        guard.args(["-c", script, "sh"]).args([programs, &folder, &socket]).arg(listen);
        guard.stdin(Stdio::piped()).process_group(0);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
            for entry in std::fs::read_dir(&folder).unwrap() {
                std::os::unix::fs::chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            guard.uid(NOBODY).gid(NOBODY);
        }
        let server = Self { socket, tls, _guard: guard.spawn().unwrap() };
        // The first who connects gives the shop its user. It is no superuser, whom no limit of connections would hold.
        // In a runtime of its own: this runs within a test's.
        let create = format!("CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'");
        let connect = || async {
            let mut admin = server.connect().await;
            execute(&mut admin, &create).await;
        };
        std::thread::scope(|scope| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            scope.spawn(move || runtime.block_on(connect())).join().unwrap();
        });
        server
    }

    /// Waits until the server answers.
    async fn connect(&self) -> sqlx::PgConnection {
        let url = format!("postgres://admin:{PASSWORD}@localhost/postgres?host={}", self.socket.display());
        for _ in 0..600 {
            if let Ok(connection) = sqlx::PgConnection::connect(&url).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = |name| std::fs::read_to_string(self.socket.with_file_name(name)).unwrap_or_default();
        panic!("the server does not come up: {}{}", log("initdb.log"), log("postgres.log"));
    }
}

/// The folder with `postgres` and `initdb`: on the path, or where Debian puts them.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
}

/// Makes of each `async fn(Place)` one test for each kind of database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod file {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::place::Place::file()).await;
            })*
        }
        mod server {
            $(#[tokio::test]
            async fn $name() {
                let Some(place) = crate::place::Place::server().await else { return };
                super::$name(place).await;
            })*
        }
    };
}
pub(crate) use on_both;
