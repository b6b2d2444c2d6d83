//! Under which conditions: the load, the service, the assumptions behind the model, prices with their date and source,
//! the machine, and the command that repeats it.

use crate::report::document::{Block, Cell, Row, Span, Table};
use crate::report::facts;
use crate::report::number::{count, percent, plain};
use crate::scenario::{
    Arrivals, Billing, LoadModel, Member, Objective, Service, ServiceSource, Sine, Stage, StageKind,
};
use crate::trial::{Place, Study, value_is_saved};
use serde_json::Value;

/// The section.
pub(super) fn section(study: &Study) -> Vec<Block> {
    let mut blocks = vec![Block::section("The question and its conditions")];
    if !study.scenario.description.is_empty() {
        blocks.push(Block::text(study.scenario.description.trim()));
    }
    blocks.push(Block::Table(load(study)));
    if let Some(service) = &study.scenario.service {
        blocks.push(Block::Table(shape("The service under test.", service)));
    }
    for (name, member) in study.scenario.system.iter().flat_map(|system| &system.services) {
        let mut service = member.service.clone();
        let of_tuning = study.scenario.tune.as_ref().filter(|tune| tune.services.contains(name));
        service.max_instances = of_tuning.and_then(|tune| tune.max_instances).unwrap_or(service.max_instances);
        blocks.push(Block::Table(shape(&member_caption(study, name, member), &service)));
    }
    blocks.push(Block::part("What is assumed"));
    blocks.push(Block::List(assumptions(study)));
    blocks.push(Block::part("Prices"));
    blocks.push(Block::Table(prices(study)));
    blocks.push(Block::part("How to repeat it"));
    blocks.push(Block::Table(provenance(study)));
    blocks
}

/// The load model in words, and what its levels count.
fn model(load: &LoadModel) -> (String, &'static str) {
    match load {
        LoadModel::Open { arrivals, max_in_flight } => {
            let spaced = match arrivals {
                Arrivals::Poisson => "Poisson arrivals",
                Arrivals::Constant => "evenly spaced arrivals",
            };
            let room = count((*max_in_flight).into());
            (format!("open model, {spaced}, at most {room} journeys in flight"), "arrivals per second")
        }
        LoadModel::Closed => ("closed model, virtual users with think times".to_owned(), "virtual users"),
        LoadModel::Paced { every } => {
            let every = plain(every.as_secs_f64());
            (format!("closed model, virtual users who begin a session every {every} s"), "virtual users")
        }
        LoadModel::InFlight => ("as many requests in flight at all times as the level says".to_owned(), "in flight"),
        LoadModel::Replay(replay) => {
            let (speed, multiply) = (plain(replay.speed), plain(replay.multiply));
            let (recorded, room) = (count(replay.recorded), count(replay.max_in_flight.into()));
            (
                format!(
                    "open model, {recorded} recorded arrivals of {} at {speed} times their speed and {multiply} times \
                     their number, at most {room} journeys in flight",
                    replay.file
                ),
                "arrivals per second",
            )
        }
    }
}

fn kind_and_level(stage: &Stage) -> (&'static str, String) {
    let line = || {
        if stage.from == stage.to { plain(stage.from) } else { format!("{} to {}", plain(stage.from), plain(stage.to)) }
    };
    match stage.kind {
        StageKind::Hold => ("hold", line()),
        StageKind::Ramp => ("ramp", line()),
        StageKind::Spike => ("spike", line()),
        StageKind::Sine(Sine { mean, amplitude, .. }) => ("sine", format!("{} ± {}", plain(mean), plain(amplitude))),
        StageKind::Replay => ("replay", format!("{} on average", plain((stage.from * 100.0).round() / 100.0))),
    }
}

fn load(study: &Study) -> Table {
    let (model, unit) = model(&study.scenario.load);
    let factor = study.stage_divisor();
    let mut table = Table::new(
        format!(
            "Scenario {}: {model}; {} requests per arrival on average. {}",
            study.scenario.name,
            plain((study.scenario.steps_per_arrival() * 100.0).round() / 100.0),
            lengths(study)
        ),
        &["stage", "kind", "#level", "of", "#length", "#of it warm-up", "#share of a month"],
    );
    for stage in &study.scenario.stages {
        let (kind, level) = kind_and_level(stage);
        let share = study.scenario.traffic.as_ref().and_then(|traffic| traffic.shares.get(&stage.name));
        table.rows.push(Row::of([
            stage.name.as_str().into(),
            kind.into(),
            level.into(),
            unit.into(),
            format!("{} s", plain((stage.duration.as_secs_f64() / factor * 100.0).round() / 100.0)).into(),
            format!("{} s", plain((stage.warm_up.as_secs_f64() / factor * 100.0).round() / 100.0)).into(),
            Cell::from(share.map_or_else(|| "–".to_owned(), |share| percent(*share))),
        ]));
    }
    table
}

