//! Every request has an id: the one it brought in `x-request-id`, or one made up here. Log lines tell
//! it, the response has it in the header of the same name, and an error in its details.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::lazy;
use http::{HeaderValue, Method, Request};
use tonic::Code;
use uuid::{Builder, Uuid};

use super::observer::Observer;
use super::refusals::{close, in_words_of_http};
use super::routes::{self, Group};
use super::trace;
use crate::call::{self, Call, Id};
use crate::fault::Fault;
use crate::proto::google::rpc;
use crate::transcode::{REQUEST_ID, Rejection, never_has_body, with_request_info, without_body};

/// The longest id that is taken over; what is longer, or not all visible ASCII, is replaced.
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
    let id = brought(&mut request).map_or_else(|| Id::MadeUp(made_up()), Id::Brought);
    let route = routes::group(Group::Unknown, request.method());
    let span = observer.span(&request);
    let trace = match &span {
        Some(span) => Some(span.trace_id()),
        None => trace::brought(request.headers()),
    };
    let call = Call::new(&request, id.clone(), route)
        .traced(trace)
        .told_of(observer.audit().is_some());
    let under_way = observer.begin(span);
    let (is_head, version) = (request.method() == Method::HEAD, request.version());
    let answer = lazy(|_| answer(request)).flatten();
    let answer = AssertUnwindSafe(answer).catch_unwind();
    call.scope(answer.map(move |answered| {
        let Ok(mut response) = answered.unwrap_or_else(|_| Ok(panicked()));
        in_words_of_http(&mut response);
        if call::present(Call::has_unread).unwrap_or_default() {
            close(version, &mut response);
        }
        under_way.answered(&response);
        let info = || call::present(request_info).unwrap_or_default();
        let response = with_request_info(response, info);
        // Here once for everybody, as layers on the way want to see it.
        let mut response = match is_head || never_has_body(response.status()) {
            true => without_body(response),
            false => response,
        };
        response.headers_mut().insert(REQUEST_ID, id.header());
        Ok(response)
    }))
}

/// By what somebody who reports an error of this call can be told from others: its id, and the trace that it
/// is a part of, as the log has them.
pub fn request_info(call: &Call) -> rpc::RequestInfo {
    let trace = call.trace().map(|trace| format!("trace={trace}"));
    rpc::RequestInfo {
        request_id: call.id().to_string(),
        serving_data: trace.unwrap_or_default(),
    }
}

fn panicked() -> Response {
    let fault = Fault::new(Code::Internal, "INTERNAL", "internal error");
    Rejection::from(fault).into_response()
}

/// The id that came with a request; one that cannot be used is taken out of it, and so are several.
fn brought(request: &mut Request<Body>) -> Option<HeaderValue> {
    let headers = request.headers_mut();
    let mut ids = headers.get_all(REQUEST_ID).iter();
    let id = ids.next()?;
    let is_one = ids.next().is_none();
    let is_visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
    if is_one && is_visible && (1..=LONGEST).contains(&id.len()) {
        return Some(id.clone());
    }
    headers.remove(REQUEST_ID);
    None
}

/// Ids that sort by age, UUIDs of version 7 (RFC 9562, section 5.7): what this process drew once tells
/// them from those of others, and a count from each other.
fn made_up() -> Uuid {
    static OURS: LazyLock<[u8; 4]> = LazyLock::new(|| {
        let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
        [a, b, c, d]
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    let [a, b, c, d] = *OURS;
    let [_, _, e, f, g, h, i, j] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let millis = u64::try_from(millis).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &[a, b, c, d, e, f, g, h, i, j]).into_uuid()
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
