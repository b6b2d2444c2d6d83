//! The command line as it is typed, and its one conversion into what the commands understand.

mod broker;
mod connection;
mod delivery;
mod display;
mod doctor;
mod exports;
mod limits;
mod outside;
mod scaling;
mod schedule;

use crate::commands::{
    self, CloudTarget, CommandError, ExitStatus, Export, MergeOptions, PlatformOptions, RunOptions, TuneOptions,
};
use broker::BrokerArgs;
use clap::{Args, Parser, Subcommand};
use connection::{ConnectionArgs, DetourArgs};
use delivery::DeliveryArgs;
use display::DisplayArgs;
use doctor::DoctorArgs;
use exports::ExportArgs;
use limits::LimitArgs;
use outside::OutsideArgs;
use scaling::ScalingArgs;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Finds the max-concurrency setting of a Cloud Run service that keeps its promises at the least cost
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, every promise kept; 1 tidegate or its environment failed, or the target cannot \
be reached; 2 wrong usage or an invalid file; 3 an SLO was not met, or no candidate meets it; 5 the measurement cannot be trusted; 6 messages were lost; 129, 130, 143 interrupted, \
what was measured is saved and what was changed is put back";

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the best max concurrency for a scenario, on the local platform or on Cloud Run
    Tune(TuneArgs),
    /// Send a scenario's load once, to any address
    Run(RunArgs),
    /// Put the recordings of a plan's shards together into one recording and one verdict
    Merge(MergeArgs),
    /// Print the JSON Schema of recordings
    #[command(subcommand)]
    Recording(RecordingCommand),
    /// Measure what this machine can honestly send
    Doctor(DoctorArgs),
    /// Render a saved study's report again
    Report {
        /// The study's folder
        dir: PathBuf,
    },
    /// Print the built-in price file: its day, its sources, its regions. A copy of it, changed, is what --prices takes
    Prices,
    /// Check scenario files, or print their JSON Schema
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    /// Serve the local platform alone: Cloud Run's Admin and Monitoring APIs on this machine
    Platform(PlatformArgs),
    /// Serve the local Pub/Sub alone: topics, push and pull subscriptions on this machine
    Broker(BrokerArgs),
    /// Run the bundled service, as an instance of it does
    #[command(disable_help_flag = true)]
    TargetService {
        /// Its name and arguments, such as `shop`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Serve what the doctor measures against, until standard input ends
    #[command(hide = true)]
    DoctorServer,
    /// Join a cgroup, then become another program
    #[command(hide = true, disable_help_flag = true)]
    Launch {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct TuneArgs {
    /// The scenario file
    scenario: PathBuf,
    /// Try the scenario's quick candidates once each, with every stage at three quarters of its length
    #[arg(long)]
    quick: bool,
    /// Seed of arrivals, draws and the order of trials: the same seed sends the same load
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Candidates to try instead of the scenario's, such as 1,4,16
    #[arg(long, value_delimiter = ',')]
    candidates: Vec<u32>,
    /// How often to try each candidate instead of what the scenario says
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    blocks: Option<u32>,
    /// Folder of the study [default: reports/<scenario>-<time>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the study in the folder that --out names
    #[arg(long, requires = "out")]
    resume: bool,
    /// Price file to use instead of the embedded one
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    scaling: ScalingArgs,
    /// Pub/Sub to use instead of the local broker for a system of several services, such as Google's emulator
    /// [default: `PUBSUB_EMULATOR_HOST`, if it is set]
    #[arg(long, value_name = "HOST:PORT", value_parser = delivery::host)]
    pubsub: Option<String>,
    #[command(flatten)]
    cloud: CloudArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Tune a service on Cloud Run instead, with Application Default Credentials.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud Run")]
struct CloudArgs {
    /// Project of the service on Cloud Run
    #[arg(long, requires_all = ["region", "service"])]
    project: Option<String>,
    /// Its region
    #[arg(long, requires_all = ["project", "service"])]
    region: Option<String>,
    /// Its name
    #[arg(long, requires_all = ["project", "region"])]
    service: Option<String>,
    /// Base address of the Admin and Monitoring APIs instead of Google's own, without credentials
    #[arg(long, value_name = "URL", requires = "project")]
    endpoint: Option<String>,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The scenario file
    scenario: PathBuf,
    /// Where requests go, such as `http://127.0.0.1:8080` [default: what the scenario's `target` section says, or its own
    /// services, started here]
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Seed of arrivals and draws: the same seed sends the same load
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Divide stage lengths by this, never rates
    #[arg(long, default_value_t = 1.0, value_parser = time_factor)]
    time_factor: f64,
    /// Save the recording to this file; `-` writes it to standard output, and what is for people to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    display: DisplayArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    detours: DetourArgs,
    #[command(flatten)]
    schedule: schedule::ScheduleArgs,
    #[command(flatten)]
    exports: ExportArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// The recordings of the shards, as `tidegate run --shard` saved them
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// Save the merged recording to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it in this format too: csv, json, hgrm (of all requests, or hgrm:STEP). Repeatable
    #[arg(long, value_name = "FORMAT=FILE")]
    export: Vec<Export>,
    /// The scenario that was run, whose promises are judged
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Merge what there is, though shards are missing
    #[arg(long)]
    partial: bool,
}

#[derive(Debug, Subcommand)]
enum RecordingCommand {
    /// Print the JSON Schema of recordings
    Schema,
}

#[derive(Debug, Subcommand)]
enum ScenarioCommand {
    /// Check that files are valid
    Check {
        /// The scenario files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of scenario files
    Schema,
}

#[derive(Debug, Args)]
struct PlatformArgs {
    /// Port of the Admin and Monitoring APIs; 0 for any free one
    #[arg(long, default_value_t = 8900)]
    port: u16,
    #[command(flatten)]
    limits: LimitArgs,
    /// Divide the platform's windows, ticks and sampling periods by this, never service or start-up times
    #[arg(long, default_value_t = 1.0, value_parser = time_factor)]
    time_factor: f64,
    /// Host cores that one vCPU stands for
    #[arg(long, default_value_t = 1.0)]
    host_cores_per_vcpu: f64,
    #[command(flatten)]
    scaling: ScalingArgs,
    /// Folder for what instances log
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Announce the endpoint as one JSON line, and end when standard input does
    #[arg(long, hide = true)]
    announce: bool,
    #[command(flatten)]
    outside: OutsideArgs,
}

/// A factor that divides times: 1 leaves them as they are.
fn time_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (1.0..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("a time factor is a number from 1 to 1000".to_owned()),
    }
}

/// Reads the command line, does what it says, and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::TargetService { arguments } => return commands::target_service(arguments),
        Command::Launch { arguments } => return commands::launch(arguments),
        Command::Doctor(arguments) => block_on(commands::doctor(arguments.into())),
        Command::DoctorServer => commands::doctor_server(),
        Command::Report { dir } => commands::render(&dir),
        Command::Prices => commands::prices(),
        Command::Scenario(ScenarioCommand::Check { files }) => commands::check(&files),
        Command::Scenario(ScenarioCommand::Schema) => commands::schema(),
        Command::Merge(arguments) => commands::merge(&arguments.into()),
        Command::Recording(RecordingCommand::Schema) => commands::recording_schema(),
        Command::Tune(arguments) => block_on(commands::tune(arguments.into())),
        Command::Run(arguments) => block_on(commands::run(arguments.into())),
        Command::Broker(arguments) => block_on(commands::broker(arguments.into())),
        Command::Platform(arguments) => block_on(commands::platform(arguments.into())),
    };
    match outcome {
        Ok(status) => status.into(),
        Err(error) => {
            // There is nobody left to tell when standard error itself is gone.
            let _ = writeln!(anstream::stderr(), "{}error:{} {error}", STYLE.render(), STYLE.render_reset());
            error.status().into()
        }
    }
}

const STYLE: anstyle::Style =
    anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red))).bold();

