//! Which host a request is for. Nothing here depends on it; but those who stand between may, and must
//! not be made to see another one than a request that is refused (RFC 9112, section 3.2).

use http::{HeaderValue, Version};

use super::signs::Signs;
use crate::fault::Fault;
use crate::transcode::Rejection;

/// The refusal of a request that names no host, several, or what cannot be one. HTTP/1.0 and HTTP/2
/// need no such header.
pub fn refused(version: Version, signs: Signs) -> Option<Rejection> {
    let what = match signs.hosts {
        0 if version == Version::HTTP_11 => "there is none",
        0 | 1 if !signs.has_bad_host => return None,
        0 | 1 => "this is none",
        _ => "there are several",
    };
    let message = format!("a request has one Host header that names a host; {what}");
    let fault = Fault::invalid_argument("INVALID_HOST", message);
    Some(fault.into())
}

/// Only characters that a host and a port can have (RFC 3986, section 3.2); it may be empty.
pub fn is_host(value: &HeaderValue) -> bool {
    let mut bytes = value.as_bytes().iter();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte))
}
