//! Answers that a service has in JSON already: it is asked for one before its method is called
//! ([`Route::prepared`](super::Route::prepared)), and only where JSON is wanted, and all of it.

use bytes::Bytes;
use http::HeaderMap;

/// An answer that needs no method, and nothing that has to be waited for.
#[derive(Debug)]
pub struct Prepared {
    /// Headers such as an ETag; the content type is added.
    pub headers: HeaderMap,
    /// What the method would answer, in JSON: whoever says so vouches for it being the same.
    pub json: Bytes,
}
