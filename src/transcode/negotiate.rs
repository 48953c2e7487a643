//! What a request's body is, and what its sender can read (RFC 9110, section 12.5.1).

use http::{HeaderMap, HeaderValue, header};

use super::media::{Media, is_utf8, items_of};
use super::rejection::Rejection;
use super::row::{self, Binding};
use crate::proto::google::api::HttpBody;

pub const JSON: &str = "application/json";
/// One JSON value a line. The name is in wide use, and not registered.
pub const NDJSON: &str = "application/x-ndjson";
/// Server-Sent Events.
pub const SSE: &str = "text/event-stream";

/// The media type that a request is answered in.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// One of the route's offers; `""` where it has none, because only the answer tells.
    pub name: &'static str,
    /// The route offers JSON, and the request accepts that, too.
    pub or_json: bool,
    /// There were other offers: what is answered depends on the Accept header.
    pub varies: bool,
}

impl Format {
    /// The format for a request that accepts anything.
    pub fn preferred(offers: &[&'static str]) -> Self {
        Self {
            name: offers.first().copied().unwrap_or_default(),
            or_json: offers.contains(&JSON),
            varies: offers.len() > 1,
        }
    }

    /// The format that the request's Accept headers prefer.
    ///
    /// # Errors
    /// 406 where they accept none of the offers.
    pub fn accepted(headers: &HeaderMap, offers: &[&'static str]) -> Result<Self, Rejection> {
        let name = accept(headers, offers)?;
        let is_json = || offers.contains(&JSON) && accept(headers, &[JSON]).is_ok();
        Ok(Self {
            name,
            or_json: name == JSON || is_json(),
            varies: offers.len() > 1,
        })
    }
}

/// What a request's body calls itself.
///
/// # Errors
/// What is wrong with the header, as the end of a sentence.
pub fn content_type(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let first = lines.next();
    if lines.next().is_some() {
        return Err("with several");
    }
    let text = first.map(HeaderValue::to_str).transpose();
    text.map_err(|_| "with a Content-Type that is not ASCII")
}

/// Refuses a body with a content coding other than `identity` (RFC 9110, section 8.4).
pub fn check_coding(headers: &HeaderMap) -> Result<(), Rejection> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let lines = lines.map(HeaderValue::to_str).collect();
    let Ok::<Vec<&str>, _>(lines) = lines else {
        return Err(Rejection::unsupported_encoding("that is not ASCII"));
    };
    let codings = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
    let is_coding = |coding: &&str| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity");
    let codings: Vec<&str> = codings.filter(is_coding).collect();
    match codings.is_empty() {
        true => Ok(()),
        false => {
            let codings = format!("`{}`", codings.join(", "));
            Err(Rejection::unsupported_encoding(&codings))
        }
    }
}

/// Refuses a body that is not JSON in UTF-8, save where the row takes bytes of any kind.
pub fn check_type(binding: &Binding, headers: &HeaderMap) -> Result<(), Rejection> {
    let found = content_type(headers);
    if matches!(binding.body, row::Body::Raw { .. }) {
        return found.map(drop).map_err(Rejection::unclear_media_type);
    }
    let unsupported = |found: &str| Rejection::unsupported_media_type(found, binding.method);
    let found = found.map_err(unsupported)?;
    let value = found.ok_or_else(|| unsupported("without one"))?;
    // Most say just that.
    if value == JSON {
        return Ok(());
    }
    let is_right = Media::parse(value).is_some_and(|media| {
        let mut parameters = media.parameters.iter().copied();
        let is_charset = |(name, _): (&str, &str)| name.eq_ignore_ascii_case("charset");
        media.is_json() && parameters.all(|one| !is_charset(one) || is_utf8(one))
    });
    match is_right {
        true => Ok(()),
        false => Err(unsupported(&format!("`{value}`"))),
    }
}

/// The offer with the highest quality; the first of equals. `""` if there are no offers.
///
/// # Errors
/// 406 where the Accept headers accept none of them.
pub fn accept(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str, Rejection> {
    let ranges = headers.get_all(header::ACCEPT).iter();
    let mut ranges = ranges
        .flat_map(|value| items_of(value, ','))
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() || offers.is_empty() {
        return Ok(offers.first().copied().unwrap_or_default());
    }
    let ranges: Vec<Range> = ranges.filter_map(Range::parse).collect();
    let quality = |offer: &str| {
        let fitting = ranges
            .iter()
            .filter_map(|range| Some((range.fit(offer)?, range.quality)));
        fitting.max().map_or(0, |(_, quality)| quality)
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
        kind => HeaderValue::from_str(kind).map_err(|cause| {
            Rejection::internal("the content_type of an HttpBody is no header value", cause)
        }),
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
    /// None where it is none, and where its parameters name only a variant that nobody offers (section
    /// 12.5.1). What stands behind the quality is no parameter of it.
    fn parse(text: &'a str) -> Option<Self> {
        let media = Media::parse(text)?;
        let parameters = media.parameters.as_slice();
        let is_quality = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("q");
        let end = parameters.iter().position(is_quality);
        let (variant, rest) = parameters.split_at_checked(end.unwrap_or(parameters.len()))?;
        let quality = rest.first();
        let quality = quality.map_or(1.0, |(_, value)| value.parse::<f32>().unwrap_or(0.0));
        variant.iter().copied().all(is_utf8).then_some(Self {
            kind: media.kind,
            subtype: media.subtype,
            quality: (quality.clamp(0.0, 1.0) * 1000.0) as u32,
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
        let accept = HeaderValue::from_bytes(accept.as_bytes()).unwrap();
        headers.insert(header::ACCEPT, accept);
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
        assert_eq!(prefers("application/json, ä/x"), Some(JSON));
        assert_eq!(prefers("ä/x, text/event-stream;q=0.5"), Some(SSE));
        assert_eq!(prefers("ä/x"), None);
        assert_eq!(prefers("*/*;q=0"), None);
    }

    /// RFC 9110, section 12.5.1.
    #[test]
    fn parameters_name_a_variant() {
        let variant = "application/json;profile=x;q=0";
        assert_eq!(prefers(&format!("{variant}, */*")), Some(JSON));
        assert_eq!(prefers(&format!("{variant}, application/json")), Some(JSON));
        assert_eq!(prefers(&format!("application/json, {variant}")), Some(JSON));
        assert_eq!(prefers("application/json;profile=\"a,b\""), None);
        assert_eq!(
            prefers("application/json; charset=UTF-8; q=0.5; a=b"),
            Some(JSON)
        );
    }

    #[test]
    fn bodies_are_json_in_utf8() {
        static NOTHING: row::Message = row::Message {
            name: "",
            fields: &[],
        };
        let binding = Binding {
            index: 0,
            rpc: "",
            method: "PATCH",
            template: "",
            segments: &[],
            verb: None,
            captures: &[],
            request: &NOTHING,
            body: row::Body::All,
            response_body: None,
            mask: None,
        };
        let is_read = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            check_type(&binding, &headers).is_ok()
        };
        for kind in [
            "application/json",
            "application/json; charset=UTF-8",
            "application/vnd.x+json; charset=\"utf-8\"",
            "application/json; foo=\"a;charset=latin1\"",
        ] {
            assert!(is_read(kind), "{kind}");
        }
        for kind in [
            "text/plain",
            "application/json; charset=latin1",
            "application/json; charset=\"utf-8",
            "application/foo bar+json",
        ] {
            assert!(!is_read(kind), "{kind}");
        }
    }

    #[test]
    fn what_is_said_in_several_lines_is_read_whole() {
        let coded = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                headers.append(header::CONTENT_ENCODING, line);
            }
            check_coding(&headers)
                .map_err(|rejection| tonic::Status::from(rejection).message().to_owned())
        };
        for lines in [&[][..], &[""], &["identity"], &["Identity, ", "identity"]] {
            assert_eq!(coded(lines), Ok(()), "{lines:?}");
        }
        for (lines, told) in [
            (
                &["identity", "gzip"][..],
                "Content-Encoding `gzip` is not supported",
            ),
            (
                &["gzip, br"],
                "Content-Encoding `gzip, br` is not supported",
            ),
            (
                &["identity", "é"],
                "Content-Encoding that is not ASCII is not supported",
            ),
        ] {
            let error = coded(lines).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(content_type(&headers), Ok(None));
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        assert_eq!(content_type(&headers), Ok(Some("text/csv")));
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        assert_eq!(content_type(&headers), Err("with several"));
    }
}
