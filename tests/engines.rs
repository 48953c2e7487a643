//! One suite for every engine, through the store: nothing that was refused has an effect, nothing
//! that was acknowledged is lost, and readers see only what is committed, whatever the engine does.
//!
//! An engine joins with one line at the bottom. Each is put into a hostile one that fails, stalls and
//! reports conflicts as a script says.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration as Span;

use futures_util::future::join_all;
use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::{
    Change, Command, CreateLease, Duration, Kind, Labels, LeaseState, Name, Record, ReleaseLease,
    Settings, Timestamp,
};
use jumpstarter_gateway::store::{
    Clock, CommitError, Embedded, Engine, EngineError, Memory, Snapshot, Store, StoreError,
    embedded,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance};

/// What happens to a commit instead of going well.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Fails,
    /// Reported without reason.
    Conflicts,
    /// It waits until it is let go, and then goes well.
    Stalls,
    /// It goes well, and nobody learns of it.
    IsLost,
    /// It fails, and nobody can tell.
    Vanishes,
    /// Whoever commits stops in the middle of it.
    Panics,
}

/// What is to happen to an engine.
#[derive(Debug)]
struct Script {
    commits: Mutex<VecDeque<Fault>>,
    /// So many loads fail.
    loads: AtomicUsize,
    /// One permit for each commit that has begun to stall.
    stalled: Semaphore,
    /// One permit for each that may go on.
    go: Semaphore,
}

/// An engine in the hands of a script. Clones share both, as processes share a database.
struct Hostile<E> {
    engine: Arc<tokio::sync::Mutex<E>>,
    script: Arc<Script>,
}

impl<E> Hostile<E> {
    fn new(engine: E) -> Self {
        Self {
            engine: Arc::new(tokio::sync::Mutex::new(engine)),
            script: Arc::new(Script {
                commits: Mutex::default(),
                loads: AtomicUsize::new(0),
                stalled: Semaphore::new(0),
                go: Semaphore::new(0),
            }),
        }
    }

    fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.commits.lock().unwrap().extend(faults);
    }
}

impl<E> Clone for Hostile<E> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            script: self.script.clone(),
        }
    }
}

impl<E: Engine> Engine for Hostile<E> {
    async fn load(&mut self) -> Result<Snapshot, EngineError> {
        let loads = &self.script.loads;
        let fails = loads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        });
        match fails {
            Ok(_) => Err(EngineError("the disk cannot be read".into())),
            Err(_) => self.engine.lock().await.load().await,
        }
    }

    async fn commit(&mut self, base: u64, changes: &[Change]) -> Result<u64, CommitError> {
        let fault = self.script.commits.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Fails) => {
                return Err(CommitError::Failed(EngineError("the disk is full".into())));
            }
            Some(Fault::Conflicts) => return Err(CommitError::Conflict),
            Some(Fault::IsLost) => {
                self.engine.lock().await.commit(base, changes).await?;
                return Err(CommitError::Unknown(EngineError("no answer".into())));
            }
            Some(Fault::Vanishes) => {
                return Err(CommitError::Unknown(EngineError("no answer".into())));
            }
            Some(Fault::Panics) => panic!("this panic is part of a test"),
            Some(Fault::Stalls) => {
                self.script.stalled.add_permits(1);
                self.script.go.acquire().await.unwrap().forget();
            }
            None => {}
        }
        self.engine.lock().await.commit(base, changes).await
    }
}

/// The time of the runtime, which passes only when somebody says so, or everybody waits for it.
struct Time(Instant);

impl Time {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn clock(&self) -> Clock {
        let start = self.0;
        Arc::new(move || {
            let since = start.elapsed();
            let seconds = i64::try_from(since.as_secs()).unwrap();
            Timestamp::new(1_000_000 + seconds, since.subsec_nanos().cast_signed())
        })
    }
}

async fn open<E: Engine>(engine: &Hostile<E>, time: &Time) -> Store {
    Store::open(engine.clone(), Settings::default(), time.clock())
        .await
        .unwrap()
}

