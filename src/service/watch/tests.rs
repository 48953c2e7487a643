//! What a watch does when nobody reads, when nothing happens, and when the server stops.

use tokio::sync::watch::Sender;

use super::*;
use crate::lab;
use crate::lease::{Command, CreateLease, Duration as Span, ReleaseLease};
use crate::load::Load;
use crate::service::LabelRules;
use crate::store::Memory;

async fn store() -> Store {
    let clock = Arc::new(|| Timestamp::new(1_000_000, 0));
    let store = Store::open(Memory::default(), Settings::default(), clock)
        .await
        .unwrap();
    let lab = lab::demo().unwrap().into_command();
    store.submit(lab).await.unwrap();
    store
}

async fn create(store: &Store, id: &str) -> Name {
    let name = Name::new("default", id);
    let create = CreateLease {
        name: name.clone(),
        named: true,
        client: "demo".into(),
        selector: "board=rpi4".to_owned(),
        exporter_name: None,
        allow_disabled: false,
        begin: None,
        end: None,
        duration: Some(Span::from_seconds(60)),
        tags: Default::default(),
        context: Default::default(),
        if_revision: None,
    };
    store.submit(Command::CreateLease(create)).await.unwrap();
    name
}

async fn release(store: &Store, name: &Name) {
    let release = ReleaseLease {
        name: name.clone(),
        caller: "demo".into(),
        if_revision: None,
    };
    store.submit(Command::ReleaseLease(release)).await.unwrap();
}

fn watch(store: &Store, stopping: &Sender<bool>, scope: Scope) -> Watch {
    let labels = Arc::new(ExporterLabels::new(LabelRules::default()));
    let staying: BoxFuture<'static, Fault> = Box::pin(std::future::pending());
    let place = Load::default().stream(None).unwrap();
    let stopping = stopping.subscribe();
    Watch::new(
        store.clone(),
        labels,
        stopping,
        scope,
        None,
        (place, staying),
    )
}

fn all_leases() -> Scope {
    Scope::Leases(LeaseList {
        namespace: "default".into(),
        query: LeaseQuery::default(),
    })
}

async fn next(watch: &mut Watch) -> String {
    let event = watch.next().await.unwrap();
    match event {
        Ok(event) => format!("{event:?}"),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

#[tokio::test]
async fn one_that_reads_too_slowly_is_sent_away_and_nobody_else() {
    let store = store().await.with_history(4);
    let running = Sender::new(false);
    let mut slow = watch(&store, &running, all_leases());
    let mut quick = watch(&store, &running, all_leases());
    next(&mut slow).await;
    next(&mut quick).await;
    for round in 0..4 {
        let name = create(&store, &format!("round-{round}")).await;
        release(&store, &name).await;
        next(&mut quick).await;
        next(&mut quick).await;
    }
    let end = next(&mut slow).await;
    assert!(end.starts_with("ResourceExhausted: "), "{end}");
}

#[tokio::test]
async fn a_lease_that_rests_is_never_forgotten() {
    let store = store().await.with_history(1);
    let running = Sender::new(false);
    let resting = create(&store, "resting").await;
    let mut watch = watch(&store, &running, Scope::Lease(resting.clone()));
    next(&mut watch).await;
    next(&mut watch).await;
    for round in 0..4 {
        create(&store, &format!("other-{round}")).await;
    }
    release(&store, &resting).await;
    assert!(matches!(watch.next().await, Some(Ok(_))));
    assert_eq!(watch.seen, store.read(|book, _| book.revision()));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_told_how_far_it_has_come() {
    let store = store().await;
    let running = Sender::new(false);
    let scope = Scope::Leases(LeaseList {
        namespace: "elsewhere".into(),
        query: LeaseQuery::default(),
    });
    let mut watch = watch(&store, &running, scope);
    next(&mut watch).await;
    create(&store, "one").await;
    let start = Instant::now();
    let event = next(&mut watch).await;
    let expected = Event::bookmark(store.read(|book, _| book.revision()));
    assert_eq!(event, format!("{expected:?}"));
    assert!(start.elapsed() >= QUIET, "{:?}", start.elapsed());
    // Once is enough.
    let silence = tokio::time::timeout(QUIET * 100, watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let store = store().await;
    let stopping = Sender::new(false);
    let mut watch = watch(&store, &stopping, all_leases());
    next(&mut watch).await;
    stopping.send_replace(true);
    let end = next(&mut watch).await;
    assert!(end.starts_with("Unavailable: "), "{end}");
}
