//! Which row a request belongs to: a tree of path segments over the raw, still encoded path.
//!
//! Precedence is by segment from left to right, literal before `*` before `**`, and the method is
//! part of the match: a literal that lacks the method does not hide the wildcard that has it.
//! Where a declared verb ends the path, the routes with that verb are tried first. None of it
//! depends on the order of declaration. `http.proto` is silent here; this is what its users expect.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::row::{Binding, Segment};

/// The routes of any number of services. `R` is what a route leads to.
#[derive(Debug)]
pub struct Matcher<R> {
    /// Routes without a verb, then the routes of each verb.
    trees: Vec<Tree<R>>,
}

#[derive(Debug)]
struct Tree<R> {
    verb: Option<&'static str>,
    root: Node<R>,
}

#[derive(Debug)]
struct Node<R> {
    literals: Vec<(&'static str, Node<R>)>,
    one: Option<Box<Node<R>>>,
    /// Routes that end here.
    here: Vec<Leaf<R>>,
    /// Routes that take all that is left.
    rest: Vec<Leaf<R>>,
}

#[derive(Debug)]
struct Leaf<R> {
    binding: &'static Binding,
    route: R,
}

/// Two rows claim the same requests.
#[derive(Debug)]
pub struct Conflict {
    /// The row that was there before.
    pub first: &'static Binding,
    /// The row that was refused.
    pub second: &'static Binding,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second } = self;
        write!(
            f,
            "{} and {} both claim {} {}",
            first.rpc, second.rpc, second.method, second.template
        )
    }
}

impl std::error::Error for Conflict {}

/// The route a request belongs to.
#[derive(Debug)]
pub struct Match<'a, R> {
    /// The row.
    pub binding: &'static Binding,
    /// What the row leads to.
    pub route: &'a R,
    /// Where the segments of its path are.
    pub split: Split,
}

impl<R> Default for Matcher<R> {
    fn default() -> Self {
        Self {
            trees: vec![Tree {
                verb: None,
                root: Node::default(),
            }],
        }
    }
}

impl<R> Default for Node<R> {
    fn default() -> Self {
        Self {
            literals: vec![],
            one: None,
            here: vec![],
            rest: vec![],
        }
    }
}

impl<R> Matcher<R> {
    /// Adds a route.
    ///
    /// # Errors
    /// Another row has the same method, segments and verb. The build refuses this within one set of
    /// protos; here it is refused among all services that one server mounts.
    pub fn insert(&mut self, binding: &'static Binding, route: R) -> Result<(), Conflict> {
        let known = self.trees.iter().position(|tree| tree.verb == binding.verb);
        let index = known.unwrap_or_else(|| {
            self.trees.push(Tree {
                verb: binding.verb,
                root: Node::default(),
            });
            self.trees.len() - 1
        });
        let leaves = self.trees[index].root.leaves(binding.segments);
        if let Some(first) = leaves
            .iter()
            .find(|leaf| leaf.binding.method == binding.method)
        {
            return Err(Conflict {
                first: first.binding,
                second: binding,
            });
        }
        leaves.push(Leaf { binding, route });
        Ok(())
    }

    /// Looks up a request by its method and its raw path, which starts with `/`.
    ///
    /// HEAD falls back to GET (RFC 9110, section 9.3.2).
    pub fn find(&self, method: &str, path: &str) -> Option<Match<'_, R>> {
        let mut candidates = self.candidates(path);
        candidates.find_map(|(tree, path)| {
            let Leaf { binding, route } = tree.root.find(&path, 0, method)?;
            Some(Match {
                binding,
                route,
                split: path.split,
            })
        })
    }

    /// The methods declared for a path, sorted.
    pub fn methods(&self, path: &str) -> Vec<&'static str> {
        let mut found = BTreeSet::new();
        for (tree, path) in self.candidates(path) {
            tree.root.methods(&path, 0, &mut found);
        }
        found.into_iter().collect()
    }

    /// The trees that a path can belong to, those of verbs first, each with the path as its routes see
    /// it: without the verb they all end in. `%3A` is never the colon of a verb.
    fn candidates<'t, 'p>(
        &'t self,
        path: &'p str,
    ) -> impl Iterator<Item = (&'t Tree<R>, Path<'p>)> {
        let split = Split::new(path);
        let trees = self.trees.iter().rev();
        trees.filter_map(move |tree| {
            let text = without_verb(path, tree.verb)?;
            let split = split?.ending_at(text.len());
            Some((tree, Path { text, split }))
        })
    }
}

