//! One database file: how it is laid out, read, and written in whole commits. Knows nothing of who
//! decides what, and of what to do about failures.
//!
//! Two tables: `records` from kind, namespace and name to a record in the form of
//! [`crate::store::form`], and `about` with the version of this layout, the revision, and a name of the
//! database's own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Builder, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use uuid::Uuid;

use super::untouched::Untouched;
use crate::lease::{Change, Kind, Name, Record};
use crate::store::engine::{EngineError, Snapshot};
use crate::store::form::{self, FormError, Reader};

const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<&str, &str> = TableDefinition::new("about");

/// Keys of the table `about`.
const LAYOUT: &str = "layout";
const REVISION: &str = "revision";
const INSTANCE: &str = "instance";

/// The version of the layout of tables and keys. Records have a version of their own.
const LAYOUT_VERSION: &str = "1";

/// What the database may hold in memory of its file. All records are in the book as well, so this
/// is for the pages that the next commits touch.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// How often whoever waits for the file to be checked or read is told how far that is.
pub const PROGRESS: Duration = Duration::from_secs(1);

/// Opens a database, again and again if it must be.
pub type Opener = Arc<dyn Fn() -> Result<Database, Cause> + Send + Sync>;

/// An open database.
pub struct Database {
    inner: redb::Database,
    revision: u64,
    instance: String,
    /// Where its file lies, and what the system knows that file by.
    place: Option<(PathBuf, [u64; 2])>,
}

/// Why a database cannot be used.
#[derive(Debug)]
pub enum Cause {
    /// What is in the file is not what was written.
    Damaged(String),
    /// Another process uses it: a sentence.
    InUse(String),
    /// A sentence.
    Failed(String),
}

impl Cause {
    /// The same, and which file it is about.
    fn of(self, path: &Path) -> Self {
        let path = path.display();
        match self {
            Self::Damaged(how) => Self::Damaged(format!("{path} is damaged: {how}")),
            Self::InUse(why) => Self::InUse(format!("{path}: {why}")),
            Self::Failed(why) => Self::Failed(format!("{path}: {why}")),
        }
    }

