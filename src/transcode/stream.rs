//! Server streaming: one JSON value for each message, as lines, as Server-Sent Events, or as one
//! array. A stream that fails after its first message ends with a record that says so.

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, stream};

use super::negotiate::{JSON, SSE};
use super::rejection::{Rejection, record};

/// The body of a streaming response in one of the formats of `negotiate`.
///
/// # Errors
/// The first message's own status, where there is no first message.
pub async fn body<R: Send + 'static>(
    messages: impl Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    format: &'static str,
    encode: impl Fn(&R) -> Result<Vec<u8>, Rejection> + Send + 'static,
) -> Result<Body, Rejection> {
    let mut messages = Box::pin(messages);
    let first = match messages.next().await {
        None => None,
        Some(Ok(message)) => Some(Ok(message)),
        Some(Err(status)) => return Err(status.into()),
    };
    let messages = stream::iter(first).chain(messages);
    // The state: how many records went out, and whether the last of them was an error.
    let records = messages.scan((0, false), move |(count, failed), message| {
        if *failed {
            return ready(None);
        }
        let json = message.map(|message| encode(&message));
        *failed = !matches!(json, Ok(Ok(_)));
        let json = match json {
            Ok(Ok(json)) => json,
            Ok(Err(_)) => record(tonic::Status::internal("internal error")),
            Err(status) => record(status),
        };
        *count += 1;
        ready(Some(framed(format, &json, !*failed, *count == 1)))
    });
    let opening = if format == JSON { "[" } else { "" };
    let closing = if format == JSON { "]\n" } else { "" };
    let whole = stream::iter([Bytes::from(opening)])
        .chain(records)
        .chain(stream::iter([Bytes::from(closing)]));
    Ok(Body::from_stream(
        whole.map(Ok::<_, std::convert::Infallible>),
    ))
}

/// One record with what its format puts around it.
fn framed(format: &str, json: &[u8], ok: bool, first: bool) -> Bytes {
    let (before, after): (&[u8], &[u8]) = match (format, ok) {
        (SSE, true) => (b"data: ", b"\n\n"),
        (SSE, false) => (b"event: error\ndata: {\"error\":", b"}\n\n"),
        (JSON, true) => (b"", b""),
        (JSON, false) => (b"{\"error\":", b"}"),
        (_, true) => (b"", b"\n"),
        (_, false) => (b"{\"error\":", b"}\n"),
    };
    let comma: &[u8] = if format == JSON && !first { b"," } else { b"" };
    [comma, before, json, after].concat().into()
}