fn without_verb<'a>(path: &'a str, verb: Option<&str>) -> Option<&'a str> {
    let Some(verb) = verb else {
        return Some(path);
    };
    let (path, last) = path.rsplit_once(':')?;
    let is_verb = if last.contains('%') {
        decode(last, false).is_ok_and(|last| last == verb)
    } else {
        last == verb
    };
    (is_verb && !last.contains('/')).then_some(path)
}

impl<R> Node<R> {
    /// Where a route with these segments belongs.
    fn leaves(&mut self, segments: &[Segment]) -> &mut Vec<Leaf<R>> {
        match segments {
            [] => &mut self.here,
            [Segment::Rest, ..] => &mut self.rest,
            [Segment::One, rest @ ..] => self.one.get_or_insert_default().leaves(rest),
            [Segment::Literal(text), rest @ ..] => self.literal(text).leaves(rest),
        }
    }

    fn literal(&mut self, text: &'static str) -> &mut Self {
        let known = self
            .literals
            .iter()
            .position(|(literal, _)| *literal == text);
        let index = known.unwrap_or_else(|| {
            self.literals.push((text, Self::default()));
            self.literals.len() - 1
        });
        &mut self.literals[index].1
    }

    /// The most specific route below this node that has the method. Recursion ends at the depth of
    /// the deepest template, whatever the length of the path.
    fn find(&self, path: &Path<'_>, depth: usize, method: &str) -> Option<&Leaf<R>> {
        let Some(segment) = path.segment(depth) else {
            return pick(&self.here, method).or_else(|| pick(&self.rest, method));
        };
        self.child(path, segment)
            .and_then(|child| child.find(path, depth + 1, method))
            .or_else(|| self.wildcard(segment)?.find(path, depth + 1, method))
            .or_else(|| pick(&self.rest, method))
    }

    fn methods(&self, path: &Path<'_>, depth: usize, found: &mut BTreeSet<&'static str>) {
        let leaves = match path.segment(depth) {
            None => self.here.iter().chain(&self.rest),
            Some(segment) => {
                for child in self
                    .child(path, segment)
                    .into_iter()
                    .chain(self.wildcard(segment))
                {
                    child.methods(path, depth + 1, found);
                }
                self.rest.iter().chain(&[])
            }
        };
        found.extend(leaves.map(|leaf| leaf.binding.method));
    }

    /// The child that a segment of the path names.
    fn child(&self, path: &Path<'_>, segment: &str) -> Option<&Self> {
        let mut literals = self.literals.iter();
        let found = if path.split.has_escapes {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            literals.find(|(literal, _)| *literal == decoded)
        } else {
            literals.find(|(literal, _)| *literal == segment)
        };
        found.map(|(_, child)| child)
    }

    fn wildcard(&self, segment: &str) -> Option<&Self> {
        self.one.as_deref().filter(|_| !segment.is_empty())
    }
}

/// The leaf for a method, where HEAD is as good as GET; one for any method serves if there is no
/// better. Decided leaf by leaf, so that HEAD reaches no other rpc than GET does.
fn pick<'a, R>(leaves: &'a [Leaf<R>], method: &str) -> Option<&'a Leaf<R>> {
    let find = |wanted| leaves.iter().find(|leaf| leaf.binding.method == wanted);
    let own = find(method).or_else(|| (method == "HEAD").then(|| find("GET"))?);
    own.or_else(|| find("*"))
}

/// A raw path without its verb, and where its segments are.
struct Path<'a> {
    text: &'a str,
    split: Split,
}

