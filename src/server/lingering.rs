//! Bodies that nobody wants to read, as their request is refused. Dropped at once, what is left of them
//! ends more than the request: over HTTP/2 it is told off with RST_STREAM (RFC 9113, section 8.1), and
//! clients that are still sending may take that for the end and lose the answer: curl 7 does, now and
//! then; over HTTP/1 the connection is closed. So a little more is read.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::call;

/// How much is read of what nobody wants, in bytes.
const MOST: u64 = 64 * 1024;

/// How long that may take.
const LONGEST: Duration = Duration::from_secs(2);

/// A body that is not dropped before its sender is done with it, has sent more than it should, or takes too
/// long. Where it is clear from the beginning that not all of it will be read, that is noted of the call.
#[derive(Debug)]
pub struct Lingering<B: LingeringBody> {
    /// None once it is over.
    body: Option<B>,
    /// Its sender waits to be told to go on (`Expect: 100-continue`), as it is once somebody reads.
    is_held_back: bool,
}

/// A body that can be read on by a task of its own.
pub trait LingeringBody: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> LingeringBody for B {}

impl<B: LingeringBody> Lingering<B> {
    pub fn new(body: B, is_held_back: bool) -> Self {
        Self {
            body: Some(body),
            is_held_back,
        }
    }
}

impl<B: LingeringBody> Body for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.is_held_back = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => self.body = None,
            Poll::Ready(Some(Err(_))) => {
                self.body = None;
                call::note_unread();
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = SizeHint::with_exact(0);
        self.body.as_ref().map_or(none, Body::size_hint)
    }
}

impl<B: LingeringBody> Drop for Lingering<B> {
    fn drop(&mut self) {
        let body = self.body.take().filter(|body| !body.is_end_stream());
        let Some(body) = body else {
            return;
        };
        if self.is_held_back || body.size_hint().lower() > MOST {
            call::note_unread();
        }
        if !self.is_held_back
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(LONGEST, read_on(body)));
        }
    }
}

async fn read_on(body: impl Body<Data = Bytes>) {
    let mut body = pin!(body);
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, |data| data.len() as u64);
        if count > MOST {
            return;
        }
    }
}
