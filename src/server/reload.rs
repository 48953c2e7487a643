//! Takes over changes of the lab file and of the tokens while the server runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::changes::Changes;
use crate::audit::{Audit, Line};
use crate::auth::Tokens;
use crate::lab::{self, Lab};
use crate::lease::Name;
use crate::store::{Store, StoreError};

/// How many differences a log line names.
const NAMED: usize = 20;

/// Keeps the store's lab as its files are, for as long as the server runs. `lab` was read from them
/// after `changes` began to look.
pub async fn follow(
    path: PathBuf,
    mut changes: Changes,
    mut lab: Lab,
    store: Store,
    audit: Option<Audit>,
) {
    let tell = |changes: Vec<String>, error: Option<String>| {
        if let Some(audit) = &audit {
            let at = store.now();
            audit.line(Line::Lab { at, changes, error });
        }
    };
    while changes.next().await {
        let read = path.clone();
        let Ok(read) = spawn_blocking(move || lab::load(&read)).await else {
            return;
        };
        if !changes.undisturbed().await {
            continue;
        }
        match read {
            // A file that is written in place is empty for a moment, however long that moment is.
            Ok(read) if read.is_empty() && !lab.is_empty() => {
                let problem = "the lab has nothing in it";
                tell(vec![], Some(problem.to_owned()));
                tracing::error!(
                    "{problem}; the server keeps the one it has, until it is started anew"
                );
            }
            Ok(read) => {
                let differences = self::changes(&lab, &read);
                match take_over(&differences, read, &store).await {
                    Ok(read) => {
                        lab = read;
                        tell(differences, None);
                    }
                    Err(error) => tell(vec![], Some(error.to_string())),
                }
            }
            Err(errors) => {
                tell(vec![], Some(errors.to_string()));
                for line in errors.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the lab has errors; the server keeps the one it has");
            }
        }
    }
}

/// Takes over changes of the tokens file, of keys and of early ends, for as long as the server runs.
pub async fn follow_tokens(tokens: Arc<Tokens>, mut changes: Changes) {
    while changes.next().await {
        let reload = tokens.clone();
        let Ok(read) = spawn_blocking(move || reload.reload()).await else {
            return;
        };
        match read {
            Ok(()) => {
                let (keys, listed) = tokens.counts();
                tracing::info!(keys, listed, "the tokens were read again");
            }
            Err(errors) => {
                for line in errors.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the tokens have errors; the server keeps those it has");
            }
        }
    }
}

/// Puts a lab in place of another, from which it is different so, and returns it.
async fn take_over(changes: &[String], new: Lab, store: &Store) -> Result<Lab, StoreError> {
    for warning in &new.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = store.submit(new.clone().into_command()).await {
        tracing::error!(%error, "the lab was read and could not be stored; SIGHUP tries again");
        return Err(error);
    }
    if changes.is_empty() {
        tracing::info!("the lab was read again; nothing in it has changed");
    } else {
        tracing::info!(changes = summary(changes), "the lab was read again");
    }
    Ok(new)
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
}
