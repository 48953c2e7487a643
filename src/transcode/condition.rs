//! A GET that wants an answer only if it is news (RFC 9110, section 13.1.2). Knows nothing of what
//! an ETag is made of.

use http::{HeaderMap, HeaderValue, header};
use tonic::metadata::MetadataMap;

use super::row::Binding;

/// The `If-None-Match` of a GET.
pub struct Condition(HeaderMap);

impl Condition {
    /// The condition of a request with this metadata; none where it sets none, and none for what is
    /// not a GET, where it would be the service's business.
    pub fn of(binding: &Binding, metadata: &MetadataMap) -> Option<Self> {
        let headers = metadata.as_ref();
        if binding.method != "GET" || !headers.contains_key(header::IF_NONE_MATCH) {
            return None;
        }
        let mut wanted = HeaderMap::new();
        for value in headers.get_all(header::IF_NONE_MATCH) {
            wanted.append(header::IF_NONE_MATCH, value.clone());
        }
        Some(Self(wanted))
    }

    /// The requester has what this ETag stands for. Compared weakly, as the section says.
    pub fn names(&self, etag: Option<&HeaderValue>) -> bool {
        let Some(etag) = etag.map(|etag| opaque(etag.as_bytes())) else {
            return false;
        };
        let values = self.0.get_all(header::IF_NONE_MATCH);
        values.iter().any(|value| {
            let list = value.as_bytes();
            list.trim_ascii() == b"*" || Tags(list).any(|tag| tag == etag)
        })
    }
}

/// An entity tag without what marks it as weak.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The entity tags of a list, quotes included. A comma inside the quotes belongs to the tag.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| *byte == b'"')?;
        let rest = self.0.get(start..)?;
        let length = rest.iter().skip(1).position(|byte| *byte == b'"')? + 2;
        let (tag, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(tag)
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
        Condition(headers).names(Some(&etag.parse().unwrap()))
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
    fn without_a_tag_everything_is_news() {
        let mut headers = HeaderMap::new();
        headers.append(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(!Condition(headers).names(None));
    }
}
