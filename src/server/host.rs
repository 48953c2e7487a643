//! Which host a request is for. Nothing here depends on it; but those who stand between may, and must
//! not be made to see another one than a request that is refused (RFC 9112, section 3.2, and RFC 9113,
//! section 8.3.1).

use std::net::Ipv6Addr;

use http::uri::Scheme;
use http::{Request, Uri, Version, header};

use super::signs::Signs;
use crate::fault::Fault;
use crate::transcode::Rejection;

/// The refusal of a request that names no host, several, or what cannot be one.
pub fn refused<B>(request: &Request<B>, signs: Signs) -> Option<Rejection> {
    let target = request.uri().authority();
    let is_bad =
        signs.has_bad_host || target.is_some_and(|target| !is_host(target.as_str().as_bytes()));
    let what = match (signs.hosts, request.version()) {
        (2.., _) => "there are several",
        (0 | 1, _) if is_bad => "this is none",
        (0, Version::HTTP_11) => "there is none",
        (_, Version::HTTP_2) => wrong_in_http_2(request)?,
        // HTTP/1.0 need not name one; HTTP/1.1 has the header, whatever its target is.
        _ => return None,
    };
    let message = format!("a request names one host (`Host`, `:authority`); {what}");
    let fault = Fault::invalid_argument("INVALID_HOST", message);
    Some(fault.into())
}

/// HTTP/2 has `:authority` for the host. The header may stand for it, or say the same.
fn wrong_in_http_2<B>(request: &Request<B>) -> Option<&'static str> {
    let uri = request.uri();
    let target = uri
        .authority()
        .map(|target| plain(uri, target.as_str().as_bytes()));
    let host = request.headers().get(header::HOST);
    let host = host.map(|host| plain(uri, host.as_bytes()));
    match (target, host) {
        (Some(_), None) => None,
        (Some(target), Some(host)) if target.eq_ignore_ascii_case(host) => None,
        (Some(_), Some(_)) => Some("there are two"),
        (None, Some(host)) if !host.is_empty() => None,
        (None, _) => Some("there is none"),
    }
}

/// A host without a port that goes without saying (RFC 3986, section 6.2.3).
fn plain<'n>(uri: &Uri, name: &'n [u8]) -> &'n [u8] {
    let usual = match uri.scheme() == Some(&Scheme::HTTPS) {
        true => b":443".as_slice(),
        false => b":80",
    };
    let host = name.strip_suffix(usual).or_else(|| name.strip_suffix(b":"));
    host.unwrap_or(name)
}

/// A host and perhaps a port (RFC 3986, section 3.2); it may be empty. No comma, though a name could have
/// one: it may have joined two lines.
pub fn is_host(value: &[u8]) -> bool {
    let port = match value {
        [b'[', literal @ ..] => after_address(literal),
        name => Some(after_name(name)),
    };
    match port {
        Some([]) => true,
        Some([b':', port @ ..]) => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// What stands behind a name, or an address of IPv4, which could be one.
fn after_name(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = match bytes {
            // Nearly all are these.
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() => rest,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if b"-._~!$&'()*+;=".contains(byte) => rest,
            rest => return rest,
        }
    }
}

/// What stands behind an address of IPv6 and its bracket. Others in brackets are not known to anybody.
fn after_address(bytes: &[u8]) -> Option<&[u8]> {
    let mut parts = bytes.splitn(2, |byte| *byte == b']');
    let (address, rest) = (parts.next()?, parts.next()?);
    let address = str::from_utf8(address).ok()?;
    address.parse::<Ipv6Addr>().ok().map(|_| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "",
            "x",
            "lab.example.com",
            "lab_1.example.com.:8082",
            "127.0.0.1:8082",
            "a:",
            ":80",
            "a%2Db",
            "a!$&'()*+;=~",
            "[::1]",
            "[::1]:8082",
            "[fe80::1:2]:",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for other in [
            "[::1",
            "::1",
            "a:b:c",
            "a:99999x",
            "a:+1",
            "%zz",
            "%2",
            "[x]",
            "[]",
            "[::1]x",
            "[::1]]",
            "[v1.x]",
            "[fe80::1%25eth0]",
            ",",
            "a,b",
            "u@x",
            "u:p@x",
            "x/",
            "x y",
            "x?",
            "x#",
            "a]",
            "ä",
            "\"x\"",
        ] {
            assert!(!is_host(other.as_bytes()), "{other}");
        }
    }
}
