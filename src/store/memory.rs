//! The engine that keeps everything in memory, for demonstrations and tests: what it holds ends
//! with the process.

use super::engine::{CommitError, Engine, EngineError, Snapshot};
use crate::lease::hash::Map;
use crate::lease::{Change, Kind, Name, Record};

/// Records by kind and name, and their revision.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    revision: u64,
    records: Map<(Kind, Name), Record>,
}

impl Memory {
    /// An engine whose revisions go on from this one, so that they are not those of a process that
    /// ran before.
    #[must_use]
    pub fn starting_at(revision: u64) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }
}

impl Engine for Memory {
    async fn load(&mut self) -> Result<Snapshot, EngineError> {
        let mut records: Vec<Record> = self.records.values().cloned().collect();
        records.sort_by(|one, other| (one.kind(), one.name()).cmp(&(other.kind(), other.name())));
        Ok(Snapshot {
            revision: self.revision,
            records,
        })
    }

    async fn commit(&mut self, base: u64, changes: &[Change]) -> Result<u64, CommitError> {
        if base != self.revision {
            return Err(CommitError::Conflict);
        }
        for change in changes {
            match change {
                Change::Put(record) => {
                    self.records
                        .insert((record.kind(), record.name().clone()), record.clone());
                }
                Change::Remove(kind, name) => {
                    self.records.remove(&(*kind, name.clone()));
                }
            }
        }
        self.revision += 1;
        Ok(self.revision)
    }
}
