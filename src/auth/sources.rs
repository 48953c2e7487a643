//! The files that tokens come from: where they are, and how they are read. Knows nothing of what
//! becomes of tokens later.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::endings::Endings;
use super::folder::Folder;
use super::keys::{self, Keys};
use super::listed::{self, Fingerprint};
use super::oidc::{Pace, Trust};
use super::tokens::{Holder, Identity, Origin};
use crate::lease::{Duration, Name};

/// The files in the folder for keys.
pub const KEYS: &str = "token-keys.pem";
pub const ENDED: &str = "ended-tokens";

/// Where tokens come from, and how those are that are made here.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The tokens file.
    pub listed: Option<PathBuf>,
    /// Where keys are, and which tokens ended early. Without it the server makes a key that it
    /// forgets when it stops, and it forgets ended tokens too.
    pub folder: Option<Folder>,
    /// The file with the keys, if that is not the one in the folder.
    pub key: Option<PathBuf>,
    /// The claims `iss` and `aud` of tokens that are made and accepted here.
    pub issuer: String,
    pub audience: String,
    /// How long a token lasts that replaces another.
    pub lifetime: Duration,
    /// How long a token lives on after it was replaced (rule B17).
    pub grace: Duration,
    /// Others whose tokens are accepted, and how often they are asked for their keys.
    pub trusted: Vec<Trust>,
    pub pace: Pace,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            listed: None,
            folder: None,
            key: None,
            issuer: "jumpstarter-gateway".to_owned(),
            audience: "jumpstarter".to_owned(),
            lifetime: Duration::from_seconds(365 * 24 * 60 * 60),
            grace: Duration::from_seconds(60 * 60),
            trusted: vec![],
            pace: Pace::default(),
        }
    }
}

/// What is wrong with the files that tokens come from, a sentence for each problem.
#[derive(Debug)]
pub struct TokensError(Vec<String>);

impl TokensError {
    pub(super) fn new(problems: impl IntoIterator<Item = String>) -> Self {
        Self(problems.into_iter().collect())
    }

    /// All problems together, if there are any.
    pub(super) fn all<const N: usize>(outcomes: [Result<(), Self>; N]) -> Result<(), Self> {
        let faults = outcomes.into_iter().filter_map(Result::err);
        let problems: Vec<String> = faults.flat_map(|Self(problems)| problems).collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for TokensError {}

impl Sources {
    /// The files that tokens come from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let kept = |folder: &Folder| [KEYS, ENDED].map(|name| folder.file(name));
        let kept = self.folder.iter().flat_map(kept);
        self.listed
            .iter()
            .chain(&self.key)
            .cloned()
            .chain(kept)
            .collect()
    }

    /// The files that nobody else may read.
    #[must_use]
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let in_folder = self.folder.as_ref().map(|folder| folder.file(KEYS));
        self.listed
            .iter()
            .chain(&self.key)
            .cloned()
            .chain(in_folder)
            .collect()
    }

    /// Reads what is there and makes nothing: the clients of the tokens file, and all that is wrong.
    #[must_use]
    pub fn look(&self) -> (BTreeSet<Name>, Vec<String>) {
        let mut problems = vec![];
        let mut clients = BTreeSet::new();
        match self.listed() {
            Ok(listed) => clients.extend(listed.values().filter_map(|it| match &it.holder {
                Holder::Client { name, .. } => Some(name.clone()),
                Holder::User { .. } => None,
            })),
            Err(error) => problems.extend(error.0),
        }
        let is_to_be_made = self.key.is_none()
            && (self.folder.as_ref()).is_some_and(|folder| !folder.file(KEYS).exists());
        if !is_to_be_made && let Err(error) = self.keys() {
            problems.extend(error.0);
        }
        if let Err(error) = self.endings() {
            problems.extend(error.0);
        }
        (clients, problems)
    }

    /// The tokens of the file.
    pub fn listed(&self) -> Result<HashMap<Fingerprint, Arc<Identity>>, TokensError> {
        let Some(file) = &self.listed else {
            return Ok(HashMap::new());
        };
        let listed = listed::load(file)?.into_iter().map(|(token, client)| {
            let identity = Identity {
                id: token.to_string(),
                holder: Holder::Client {
                    name: client,
                    uid: None,
                },
                claims: None,
                origin: Origin::File,
                usage: OnceLock::new(),
            };
            (token, Arc::new(identity))
        });
        Ok(listed.collect())
    }

    /// The keys, which are made if they are to be in the folder and are not there yet.
    pub fn own_keys(&self) -> Result<Option<Keys>, TokensError> {
        if let (None, Some(folder)) = (&self.key, &self.folder) {
            let make = || -> io::Result<()> {
                // Somebody else may begin with the same folder at the same time.
                let _lock = folder.lock()?;
                folder.close(KEYS)?;
                if folder.read(KEYS)?.is_none() {
                    folder.replace(KEYS, &keys::make().map_err(io::Error::other)?)?;
                }
                Ok(())
            };
            make().map_err(|error| TokensError::new([error.to_string()]))?;
        }
        self.keys()
    }

    /// The keys that are there; none where there is no file to read them from.
    pub fn keys(&self) -> Result<Option<Keys>, TokensError> {
        let in_folder = || self.folder.as_ref().map(|folder| folder.file(KEYS));
        let Some(file) = self.key.clone().or_else(in_folder) else {
            return Ok(None);
        };
        let problem =
            |error: &dyn fmt::Display| TokensError::new([format!("{}: {error}", file.display())]);
        let pem = std::fs::read_to_string(&file).map_err(|error| problem(&error))?;
        Keys::read(&pem).map(Some).map_err(|error| problem(&error))
    }

    /// The early ends; none where there is no file to read them from.
    pub fn endings(&self) -> Result<Option<Endings>, TokensError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let text = folder
            .read(ENDED)
            .map_err(|error| TokensError::new([error.to_string()]))?;
        let endings = text.unwrap_or_default().parse().map_err(|problem| {
            TokensError::new([format!("{}:{problem}", folder.file(ENDED).display())])
        })?;
        Ok(Some(endings))
    }
}
