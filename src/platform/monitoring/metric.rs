//! The metrics of Cloud Run that the local platform writes, as Google describes them
//! (`docs.cloud.google.com/monitoring/api/metrics_gcp_p_z`, read 2026-11-22).

/// The monitored resource of every metric here.
pub(super) const RESOURCE_TYPE: &str = "cloud_run_revision";

/// Its labels.
pub(super) const RESOURCE_LABELS: [&str; 5] =
    ["project_id", "service_name", "revision_name", "location", "configuration_name"];

/// Whether a point is a state at a moment or what happened in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Delta,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gauge => "GAUGE",
            Self::Delta => "DELTA",
        }
    }

    /// In protocol buffers (google.api.MetricDescriptor.MetricKind).
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Gauge => 1,
            Self::Delta => 2,
        }
    }
}

/// What a point holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Int64,
    Double,
    Distribution,
}

impl ValueType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int64 => "INT64",
            Self::Double => "DOUBLE",
            Self::Distribution => "DISTRIBUTION",
        }
    }

    /// In protocol buffers (google.api.MetricDescriptor.ValueType).
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Int64 => 2,
            Self::Double => 3,
            Self::Distribution => 5,
        }
    }
}

/// How settled a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaunchStage {
    Alpha,
    Beta,
    Ga,
}

impl LaunchStage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
            Self::Ga => "GA",
        }
    }

    /// In protocol buffers (google.api.LaunchStage).
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Alpha => 2,
            Self::Beta => 3,
            Self::Ga => 4,
        }
    }
}

/// One metric's description.
#[derive(Debug)]
pub(super) struct Metric {
    /// Full type, with the service's prefix.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) value_type: ValueType,
    pub(super) unit: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) launch_stage: LaunchStage,
    pub(super) display_name: &'static str,
    pub(super) description: &'static str,
}

const RESPONSE: &[&str] = &["response_code", "response_code_class", "route"];
const PROBE: &[&str] = &["container_name", "is_default", "is_healthy", "probe_action", "probe_type"];

pub(super) static BILLABLE_INSTANCE_TIME: Metric = Metric {
    name: "run.googleapis.com/container/billable_instance_time",
    kind: Kind::Delta,
    value_type: ValueType::Double,
    unit: "s",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Billable Instance Time",
    description: "Time that is billed, summed over all instances of the revision, each in slices of 100 ms.",
};
pub(super) static INSTANCE_COUNT: Metric = Metric {
    name: "run.googleapis.com/container/instance_count",
    kind: Kind::Gauge,
    value_type: ValueType::Int64,
    unit: "1",
    labels: &["state"],
    launch_stage: LaunchStage::Ga,
    display_name: "Instance Count",
    description: "Number of instances, by state: active or idle.",
};
pub(super) static REQUEST_COUNT: Metric = Metric {
    name: "run.googleapis.com/request_count",
    kind: Kind::Delta,
    value_type: ValueType::Int64,
    unit: "1",
    labels: RESPONSE,
    launch_stage: LaunchStage::Ga,
    display_name: "Request Count",
    description: "Requests that reached an instance. Those that never did are not counted.",
};
pub(super) static REQUEST_LATENCIES: Metric = Metric {
    name: "run.googleapis.com/request_latencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: RESPONSE,
    launch_stage: LaunchStage::Ga,
    display_name: "Request Latency",
    description: "Time of requests in a running instance, without its start and without queueing.",
};
pub(super) static PENDING: Metric = Metric {
    name: "run.googleapis.com/request_latency/pending",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: RESPONSE,
    launch_stage: LaunchStage::Beta,
    display_name: "Pending Latency",
    description: "Time that requests waited for an instance, its start included.",
};
pub(super) static STARTUP_LATENCIES: Metric = Metric {
    name: "run.googleapis.com/container/startup_latencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Container Startup Latency",
    description: "Time that new instances took to start.",
};
pub(super) static CPU_UTILIZATIONS: Metric = Metric {
    name: "run.googleapis.com/container/cpu/utilizations",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "10^2.%",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Container CPU Utilization",
    description: "CPU utilisation of each instance, 0 to 1 of its vCPUs.",
};
pub(super) static MEMORY_UTILIZATIONS: Metric = Metric {
    name: "run.googleapis.com/container/memory/utilizations",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "10^2.%",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Container Memory Utilization",
    description: "Memory utilisation of each instance, 0 to 1 of its limit.",
};
pub(super) static MAX_REQUEST_CONCURRENCIES: Metric = Metric {
    name: "run.googleapis.com/container/max_request_concurrencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "1",
    labels: &["state"],
    launch_stage: LaunchStage::Ga,
    display_name: "Max Concurrent Requests",
    description: "The most requests that each instance held at once.",
};
pub(super) static PENDING_REQUESTS: Metric = Metric {
    name: "run.googleapis.com/pending_queue/pending_requests",
    kind: Kind::Gauge,
    value_type: ValueType::Int64,
    unit: "1",
    labels: &[],
    launch_stage: LaunchStage::Alpha,
    display_name: "Pending Requests",
    description: "Requests waiting for an instance.",
};