/// A store with the demonstration lab, which has one rpi4.
async fn furnished<E: Engine>(engine: &Hostile<E>, time: &Time) -> Store {
    let store = open(engine, time).await;
    let lab = lab::demo().unwrap().into_command();
    store.submit(lab).await.unwrap();
    store
}

fn lease(id: &str) -> Name {
    Name::new("default", id)
}

fn create_for(id: &str, duration: Duration) -> Command {
    Command::CreateLease(CreateLease {
        name: lease(id),
        named: true,
        client: "demo".into(),
        selector: "board=rpi4".to_owned(),
        exporter_name: None,
        allow_disabled: false,
        begin: None,
        end: None,
        duration: Some(duration),
        tags: Labels::default(),
        context: Labels::default(),
        if_revision: None,
    })
}

fn create(id: &str) -> Command {
    create_for(id, Duration::from_seconds(3_600))
}

fn release(id: &str) -> Command {
    Command::ReleaseLease(ReleaseLease {
        name: lease(id),
        caller: "demo".into(),
        if_revision: None,
    })
}

fn state(store: &Store, id: &str) -> Option<LeaseState> {
    store.read(|book, now| Some(book.lease(&lease(id))?.state(now)))
}

/// Everything that readers see, and its revision.
fn published(store: &Store) -> (u64, BTreeMap<(Kind, Name), Record>) {
    let keyed = |record: Record| ((record.kind(), record.name().clone()), record);
    store.read(|book, _| (book.revision(), book.records().map(keyed).collect()))
}

/// Everything that the engine keeps, and its revision.
async fn kept<E: Engine>(engine: &Hostile<E>) -> (u64, BTreeMap<(Kind, Name), Record>) {
    let snapshot = engine.engine.lock().await.load().await.unwrap();
    let keyed = |record: Record| ((record.kind(), record.name().clone()), record);
    let records = snapshot.records.into_iter().map(keyed);
    (snapshot.revision, records.collect())
}

#[track_caller]
fn unavailable(outcome: &Result<(), StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Unavailable)),
        "{outcome:?}"
    );
}

async fn what_is_acknowledged_is_there_after_a_restart<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    for id in ["first", "second", "third"] {
        store.submit(create(id)).await.unwrap();
    }
    store.submit(release("first")).await.unwrap();
    let before = published(&store);
    drop(store);
    let store = open(&engine, &time).await;
    assert_eq!(published(&store), before);
    assert_eq!(state(&store, "first"), Some(LeaseState::Ended));
    assert_eq!(state(&store, "second"), Some(LeaseState::Ready));
    assert_eq!(state(&store, "third"), Some(LeaseState::Pending));
}

async fn revisions_grow_one_by_one_and_a_stale_one_is_refused<E: Engine>(mut engine: E) {
    let base = engine.load().await.unwrap().revision;
    let mut book = jumpstarter_gateway::lease::Book::new(Settings::default());
    let changes = book
        .decide(Timestamp::new(0, 0), &lab::demo().unwrap().into_command())
        .unwrap();
    for change in &changes {
        book.apply(change);
    }
    assert_eq!(engine.commit(base, &changes).await.unwrap(), base + 1);
    let removal = [Change::Remove(Kind::Client, Name::new("default", "ada"))];
    let stale = engine.commit(base, &removal).await;
    assert!(matches!(stale, Err(CommitError::Conflict)), "{stale:?}");
    let snapshot = engine.load().await.unwrap();
    assert_eq!(snapshot.revision, base + 1);
    assert_eq!(snapshot.records.len(), book.records().count());
    assert_eq!(engine.commit(base + 1, &removal).await.unwrap(), base + 2);
    let snapshot = engine.load().await.unwrap();
    assert_eq!(snapshot.records.len(), book.records().count() - 1);
}

