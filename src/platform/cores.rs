//! The host's cores: what instances may be promised of them, what they hold, and the more that one gets while it starts.

use super::limiter::Limits;
use super::revision::lock;
use super::spec::RevisionSpec;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The host's cores beside what the platform, the driver and the system need.
#[derive(Debug)]
pub(super) struct Cores {
    all: f64,
    held: Mutex<f64>,
}

/// Cores that an instance holds; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Hold {
    cores: Arc<Cores>,
    amount: f64,
}

/// The startup CPU boost of one instance.
#[derive(Debug)]
pub(super) struct Boost {
    limits: Arc<Limits>,
    /// What it has without.
    base: f64,
    tail: Duration,
    _extra: Hold,
}

/// Host cores that stay free of instances' quotas: for the ingress, the driver and the system.
const RESERVED: f64 = 0.5;
/// 30 × 0.05 is 1.5 on paper and a little more in binary.
const ROUNDING: f64 = 1e-9;

impl Cores {
    /// Those of this host.
    pub(super) fn of_this_host() -> Arc<Self> {
        let all = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        Arc::new(Self { all, held: Mutex::default() })
    }

    /// Refuses a revision whose instances, together with those of the `others` (services beside this one, in host
    /// cores), could ask for more CPU than there is: their quotas would promise what nobody can keep.
    pub(super) fn check_fits(&self, spec: &RevisionSpec, host_cores_per_vcpu: f64, others: f64) -> Result<(), String> {
        let share = spec.vcpu.0 * host_cores_per_vcpu;
        let (sum, room) = (f64::from(spec.max_instances) * share, (self.all - RESERVED - others).max(0.0));
        if sum <= room + ROUNDING {
            return Ok(());
        }
        let beside = if others > 0.0 { format!(" and {others:.2} are other services'") } else { String::new() };
        Err(format!(
            "{} instances × {} vCPU × {host_cores_per_vcpu} host cores per vCPU would need {sum:.2} cores, but {room:.2} are \
             left: this host has {}, of which {RESERVED} stay free{beside}. At most {} max instances fit (--max-instances of \
             gcloud, max_instances of a scenario), or at most {} host cores per vCPU (--host-cores-per-vcpu of the platform, \
             local.host_cores_per_vcpu of a scenario)",
            spec.max_instances,
            spec.vcpu.0,
            self.all,
            ((room + ROUNDING) / share).floor(),
            // Never more than fits, as rounding would make it.
            (room / f64::from(spec.max_instances) / spec.vcpu.0 * 1e4 + ROUNDING).floor() / 1e4,
        ))
    }

    /// Holds what an instance is entitled to.
    pub(super) fn hold(self: &Arc<Self>, amount: f64) -> Hold {
        *lock(&self.held) += amount;
        Hold { cores: Arc::clone(self), amount }
    }

    /// Holds as much of this as is left: nobody is entitled to it.
    fn hold_spare(self: &Arc<Self>, wanted: f64) -> Hold {
        let mut held = lock(&self.held);
        let amount = wanted.min(self.all - RESERVED - *held).max(0.0);
        *held += amount;
        Hold { cores: Arc::clone(self), amount }
    }

    /// Gives an instance that is about to start the startup boost: as many cores as Cloud Run's table says, as far as the
    /// host has them to spare.
    pub(super) fn boost(
        self: &Arc<Self>,
        limits: &Arc<Limits>,
        (vcpu, host_cores_per_vcpu): (f64, f64),
        tail: Duration,
    ) -> Boost {
        let base = vcpu * host_cores_per_vcpu;
        let extra = self.hold_spare(boosted_vcpu(vcpu) * host_cores_per_vcpu - base);
        // Who cannot be given more starts with what it has.
        let _ = limits.set_cores(base + extra.amount);
        Boost { limits: Arc::clone(limits), base, tail, _extra: extra }
    }
}

impl Boost {
    /// The instance is ready: takes the boost away when its tail is over.
    pub(super) async fn run_out(self) {
        tokio::time::sleep(self.tail).await;
        let _ = self.limits.set_cores(self.base);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *lock(&self.cores.held) -= self.amount;
    }
}

/// vCPUs during the startup boost: 2 for up to 1, 4 for 2, 8 for 4 and more ("Configure CPU limits for services", startup
/// CPU boost).
fn boosted_vcpu(vcpu: f64) -> f64 {
    match vcpu {
        vcpu if vcpu <= 1.0 => 2.0,
        vcpu if vcpu <= 2.0 => 4.0,
        _ => 8.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixture;

    fn cores(all: f64) -> Arc<Cores> {
        Arc::new(Cores { all, held: Mutex::default() })
    }

    #[test]
    fn quotas_must_leave_half_a_core_and_the_refusal_says_what_fits() {
        let spec = |max_instances| RevisionSpec { max_instances, ..fixture::spec() };
        let host = cores(2.0);
        assert_eq!(host.check_fits(&spec(30), 0.05, 0.0), Ok(()));
        let refusal = host.check_fits(&spec(31), 0.05, 0.0).unwrap_err();
        for part in [
            "31 instances × 1 vCPU × 0.05",
            "1.55 cores, but 1.50 are left",
            "at most 0.0483 host cores per vCPU (--host",
        ] {
            assert!(refusal.contains(part), "{refusal}");
        }
        assert!(refusal.contains("At most 30 max instances fit"), "{refusal}");
        // What is said to fit does.
        let refusal = host.check_fits(&spec(103), 1.0, 0.0).unwrap_err();
        assert!(refusal.contains("At most 1 max instances fit (--max-instances"), "{refusal}");
        assert!(refusal.contains("at most 0.0145 host cores"), "{refusal}");
        assert_eq!(host.check_fits(&spec(103), 0.0145, 0.0), Ok(()));
        // Another service has a core of them.
        assert_eq!(host.check_fits(&spec(10), 0.05, 1.0), Ok(()));
        let refusal = host.check_fits(&spec(11), 0.05, 1.0).unwrap_err();
        assert!(refusal.contains("and 1.00 are other services'") && refusal.contains("At most 10"), "{refusal}");
        let refusal = host.check_fits(&spec(1), 0.05, 7.0).unwrap_err();
        assert!(refusal.contains("At most 0 max instances"), "{refusal}");
    }

    #[test]
    fn the_boost_is_that_of_the_table() {
        let table = [(0.08, 2.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (6.0, 8.0), (8.0, 8.0)];
        assert!(table.iter().all(|(vcpu, boosted)| boosted_vcpu(*vcpu) == *boosted));
    }

    #[test]
    fn a_boost_takes_only_what_nobody_holds_and_gives_it_back() {
        let host = cores(2.0);
        let entitled = host.hold(1.2);
        let first = host.hold_spare(0.2);
        assert_eq!(first.amount, 0.2);
        let second = host.hold_spare(0.2);
        assert!((second.amount - 0.1).abs() < 1e-9, "{second:?}");
        assert_eq!(host.hold_spare(0.2).amount, 0.0);
        drop((entitled, first, second));
        assert!(lock(&host.held).abs() < 1e-9);
        // An instance that is entitled to more than there is gets it all the same, and nobody a boost.
        let _entitled = host.hold(3.0);
        assert_eq!(host.hold_spare(0.2).amount, 0.0);
    }
}
