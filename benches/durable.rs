//! What it costs to keep leases on disk: `cargo bench --bench durable`.
//!
//! A durable create against one sync of the same disk; two gateways, one in memory and one on disk,
//! under the same load in turns; and the start with a million leases. The files lie in the folder
//! that `TMPDIR` names, else where the system has its temporary files: name a disk, not memory.
//! `cargo bench --bench durable -- start` measures that part alone; the others are `single` and
//! `parallel`.
//! BENCHMARKS.md tells what came out.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it measures nothing where it fails, and prints a table"
)]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration as Span, Instant};

use jumpstarter_gateway::lease::{
    Change, Client, Command, CreateLease, Duration, Exporter, ExporterStatus, Labels, Lease, Name,
    Record, ReleaseLease, Selector, Settings, Timestamp,
};
use jumpstarter_gateway::store::embedded::{self, DATABASE};
use jumpstarter_gateway::store::{Embedded, Engine, Memory, Store};
use support::load::{self, Position};
use support::server::Server;
use tokio::runtime::Builder;

const CONNECTIONS: usize = 64;
/// Odd, so that there is a median.
const ROUNDS: usize = 15;
/// Requests over one connection in one round, half of them creations, half releases.
const EACH: usize = 100;
const SINGLE: usize = 500;
const MANY: usize = 1_000_000;

fn main() {
    let parts: [(&str, fn()); 3] = [("single", single), ("parallel", parallel), ("start", start)];
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    for (_, measure) in parts.iter().filter(|(name, _)| name.contains(&wanted)) {
        measure();
    }
}

/// One client, one create after another, each with a sync of a file of our own in between.
fn single() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Embedded::open(&folder.path().join("data"), 1).unwrap();
    let file = File::create(folder.path().join("file")).unwrap();
    let block = vec![7; 4_096];
    for index in 0..1_000 {
        file.write_all_at(&block, index * 4_096).unwrap();
    }
    file.sync_all().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut kept, mut fleeting, mut syncs) = (vec![], vec![], vec![]);
    runtime.block_on(async {
        let durable = furnished(engine).await;
        let memory = furnished(Memory::default()).await;
        for index in 0..SINGLE {
            kept.push(create(&durable, index).await);
            fleeting.push(create(&memory, index).await);
            let started = Instant::now();
            file.write_all_at(&block, (index % 1_000) as u64 * 4_096)
                .unwrap();
            file.sync_data().unwrap();
            syncs.push(micros(started.elapsed()));
        }
    });
    let (kept, fleeting, sync) = (median(&mut kept), median(&mut fleeting), median(&mut syncs));
    println!("One client, {SINGLE} creations, median");
    println!("  4 KiB written and synced (fdatasync)   {sync:>8.0} µs");
    println!(
        "  create, durable                        {kept:>8.0} µs   {:.2} syncs",
        kept / sync
    );
    println!("  create, in memory                      {fleeting:>8.0} µs\n");
}

/// Many clients over HTTP, the two gateways in turns, on as many threads as `serve` would have.
fn parallel() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Embedded::open(folder.path(), 1).unwrap();
    let durable = Server::gateway(Builder::new_multi_thread(), engine, CONNECTIONS);
    let memory = Server::gateway(Builder::new_multi_thread(), Memory::default(), CONNECTIONS);
    let run = |server: &Server, round| {
        let took = load::run(server.address, CONNECTIONS, round, EACH, request);
        (EACH * CONNECTIONS) as f64 / took.as_secs_f64()
    };
    let (mut kept, mut fleeting, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let (durable, memory) = (run(&durable, round), run(&memory, round));
        // The first one warms up.
        if round > 0 {
            kept.push(durable);
            fleeting.push(memory);
            ratios.push(durable / memory);
        }
    }
    println!(
        "{CONNECTIONS} clients over HTTP, a lease created and released again, median of {ROUNDS} rounds"
    );
    println!("  in memory  {:>8.0} requests/s", median(&mut fleeting));
    println!(
        "  durable    {:>8.0} requests/s   {:.2}\n",
        median(&mut kept),
        median(&mut ratios)
    );
}

/// The start over a database with many leases, most of which have ended.
fn start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let leases: Vec<Change> = (0..MANY).map(|index| Change::Put(lease(index))).collect();
    embedded::create(&path, 1, |database| {
        database.write(2, &furniture())?;
        database.write(3, &leases)
    })
    .unwrap();
    drop(leases);
    let size = path.metadata().unwrap().len() / 1_000_000;
    println!("{MANY} leases in a file of {size} MB");
    report("  start after a stop   ", folder.path());
    // As it is after a crash: the file of an engine that nobody closed.
    let left = tempfile::tempdir().unwrap();
    let engine = Embedded::open(folder.path(), 1).unwrap();
    std::fs::copy(&path, left.path().join(DATABASE)).unwrap();
    drop(engine);
    report("  start after a crash  ", left.path());
}

