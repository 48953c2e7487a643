//! The engine that keeps records in a database file (redb) in a directory of its own: what was
//! committed is on disk. Knows nothing of what records mean.
//!
//! redb promises that a commit is there as a whole or not at all. What this room adds is an end to
//! doubt: a commit that failed half way may have reached the disk all the same, so the database is
//! opened anew and asked, before anybody is told.

mod database;
mod directory;
mod untouched;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::aside::aside;
use super::engine::{CommitError, Engine, EngineError, Snapshot};
use crate::lease::Change;

use database::PROGRESS;
pub use database::{Cause, Database, Opener, builder, create, is_there, open, open_untouched};
pub use directory::{DATABASE, Directory};

/// Records in a database file.
pub struct Embedded {
    state: Arc<Mutex<State>>,
}

struct State {
    opener: Opener,
    /// None since a commit failed and the database could not be opened again.
    database: Option<Database>,
    /// A commit that failed, and may have reached the disk all the same.
    doubt: Option<Doubt>,
    /// Held for as long as anything can be written.
    _directory: Option<Directory>,
}

struct Doubt {
    base: u64,
    changes: Vec<Change>,
}

impl Embedded {
    /// Opens the database in `directory`, which is made if it is not there. A new one begins with
    /// the revision `first`.
    ///
    /// # Errors
    /// Sentences for the operator: the directory or the file cannot be used, is used by another
    /// process, is damaged, or was written by a later program.
    pub fn open(directory: &Path, first: u64) -> Result<Self, EngineError> {
        let directory = Directory::lock(directory)?;
        let path = directory.database();
        if !is_there(&path)? {
            tracing::info!("there is no {} yet; a new one is made", path.display());
            create(&path, first, |_| Ok(()))?;
        }
        let opener: Opener = Arc::new(move || open(&path));
        Self::with(opener, Some(directory))
    }

    /// The engine over whatever database the opener opens, each time it has to be opened anew.
    ///
    /// # Errors
    /// As [`Self::open`]'s.
    pub fn over(opener: Opener) -> Result<Self, EngineError> {
        Self::with(opener, None)
    }

    fn with(opener: Opener, directory: Option<Directory>) -> Result<Self, EngineError> {
        let state = State {
            database: Some(opener()?),
            opener,
            doubt: None,
            _directory: directory,
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// The name that the database was given when it was made.
    #[must_use]
    pub fn instance(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let database = state.database.as_ref();
        database.map_or_else(String::new, |database| database.instance().to_owned())
    }

    /// Does work that waits for the disk.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let state = self.state.clone();
        let done = aside(move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner)));
        done.await.map_err(|error| EngineError(error.into()))
    }
}

impl Engine for Embedded {
    async fn load(&mut self) -> Result<Snapshot, EngineError> {
        self.work(State::load).await?
    }

    async fn commit(&mut self, base: u64, changes: &[Change]) -> Result<u64, CommitError> {
        let changes = changes.to_vec();
        let done = self.work(move |state| state.commit(base, changes)).await;
        // Whoever works has stopped in the middle of it.
        done.map_err(CommitError::Unknown)?
    }
}

impl State {
    fn load(&mut self) -> Result<Snapshot, EngineError> {
        let database = self.database().map_err(EngineError::from)?;
        let started = Instant::now();
        let mut told = started;
        let snapshot = database.load(|read, total| {
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                tracing::info!("{read} of {total} records are read");
            }
        })?;
        let (took, records) = (started.elapsed(), snapshot.records.len());
        tracing::debug!(?took, records, "the records are read");
        Ok(snapshot)
    }

    fn commit(&mut self, base: u64, changes: Vec<Change>) -> Result<u64, CommitError> {
        let database = self
            .database()
            .map_err(|cause| CommitError::Failed(cause.into()))?;
        if database.revision() != base {
            return Err(CommitError::Conflict);
        }
        database
            .check_place()
            .map_err(|cause| CommitError::Failed(cause.into()))?;
        let Err(cause) = database.write(base + 1, &changes) else {
            return Ok(base + 1);
        };
        self.database = None;
        self.doubt = Some(Doubt { base, changes });
        match self.database().map(|database| database.revision()) {
            Ok(revision) if revision == base => Err(CommitError::Failed(cause.into())),
            Ok(revision) => Ok(revision),
            Err(second) => {
                tracing::error!(error = %second, "the database cannot be opened again after a failed commit");
                Err(CommitError::Unknown(cause.into()))
            }
        }
    }

    /// The database, opened anew if it must be, and without doubt about what is in it.
    fn database(&mut self) -> Result<&mut Database, Cause> {
        let mut database = match self.database.take() {
            Some(database) => database,
            None => (self.opener)()?,
        };
        if let Some(Doubt { base, changes }) = &self.doubt {
            // What came to the file may still be on its way to the disk, and the system that
            // failed once may not say so again: written anew, it is known to be there.
            if database.revision() == base + 1 {
                database.write(base + 1, changes)?;
            }
            self.doubt = None;
        }
        Ok(self.database.insert(database))
    }
}
