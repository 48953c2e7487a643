//! How the server ends: who is told what, in which order. Knows nothing of connections.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::foundation::Foundation;
use super::run::Error;
use super::supervisor;
use crate::config::Settings;

/// What a shell adds to the number of a signal that a process ended by.
const BY_SIGNAL: i32 = 128;

/// The signals that end a server.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they end nothing by themselves.
    ///
    /// # Errors
    /// They cannot be received.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// Ends the process at once when the next one comes. What was acknowledged is on disk all the same.
    async fn insist(mut self) {
        let kind = self.next().await;
        tracing::warn!("told to stop once more: the server ends at once");
        std::process::exit(BY_SIGNAL + kind.as_raw_value());
    }
}

/// Completes when no more connections are to be accepted: after a signal, or when the store's writer
/// has ended. By then `/readyz` has said for `shutdown_delay` that the server is not ready, and whoever
/// waits or watches is sent away.
///
/// # Errors
/// The server does not end because it was told to.
pub async fn told(
    mut signals: Signals,
    foundation: &Foundation,
    settings: watch::Receiver<Settings>,
) -> Result<(), Error> {
    let outcome = tokio::select! {
        _ = signals.next() => Ok(()),
        () = foundation.store.ended() => Err(Error::fault(
            "the store's writer has ended, so nothing can be changed any more; the log says why",
        )),
    };
    foundation.readiness.set(false).await;
    tokio::spawn(signals.insist());
    supervisor::stopping("finishing what is under way").await;
    if let Err(error) = &outcome {
        tracing::error!("{error}");
    }
    let delay = settings.borrow().shutdown_delay;
    if !delay.is_zero() {
        tracing::info!(
            ?delay,
            "stopping: not ready any more; connections are still accepted"
        );
        tokio::time::sleep(delay).await;
    }
    foundation.stopping.send_replace(true);
    foundation.readiness.end().await;
    tracing::info!("stopping: no new connections, requests under way are finished");
    outcome
}
