//! A disk in memory that can fail, and whose power can go: what was not synced by then is there in
//! part, sector by sector, in any order. Knows nothing of databases.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::Random;

const SECTOR: usize = 512;

/// A disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// A file on the disk, for as long as the power is on.
#[derive(Debug)]
pub struct Handle {
    disk: Disk,
    /// How often the power had gone when it was opened.
    opened: u64,
}

#[derive(Debug, Default)]
struct State {
    /// What the system shows.
    shown: Vec<u8>,
    /// What is there if the power goes now.
    kept: Vec<u8>,
    /// What has not been synced, in order.
    pending: Vec<Change>,
    crashes: u64,
    /// Writes and syncs from now that still go well; none: all of them.
    good: Option<u64>,
    /// So many fail after those; none: all of them.
    bad: Option<u64>,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Disk {
    pub fn open(&self) -> Handle {
        let opened = self.0.lock().unwrap().crashes;
        Handle {
            disk: self.clone(),
            opened,
        }
    }

    /// After `good` writes and syncs, `bad` of them fail, or all.
    pub fn fail(&self, good: u64, bad: Option<u64>) {
        let mut state = self.0.lock().unwrap();
        (state.good, state.bad) = (Some(good), bad);
    }

    /// The power goes, and comes back.
    pub fn crash(&self, random: &mut Random) {
        let mut state = self.0.lock().unwrap();
        for change in std::mem::take(&mut state.pending) {
            match change {
                Change::Length(length) => {
                    if random.next(2) == 0 {
                        state.kept.resize(length, 0);
                    }
                }
                Change::Write(offset, bytes) => {
                    let sectors = bytes.chunks(SECTOR).enumerate();
                    for (index, sector) in sectors.filter(|_| random.next(2) == 0) {
                        put(&mut state.kept, offset + index * SECTOR, sector);
                    }
                }
            }
        }
        state.shown = state.kept.clone();
        state.crashes += 1;
        (state.good, state.bad) = (None, None);
    }
}

impl State {
    fn attempt(&mut self) -> io::Result<()> {
        match (&mut self.good, &mut self.bad) {
            (None, _) => return Ok(()),
            (Some(0), Some(0)) => {
                self.good = None;
                return Ok(());
            }
            (Some(0), Some(bad)) => *bad -= 1,
            (Some(0), None) => {}
            (Some(good), _) => {
                *good -= 1;
                return Ok(());
            }
        }
        Err(io::Error::other("the disk does not answer"))
    }
}

impl Handle {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock().unwrap();
        if state.crashes != self.opened {
            return Err(io::Error::other("the power was gone"));
        }
        work(&mut state)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.shown.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let start = usize::try_from(offset).unwrap();
            let found = state.shown.get(start..start + out.len());
            out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|state| {
            state.attempt()?;
            let length = usize::try_from(length).unwrap();
            state.shown.resize(length, 0);
            state.pending.push(Change::Length(length));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.attempt()?;
            state.kept = state.shown.clone();
            state.pending.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            let start = usize::try_from(offset).unwrap();
            // A write that fails has got half way.
            let attempt = state.attempt();
            let written = match attempt {
                Ok(()) => bytes,
                Err(_) => &bytes[..bytes.len() / 2],
            };
            put(&mut state.shown, start, written);
            state.pending.push(Change::Write(start, written.to_vec()));
            attempt
        })
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if to.len() < offset + bytes.len() {
        to.resize(offset + bytes.len(), 0);
    }
    to[offset..offset + bytes.len()].copy_from_slice(bytes);
}
