//! How are keys spread over a table, cheaply, and so that nobody outside can make them meet?
//!
//! Keys of stored responses are digests already, but of texts that clients choose: who knows the table could
//! look for many that meet in it. Words are multiplied with a seed that is drawn for each process. In a
//! simulation the seed is fixed.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashes by a seed.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    first: u64,
    second: u64,
}

impl Seeded {
    /// Hashes by `seed`, which is to be random where keys come from outside.
    #[must_use]
    pub const fn new(seed: [u64; 2]) -> Self {
        let [first, second] = seed;
        Self { first: first ^ 0xa076_1d64_78bd_642f, second: second ^ 0xe703_7ed1_a0b4_28db }
    }

    /// Hashes by a seed that nobody outside knows.
    #[must_use]
    pub fn random() -> Self {
        let random = RandomState::new();
        Self::new([random.hash_one(0), random.hash_one(1)])
    }
}

impl Default for Seeded {
    /// Always the same seed: for simulations.
    fn default() -> Self {
        Self::new([0, 0])
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { state: self.first, seed: self.second }
    }
}

/// Folds 16 bytes a step into a word.
#[derive(Debug, Clone, Copy)]
pub struct Folding {
    state: u64,
    seed: u64,
}

impl Folding {
    fn fold(&mut self, a: u64, b: u64) {
        let product = u128::from(a ^ self.state).wrapping_mul(u128::from(b ^ self.seed));
        let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(product >> 64).unwrap_or(0);
        self.state = low ^ high ^ self.state.rotate_left(23);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let mut pairs = bytes.chunks_exact(16);
        for pair in &mut pairs {
            let (a, b) = pair.split_at(8);
            self.fold(word(a), word(b));
        }
        let rest = pairs.remainder();
        if !rest.is_empty() {
            let (a, b) = rest.split_at(rest.len().min(8));
            self.fold(word(a), word(b) ^ u64::try_from(rest.len()).unwrap_or(0) << 56);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(u64::from(number), 0);
    }

    fn write_u64(&mut self, number: u64) {
        self.fold(number, 0);
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(u64::try_from(number).unwrap_or(u64::MAX), 0);
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.fold(self.seed, self.state.rotate_left(32));
        last.state
    }
}

/// Up to eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    let whole: Result<[u8; 8], _> = bytes.try_into();
    whole.map_or_else(
        |_| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        u64::from_le_bytes,
    )
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::CacheKey;

    #[test]
    fn all_bytes_and_the_seed_count() {
        let key = [7_u8; 32];
        let hash = |seed: Seeded, key: [u8; 32]| seed.hash_one(CacheKey::from_bytes(key));
        let first = hash(Seeded::default(), key);
        assert_eq!(first, hash(Seeded::default(), key));
        assert_ne!(first, hash(Seeded::new([1, 0]), key));
        for at in 0..32 {
            let mut other = key;
            other[at] ^= 1;
            assert_ne!(first, hash(Seeded::default(), other), "byte {at}");
        }
        assert_ne!(Seeded::default().hash_one("a"), Seeded::default().hash_one("b"));
    }

    #[test]
    fn neighbors_are_spread_evenly() {
        let mut places = [0_u32; 64];
        for number in 0..6_400_u32 {
            let place = usize::try_from(Seeded::default().hash_one(number) >> 58).unwrap();
            places[place] += 1;
        }
        assert!(places.iter().all(|count| (50..160).contains(count)), "{places:?}");
    }
}
