//! What native gRPC gets beside what tonic does: deadlines that hold, errors that tell the id of
//! their request, as over REST, and paths that nothing but gRPC gets through.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, header};
use prost::Message as _;
use tonic::{Code, Status};

use super::refusals::not_grpc;
use super::routes;
use crate::call;
use crate::fault::{self, Fault};
use crate::proto::google::rpc;
use crate::transcode::{Deadline, wrong_method};

/// The request is a gRPC call: a POST of `application/grpc`, whose messages are encoded as protobuf has
/// them (gRPC over HTTP/2, "Requests"). gRPC-Web is something else.
pub fn is_grpc<B>(request: &http::Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let rest = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    let rest = rest.map(|rest| rest.strip_prefix(b"+proto").unwrap_or(rest));
    request.method() == Method::POST
        && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b';')))
}

/// What is answered to a call of an rpc that there is not.
pub fn unknown_rpc(path: &str) -> Response {
    let message = format!("there is no rpc {path}");
    let fault = Fault::new(Code::Unimplemented, "UNKNOWN_RPC", message);
    let mut response = Status::from(fault).into_http();
    tell_request_id(response.headers_mut());
    response
}

/// Refuses what is not gRPC on a path that is: tonic looks at neither the method nor the content
/// type, and a web page of any origin may send text without asking first. Of an rpc that a service
/// lacks tonic says only that it is UNIMPLEMENTED, so it is told here.
pub async fn only(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return wrong_method(request.method(), request.uri().path(), &["POST"]);
    }
    if !is_grpc(&request) {
        return not_grpc();
    }
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    match response.headers().get(Status::GRPC_STATUS) {
        Some(code) if code == "12" && !routes::has_rpc(&path) => unknown_rpc(&path),
        _ => response,
    }
}

/// A call, but for no longer than its `grpc-timeout` allows, and `longest` at most.
pub async fn native(longest: Duration, request: Request, next: Next) -> Response {
    let mut response = match Deadline::of(request.headers(), longest) {
        Ok(deadline) => deadline.hold(async { Ok(next.run(request).await) }).await,
        Err(fault) => Err(fault.into()),
    }
    .unwrap_or_else(Status::into_http);
    tell_request_id(response.headers_mut());
    response
}

/// Adds `google.rpc.RequestInfo` to the details of an error that comes before any message.
fn tell_request_id(headers: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(headers).filter(|one| one.code() != Code::Ok) else {
        return;
    };
    let Ok(mut proto) = rpc::Status::decode(status.details()) else {
        return;
    };
    proto.code = status.code() as i32;
    status.message().clone_into(&mut proto.message);
    let id = call::present(|call| call.id().to_string());
    fault::tell_request_id(&mut proto, &id.unwrap_or_default());
    let details = proto.encode_to_vec().into();
    let told = Status::with_details(status.code(), status.message(), details);
    if let Err(error) = told.add_header(headers) {
        tracing::error!(%error, "an error could not be told with its request id");
    }
}
