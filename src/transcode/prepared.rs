//! Answers that a service has in JSON already: it is asked for one before its method is called
//! ([`Route::prepared`](super::Route::prepared)), and only where JSON is wanted, and all of it.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::condition::Condition;
use super::negotiate::JSON;
use super::rejection::Rejection;

/// An answer that needs no method, and nothing that has to be waited for.
#[derive(Debug)]
pub struct Prepared {
    /// Headers such as an ETag; the content type is added.
    pub headers: HeaderMap,
    /// What the method would answer, in JSON: whoever says so vouches for it being the same.
    pub json: Bytes,
}

impl Prepared {
    /// The response; 304 where the requester has it already.
    ///
    /// # Errors
    /// 412 where it insists on another.
    pub(super) fn into_response(
        self,
        condition: Option<&Condition>,
    ) -> Result<Response, Rejection> {
        let Self { mut headers, json } = self;
        let is_known = match condition {
            Some(condition) => condition.is_known(headers.get(header::ETAG))?,
            None => false,
        };
        let body = if is_known {
            Body::empty()
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            Body::from(json)
        };
        let mut response = Response::new(body);
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        *response.headers_mut() = headers;
        Ok(response)
    }
}
