//! One answer, packed in several ways, has an ETag for each: what is `"42"` as it is, is `"42-gzip"`
//! packed (RFC 9110, section 8.8.3.3). Whoever makes and compares ETags knows nothing of it: the
//! ending is put on after an answer was packed, and taken off a request before anybody reads it.
//!
//! Answers to those who name the codings that they accept say so in `Vary`, packed or not. Those to all
//! others come another way and do not: they are plain, which suits everybody, so that a cache that gives
//! them to others does nothing wrong (RFC 9110, section 12.5.5).

use axum::body::Body;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_ENCODING, ETAG, Entry, IF_MATCH, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use super::packing::{CODINGS, prepared};

/// The step around the layer that packs.
pub async fn told_apart(request: Request<Body>, next: Next) -> Response {
    let (mut request, accepted) = prepared(request);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers_mut();
    let known: Vec<HeaderValue> = headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
    // Who changes only what it has read, or only what it has not, may have read it in any form; a copy is as
    // good as new only in a form that would be sent again.
    take_off(headers, &IF_MATCH, &CODINGS);
    let unwanted: &[&str] = if is_read { &accepted } else { &CODINGS };
    take_off(headers, &IF_NONE_MATCH, unwanted);
    let mut response = next.run(request).await;
    if let Some(tag) = own_tag(&response, &known, &accepted) {
        response.headers_mut().insert(ETAG, tag);
    }
    // As the answer in its place would say (section 15.4.5).
    if response.status() == StatusCode::NOT_MODIFIED {
        let codings = HeaderValue::from_static("accept-encoding");
        response.headers_mut().append(VARY, codings);
    }
    response
}

/// Takes the endings of these codings off the tags in a header.
fn take_off(headers: &mut HeaderMap, name: &HeaderName, codings: &[&str]) {
    let Entry::Occupied(mut values) = headers.entry(name) else {
        return;
    };
    for value in values.iter_mut() {
        let Ok(text) = value.to_str() else { continue };
        let plain = codings.iter().fold(text.to_owned(), |text, coding| {
            text.replace(&format!("-{coding}\""), "\"")
        });
        if let Ok(plain) = HeaderValue::from_str(&plain) {
            *value = plain;
        }
    }
}

/// The tag of a packed answer, or of the one among the `known` that a 304 says is still the same.
fn own_tag(response: &Response, known: &[HeaderValue], accepted: &[&str]) -> Option<HeaderValue> {
    let headers = response.headers();
    let tag = headers.get(ETAG)?.to_str().ok()?.strip_suffix('"')?;
    let of = |coding: &str| format!("{tag}-{coding}\"");
    let packed = headers.get(CONTENT_ENCODING).map(|coding| coding.to_str());
    let tag = match packed {
        Some(coding) => of(coding.ok()?),
        None if response.status() == StatusCode::NOT_MODIFIED => {
            let known: Vec<&str> = known
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            let mut tags = accepted.iter().map(|coding| of(coding));
            tags.find(|tag| known.iter().any(|value| value.contains(tag)))?
        }
        None => return None,
    };
    HeaderValue::from_str(&tag).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(coding: &[&str], tags: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, tags.parse().unwrap());
        take_off(&mut headers, &IF_MATCH, coding);
        headers[IF_MATCH].to_str().unwrap().to_owned()
    }

    #[test]
    fn endings_are_taken_off_whole_tags() {
        assert_eq!(without(&CODINGS, "\"42-gzip\""), "\"42\"");
        assert_eq!(
            without(&CODINGS, "\"1-br\", W/\"2-zstd\" , *"),
            "\"1\", W/\"2\" , *"
        );
        assert_eq!(
            without(&["br"], "\"1-gzip\", \"1-br\""),
            "\"1-gzip\", \"1\""
        );
        for other in ["\"42\"", "\"-gzip-\"", "gzip", "\"42gzip\""] {
            assert_eq!(without(&CODINGS, other), other);
        }
    }

    #[test]
    fn a_packed_answer_has_a_tag_of_its_own() {
        let tag = |status: u16, coding: Option<&str>, known: &str| {
            let mut response = Response::builder().status(status).header(ETAG, "\"7\"");
            if let Some(coding) = coding {
                response = response.header(CONTENT_ENCODING, coding);
            }
            let response = response.body(Body::empty()).unwrap();
            let tag = own_tag(&response, &[known.parse().unwrap()], &["gzip", "br"]);
            tag.map(|tag| tag.to_str().unwrap().to_owned())
        };
        assert_eq!(tag(200, Some("zstd"), ""), Some("\"7-zstd\"".to_owned()));
        assert_eq!(tag(200, None, "\"7-gzip\""), None);
        assert_eq!(tag(304, None, "\"7\""), None);
        let known = "\"6-gzip\", W/\"7-br\"";
        assert_eq!(tag(304, None, known), Some("\"7-br\"".to_owned()));
    }
}
