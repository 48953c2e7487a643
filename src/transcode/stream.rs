//! Server streaming: one JSON value for each message, as lines, as Server-Sent Events, or as one
//! array; or the bytes of one `google.api.HttpBody` after the other. A stream of JSON that fails
//! after its first message ends with a record that says so, one of bytes breaks off.

use std::convert::Infallible;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::HeaderValue;
use tokio::time::{Instant, sleep, timeout};

use super::negotiate::{JSON, SSE, kind_of};
use super::rejection::{LateInfo, Rejection, record};
use crate::proto::google::api::HttpBody;

/// The body of a streaming response in one of the formats of `negotiate`, to the request that is so known. Events begin after [`PAUSE`]
/// at the latest, with a comment, so that nobody takes a watch that has nothing to tell for dead.
///
/// # Errors
/// The first message's own status, where there is no first message, and the response has not begun.
pub async fn body<R: Send + 'static>(
    messages: impl Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    format: &'static str,
    encode: impl Fn(&R) -> Result<Vec<u8>, Rejection> + Send + 'static,
    info: LateInfo,
) -> Result<Body, Rejection> {
    let mut messages = Box::pin(messages.fuse());
    let patience = if format == SSE { PAUSE } else { Duration::MAX };
    let first = timeout(patience, messages.next()).await;
    let is_silent = first.is_err();
    let first = first.ok().flatten().transpose()?;
    let messages = stream::iter(first.map(Ok)).chain(messages);
    // The state: how many records went out, and whether the last of them was an error.
    let records = messages.scan((0, false), move |(count, failed), message| {
        if *failed {
            return ready(None);
        }
        let json = message.map(|message| encode(&message));
        *failed = !matches!(json, Ok(Ok(_)));
        let json = match json {
            Ok(Ok(json)) => json,
            Ok(Err(_)) => record(tonic::Status::internal("internal error"), &info),
            Err(status) => record(status, &info),
        };
        *count += 1;
        ready(Some(framed(format, &json, !*failed, *count == 1)))
    });
    let opening = match format {
        JSON => "[",
        _ if is_silent => COMMENT,
        _ => "",
    };
    let closing = if format == JSON { "]\n" } else { "" };
    let whole = stream::iter([Bytes::from(opening)])
        .chain(records)
        .chain(stream::iter([Bytes::from(closing)]))
        .filter(|record| ready(!record.is_empty()));
    if format == SSE {
        return Ok(body_of(with_heartbeat(whole)));
    }
    Ok(body_of(whole))
}

/// Messages that are bytes: the content type of the first, and all data after each other.
///
/// # Errors
/// The first message's own status, where there is no first message.
pub async fn raw<R: Send + 'static>(
    messages: impl Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    body: fn(R) -> Option<HttpBody>,
) -> Result<(HeaderValue, Body), Rejection> {
    let mut messages = Box::pin(messages.fuse());
    let first = messages.next().await.transpose()?;
    let first = first.and_then(body).unwrap_or_default();
    let kind = kind_of(&first)?;
    let rest = messages.map(move |message| {
        // The status is lost on HTTP, but that there was a failure is not.
        message
            .map(|message| body(message).unwrap_or_default().data)
            .inspect_err(|status| {
                tracing::warn!(%status, "a download broke off");
            })
    });
    let whole = stream::iter([Ok(first.data)]).chain(rest);
    Ok((kind, Body::from_stream(whole.map_ok(Bytes::from))))
}

/// How long a stream of events may be silent: proxies cut off what seems dead.
const PAUSE: Duration = Duration::from_secs(15);

/// An event of nothing (HTML standard, section 9.2.6).
const COMMENT: &str = ":\n\n";

/// The same frames, and a comment whenever none came for [`PAUSE`].
pub fn with_heartbeat(
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut frames = Box::pin(frames);
    let mut pause = Box::pin(sleep(PAUSE));
    stream::poll_fn(move |context| {
        let frame = frames.as_mut().poll_next(context);
        if frame.is_pending() {
            std::task::ready!(pause.as_mut().poll(context));
        }
        pause.as_mut().reset(Instant::now() + PAUSE);
        match frame {
            Poll::Pending => Poll::Ready(Some(Bytes::from_static(COMMENT.as_bytes()))),
            frame => frame,
        }
    })
}

