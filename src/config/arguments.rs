//! The settings as flags and environment variables. Knows nothing of the file but where it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use toml::{Table, Value};

use super::Settings;

/// What the command line and the environment say of the settings, and where the file is.
#[derive(Clone, Debug)]
pub struct ServeArgs {
    pub(super) config: Option<PathBuf>,
    /// Only what was given, not defaults.
    pub(super) given: Table,
}

/// Where the file is: the one thing that cannot stand in it.
#[derive(Args)]
struct ConfigFile {
    /// TOML file with settings. Flags and environment variables win over it.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
}

impl ServeArgs {
    /// The same, for a server that is handed a socket: where that one listens is what counts.
    #[must_use]
    pub fn listening_on(mut self, address: SocketAddr) -> Self {
        let address = Value::String(address.to_string());
        self.given.insert("listen".to_owned(), address);
        self
    }

    /// The file that they name.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        Settings::augment_args(ConfigFile::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Settings::from_arg_matches(matches)?
            .to_table()
            .map_err(|error| clap::Error::raw(ErrorKind::InvalidUtf8, error))?;
        given.retain(|name, _| {
            let source = matches.value_source(name);
            source.is_some_and(|source| source != ValueSource::DefaultValue)
        });
        Ok(Self {
            config: ConfigFile::from_arg_matches(matches)?.config,
            given,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Every setting as clap knows it.
pub fn all() -> Command {
    Settings::augment_args(Command::new("settings").no_binary_name(true))
}

pub fn without_environment(command: Command) -> Command {
    command.mut_args(|argument| argument.env(Resettable::Reset))
}

/// `KEY=MESSAGE;KEY=MESSAGE`.
pub fn deprecated_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for label in text.split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let Some((key, message)) = label.split_once('=') else {
            return Err(format!("{label:?} must be KEY=MESSAGE"));
        };
        labels.insert(key.trim().to_owned(), message.trim().to_owned());
    }
    Ok(labels)
}
