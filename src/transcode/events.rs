//! Following what a GET shows: the answer to `Accept: text/event-stream` of a unary method whose
//! route offers it ([`Route::followed`](super::Route::followed)). The method finds [`Follow`] among
//! its request's extensions, and puts [`Events`] into those of its response.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tonic::Status;

use super::deadline::Deadline;
use super::rejection::{LateInfo, record};
use super::stream::{body_of, with_heartbeat};

/// The sender of a request wants each change as it happens.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The id of the last event that it saw (`Last-Event-ID`), where it had been here before.
    pub last_event_id: Option<String>,
}

/// What happened, for a Server-Sent Event (HTML standard, section 9.2.5).
#[derive(Clone, Debug, Default)]
pub struct Event {
    id: Option<u64>,
    name: Option<&'static str>,
    /// JSON; nothing where no client is to see an event.
    data: Vec<u8>,
}

impl Event {
    /// An event that carries a message.
    ///
    /// # Errors
    /// INTERNAL where the message has no JSON form.
    pub fn new(message: &impl Serialize) -> Result<Self, Status> {
        let data = crate::proto::json::to_vec(message).map_err(|error| {
            tracing::error!(%error, "an event could not be written as JSON");
            Status::internal("internal error")
        })?;
        Ok(Self {
            data,
            ..Self::default()
        })
    }

    /// Nothing but an id: it moves the place to resume behind, and no client sees an event.
    #[must_use]
    pub fn bookmark(id: u64) -> Self {
        Self::default().with_id(id)
    }

    /// The same with a name (`event:`) other than `message`.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        let name = Some(name);
        Self { name, ..self }
    }

    /// The same with an id to resume behind.
    #[must_use]
    pub fn with_id(self, id: u64) -> Self {
        let id = Some(id);
        Self { id, ..self }
    }
}

impl Follow {
    /// What a call says of where to begin. What comes in several lines is one text with commas (RFC 9110,
    /// section 5.3), which is no id.
    pub(super) fn of<M>(call: &tonic::Request<M>) -> Self {
        let lines = call.metadata().get_all("last-event-id").iter();
        let lines: Vec<&str> = lines.map(|id| id.to_str().unwrap_or_default()).collect();
        Self {
            last_event_id: (!lines.is_empty()).then(|| lines.join(", ")),
        }
    }
}

type EventStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// The events of a response: those it begins with, and those to come. It ends with its first error.
/// Extensions must be `Clone` and `Sync`, which a stream is not: hence the lock, and whoever comes first
/// takes the stream out of it.
#[derive(Clone)]
pub struct Events(Arc<Mutex<Option<EventStream>>>);

impl Events {
    /// Events from a stream.
    pub fn new(stream: impl Stream<Item = Result<Event, Status>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(stream)))))
    }

    /// The events as the body of a response to the request that is so known.
    pub(super) fn into_body(self, deadline: Deadline, info: LateInfo) -> Body {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let events = deadline.bound(stream::iter(stream).flatten());
        let events = events.scan(false, |failed, event| {
            let ended = std::mem::replace(failed, event.is_err());
            ready((!ended).then_some(event))
        });
        body_of(with_heartbeat(
            events.map(move |event| framed(event, &info)),
        ))
    }
}

/// The lines of an event, and the empty one that ends it. JSON as we write it has no line breaks.
fn framed(event: Result<Event, Status>, info: &LateInfo) -> Bytes {
    let Event { id, name, data } = event.unwrap_or_else(|status| Event {
        id: None,
        name: Some("error"),
        data: [b"{\"error\":", record(status, info).as_slice(), b"}"].concat(),
    });
    let mut lines = Vec::with_capacity(data.len() + 64);
    if let Some(id) = id {
        lines.extend(format!("id: {id}\n").into_bytes());
    }
    if let Some(name) = name {
        lines.extend([b"event: ", name.as_bytes(), b"\n"].concat());
    }
    if !data.is_empty() {
        lines.extend(b"data: ");
        lines.extend(data);
        lines.push(b'\n');
    }
    lines.push(b'\n');
    lines.into()
}
