//! Requests that are to be answered only if what they are about is, or is not, what their sender knows (RFC
//! 9110, section 13.1). A GET is held against the answer here; what else it means is the service's
//! business. Knows nothing of what an ETag is made of.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tonic::Code;

use super::rejection::Rejection;
use crate::fault::{Fault, Violation};

/// What an `If-Match` or `If-None-Match` names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    These(Vec<Tag>),
}

/// An entity tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    pub is_weak: bool,
    /// What stands between its quotes.
    pub opaque: Vec<u8>,
}

/// The `If-Match` and `If-None-Match` of a GET.
#[derive(Debug)]
pub struct Condition {
    wanted: Option<Tags>,
    known: Option<Tags>,
}

impl Tags {
    /// What the header names, in all its lines; none where it is not sent.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is no list of entity tags.
    pub fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Fault> {
        let mut lines = headers.get_all(name).iter();
        if let (Some(only), None) = (lines.next(), lines.next())
            && only.as_bytes().trim_ascii() == b"*"
        {
            return Ok(Some(Self::Any));
        }
        let mut tags = vec![];
        for line in headers.get_all(name) {
            let line = line.as_bytes().trim_ascii();
            tags.extend(listed(line).ok_or_else(|| {
                let line = String::from_utf8_lossy(line);
                let rule = "takes ETags as they were given, such as \"42\"";
                let description = format!("{rule}, not {line}");
                let field = name.to_string();
                Fault::invalid_argument("INVALID_ETAG", format!("{name} {description}"))
                    .with_violation(Violation { field, description })
            })?);
        }
        Ok((!tags.is_empty()).then_some(Self::These(tags)))
    }

    /// This ETag is named. Compared strongly, a weak one is equal to none (section 8.8.3.2).
    fn names(&self, etag: Option<&HeaderValue>, strongly: bool) -> bool {
        let Self::These(tags) = self else {
            return true;
        };
        let etag = etag.and_then(|etag| Some(Tag::first(etag.as_bytes())?.0));
        let is_weak = |tag: &Tag| strongly && tag.is_weak;
        let is_equal =
            |etag: &Tag, tag: &Tag| etag.opaque == tag.opaque && !is_weak(etag) && !is_weak(tag);
        etag.is_some_and(|etag| tags.iter().any(|tag| is_equal(&etag, tag)))
    }
}

impl Tag {
    /// The tag that a text begins with (section 8.8.3), and what follows it.
    fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let rest = quoted.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
        let may_be_there = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        let opaque = opaque.iter().all(may_be_there).then(|| opaque.to_vec())?;
        Some((Self { is_weak, opaque }, rest))
    }
}

/// The tags of one line, which may have empty items beside them (section 5.6.1); none if it is no list
/// of them. One without any is none: somebody meant to send a tag.
fn listed(line: &[u8]) -> Option<Vec<Tag>> {
    let mut tags = vec![];
    let mut line = line;
    while !line.is_empty() {
        if let Some(rest) = line.strip_prefix(b",") {
            line = rest.trim_ascii_start();
            continue;
        }
        let (tag, rest) = Tag::first(line)?;
        tags.push(tag);
        line = rest.trim_ascii_start();
        if !line.is_empty() && !line.starts_with(b",") {
            return None;
        }
    }
    (!tags.is_empty()).then_some(tags)
}

impl Condition {
    /// The condition that headers set; none where they set none.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where one of them is no list of entity tags.
    pub fn of(headers: &HeaderMap) -> Result<Option<Box<Self>>, Fault> {
        if headers.is_empty() {
            return Ok(None);
        }
        let wanted = Tags::of(headers, &header::IF_MATCH)?;
        let known = Tags::of(headers, &header::IF_NONE_MATCH)?;
        let is_set = wanted.is_some() || known.is_some();
        Ok(is_set.then(|| Box::new(Self { wanted, known })))
    }

