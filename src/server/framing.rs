//! How a request's body is put into the bytes of a connection. A server that passes over what it does
//! not understand there sees another request than those who stand between (RFC 9112, section 6.1).

use http::HeaderValue;
use tonic::Code;

use super::signs::Signs;
use crate::fault::Fault;
use crate::transcode::Rejection;

/// The refusal of a request whose body has another transfer coding than `chunked`, once.
pub fn refused(signs: Signs) -> Option<Rejection> {
    if signs.transfer_codings <= 1 && !signs.has_bad_coding {
        return None;
    }
    let message = "of transfer codings only `chunked` is understood, once";
    let fault = Fault::new(
        Code::Unimplemented,
        "UNSUPPORTED_TRANSFER_ENCODING",
        message,
    );
    Some(fault.into())
}

/// The transfer codings of one line.
pub fn codings(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let codings = line.as_bytes().split(|byte| *byte == b',');
    codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty())
}

/// The body can be read out of it.
pub fn is_understood(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    #[test]
    fn chunks_alone_are_understood() {
        let is_refused = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::TRANSFER_ENCODING, line.parse().unwrap());
            }
            refused(Signs::of(&headers)).is_some()
        };
        let right: [&[&str]; 4] = [&[], &["chunked"], &["Chunked"], &["", " chunked ,"]];
        for lines in right {
            assert!(!is_refused(lines), "{lines:?}");
        }
        let wrong: [&[&str]; 5] = [
            &["gzip, chunked"],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["chunked;a=b"],
            &["identity"],
        ];
        for lines in wrong {
            assert!(is_refused(lines), "{lines:?}");
        }
    }
}
