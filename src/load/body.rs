//! A request's body that has to arrive in time. As long as more of it is waited for it is a wait
//! like any other. Knows nothing of what is in it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status};
use tower::BoxError;

use super::{Load, Usage, Wait};
use crate::fault::Fault;

/// The reason of a request whose body takes too long.
pub const BODY_TOO_SLOW: &str = "BODY_TOO_SLOW";

/// See [`Load::timely`]. What it fails with is the body's own error or a [`Status`].
#[derive(Debug)]
pub struct Timely<B> {
    body: B,
    load: Load,
    client: Option<Arc<Usage>>,
    outstanding: Option<Outstanding>,
    /// None as long as nothing had to be waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    wait: Option<Wait>,
}

/// How many bodies of requests on one connection are outstanding, each until it has ended or nobody
/// waits for it any more. Whoever accepts connections puts one into the extensions of a request, and
/// sees who has not sent all of it.
#[derive(Clone, Debug, Default)]
pub struct Outstanding(Arc<AtomicU32>);

impl Outstanding {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B> Timely<B> {
    pub(super) fn new(
        body: B,
        load: Load,
        client: Option<Arc<Usage>>,
        outstanding: Option<Outstanding>,
    ) -> Self {
        if let Some(Outstanding(count)) = &outstanding {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            body,
            load,
            client,
            outstanding,
            deadline: None,
            wait: None,
        }
    }

    /// It has ended.
    fn arrived(&mut self) {
        if let Some(Outstanding(count)) = self.outstanding.take() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// There is nothing to read yet.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if self.wait.is_none() {
            match self.load.wait(self.client.clone()) {
                Ok(wait) => self.wait = Some(wait),
                Err(fault) => return Poll::Ready(fault.into()),
            }
        }
        let Some(time) = self.load.body_time() else {
            return Poll::Pending;
        };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(deadline.as_mut().poll(context));
        let message = format!(
            "the request body did not arrive within {} s",
            time.as_secs()
        );
        let fault = Fault::new(Code::DeadlineExceeded, BODY_TOO_SLOW, message);
        Poll::Ready(fault.into())
    }
}

impl<B> Body for Timely<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                self.wait = None;
                if frame.is_none() || self.body.is_end_stream() {
                    self.arrived();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => self
                .wait(context)
                .map(|status| Some(Err(Box::new(status) as BoxError))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Timely<B> {
    fn drop(&mut self) {
        if let Some(Outstanding(count)) = &self.outstanding {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::Instant;

    use super::super::Bounds;
    use super::*;

    /// One byte every five seconds, without end.
    fn trickle() -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let bytes = stream::unfold((), async |()| {
            sleep(Duration::from_secs(5)).await;
            Some((Ok(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        StreamBody::new(Box::pin(bytes))
    }

    fn status(error: &BoxError) -> &Status {
        error.downcast_ref().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_off() {
        let bounds = Bounds {
            body_time: Duration::from_secs(12),
            ..Bounds::NONE
        };
        let began = Instant::now();
        let body = Load::new(bounds).timely(trickle(), None, None);
        let error = body.collect().await.unwrap_err();
        assert_eq!(status(&error).code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed().as_secs(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_one_of_its_clients_waits() {
        let bounds = Bounds {
            waits_per_client: 1,
            ..Bounds::NONE
        };
        let load = Load::new(bounds);
        let ada = load.client("ada".into());
        let mut first = load.timely(trickle(), Some(ada.clone()), None);
        let mut second = load.timely(trickle(), Some(ada.clone()), None);
        assert!(first.frame().now_or_never().is_none());
        let error = second.frame().await.unwrap().unwrap_err();
        assert_eq!(status(&error).code(), Code::ResourceExhausted);
        drop(first);
        assert!(second.frame().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_body_is_outstanding_until_it_has_ended() {
        let (load, outstanding) = (Load::default(), Outstanding::default());
        let begin = |body| load.timely(body, None, Some(outstanding.clone()));
        let full = || http_body_util::Full::new(Bytes::from_static(b"x"));
        let (mut first, second) = (begin(full()), begin(full()));
        assert_eq!(outstanding.count(), 2);
        first.frame().await.unwrap().unwrap();
        assert_eq!(outstanding.count(), 1);
        drop((first, second));
        assert_eq!(outstanding.count(), 0);
    }
}
