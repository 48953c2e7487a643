//! Every request has an id: the one it brought in `x-request-id`, or one made up here. The service
//! sees it as metadata, log lines tell it, the response has it in the header of the
//! same name, and an error in its details.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::lazy;
use http::{HeaderMap, HeaderValue, Request};
use tonic::Code;
use uuid::Uuid;

use super::observer::Observer;
use super::routes::{self, Group};
use crate::call::Call;
use crate::fault::Fault;
use crate::transcode::{REQUEST_ID, Rejection, with_request_id};

/// The longest id that is taken over; what is longer or not text is replaced.
const LONGEST: usize = 128;

/// The outermost step of every request. A panic further in becomes a 500 of which the client learns
/// nothing but the id; the panic itself went to the log.
///
/// Who is told of calls is told of this one once it is over.
pub fn identify<A>(
    mut request: Request<Body>,
    observer: Observer,
    answer: impl FnOnce(Request<Body>) -> A,
) -> impl Future<Output = Result<Response, Infallible>>
where
    A: Future<Output = Result<Response, Infallible>>,
{
    let id = brought(request.headers()).unwrap_or_else(made_up);
    let route = routes::group(Group::Unknown, request.method());
    let span = observer.span(&request);
    let trace = span.as_ref().map(|span| span.trace_id());
    let call = Call::new(&request, id.clone(), route).traced(trace);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let under_way = observer.begin(span);
    let answer = lazy(|_| answer(request)).flatten();
    let answer = AssertUnwindSafe(answer).catch_unwind();
    call.scope(answer.map(|answered| {
        let Ok(response) = answered.unwrap_or_else(|_| Ok(panicked()));
        under_way.answered(&response);
        let mut response = with_request_id(response, id.to_str().unwrap_or_default());
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }))
}

fn panicked() -> Response {
    let fault = Fault::new(Code::Internal, "INTERNAL", "internal error");
    Rejection::from(fault).into_response()
}

fn brought(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let usable = !id.is_empty() && id.len() <= LONGEST && id.to_str().is_ok();
    usable.then(|| id.clone())
}

/// Ids that sort by age.
fn made_up() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_of_which_only_the_id_is_told() {
        let request = Request::get("/").header(REQUEST_ID, "mine");
        let request = request.body(Body::empty()).unwrap();
        let broken = async |_| -> Result<Response, Infallible> { panic!("secret") };
        let response = identify(request, Observer::default(), broken)
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[REQUEST_ID], "mine");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("\"requestId\":\"mine\""), "{body}");
        assert!(!body.contains("secret"), "{body}");
    }
}
