//! What a request's body is, and what its sender can read (RFC 9110, section 12.5.1).

use axum::body::Body;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;

use super::rejection::Rejection;
use super::row::{self, Binding};
use crate::proto::google::api::HttpBody;

pub const JSON: &str = "application/json";
/// One JSON value a line.
pub const NDJSON: &str = "application/x-ndjson";
/// Server-Sent Events.
pub const SSE: &str = "text/event-stream";

/// What a request's body calls itself.
pub fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Refuses a body that is packed, and one that is not JSON in UTF-8, save where the row takes bytes
/// of any kind. Only an empty body may say nothing.
pub fn check_body(binding: &Binding, headers: &HeaderMap, body: &Body) -> Result<(), Rejection> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let encoding = encoding.to_str().unwrap_or("what cannot be read");
        return Err(Rejection::unsupported_encoding(encoding));
    }
    let takes_bytes = matches!(binding.body, row::Body::Raw { .. });
    if takes_bytes || body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(());
    }
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = lines.next() else {
        return Err(Rejection::unsupported_media_type("without one"));
    };
    if lines.next().is_some() {
        return Err(Rejection::unsupported_media_type("with several"));
    }
    let value = value.to_str().unwrap_or("what cannot be read");
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = kind == JSON || (kind.starts_with("application/") && kind.ends_with("+json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8"),
        _ => true,
    });
    if json && utf8 {
        Ok(())
    } else {
        Err(Rejection::unsupported_media_type(&format!("`{value}`")))
    }
}

/// The offer that the request's Accept headers prefer; the first one where they leave it open, and
/// none where there are none.
pub fn accept(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str, Rejection> {
    let ranges = headers.get_all(header::ACCEPT).iter();
    let mut ranges = ranges
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .filter(|range| !range.trim().is_empty())
        .peekable();
    if ranges.peek().is_none() || offers.is_empty() {
        return Ok(offers.first().copied().unwrap_or_default());
    }
    let ranges: Vec<Range> = ranges.filter_map(Range::parse).collect();
    let quality = |offer: &str| {
        let fitting = ranges
            .iter()
            .filter_map(|range| Some((range.fit(offer)?, range.quality)));
        fitting
            .max_by_key(|(fit, _)| *fit)
            .map_or(0, |(_, quality)| quality)
    };
    let mut best = None;
    for offer in offers {
        let quality = quality(offer);
        if quality > 0 && best.is_none_or(|(_, known)| quality > known) {
            best = Some((*offer, quality));
        }
    }
    best.map(|(offer, _)| offer)
        .ok_or_else(|| Rejection::not_acceptable(offers))
}

/// The content type of a body that is no JSON; bytes of no known kind where it does not say.
pub fn kind_of(body: &HttpBody) -> Result<HeaderValue, Rejection> {
    match body.content_type.as_str() {
        "" => Ok(HeaderValue::from_static("application/octet-stream")),
        kind => HeaderValue::from_str(kind).map_err(Rejection::internal),
    }
}

/// One media range of an Accept header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("q")
                .then(|| value.trim().parse::<f32>().unwrap_or(0.0))
        });
        let quality = quality.unwrap_or(1.0).clamp(0.0, 1.0);
        Some(Self {
            kind,
            subtype,
            quality: (quality * 1000.0) as u32,
        })
    }

    /// How closely the range names the media type; none where it does not.
    fn fit(&self, offer: &str) -> Option<u8> {
        let (kind, subtype) = offer.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, sub) if own.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => {
                Some(2)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        super::accept(&headers, &[JSON, NDJSON, SSE]).ok()
    }

    #[test]
    fn the_closest_range_gives_the_quality() {
        assert_eq!(prefers("*/*"), Some(JSON));
        assert_eq!(prefers("text/event-stream, */*;q=0.1"), Some(SSE));
        assert_eq!(
            prefers("application/*;q=0.5, application/json;q=0"),
            Some(NDJSON)
        );
        assert_eq!(prefers("Application/JSON; q=0.2"), Some(JSON));
        assert_eq!(prefers(""), Some(JSON));
        assert_eq!(prefers(" , "), Some(JSON));
        assert_eq!(prefers("text/html"), None);
        assert_eq!(prefers("?"), None);
        assert_eq!(prefers("*/*;q=0"), None);
    }
}
