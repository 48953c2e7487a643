//! How long a requester is willing to wait, and what happens when that time is over. What is under
//! way is dropped then, as it is when the requester goes away.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, OptionFuture};
use futures_util::stream::poll_fn;
use futures_util::{FutureExt, Stream};
use http::{HeaderMap, HeaderName};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Code, Status};

use crate::fault::{Fault, Violation};

/// gRPC over HTTP/2: at most eight digits and a unit.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Seconds, with decimals if need be.
const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// When a call has to be over, if ever.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// It may take as long as it takes.
    pub const NONE: Self = Self(None);

    /// The deadline that a request's headers set, counted from now; the nearer one of two. None is
    /// further away than `longest`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the header that cannot be read.
    pub fn of(headers: &HeaderMap, longest: Duration) -> Result<Self, Fault> {
        let grpc = asked(headers, &GRPC_TIMEOUT, grpc_timeout)?;
        let seconds = asked(headers, &REQUEST_TIMEOUT, seconds)?;
        let nearest = grpc.into_iter().chain(seconds).min();
        let end = nearest.and_then(|time| Instant::now().checked_add(time.min(longest)));
        Ok(Self(end))
    }

    /// There is no time left.
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }

    /// Runs `call` until the deadline. If it has passed already, `call` is not polled at all.
    ///
    /// # Errors
    /// The call's own, or DEADLINE_EXCEEDED.
    pub fn hold<T, E: From<Status>>(
        self,
        call: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        match self.0 {
            None => Either::Left(call),
            Some(end) => {
                let call = OptionFuture::from((Instant::now() < end).then_some(call));
                Either::Right(timeout_at(end, call).map(|call| {
                    let in_time = call.ok().flatten();
                    in_time.unwrap_or_else(|| Err(exceeded().into()))
                }))
            }
        }
    }

    /// The same messages; those that do not come in time give way to DEADLINE_EXCEEDED.
    pub fn bound<T: Send + 'static>(
        self,
        messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
        let mut messages = Box::pin(messages);
        let mut end = self.0.map(|end| Box::pin(sleep_until(end)));
        poll_fn(move |context| {
            let over = end
                .as_mut()
                .is_some_and(|end| end.as_mut().poll(context).is_ready());
            if over {
                return Poll::Ready(Some(Err(exceeded())));
            }
            messages.as_mut().poll_next(context)
        })
    }
}

fn exceeded() -> Status {
    let message = "the call took longer than the request allowed";
    Fault::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message).into()
}

fn asked(
    headers: &HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Result<Duration, &'static str>,
) -> Result<Option<Duration>, Fault> {
    let mut lines = headers.get_all(name).iter();
    let Some(value) = lines.next() else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default();
    let time = match lines.next() {
        None => read(value).map_err(|rule| format!("{rule}, not `{value}`")),
        Some(_) => Err("must not be sent twice".to_owned()),
    };
    time.map(Some).map_err(|description| {
        let message = format!("{name}: {description}");
        let field = name.to_string();
        Fault::invalid_argument("INVALID_TIMEOUT", message)
            .with_violation(Violation { field, description })
    })
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: `250m` is a quarter of a second.
fn grpc_timeout(text: &str) -> Result<Duration, &'static str> {
    let rule = "must be one to eight digits and a unit: H, M, S, m, u or n";
    let unit = text.chars().next_back().ok_or(rule)?;
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return Err(rule);
    }
    let value: u64 = digits.parse().map_err(|_| rule)?;
    match unit {
        'H' => Ok(Duration::from_secs(value * 3600)),
        'M' => Ok(Duration::from_secs(value * 60)),
        'S' => Ok(Duration::from_secs(value)),
        'm' => Ok(Duration::from_millis(value)),
        'u' => Ok(Duration::from_micros(value)),
        'n' => Ok(Duration::from_nanos(value)),
        _ => Err(rule),
    }
}

/// `30` or `0.5`.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let rule = "must be a number of seconds such as 30 or 0.5";
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return Err(rule);
    }
    let number: f64 = text.parse().map_err(|_| rule)?;
    // More seconds than a Duration can hold are as good as its most.
    Ok(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn left(headers: &[(&'static str, &str)]) -> Result<Option<Duration>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let deadline = Deadline::of(&map, LONGEST).map_err(|fault| fault.to_string())?;
        Ok(deadline.0.map(|end| end - Instant::now()))
    }

    #[tokio::test(start_paused = true)]
    async fn both_headers_are_read_and_bounded() {
        type Case = (&'static [(&'static str, &'static str)], Option<Duration>);
        let cases: [Case; 8] = [
            (&[], None),
            (&[("grpc-timeout", "2S")], Some(Duration::from_secs(2))),
            (
                &[("grpc-timeout", "00000250m")],
                Some(Duration::from_millis(250)),
            ),
            (&[("grpc-timeout", "1M")], Some(LONGEST)),
            (&[("grpc-timeout", "99999999H")], Some(LONGEST)),
            (
                &[("x-request-timeout", "0.25")],
                Some(Duration::from_millis(250)),
            ),
            (
                &[("x-request-timeout", "99999999999999999999999")],
                Some(LONGEST),
            ),
            (
                &[("x-request-timeout", "3"), ("grpc-timeout", "5S")],
                Some(Duration::from_secs(3)),
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(left(headers), Ok(expected), "{headers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_time_is_refused() {
        for value in ["", "S", "5", "5 S", "-5S", "123456789S", "5s", "é"] {
            let error = left(&[("grpc-timeout", value)]).unwrap_err();
            assert!(
                error.starts_with("grpc-timeout: must be one to eight digits"),
                "{error}"
            );
        }
        for value in ["", "-1", "1s", "1.", ".5", "1e3", "NaN", "inf"] {
            let error = left(&[("x-request-timeout", value)]).unwrap_err();
            assert!(
                error.starts_with("x-request-timeout: must be a number"),
                "{error}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_and_a_stream_end_in_time() {
        let deadline = Deadline(Some(Instant::now() + Duration::from_secs(5)));
        let never = std::future::pending::<Result<(), Status>>();
        let status = deadline.hold(never).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let deadline = Deadline(Some(Instant::now() + Duration::from_secs(5)));
        let messages = stream::iter([Ok(1)]).chain(stream::pending());
        let mut messages = Box::pin(deadline.bound(messages));
        assert_eq!(messages.next().await.unwrap().unwrap(), 1);
        let status = messages.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let seven = Deadline(None).hold(async { Ok::<_, Status>(7) });
        assert_eq!(seven.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_already_is_not_begun() {
        for deadline in [Instant::now(), Instant::now() - Duration::from_secs(1)] {
            let mut begun = false;
            let call = async {
                begun = true;
                Ok::<_, Status>(())
            };
            let status = Deadline(Some(deadline)).hold(call).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert!(!begun);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        for time in ["1S", "2S"] {
            headers.append(GRPC_TIMEOUT, time.parse().unwrap());
        }
        let fault = Deadline::of(&headers, LONGEST).unwrap_err();
        assert!(fault.to_string().contains("twice"), "{fault}");
    }
}
