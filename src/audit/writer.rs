//! The file of the audit log. A failing disk costs lines, each of which is counted, and nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Line;
use crate::metrics::Metrics;

/// Names of people are in it: for the server and its group.
const MODE: u32 = 0o640;

pub struct Writer {
    /// None for standard error.
    file: Option<File>,
    path: PathBuf,
    metrics: Arc<Metrics>,
    reopen: Arc<AtomicBool>,
    /// The last line was not written to its end.
    is_torn: bool,
    is_failing: bool,
}

/// See [`super::Audit::append`].
pub fn append(path: &Path, line: &Line) -> io::Result<()> {
    let mut text = String::new();
    line.write(&mut text);
    match open(path)? {
        Some(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        }
        None => io::stderr().write_all(text.as_bytes()),
    }
}

impl Writer {
    pub fn open(path: &Path, metrics: Arc<Metrics>, reopen: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self {
            file: open(path)?,
            path: path.to_owned(),
            metrics,
            reopen,
            is_torn: false,
            is_failing: false,
        })
    }

    /// Appends whole lines, as far as that is possible.
    pub fn write(&mut self, lines: &str) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            match open(&self.path) {
                Ok(file) => (self.file, self.is_torn) = (file, false),
                Err(error) => self.told(&error, "opened again"),
            }
        }
        if lines.is_empty() {
            return;
        }
        let torn: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let ended = self.put(torn).and_then(|()| {
            self.is_torn = false;
            self.put(lines.as_bytes())
        });
        let count = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let all = count(lines.as_bytes());
        let written = match ended {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the audit log is written again");
                }
                all
            }
            Err((error, done)) => {
                let done = lines.as_bytes().get(..done).unwrap_or_default();
                self.is_torn |= done.last().is_some_and(|last| *last != b'\n');
                self.told(&error, "written");
                count(done)
            }
        };
        self.metrics.audit.written.add(written);
        self.metrics.audit.lost.add(all - written);
    }

    /// Everything is on disk.
    pub fn sync(&mut self) {
        // Where it is not a file there is no disk to wait for.
        if let Some(file) = &self.file
            && let Err(error) = file.sync_data()
            && error.kind() != io::ErrorKind::InvalidInput
        {
            self.told(&error, "written");
        }
    }

    /// Writes all of it, or says how much it was.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let written = match &mut self.file {
                Some(file) => file.write(rest),
                None => io::stderr().write(rest),
            };
            match written {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), done)),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, done)),
            }
        }
        Ok(())
    }

    /// Once, until it goes well again.
    fn told(&mut self, error: &io::Error, what: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let path = self.path.display();
            tracing::error!(%error, "the audit log {path} cannot be {what}; lines are lost, and counted");
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
        .map(Some)
}