    /// The requester has what this ETag stands for, or wants nothing that is there (`*`; section 13.1.2).
    ///
    /// # Errors
    /// 412 where it insists on something else (section 13.1.1).
    pub fn is_known(&self, etag: Option<&HeaderValue>) -> Result<bool, Rejection> {
        let is_named = |tags: &Tags| tags.names(etag, true);
        if !self.wanted.as_ref().is_none_or(is_named) {
            let message = "If-Match does not name the ETag of what is there";
            let fault = Fault::new(Code::Aborted, "ETAG_MISMATCH", message);
            return Err(Rejection::new(StatusCode::PRECONDITION_FAILED, fault));
        }
        let is_known = |tags: &Tags| tags.names(etag, false);
        Ok(self.known.as_ref().is_some_and(is_known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(lines: &[&str]) -> Result<Option<Tags>, Fault> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, line.parse().unwrap());
        }
        Tags::of(&headers, &header::IF_MATCH)
    }

    fn names(lines: &[&str], etag: &str) -> bool {
        let condition = Condition {
            wanted: None,
            known: tags(lines).unwrap(),
        };
        condition.is_known(Some(&etag.parse().unwrap())).unwrap()
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for line in [
            "7",
            "\"7",
            "w/\"7\"",
            "\"7\"\"",
            "\"7\" \"8\"",
            "\"7 8\"",
            "",
            ",",
            "\"7\", x",
        ] {
            let told = tags(&[line]).unwrap_err().to_string();
            assert!(told.starts_with("if-match takes ETags"), "{line}: {told}");
        }
        for lines in [["*", "\"7\""], ["\"7\"", "*"], ["*", "*"]] {
            assert!(tags(&lines).is_err(), "{lines:?}");
        }
        let long = tags(&[&"x".repeat(5_000)]).unwrap_err().to_string();
        assert!(long.len() < 1_100, "{long}");
        assert_eq!(tags(&[]).unwrap(), None);
        let empty = tags(&[",, \"\" ,"]).unwrap();
        let (is_weak, opaque) = (false, vec![]);
        assert_eq!(empty, Some(Tags::These(vec![Tag { is_weak, opaque }])));
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(names(&["\"7\""], "\"7\""));
        assert!(names(&["W/\"7\""], "\"7\""));
        assert!(names(&["\"7\""], "W/\"7\""));
        assert!(!names(&["\"8\""], "\"7\""));
    }

    #[test]
    fn lists_may_be_long_and_in_several_lines() {
        assert!(names(&["\"5\", W/\"6\" ,\"7\""], "\"7\""));
        assert!(names(&["\"5\"", "\"7\""], "\"7\""));
        assert!(names(&[" * "], "\"7\""));
        assert!(names(&["\"a,b\", \"c\""], "\"a,b\""));
        assert!(!names(&["\"a,b\""], "\"b\""));
    }

    #[test]
    fn without_a_tag_everything_is_news_but_to_who_has_any() {
        for (line, is_known) in [("\"7\"", false), ("*", true)] {
            let condition = Condition {
                wanted: None,
                known: tags(&[line]).unwrap(),
            };
            assert_eq!(condition.is_known(None).unwrap(), is_known);
        }
    }

    #[test]
    fn who_insists_gets_no_other() {
        let holds = |wanted: &str, etag: Option<&str>| {
            let condition = Condition {
                wanted: tags(&[wanted]).unwrap(),
                known: None,
            };
            let etag: Option<HeaderValue> = etag.map(|etag| etag.parse().unwrap());
            condition.is_known(etag.as_ref()).is_ok()
        };
        for wanted in ["\"7\"", "\"6\", \"7\"", "*"] {
            assert!(holds(wanted, Some("\"7\"")), "{wanted}");
        }
        for wanted in ["\"6\"", "W/\"7\""] {
            assert!(!holds(wanted, Some("\"7\"")), "{wanted}");
        }
        assert!(!holds("\"7\"", Some("W/\"7\"")));
        assert!(!holds("\"7\"", None) && holds("*", None));
    }
}
