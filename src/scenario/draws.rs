//! The draws of one journey: a stream of random numbers of its own, begun when the first of them is drawn. Most of what a
//! generator costs is its beginning, and a journey without random values draws nothing.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
    stream: u64,
    /// Once something was drawn.
    generator: Option<Box<ChaCha8Rng>>,
}

impl Draws {
    /// The stream numbered `stream` of `ChaCha8` keyed by `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream, generator: None }
    }

    /// The number of the stream.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// The generator at its beginning.
    pub(super) fn begun(seed: u64, stream: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        generator
    }

    fn generator(&mut self) -> &mut ChaCha8Rng {
        let (seed, stream) = (self.seed, self.stream);
        self.generator.get_or_insert_with(|| Box::new(Self::begun(seed, stream)))
    }
}

impl RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        self.generator().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.generator().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.generator().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn what_is_drawn_is_the_generator_s() {
        let (mut draws, mut generator) = (Draws::new(7, 11), Draws::begun(7, 11));
        assert_eq!(draws.stream(), generator.get_stream());
        for _ in 0..100 {
            assert_eq!(draws.random::<u32>(), generator.random::<u32>());
            assert_eq!(draws.random::<f64>(), generator.random::<f64>());
            assert_eq!(draws.random_range(3..17_u64), generator.random_range(3..17_u64));
            assert_eq!(draws.random::<u128>(), generator.random::<u128>());
        }
    }
}