pub(super) static CONTAINERS: Metric = Metric {
    name: "run.googleapis.com/container/containers",
    kind: Kind::Gauge,
    value_type: ValueType::Int64,
    unit: "1",
    labels: &["container_name", "state"],
    launch_stage: LaunchStage::Beta,
    display_name: "Container Count",
    description: "Number of containers, by name and state: active or idle.",
};
pub(super) static CPU_ALLOCATION_TIME: Metric = Metric {
    name: "run.googleapis.com/container/cpu/allocation_time",
    kind: Kind::Delta,
    value_type: ValueType::Double,
    unit: "s{CPU}",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Container CPU Allocation",
    description: "vCPU-seconds that were set aside for the revision's instances.",
};
pub(super) static MEMORY_ALLOCATION_TIME: Metric = Metric {
    name: "run.googleapis.com/container/memory/allocation_time",
    kind: Kind::Delta,
    value_type: ValueType::Double,
    unit: "GiBy.s",
    labels: &[],
    launch_stage: LaunchStage::Ga,
    display_name: "Container Memory Allocation",
    description: "GiB-seconds that were set aside for the revision's instances.",
};
pub(super) static E2E_LATENCIES: Metric = Metric {
    name: "run.googleapis.com/request_latency/e2e_latencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: RESPONSE,
    launch_stage: LaunchStage::Beta,
    display_name: "End-to-end Latency",
    description: "Time of requests from the platform's door to the end of the answer, waiting included.",
};
pub(super) static RECOMMENDED_INSTANCES: Metric = Metric {
    name: "run.googleapis.com/scaling/recommended_instances",
    kind: Kind::Gauge,
    value_type: ValueType::Int64,
    unit: "1",
    labels: &["driver"],
    launch_stage: LaunchStage::Alpha,
    display_name: "Recommended Instances",
    description: "Number of instances that each scaling driver alone asks for: cpu or concurrency.",
};

