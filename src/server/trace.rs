//! Traces for an OpenTelemetry collector: a span for each request, with what the store did for it below.
//! A caller's own trace (W3C Trace Context) goes on here. Spans are made from what is noted of a call
//! once it is over, so that who is not traced pays nothing. Without the feature `otlp` nobody is.

#[cfg(not(feature = "otlp"))]
#[path = "trace/none.rs"]
mod none;
#[cfg(feature = "otlp")]
#[path = "trace/otlp.rs"]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use none::{Span, Traces};
#[cfg(feature = "otlp")]
pub use otlp::{Span, Traces};