/// What was done to the lengths that the scenario writes.
fn lengths(study: &Study) -> String {
    if study.stage_share == 1.0 {
        return "Lengths as run.".to_owned();
    }
    let share = percent(study.stage_share);
    format!("Lengths as run: for a quick look, stages at {share} of their written length, besides the time factor.")
}

fn pairs(caption: &str, rows: impl IntoIterator<Item = (String, String)>) -> Table {
    let mut table = Table::new(caption, &["what", "is"]);
    table.rows.extend(rows.into_iter().map(|(what, is)| Row::of([what.into(), is.into()])));
    table
}

/// What a service of a system is there for, and whether it is tuned.
fn member_caption(study: &Study, name: &str, member: &Member) -> String {
    let tuned = study.scenario.tune.iter().flat_map(|tune| &tune.services).any(|tuned| tuned == name);
    let concurrency = match (tuned, member.max_concurrency) {
        (true, _) => "the candidate’s max concurrency".to_owned(),
        (false, Some(most)) => format!("max concurrency {most} throughout"),
        (false, None) => "Google’s default max concurrency throughout".to_owned(),
    };
    let front = study.scenario.system.as_ref().is_some_and(|system| system.front == name);
    let place = if front { ", which the journeys are sent to" } else { "" };
    format!("Service {name}{place}: {concurrency}.")
}

fn shape(caption: &str, service: &Service) -> Table {
    let source = match &service.source {
        ServiceSource::Bundled(name) => format!("{name}, which tidegate carries"),
        ServiceSource::Command(words) => words.join(" "),
    };
    let billing = match service.billing {
        Billing::Request => "request-based (CPU during requests)",
        Billing::Instance => "instance-based (CPU always)",
    };
    let mut rows = vec![
        ("runs".to_owned(), source),
        ("vCPUs".to_owned(), plain(service.vcpu.0)),
        ("memory".to_owned(), format!("{} GiB", plain(service.memory.0))),
        ("instances".to_owned(), format!("{} to {}", service.min_instances, service.max_instances)),
        ("billing".to_owned(), billing.to_owned()),
    ];
    // A report is passed on, and a variable may hold a password.
    let shown = |name: &str, value: &str| if value_is_saved(name) { value.to_owned() } else { "set".to_owned() };
    rows.extend(service.env.iter().map(|(name, value)| (name.clone(), shown(name, value))));
    pairs(caption, rows)
}

fn assumptions(study: &Study) -> Vec<Vec<Span>> {
    let mut lines: Vec<&str> = match study.scenario.objective() {
        Objective::CostPerMillionRequests => per_request().to_vec(),
        Objective::CostPerThousandDelivered => per_delivered().to_vec(),
    };
    lines.push("The unit of statistics is the trial: figures of a candidate are means over its valid trials.");
    if matches!(study.place, Place::Local(_)) {
        lines.extend([
            "The local platform follows what Google documents of Cloud Run: 60 % target of max concurrency and of CPU over \
             one minute, the larger wish wins; requests that find no room start instances; idle instances are kept up to \
             15 minutes.",
            "Not public, and therefore assumed: how often the autoscaler decides (every 5 s here), how fast it scales in, \
             how fast it may start instances, which instance a request is routed to (the least loaded of the oldest here), \
             and how busy time is cut into 100 ms slices (a request inside a billed slice opens no new one).",
            "Google’s pages disagree on how long a request waits for an instance: here max(10 s, 3.5 × mean start-up time), \
             then 429.",
            "Left out: Google’s 10-minute concurrency average, fewer requests to an instance whose CPU is hot, start-up CPU \
             boost, image pulls, networks between regions, and neighbours on the same hardware.",
            "A CPU limit is a rate with bursts, not a slower CPU: a short request may finish faster than a smaller vCPU \
             would let it.",
        ]);
        if study.shape.billing == Billing::Request {
            lines.push(between_requests(study));
        }
    }
    lines.push(offered(study));
    let lines = lines.into_iter().map(|line| vec![Span::from(line)]);
    lines.chain(pubsub(study).map(|line| vec![Span::from(line.as_str())])).collect()
}

