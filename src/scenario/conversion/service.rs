//! The service under test and what `tune` tries.

use super::super::error::{Problems, offer};
use super::super::file::{BillingFile, LocalFile, ObjectiveFile, ServiceFile, TuneFile};
use super::super::located::Located;
use super::super::notation;
use super::super::{Billing, Candidate, Delivery, Objective, Service, ServiceSource, System, Tune};
use super::{exactly_one, known, parsed};
use crate::units::{Gib, Vcpu};
use std::collections::BTreeMap;

/// The services tidegate carries.
const BUNDLED: [&str; 1] = ["shop"];

/// What the platform itself sets in an instance's environment, Cloud Run and the local one.
const RESERVED_ENVIRONMENT: [&str; 4] = ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];
/// What the local one sets besides: its instances listen on loopback.
const RESERVED_LOCALLY: &str = "HOST";

/// Cloud Run's bounds of vCPUs per instance; above 1 only [`VCPU_WHOLE`].
const VCPU_MIN: f64 = 0.08;
const VCPU_WHOLE: [f64; 5] = [1.0, 2.0, 4.0, 6.0, 8.0];

/// Cloud Run's default for max instances.
const MAX_INSTANCES_DEFAULT: u32 = 100;

/// Requests an instance may hold at once, at most, on Cloud Run.
pub(super) const MAX_CONCURRENCY_LIMIT: u32 = 1000;

pub(super) fn service(written: &Located<ServiceFile>, problems: &mut Problems) -> Option<Service> {
    service_among(written, &BUNDLED, problems)
}

/// A service that is one of these when it is bundled.
pub(super) fn service_among(
    written: &Located<ServiceFile>,
    bundled: &[&str],
    problems: &mut Problems,
) -> Option<Service> {
    let file = &written.value;
    let source = source(written, bundled, problems);
    for (name, value) in &file.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.value.contains('\0') {
            problems.add(
                value.at,
                format!("`{name}` cannot be an environment variable"),
                "use letters, digits and `_`",
            );
        } else if RESERVED_ENVIRONMENT.contains(&name.as_str()) {
            problems.add(value.at, format!("the platform itself sets `{name}`"), "leave it out");
        } else if name == RESERVED_LOCALLY {
            problems.add(
                value.at,
                format!("the local platform itself sets `{name}`, to 127.0.0.1; Cloud Run leaves it to the service"),
                "leave it out; a service on Cloud Run keeps its own",
            );
        }
    }
    let vcpu = number_or(file.vcpu.as_ref(), 1.0);
    let memory = match &file.memory {
        Some(memory) => parsed(notation::size(&memory.value), memory.at, problems)?,
        None => Gib(0.5),
    };
    check_cpu_and_memory(file, vcpu, memory, problems);
    let min_instances = file.min_instances.as_ref().map_or(0, |number| number.value);
    let max_instances = file.max_instances.as_ref().map_or(MAX_INSTANCES_DEFAULT, |number| number.value);
    if let Some(most) = &file.max_instances
        && most.value == 0
    {
        problems.add(most.at, "`max_instances: 0` leaves no instance to answer", "give at least 1");
    } else if let Some(least) = &file.min_instances
        && least.value > max_instances
    {
        problems.add(
            least.at,
            format!("min_instances {min_instances} is above max_instances {max_instances}"),
            "lower the one or raise the other",
        );
    }
    let (host_cores_per_vcpu, time_factor) = scale(file.local.as_ref(), problems);
    Some(Service {
        source: source?,
        env: file.env.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect::<BTreeMap<_, _>>(),
        vcpu: Vcpu(vcpu),
        memory,
        min_instances,
        max_instances,
        billing: match file.billing {
            None | Some(BillingFile::Request) => Billing::Request,
            Some(BillingFile::Instance) => Billing::Instance,
        },
        host_cores_per_vcpu,
        time_factor,
        region: file.region.as_ref().map_or_else(|| "us-central1".to_owned(), |region| region.value.clone()),
    })
}

fn number_or(written: Option<&Located<f64>>, default: f64) -> f64 {
    written.map_or(default, |number| number.value)
}

