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

/// How a body that is not packed is called.
const PLAIN: &str = "identity";

/// Packs answers for those who can unpack them, save streams: what happens is told at once.
pub fn compression() -> CompressionLayer<impl Predicate> {
    let lines = NotForContentType::const_new("application/x-ndjson");
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(lines))
}

/// The request as the layers that pack and unpack take it, and the codings that its sender can unpack.
pub fn prepared(mut request: Request<Body>) -> (Request<Body>, Vec<&'static str>) {
    let headers = request.headers_mut();
    let accepted = accepted_by_name(headers);
    one_content_coding(headers);
    let request = match headers.contains_key(CONTENT_ENCODING) {
        true => request.map(|body| Body::from_stream(LastByteAlone::new(body))),
        false => request,
    };
    (request, accepted)
}

/// Says by name which codings an answer may have, so that whoever chooses one and whoever told what may be
/// chosen go by the same; returns them. `*` is all that have no name of their own (section 12.5.3). That an
/// answer must not be plain is taken back: it may be nevertheless, which is better than an error for a call
/// that has been made.
fn accepted_by_name(headers: &mut HeaderMap) -> Vec<&'static str> {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return vec![];
    }
    let items = listed(headers, &ACCEPT_ENCODING);
    let items: Vec<(String, u32)> = items.into_iter().filter_map(weighed).collect();
    let weight = |coding: &str| {
        let own = items.iter().filter(|(name, _)| name == coding);
        own.map(|(_, weight)| *weight).max()
    };
    let rest = weight("*").unwrap_or_default();
    let weights = CODINGS.into_iter().chain([PLAIN]);
    let weights = weights.map(|coding| (coding, weight(coding).unwrap_or(rest)));
    let weights: Vec<_> = weights.filter(|(_, weight)| *weight > 0).collect();
    let named = weights.iter().map(|(coding, weight)| {
        let (whole, thousandths) = (weight / 1000, weight % 1000);
        format!("{coding};q={whole}.{thousandths:03}")
    });
    let named: Vec<String> = named.collect();
    if let Ok(named) = HeaderValue::from_str(&named.join(", ")) {
        headers.insert(ACCEPT_ENCODING, named);
    }
    let codings = weights.into_iter().map(|(coding, _)| coding);
    codings.filter(|coding| *coding != PLAIN).collect()
}

/// A coding and how welcome it is, in thousandths; none where that is not told as it should be.
fn weighed(item: &str) -> Option<(String, u32)> {
    let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = weight.trim().strip_prefix(['q', 'Q'])?;
    let weight = weight.trim_start().strip_prefix('=')?.trim();
    // A digit, and perhaps a point with three more (section 12.4.2).
    let may_be_there = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let is_short = weight.len() <= 5 && weight.starts_with(['0', '1']);
    if !is_short || !weight.bytes().all(may_be_there) {
        return None;
    }
    let weight: f32 = weight.parse().ok()?;
    (weight <= 1.0).then(|| (spelled(name), (weight * 1000.0).round() as u32))
}

/// The one spelling of a coding (section 8.4.1).
fn spelled(coding: &str) -> String {
    match coding.trim().to_ascii_lowercase() {
        coding if coding == "x-gzip" => "gzip".to_owned(),
        coding => coding,
    }
}

/// Content codings have one spelling and stand in one line; none is said where there is none.
fn one_content_coding(headers: &mut HeaderMap) {
    if !headers.contains_key(CONTENT_ENCODING) {
        return;
    }
    let codings: Vec<String> = listed(headers, &CONTENT_ENCODING)
        .into_iter()
        .map(spelled)
        .filter(|coding| !coding.is_empty() && coding != PLAIN)
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
    fn what_may_be_packed_is_told_by_name() {
        let all = "gzip;q=1.000, br;q=1.000, zstd;q=1.000, identity;q=1.000";
        let cases: [(&[&str], &str, &[&str]); 16] = [
            (&["gzip"], "gzip;q=1.000", &["gzip"]),
            (&["gzip", "br"], "gzip;q=1.000, br;q=1.000", &["gzip", "br"]),
            (&["X-GZIP;Q=0.5, deflate"], "gzip;q=0.500", &["gzip"]),
            (&["*"], all, &CODINGS),
            (&["*, br"], all, &CODINGS),
            (
                &["gzip;q=0, *;q=0.25"],
                "br;q=0.250, zstd;q=0.250, identity;q=0.250",
                &["br", "zstd"],
            ),
            (&["br, *;q=0"], "br;q=1.000", &["br"]),
            (
                &["gzip;q=0.3, identity"],
                "gzip;q=0.300, identity;q=1.000",
                &["gzip"],
            ),
            // Plain is always good enough.
            (&["identity;q=0"], "", &[]),
            (&["gzip;q=0, *;q=0"], "", &[]),
            (&["identity; Q = 0.000", "gzip"], "gzip;q=1.000", &["gzip"]),
            (&[""], "", &[]),
            // What is no weight, or too little to be one, makes no item.
            (&["gzip;q=2, br;level=3, zstd;q=x"], "", &[]),
            (&["gzip;q=0.0001"], "", &[]),
            (&["gzip;q=+1, br;q=1e0, zstd;q=.5"], "", &[]),
            (
                &["gzip;q=1., br;q=0.29"],
                "gzip;q=1.000, br;q=0.290",
                &["gzip", "br"],
            ),
        ];
        for (sent, told, codings) in cases {
            let mut headers = headers(&ACCEPT_ENCODING, sent);
            assert_eq!(accepted_by_name(&mut headers), codings, "{sent:?}");
            assert_eq!(shown(&headers, &ACCEPT_ENCODING), [told], "{sent:?}");
        }
        let mut nothing = HeaderMap::new();
        assert_eq!(accepted_by_name(&mut nothing), [""; 0]);
        assert!(nothing.is_empty());
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
