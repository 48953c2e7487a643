//! Bodies that travel packed, in both directions. Whoever packs or can unpack goes through layers
//! that all others are spared; what the headers say of it is put in order first (RFC 9110, sections
//! 8.4 and 12.5.3). The packing itself is tower-http's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::Stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Request};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

/// The content codings that bodies are packed with, in both directions: those for which tower-http has
/// its features.
pub const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// The sender can unpack this coding, and names it.
pub fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let items = listed(headers, &ACCEPT_ENCODING);
    items.iter().any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let name = name.trim().to_ascii_lowercase();
        name.strip_prefix("x-").unwrap_or(&name) == coding && !is_zero(weight)
    })
}

/// Packs answers for those who can unpack them, save streams: what happens is told at once.
pub fn compression() -> CompressionLayer<impl Predicate> {
    let lines = NotForContentType::const_new("application/x-ndjson");
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(lines))
}

/// The request as the layers that pack and unpack take it.
pub fn prepared(mut request: Request<Body>) -> Request<Body> {
    let headers = request.headers_mut();
    accept_plain(headers);
    one_content_coding(headers);
    if headers.contains_key(CONTENT_ENCODING) {
        return request.map(|body| Body::from_stream(LastByteAlone::new(body)));
    }
    request
}

/// Takes back that an answer must not be plain. It may be nevertheless (section 12.5.3), which is
/// better than an error for a call that has been made.
fn accept_plain(headers: &mut HeaderMap) {
    let rules_out_plain = |item: &str| {
        let Some((coding, weight)) = item.split_once(';') else {
            return false;
        };
        is_zero(weight) && ["identity", "*"].contains(&coding.trim().to_ascii_lowercase().as_str())
    };
    let items = listed(headers, &ACCEPT_ENCODING);
    let kept: Vec<&str> = items
        .iter()
        .copied()
        .filter(|item| !rules_out_plain(item))
        .collect();
    if kept.len() < items.len()
        && let Ok(kept) = HeaderValue::from_str(&kept.join(", "))
    {
        headers.insert(ACCEPT_ENCODING, kept);
    }
}

/// `q=0`, however it is written.
fn is_zero(weight: &str) -> bool {
    let weight = weight.trim().strip_prefix(['q', 'Q']);
    let weight = weight.and_then(|weight| weight.trim_start().strip_prefix('='));
    weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
}

/// Content codings have one spelling and stand in one line; none is said where there is none.
fn one_content_coding(headers: &mut HeaderMap) {
    if !headers.contains_key(CONTENT_ENCODING) {
        return;
    }
    let codings: Vec<String> = listed(headers, &CONTENT_ENCODING)
        .into_iter()
        .map(str::to_ascii_lowercase)
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .map(|coding| match coding.as_str() {
            "x-gzip" => "gzip".to_owned(),
            _ => coding,
        })
        .collect();
    match HeaderValue::from_str(&codings.join(", ")) {
        Ok(codings) if !codings.is_empty() => drop(headers.insert(CONTENT_ENCODING, codings)),
        _ => drop(headers.remove(CONTENT_ENCODING)),
    }
}

/// The items of a list that may be spread over several lines. What is not text is one item that no
/// coding is called.
fn listed<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter();
    let lines = lines.map(|line| line.to_str().unwrap_or("unreadable"));
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

/// A body whose last byte comes by itself. What unpacks gzip stops where the packed data ends, and
/// passes over what came in the same piece; so it sees that there is more, and refuses the body
/// instead of reading half of it.
struct LastByteAlone {
    body: BodyDataStream,
    /// What came last, and may be the end.
    held: Bytes,
    is_over: bool,
}

impl LastByteAlone {
    fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            held: Bytes::new(),
            is_over: false,
        }
    }
}

impl Stream for LastByteAlone {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => match std::mem::replace(&mut self.held, piece) {
                    before if before.is_empty() => {}
                    before => return Poll::Ready(Some(Ok(before))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_over = true,
            }
        }
        let last = self.held.len().saturating_sub(1);
        let last = self.held.split_off(last);
        let piece = match std::mem::replace(&mut self.held, last) {
            before if before.is_empty() => std::mem::take(&mut self.held),
            before => before,
        };
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn headers(name: &http::HeaderName, lines: &[&str]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|line| (name.clone(), line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, line);
        }
        headers
    }

    fn shown(headers: &HeaderMap, name: &http::HeaderName) -> Vec<String> {
        let lines = headers.get_all(name).iter();
        lines
            .map(|line| line.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn plain_is_always_good_enough() {
        let cases: [(&[&str], &[&str]); 6] = [
            (&["identity;q=0"], &[""]),
            (&["gzip;q=0, *;q=0"], &["gzip;q=0"]),
            (&["identity; Q=0.000", "gzip"], &["gzip"]),
            (&["br;q=0.1, gzip"], &["br;q=0.1, gzip"]),
            (&["gzip", "br"], &["gzip", "br"]),
            (&["identity, *;q=0.1"], &["identity, *;q=0.1"]),
        ];
        for (sent, expected) in cases {
            let mut headers = headers(&ACCEPT_ENCODING, sent);
            accept_plain(&mut headers);
            assert_eq!(shown(&headers, &ACCEPT_ENCODING), expected, "{sent:?}");
        }
    }

    #[test]
    fn codings_have_one_spelling() {
        let cases: [(&[&str], &[&str]); 8] = [
            (&["gzip"], &["gzip"]),
            (&["GZIP"], &["gzip"]),
            (&["x-gzip"], &["gzip"]),
            (&["identity"], &[]),
            (&[""], &[]),
            (&["gzip, identity"], &["gzip"]),
            (&["gzip", "br"], &["gzip, br"]),
            (&["Foo"], &["foo"]),
        ];
        for (sent, expected) in cases {
            let mut headers = headers(&CONTENT_ENCODING, sent);
            one_content_coding(&mut headers);
            assert_eq!(shown(&headers, &CONTENT_ENCODING), expected, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn the_last_byte_comes_by_itself() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&[], &[]),
            (&["a"], &["a"]),
            (&["abc"], &["ab", "c"]),
            (&["ab", "", "c"], &["ab", "c"]),
            (&["ab", "cd"], &["ab", "c", "d"]),
        ];
        for (sent, expected) in cases {
            let pieces: Vec<_> = sent
                .iter()
                .map(|piece| Ok::<_, axum::Error>(Bytes::from(piece.to_string())))
                .collect();
            let body = Body::from_stream(stream::iter(pieces));
            let alone = LastByteAlone::new(body).map(Result::unwrap);
            let alone: Vec<Bytes> = alone.collect().await;
            assert_eq!(alone, expected, "{sent:?}");
        }
    }
}
