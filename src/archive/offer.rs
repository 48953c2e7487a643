//! The server's end of the socket in a data directory: whoever connects is sent an export. Only the
//! server's own account and the system's administrator may.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;

use super::{Archive, SOCKET};
use crate::store::Store;

/// Whoever reads nothing for so long gets nothing more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The administrator of every Unix.
const ROOT: u32 = 0;

/// Offers exports of what the store shows, for as long as this is polled. It shows what is kept: a
/// reader never sees anything else.
///
/// # Errors
/// The socket cannot be made.
pub async fn offer(directory: &Path, store: Store, instance: String) -> io::Result<()> {
    let path = directory.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    // Of this process, not of the socket's path: what is there is somebody else's to change.
    let owner = rustix::process::geteuid().as_raw();
    loop {
        let accepted = listener.accept().await;
        let known = accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream)));
        let (peer, stream) = match known {
            Ok(known) => known,
            Err(error) => {
                // Out of file descriptors, most likely: leave the others time to end.
                tracing::warn!(%error, "somebody who asks for the records could not be heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if peer != owner && peer != ROOT {
            tracing::warn!(
                user = peer,
                "a user who may not have the records asked for them"
            );
            continue;
        }
        // One after the other: each takes memory for a list of all records.
        match send(stream, &store, instance.clone()).await {
            Ok(records) => tracing::info!(records, "the records were exported"),
            Err(error) => tracing::warn!(%error, "the records were not exported to the end"),
        }
    }
}

async fn send(stream: UnixStream, store: &Store, instance: String) -> io::Result<usize> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let store = store.clone();
    let sent = spawn_blocking(move || {
        let (revision, records) =
            store.read(|book, _| (book.revision(), book.records().collect::<Vec<_>>()));
        let archive = Archive {
            revision,
            instance,
            records,
        };
        let written = archive.write_lines(stream, &mut |_, _| {});
        written
            .map(|()| archive.records.len())
            .map_err(io::Error::other)
    });
    sent.await.map_err(io::Error::other)?
}
