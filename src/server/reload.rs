//! Takes over changes of the lab file while the server runs. Files are looked at every now and then,
//! which works on every file system and for every way of writing; SIGHUP reads them at once.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use crate::lab::{self, Lab};
use crate::lease::Name;
use crate::store::Store;

/// How often the files are looked at. Two looks must agree: whoever writes has finished then.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many differences a log line names.
const NAMED: usize = 20;

/// What shows that the files of a lab are as they were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traces(Vec<(PathBuf, [i128; 5])>);

impl Traces {
    /// Of a file, or of the files in a directory that are a lab's. What cannot be looked at leaves
    /// none.
    pub fn of(path: &Path) -> Self {
        let mut paths = vec![path.to_path_buf()];
        if let Ok(entries) = fs::read_dir(path) {
            let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths = entries.filter(|path| is_of_a_lab(path)).collect();
            paths.sort();
        }
        // Follows links: Kubernetes mounts the files of a ConfigMap as links.
        let traces = paths
            .into_iter()
            .filter_map(|path| fs::metadata(&path).ok().map(|of| (path, trace(&of))));
        Self(traces.collect())
    }
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

/// Keeps the store's lab as its files are, for as long as the server runs. `lab` was read from them
/// after `traces` were taken.
pub async fn follow(
    path: PathBuf,
    mut traces: Traces,
    mut lab: Lab,
    store: Store,
    mut hangup: Signal,
) {
    let mut last = traces.clone();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(INTERVAL) => false,
        };
        let look = path.clone();
        let Ok(now) = spawn_blocking(move || Traces::of(&look)).await else {
            return;
        };
        let has_changed = now != traces && now == last;
        last.clone_from(&now);
        if !asked && !has_changed {
            continue;
        }
        traces = now;
        let read = path.clone();
        let Ok(read) = spawn_blocking(move || lab::load(&read)).await else {
            return;
        };
        match read {
            Ok(read) => lab = take_over(lab, read, &store).await,
            Err(errors) => {
                for line in errors.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the lab has errors; the server keeps the one it has");
            }
        }
    }
}

/// Puts a lab in place of another and says what is different; returns the one that is in place now.
async fn take_over(old: Lab, new: Lab, store: &Store) -> Lab {
    for warning in &new.warnings {
        tracing::warn!("{warning}");
    }
    let changes = changes(&old, &new);
    if let Err(error) = store.submit(new.clone().into_command()).await {
        tracing::error!(%error, "the lab was read and could not be stored; SIGHUP tries again");
        return old;
    }
    if changes.is_empty() {
        tracing::info!("the lab was read again; nothing in it has changed");
    } else {
        tracing::info!(changes = summary(&changes), "the lab was read again");
    }
    new
}

/// What is different between two labs: `added exporter lab/rpi4-01`.
fn changes(old: &Lab, new: &Lab) -> Vec<String> {
    let mut changes = Vec::new();
    compare(
        &mut changes,
        "exporter",
        &old.exporters,
        &new.exporters,
        |it| &it.name,
    );
    compare(&mut changes, "client", &old.clients, &new.clients, |it| {
        &it.name
    });
    compare(&mut changes, "policy", &old.policies, &new.policies, |it| {
        &it.name
    });
    changes
}

fn compare<T: PartialEq>(
    changes: &mut Vec<String>,
    kind: &str,
    old: &[T],
    new: &[T],
    name: fn(&T) -> &Name,
) {
    let mut gone: BTreeMap<&Name, &T> = old.iter().map(|it| (name(it), it)).collect();
    for present in new {
        let verb = match gone.remove(name(present)) {
            None => "added",
            Some(before) if before != present => "changed",
            Some(_) => continue,
        };
        changes.push(format!("{verb} {kind} {}", name(present)));
    }
    changes.extend(gone.keys().map(|name| format!("removed {kind} {name}")));
}

fn summary(changes: &[String]) -> String {
    let named = changes.iter().take(NAMED).cloned().collect::<Vec<_>>();
    match changes.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(name: &str, board: &str) -> String {
        format!(
            "---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\n\
             metadata: {{name: {name}, labels: {{board: {board}}}}}\n"
        )
    }

    #[test]
    fn differences_are_named() {
        let old = exporter("a", "x") + &exporter("b", "x") + &exporter("c", "x");
        let new = exporter("a", "x") + &exporter("b", "y") + &exporter("d", "x");
        let lab = |text: &str| lab::parse([("lab.yaml", text)]).unwrap();
        let expected = [
            "changed exporter default/b",
            "added exporter default/d",
            "removed exporter default/c",
        ];
        assert_eq!(changes(&lab(&old), &lab(&new)), expected);
        assert_eq!(summary(&expected.map(str::to_owned)), expected.join(", "));
        let many = vec!["added".to_owned(); NAMED + 2];
        assert!(summary(&many).ends_with("added and 2 more"));
    }

    #[test]
    fn every_way_of_writing_leaves_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.yaml");
        let mut last = Traces::of(folder.path());
        let mut differs = |what: &str, differs: bool| {
            let now = Traces::of(folder.path());
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