/// What a cost per request is.
fn per_request() -> [&'static str; 4] {
    [
        "Costs per million and per thousand are list prices before the free tier; network egress and everything outside \
         Cloud Run are left out.",
        "Cost is divided by every request that reached an instance, warm-up and set-up included; percentiles leave the \
         warm-up out.",
        "A month mixes the stages as the scenario’s shares say, each at its own billable time per request where the \
         samples can tell the stages apart, else at the trial’s mean; the free tier is taken off once.",
        "A thousand check-outs cost what the whole trial cost, divided by its successful check-outs: the scenario’s counter \
         checkouts.",
    ]
}

/// What a cost per delivered report is.
fn per_delivered() -> [&'static str; 4] {
    [
        "A delivered report is one that was acknowledged and reached every consumer that the scenario names. What all services \
         of a trial cost, from the deployment to the last delivery, is divided by those, warm-up included; percentiles \
         leave the warm-up out.",
        "Costs are list prices before the free tier of Cloud Run alone: Pub/Sub, network egress and everything else are left \
         out.",
        "After the load the consumers are asked what reached them, some four times each: those requests are billed too, alike \
         for every candidate.",
        "The scenario’s faults were left out, and every trial had topics, subscriptions and revisions of its own. Delivery is \
         timed by the clock of one host.",
    ]
}

/// Which Pub/Sub the messages of a system went through.
fn pubsub(study: &Study) -> Option<String> {
    study.scenario.system.as_ref()?;
    let Place::Local(scale) = &study.place else { return None };
    Some(scale.pubsub.as_ref().map_or_else(
        || "Pub/Sub is tidegate’s local broker.".to_owned(),
        |host| format!("Pub/Sub is what served at {host}: no time factor reaches its backoffs, and it tells of no redeliveries."),
    ))
}

/// What becomes of an instance's CPU that is billed by request only.
fn between_requests(study: &Study) -> &'static str {
    let Place::Local(scale) = &study.place else { return "" };
    if scale.limiter.cpu_idle.as_deref() == Some("frozen") {
        "Under request-based billing an instance that holds no request stands still from 0.1 to 0.2 s on, as far as Google \
         tells (“disabled or severely limited”): the next request thaws it within a fraction of a millisecond, and what a \
         service does in the background waits until then."
    } else {
        "Left out too: under request-based billing Cloud Run takes an instance’s CPU away between requests; here \
         instances keep it, so what a service does in the background goes on, unbilled."
    }
}

/// What slow answers do to the load itself.
fn offered(study: &Study) -> &'static str {
    if !study.scenario.load.is_open() {
        return "Virtual users wait for answers: a slow candidate is offered fewer requests.";
    }
    let told = facts::close_up(study).is_some_and(|candidate| {
        facts::trials_of(study, candidate).iter().any(|trial| !trial.recording.intervals.is_empty())
    });
    if told {
        "Arrivals come whatever the service does, but the later requests of a journey become due after the answer before: \
         a slow answer moves them, so a slow candidate is offered fewer requests in its slow seconds. The table “By \
         stage” shows the rate that was offered."
    } else {
        "Arrivals come whatever the service does, but the later requests of a journey become due after the answer before: \
         a slow answer moves them, so a slow candidate is offered fewer requests in its slow seconds. How many is not \
         known: no trial recorded its series."
    }
}

/// Every price as the study saved it, whatever the price list holds.
fn prices(study: &Study) -> Table {
    let mut rows = Vec::new();
    if let Ok(value) = serde_json::to_value(&study.prices) {
        leaves("", &value, &mut rows);
    }
    pairs("The price list that applied, in US dollars. Prices change: check the date.", rows)
}

fn leaves(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let name = |key: &str| {
        let key = key.replace('_', " ");
        if path.is_empty() { key } else { format!("{path}, {key}") }
    };
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                leaves(&name(key), value, rows);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            rows.push((path.to_owned(), texts.join("; ")));
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(&name(&(index + 1).to_string()), value, rows);
            }
        }
        Value::Null => {}
        Value::String(text) => rows.push((path.to_owned(), text.clone())),
        Value::Number(number) => {
            rows.push((path.to_owned(), number.as_f64().map_or_else(|| number.to_string(), price)));
        }
        Value::Bool(yes) => rows.push((path.to_owned(), if *yes { "yes" } else { "no" }.to_owned())),
    }
}

