//! A GET that wants an answer only if it is news, or only if it is not (RFC 9110, section 13.1). Knows
//! nothing of what an ETag is made of.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::rejection::Rejection;
use super::row::Binding;
use crate::fault::Fault;

/// The `If-Match` and `If-None-Match` of a GET.
pub struct Condition(HeaderMap);

impl Condition {
    /// The condition of a request with this metadata; none where it sets none, and none for what is
    /// not a GET, where it would be the service's business.
    pub fn of(binding: &Binding, metadata: &MetadataMap) -> Option<Self> {
        let headers = metadata.as_ref();
        if binding.method != "GET" || headers.is_empty() {
            return None;
        }
        let mut wanted = HeaderMap::new();
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            for value in headers.get_all(&name) {
                wanted.append(name.clone(), value.clone());
            }
        }
        (!wanted.is_empty()).then_some(Self(wanted))
    }

    /// The requester has what this ETag stands for, or wants nothing that is there (`*`; section 13.1.2).
    ///
    /// # Errors
    /// 412 where it insists on something else (section 13.1.1).
    pub fn is_known(&self, etag: Option<&HeaderValue>) -> Result<bool, Rejection> {
        if self.0.contains_key(header::IF_MATCH) && !self.names(&header::IF_MATCH, etag, true) {
            let message = "If-Match does not name the ETag of what is there";
            let fault = Fault::new(Code::Aborted, "ETAG_MISMATCH", message);
            return Err(Rejection::new(StatusCode::PRECONDITION_FAILED, fault));
        }
        Ok(self.names(&header::IF_NONE_MATCH, etag, false))
    }

    /// The header names this ETag, or any. Compared strongly, a weak tag is equal to none (section
    /// 8.8.3.2).
    fn names(&self, header: &HeaderName, etag: Option<&HeaderValue>, strongly: bool) -> bool {
        let etag = etag.map(|etag| Tag::of(etag.as_bytes()));
        let is_named = |tag: Tag| {
            let weak = |tag: &Tag| strongly && tag.is_weak;
            etag.is_some_and(|etag| etag.opaque == tag.opaque && !weak(&etag) && !weak(&tag))
        };
        self.0.get_all(header).iter().any(|value| {
            let list = value.as_bytes();
            list.trim_ascii() == b"*" || Tags(list).any(is_named)
        })
    }
}

/// An entity tag.
#[derive(Clone, Copy)]
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    fn of(text: &'a [u8]) -> Self {
        let weak = text.strip_prefix(b"W/");
        Self {
            is_weak: weak.is_some(),
            opaque: weak.unwrap_or(text),
        }
    }
}

/// The entity tags of a list, quotes included. A comma inside the quotes belongs to the tag.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| *byte == b'"')?;
        let (before, rest) = self.0.split_at_checked(start)?;
        let length = rest.iter().skip(1).position(|byte| *byte == b'"')? + 2;
        let (opaque, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let is_weak = before.ends_with(b"W/");
        Some(Tag { is_weak, opaque })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lines: &[&str], etag: &str) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, line.parse().unwrap());
        }
        Condition(headers)
            .is_known(Some(&etag.parse().unwrap()))
            .unwrap()
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(names(&["\"7\""], "\"7\""));
        assert!(names(&["W/\"7\""], "\"7\""));
        assert!(names(&["\"7\""], "W/\"7\""));
        assert!(!names(&["\"8\""], "\"7\""));
        assert!(!names(&["7"], "\"7\""));
        assert!(!names(&["\"7"], "\"7\""));
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
        for (tags, is_known) in [("\"7\"", false), ("*", true)] {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(tags));
            assert_eq!(Condition(headers).is_known(None).unwrap(), is_known);
        }
    }

    #[test]
    fn who_insists_gets_no_other() {
        let holds = |wanted: &str, etag: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_MATCH, wanted.parse().unwrap());
            let etag: Option<HeaderValue> = etag.map(|etag| etag.parse().unwrap());
            Condition(headers).is_known(etag.as_ref()).is_ok()
        };
        for wanted in ["\"7\"", "\"6\", \"7\"", "*"] {
            assert!(holds(wanted, Some("\"7\"")), "{wanted}");
        }
        for wanted in ["\"6\"", "W/\"7\"", "7"] {
            assert!(!holds(wanted, Some("\"7\"")), "{wanted}");
        }
        assert!(!holds("\"7\"", Some("W/\"7\"")));
        assert!(!holds("\"7\"", None) && holds("*", None));
    }
}