fn report(title: &str, directory: &Path) {
    let started = Instant::now();
    let engine = Embedded::open(directory, 1).unwrap();
    let checked = started.elapsed();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(store(engine));
    let took = started.elapsed();
    let there = store.read(|book, _| book.records().count());
    assert!(there > MANY, "{there} records");
    println!(
        "{title}{:>6.1} s, of which the check of the file {:.1} s",
        took.as_secs_f64(),
        checked.as_secs_f64()
    );
}

async fn store(engine: impl Engine) -> Store {
    let clock = || {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::new(
            since.as_secs().cast_signed(),
            since.subsec_nanos().cast_signed(),
        )
    };
    Store::open(engine, Settings::default(), Arc::new(clock))
        .await
        .unwrap()
}

/// A store with one board and its client.
async fn furnished(mut engine: impl Engine) -> Store {
    let base = engine.load().await.unwrap().revision;
    engine.commit(base, &furniture()).await.unwrap();
    store(engine).await
}

/// How long it takes to create a lease that is granted at once, in microseconds. It is released
/// again, which does not count.
async fn create(store: &Store, index: usize) -> f64 {
    let name = name(&format!("lease-{index}"));
    let create = Command::CreateLease(CreateLease {
        name: name.clone(),
        named: true,
        client: "ada".into(),
        selector: "board=rpi4".to_owned(),
        exporter_name: None,
        allow_disabled: false,
        begin: None,
        end: None,
        duration: Some(Duration::from_seconds(1_800)),
        tags: Labels::default(),
        context: Labels::default(),
        if_revision: None,
    });
    let started = Instant::now();
    store.submit(create).await.unwrap();
    let took = micros(started.elapsed());
    let release = ReleaseLease {
        name,
        caller: "ada".into(),
        if_revision: None,
    };
    store.submit(Command::ReleaseLease(release)).await.unwrap();
    took
}

fn furniture() -> Vec<Change> {
    let exporter = Exporter {
        name: name("board"),
        labels: Labels::from([("board", "rpi4")]),
        enabled: true,
        is_static: true,
        registered: false,
        status: ExporterStatus::Unspecified,
        status_message: String::new(),
        last_seen: None,
        revision: 2,
    };
    let client = Client {
        name: name("ada"),
        labels: Labels::default(),
        username: None,
        uid: None,
        provisioned: false,
        revision: 2,
    };
    vec![
        Change::Put(Record::Exporter(Arc::new(exporter))),
        Change::Put(Record::Client(Arc::new(client))),
    ]
}

/// A lease that has ended an hour ago.
fn lease(index: usize) -> Record {
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs()
        .cast_signed();
    let at = |ago: i64| Timestamp::new(now - ago, i32::try_from(index % 1_000).unwrap());
    let waiting = Lease {
        name: name(&format!("lease-{index:08}")),
        client: "ada".into(),
        selector: Arc::new(Selector::parse("board=rpi4").unwrap()),
        exporter_name: None,
        allow_disabled: false,
        begin: None,
        end: None,
        duration: Some(Duration::from_seconds(1_800)),
        tags: Labels::from([("job", index.to_string().as_str())]),
        context: Labels::default(),
        created: at(7_200),
        released: true,
        exporter: Some("board".into()),
        effective_begin: Some(at(7_200)),
        ended: Some(at(3_600)),
        conditions: vec![],
        generation: 2,
        revision: 3,
    };
    Record::Lease(Arc::new(waiting))
}

fn name(id: &str) -> Name {
    Name::new("lab", id)
}

/// Each connection has a board to itself, so that every lease is granted at once.
fn request(position: Position, buffer: &mut Vec<u8>) {
    let Position {
        round,
        connection,
        index,
    } = position;
    let lease = format!("made-{round}-{connection}-{}", index / 2);
    let path = "/v1/namespaces/default/leases";
    if index % 2 == 1 {
        write!(
            buffer,
            "DELETE {path}/{lease} HTTP/1.1\r\nhost: gateway\r\n\r\n"
        )
        .unwrap();
        return;
    }
    let body = format!(r#"{{"exporterName":"board-{connection}","duration":"1800s"}}"#);
    write!(
        buffer,
        "POST {path}?leaseId={lease} HTTP/1.1\r\nhost: gateway\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

fn micros(span: Span) -> f64 {
    span.as_secs_f64() * 1e6
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
