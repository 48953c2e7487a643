//! The one writer: waits for commands or for the book's next deadline, and obeys.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::aside::aside;
use super::engine::{self, CommitError, Engine, EngineError, Snapshot};
use super::observer::{Attempt, Observer, Outcome};
use super::published::Published;
use super::{Clock, StoreError};
use crate::lease::{
    Book, Change, Command, Kind, Name, Purpose, Record, Refusal, Settings, Timestamp,
};

/// A command, and who waits for its outcome.
pub struct Job {
    pub command: Box<Command>,
    pub answer: oneshot::Sender<Result<Kept, StoreError>>,
}

/// A command's effect is kept: since when, and as which revision.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub revision: u64,
    pub began: std::time::Instant,
    pub ended: std::time::Instant,
}

pub struct Writer<E> {
    pub engine: E,
    /// What the book goes by, or is to go by from now on.
    pub settings: watch::Receiver<Settings>,
    /// What the writer works on: the records of the published book, and what is not committed yet.
    pub book: Book,
    pub published: Arc<Published>,
    pub clock: Clock,
    pub observer: Arc<dyn Observer>,
    /// Nobody can tell whether the last commit is kept.
    pub in_doubt: bool,
}

/// How many commands share one commit.
const BATCH: usize = 256;

/// The longest sleep: a wall clock that was set, or a machine that was suspended, is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long the writer leaves a failing engine alone before it tries again by itself.
const BACK_OFF: Duration = Duration::from_secs(1);

/// How often a batch is decided again because somebody else committed in between.
const ATTEMPTS: usize = 16;

