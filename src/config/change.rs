//! What becomes of settings that were changed while a server runs: which count at once, and which wait
//! for its next start. Knows nothing of how they are put into effect.

use toml::Table;

use super::{ConfigError, Settings, arguments};

/// The settings that a running server takes over. All others need a restart.
pub const CHANGEABLE: [&str; 18] = [
    "admins",
    "cors_origins",
    "deprecated_labels",
    "failed_tokens",
    "hidden_labels",
    "lease_retention",
    "log",
    "longest_call",
    "longest_wait",
    "max_body_bytes",
    "max_query_bytes",
    "max_tags",
    "max_url_bytes",
    "maximum_duration",
    "minimum_duration",
    "offline_after",
    "shutdown_delay",
    "watch_history",
];

/// What settings that were read anew mean for a server that runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What it goes by from now on.
    pub settings: Settings,
    /// The names of settings that are different now, each with its new value.
    pub taken_over: Vec<String>,
    /// The names of settings that will be different after a restart.
    pub postponed: Vec<String>,
}

impl Settings {
    /// What it means for a server with these settings that others were read.
    ///
    /// # Errors
    ///
    /// What was taken over does not go together with what was not.
    pub fn changed_to(&self, read: &Self) -> Result<Change, ConfigError> {
        let (mut values, read) = (self.to_table()?, read.to_table()?);
        let (mut taken_over, mut postponed) = (vec![], vec![]);
        for argument in arguments::all().get_arguments() {
            let name = argument.get_id().as_str();
            let value = read.get(name);
            if values.get(name) == value {
                continue;
            }
            if !CHANGEABLE.contains(&name) {
                postponed.push(name.to_owned());
                continue;
            }
            taken_over.push(match value {
                Some(value) => format!("{name} = {value}"),
                None => format!("{name} is not set"),
            });
            put(&mut values, name, value.cloned());
        }
        let settings: Self = values.try_into()?;
        settings.check()?;
        Ok(Change {
            settings,
            taken_over,
            postponed,
        })
    }
}

fn put(values: &mut Table, name: &str, value: Option<toml::Value>) {
    match value {
        Some(value) => values.insert(name.to_owned(), value),
        None => values.remove(name),
    };
}