/// Frames that cannot fail, as a body.
pub fn body_of(frames: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::from_stream(frames.map(Ok::<_, Infallible>))
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

#[cfg(test)]
mod tests {
    use super::super::negotiate::NDJSON;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_a_comment() {
        let start = Instant::now();
        let late = stream::once(async {
            sleep(PAUSE * 2 + PAUSE / 2).await;
            Bytes::from("late")
        });
        let frames = stream::iter([Bytes::from("now")]).chain(late);
        let told = with_heartbeat(frames).map(|frame| (frame, start.elapsed()));
        let told: Vec<_> = told.collect().await;
        let texts: Vec<&[u8]> = told.iter().map(|(frame, _)| frame.as_ref()).collect();
        assert_eq!(texts, [b"now".as_slice(), b":\n\n", b":\n\n", b"late"]);
        assert!(told[1].1 >= PAUSE && told[2].1 >= PAUSE * 2, "{told:?}");
    }

    fn encode(message: &u32) -> Result<Vec<u8>, Rejection> {
        Ok(message.to_string().into_bytes())
    }

    async fn text(body: Body) -> String {
        let frames = body.into_data_stream().map(|frame| frame.unwrap());
        let frames: Vec<Bytes> = frames.collect().await;
        String::from_utf8(frames.concat()).unwrap()
    }

    /// Who follows something that does not change has to learn that it is there.
    #[tokio::test(start_paused = true)]
    async fn events_begin_before_there_is_one() {
        let start = Instant::now();
        let late = |first: Result<u32, tonic::Status>| {
            stream::once(async {
                sleep(PAUSE + PAUSE / 2).await;
                first
            })
        };
        let begun = body(late(Ok(1)), SSE, encode, LateInfo::default())
            .await
            .unwrap();
        assert_eq!(start.elapsed(), PAUSE);
        assert_eq!(text(begun).await, ":\n\ndata: 1\n\n");
        let failed = late(Err(tonic::Status::not_found("gone")));
        let failed = text(
            body(failed, SSE, encode, LateInfo::default())
                .await
                .unwrap(),
        )
        .await;
        assert!(
            failed.starts_with(":\n\nevent: error\ndata: {\"error\":"),
            "{failed}"
        );
        let failed = late(Err(tonic::Status::not_found("gone")));
        assert!(
            body(failed, NDJSON, encode, LateInfo::default())
                .await
                .is_err()
        );
        let at_once = stream::iter([Err(tonic::Status::not_found("gone"))]);
        assert!(
            body(at_once, SSE, encode, LateInfo::default())
                .await
                .is_err()
        );
    }

    /// A stream may panic if it is asked again after its end.
    #[tokio::test]
    async fn a_stream_that_has_ended_is_not_asked_again() {
        let nothing = || stream::unfold((), |()| ready(None::<(Result<u32, tonic::Status>, ())>));
        for (format, expected) in [(NDJSON, ""), (JSON, "[]\n"), (SSE, "")] {
            let body = body(nothing(), format, encode, LateInfo::default())
                .await
                .unwrap();
            assert_eq!(text(body).await, expected, "{format}");
        }
        let (_, body) = raw(nothing(), |_| None).await.unwrap();
        assert_eq!(text(body).await, "");
    }

    #[tokio::test]
    async fn bytes_that_fail_break_off() {
        let piece = HttpBody {
            content_type: "text/csv".to_owned(),
            data: b"a,b".to_vec(),
            extensions: vec![],
        };
        let pieces = [Ok(piece), Err(tonic::Status::data_loss("torn"))];
        let (kind, body) = raw(stream::iter(pieces), Some).await.unwrap();
        assert_eq!(kind, "text/csv");
        let mut frames = body.into_data_stream();
        assert_eq!(frames.next().await.unwrap().unwrap(), "a,b");
        assert!(frames.next().await.unwrap().is_err());
    }
}
