//! `/metrics`: what is counted, how often, and that the papers tell of all of it and of nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jumpstarter_gateway::proto::jumpstarter::client::v1::client_service_client::ClientServiceClient;
use jumpstarter_gateway::proto::jumpstarter::client::v1::{GetLeaseRequest, ListLeasesRequest};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Gateway, answer, client};
use crate::program::Program;

const LEASES: &str = "/v1/namespaces/default/leases";
const ROW: &str = "/v1/{parent=namespaces/*}/leases";
const ONE: &str = "/v1/{name=namespaces/*/leases/*}";

const LAB: &str = "
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata: {name: board-1, labels: {board: rpi4}, annotations: {gateway.jumpstarter.dev/static: 'true'}}
";

/// Every line with a number, and the number.
async fn samples(gateway: &Gateway) -> BTreeMap<String, f64> {
    let page = gateway.get("/metrics").await;
    assert_eq!(
        page.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let lines = page.text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, number) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    });
    samples.collect()
}

/// How often routes were answered so.
fn answered(samples: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
    let prefixes = [
        "jumpstarter_gateway_http_requests_total",
        "jumpstarter_gateway_grpc_requests_total",
    ];
    let own = samples.iter().filter_map(|(name, count)| {
        let labels = prefixes
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))?;
        Some((labels, *count))
    });
    own.collect()
}