fn block_on(command: impl Future<Output = Result<ExitStatus, CommandError>>) -> Result<ExitStatus, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| CommandError::System { action: "start the runtime", cause })?;
    let outcome = runtime.block_on(command);
    // What is still running in the background has nothing more to say.
    runtime.shutdown_background();
    outcome
}

impl From<TuneArgs> for TuneOptions {
    fn from(arguments: TuneArgs) -> Self {
        let cloud = arguments.cloud;
        let target = match (cloud.project, cloud.region, cloud.service) {
            (Some(project), Some(region), Some(service)) => {
                Some(CloudTarget { project, region, service, endpoint: cloud.endpoint })
            }
            _ => None,
        };
        Self {
            scenario: arguments.scenario,
            quick: arguments.quick,
            seed: arguments.seed,
            candidates: arguments.candidates,
            blocks: arguments.blocks,
            out: arguments.out,
            resume: arguments.resume,
            prices: arguments.prices,
            limits: arguments.limits.into(),
            scaling: arguments.scaling.into(),
            pubsub: arguments.pubsub,
            cloud: target,
            connection: arguments.connection.into(),
            command: typed(),
        }
    }
}

/// The command line without the program's path.
fn typed() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once("tidegate".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

impl From<RunArgs> for RunOptions {
    fn from(arguments: RunArgs) -> Self {
        let RunArgs {
            scenario,
            target,
            seed,
            time_factor,
            json,
            display,
            connection,
            detours,
            schedule,
            exports,
            delivery,
        } = arguments;
        let (display, connection) = (display.into(), detours.with(connection));
        let (schedule, exports, delivery) = (schedule.into(), exports.into(), delivery.into());
        Self { scenario, target, connection, seed, time_factor, json, display, schedule, exports, delivery }
    }
}

impl From<MergeArgs> for MergeOptions {
    fn from(arguments: MergeArgs) -> Self {
        let MergeArgs { recordings, json, export, scenario, partial } = arguments;
        Self { recordings, json, exports: export, scenario, partial }
    }
}

impl From<PlatformArgs> for PlatformOptions {
    fn from(arguments: PlatformArgs) -> Self {
        let PlatformArgs { port, limits, time_factor, host_cores_per_vcpu, scaling, logs, announce, outside } =
            arguments;
        let (limits, scaling, outside) = (limits.into(), scaling.into(), outside.into());
        Self { port, limits, time_factor, host_cores_per_vcpu, scaling, logs, announce, outside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_service_on_cloud_run_is_named_whole_or_not_at_all() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("tidegate tune a.yaml --project p --region r --service s").is_ok());
        assert!(parse("tidegate tune a.yaml --project p").is_err());
        assert!(parse("tidegate tune a.yaml --service s").is_err());
    }
}
