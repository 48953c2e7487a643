//! The audit log: who did what to which lease, when, and what came of it, as JSON lines.
//!
//! A line is handed to a thread of its own and the call goes on: neither a slow disk nor a full one
//! holds up anybody. What cannot be written is counted, and the server's log tells of it once. When the
//! server stops in good order, everything that was handed over is on disk. Knows nothing of HTTP.

mod line;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use line::{CallLine, Line, TokenEvent};

use crate::metrics::Metrics;
use crate::store::Commit;
use writer::Writer;

/// How many lines may wait for the disk; those beyond are lost.
const BACKLOG: usize = 8_192;

/// How many refusals of callers whom nobody knows are told of in a minute, one by one.
const STRANGERS: u32 = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// How long a stop waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// A handle on the audit log; clones share it.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: SyncSender<Entry>,
    metrics: Arc<Metrics>,
    /// The file was moved away: open it again.
    reopen: Arc<AtomicBool>,
    /// Lines are being lost, and the server's log says so.
    overflows: AtomicBool,
    strangers: Mutex<Strangers>,
}

/// Refusals of callers whom nobody knows.
#[derive(Debug)]
struct Strangers {
    since: Instant,
    told: u32,
    left_out: u64,
}

/// What is handed to the thread.
enum Entry {
    Line(Line),
    /// What it did to leases.
    Commit(Arc<Commit>),
    /// Tell once all before it is on disk.
    Flush(SyncSender<()>),
    /// Look whether there is something to do.
    Wake,
}

impl Audit {
    /// Appends to a file, which is made if it is not there; `-` is standard error.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (entries, inbox) = sync_channel(BACKLOG);
        let reopen = Arc::new(AtomicBool::new(false));
        let mut writer = Writer::open(path, metrics.clone(), reopen.clone())?;
        let run = move || obey(&mut writer, &inbox);
        thread::Builder::new().name("audit".to_owned()).spawn(run)?;
        Ok(Self(Arc::new(Shared {
            entries,
            metrics,
            reopen,
            overflows: AtomicBool::new(false),
            strangers: Mutex::new(Strangers {
                since: Instant::now(),
                told: 0,
                left_out: 0,
            }),
        })))
    }

    /// Appends one line and waits for the disk: for programs that do one thing and end.
    ///
    /// # Errors
    /// The file cannot be opened or written.
    pub fn append(path: &Path, line: &Line) -> io::Result<()> {
        writer::append(path, line)
    }

    /// A call was answered. Of callers whom nobody knows only so many are told in a minute; how many
    /// were left out stands in the next line about one.
    pub fn call(&self, mut call: CallLine) {
        if call.actor.is_none() {
            let mut strangers = self
                .0
                .strangers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if strangers.since.elapsed() >= MINUTE {
                (strangers.since, strangers.told) = (Instant::now(), 0);
            }
            if strangers.told >= STRANGERS {
                strangers.left_out += 1;
                return;
            }
            strangers.told += 1;
            call.left_out = std::mem::take(&mut strangers.left_out);
        }
        self.line(Line::Call(Box::new(call)));
    }

    /// Something happened that is no call.
    pub fn line(&self, line: Line) {
        self.hand_over(Entry::Line(line));
    }

    /// A commit may have given exporters to leases, or ended them.
    pub fn committed(&self, commit: &Arc<Commit>) {
        if !commit.leases.is_empty() {
            self.hand_over(Entry::Commit(commit.clone()));
        }
    }

    /// The file was moved away, so it is made anew.
    pub fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Relaxed);
        // A thread that has so much to do that this has no room wakes without it.
        let _ = self.0.entries.try_send(Entry::Wake);
    }

    /// Waits until everything handed over so far is on disk, but not for ever.
    pub fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        let deadline = Instant::now() + PATIENCE;
        let mut entry = Entry::Flush(done);
        while let Err(TrySendError::Full(back)) = self.0.entries.try_send(entry) {
            if Instant::now() >= deadline {
                break;
            }
            entry = back;
            thread::sleep(Duration::from_millis(10));
        }
        if is_done.recv_timeout(PATIENCE).is_err() {
            tracing::error!("the audit log was not written to its end: the disk took too long");
        }
    }

    fn hand_over(&self, entry: Entry) {
        let overflows = self.0.entries.try_send(entry).is_err();
        if overflows {
            self.0.metrics.audit.lost.add(1);
        }
        if overflows != self.0.overflows.load(Ordering::Relaxed) {
            self.0.overflows.store(overflows, Ordering::Relaxed);
            if overflows {
                tracing::error!("lines of the audit log are lost: the disk is too slow for them");
            }
        }
    }
}

/// Writes what comes, as much at a time as there is.
fn obey(writer: &mut Writer, inbox: &Receiver<Entry>) {
    let mut text = String::new();
    let (mut waiting, mut lines) = (Vec::new(), Vec::new());
    while let Ok(first) = inbox.recv() {
        let rest = inbox.try_iter().take(BACKLOG);
        for entry in std::iter::once(first).chain(rest) {
            match entry {
                Entry::Line(line) => lines.push(line),
                Entry::Commit(commit) => lines.extend(line::of(&commit)),
                Entry::Flush(done) => waiting.push(done),
                Entry::Wake => {}
            }
            for line in lines.drain(..) {
                line.write(&mut text);
            }
        }
        writer.write(&text);
        text.clear();
        if !waiting.is_empty() {
            writer.sync();
        }
        for done in waiting.drain(..) {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::call::Actor;
    use crate::lease::Timestamp;

    fn stranger() -> CallLine {
        CallLine {
            at: Timestamp::new(0, 0),
            rpc: "library.v1.Library/Borrow",
            code: "UNAUTHENTICATED",
            status: Some(401),
            reason: None,
            actor: None,
            peer: None,
            lease: None,
            revision: None,
            request: "seven".to_owned(),
            trace: None,
            explanation: None,
            left_out: 0,
        }
    }

    fn somebody() -> Actor {
        Actor {
            client: "ada".into(),
            namespace: None,
            token: None,
            is_admin: false,
        }
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new([], []))
    }

    #[test]
    fn strangers_do_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let audit = Audit::open(&path, metrics()).unwrap();
        for _ in 0..STRANGERS + 10 {
            audit.call(stranger());
        }
        audit.0.strangers.lock().unwrap().since -= MINUTE;
        audit.call(stranger());
        audit.flush();
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), STRANGERS as usize + 1, "{text}");
        assert!(
            lines[STRANGERS as usize].contains("\"leftOut\":10"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let metrics = metrics();
        let audit = Audit::open(&path, metrics.clone()).unwrap();
        audit.line(Line::Started {
            at: Timestamp::new(0, 0),
            version: "1",
        });
        audit.flush();
        fs::rename(&path, &moved).unwrap();
        audit.reopen();
        audit.line(Line::Started {
            at: Timestamp::new(0, 0),
            version: "2",
        });
        audit.flush();
        let read = |path| fs::read_to_string(path).unwrap();
        assert!(read(&moved).contains("\"version\":\"1\""));
        assert!(read(&path).contains("\"version\":\"2\""));
        assert_eq!(
            (metrics.audit.written.read(), metrics.audit.lost.read()),
            (2, 0)
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let metrics = metrics();
        let audit = Audit::open(Path::new("/dev/full"), metrics.clone()).unwrap();
        for _ in 0..3 {
            audit.call(CallLine {
                actor: Some(somebody()),
                ..stranger()
            });
        }
        audit.flush();
        assert_eq!(
            (metrics.audit.written.read(), metrics.audit.lost.read()),
            (0, 3)
        );
    }
}
