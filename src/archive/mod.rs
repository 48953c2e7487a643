//! What is kept, on its way out of a data directory and back into one: backups, which are database
//! files, and exports, which are JSON lines. Knows nothing of requests.
//!
//! A server that runs has its directory to itself. Whoever connects to the socket that it leaves
//! there is sent an export, so that a backup needs neither a stop nor a second way to read the file.

mod lines;
mod offer;

use std::fmt;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::lease::{Change, Record};
use crate::store::embedded::{self, Cause, DATABASE, Directory};

pub use offer::offer;

/// The socket in a directory.
const SOCKET: &str = "export.sock";

/// Why something cannot be brought out or in: a sentence for the operator.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self(cause.to_string())
    }
}

/// Everything that is kept, at one revision.
pub struct Archive {
    pub revision: u64,
    /// The database that it comes from.
    pub instance: String,
    pub records: Vec<Record>,
}

/// Told now and then how many of how many records are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Archive {
    /// What a data directory keeps, whether or not a server uses it, or what a backup holds.
    ///
    /// # Errors
    /// It is neither, or cannot be read.
    pub fn of(path: &Path, progress: Progress<'_>) -> Result<Self, Error> {
        if !path.is_dir() {
            return Self::of_database(path, progress);
        }
        let database = path.join(DATABASE);
        if !database.exists() {
            let path = path.display();
            return Err(Error(format!(
                "{path} is no data directory: it has no {DATABASE}"
            )));
        }
        match Directory::lock(path) {
            Ok(_directory) => Self::of_database(&database, progress),
            Err(Cause::InUse(why)) => Self::of_server(&path.join(SOCKET), &why, progress),
            Err(cause) => Err(cause.into()),
        }
    }

    /// What was exported.
    ///
    /// # Errors
    /// It cannot be read, or is no complete export; with the line.
    pub fn of_lines(name: &str, lines: impl Read, progress: Progress<'_>) -> Result<Self, Error> {
        lines::read(BufReader::new(lines), progress)
            .map_err(|(line, fault)| Error(format!("{name}:{line}: {fault}")))
    }

    fn of_database(path: &Path, progress: Progress<'_>) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error(format!("{}: there is no such file", path.display())));
        }
        let database = embedded::open_untouched(path)?;
        let snapshot = database.load(|read, total| progress(read as u64, total))?;
        Ok(Self {
            revision: snapshot.revision,
            instance: database.instance().to_owned(),
            records: snapshot.records,
        })
    }

    fn of_server(socket: &Path, why: &str, progress: Progress<'_>) -> Result<Self, Error> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            let socket = socket.display();
            Error(format!(
                "{why}; and it cannot be asked for its records: {socket}: {error}"
            ))
        })?;
        let _ = stream.shutdown(Shutdown::Write);
        Self::of_lines(&socket.display().to_string(), stream, progress)
    }

    /// Writes it as JSON lines.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_lines(&self, to: impl Write, progress: Progress<'_>) -> io::Result<()> {
        let mut to = BufWriter::new(to);
        lines::write(self, &mut to, progress)?;
        to.flush()
    }

    /// Writes it as a backup, in a file that is complete once it is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_backup(&self, path: &Path) -> Result<(), Error> {
        Ok(self.write_database(path, self.revision)?)
    }

    /// Puts it into a data directory that no server uses. With `replace`, what the directory had
    /// before stays beside it, under the name that is returned.
    ///
    /// Its revisions go on from `first`, if they are not further: no ETag or event id that was given
    /// out after the backup is given out a second time for something else.
    ///
    /// # Errors
    /// There are records already and nothing is to be replaced, or the directory cannot be used.
    pub fn restore(
        &self,
        data: &Path,
        replace: bool,
        first: u64,
    ) -> Result<Option<PathBuf>, Error> {
        let directory = Directory::lock(data)?;
        let path = directory.database();
        let mut replaced = None;
        if embedded::is_there(&path)? {
            if !replace {
                let path = path.display();
                return Err(Error(format!(
                    "{path} is there already; use another directory, or have it replaced with \
                     restore --force"
                )));
            }
            let beside = path.with_extension("redb.replaced");
            // What an earlier restore has put aside may be the only good copy.
            fs::hard_link(&path, &beside).map_err(|error| {
                let hint = match error.kind() {
                    io::ErrorKind::AlreadyExists => "; move it away first",
                    _ => "",
                };
                Error(format!("{}: {error}{hint}", beside.display()))
            })?;
            replaced = Some(beside);
        }
        let written = self.write_database(&path, first.max(self.revision + 1));
        if let (Err(_), Some(beside)) = (&written, &replaced) {
            // Nothing was replaced; the next attempt needs the name.
            let _ = fs::remove_file(beside);
        }
        written?;
        Ok(replaced)
    }

    fn write_database(&self, path: &Path, revision: u64) -> Result<(), Cause> {
        let puts: Vec<Change> = self.records.iter().cloned().map(Change::Put).collect();
        embedded::create(path, revision, |database| database.write(revision, &puts))
    }
}