fn source(written: &Located<ServiceFile>, carried: &[&str], problems: &mut Problems) -> Option<ServiceSource> {
    let ServiceFile { bundled, command, .. } = &written.value;
    let source = exactly_one(
        vec![
            ("bundled", bundled.as_ref().map(|name| (ServiceSource::Bundled(name.value.clone()), name.at))),
            ("command", command.as_ref().map(|words| (ServiceSource::Command(words.value.clone()), words.at))),
        ],
        written.at,
        problems,
    );
    match &source {
        Some((ServiceSource::Bundled(name), at)) if !carried.contains(&name.as_str()) => {
            problems.add(*at, format!("tidegate carries no service `{name}`"), offer(name, carried));
        }
        Some((ServiceSource::Command(words), at)) if words.first().is_none_or(String::is_empty) => {
            problems.add(*at, "the command is empty", "give the program and its arguments: `[./server, --verbose]`");
        }
        _ => {}
    }
    source.map(|(source, _)| source)
}

/// Cloud Run's own limits, which a local study keeps so that its answer can be applied.
fn check_cpu_and_memory(file: &ServiceFile, vcpu: f64, memory: Gib, problems: &mut Problems) {
    if let Some(written) = &file.vcpu
        && !(VCPU_MIN..1.0).contains(&vcpu)
        && !VCPU_WHOLE.contains(&vcpu)
    {
        problems.add(
            written.at,
            format!("Cloud Run has no instances of {vcpu} vCPU"),
            "give 0.08 to 1, or one of 2, 4, 6, 8; a smaller machine is modelled by `local: {host_cores_per_vcpu: …}`",
        );
        return;
    }
    let (least, most) = match vcpu {
        v if v < 0.5 => (0.0, 0.5),
        v if v < 1.0 => (0.0, 1.0),
        v if v < 2.0 => (0.0, 4.0),
        v if v < 4.0 => (0.0, 8.0),
        v if v < 6.0 => (2.0, 16.0),
        v if v < 8.0 => (4.0, 24.0),
        _ => (4.0, 32.0),
    };
    if memory.0 > most || memory.0 < least || memory.0 == 0.0 {
        let at = file.memory.as_ref().map(|written| written.at).or_else(|| file.vcpu.as_ref().map(|vcpu| vcpu.at));
        if let Some(at) = at {
            let least = if least > 0.0 { format!("{least} to ") } else { "at most ".to_owned() };
            problems.add(
                at,
                format!("Cloud Run has no instances of {vcpu} vCPU with {} GiB of memory", memory.0),
                format!("with {vcpu} vCPU give {least}{most} GiB"),
            );
        }
    }
}

/// Host cores per vCPU and the time factor.
pub(super) fn scale(local: Option<&LocalFile>, problems: &mut Problems) -> (f64, f64) {
    let cores = local.and_then(|local| local.host_cores_per_vcpu.as_ref());
    let factor = local.and_then(|local| local.time_factor.as_ref());
    if let Some(cores) = cores
        && !(cores.value > 0.0 && cores.value <= 1.0)
    {
        problems.add(
            cores.at,
            format!("a vCPU cannot stand for {} host cores", cores.value),
            "give a share of a core, above 0 and at most 1, such as 0.05",
        );
    }
    if let Some(factor) = factor
        && !(1.0..=1000.0).contains(&factor.value)
    {
        problems.add(
            factor.at,
            format!("the time factor {} is out of range", factor.value),
            "give 1 (real time) to 1000; 12 makes a minute of the platform five seconds",
        );
    }
    (number_or(cores, 1.0), number_or(factor, 1.0))
}

/// What `tune` tries of a scenario whose `system` and `delivery` are these.
pub(super) fn tune(
    file: &TuneFile,
    (system, delivery): (Option<&System>, Option<&Delivery>),
    problems: &mut Problems,
) -> Tune {
    let candidates = candidates(&file.candidates, problems);
    let quick = match &file.quick {
        None => candidates.clone(),
        Some(quick) => {
            for candidate in &quick.value {
                let wanted = Candidate { max_concurrency: candidate.value };
                if !candidates.contains(&wanted) && !candidates.is_empty() {
                    problems.add(
                        candidate.at,
                        format!("the quick candidate {} is not among the candidates", candidate.value),
                        "add it to `candidates`, or leave it out here",
                    );
                }
            }
            self::candidates(quick, problems)
        }
    };
    if let Some(blocks) = &file.blocks
        && !(1..=100).contains(&blocks.value)
    {
        problems.add(blocks.at, format!("{} blocks are out of range", blocks.value), "give 1 to 100");
    }
    let local = file.local.as_ref();
    // What it leaves out is not asked for here, only what it says is checked.
    scale(local, problems);
    Tune {
        candidates,
        blocks: file.blocks.as_ref().map_or(2, |blocks| blocks.value),
        quick,
        objective: objective(file, system.is_some() && delivery.is_some(), problems),
        services: tuned(file, system, problems),
        max_instances: most_instances(file, system.is_some(), problems),
        host_cores_per_vcpu: local.and_then(|local| local.host_cores_per_vcpu.as_ref()).map(|cores| cores.value),
        time_factor: local.and_then(|local| local.time_factor.as_ref()).map(|factor| factor.value),
    }
}

