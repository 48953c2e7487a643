//! Work that keeps a thread for long, done where it keeps nobody else waiting. Knows nothing of what the
//! work is.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, block_in_place, spawn_blocking};

/// Does it on this thread where others can take over what the thread has to do, because the way to
/// another one and back would take longer than the sync of a good disk; else on a thread of its own.
///
/// # Errors
/// The work has stopped in the middle of it.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        return Ok(block_in_place(work));
    }
    spawn_blocking(work).await
}
