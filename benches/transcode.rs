//! What the transcoder costs beside the network: `cargo bench --bench transcode`.
//!
//! From a path to its row, from a request to a typed message, and from a message to JSON; each
//! alone, through the library's public functions.

#![expect(clippy::unwrap_used, reason = "it measures nothing where it fails")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jumpstarter_gateway::proto::json;
use jumpstarter_gateway::proto::jumpstarter::client::v1 as client;
use jumpstarter_gateway::proto::jumpstarter::v1 as common;
use jumpstarter_gateway::proto::wkt::{Duration, Timestamp};
use jumpstarter_gateway::server;
use jumpstarter_gateway::transcode::{Binding, Matcher, bind};

const PATH: &str = "/v1/namespaces/default/leases/nightly-42";
const BODY: &[u8] =
    br#"{"selector":"board=rpi4,arch=arm64","duration":"1800s","tags":{"pipeline":"4711"}}"#;

fn matching(criterion: &mut Criterion) {
    let mut matcher = Matcher::default();
    for (index, binding) in server::bindings().enumerate() {
        matcher.insert(binding, index).unwrap();
    }
    criterion.bench_function("match GET lease", |bencher| {
        bencher.iter(|| *matcher.find("GET", black_box(PATH)).unwrap().route);
    });
}

fn binding(criterion: &mut Criterion) {
    let get = row("GetLease");
    criterion.bench_function("bind GET lease", |bencher| {
        let captures = ["namespaces/default/leases/nightly-42"];
        bencher.iter(|| {
            bind::<client::GetLeaseRequest>(get, black_box(captures).into_iter(), None, b"")
                .unwrap()
        });
    });
    let list = row("ListLeases");
    criterion.bench_function("bind GET list of leases", |bencher| {
        let query = Some("pageSize=100&filter=board%3Drpi4&onlyActive=false");
        bencher.iter(|| {
            let captures = ["namespaces/default"].into_iter();
            bind::<client::ListLeasesRequest>(list, captures, black_box(query), b"").unwrap()
        });
    });
    let create = row("CreateLease");
    criterion.bench_function("bind POST lease", |bencher| {
        bencher.iter(|| {
            let captures = ["namespaces/default"].into_iter();
            bind::<client::CreateLeaseRequest>(
                create,
                captures,
                Some("leaseId=nightly-42"),
                black_box(BODY),
            )
            .unwrap()
        });
    });
}

fn encoding(criterion: &mut Criterion) {
    let one = lease();
    let page = client::ListLeasesResponse {
        leases: vec![lease(); 100],
        ..Default::default()
    };
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(json::to_vec(&one).unwrap().len() as u64));
    group.bench_function("lease", |bencher| {
        bencher.iter(|| json::to_vec(black_box(&one)).unwrap())
    });
    group.throughput(Throughput::Bytes(json::to_vec(&page).unwrap().len() as u64));
    group.bench_function("list of 100 leases", |bencher| {
        bencher.iter(|| json::to_vec(black_box(&page)).unwrap())
    });
    group.finish();
}

/// The row of a method of `ClientService`.
fn row(method: &str) -> &'static Binding {
    let mut bindings = server::bindings();
    bindings
        .find(|binding| binding.rpc.ends_with(&format!("/{method}")))
        .unwrap()
}

/// A lease that holds an exporter, as the service shows it.
fn lease() -> client::Lease {
    let text = |text: &str| Some(text.to_owned());
    client::Lease {
        name: "namespaces/default/leases/nightly-42".to_owned(),
        selector: "arch=arm64,board=rpi4".to_owned(),
        duration: Some(Duration {
            seconds: 1800,
            nanos: 0,
        }),
        effective_duration: Some(Duration {
            seconds: 61,
            nanos: 250_000_000,
        }),
        effective_begin_time: Some(Timestamp {
            seconds: 1_800_000_000,
            nanos: 123_456_789,
        }),
        client: text("namespaces/default/clients/demo"),
        exporter: text("namespaces/default/exporters/rpi4-01"),
        conditions: vec![common::Condition {
            r#type: text("Ready"),
            status: text("True"),
            observed_generation: Some(1),
            last_transition_time: Some(common::Time {
                seconds: Some(1_800_000_000),
                nanos: Some(0),
            }),
            reason: text("Ready"),
            message: text("An exporter has been acquired for the client"),
        }],
        tags: [("pipeline".to_owned(), "4711".to_owned())].into(),
        ..Default::default()
    }
}

criterion_group!(benches, matching, binding, encoding);
criterion_main!(benches);
