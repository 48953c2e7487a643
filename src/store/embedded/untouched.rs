//! A file that stays as it is, whatever is written to it: that is kept in memory, for whoever reads it
//! through this. Knows nothing of what is in the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What is written is kept in pieces of so many bytes.
const BLOCK: usize = 4096;

/// The file, and what was written since it was opened.
#[derive(Debug)]
pub struct Untouched {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    length: u64,
    /// What counts of the file: behind it there is nothing of it to see any more.
    of_file: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Untouched {
    /// # Errors
    /// The file is empty or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length == 0 {
            // Whoever opens nothing would be given a new database.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
        }
        let written = Written {
            length,
            of_file: length,
            blocks: BTreeMap::new(),
        };
        Ok(Self {
            file,
            written: Mutex::new(written),
        })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file has from a place on, and zeros behind its end.
    fn read_file(&self, of_file: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = of_file.saturating_sub(offset);
        let there = usize::try_from(there).map_or(out.len(), |there| there.min(out.len()));
        let (of_file, behind) = out.split_at_mut(there);
        behind.fill(0);
        self.file.read_exact_at(of_file, offset)
    }
}

/// The blocks that a stretch of bytes lies in: which, where the stretch begins in it, and how many of
/// its bytes are there.
fn blocks(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let size = BLOCK as u64;
    let (mut at, mut left) = (offset, length);
    std::iter::from_fn(move || {
        let begin = usize::try_from(at % size).unwrap_or_default();
        let count = left.min(BLOCK - begin);
        let block = at / size;
        at += count as u64;
        left -= count;
        (count > 0).then_some((block, begin, count))
    })
}

impl StorageBackend for Untouched {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        if offset + out.len() as u64 > written.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(written.of_file, offset, out)?;
        let mut left = out;
        for (block, begin, count) in blocks(offset, left.len()) {
            let (part, rest) = left.split_at_mut(count);
            if let Some(newer) = written.blocks.get(&block) {
                part.copy_from_slice(&newer[begin..begin + count]);
            }
            left = rest;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut written = self.written();
        written.length = length;
        written.of_file = written.of_file.min(length);
        // What is cut off reads as zeros if the length grows again.
        drop(written.blocks.split_off(&length.div_ceil(BLOCK as u64)));
        let last = usize::try_from(length % BLOCK as u64).unwrap_or_default();
        if let Some(cut) = written.blocks.get_mut(&(length / BLOCK as u64)) {
            cut[last..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let of_file = written.of_file;
        let mut left = data;
        for (block, begin, count) in blocks(offset, data.len()) {
            let (part, rest) = left.split_at(count);
            let newer = match written.blocks.entry(block) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    let mut before = vec![0; BLOCK];
                    self.read_file(of_file, block * BLOCK as u64, &mut before)?;
                    free.insert(before)
                }
            };
            newer[begin..begin + count].copy_from_slice(part);
            left = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_file_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &before).unwrap();
        let untouched = Untouched::open(&path).unwrap();
        let mut expected = before.clone();
        for (offset, data) in [(0, vec![1; 3]), (4_090, vec![2; 5_000]), (9_999, vec![3])] {
            untouched.write(offset as u64, &data).unwrap();
            expected[offset..offset + data.len()].copy_from_slice(&data);
        }
        let read = |offset: usize, length: usize| {
            let mut out = vec![9; length];
            let read = untouched.read(offset as u64, &mut out);
            read.map(|()| out)
        };
        assert_eq!(read(0, 10_000).unwrap(), expected);
        assert_eq!(read(4_089, 9).unwrap(), expected[4_089..4_098]);
        assert!(read(9_999, 2).is_err(), "behind the end");

        untouched.set_len(5_000).unwrap();
        untouched.set_len(12_000).unwrap();
        expected.truncate(5_000);
        expected.resize(12_000, 0);
        assert_eq!(read(0, 12_000).unwrap(), expected);
        untouched.write(11_000, &[7]).unwrap();
        expected[11_000] = 7;
        assert_eq!(read(0, 12_000).unwrap(), expected);
        assert_eq!(untouched.len().unwrap(), 12_000);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