impl<'a> Path<'a> {
    fn segment(&self, index: usize) -> Option<&'a str> {
        self.split.segment(self.text, index)
    }
}

/// Where the segments of a raw path are: it is split at every `/` that is not encoded.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Where each segment starts; the first [`INLINE`] of them, more than most templates have.
    starts: [u16; INLINE],
    count: u8,
    has_escapes: bool,
    /// Where the last one ends.
    end: u16,
}

/// Segments whose place is kept; those behind are found by walking on from the last.
const INLINE: usize = 12;

impl Split {
    /// None where the path does not start with `/` or is longer than any URL can be.
    fn new(path: &str) -> Option<Self> {
        let end = u16::try_from(path.len()).ok()?;
        if !path.starts_with('/') {
            return None;
        }
        let mut split = Self {
            starts: [0; INLINE],
            count: 0,
            has_escapes: false,
            end,
        };
        for (at, byte) in path.bytes().enumerate() {
            if byte == b'/'
                && let Some(next) = split.starts.get_mut(usize::from(split.count))
            {
                *next = at as u16 + 1;
                split.count += 1;
            }
            split.has_escapes |= byte == b'%';
        }
        Some(split)
    }

    /// The same for the path without a verb, of this length; `/` alone has no segment.
    fn ending_at(self, end: usize) -> Self {
        let count = if end == 1 { 0 } else { self.count };
        let end = u16::try_from(end).unwrap_or(self.end);
        Self { end, count, ..self }
    }

    /// There is a `%` in the path.
    pub fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    fn end(&self) -> usize {
        usize::from(self.end)
    }

    /// Where a segment starts, if there is such a segment.
    fn start(&self, path: &str, index: usize) -> Option<usize> {
        let count = usize::from(self.count);
        if index < count {
            return self.starts.get(index).copied().map(usize::from);
        }
        if count < INLINE {
            return None;
        }
        let last = self.starts.last().copied().map(usize::from)?;
        let behind = path.get(last..self.end())?;
        let (at, _) = behind.match_indices('/').nth(index - INLINE)?;
        Some(last + at + 1)
    }

    fn segment<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        let start = self.start(path, index)?;
        let end = self
            .start(path, index + 1)
            .map_or(self.end(), |next| next - 1);
        path.get(start..end)
    }

    /// The segments `range`, with the slashes between them; all that is left where `to_end`. Empty
    /// where there are none.
    fn span<'p>(&self, path: &'p str, range: Range<usize>, to_end: bool) -> &'p str {
        let Some(start) = self.start(path, range.start) else {
            return "";
        };
        let end = if to_end {
            None
        } else {
            self.start(path, range.end)
        };
        let end = end.map_or(self.end(), |next| next - 1);
        path.get(start..end).unwrap_or_default()
    }

    /// What the row's captures hold of the path that was found to belong to it, in order: raw text.
    pub fn captures<'p>(
        self,
        binding: &'static Binding,
        path: &'p str,
    ) -> impl Iterator<Item = &'p str> + use<'p> {
        binding.captures.iter().map(move |capture| {
            let segments = binding.segments.get(..capture.end).unwrap_or_default();
            let to_end = segments.last() == Some(&Segment::Rest);
            self.span(path, capture.start..capture.end, to_end)
        })
    }
}

/// A capture's text, decoded once by its kind: a variable of one segment decodes everything, one
/// that can hold several leaves `%2F` as it was sent (`google/api/http.proto`).
///
/// # Errors
/// A malformed escape, or bytes that are not UTF-8.
pub fn decode(raw: &str, multi: bool) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let malformed = "`%` must be followed by two hexadecimal digits";
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next(), bytes.next()) else {
            return Err(malformed);
        };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (Some(upper), Some(lower)) = (digit(high), digit(low)) else {
            return Err(malformed);
        };
        match (upper * 16 + lower) as u8 {
            b'/' if multi => decoded.extend([b'%', high, low]),
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| "the escapes must be UTF-8")
}
