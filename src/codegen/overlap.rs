//! Rules that share requests though neither is the narrower one: `/v1/{a=shelves/*}` and
//! `/v1/{b=*/special}` both claim `/v1/shelves/special`. Who gets it is settled, but hardly what both
//! authors meant. A rule that another one contains (a literal against `*`, a verb against none) is
//! an exception that somebody wanted, and no overlap here.

use std::cmp::Reverse;
use std::fmt;

use super::template::{Claim, Segment, Template};

/// Two claims that share requests; neither contains the other.
#[derive(Debug)]
pub struct Overlap<'a> {
    /// Who answers the requests that both claim.
    pub winner: Claim<'a>,
    pub other: Claim<'a>,
    /// A path that both claim.
    pub path: String,
}

impl fmt::Display for Overlap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            winner,
            other,
            path,
        } = self;
        write!(
            f,
            "rpc {}: shares requests with {}, which answers them, such as {} {path}",
            other.owner,
            winner.owner,
            method(winner.method, other.method).unwrap_or_default(),
        )
    }
}

/// Every overlap, in the order of the claims.
#[must_use]
pub fn overlaps<'a>(claims: &[Claim<'a>]) -> Vec<Overlap<'a>> {
    let pairs = claims.iter().enumerate().flat_map(|(index, second)| {
        let earlier = claims.iter().take(index);
        earlier.map(move |first| (first, second))
    });
    let found = pairs.filter_map(|(first, second)| {
        let path = shared(first, second)?;
        let [winner, other] = if precedence(first) < precedence(second) {
            [first, second]
        } else {
            [second, first]
        };
        Some(Overlap {
            winner: winner.clone(),
            other: other.clone(),
            path,
        })
    });
    found.collect()
}

/// A path that both claim, where neither contains the other.
fn shared(one: &Claim, other: &Claim) -> Option<String> {
    method(one.method, other.method)?;
    if contains(one, other) || contains(other, one) {
        return None;
    }
    common(one.template, other.template)
}

/// What comes first when a request is matched: verbs, then segment by segment from left to right the
/// literal, `*`, `**` (`transcode::matcher`).
fn precedence<'a>(claim: &Claim<'a>) -> (Reverse<bool>, &'a [Segment]) {
    let template = claim.template;
    (Reverse(template.verb.is_some()), &template.segments)
}

/// A method that both of these take; `*` takes any.
fn method<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    match (one, other) {
        ("*", method) | (method, "*") => Some(method),
        _ => (one == other).then_some(one),
    }
}

/// Every request of `narrow` is one of `wide` too. A verb makes a template narrower.
fn contains(wide: &Claim, narrow: &Claim) -> bool {
    let verb = &wide.template.verb;
    (wide.method == "*" || wide.method == narrow.method)
        && (verb.is_none() || *verb == narrow.template.verb)
        && covers(&wide.template.segments, &narrow.template.segments)
}

fn covers(wide: &[Segment], narrow: &[Segment]) -> bool {
    match (wide, narrow) {
        ([Segment::Rest, ..], _) | ([], []) => true,
        ([Segment::One, ..], [Segment::Rest, ..]) => false,
        ([a, wide @ ..], [b, narrow @ ..]) => {
            (a == b || *a == Segment::One) && covers(wide, narrow)
        }
        _ => false,
    }
}

/// A path that both templates match.
fn common(one: &Template, other: &Template) -> Option<String> {
    let mut segments = vec![];
    meet(&one.segments, &other.segments, &mut segments)?;
    let (verb, without) = match (&one.verb, &other.verb) {
        (a, b) if a == b => (a, None),
        (verb, None) => (verb, Some(other)),
        (None, verb) => (verb, Some(one)),
        _ => return None,
    };
    // Where only one has a verb, it is data to the other, which needs a wildcard for it.
    if let Some(without) = without {
        let last = without.segments.get(segments.len().checked_sub(1)?);
        let last = last.or(without.segments.last());
        (!matches!(last, Some(Segment::Literal(_)))).then_some(())?;
    }
    let (colon, verb) = verb.as_ref().map_or(("", ""), |verb| (":", verb));
    Some(format!("/{}{colon}{verb}", segments.join("/")))
}