    /// A record, or what is known about all of them, cannot be read.
    fn unreadable(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Damaged(format!("{what} cannot be read: {error}"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(how) => write!(
                f,
                "{how}; put a backup in its place with `jumpstarter-gateway restore`"
            ),
            Self::InUse(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Cause {}

impl From<Cause> for EngineError {
    fn from(cause: Cause) -> Self {
        Self(cause.into())
    }
}

impl<E: Into<redb::Error>> From<E> for Cause {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(how) => Self::Damaged(how),
            redb::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                Self::Damaged(format!("it is no database of this program ({error})"))
            }
            redb::Error::DatabaseAlreadyOpen => {
                Self::InUse("another process has it open".to_owned())
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

/// How a database is opened: everything in it is looked at, so that a file that was damaged is not
/// taken for a good one.
pub fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let told = Cell::new(Instant::now());
    builder.set_repair_callback(move |session| {
        if told.get().elapsed() >= PROGRESS {
            told.set(Instant::now());
            tracing::info!(
                "{:.0} % of the file are checked",
                session.progress() * 100.0
            );
        }
    });
    builder
}

/// Opens the database in a file that must be there.
///
/// # Errors
/// It cannot be opened, is open elsewhere, is damaged, or was written by a later program.
pub fn open(path: &Path) -> Result<Database, Cause> {
    let mut database = Database::read(|| Ok(builder().open(path)?)).map_err(|cause| {
        // Said of a link that leads nowhere, too: what it led to was not mounted, perhaps.
        match fs::read_link(path) {
            Ok(target) => cause.of(&target),
            Err(_) => cause,
        }
        .of(path)
    })?;
    let identity = identity(path).map_err(|error| Cause::Failed(error.to_string()).of(path))?;
    database.place = Some((path.to_owned(), identity));
    Ok(database)
}

/// Opens the database in a file that must be there, and changes nothing of the file: what redb writes
/// even to read one that was not closed stays in memory.
///
/// # Errors
/// It cannot be read, is damaged, or was written by a later program.
pub fn open_untouched(path: &Path) -> Result<Database, Cause> {
    let opened = Database::read(|| {
        let file = Untouched::open(path)?;
        Ok(builder().create_with_backend(file)?)
    });
    opened.map_err(|cause| cause.of(path))
}

/// Whether there is anything at a path: a link that leads nowhere is something, too, and must not be
/// taken for a place where nothing has been yet.
///
/// # Errors
/// That cannot be found out.
pub fn is_there(path: &Path) -> Result<bool, Cause> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Cause::Failed(error.to_string()).of(path)),
    }
}

/// Makes a database in a file that is not there yet, with the revision `first` and what `fill` puts
/// into it. The file is there once it is complete.
///
/// # Errors
/// It cannot be written.
pub fn create(
    path: &Path,
    first: u64,
    fill: impl FnOnce(&mut Database) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let unfinished = path.with_extension("unfinished");
    let cause = |error: std::io::Error| {
        Cause::Failed(format!("{} cannot be written: {error}", path.display()))
    };
    let new = || -> std::io::Result<()> {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&unfinished).map(drop)
    };
    new().map_err(cause)?;
    let made = Database::make(|| Ok(builder().create(&unfinished)?), first);
    if let Err(cause) = made.and_then(|mut database| fill(&mut database)) {
        // What is left of it is of no use, and may be what fills the disk.
        let _ = fs::remove_file(&unfinished);
        return Err(cause.of(path));
    }
    fs::rename(&unfinished, path).map_err(cause)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(cause)?;
    folder.sync_all().map_err(cause)
}

impl Database {
    /// What `open` opens, looked at.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or was written by a later program.
    pub fn read(open: impl FnOnce() -> Result<redb::Database, redb::Error>) -> Result<Self, Cause> {
        guarded(|| {
            let inner = open()?;
            let reading = inner.begin_read()?;
            let about = reading.open_table(ABOUT)?;
            let value = |key: &str| -> Result<String, Cause> {
                match about.get(key)? {
                    Some(value) => Ok(value.value().to_owned()),
                    None => Err(Cause::unreadable(key, "it is not there")),
                }
            };
            let layout = value(LAYOUT)?;
            if layout != LAYOUT_VERSION {
                return Err(Cause::Failed(format!(
                    "it has version {layout} of the layout, and this program knows only \
                     {LAYOUT_VERSION}: use the program that wrote it, or a later one"
                )));
            }
            let revision = value(REVISION)?;
            let revision = revision
                .parse()
                .map_err(|error| Cause::unreadable(format!("the revision {revision}"), error))?;
            let instance = value(INSTANCE)?;
            drop((about, reading));
            Ok(Self {
                inner,
                revision,
                instance,
                place: None,
            })
        })
    }

    /// What `create` makes, laid out, empty, at the revision `first`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make(
        create: impl FnOnce() -> Result<redb::Database, redb::Error>,
        first: u64,
    ) -> Result<Self, Cause> {
        let inner = create()?;
        let instance = Uuid::now_v7().to_string();
        let writing = inner.begin_write()?;
        writing.open_table(RECORDS)?;
        let mut about = writing.open_table(ABOUT)?;
        about.insert(LAYOUT, LAYOUT_VERSION)?;
        about.insert(REVISION, first.to_string().as_str())?;
        about.insert(INSTANCE, instance.as_str())?;
        drop(about);
        writing.commit()?;
        Ok(Self {
            inner,
            revision: first,
            instance,
            place: None,
        })
    }