async fn a_failed_commit_is_told_to_its_whole_batch<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    engine.plan([Fault::Stalls, Fault::Fails]);
    // The first one stalls, so that the others share the next commit, which fails.
    let first = store.submit(create("first"));
    let batch = async {
        engine.script.stalled.acquire().await.unwrap().forget();
        let batch = join_all([
            store.submit(create("second")),
            store.submit(release("none")),
            store.submit(release("first")),
        ]);
        let (outcomes, ()) = tokio::join!(batch, async { engine.script.go.add_permits(1) });
        outcomes
    };
    let (first, batch) = tokio::join!(first, batch);
    first.unwrap();
    assert_eq!(batch.len(), 3);
    batch.iter().for_each(unavailable);
    assert_eq!(state(&store, "first"), Some(LeaseState::Ready));
    assert_eq!(state(&store, "second"), None);
    assert_eq!(published(&store), kept(&engine).await);
    store.submit(create("second")).await.unwrap();
    assert_eq!(state(&store, "second"), Some(LeaseState::Pending));
    assert_eq!(published(&store), kept(&engine).await);
}

async fn readers_see_nothing_before_it_is_committed<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    let before = published(&store);
    let mut revisions = store.revisions();
    engine.plan([Fault::Stalls]);
    let look = async {
        engine.script.stalled.acquire().await.unwrap().forget();
        assert_eq!(published(&store), before);
        assert!(!revisions.has_changed().unwrap());
        engine.script.go.add_permits(1);
    };
    let (created, ()) = tokio::join!(store.submit(create("one")), look);
    created.unwrap();
    assert_eq!(published(&store), kept(&engine).await);
    assert_eq!(*revisions.borrow_and_update(), before.0 + 1);
    let commits = store.since(before.0, 10).unwrap();
    assert_eq!(commits.len(), 1, "{commits:?}");
    let [one] = commits[0].leases.as_slice() else {
        panic!("one effect for one record: {commits:?}");
    };
    assert!(
        one.before.is_none() && one.after.as_ref().unwrap().exporter.is_some(),
        "{one:?}"
    );
}

async fn two_gateways_never_give_out_one_board_twice<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let one = furnished(&engine, &time).await;
    let two = open(&engine, &time).await;
    let (start, mut wake) = (published(&two).0, two.wake(&lease("one")));
    one.submit(create("one")).await.unwrap();
    assert_eq!(state(&two, "one"), None, "it has not looked yet");
    two.submit(create("two")).await.unwrap();
    assert_eq!(state(&two, "one"), Some(LeaseState::Ready));
    assert_eq!(state(&two, "two"), Some(LeaseState::Pending));
    assert_eq!(published(&two), kept(&engine).await);
    wake.touched().await;
    let commits = two.since(start, 10).unwrap();
    let names: Vec<_> = commits
        .iter()
        .flat_map(|commit| &commit.leases)
        .map(|effect| &*effect.name.id)
        .collect();
    assert_eq!(names, ["one", "two"], "{commits:?}");
    one.submit(release("one")).await.unwrap();
    assert_eq!(state(&one, "two"), Some(LeaseState::Ready));
    assert_eq!(published(&one), kept(&engine).await);
}

async fn conflicts_without_end_change_nothing<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    let before = published(&store);
    engine.plan([Fault::Conflicts; 3]);
    store.submit(create("one")).await.unwrap();
    engine.plan([Fault::Conflicts; 100]);
    unavailable(&store.submit(create("two")).await);
    engine.script.commits.lock().unwrap().clear();
    assert_eq!(state(&store, "two"), None);
    assert_eq!(published(&store).0, before.0 + 1);
    assert_eq!(published(&store), kept(&engine).await);
}

async fn a_store_that_cannot_be_read_again_changes_nothing<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    engine.script.loads.store(1, Ordering::Relaxed);
    engine.plan([Fault::Conflicts]);
    unavailable(&store.submit(create("one")).await);
    assert_eq!(state(&store, "one"), None);
    store.submit(create("one")).await.unwrap();
    assert_eq!(published(&store), kept(&engine).await);
    engine.script.loads.store(1, Ordering::Relaxed);
    let opened = Store::open(engine.clone(), Settings::default(), time.clock()).await;
    assert!(opened.is_err(), "it must not start from nothing");
}

