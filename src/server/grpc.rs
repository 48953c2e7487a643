//! What native gRPC gets beside what tonic does: deadlines that hold, errors that tell the id of
//! their request, as over REST, and paths that nothing but gRPC gets through.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, header};
use prost::Message as _;
use tonic::{Code, Status};

use super::identify::request_info;
use super::refusals::not_grpc;
use super::routes;
use crate::call;
use crate::fault::{self, Fault};
use crate::transcode::{BODY_TOO_LARGE, Deadline, wrong_method};

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
    refusal(Fault::new(Code::Unimplemented, "UNKNOWN_RPC", message))
}

/// A refusal as gRPC has it.
pub fn refusal(refused: impl Into<Status>) -> Response {
    explained(refused.into().into_http())
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
        _ => explained(response),
    }
}

/// A call, but for no longer than its `grpc-timeout` allows, and `longest` at most.
pub async fn native(longest: Duration, request: Request, next: Next) -> Response {
    match Deadline::of(request.headers(), longest) {
        Ok(deadline) => deadline.hold(async { Ok(next.run(request).await) }).await,
        Err(fault) => Err(fault.into()),
    }
    .unwrap_or_else(Status::into_http)
}

/// Gives an error that comes before any message the shape that all have: a reason, which is its code where
/// tonic found it, and the id of the request.
fn explained(mut response: Response) -> Response {
    let status = Status::from_header_map(response.headers());
    let Some(status) = status.filter(|status| status.code() != Code::Ok) else {
        return response;
    };
    // What tonic says of a message that is too long to be read.
    let is_too_long = status.code() == Code::OutOfRange
        && status
            .message()
            .contains("decoded message length too large");
    let mut proto = match is_too_long {
        true => Fault::new(Code::ResourceExhausted, BODY_TOO_LARGE, status.message()).into_proto(),
        false => fault::proto_of(&status),
    };
    if let Some(info) = call::present(request_info) {
        fault::tell_request(&mut proto, &info);
    }
    let (code, details) = (Code::from_i32(proto.code), proto.encode_to_vec());
    let told = Status::with_details(code, proto.message, details.into());
    if let Err(error) = told.add_header(response.headers_mut()) {
        tracing::error!(%error, "an error could not be told with its request");
    }
    response
}
