//! Says when files should be read again. They are looked at every now and then, which works on every
//! file system and for every way of writing; SIGHUP has them read at once. Knows nothing of what is
//! in them.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

/// How often the files are looked at. Two looks must agree: whoever writes has finished then.
const INTERVAL: Duration = Duration::from_millis(500);

/// The same where somebody waits for it.
const MOMENT: Duration = Duration::from_millis(100);

/// Files that may change while the server runs.
#[derive(Debug)]
pub struct Changes {
    paths: Vec<PathBuf>,
    /// As they were when they were last read, and when they were last looked at.
    read: Traces,
    last: Traces,
    hangup: Signal,
}

impl Changes {
    /// Begins to look; to be called before the files are read, so that no later change is missed.
    ///
    /// # Errors
    /// SIGHUP cannot be received.
    pub fn of(paths: Vec<PathBuf>) -> std::io::Result<Self> {
        let read = Traces::of(&paths);
        Ok(Self {
            last: read.clone(),
            read,
            paths,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the files should be read again. False when that will never be: the server ends.
    pub async fn next(&mut self) -> bool {
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            let Some(mut now) = self.look().await else {
                return false;
            };
            // Who asks may be quicker than who writes.
            while asked && now != self.last {
                self.last = now;
                tokio::time::sleep(MOMENT).await;
                now = match self.look().await {
                    Some(now) => now,
                    None => return false,
                };
            }
            let has_changed = now != self.read && now == self.last;
            self.last.clone_from(&now);
            if asked || has_changed {
                self.read = now;
                return true;
            }
        }
    }
}

impl Changes {
    /// Whether the files are still those that [`Self::next`] has asked to read. What was read of others
    /// may be half of a file; `next` asks again for them.
    pub async fn undisturbed(&self) -> bool {
        self.look().await.is_some_and(|now| now == self.read)
    }

    async fn look(&self) -> Option<Traces> {
        let paths = self.paths.clone();
        spawn_blocking(move || Traces::of(&paths)).await.ok()
    }
}

/// What shows that the files of a lab are as they were.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Traces(Vec<(PathBuf, [i128; 5])>);

impl Traces {
    /// Of files, and of the files in directories that are a lab's. What cannot be looked at leaves
    /// none.
    fn of(paths: &[PathBuf]) -> Self {
        let paths = paths.iter().flat_map(|path| files(path));
        // Follows links: Kubernetes mounts the files of a ConfigMap as links.
        let traces = paths.filter_map(|path| fs::metadata(&path).ok().map(|of| (path, trace(&of))));
        Self(traces.collect())
    }
}

/// The path itself if it is no directory, else the files of a lab in it.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return vec![path.to_path_buf()];
    };
    let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = entries.filter(|path| is_of_a_lab(path)).collect();
    files.sort();
    files
}

/// Editors leave other files beside those that count.
fn is_of_a_lab(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_yaml = path
        .extension()
        .is_some_and(|it| it == "yaml" || it == "yml");
    is_yaml && !is_hidden
}

/// Another file, another length, or any write since.
fn trace(of: &Metadata) -> [i128; 5] {
    [
        of.dev().into(),
        of.ino().into(),
        of.size().into(),
        of.ctime().into(),
        of.ctime_nsec().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_leaves_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.yaml");
        let mut last = Traces::of(&[folder.path().to_path_buf()]);
        let mut differs = |what: &str, differs: bool| {
            let now = Traces::of(&[folder.path().to_path_buf()]);
            assert_eq!(now != last, differs, "{what}: {now:?} after {last:?}");
            last = now;
        };
        fs::write(&file, "one").unwrap();
        differs("a new file", true);
        fs::write(&file, "three").unwrap();
        differs("another length", true);
        let other = folder.path().join(".lab.yaml.swp");
        fs::write(&other, "seven").unwrap();
        differs("a file beside it", false);
        fs::rename(&other, &file).unwrap();
        differs("another file of the same length", true);
        fs::remove_file(&file).unwrap();
        differs("no file", true);
    }
}
