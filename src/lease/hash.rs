//! Hash maps for the short keys of a book, and of what keeps its records: names, labels, wishes.
//!
//! The standard library's hasher is made to withstand strangers, and looking up names with it was
//! a sixth of what a lease costs. The keys here come from clients that have been let in; the seed,
//! which differs from map to map and from run to run, keeps them from choosing keys that collide.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A hash map with [`Seeded`] hashing.
pub type Map<K, V> = HashMap<K, V, Seeded>;

/// A hash set with [`Seeded`] hashing.
pub type Set<T> = HashSet<T, Seeded>;

/// Makes hashers that begin with one secret seed.
#[derive(Clone)]
pub struct Seeded(u64);

/// Folds eight bytes at a time into its state by a wide multiplication.
pub struct Folding(u64);

/// An odd number without a pattern in its bits: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;
    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if rest.is_empty() {
            return;
        }
        if let Some(word) = bytes.last_chunk() {
            // Some of it for the second time; the length tells which.
            self.write_u64(u64::from_le_bytes(*word));
            self.write_u64(bytes.len() as u64);
        } else {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            // With the length, so that trailing zeros count.
            self.write_u64(u64::from_le_bytes(word) ^ (rest.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        // Once more, so that the last word reaches every bit.
        let product = u128::from(self.0 ^ MULTIPLIER) * u128::from(MULTIPLIER);
        (product as u64) ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_little_are_spread_over_all_bits() {
        let seeded = Seeded::default();
        let names: Vec<String> = (0..50_000)
            .map(|index| format!("lease-{index:06}"))
            .collect();
        let hashes: Vec<u64> = names
            .iter()
            .map(|name| seeded.hash_one(name.as_str()))
            .collect();
        let distinct: HashSet<u64> = hashes.iter().copied().collect();
        assert_eq!(distinct.len(), names.len());
        for bit in 0..64 {
            let ones = hashes.iter().filter(|hash| **hash >> bit & 1 == 1).count();
            assert!(
                (23_000..27_000).contains(&ones),
                "bit {bit} is set in {ones} of 50,000"
            );
        }
    }

    #[test]
    fn trailing_zeros_count() {
        let seeded = Seeded::default();
        let hashes = ["", "\0", "\0\0"].map(|text| {
            let mut hasher = seeded.build_hasher();
            hasher.write(text.as_bytes());
            hasher.finish()
        });
        assert!(
            hashes[0] != hashes[1] && hashes[1] != hashes[2],
            "{hashes:?}"
        );
    }
}
