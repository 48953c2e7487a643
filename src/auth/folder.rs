//! The folder in which keys and what belongs to them are kept. Knows how a file is written so that
//! nobody else can read it and no crash leaves half of it; not what the files are for.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder that belongs to the account that the server runs as.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path, which is made if it is not there, for its owner alone.
    ///
    /// # Errors
    /// It cannot be made, or is no folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if is_new {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            // A key that outlives a loss of power is of no use in a folder that does not.
            let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Where a file of this name is.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What a file holds; none where it is not there.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8. The error names the file.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.named(name, &error)),
        }
    }

    /// Puts a text in place of what a file held. Others see all of it or nothing, and once this has
    /// returned it is on disk.
    ///
    /// # Errors
    /// It cannot be written; the file is as it was. The error names the file.
    pub fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = self.file(&format!(".{name}.new"));
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&draft)?;
            // Whatever the umask is, and whoever made a draft that was left behind.
            file.set_permissions(private())?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.file(name))?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| self.named(name, &error))
    }

    /// Keeps every other process out that asks for the lock too, until the result is dropped. Who
    /// changes what it has read holds it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.file(".lock"));
        let lock = lock.map_err(|error| self.named(".lock", &error))?;
        lock.set_permissions(private())?;
        lock.lock()?;
        Ok(lock)
    }

    /// Takes a file from everybody but its owner, if it is there.
    ///
    /// # Errors
    /// It is somebody else's. The error names the file.
    pub fn close(&self, name: &str) -> io::Result<()> {
        let close = || {
            let file = self.file(name);
            let mode = fs::metadata(&file)?.permissions().mode();
            if mode & 0o077 == 0 {
                return Ok(());
            }
            tracing::warn!(file = %file.display(), "others could read this file; they cannot any more");
            fs::set_permissions(&file, private())
        };
        match close() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.named(name, &error)),
            _ => Ok(()),
        }
    }

    fn named(&self, name: &str, error: &io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", self.file(name).display()),
        )
    }
}

/// For the owner alone.
fn private() -> Permissions {
    Permissions::from_mode(0o600)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn what_is_written_is_its_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(&parent.path().join("a/keys")).unwrap();
        assert_eq!(folder.read("key.pem").unwrap(), None);
        folder.replace("key.pem", "one").unwrap();
        folder.replace("key.pem", "two").unwrap();
        assert_eq!(folder.read("key.pem").unwrap().as_deref(), Some("two"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.file("key.pem")), 0o600);
        assert_eq!(mode(&parent.path().join("a/keys")), 0o700);
        let open = |name: &str| {
            let file = folder.file(name);
            fs::write(&file, "left behind").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        };
        open(".key.pem.new");
        folder.replace("key.pem", "three").unwrap();
        assert_eq!(mode(&folder.file("key.pem")), 0o600);
        open(".lock");
        drop(folder.lock().unwrap());
        assert_eq!(mode(&folder.file(".lock")), 0o600);
        open("key.pem");
        folder.close("key.pem").unwrap();
        folder.close("nothing.pem").unwrap();
        assert_eq!(mode(&folder.file("key.pem")), 0o600);
    }

    #[test]
    fn who_holds_the_lock_holds_it_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let held = folder.lock().unwrap();
        let other = File::open(folder.file(".lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn an_error_names_the_file() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        fs::create_dir(folder.file("key.pem")).unwrap();
        let error = folder.replace("key.pem", "text").unwrap_err().to_string();
        assert!(error.contains("key.pem: "), "{error}");
    }
}
