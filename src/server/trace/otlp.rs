//! Spans by the OpenTelemetry SDK, sent in batches by a thread of its own. Names and attributes are
//! those of OpenTelemetry's semantic conventions for HTTP and gRPC servers.

use std::time::{Instant, SystemTime};

use axum::body::Body;
use http::{HeaderMap, Request};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::Code;

use crate::auth::Peer;
use crate::call::Call;
use crate::server::observer::Outcome;
use crate::server::routes;

/// What this program is called among others.
const SERVICE: &str = "jumpstarter-gateway";

/// Where collectors take traces (OTLP 1.0, section OTLP/HTTP).
const PATH: &str = "v1/traces";

/// Where spans go.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// One request that is traced, until its end.
#[derive(Debug)]
pub struct Span {
    tracer: SdkTracer,
    span: opentelemetry_sdk::trace::Span,
}

impl Traces {
    /// Sends spans to a collector, of so large a part of all requests.
    ///
    /// # Errors
    /// The URL is none.
    pub fn to(collector: &str, ratio: f64) -> Result<Self, String> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/{PATH}", collector.trim_end_matches('/')))
            .build()
            .map_err(|error| error.to_string())?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(SERVICE)
            .with_attribute(version);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                ratio,
            ))))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer(SERVICE);
        Ok(Self { provider, tracer })
    }

    /// The span of a request, unless it is left out.
    pub fn begin(&self, request: &Request<Body>) -> Option<Span> {
        let headers = request.headers();
        let caller = match super::brought(headers) {
            Some(_) => TraceContextPropagator::new()
                .extract_with_context(&Context::new(), &Headers(headers)),
            None => Context::new(),
        };
        let (method, uri) = (request.method().as_str(), request.uri());
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("url.path", uri.path().to_owned()),
            KeyValue::new(
                "network.protocol.version",
                match request.version() {
                    http::Version::HTTP_2 => "2",
                    _ => "1.1",
                },
            ),
        ];
        if let Some(Peer(address)) = request.extensions().get() {
            attributes.push(KeyValue::new("client.address", address.to_string()));
        }
        let agent = request.headers().get(http::header::USER_AGENT);
        if let Some(agent) = agent.and_then(|agent| agent.to_str().ok()) {
            attributes.push(KeyValue::new("user_agent.original", agent.to_owned()));
        }
        let builder = self
            .tracer
            .span_builder(method.to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &caller);
        span.is_recording().then(|| Span {
            tracer: self.tracer.clone(),
            span,
        })
    }

    /// Sends what there is. Spans that end later are lost.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

impl Span {
    /// The trace that it is a part of, as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// The call is over.
    pub fn end(mut self, call: &Call, outcome: &Outcome) {
        self.submitted(call);
        let Self { mut span, .. } = self;
        let (first, second) = routes::names(call.route()).unwrap_or_default();
        let failed = if routes::is_rpc(call.route()) {
            let code = outcome.code.unwrap_or(Code::Ok);
            span.update_name(format!("{first}/{second}"));
            span.set_attribute(KeyValue::new("rpc.system", "grpc"));
            span.set_attribute(KeyValue::new("rpc.service", first));
            span.set_attribute(KeyValue::new("rpc.method", second));
            span.set_attribute(KeyValue::new("rpc.grpc.status_code", code as i64));
            is_servers_fault(code)
        } else {
            let status = i64::try_from(outcome.status).unwrap_or_default();
            span.update_name(format!("{first} {second}"));
            span.set_attribute(KeyValue::new("http.route", second));
            span.set_attribute(KeyValue::new("http.response.status_code", status));
            status >= 500
        };
        span.set_attribute(KeyValue::new("request.id", call.id().to_string()));
        if let Some(reason) = &outcome.reason {
            span.set_attribute(KeyValue::new("error.type", reason.clone()));
        }
        if failed {
            span.set_status(Status::error(outcome.reason.clone().unwrap_or_default()));
        }
        span.end();
    }

    /// What the store did for the call, as spans below its own.
    fn submitted(&mut self, call: &Call) {
        let Some(commit) = call.commit() else {
            return;
        };
        let below = |context: SpanContext| Context::new().with_remote_span_context(context);
        let span = |name: &'static str, began: Instant, context: &Context| {
            let builder = self.tracer.span_builder(name).with_start_time(time(began));
            self.tracer.build_with_context(builder, context)
        };
        let own = below(self.span.span_context().clone());
        let mut submit = span("store submit", commit.handed_in, &own);
        submit.set_attribute(KeyValue::new(
            "store.revision",
            commit.revision.cast_signed(),
        ));
        let mut keep = span(
            "store commit",
            commit.began,
            &below(submit.span_context().clone()),
        );
        keep.end_with_timestamp(time(commit.ended));
        submit.end_with_timestamp(time(commit.answered));
    }
}

/// When it was, by the wall clock as it is now.
fn time(instant: Instant) -> SystemTime {
    SystemTime::now() - instant.elapsed()
}

/// As the conventions have it for servers.
fn is_servers_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    let faults = [
        DataLoss,
        DeadlineExceeded,
        Internal,
        Unavailable,
        Unimplemented,
        Unknown,
    ];
    faults.contains(&code)
}

/// Where a caller says which trace it is in.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