impl<E: Engine> Writer<E> {
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        // What time has brought while nobody was running is settled at once.
        let mut sleep = pin!(tokio::time::sleep_until(Instant::now()));
        loop {
            tokio::select! {
                // First, as whoever asks is there more often than anything else has happened; what time
                // has brought is settled all the same.
                biased;
                count = inbox.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = &mut sleep => {}
                Ok(()) = self.settings.changed() => self.settings.mark_changed(),
            }
            // Whoever was answered last and asks again already may share this commit.
            tokio::task::yield_now().await;
            while batch.len() < BATCH
                && let Ok(job) = inbox.try_recv()
            {
                batch.push(job);
            }
            // What was asked for after settings had changed is decided by them.
            if self.settings.has_changed().unwrap_or_default() {
                self.configure().await;
            }
            match self.write(&mut batch).await {
                Ok(()) => {
                    let wake = self.next_wake();
                    // To wake too early is cheaper than to set the timer after each command.
                    if sleep.is_elapsed() || wake < sleep.deadline() {
                        sleep.as_mut().reset(wake);
                    }
                }
                Err(()) => sleep.as_mut().reset(Instant::now() + BACK_OFF),
            }
        }
    }

    /// When the book will have something new to say.
    fn next_wake(&self) -> Instant {
        let until = self
            .book
            .next_deadline()
            .map(|deadline| deadline - (self.clock)());
        let sleep = until.map_or(LONGEST_SLEEP, |span| {
            let seconds = u64::try_from(span.seconds()).unwrap_or(0);
            let nanos = u32::try_from(span.nanos()).unwrap_or(0);
            Duration::new(seconds, nanos).min(LONGEST_SLEEP)
        });
        Instant::now() + sleep
    }

    /// Decides, commits, publishes and answers a batch, and what time has brought; `Err` where the
    /// engine failed, and so nothing of it happened.
    async fn write(&mut self, batch: &mut Vec<Job>) -> Result<(), ()> {
        let mut told: fn() -> StoreError = || StoreError::Unavailable;
        for _ in 0..ATTEMPTS {
            let now = (self.clock)();
            if self.in_doubt
                && let Err(error) = self.catch_up(now).await
            {
                tracing::error!(%error, commands = batch.len(), "the store still cannot be read");
                break;
            }
            let (changes, outcomes) = self.decide(now, batch);
            let base = self.book.revision();
            let began = std::time::Instant::now();
            let committed = match changes.as_slice() {
                [] => Ok(base),
                changes => self.engine.commit(base, changes).await,
            };
            let ended = std::time::Instant::now();
            if !changes.is_empty() {
                let (commands, took) = (batch.len(), ended - began);
                let outcome = Outcome::of(&committed);
                self.observer.attempted(&Attempt {
                    commands,
                    took,
                    outcome,
                });
            }
            match committed {
                Ok(revision) => {
                    self.book.committed(revision);
                    if !changes.is_empty() {
                        let commit = self.published.publish(&changes, revision, now);
                        self.observer.published(&commit);
                    }
                    let kept = Kept {
                        revision,
                        began,
                        ended,
                    };
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        // Whoever asked may have gone; the command counts all the same.
                        let refused = |refusal: Box<Refusal>| StoreError::Refused(*refusal);
                        let _ = job.answer.send(outcome.map(|()| kept).map_err(refused));
                    }
                    return Ok(());
                }
                Err(CommitError::Conflict) => match self.catch_up(now).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::error!(%error, "the store could not be read again after a conflict");
                        break;
                    }
                },
                Err(CommitError::Failed(error)) => {
                    tracing::error!(%error, commands = batch.len(), "a commit failed; nothing of it has happened");
                    break;
                }
                Err(CommitError::Unknown(error)) => {
                    tracing::error!(%error, commands = batch.len(), "a commit failed, and nobody can tell whether it has happened");
                    told = || StoreError::Unknown;
                    self.in_doubt = true;
                    break;
                }
            }
        }
        self.go_back().await;
        for job in batch.drain(..) {
            let _ = job.answer.send(Err(told()));
        }
        Err(())
    }

    /// Works the batch into the writer's own book.
    fn decide(
        &mut self,
        now: Timestamp,
        batch: &[Job],
    ) -> (Vec<Change>, Vec<Result<(), Box<Refusal>>>) {
        let mut changes = self.book.settle(now);
        let mut outcomes = Vec::with_capacity(batch.len());
        for job in batch {
            let decided = self.book.decide(now, &job.command);
            outcomes.push(decided.map_err(Box::new).map(|decided| {
                for change in &decided {
                    self.book.apply(change);
                }
                changes.extend(decided);
                changes.append(&mut self.book.settle(now));
            }));
        }
        (Change::last_of_each(changes), outcomes)
    }

    /// Forgets what was decided and not committed.
    async fn go_back(&mut self) {
        let published = self.published.clone();
        match aside(move || published.read(Book::clone).serving(Purpose::Decide)).await {
            Ok(book) => self.book = book,
            // What is kept is known for certain, wherever this stopped.
            Err(_) => self.in_doubt = true,
        }
    }

    /// Goes by other settings from now on, and so do readers. All of the book depends on them.
    async fn configure(&mut self) {
        let settings = self.settings.borrow_and_update().clone();
        let published = self.published.clone();
        let done = aside(move || {
            let (revision, records) =
                published.read(|book| (book.revision(), book.records().collect()));
            let book = engine::book(Snapshot { revision, records }, settings);
            published.replace(book.clone().serving(Purpose::Show));
            book.serving(Purpose::Decide)
        });
        match done.await {
            Ok(book) => self.book = book,
            Err(_) => self.in_doubt = true,
        }
    }

    /// Takes over what somebody else committed. What was decided before it counts no more.
    async fn catch_up(&mut self, now: Timestamp) -> Result<(), EngineError> {
        let snapshot = self.engine.load().await?;
        let (settings, published) = (self.settings.borrow().clone(), self.published.clone());
        let worked_out = aside(move || {
            let book = engine::book(snapshot, settings);
            let changes = published.read(|published| between(published, &book));
            (book, changes)
        });
        let worked_out = worked_out.await;
        let (book, changes) = worked_out.map_err(|error| EngineError(error.into()))?;
        if book.revision() != self.published.read(Book::revision) {
            let commit = self.published.publish(&changes, book.revision(), now);
            self.observer.published(&commit);
        }
        self.book = book.serving(Purpose::Decide);
        self.in_doubt = false;
        Ok(())
    }
}

/// The changes that lead from one book to another.
fn between(from: &Book, to: &Book) -> Vec<Change> {
    let key = |record: &Record| (record.kind(), record.name().clone());
    let mut gone: BTreeMap<(Kind, Name), Record> = from
        .records()
        .map(|record| (key(&record), record))
        .collect();
    let mut changes = Vec::new();
    for record in to.records() {
        if gone.remove(&key(&record)).as_ref() != Some(&record) {
            changes.push(Change::Put(record));
        }
    }
    let removed = gone
        .into_keys()
        .map(|(kind, name)| Change::Remove(kind, name));
    changes.extend(removed);
    changes
}
