//! What readers see: the last committed book, the commits that led to it, and wake-ups for those who
//! wait for more. Knows nothing of engines and of what is not committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::history::{Commit, Forgotten, History};
use crate::lease::{Book, Change, Name, Timestamp};

/// The published state. Shared by the writer and all readers.
pub struct Published {
    state: RwLock<State>,
    revisions: watch::Sender<u64>,
    /// Whoever waits for a single lease.
    wakes: Mutex<HashMap<Name, watch::Sender<()>>>,
}

struct State {
    book: Book,
    history: History,
}

/// Wakes whenever a commit has touched one lease.
pub struct Wake {
    published: Arc<Published>,
    name: Name,
    touched: watch::Receiver<()>,
}

impl Published {
    pub fn new(book: Book, now: Timestamp, history: usize) -> Self {
        let revision = book.revision();
        Self {
            state: RwLock::new(State {
                book,
                history: History::new(revision, now, history),
            }),
            revisions: watch::Sender::new(revision),
            wakes: Mutex::default(),
        }
    }

    /// Looks at the book.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.state().book)
    }

    /// Shows what was committed as `revision`, at most one change for each record, and wakes whoever
    /// waits for it.
    pub fn publish(&self, changes: &[Change], revision: u64, at: Timestamp) -> Arc<Commit> {
        let mut state = self.state_mut();
        let State { book, history } = &mut *state;
        let commit = history.add(book, changes, revision, at);
        for change in changes {
            book.apply(change);
        }
        book.committed(revision);
        drop(state);
        let wakes = self.wakes();
        for effect in &commit.leases {
            if let Some(wake) = wakes.get(&effect.name) {
                wake.send_replace(());
            }
        }
        drop(wakes);
        self.revisions.send_if_modified(|shown| {
            *shown = revision;
            // Whoever comes from now on sees this one.
            self.revisions.receiver_count() > 0
        });
        commit
    }

    /// Shows another book of the same records from now on.
    pub fn replace(&self, book: Book) {
        let before = std::mem::replace(&mut self.state_mut().book, book);
        // Readers do not wait for this.
        drop(before);
    }

    /// Every revision from now on.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// Wake-ups for one lease from now on, whether or not there is such a lease.
    pub fn wake(self: &Arc<Self>, name: &Name) -> Wake {
        let mut wakes = self.wakes();
        let touched = wakes.entry(name.clone()).or_default().subscribe();
        drop(wakes);
        Wake {
            published: self.clone(),
            name: name.clone(),
            touched,
        }
    }

    pub fn remember(&self, effects: usize) {
        self.state_mut().history.set_limit(effects);
    }

    /// See [`History::since`].
    pub fn since(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Commit>>, Forgotten> {
        self.state().history.since(revision, limit)
    }

    /// See [`History::lease_since`].
    pub fn lease_since(&self, name: &Name, revision: u64) -> Result<Vec<Arc<Commit>>, Forgotten> {
        let state = self.state();
        if revision > state.book.revision() {
            return Err(Forgotten);
        }
        let lease = state.book.lease(name);
        if lease.is_some_and(|lease| lease.revision <= revision) {
            return Ok(Vec::new());
        }
        state.history.lease_since(name, revision)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakes(&self) -> MutexGuard<'_, HashMap<Name, watch::Sender<()>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    /// Completes once a commit has touched the lease since this was last asked, or at once if one
    /// has already.
    pub async fn touched(&mut self) {
        // The sender stays in its place for as long as anybody waits for it.
        let _ = self.touched.changed().await;
    }
}

impl Drop for Wake {
    /// The last one to wait clears the place.
    fn drop(&mut self) {
        let mut wakes = self.published.wakes();
        let last = |wake: &watch::Sender<()>| wake.receiver_count() == 1;
        if wakes.get(&self.name).is_some_and(last) {
            wakes.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Settings;

    #[test]
    fn nobody_who_waits_leaves_nothing_behind() {
        let book = Book::new(Settings::default());
        let published = Arc::new(Published::new(book, Timestamp::new(0, 0), 10));
        let name = Name::new("lab", "one");
        let (first, second) = (published.wake(&name), published.wake(&name));
        drop(first);
        assert_eq!(published.wakes().len(), 1);
        drop(second);
        assert_eq!(published.wakes().len(), 0);
    }
}