pub(super) static CPU_USAGE: Metric = Metric {
    name: "run.googleapis.com/container/cpu/usage",
    kind: Kind::Gauge,
    value_type: ValueType::Distribution,
    unit: "s{CPU}/s",
    labels: &["container_name"],
    launch_stage: LaunchStage::Beta,
    display_name: "Container CPU Usage",
    description: "Use of CPU of each instance, in vCPUs.",
};
pub(super) static MEMORY_USAGE: Metric = Metric {
    name: "run.googleapis.com/container/memory/usage",
    kind: Kind::Gauge,
    value_type: ValueType::Distribution,
    unit: "By",
    labels: &["container_name"],
    launch_stage: LaunchStage::Beta,
    display_name: "Container Memory Usage",
    description: "Use of memory of each instance.",
};
pub(super) static RECEIVED_BYTES: Metric = Metric {
    name: "run.googleapis.com/container/network/received_bytes_count",
    kind: Kind::Delta,
    value_type: ValueType::Int64,
    unit: "By",
    labels: &["kind"],
    launch_stage: LaunchStage::Ga,
    display_name: "Received Bytes",
    description: "Bytes of requests that instances received. Their own connections are not counted here.",
};
pub(super) static SENT_BYTES: Metric = Metric {
    name: "run.googleapis.com/container/network/sent_bytes_count",
    kind: Kind::Delta,
    value_type: ValueType::Int64,
    unit: "By",
    labels: &["kind"],
    launch_stage: LaunchStage::Ga,
    display_name: "Sent Bytes",
    description: "Bytes of answers that instances sent. Their own connections are not counted here.",
};
pub(super) static PROBE_COUNT: Metric = Metric {
    name: "run.googleapis.com/container/completed_probe_count",
    kind: Kind::Delta,
    value_type: ValueType::Int64,
    unit: "1",
    labels: PROBE,
    launch_stage: LaunchStage::Beta,
    display_name: "Completed Probe Count",
    description: "Probes that completed, and how.",
};
pub(super) static PROBE_ATTEMPT_COUNT: Metric = Metric {
    name: "run.googleapis.com/container/completed_probe_attempt_count",
    kind: Kind::Delta,
    value_type: ValueType::Int64,
    unit: "1",
    labels: PROBE,
    launch_stage: LaunchStage::Beta,
    display_name: "Completed Probe Attempt Count",
    description: "Single attempts of probes, and how they ended.",
};
pub(super) static PROBE_LATENCIES: Metric = Metric {
    name: "run.googleapis.com/container/probe_latencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: PROBE,
    launch_stage: LaunchStage::Beta,
    display_name: "Probe Latency",
    description: "Time that probes took until they succeeded or failed.",
};
pub(super) static PROBE_ATTEMPT_LATENCIES: Metric = Metric {
    name: "run.googleapis.com/container/probe_attempt_latencies",
    kind: Kind::Delta,
    value_type: ValueType::Distribution,
    unit: "ms",
    labels: PROBE,
    launch_stage: LaunchStage::Beta,
    display_name: "Probe Attempt Latency",
    description: "Time that single attempts of probes took.",
};
pub(super) static INSTANCE_COUNT_WITH_READINESS: Metric = Metric {
    name: "run.googleapis.com/container/instance_count_with_readiness",
    kind: Kind::Gauge,
    value_type: ValueType::Int64,
    unit: "1",
    labels: &["readiness", "state"],
    launch_stage: LaunchStage::Beta,
    display_name: "Instance Count with Readiness",
    description: "Number of instances, by state and by what their readiness probe says: UNKNOWN without one.",
};

/// All of them, by name.
pub(super) static METRICS: [&Metric; 24] = [
    &BILLABLE_INSTANCE_TIME,
    &PROBE_ATTEMPT_COUNT,
    &PROBE_COUNT,
    &CONTAINERS,
    &CPU_ALLOCATION_TIME,
    &CPU_USAGE,
    &CPU_UTILIZATIONS,
    &INSTANCE_COUNT,
    &INSTANCE_COUNT_WITH_READINESS,
    &MAX_REQUEST_CONCURRENCIES,
    &MEMORY_ALLOCATION_TIME,
    &MEMORY_USAGE,
    &MEMORY_UTILIZATIONS,
    &RECEIVED_BYTES,
    &SENT_BYTES,
    &PROBE_ATTEMPT_LATENCIES,
    &PROBE_LATENCIES,
    &STARTUP_LATENCIES,
    &PENDING_REQUESTS,
    &REQUEST_COUNT,
    &REQUEST_LATENCIES,
    &E2E_LATENCIES,
    &PENDING,
    &RECOMMENDED_INSTANCES,
];

impl Metric {
    /// The metric of this type.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        METRICS.into_iter().find(|metric| metric.name == name)
    }
}