async fn what_nobody_can_tell_is_known_with_the_next_commit<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    for (id, fault, is_there) in [
        ("lost", Fault::IsLost, true),
        ("vanished", Fault::Vanishes, false),
    ] {
        engine.plan([fault]);
        let outcome = store.submit(create(id)).await;
        assert!(matches!(outcome, Err(StoreError::Unknown)), "{outcome:?}");
        let seen = state(&store, id);
        assert_eq!(seen, None, "it may not be there");
        // Whoever looks in a while sees what there is: nobody has to write for that.
        advance(Span::from_secs(2)).await;
        let mut revisions = store.revisions();
        if is_there && state(&store, id).is_none() {
            let changed = tokio::time::timeout(Span::from_secs(10), revisions.changed()).await;
            changed.expect("it never looks").unwrap();
        }
        assert_eq!(state(&store, id).is_some(), is_there, "{fault:?}");
        store.submit(create(&format!("after-{id}"))).await.unwrap();
        assert_eq!(state(&store, id).is_some(), is_there, "{fault:?}");
        assert_eq!(published(&store), kept(&engine).await, "{fault:?}");
    }
}

async fn what_time_brings_is_tried_until_it_is_kept<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    let short = create_for("short", Duration::from_seconds(60));
    store.submit(short).await.unwrap();
    store.submit(create("next")).await.unwrap();
    let mut revisions = store.revisions();
    engine.plan([Fault::Fails]);
    advance(Span::from_secs(60)).await;
    // A view is right, whatever the writer could do by now.
    assert_eq!(state(&store, "short"), Some(LeaseState::Ended));
    assert_eq!(state(&store, "next"), Some(LeaseState::Pending));
    let changed = tokio::time::timeout(Span::from_secs(10), revisions.changed()).await;
    changed.expect("it gave up").unwrap();
    assert_eq!(state(&store, "next"), Some(LeaseState::Ready));
    assert!(
        engine.script.commits.lock().unwrap().is_empty(),
        "the first commit failed"
    );
    assert_eq!(published(&store), kept(&engine).await);
}

/// Many commands at once, many faults, one question: does what was answered hold?
async fn every_answer_holds_whatever_happens<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: u64| {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..200 {
        advance(Span::from_secs(1)).await;
        let fault = match next(4) {
            0 => Some(Fault::Fails),
            1 => Some(Fault::Conflicts),
            _ => None,
        };
        engine.plan(fault);
        let size = 1 + next(8);
        let ids: Vec<String> = (0..size)
            .map(|index| format!("lease-{round}-{index}"))
            .collect();
        let created = join_all(ids.iter().map(|id| store.submit(create(id)))).await;
        for (id, created) in ids.iter().zip(&created) {
            let exists = store.read(|book, _| book.lease(&lease(id)).is_some());
            assert_eq!(exists, created.is_ok(), "round {round}, {id}: {created:?}");
        }
        let released = join_all(ids.iter().map(|id| store.submit(release(id)))).await;
        for (id, released) in ids.iter().zip(&released) {
            let is_released =
                store.read(|book, _| book.lease(&lease(id)).is_some_and(|lease| lease.released));
            assert_eq!(
                is_released,
                released.is_ok(),
                "round {round}, {id}: {released:?}"
            );
        }
        assert_eq!(published(&store), kept(&engine).await, "round {round}");
    }
    let before = published(&store);
    drop(store);
    assert_eq!(published(&open(&engine, &time).await), before);
}

async fn a_writer_that_ends_says_so_and_leaves_the_outcome_open<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    let ended = store.ended();
    let mut ended = std::pin::pin!(ended);
    let mut context = Context::from_waker(Waker::noop());
    assert!(ended.as_mut().poll(&mut context).is_pending());
    let before = published(&store);
    engine.plan([Fault::Panics]);
    let outcome = store.submit(create("one")).await;
    assert!(matches!(outcome, Err(StoreError::Unknown)), "{outcome:?}");
    ended.await;
    unavailable(&store.submit(create("two")).await);
    assert_eq!(published(&store), before, "reads go on");
}

