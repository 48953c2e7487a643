//! What the store asks of whatever keeps its records.

use std::error::Error;
use std::fmt;
use std::future::Future;

use crate::lease::{Book, Change, Record, Settings};

/// Keeps records and the revision they are at.
///
/// Contract: what `commit` acknowledged, a later `load` returns, also after a crash. A commit is
/// kept as a whole or not at all. One that is reported as failed is not kept; where that cannot be
/// found out it is reported as unknown, and the next `load` that succeeds tells.
pub trait Engine: Send + 'static {
    /// Everything that is kept.
    fn load(&mut self) -> impl Future<Output = Result<Snapshot, EngineError>> + Send;

    /// Keeps `changes`, if the revision still is `base`, and returns the revision they make: the
    /// next one, which the changed records carry already.
    fn commit(
        &mut self,
        base: u64,
        changes: &[Change],
    ) -> impl Future<Output = Result<u64, CommitError>> + Send;
}

/// What an engine holds at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// 0 before the first commit; it grows with every commit.
    pub revision: u64,
    pub records: Vec<Record>,
}

/// Why a commit did not happen.
#[derive(Debug)]
pub enum CommitError {
    /// Somebody else committed in between: load, decide again.
    Conflict,
    /// Nothing of it is kept.
    Failed(EngineError),
    /// All of it is kept, or nothing, and nobody can tell now.
    Unknown(EngineError),
}

/// What went wrong in an engine; for the log.
#[derive(Debug)]
pub struct EngineError(pub Box<dyn Error + Send + Sync>);

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The book that a snapshot makes. What time has brought since is for `settle` to find.
pub fn book(snapshot: Snapshot, settings: Settings) -> Book {
    let mut book = Book::new(settings);
    for record in snapshot.records {
        book.apply(&Change::Put(record));
    }
    book.committed(snapshot.revision);
    book
}