/// Instances at most of the services that are tuned.
fn most_instances(file: &TuneFile, is_system: bool, problems: &mut Problems) -> Option<u32> {
    let most = file.max_instances.as_ref()?;
    if most.value == 0 {
        problems.add(most.at, "`max_instances: 0` leaves no instance to answer", "give at least 1");
    }
    if !is_system {
        let hint = "leave it out, and say so in `service`";
        problems.add(most.at, "`tune` says `max_instances`, and there are no `services`", hint);
    }
    Some(most.value)
}

/// What is made least; `delivers` when there are services and what they must deliver.
fn objective(file: &TuneFile, delivers: bool, problems: &mut Problems) -> Objective {
    match &file.objective {
        None if delivers => Objective::CostPerThousandDelivered,
        None => Objective::CostPerMillionRequests,
        Some(written) => match written.value {
            ObjectiveFile::CostPerMillionRequests => Objective::CostPerMillionRequests,
            ObjectiveFile::CostPerThousandDelivered => {
                if !delivers {
                    let hint = "add `services` and `deliver`, or leave `objective` out";
                    problems.add(written.at, "nothing says what is delivered, and by which services", hint);
                }
                Objective::CostPerThousandDelivered
            }
        },
    }
}

/// The services of a system that get the candidate's max concurrency.
fn tuned(file: &TuneFile, system: Option<&System>, problems: &mut Problems) -> Vec<String> {
    let Some(system) = system else {
        if let Some(written) = &file.services {
            let hint = "leave it out: the one `service` is tuned";
            problems.add(written.at, "`tune` names `services`, and the scenario has none", hint);
        }
        return Vec::new();
    };
    let Some(written) = &file.services else { return vec![system.front.clone()] };
    if written.value.is_empty() {
        problems.add(written.at, "no service is tuned", "name one, or leave `services` out: then it is the front");
    }
    let names: Vec<&str> = system.services.keys().map(String::as_str).collect();
    let mut tuned: Vec<String> = Vec::new();
    for name in &written.value {
        known("service", name, &names, problems);
        if tuned.contains(&name.value) {
            problems.add(name.at, format!("the service `{}` stands here twice", name.value), "keep one of the two");
        } else {
            tuned.push(name.value.clone());
        }
    }
    tuned
}

/// Cloud Run allows one request at a time below 1 vCPU, and so does the local platform.
pub(super) fn check_concurrency(vcpu: Vcpu, tune: &TuneFile, problems: &mut Problems) {
    let above = tune.candidates.value.iter().find(|candidate| candidate.value > 1);
    if let (true, Some(candidate)) = (vcpu.0 < 1.0, above) {
        problems.add(
            candidate.at,
            format!(
                "below 1 vCPU (here {}) Cloud Run allows no max concurrency above 1, and this candidate is {}",
                vcpu.0, candidate.value
            ),
            "give the service at least 1 vCPU; a smaller machine is modelled by `local: {host_cores_per_vcpu: …}`",
        );
    }
}

/// In ascending order.
fn candidates(written: &Located<Vec<Located<u32>>>, problems: &mut Problems) -> Vec<Candidate> {
    if written.value.is_empty() {
        problems.add(
            written.at,
            "there are no candidates",
            "give the max-concurrency settings to try: [1, 2, 4, 8, 80]",
        );
    }
    let mut candidates = Vec::new();
    for number in &written.value {
        let candidate = Candidate { max_concurrency: number.value };
        if !(1..=MAX_CONCURRENCY_LIMIT).contains(&number.value) {
            problems.add(
                number.at,
                format!("an instance cannot hold {} requests at once", number.value),
                "Cloud Run's max concurrency is 1 to 1000",
            );
        } else if candidates.contains(&candidate) {
            problems.add(number.at, format!("the candidate {} stands here twice", number.value), "keep one of the two");
        } else {
            candidates.push(candidate);
        }
    }
    candidates.sort();
    candidates
}
