//! The arrivals of an open model: when each is due and which journey it starts.
//!
//! With level λ(t), the expected number of arrivals until t is Λ(t) = ∫λ. A Poisson process of rate λ(t) is a Poisson
//! process of rate 1 seen through the inverse of Λ (Çinlar, *Introduction to Stochastic Processes*, 1975, section 4.7):
//! exponential gaps of mean 1 are summed up, and each sum u is due at Λ⁻¹(u). This is exact for holds and for ramps, where
//! Λ is a quadratic. Constant arrivals are the same with u = 0, 1, 2, ….

use super::plan::PlannedStage;
use super::script::Script;
use super::{Arrivals, Stage};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// One planned arrival of an open model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Running number from 0.
    pub index: u64,
    /// When its first step is due, since the start of the load.
    pub due: Duration,
    /// Which journey it starts.
    pub journey: usize,
    /// Which stage it falls into.
    pub stage: usize,
}

/// A stage as a piece of the cumulative level.
#[derive(Clone, Debug)]
struct Piece {
    start: Duration,
    end: Duration,
    from: f64,
    to: f64,
}

impl Piece {
    fn new(planned: &PlannedStage, stage: &Stage) -> Self {
        Self { start: planned.start, end: planned.end, from: stage.from, to: stage.to }
    }

    fn length_s(&self) -> f64 {
        self.end.saturating_sub(self.start).as_secs_f64()
    }

    /// Expected arrivals.
    fn expected(&self) -> f64 {
        self.length_s() * (self.from + self.to) / 2.0
    }

    /// When `count` arrivals (less than all) are expected to have come: the root of from·t + (slope/2)·t² = count, in
    /// the form that loses no digits when the slope is small.
    fn inverse(&self, count: f64) -> Duration {
        let slope = (self.to - self.from) / self.length_s();
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        let seconds = if count > 0.0 { 2.0 * count / (self.from + root) } else { 0.0 };
        let offset = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        // Rounding must not move an arrival into the next stage.
        self.start.saturating_add(offset).min(self.end.saturating_sub(Duration::from_nanos(1)))
    }
}

/// An iterator over all arrivals in order.
#[derive(Debug)]
pub(super) struct ArrivalSeries {
    pub(super) script: Arc<Script>,
    arrivals: Arrivals,
    pieces: Vec<Piece>,
    /// Which piece the next arrival is looked for in.
    stage: usize,
    /// Λ at the next arrival.
    position: f64,
    /// Λ at the start of the piece.
    passed: f64,
    index: u64,
    gaps: ChaCha8Rng,
    choices: ChaCha8Rng,
}

impl ArrivalSeries {
    /// The series over the stages: `gaps` draws the gaps of Poisson arrivals, `choices` the journeys.
    pub(super) fn new(
        script: Arc<Script>,
        arrivals: Arrivals,
        stages: impl Iterator<Item = (PlannedStage, Stage)>,
        mut gaps: ChaCha8Rng,
        choices: ChaCha8Rng,
    ) -> Self {
        let position = match arrivals {
            Arrivals::Poisson => exponential(&mut gaps),
            Arrivals::Constant => 0.0,
        };
        let pieces = stages.map(|(planned, stage)| Piece::new(&planned, &stage)).collect();
        Self { script, arrivals, pieces, stage: 0, position, passed: 0.0, index: 0, gaps, choices }
    }

    fn advance(&mut self) {
        self.index += 1;
        self.position = match self.arrivals {
            Arrivals::Poisson => self.position + exponential(&mut self.gaps),
            // Counted, not added up: no error adds up either.
            Arrivals::Constant => self.index as f64,
        };
    }
}

impl Iterator for ArrivalSeries {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let piece = self.pieces.get(self.stage)?;
            let expected = piece.expected();
            if self.position - self.passed < expected {
                let due = piece.inverse(self.position - self.passed);
                let journey = self.script.choose_journey(self.choices.random::<f64>());
                let arrival = Arrival { index: self.index, due, journey, stage: self.stage };
                self.advance();
                return Some(arrival);
            }
            self.passed += expected;
            self.stage += 1;
        }
    }
}

/// An exponential draw with mean 1, by inversion; finite, since 1 − u is never 0.
pub(super) fn exponential(draws: &mut ChaCha8Rng) -> f64 {
    -(1.0 - draws.random::<f64>()).ln()
}
