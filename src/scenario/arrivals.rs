//! The arrivals of an open model: when each is due and which journey it starts.
//!
//! With level λ(t), the expected number of arrivals until t is Λ(t) = ∫λ. A Poisson process of rate λ(t) is a Poisson
//! process of rate 1 seen through the inverse of Λ (Çinlar, *Introduction to Stochastic Processes*, 1975, section 4.7):
//! exponential gaps of mean 1 are summed up, and each sum u is due at Λ⁻¹(u). This is exact for holds and for ramps, where
//! Λ is a quadratic, and to a tenth of a nanosecond for a sine, where the root is found numerically. Constant arrivals are
//! the same with u = 0, 1, 2, ….

use super::Arrivals;
use super::level::Level;
use super::mix::Mix;
use super::plan::PlannedStage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// One planned arrival of an open model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Running number from 0, over all shards.
    pub index: u64,
    /// When its first step is due, since the start of the load.
    pub due: Duration,
    /// Which journey it starts.
    pub journey: usize,
    /// Which stage it falls into.
    pub stage: usize,
    /// Which recorded request it is, where those are sent again.
    pub request: Option<u32>,
}

/// A stage as a piece of the cumulative level.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) planned: PlannedStage,
    pub(super) level: Level,
    pub(super) mix: Mix,
}

impl Piece {
    /// When `count` arrivals (less than all) are expected to have come.
    fn inverse(&self, count: f64) -> Duration {
        let length = self.planned.end.saturating_sub(self.planned.start);
        self.planned.start.saturating_add(Level::offset(self.level.inverse(count), length))
    }
}

/// An iterator over all arrivals in order.
#[derive(Debug)]
pub(super) struct ArrivalSeries {
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
    pub(super) fn new(arrivals: Arrivals, pieces: Vec<Piece>, mut gaps: ChaCha8Rng, choices: ChaCha8Rng) -> Self {
        let position = match arrivals {
            Arrivals::Poisson => exponential(&mut gaps),
            Arrivals::Constant => 0.0,
        };
        Self { arrivals, pieces, stage: 0, position, passed: 0.0, index: 0, gaps, choices }
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
            let expected = piece.level.expected();
            if self.position - self.passed < expected {
                let due = piece.inverse(self.position - self.passed);
                let journey = piece.mix.choose(self.choices.random::<f64>());
                let arrival = Arrival { index: self.index, due, journey, stage: self.stage, request: None };
                self.advance();
                return Some(arrival);
            }
            self.passed += expected;
            self.stage += 1;
        }
    }
}

/// An exponential draw with mean 1, by inversion; finite, since 1 − u is never 0.
pub(super) fn exponential(draws: &mut impl Rng) -> f64 {
    -(1.0 - draws.random::<f64>()).ln()
}
