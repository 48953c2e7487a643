//! What systemd, or whoever else speaks its protocols, is told and hands over: a socket that was
//! opened before, and notes about how the server is. Without one nothing here does anything.

use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::run::Error;
use crate::store::Store;

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
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The server takes over settings; [`ready`] ends that.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    // Asked for by `Type=notify-reload`.
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// The server is about to end.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Says again and again that the server is alive, if somebody wants to know (`WatchdogSec=`): tasks
/// get their turn, and readers their look at the book.
pub async fn watchdog(store: Store) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        store.read(|book, _| book.revision());
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(limit / 3).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager (NOTIFY_SOCKET) could not be told how the server is");
    }
}
