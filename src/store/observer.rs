//! What the writer tells of its work. Knows nothing of who listens, nor to what end.

use std::sync::Arc;
use std::time::Duration;

use super::engine::CommitError;
use super::history::Commit;

/// Is told of the writer's work while it works, and so must return at once.
pub trait Observer: Send + Sync {
    /// Readers see this commit now; whoever asked for it has not been answered yet. Every commit
    /// comes once and in order, also one that somebody else has made.
    fn published(&self, commit: &Arc<Commit>);

    /// The engine was asked to keep something.
    fn attempted(&self, attempt: &Attempt);
}

/// One try to have changes kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// How many commands had asked for them; none where it was time that brought them.
    pub commands: usize,
    /// How long the engine took.
    pub took: Duration,
    pub outcome: Outcome,
}

/// What came of it; all but the first are those of [`super::CommitError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Committed,
    Conflict,
    Failed,
    Unknown,
}

impl Outcome {
    pub(super) fn of(committed: &Result<u64, CommitError>) -> Self {
        match committed {
            Ok(_) => Self::Committed,
            Err(CommitError::Conflict) => Self::Conflict,
            Err(CommitError::Failed(_)) => Self::Failed,
            Err(CommitError::Unknown(_)) => Self::Unknown,
        }
    }
}

/// Nobody listens.
impl Observer for () {
    fn published(&self, _: &Arc<Commit>) {}

    fn attempted(&self, _: &Attempt) {}
}
