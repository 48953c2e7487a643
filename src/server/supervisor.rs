//! What systemd, or whoever else speaks its protocols, is told and hands over: a socket that was
//! opened before, and notes about how the server is. Without one nothing here does anything.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::run::Error;
use crate::store::Store;

/// How long the supervisor may take for a note.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket to serve on that was handed over at the start (`LISTEN_FDS`); none if there is none. To
/// be called before there are other threads, because it clears environment variables.
///
/// # Errors
/// What was handed over is not one TCP socket that listens.
pub fn handed_socket() -> Result<Option<TcpListener>, Error> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        return Err(Error::configuration(format!(
            "{} sockets were handed over (LISTEN_FDS), and one is served: leave one ListenStream= in \
             the socket unit",
            handed.len()
        )));
    }
    handed.take_tcp_listener(0).map_err(|error| {
        Error::configuration(format!(
            "the socket that was handed over (LISTEN_FDS) is no TCP socket that listens: {error}; \
             ListenStream= in the socket unit takes a port, or an address and a port"
        ))
    })
}

/// The server takes requests.
pub async fn ready(status: &str) {
    tell(format!("READY=1\nSTATUS={status}")).await;
}

/// The server takes over settings; [`ready`] ends that.
pub async fn reloading() {
    // The time is asked for by `Type=notify-reload`.
    let time = NotifyState::monotonic_usec_now();
    let time = time.map_or_else(|_| String::new(), |time| format!("\n{time}"));
    tell(format!("RELOADING=1{time}")).await;
}

/// The server is about to end.
pub async fn stopping(status: &str) {
    tell(format!("STOPPING=1\nSTATUS={status}")).await;
}

/// Says again and again that the server is alive, if somebody wants to know (`WatchdogSec=`): tasks
/// get their turn, and readers their look at the book.
pub async fn watchdog(store: Store) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        store.read(|book, _| book.revision());
        tell("WATCHDOG=1".to_owned()).await;
        tokio::time::sleep(limit / 3).await;
    }
}

/// Sends a note, or gives it up where the supervisor does not take it: a server does not wait for the one
/// that should watch it.
async fn tell(note: String) {
    let told = spawn_blocking(move || sd_notify::notify(&[NotifyState::Custom(&note)]));
    match timeout(PATIENCE, told).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => {
            tracing::warn!(%error, "the supervisor (NOTIFY_SOCKET) could not be told how the server is");
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("the supervisor (NOTIFY_SOCKET) does not listen to how the server is");
        }
    }
}
