//! The directory that one server keeps everything in, and that no second one may use at the same
//! time. Knows nothing of what lies in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::database::Cause;

/// The database's file in a directory.
pub const DATABASE: &str = "gateway.redb";

/// The file that whoever uses a directory holds a lock on; it tells which process that is.
const LOCK: &str = "lock";

/// A directory that this process alone uses, for as long as this is there.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes a directory into use. It is made, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// It cannot be made or written to, or another process uses it.
    pub fn lock(path: &Path) -> Result<Self, Cause> {
        let shown = path.display();
        let failed =
            |what: &str, error: std::io::Error| Cause::Failed(format!("{shown} {what}: {error}"));
        make(path).map_err(|error| failed("cannot be made a directory", error))?;
        let lock = path.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock)
            .map_err(|error| failed("cannot be written to", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be a moment before the other one has written who it is.
                let known = file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
                let holder = match known {
                    true => format!("process {}", holder.trim()),
                    false => "another process".to_owned(),
                };
                return Err(Cause::InUse(format!(
                    "{shown} is in use by {holder}; stop that one first, or use another directory"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed("cannot be locked", error)),
        }
        let told = file.set_len(0).and_then(|()| file.rewind());
        told.and_then(|()| writeln!(file, "{}", process::id()))
            .map_err(|error| failed("cannot be written to", error))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: file,
        })
    }

    /// Where its database is.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

/// Makes a directory, for its owner alone, and those that it lies in; once this returns, they are still
/// there after the power has gone.
fn make(path: &Path) -> std::io::Result<()> {
    let missing = path.ancestors().take_while(|it| !it.is_dir());
    let missing: Vec<&Path> = missing.filter(|it| !it.as_os_str().is_empty()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        let parent = made.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