    /// The revision of the last commit.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The name that this database was given when it was made; no other has it.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Makes sure that what is written now will be found later.
    ///
    /// # Errors
    /// Its file is gone, or another one lies in its place.
    pub fn check_place(&self) -> Result<(), Cause> {
        let Some((path, opened)) = &self.place else {
            return Ok(());
        };
        match identity(path) {
            Ok(present) if present == *opened => Ok(()),
            Ok(_) => Err(Cause::Failed("another file lies in its place".to_owned()).of(path)),
            Err(error) => Err(Cause::Failed(error.to_string()).of(path)),
        }
    }

    /// Everything that is kept; `progress` is told after each record how many of how many are read.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or has records of a later program.
    pub fn load(&self, mut progress: impl FnMut(usize, u64)) -> Result<Snapshot, Cause> {
        self.guarded(|| {
            let reading = self.inner.begin_read()?;
            let table = reading.open_table(RECORDS)?;
            let total = table.len()?;
            let mut reader = Reader::default();
            let mut records = Vec::with_capacity(usize::try_from(total).unwrap_or_default());
            for entry in table.iter()? {
                let (kept, value) = entry?;
                let place = || format!("the record {}", kept.value().escape_ascii());
                let record = reader.record(value.value()).map_err(|error| match error {
                    FormError::Newer(_) => Cause::Failed(format!("{}: {error}", place())),
                    FormError::Wrong(why) => Cause::unreadable(place(), why),
                })?;
                if key(record.kind(), record.name()) != kept.value() {
                    return Err(Cause::unreadable(place(), "it has another name"));
                }
                records.push(record);
                progress(records.len(), total);
            }
            Ok(Snapshot {
                revision: self.revision,
                records,
            })
        })
    }

    /// Makes the changes and the new revision durable, all of it or nothing.
    ///
    /// # Errors
    /// It is not known whether it happened. The database cannot be used any more.
    pub fn write(&mut self, revision: u64, changes: &[Change]) -> Result<(), Cause> {
        self.guarded(|| {
            let writing = self.inner.begin_write()?;
            let mut records = writing.open_table(RECORDS)?;
            for (key, record) in last(changes) {
                match record {
                    Some(record) => records.insert(&*key, &*form::bytes(record))?,
                    None => records.remove(&*key)?,
                };
            }
            drop(records);
            let mut about = writing.open_table(ABOUT)?;
            about.insert(REVISION, revision.to_string().as_str())?;
            drop(about);
            // redb's default is what is wanted: one commit, one sync, and no return before it.
            writing.commit()?;
            Ok(())
        })?;
        self.revision = revision;
        Ok(())
    }

    /// As [`guarded`]; says which file it is about.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
        guarded(work).map_err(|cause| match &self.place {
            Some((path, _)) => cause.of(path),
            None => cause,
        })
    }
}

/// What is left of each record after all changes, in the order of their places: a lease that is
/// created and granted at once is written once.
fn last(changes: &[Change]) -> BTreeMap<Vec<u8>, Option<&Record>> {
    let left = changes.iter().map(|change| match change {
        Change::Put(record) => (key(record.kind(), record.name()), Some(record)),
        Change::Remove(kind, name) => (key(*kind, name), None),
    });
    left.collect()
}

fn identity(path: &Path) -> std::io::Result<[u64; 2]> {
    fs::metadata(path).map(|file| [file.dev(), file.ino()])
}

/// Where a record lies: neither namespaces nor names can contain the byte between them.
fn key(kind: Kind, name: &Name) -> Vec<u8> {
    let kind = match kind {
        Kind::Exporter => b'e',
        Kind::Client => b'c',
        Kind::Policy => b'p',
        Kind::Lease => b'l',
    };
    let mut key = Vec::with_capacity(2 + name.namespace.len() + name.id.len());
    key.push(kind);
    key.extend_from_slice(name.namespace.as_bytes());
    key.push(0);
    key.extend_from_slice(name.id.as_bytes());
    key
}

/// Runs what reads or writes the file. A library that finds in a damaged file what cannot be may stop
/// in the middle of it; that is a failure like others.
fn guarded<T>(work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Cause::Damaged(
            said.unwrap_or("it cannot be read").to_owned(),
        ))
    })
}