async fn other_settings_count_for_what_is_there_already<E: Engine>(engine: E) {
    let (engine, time) = (Hostile::new(engine), Time::start());
    let store = furnished(&engine, &time).await;
    store.submit(create("one")).await.unwrap();
    store.submit(release("one")).await.unwrap();
    store.submit(create("two")).await.unwrap();
    let mut revisions = store.revisions();
    store.configure(Settings {
        retention: Duration::ZERO,
        maximum_duration: Some(Duration::from_seconds(60)),
        ..Settings::default()
    });
    while state(&store, "one").is_some() {
        revisions.changed().await.unwrap();
    }
    assert_eq!(state(&store, "two"), Some(LeaseState::Ready));
    assert_eq!(published(&store), kept(&engine).await);
    let refused = store.submit(create("three")).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    // The same ones wake nobody.
    store.configure(Settings::default());
    store.configure(Settings::default());
    store.submit(create("three")).await.unwrap();
    assert_eq!(published(&store), kept(&engine).await);
}

/// The suite for one engine.
macro_rules! suite {
    ($name:ident, $engine:expr, $($test:ident)*) => {
        mod $name {
            use super::*;

            $(
                #[tokio::test(start_paused = true)]
                async fn $test() {
                    super::$test($engine).await;
                }
            )*
        }
    };
}

/// All of it, for each engine.
macro_rules! engines {
    ($($name:ident: $engine:expr;)*) => {
        $(
            suite! {
                $name, $engine,
                what_is_acknowledged_is_there_after_a_restart
                revisions_grow_one_by_one_and_a_stale_one_is_refused
                a_failed_commit_is_told_to_its_whole_batch
                readers_see_nothing_before_it_is_committed
                two_gateways_never_give_out_one_board_twice
                conflicts_without_end_change_nothing
                a_store_that_cannot_be_read_again_changes_nothing
                what_nobody_can_tell_is_known_with_the_next_commit
                what_time_brings_is_tried_until_it_is_kept
                every_answer_holds_whatever_happens
                a_writer_that_ends_says_so_and_leaves_the_outcome_open
                other_settings_count_for_what_is_there_already
            }
        )*
    };
}

engines! {
    memory: Memory::default();
    memory_that_goes_on: Memory::starting_at(1_000_000);
    in_a_file: embedded();
}

/// The embedded engine, in a directory that goes with it.
fn embedded() -> Embedded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.redb");
    embedded::create(&file, 1_000_000, |_| Ok(())).unwrap();
    let opener = move || embedded::open(&folder.path().join("gateway.redb"));
    Embedded::over(Arc::new(opener)).unwrap()
}

/// Counts how often it wakes somebody.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_wakes_only_those_whose_lease_it_touched() {
    let (engine, time) = (Hostile::new(Memory::default()), Time::start());
    let store = furnished(&engine, &time).await;
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    let mut context = Context::from_waker(&waker);
    let wakes: Vec<_> = (0..10_000)
        .map(|index| store.wake(&lease(&format!("lease-{index}"))))
        .collect();
    let mut waiting: Vec<_> = wakes
        .into_iter()
        .map(|mut wake| Box::pin(async move { wake.touched().await }))
        .collect();
    for one in &mut waiting {
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    store.submit(create("lease-77")).await.unwrap();
    store.submit(create("another")).await.unwrap();
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    assert!(waiting[77].as_mut().poll(&mut context).is_ready());
    // What it is released for touches the next one too, and nobody else.
    store.submit(create("lease-78")).await.unwrap();
    store.submit(release("another")).await.unwrap();
    store.submit(release("lease-77")).await.unwrap();
    assert_eq!(alarm.0.load(Ordering::Relaxed), 2);
    assert!(waiting[78].as_mut().poll(&mut context).is_ready());
}