/// Collects the segments of a path that both match.
fn meet<'a>(one: &'a [Segment], other: &'a [Segment], path: &mut Vec<&'a str>) -> Option<()> {
    match (one, other) {
        ([] | [Segment::Rest], []) | ([], [Segment::Rest]) => Some(()),
        // Something, though nothing would do: a verb may follow.
        ([Segment::Rest], [Segment::Rest]) => {
            path.push("x");
            Some(())
        }
        ([Segment::Rest], [next, rest @ ..]) | ([next, rest @ ..], [Segment::Rest]) => {
            path.push(example(next));
            meet(&[Segment::Rest], rest, path)
        }
        ([a, one @ ..], [b, other @ ..]) => {
            let next = match (a, b) {
                (Segment::One, next) | (next, Segment::One) => next,
                (a, b) => Some(a).filter(|a| *a == b)?,
            };
            path.push(example(next));
            meet(one, other, path)
        }
        ([], _) | (_, []) => None,
    }
}

/// What a segment of a template may be in a path.
fn example(segment: &Segment) -> &str {
    match segment {
        Segment::Literal(text) => text,
        Segment::One | Segment::Rest => "x",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = (&'static str, &'static str);

    /// The path that two rules share, and which of them answers it.
    fn found(first: Rule, second: Rule) -> Option<(String, &'static str)> {
        let parsed = [first, second].map(|(method, text)| {
            let template = Template::parse(text).unwrap();
            (method, text, template)
        });
        let claims = parsed.each_ref().map(|(method, text, template)| Claim {
            owner: text,
            method,
            template,
        });
        let mut found = overlaps(&claims);
        assert!(found.len() <= 1);
        let Overlap { winner, path, .. } = found.pop()?;
        let winner = [first.1, second.1]
            .into_iter()
            .find(|text| *text == winner.owner);
        Some((path, winner.unwrap()))
    }

    #[test]
    fn rules_that_cross_are_told_with_an_example() {
        for (one, other, path) in [
            (
                "/v1/{a=shelves/*}",
                "/v1/{b=*/special}",
                "/v1/shelves/special",
            ),
            ("/a/*/c/**", "/{x}/b/**", "/a/b/c/x"),
            ("/a/b/**", "/a/*/c", "/a/b/c"),
            ("/v1/{a=*/*}:go", "/v1/{a=shelves/*}", "/v1/shelves/x:go"),
            ("/a/*:go", "/{x}/b:go", "/a/b:go"),
            ("/v1/books/**:go", "/v1/*/*", "/v1/books/x:go"),
        ] {
            let expected = Some((path.to_owned(), one));
            assert_eq!(
                found(("GET", one), ("GET", other)),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                found(("GET", other), ("GET", one)),
                expected,
                "{other} {one}"
            );
        }
    }

    #[test]
    fn exceptions_from_a_rule_and_rules_apart_are_none() {
        for (one, other) in [
            ("/books/featured", "/books/{book}"),
            ("/a/{x}", "/a/**"),
            ("/a", "/a/**"),
            ("/a/*/c", "/a/**"),
            ("/a/{x}:go", "/a/{x}"),
            ("/a/b:go", "/a/{x}"),
            ("/a/b:go", "/a/b"),
            ("/a/*/x:go", "/{y}/b/x"),
            ("/a/*:go", "/{y}/b:stop"),
            ("/a/*", "/b/*"),
            ("/a/*", "/a/*/b"),
            ("/", "/*"),
        ] {
            assert_eq!(found(("GET", one), ("GET", other)), None, "{one} {other}");
            assert_eq!(found(("GET", other), ("GET", one)), None, "{other} {one}");
        }
    }

    #[test]
    fn a_rule_for_any_method_overlaps_where_its_path_is_the_narrower_one() {
        assert_eq!(found(("*", "/a/**"), ("GET", "/a/*")), None);
        let crossing = found(("*", "/a/*"), ("GET", "/a/**"));
        assert_eq!(crossing, Some(("/a/x".to_owned(), "/a/*")));
        assert_eq!(found(("POST", "/a/*/c"), ("GET", "/a/b/*")), None);
    }
}
