//! Bodies over HTTP/2 that nobody wants to read, as their request is refused. Dropped at once, what is
//! left of them is told off with RST_STREAM (RFC 9113, section 8.1), and clients that are still sending
//! may take that for the end and lose the answer: curl 7 does, now and then. So a little more is read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How much is read of what nobody wants, in bytes.
const MOST: usize = 64 * 1024;

/// How long that may take.
const LONGEST: Duration = Duration::from_secs(2);

/// A body that is not dropped before its sender is done with it, or has sent more than it should.
#[derive(Debug)]
pub struct Lingering(Body);

impl Lingering {
    pub fn new(body: Body) -> Self {
        Self(body)
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            // It is over.
            self.0 = Body::empty();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let body = std::mem::take(&mut self.0);
        if body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LONGEST, read_on(body)));
        }
    }
}

async fn read_on(mut body: Body) {
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, Bytes::len);
        if count > MOST {
            return;
        }
    }
}
