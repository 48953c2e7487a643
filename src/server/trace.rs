//! Traces for an OpenTelemetry collector: a span for each request, with what the store did for it below.
//! A caller's own trace (W3C Trace Context) goes on here. Spans are made from what is noted of a call
//! once it is over, so that who is not traced pays no more than a look for a header. Without the feature
//! `otlp` nobody is; what trace a caller says that it has is told in the log and in errors all the same.

#[cfg(not(feature = "otlp"))]
#[path = "trace/none.rs"]
mod none;
#[cfg(feature = "otlp")]
#[path = "trace/otlp.rs"]
mod otlp;

use http::{HeaderMap, HeaderName};

#[cfg(not(feature = "otlp"))]
pub use none::{Span, Traces};
#[cfg(feature = "otlp")]
pub use otlp::{Span, Traces};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request says it is a part of, as 32 hexadecimal digits (W3C Trace Context, section 3.2).
/// What is malformed, or comes twice, says nothing.
pub fn brought(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let mut parts = line.to_str().ok()?.split('-');
    let mut part = |length| {
        let is_hex = |part: &&str| {
            let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.len() == length && part.bytes().all(digits)
        };
        parts.next().filter(is_hex)
    };
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_zero = |part: &str| part.bytes().all(|digit| digit == b'0');
    let is_known = match version {
        "00" => parts.next().is_none(),
        version => version != "ff",
    };
    (is_known && !is_zero(trace) && !is_zero(parent)).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trace_says_nothing() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let brought = |lines: &[String]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(TRACEPARENT, line.parse().unwrap());
            }
            brought(&headers)
        };
        let whole = format!("00-{trace}-{parent}-01");
        for line in [whole.clone(), format!("01-{trace}-{parent}-00-more")] {
            assert_eq!(brought(&[line]).as_deref(), Some(trace));
        }
        for line in [
            String::new(),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{trace}-{parent}-01-more"),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-1"),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(brought(std::slice::from_ref(&line)), None, "{line}");
        }
        assert_eq!(brought(&[]), None);
        assert_eq!(brought(&[whole.clone(), whole]), None);
    }
}
