//! Following what a GET shows: the answer to `Accept: text/event-stream` of a unary method that
//! offers it. The method finds [`Follow`] among its request's extensions, and puts [`Events`] into
//! those of its response; methods that know nothing of it answer once, as ever.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tonic::Status;

use super::rejection::record;

/// The sender of a request wants each change as it happens.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The id of the last event that it saw (`Last-Event-ID`), where it had been here before.
    pub last_event_id: Option<String>,
}

/// What happened, for a Server-Sent Event.
#[derive(Clone, Debug)]
pub struct Event {
    id: String,
    name: Option<&'static str>,
    json: Vec<u8>,
}

impl Event {
    /// An event with an id to resume behind.
    ///
    /// # Errors
    /// INTERNAL where the message has no JSON form.
    pub fn new(id: impl Into<String>, message: &impl Serialize) -> Result<Self, Status> {
        let json = crate::proto::json::to_vec(message).map_err(|error| {
            tracing::error!(%error, "an event could not be written as JSON");
            Status::internal("internal error")
        })?;
        Ok(Self { id: id.into(), name: None, json })
    }

    /// The same with a name (`event:`) other than `message`.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }
}

type EventStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// The events of a response: those it begins with, and those to come. It ends with its first error.
#[derive(Clone)]
pub struct Events(Arc<Mutex<Option<EventStream>>>);

impl Events {
    /// Events from a stream.
    pub fn new(stream: impl Stream<Item = Result<Event, Status>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(stream)))))
    }

    /// The events as the body of a response.
    pub(super) fn into_body(self) -> Body {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failed = futures_util::stream::iter(stream).flatten().scan(false, |failed, event| {
            let ended = std::mem::replace(failed, event.is_err());
            futures_util::future::ready((!ended).then_some(event))
        });
        Body::from_stream(failed.map(|event| Ok::<_, Infallible>(framed(event))))
    }
}

/// The lines of an event (HTML standard, section 9.2.5). JSON as we write it has no line breaks.
fn framed(event: Result<Event, Status>) -> Bytes {
    let mut lines = vec![];
    match event {
        Ok(Event { id, name, json }) => {
            lines.extend([b"id: ", id.as_bytes(), b"\n"].concat());
            if let Some(name) = name {
                lines.extend([b"event: ", name.as_bytes(), b"\n"].concat());
            }
            lines.extend([b"data: ", json.as_slice()].concat());
        }
        Err(status) => lines.extend([b"event: error\ndata: {\"error\":", record(status).as_slice(), b"}"].concat()),
    }
    lines.extend(b"\n\n");
    lines.into()
}
