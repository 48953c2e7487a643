//! Traces as a collector gets them.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::harness::{answer, client};
use crate::program::Program;
use crate::signal::signal;

const LAB: &str = "
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata: {name: board-1, labels: {board: rpi4}, annotations: {gateway.jumpstarter.dev/static: 'true'}}
";

/// A collector, and what it is sent.
async fn collector() -> (String, UnboundedReceiver<Bytes>) {
    let (sender, receiver) = unbounded_channel();
    let take = async move |body: Bytes| {
        let _ = sender.send(body);
    };
    let router = Router::new().route("/v1/traces", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let limits = jumpstarter_gateway::config::Limits::default();
        let (forever, grace) = (std::future::pending(), std::time::Duration::ZERO);
        jumpstarter_gateway::server::serve(listener, router, None, &limits, forever, grace).await;
    });
    (url, receiver)
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == name)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name}: {other:?}"),
    }
}

/// Ends the program, and returns what it has sent.
async fn spans(mut program: Program, mut sent: UnboundedReceiver<Bytes>) -> Vec<Span> {
    signal(&program.process, "-TERM");
    program.logged("stopped").await;
    let mut spans = vec![];
    while let Ok(bytes) = sent.try_recv() {
        let request = ExportTraceServiceRequest::decode(bytes).unwrap();
        for resource in request.resource_spans {
            let scopes = resource.scope_spans.into_iter();
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
    }
    spans
}

#[tokio::test]
async fn a_request_is_a_span_in_its_callers_trace() {
    let (url, sent) = collector().await;
    let program = Program::start(&["--no-auth", &format!("--traces={url}")], LAB);
    let leases = format!("{}/v1/namespaces/default/leases", program.url);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let request = client()
        .post(&leases)
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{trace}-{parent}-01"))
        .header("x-request-id", "mine")
        .body(r#"{"selector": "board=rpi4", "duration": "60s"}"#);
    assert_eq!(answer(request).await.status, 200);
    let left_out = client()
        .get(&leases)
        .header("traceparent", format!("00-{trace}-{parent}-00"));
    answer(left_out).await;
    answer(client().get(format!("{leases}/gone"))).await;
    let spans = spans(program, sent).await;
    let named = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "{name} is there twice: {spans:#?}");
        first.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    };
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let request = named("POST /v1/{parent=namespaces/*}/leases");
    let hexadecimal = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(hexadecimal(&request.trace_id), trace);
    assert_eq!(hexadecimal(&request.parent_span_id), parent);
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/v1/{parent=namespaces/*}/leases"),
        ("http.response.status_code", "200"),
        ("url.path", "/v1/namespaces/default/leases"),
        ("client.address", "127.0.0.1"),
        ("request.id", "mine"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(request, name).as_deref(), Some(value), "{name}");
    }
    let (submit, commit) = (named("store submit"), named("store commit"));
    assert_eq!(submit.parent_span_id, request.span_id);
    assert_eq!(commit.parent_span_id, submit.span_id);
    assert_eq!(hexadecimal(&commit.trace_id), trace);
    assert!(submit.end_time_unix_nano >= submit.start_time_unix_nano);
    let refused = named("GET /v1/{name=namespaces/*/leases/*}");
    assert_eq!(
        attribute(refused, "error.type").as_deref(),
        Some("LEASE_NOT_FOUND")
    );
    assert!(refused.parent_span_id.is_empty());
    assert_ne!(hexadecimal(&refused.trace_id), trace);
}

#[tokio::test]
async fn no_more_than_asked_for_is_traced_and_a_collector_that_is_away_does_no_harm() {
    let (url, sent) = collector().await;
    let flags = ["--no-auth", "--trace-ratio=0", &format!("--traces={url}")];
    let program = Program::start(&flags, LAB);
    answer(client().get(format!("{}/healthz", program.url))).await;
    let spans = spans(program, sent).await;
    assert!(spans.is_empty(), "{spans:#?}");

    let mut program = Program::start(&["--no-auth", "--traces=http://127.0.0.1:9"], LAB);
    let healthy = answer(client().get(format!("{}/healthz", program.url))).await;
    assert_eq!(healthy.status, 200);
    signal(&program.process, "-TERM");
    program.logged("stopped").await;
    assert!(program.process.wait().unwrap().success());
}
