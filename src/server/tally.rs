//! How many connections are open, to whichever address of this process. Knows nothing of what is said on
//! them.

use std::sync::atomic::{AtomicUsize, Ordering};

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub struct Open(());

/// One more connection is open.
pub fn opened() -> Open {
    OPEN.fetch_add(1, Ordering::Relaxed);
    Open(())
}

/// How many there are.
pub fn count() -> usize {
    OPEN.load(Ordering::Relaxed)
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
