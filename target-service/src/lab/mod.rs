//! The laboratory of Pet Theory: a service that publishes reports, and those that tell of them by e-mail and by SMS.
//!
//! On the wire they are what a program on Express 5 is. Each is a service of its own with one address, `POST /`. They
//! answer when their work is done and work on nothing afterwards, so an instance without a request may stand still.

mod consumer;
mod deliveries;
mod express;
mod fault;
mod javascript;
mod push;
mod report;
mod settings;
mod topic;

use std::ffi::OsString;
use std::net::SocketAddr;

use axum::Router;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::sleep;

pub(crate) use settings::{Common, ConsumerSettings, HELP_CONSUMER, HELP_REPORT, ReportSettings};

use crate::log::{Log, Writer};
use crate::serve::{self, Ending};
use crate::settings::SettingsError;

/// Why a service of the laboratory did not serve.
#[derive(Debug, Error)]
pub(crate) enum LabError {
    #[error(
        "failed to make the client of Pub/Sub: {0}; set PUBSUB_EMULATOR_HOST for one on this machine, or give the process credentials of Google Cloud"
    )]
    Client(google_cloud_gax::client_builder::Error),
    #[error(transparent)]
    Deliveries(#[from] deliveries::OpenError),
    #[error("failed to listen on {address}: {source}; choose another PORT or HOST")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to start: {0}")]
    Start(#[from] std::io::Error),
}

/// Why no service of the laboratory would start with this variable in its environment.
pub(crate) fn refused_setting(name: &str, value: &str) -> Option<SettingsError> {
    let lookup = |asked: &str| match asked {
        _ if asked == name => Some(OsString::from(value)),
        // Needed besides, and not what is judged here.
        "GOOGLE_CLOUD_PROJECT" => Some(OsString::from("project")),
        _ => None,
    };
    ReportSettings::read(lookup).err().or_else(|| ConsumerSettings::read("email", lookup).err())
}

/// Looks at all variables that the services of the laboratory look at.
pub(crate) fn ask_for_settings(lookup: impl Fn(&str) -> Option<OsString> + Copy) {
    // What they would make of the answers does not matter.
    let _ = ReportSettings::read(lookup);
    let _ = ConsumerSettings::read("email", lookup);
}

/// Serves lab reports until SIGTERM or SIGINT.
pub(crate) async fn report(settings: ReportSettings) -> Result<(), LabError> {
    let Some(start) = Start::new(&settings.common).await? else { return Ok(()) };
    let topic = topic::Topic::open(&settings.topic).await.map_err(LabError::Client)?;
    let app = report::router(report::Service::new(topic, settings.common.knobs));
    start.serve(app, &settings.common).await
}

/// Serves pushes of reports until SIGTERM or SIGINT.
pub(crate) async fn consumer(settings: ConsumerSettings) -> Result<(), LabError> {
    let Some(start) = Start::new(&settings.common).await? else { return Ok(()) };
    let deliveries = match &settings.deliveries {
        Some(path) => Some(deliveries::Deliveries::open(path).await?),
        None => None,
    };
    let app = consumer::router(consumer::Service::new(&settings, deliveries, start.log.clone()));
    start.serve(app, &settings.common).await
}

/// A process that has begun, before it listens.
struct Start {
    ending: Ending,
    log: Log,
    writer: Writer,
}

impl Start {
    /// Nothing when the process was told to end while it still waited.
    async fn new(common: &Common) -> Result<Option<Self>, LabError> {
        let mut ending = Ending::new()?;
        let (log, writer) = Log::start()?;
        tokio::select! {
            () = sleep(common.startup_delay) => Ok(Some(Self { ending, log, writer })),
            () = ending.wait() => Ok(None),
        }
    }

    async fn serve(self, app: Router, common: &Common) -> Result<(), LabError> {
        let address = SocketAddr::new(common.host, common.port);
        let listen = |source| LabError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        self.log.say(&format!("Listening on port {port}"));
        serve::until_told(listener, app, self.ending).await;
        self.writer.finish(&self.log);
        Ok(())
    }
}
