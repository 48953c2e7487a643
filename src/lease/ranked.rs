//! An ordered set that also says how many of its members come before something.

/// Members in order, in chunks small enough to insert into and few enough to count through: with
/// 100,000 members a place is found by looking at some 500 lengths.
#[derive(Clone, Debug)]
pub(super) struct Ranked<T> {
    /// None of them empty, each sorted, all of one before all of the next.
    chunks: Vec<Vec<T>>,
}

/// A chunk is split in two when it has more than this many members.
const CHUNK: usize = 256;

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T: Ord> Ranked<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.first()?.first()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Adds a member that is not there yet.
    pub(super) fn insert(&mut self, member: T) {
        let at = self.chunk_of(&member);
        match self.chunks.get_mut(at) {
            None => self.chunks.push(vec![member]),
            Some(chunk) => {
                let place = chunk.partition_point(|present| *present < member);
                chunk.insert(place, member);
                if chunk.len() > CHUNK {
                    let upper = chunk.split_off(CHUNK / 2);
                    self.chunks.insert(at + 1, upper);
                }
            }
        }
    }

    /// Takes a member out, if it is there.
    pub(super) fn remove(&mut self, member: &T) {
        let at = self.chunk_of(member);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return;
        };
        if let Ok(place) = chunk.binary_search(member) {
            chunk.remove(place);
            if chunk.is_empty() {
                self.chunks.remove(at);
            }
        }
    }

    /// How many members come before `bound`.
    pub(super) fn count_before(&self, bound: &T) -> usize {
        let at = self.chunk_of(bound);
        let earlier: usize = self.chunks.iter().take(at).map(Vec::len).sum();
        let within = self
            .chunks
            .get(at)
            .map_or(0, |chunk| chunk.partition_point(|member| member < bound));
        earlier + within
    }

    /// The chunk in which `member` is or belongs: the last one that begins at or before it.
    fn chunk_of(&self, member: &T) -> usize {
        let begins_before = |chunk: &Vec<T>| chunk.first().is_some_and(|first| first <= member);
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_counts_what_a_plain_set_counts() {
        let mut ranked = Ranked::default();
        let mut plain = BTreeSet::new();
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let member = random >> 50;
            if plain.insert(member) {
                ranked.insert(member);
            } else {
                plain.remove(&member);
                ranked.remove(&member);
            }
            if step % 100 == 0 {
                let bound = member / 2;
                assert_eq!(
                    ranked.count_before(&bound),
                    plain.range(..bound).count(),
                    "{bound}"
                );
            }
        }
        assert!(
            ranked.chunks.len() > 20,
            "{} chunks: too few to test",
            ranked.chunks.len()
        );
        assert!(ranked.iter().eq(&plain));
        assert_eq!(ranked.first(), plain.first());
        for member in &plain {
            ranked.remove(member);
        }
        assert!(ranked.is_empty(), "{} chunks are left", ranked.chunks.len());
    }
}
