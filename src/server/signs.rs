//! What the headers of a request say that decides which way it goes. They are gone through once, as
//! every look for one by its name costs about as much.

use http::{HeaderMap, Method, Request, Version};

use super::framing;
use super::host::is_host;

/// What is to be seen before anybody reads the request.
#[derive(Clone, Copy, Default, Debug)]
pub struct Signs {
    /// How many hosts it names.
    pub hosts: usize,
    /// What it names as a host is none.
    pub has_bad_host: bool,
    /// How many transfer codings its body has, and that one of them is not understood.
    pub transfer_codings: usize,
    pub has_bad_coding: bool,
    /// How many fields its cookies came in.
    cookies: usize,
    /// It is packed, its answer may be, or it insists on one that may have been.
    has_coding: bool,
    /// It is for those who do not know the present answer, which they may know packed.
    is_for_news: bool,
}

impl Signs {
    pub fn of(headers: &HeaderMap) -> Self {
        let mut signs = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" => {
                    signs.hosts += 1;
                    signs.has_bad_host |= !is_host(value.as_bytes());
                }
                "transfer-encoding" => {
                    for coding in framing::codings(value) {
                        signs.transfer_codings += 1;
                        signs.has_bad_coding |= !framing::is_understood(coding);
                    }
                }
                "accept-encoding" | "content-encoding" | "if-match" => signs.has_coding = true,
                "if-none-match" => signs.is_for_news = true,
                "cookie" => signs.cookies += 1,
                _ => {}
            }
        }
        signs
    }

    /// How many header fields the request has. HTTP/2 may split the one of cookies (RFC 9113, section 8.2.3).
    pub fn fields<B>(self, request: &Request<B>) -> usize {
        let all = request.headers().len();
        match request.version() {
            Version::HTTP_2 => all - self.cookies.saturating_sub(1),
            _ => all,
        }
    }

    /// The request has to go where bodies are packed and ETags of packed answers are understood. A GET
    /// that takes no packed answer knows none either.
    pub fn is_packed(self, method: &Method) -> bool {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        self.has_coding || (self.is_for_news && !is_read)
    }
}