#[tokio::test]
async fn each_call_counts_once_whichever_way_it_takes() {
    let gateway = Gateway::demo().await;
    gateway.get(LEASES).await;
    answer(
        gateway
            .request("GET", LEASES)
            .header("accept-encoding", "gzip"),
    )
    .await;
    gateway.send("HEAD", LEASES).await;
    gateway.get("/v1/namespaces/default/leases/gone").await;
    gateway.send("PUT", LEASES).await;
    gateway.send("BREW", "/coffee").await;
    gateway.get("/openapi.json").await;
    gateway.get("/readyz").await;
    let channel = Endpoint::new(gateway.url(""))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut grpc = ClientServiceClient::new(channel.clone());
    let name = "namespaces/default/leases/gone".to_owned();
    grpc.get_lease(GetLeaseRequest { name }).await.unwrap_err();
    grpc.list_leases(ListLeasesRequest::default())
        .await
        .unwrap_err();
    let mut health = HealthClient::new(channel);
    health.check(HealthCheckRequest::default()).await.unwrap();
    let samples = samples(&gateway).await;
    let service = "grpc_service=\"jumpstarter.client.v1.ClientService\"";
    let http = |method: &str, route: &str, status: u16| {
        format!("{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
    };
    let expected = [
        (http("GET", ROW, 200), 3.0),
        (http("GET", ONE, 404), 1.0),
        (http("PUT", "unknown", 405), 1.0),
        (http("other", "unknown", 404), 1.0),
        (http("GET", "documentation", 200), 1.0),
        (http("GET", "health", 200), 1.0),
        (
            format!("{{{service},grpc_method=\"GetLease\",grpc_code=\"NOT_FOUND\"}}"),
            1.0,
        ),
        (
            format!("{{{service},grpc_method=\"ListLeases\",grpc_code=\"INVALID_ARGUMENT\"}}"),
            1.0,
        ),
        (
            "{grpc_service=\"other\",grpc_method=\"other\",grpc_code=\"OK\"}".to_owned(),
            1.0,
        ),
    ];
    let expected: BTreeMap<&str, f64> = expected
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(answered(&samples), expected);
    let duration = format!(
        "jumpstarter_gateway_http_request_duration_seconds_count{{method=\"GET\",route=\"{ROW}\"}}"
    );
    assert_eq!(samples[&duration], 3.0);
    assert_eq!(samples["jumpstarter_gateway_requests_in_flight"], 1.0);
    assert!(samples["jumpstarter_gateway_connections"] >= 1.0);
}

#[tokio::test]
async fn leases_are_counted_by_what_becomes_of_them() {
    let gateway = Gateway::demo().await;
    let wish = r#"{"exporterName": "rpi4-01", "duration": "60s"}"#;
    let first = gateway.lease(wish).await;
    let second = gateway.lease(wish).await;
    gateway
        .lease(r#"{"selector": "board=none", "duration": "60s"}"#)
        .await;
    let later =
        r#"{"selector": "board=rpi4", "duration": "60s", "beginTime": "2999-01-01T00:00:00Z"}"#;
    gateway.lease(later).await;
    let expect = async |expected: &[(&str, f64)]| {
        let samples = samples(&gateway).await;
        for (name, number) in expected {
            assert_eq!(samples.get(*name), Some(number), "{name} in {samples:#?}");
        }
    };
    expect(&[
        ("jumpstarter_leases{state=\"scheduled\"}", 1.0),
        ("jumpstarter_leases{state=\"pending\"}", 1.0),
        ("jumpstarter_leases{state=\"ready\"}", 1.0),
        ("jumpstarter_leases{state=\"ended\"}", 1.0),
        ("jumpstarter_lease_queue_length", 1.0),
        ("jumpstarter_leases_created_total", 4.0),
        (
            "jumpstarter_lease_acquisitions_total{result=\"success\"}",
            1.0,
        ),
        (
            "jumpstarter_lease_acquisitions_total{result=\"failure\"}",
            1.0,
        ),
        ("jumpstarter_leases_ended_total{reason=\"refused\"}", 1.0),
        ("jumpstarter_exporters{status=\"leased\"}", 1.0),
        ("jumpstarter_lease_wait_seconds_count", 1.0),
        ("jumpstarter_lease_hold_seconds_count", 0.0),
        (
            "jumpstarter_gateway_commits_total{outcome=\"committed\"}",
            5.0,
        ),
        ("jumpstarter_gateway_commit_commands_count", 5.0),
    ])
    .await;
    for lease in [&first, &second] {
        let name = lease["name"].as_str().unwrap();
        gateway.send("DELETE", &format!("/v1/{name}")).await;
    }
    expect(&[
        ("jumpstarter_lease_queue_length", 0.0),
        (
            "jumpstarter_lease_acquisitions_total{result=\"success\"}",
            2.0,
        ),
        ("jumpstarter_leases_ended_total{reason=\"released\"}", 2.0),
        ("jumpstarter_lease_wait_seconds_count", 2.0),
        ("jumpstarter_lease_hold_seconds_count", 2.0),
        ("jumpstarter_exporters{status=\"leased\"}", 0.0),
    ])
    .await;
}

#[tokio::test]
async fn what_waits_is_shown_and_is_not_slow() {
    let gateway = Gateway::demo().await;
    let wish = r#"{"exporterName": "rpi4-01", "duration": "60s"}"#;
    let first = gateway.lease(wish).await;
    let create = gateway
        .request("POST", LEASES)
        .header("content-type", "application/json");
    let waiting = tokio::spawn(answer(create.header("prefer", "wait=300").body(wish)));
    while samples(&gateway).await["jumpstarter_gateway_watchers"] < 1.0 {
        tokio::task::yield_now().await;
    }
    let name = first["name"].as_str().unwrap();
    gateway.send("DELETE", &format!("/v1/{name}")).await;
    assert_eq!(waiting.await.unwrap().status, 200);
    let samples = samples(&gateway).await;
    let post = format!("method=\"POST\",route=\"{ROW}\"");
    let answers =
        &samples[&format!("jumpstarter_gateway_http_requests_total{{{post},status=\"200\"}}")];
    let timed =
        &samples[&format!("jumpstarter_gateway_http_request_duration_seconds_count{{{post}}}")];
    assert_eq!((*answers, *timed), (2.0, 1.0));
}

#[tokio::test]
async fn who_asks_for_openmetrics_gets_it() {
    let gateway = Gateway::demo().await;
    let asked = gateway
        .request("GET", "/metrics")
        .header("accept", "application/openmetrics-text");
    let page = answer(asked).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(page.header("content-type"), kind);
    assert!(page.text.ends_with("# EOF\n"), "{}", page.text);
    assert!(
        page.text
            .contains("# TYPE jumpstarter_lease_acquisitions counter\n"),
        "{}",
        page.text
    );
}

/// Everything that there can be: TLS, a directory, an audit log.
#[tokio::test]
async fn the_papers_the_dashboard_and_the_alerts_agree_with_the_program() {
    let flags = [
        "--data=FOLDER/data",
        "--tls-self-signed",
        "--audit=FOLDER/audit",
        "--metrics-listen=127.0.0.1:0",
    ];
    let mut program = Program::start(&flags, LAB);
    let line = program.logged("metrics are served at").await;
    let url = line
        .split(' ')
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let page = answer(client().get(url)).await;
    let types = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let found: BTreeMap<&str, &str> = types.filter_map(|line| line.split_once(' ')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let papers = read("docs/monitoring.md");
    let rows = papers.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let kind = rest.split(' ').next()?;
        ["counter", "gauge", "histogram"]
            .contains(&kind)
            .then_some((name, kind))
    });
    assert_eq!(
        rows.collect::<BTreeMap<_, _>>(),
        found,
        "docs/monitoring.md and /metrics"
    );
    let alerts = read("deploy/monitoring/alerts.yaml");
    for name in [
        "deploy/monitoring/dashboard.json",
        "deploy/monitoring/alerts.yaml",
    ] {
        let unknown: BTreeSet<String> = metrics_in(&read(name))
            .into_iter()
            .filter(|name| {
                let histogram = ["_bucket", "_count", "_sum"];
                let base = histogram.iter().find_map(|end| name.strip_suffix(end));
                let is_part = base.is_some_and(|base| found.get(base) == Some(&"histogram"));
                !is_part && !found.contains_key(name.as_str())
            })
            .collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}");
    }
    for alert in alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(
            papers.contains(&format!("\n### {alert}\n")),
            "docs/monitoring.md: {alert}"
        );
        let anchor = format!("docs/monitoring.md#{}\n", alert.to_lowercase());
        assert!(alerts.contains(&anchor), "no runbook {anchor}");
    }
    let end = page
        .text
        .lines()
        .find(|line| line.starts_with("jumpstarter_gateway_certificate_end"));
    let end: f64 = end
        .unwrap()
        .split(' ')
        .next_back()
        .unwrap()
        .parse()
        .unwrap();
    assert!(end > 2e9, "a certificate that ends at {end}");
}

/// Everything in a text that looks like the name of a metric.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words =
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let own = words.filter(|word| word.starts_with("jumpstarter_") || word.starts_with("process_"));
    own.map(str::to_owned).collect()
}
