//! The level of one stage over time: what it is, its integral, and the inverse of the integral.

use super::plan::PlannedStage;
use super::{Sine, Stage, StageKind};
use std::f64::consts::{FRAC_PI_2, PI, TAU};
use std::time::Duration;

/// A root is looked for until its bracket, or the last step, is shorter than this: a tenth of a nanosecond.
const ROOT_TOLERANCE_S: f64 = 1e-10;
/// Halving alone takes a day down to the tolerance in 50 steps; Newton's steps are five or six.
const ROOT_STEPS_MAX: u32 = 100;

/// The level over one stage, in seconds since its start, lengths already divided by the time factor.
#[derive(Clone, Debug)]
pub(super) struct Level {
    curve: Curve,
    length_s: f64,
}

#[derive(Clone, Debug)]
enum Curve {
    Line {
        from: f64,
        to: f64,
    },
    /// mean + amplitude · sin(2π · t / period + angle).
    Sine {
        mean: f64,
        amplitude: f64,
        period_s: f64,
        angle: f64,
    },
}

impl Level {
    /// The level of `stage` where it is `planned`.
    pub(super) fn new(stage: &Stage, planned: &PlannedStage) -> Self {
        let length_s = planned.end.saturating_sub(planned.start).as_secs_f64();
        let curve = match stage.kind {
            StageKind::Sine(Sine { mean, amplitude, period, phase }) => {
                // A scenario that was not checked must not swing below 0.
                let mean = mean.max(0.0);
                let amplitude = amplitude.max(0.0).min(mean);
                // The time factor divides the period as it divides the stage: the wave keeps its place in it.
                let period_s = period.as_secs_f64() * length_s / stage.duration.as_secs_f64();
                let angle = TAU * (phase.as_secs_f64() / period.as_secs_f64()).fract();
                Curve::Sine { mean, amplitude, period_s, angle }
            }
            _ => Curve::Line { from: stage.from, to: stage.to },
        };
        Self { curve, length_s }
    }

    /// The level `t` seconds after the start of the stage.
    pub(super) fn at(&self, t: f64) -> f64 {
        match self.curve {
            Curve::Line { from, to } => from + (to - from) * (t / self.length_s),
            Curve::Sine { mean, amplitude, period_s, angle } => mean + amplitude * (TAU * t / period_s + angle).sin(),
        }
    }

    /// The integral over the whole stage: how many arrivals are expected.
    pub(super) fn expected(&self) -> f64 {
        match self.curve {
            Curve::Line { from, to } => self.length_s * (from + to) / 2.0,
            Curve::Sine { mean, amplitude, period_s, angle } => {
                mean * self.length_s + swing(self.length_s, amplitude, period_s, angle)
            }
        }
    }

    /// When, in seconds after the start of the stage, the integral reaches `count` (at least 0, below all).
    pub(super) fn inverse(&self, count: f64) -> f64 {
        match self.curve {
            // The root of from·t + (slope/2)·t² = count, in the form that loses no digits when the slope is small.
            Curve::Line { from, to } => {
                let slope = (to - from) / self.length_s;
                let root = (from * from + 2.0 * slope * count).max(0.0).sqrt();
                if count > 0.0 { 2.0 * count / (from + root) } else { 0.0 }
            }
            Curve::Sine { mean, amplitude, period_s, angle } => {
                // Over whole swings only the mean counts, so the root is looked for within one.
                let swings = (count / (mean * period_s)).floor();
                let rest = (count - swings * mean * period_s).clamp(0.0, mean * period_s);
                swings * period_s + root_of_sine(rest, mean, amplitude, (period_s, angle))
            }
        }
    }

    /// When the level next turns after `t`, or later than the stage ends: until then it moves in one direction.
    pub(super) fn next_turn(&self, t: f64) -> f64 {
        match self.curve {
            Curve::Line { .. } => self.length_s,
            Curve::Sine { period_s, angle, .. } => {
                let half_swings = ((TAU * t / period_s + angle - FRAC_PI_2) / PI).floor() + 1.0;
                (FRAC_PI_2 + half_swings * PI - angle) * period_s / TAU
            }
        }
    }

    /// An offset within the stage as a duration, kept before the stage's end at `length`: rounding must not move an
    /// arrival into the next stage.
    pub(super) fn offset(seconds: f64, length: Duration) -> Duration {
        let offset = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        offset.min(length.saturating_sub(Duration::from_nanos(1)))
    }
}

/// What the swing alone adds until `t`: the integral of amplitude · sin(2π · t / period + angle).
fn swing(t: f64, amplitude: f64, period_s: f64, angle: f64) -> f64 {
    amplitude * period_s / TAU * (angle.cos() - (TAU * t / period_s + angle).cos())
}

/// When within one swing the integral reaches `count`. Newton's method inside a bracket that only ever shrinks (as
/// `rtsafe` in Press et al., *Numerical Recipes*, section 9.4): the integral never falls, so the root stays inside.
fn root_of_sine(count: f64, mean: f64, amplitude: f64, (period_s, angle): (f64, f64)) -> f64 {
    // The swing adds or takes no more than this.
    let reach = amplitude * period_s / PI;
    let (mut low, mut high) = (((count - reach) / mean).max(0.0), ((count + reach) / mean).min(period_s));
    let mut t = (count / mean).clamp(low, high);
    for _ in 0..ROOT_STEPS_MAX {
        let excess = mean * t + swing(t, amplitude, period_s, angle) - count;
        if excess > 0.0 {
            high = t;
        } else {
            low = t;
        }
        let slope = mean + amplitude * (TAU * t / period_s + angle).sin();
        let newton = t - excess / slope;
        // Where the level is all but 0 the step leaves the bracket, or is no number.
        let next = if newton > low && newton < high { newton } else { low.midpoint(high) };
        let step = (next - t).abs();
        t = next;
        if step < ROOT_TOLERANCE_S || high - low < ROOT_TOLERANCE_S {
            break;
        }
    }
    t
}