/// A rate in full: rates are as small as `0.000000104`.
fn price(number: f64) -> String {
    format!("{number:.10}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn provenance(study: &Study) -> Table {
    let host = &study.host;
    let mut rows = vec![
        ("command".to_owned(), study.command.clone()),
        ("seed".to_owned(), study.seed.to_string()),
        ("blocks".to_owned(), format!("{}, each with every candidate in random order", study.blocks)),
        ("tidegate".to_owned(), study.tidegate_version.clone()),
        ("commit".to_owned(), study.commit.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("started".to_owned(), study.started_at.clone()),
        ("finished".to_owned(), study.finished_at.clone().unwrap_or_else(|| "not finished".to_owned())),
        ("system".to_owned(), host.system.clone()),
        ("machine".to_owned(), format!("{} cores of {}, {} MiB", host.cores, host.cpu, count(host.memory_mib))),
        ("schema of study.json".to_owned(), study.schema_version.to_string()),
    ];
    if let Place::CloudRun { project, region, service } = &study.place {
        rows.push(("measured on".to_owned(), format!("project {project}, region {region}, service {service}")));
    }
    pairs("Everything needed to run it again; study.json beside this report holds every number.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn words(study: &Study) -> String {
        format!("{:?}", section(study))
    }

    #[test]
    fn of_variables_that_may_be_secret_only_the_name_is_shown() {
        let mut study = fixture::study();
        let service = study.scenario.service.as_mut().unwrap();
        service.env.insert("DATABASE_URL".to_owned(), "postgres://shop:hunter2@db".to_owned());
        let table = shape("It.", study.scenario.service.as_ref().unwrap());
        let rows: Vec<_> =
            table.rows.iter().map(|row| (row.cells[0].text.as_str(), row.cells[1].text.as_str())).collect();
        assert!(rows.contains(&("DATABASE_URL", "set")) && rows.contains(&("WAIT_MS", "90")), "{rows:?}");
    }

    #[test]
    fn a_quick_look_tells_that_its_stages_were_shortened() {
        let mut study = fixture::study();
        assert!(words(&study).contains("Lengths as run.\""));
        study.stage_share = 0.75;
        let text = words(&study);
        assert!(text.contains("stages at 75 % of their written length"), "{text}");
        assert!(load(&study).rows[0].cells.iter().any(|cell| cell.text == "9 s"), "12 s are 9 s for a quick look");
    }

    #[test]
    fn what_the_platform_leaves_out_hangs_on_billing_and_place() {
        let mut study = fixture::study();
        let left_out = |study: &Study| words(study).contains("takes an instance’s CPU away between requests");
        let frozen = |study: &Study| words(study).contains("stands still from 0.1 to 0.2 s on");
        assert!(frozen(&study) && !left_out(&study));
        let cloud = fixture::cloud_study();
        assert!(!frozen(&cloud) && !left_out(&cloud));
        // A record of before there was a choice has none.
        for cpu_idle in [Some("full".to_owned()), None] {
            let Place::Local(scale) = &mut study.place else { panic!("a local study") };
            scale.limiter.cpu_idle = cpu_idle;
            assert!(left_out(&study) && !frozen(&study));
        }
        study.shape.billing = Billing::Instance;
        assert!(!left_out(&study) && !frozen(&study));
    }

    #[test]
    fn the_pub_sub_of_a_system_is_named() {
        let mut study = fixture::system_study();
        assert!(words(&study).contains("Pub/Sub is tidegate’s local broker."));
        let Place::Local(scale) = &mut study.place else { panic!("a local study") };
        scale.pubsub = Some("localhost:8085".to_owned());
        assert!(words(&study).contains("Pub/Sub is what served at localhost:8085"));
        assert!(!words(&fixture::study()).contains("Pub/Sub"), "a single service has none");
    }

    #[test]
    fn that_slow_answers_thin_the_load_is_said_with_or_without_a_series() {
        let mut study = fixture::study();
        assert!(words(&study).contains("shows the rate that was offered"));
        for trial in &mut study.trials {
            trial.recording.intervals.clear();
        }
        assert!(words(&study).contains("no trial recorded its series"));
        study.scenario.load = LoadModel::Closed;
        assert!(words(&study).contains("Virtual users wait for answers"));
    }
}
