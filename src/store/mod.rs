//! The shell around the domain: one writer, many readers, and an engine that keeps what was
//! decided.
//!
//! The writer works on a book of its own. It decides and settles a batch of commands there, has the
//! engine commit all of it at once, publishes the result, and only then answers. Readers look at the
//! published book and never wait for the engine; what is not committed does not exist for them.
//! Time is a command like any other: the writer wakes when the book says that it has something new
//! to say. The last commits are kept for those who follow along; nobody who waits is ever asked to
//! look again without reason.

mod aside;
pub mod embedded;
mod engine;
pub mod form;
mod history;
mod memory;
mod observer;
mod published;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

pub use embedded::Embedded;
pub use engine::{CommitError, Engine, EngineError, Snapshot};
pub use history::{Commit, Effect, Forgotten};
pub use memory::Memory;
pub use observer::{Attempt, Observer, Outcome};
pub use published::Wake;

use crate::call;
use crate::lease::{Book, Command, Name, Purpose, Refusal, Settings, Timestamp};
use published::Published;
use writer::{Job, Writer};

/// Tells the present time. The system's clock in production, a script in tests.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How many commands may wait for the writer before senders wait too.
const BACKLOG: usize = 1024;

/// How many effects of commits are remembered, where nobody says otherwise.
pub const HISTORY: usize = 10_000;

/// A handle on the store; clones share it. The writer stops when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    published: Arc<Published>,
    jobs: mpsc::Sender<Job>,
    settings: watch::Sender<Settings>,
    /// Closed when the writer is gone.
    writing: watch::Receiver<()>,
    clock: Clock,
}

/// Why a command had no effect.
#[derive(Debug)]
pub enum StoreError {
    /// The domain said no.
    Refused(Refusal),
    /// It could not be kept, or the store is stopping. Nothing has changed; trying again is fine.
    Unavailable,
    /// Keeping it failed in a way that leaves open whether it happened. It will be known later.
    Unknown,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Unavailable => f.write_str("the store cannot be written to"),
            Self::Unknown => f.write_str("it is not known whether the change was stored"),
        }
    }
}

impl std::error::Error for StoreError {}

impl Store {
    /// Loads what the engine holds, settles what the time since has brought, and starts the writer
    /// on the present tokio runtime.
    ///
    /// # Errors
    /// The engine cannot be read.
    pub async fn open<E: Engine>(
        engine: E,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, EngineError> {
        Self::open_observed(engine, settings, clock, Arc::new(())).await
    }

    /// The same, under the eyes of somebody who is told of every commit from the first one on.
    ///
    /// # Errors
    /// The engine cannot be read.
    pub async fn open_observed<E: Engine>(
        mut engine: E,
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, EngineError> {
        let book = engine::book(engine.load().await?, settings.clone());
        let (jobs, inbox) = mpsc::channel(BACKLOG);
        let (settings, chosen) = watch::channel(settings);
        let (alive, writing) = watch::channel(());
        let shown = book.clone().serving(Purpose::Show);
        let published = Arc::new(Published::new(shown, clock(), HISTORY));
        let writer = Writer {
            engine,
            settings: chosen,
            book: book.serving(Purpose::Decide),
            published: published.clone(),
            clock: clock.clone(),
            observer,
            in_doubt: false,
        };
        tokio::spawn(async move {
            writer.run(inbox).await;
            drop(alive);
        });
        Ok(Self {
            published,
            jobs,
            settings,
            writing,
            clock,
        })
    }

    /// Remembers so many effects of the last commits, in place of [`HISTORY`]: what a commit did to
    /// one record is one effect, and takes about a kilobyte. The newest commit is always there.
    #[must_use]
    pub fn with_history(self, effects: usize) -> Self {
        self.published.remember(effects);
        self
    }

    /// The same for a store that is used already.
    pub fn remember(&self, effects: usize) {
        self.published.remember(effects);
    }

    /// Carries out a command. When this returns `Ok`, its effect is kept and every reader sees it,
    /// together with all that follows from it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then, but for [`StoreError::Unknown`].
    pub fn submit(&self, command: Command) -> impl Future<Output = Result<(), StoreError>> {
        // In a box, so that those who wait for it stay small.
        let command = Box::new(command);
        self.hand_in(command)
    }

    async fn hand_in(&self, command: Box<Command>) -> Result<(), StoreError> {
        let handed_in = Instant::now();
        let (answer, outcome) = oneshot::channel();
        self.jobs
            .send(Job { command, answer })
            .await
            .map_err(|_| StoreError::Unavailable)?;
        // The writer is gone, and nobody knows how far it came.
        let kept = outcome.await.unwrap_or(Err(StoreError::Unknown))?;
        call::note_commit(call::Commit {
            revision: kept.revision,
            handed_in,
            began: kept.began,
            ended: kept.ended,
            answered: Instant::now(),
        });
        Ok(())
    }

    /// From the next commit on these settings count, for what is kept already, too.
    pub fn configure(&self, settings: Settings) {
        self.settings.send_if_modified(|present| {
            let differ = *present != settings;
            *present = settings;
            differ
        });
    }

    /// Completes when nothing can be written any more: the writer has ended, which it does not do
    /// while there is a handle but by a fault.
    pub async fn ended(&self) {
        // Nothing is ever sent; this waits for the other end to go.
        while self.writing.clone().changed().await.is_ok() {}
    }

    /// Looks at the last committed state, with the present time. Keep it short: the writer waits
    /// for readers when it publishes.
    pub fn read<T>(&self, look: impl FnOnce(&Book, Timestamp) -> T) -> T {
        self.published.read(|book| look(book, (self.clock)()))
    }

    /// The revision that was last committed; every commit wakes whoever waits on it.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.published.revisions()
    }

    /// Wake-ups for the commits that touch one lease from now on, and for no others. There need not
    /// be such a lease.
    #[must_use]
    pub fn wake(&self, lease: &Name) -> Wake {
        self.published.wake(lease)
    }

    /// At most `limit` commits after a revision, the oldest first; none where it is the last one.
    ///
    /// # Errors
    /// The history does not reach back so far, or there has been no such revision.
    pub fn since(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Commit>>, Forgotten> {
        self.published.since(revision, limit)
    }

    /// The commits after a revision that touched one lease, the oldest first.
    ///
    /// # Errors
    /// The lease has changed since, and the history does not reach back so far.
    pub fn lease_since(&self, lease: &Name, revision: u64) -> Result<Vec<Arc<Commit>>, Forgotten> {
        self.published.lease_since(lease, revision)
    }

    /// The present time, as the store sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
