//! A sorted set made for names that mostly come in order, and that also says how many of its
//! members come before something.

use std::borrow::Borrow;

/// Members in order, in chunks that are cheap to insert into.
///
/// A member behind all others, which is what a new lease nearly always is, is compared with the
/// last one and appended; a tree would look at a dozen names on its way down, each of them
/// somewhere else in memory. Chunks filled that way are full, so that a member costs little more
/// than itself.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T> {
    /// None of them empty but the only one, which keeps its room for what comes next; each sorted,
    /// all of one before all of the next.
    chunks: Vec<Vec<T>>,
    len: usize,
}

/// A chunk has no more members than this.
const CHUNK: usize = 128;

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sorted<T> {
    /// An empty one.
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Ord> Sorted<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.first()?.first()
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.chunks.last()?.last()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The members behind `bound`, or all.
    pub(super) fn after<Q: Ord + ?Sized>(&self, bound: Option<&Q>) -> impl Iterator<Item = &T>
    where
        T: Borrow<Q>,
    {
        let is_before = |member: &T| bound.is_some_and(|bound| member.borrow() <= bound);
        let at = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(is_before));
        let chunks = self.chunks.get(at..).unwrap_or_default();
        let skipped = chunks
            .first()
            .map_or(0, |chunk| chunk.partition_point(is_before));
        chunks.iter().flatten().skip(skipped)
    }

    /// Adds a member. False if it is there already.
    pub(super) fn insert(&mut self, member: T) -> bool {
        if self.last().is_none_or(|last| *last < member) {
            self.append(member);
            return true;
        }
        let at = self.chunk_of(&member);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Err(place) = place(chunk, &member) else {
            return false;
        };
        chunk.insert(place, member);
        self.len += 1;
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at + 1, upper);
        }
        true
    }

    /// Takes a member out. False if it is not there.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let at = self.chunk_of(member);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Ok(place) = place(chunk, member) else {
            return false;
        };
        chunk.remove(place);
        self.len -= 1;
        if chunk.is_empty() && self.chunks.len() > 1 {
            self.chunks.remove(at);
        }
        true
    }

    /// Puts a member in the place of the one that is equal to it, if there is one.
    pub(super) fn replace(&mut self, member: T) {
        let at = self.chunk_of(&member);
        if let Some(chunk) = self.chunks.get_mut(at)
            && let Ok(place) = place(chunk, &member)
            && let Some(present) = chunk.get_mut(place)
        {
            *present = member;
        }
    }

    /// Takes the first member out.
    pub(super) fn pop_first(&mut self) -> Option<T>
    where
        T: Clone,
    {
        let first = self.first()?.clone();
        self.remove(&first);
        Some(first)
    }

    /// Takes all members out but those that are wanted.
    pub(super) fn retain(&mut self, mut is_wanted: impl FnMut(&T) -> bool) {
        for chunk in &mut self.chunks {
            chunk.retain(&mut is_wanted);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.len = self.chunks.iter().map(Vec::len).sum();
    }

    /// Takes all members out.
    pub(super) fn clear(&mut self) {
        self.chunks.truncate(1);
        self.chunks.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }

    /// How many members come before `bound`.
    pub(super) fn count_before(&self, bound: &T) -> usize {
        let at = self.chunk_of(bound);
        let earlier: usize = self.chunks.iter().take(at).map(Vec::len).sum();
        let within = self.chunks.get(at);
        earlier + within.map_or(0, |chunk| chunk.partition_point(|member| member < bound))
    }

    fn append(&mut self, member: T) {
        self.len += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(member),
            _ => self.chunks.push(vec![member]),
        }
    }

    /// The chunk in which `member` is or belongs: the last one that begins at or before it.
    fn chunk_of<Q: Ord + ?Sized>(&self, member: &Q) -> usize
    where
        T: Borrow<Q>,
    {
        let begins_behind =
            |chunk: &Vec<T>| chunk.first().is_some_and(|first| member < first.borrow());
        // Most of what comes and goes did so not long ago.
        let behind = match self.chunks.split_last() {
            Some((last, earlier)) if begins_behind(last) => {
                earlier.partition_point(|chunk| !begins_behind(chunk))
            }
            _ => self.chunks.len(),
        };
        behind.saturating_sub(1)
    }
}

/// Where a member is in its chunk, or where it belongs. Members come and go at the front more often
/// than anywhere else.
fn place<T: Borrow<Q>, Q: Ord + ?Sized>(chunk: &[T], member: &Q) -> Result<usize, usize> {
    let is_before = |present: &T| present.borrow() < member;
    let at = match chunk.first() {
        Some(first) if is_before(first) => chunk.partition_point(is_before),
        _ => 0,
    };
    match chunk.get(at) {
        Some(present) if present.borrow() == member => Ok(at),
        _ => Err(at),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A set of numbers that come at random, or in order, and go again.
    fn compare(mut member: impl FnMut(u64) -> u64) {
        let (mut sorted, mut plain) = (Sorted::default(), BTreeSet::new());
        for step in 0..20_000 {
            let member = member(step);
            if plain.insert(member) {
                assert!(sorted.insert(member), "{member} was there before it came");
                assert!(!sorted.insert(member), "{member} came twice");
            } else {
                plain.remove(&member);
                assert!(sorted.remove(&member), "{member} was lost");
                assert!(!sorted.remove(&member), "{member} is still there");
            }
            if step % 100 == 0 {
                let bound = member / 2;
                assert_eq!(
                    sorted.count_before(&bound),
                    plain.range(..bound).count(),
                    "{bound}"
                );
                let (found, expected) = (sorted.after(Some(&bound)), plain.range(bound + 1..));
                assert!(found.eq(expected), "after {bound}");
            }
        }
        assert!(
            sorted.chunks.len() > 20,
            "{} chunks: too few to test",
            sorted.chunks.len()
        );
        assert_eq!(sorted.len(), plain.len());
        assert!(sorted.iter().eq(&plain) && sorted.after::<u64>(None).eq(&plain));
        assert_eq!(
            (sorted.first(), sorted.last()),
            (plain.first(), plain.last())
        );
        for member in &plain {
            sorted.remove(member);
        }
        assert!(sorted.is_empty() && sorted.chunks.len() == 1);
    }

    #[test]
    fn it_holds_what_a_plain_set_holds() {
        let mut random = 1_u64;
        compare(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 50
        });
        compare(|step| step);
        compare(|step| 20_000 - step);
    }

    #[test]
    fn members_that_come_in_order_fill_their_chunks() {
        let mut sorted = Sorted::default();
        for member in 0..10 * CHUNK {
            sorted.insert(member);
        }
        assert_eq!(sorted.chunks.len(), 10);
    }
}
