//! All tokens that are accepted: those of the tokens file, and our own JWTs. Knows where they are
//! kept, and which of them end early; whether their clients exist is for others to say.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use tokio::sync::watch;
use tonic::Code;
use uuid::Uuid;

use super::endings::{Ending, Endings, Why};
use super::folder::Folder;
use super::jwt::{self, Claims, Issued, Issuer, refused};
use super::keys::{self, Keys};
use super::listed::Fingerprint;
use super::oidc::{Provider, Trust, User};
use super::sources::{ENDED, KEYS, Sources, TokensError};
use crate::fault::Fault;
use crate::lease::{Client, Duration, Name, Timestamp};
use crate::load::Usage;

/// How many verified tokens are remembered, so that a signature is looked at once only.
const REMEMBERED: usize = 10_000;

/// The tokens.
#[derive(Debug)]
pub struct Tokens {
    sources: Sources,
    providers: Vec<Arc<Provider>>,
    state: RwLock<State>,
    changing: Mutex<()>,
    /// Told whenever tokens may have ended.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    listed: HashMap<Fingerprint, Arc<Identity>>,
    issuer: Issuer,
    endings: Endings,
    verified: HashMap<Fingerprint, Arc<Identity>>,
}

/// Whom a token stands for.
#[derive(Debug)]
pub struct Identity {
    /// What the token is revoked by.
    pub id: String,
    pub holder: Holder,
    /// None in the tokens file.
    pub(super) claims: Option<Claims>,
    pub(super) origin: Origin,
    /// What its holder uses, with all tokens together; there as soon as anybody has looked.
    pub(super) usage: OnceLock<Arc<Usage>>,
}

/// What a token is good by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The tokens file.
    File,
    /// The one of our own keys with this id.
    Key(String),
    /// The keys of another issuer, as they were when they had this number.
    Issuer { issuer: String, edition: u64 },
}

/// What is to be said of a token without cryptography.
#[derive(Debug)]
pub enum Known {
    Good(Arc<Identity>),
    /// It was good; whether it still is only its issuer's keys can tell.
    Stale,
    /// Nothing.
    No,
}

/// Who shows a token.
#[derive(Clone, PartialEq, Debug)]
pub enum Holder {
    /// A client, and its own id when the token was made; none in the tokens file.
    Client { name: Name, uid: Option<String> },
    /// A user of another issuer; which client that is, is for others to say.
    User {
        username: String,
        /// If it is none, it becomes one.
        provision: bool,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { name, .. } => write!(f, "client {name}"),
            Self::User { username, .. } => write!(f, "user {username}"),
        }
    }
}

impl Tokens {
    /// Reads everything; a key is made where there is none yet.
    ///
    /// # Errors
    /// A file cannot be read, understood or made.
    pub fn open(sources: Sources) -> Result<Self, TokensError> {
        let in_memory = || {
            let made = keys::make().and_then(|pem| Keys::read(&pem));
            made.map_err(|error| TokensError::new([error.to_string()]))
        };
        let issuer = Issuer {
            name: sources.issuer.clone(),
            audience: sources.audience.clone(),
            keys: sources.own_keys()?.map_or_else(in_memory, Ok)?,
        };
        let state = State {
            listed: sources.listed()?,
            issuer,
            endings: sources.endings()?.unwrap_or_default(),
            verified: HashMap::new(),
        };
        let providers = sources.trusted.iter().map(|trust| {
            let provider = Provider::new(trust.clone(), sources.pace).map(Arc::new);
            provider.map_err(|error| TokensError::new([error.to_string()]))
        });
        Ok(Self {
            providers: providers.collect::<Result<_, _>>()?,
            sources,
            state: RwLock::new(state),
            changing: Mutex::new(()),
            changes: watch::Sender::new(()),
        })
    }

    /// Reads the files again. Tokens that were ended are so, whatever is wrong with other files.
    ///
    /// # Errors
    /// A file cannot be read or understood; then what is in it stays as it was.
    pub fn reload(&self) -> Result<(), TokensError> {
        let endings = {
            let _lock = self.lock()?;
            let endings = self.sources.endings();
            if let Ok(Some(endings)) = &endings {
                self.state_to_change().endings.clone_from(endings);
            }
            endings.map(drop)
        };
        let listed = self.sources.listed().map(|listed| {
            self.state_to_change().listed = listed;
        });
        let keys = self.sources.keys().map(|keys| {
            let Some(keys) = keys else { return };
            let mut state = self.state_to_change();
            state.verified.retain(|_, identity| match &identity.origin {
                Origin::Key(id) => keys.has(id),
                Origin::File | Origin::Issuer { .. } => true,
            });
            state.issuer.keys = keys;
        });
        self.changes.send_replace(());
        TokensError::all([endings, listed, keys])
    }

    /// Whether a token is still good.
    ///
    /// # Errors
    /// UNAUTHENTICATED: it is not.
    pub(super) fn expect_good(&self, identity: &Identity, now: Timestamp) -> Result<(), Fault> {
        let state = self.state();
        state.expect_good(identity, now)?;
        let listed = |it: &Arc<Identity>| it.id == identity.id;
        match &identity.origin {
            Origin::File if !state.listed.values().any(listed) => Err(refused(
                "TOKEN_REJECTED",
                "it is not in the tokens file any more",
            )),
            Origin::Key(id) if !state.issuer.keys.has(id) => Err(refused(
                "TOKEN_UNKNOWN_KEY",
                "it is signed with a key that is not known here any more",
            )),
            _ => Ok(()),
        }
    }

    /// Tells when tokens may have ended.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Every client that a token of the file stands for.
    #[must_use]
    pub fn listed_clients(&self) -> BTreeSet<Name> {
        let state = self.state();
        let names = state
            .listed
            .values()
            .filter_map(|identity| match &identity.holder {
                Holder::Client { name, .. } => Some(name.clone()),
                Holder::User { .. } => None,
            });
        names.collect()
    }

    /// How many keys there are that tokens may be signed with, and how many tokens the file lists.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.issuer.keys.count(), state.listed.len())
    }

    /// Whom a token stands for, if that needs no cryptography: it is in the tokens file, or was
    /// verified before.
    ///
    /// # Errors
    /// UNAUTHENTICATED: the token has ended.
    pub fn known(&self, token: &str, now: Timestamp) -> Result<Known, Fault> {
        let fingerprint = Fingerprint::of(token);
        let state = self.state();
        let found = state
            .listed
            .get(&fingerprint)
            .or_else(|| state.verified.get(&fingerprint));
        let Some(identity) = found else {
            return Ok(Known::No);
        };
        state.expect_good(identity, now)?;
        if let Origin::Issuer { issuer, edition } = &identity.origin {
            let mut providers = self.providers.iter();
            let provider = providers.find(|it| it.trust.issuer == *issuer);
            if !provider.is_some_and(|provider| provider.still_has(*edition)) {
                return Ok(Known::Stale);
            }
        }
        Ok(Known::Good(identity.clone()))
    }

    /// Whom a token stands for.
    ///
    /// # Errors
    /// UNAUTHENTICATED, with a reason of its own for everything that can be wrong with a token.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Arc<Identity>, Fault> {
        if let Known::Good(identity) = self.known(token, now)? {
            return Ok(identity);
        }
        if !token.contains('.') {
            return Err(Fault::unauthenticated(
                "TOKEN_REJECTED",
                "failed to authenticate token",
            ));
        }
        let unverified = jwt::look(token)?;
        let fingerprint = Fingerprint::of(token);
        let (key, identity) = {
            let state = self.state();
            if unverified.iss != state.issuer.name {
                return Err(refused(
                    "TOKEN_WRONG_ISSUER",
                    "its issuer is not known here",
                ));
            }
            let (key, claims) = state.issuer.verify(token, &unverified)?;
            let (name, uid) = claims.client()?;
            let uid = uid.to_owned();
            let identity = Identity {
                id: claims
                    .jti
                    .clone()
                    .unwrap_or_else(|| fingerprint.to_string()),
                holder: Holder::Client {
                    name,
                    uid: Some(uid),
                },
                claims: Some(claims),
                origin: Origin::Key(key.clone()),
                usage: OnceLock::new(),
            };
            state.expect_good(&identity, now)?;
            (key, Arc::new(identity))
        };
        self.remember(fingerprint, &identity, |state| state.issuer.keys.has(&key));
        Ok(identity)
    }

    /// The issuer of a token, if it is another one that is trusted.
    #[must_use]
    pub fn provider(&self, token: &str) -> Option<&Arc<Provider>> {
        let named = jwt::look(token).ok()?.iss;
        self.providers
            .iter()
            .find(|provider| provider.trust.issuer == named)
    }

    /// Whom a token of another issuer stands for, of which the issuer has said all that is known.
    ///
    /// # Errors
    /// UNAUTHENTICATED: the token was revoked here.
    pub fn accept(
        &self,
        token: &str,
        user: User,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Arc<Identity>, Fault> {
        let fingerprint = Fingerprint::of(token);
        let identity = Arc::new(Identity {
            id: fingerprint.to_string(),
            holder: Holder::User {
                username: user.name,
                provision: trust.provision,
            },
            claims: Some(user.claims),
            origin: Origin::Issuer {
                issuer: trust.issuer.clone(),
                edition: user.edition,
            },
            usage: OnceLock::new(),
        });
        self.state().expect_good(&identity, now)?;
        self.remember(fingerprint, &identity, |_| true);
        Ok(identity)
    }

    /// What was verified while the keys changed is good for once only.
    fn remember(
        &self,
        token: Fingerprint,
        identity: &Arc<Identity>,
        is_current: impl FnOnce(&State) -> bool,
    ) {
        let mut state = self.state_to_change();
        if is_current(&state) {
            if state.verified.len() >= REMEMBERED {
                state.verified.clear();
            }
            state.verified.insert(token, identity.clone());
        }
    }

    /// Makes a token for a client.
    ///
    /// # Errors
    /// UNAVAILABLE: it cannot be signed.
    pub fn issue(
        &self,
        client: &Client,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, Fault> {
        let state = self.state();
        state.issuer.issue(client, now, lifetime)
    }

    /// Makes a new token for a client in place of an old one, which ends after the grace period.
    /// Where there is a folder, that is on disk when this returns; so it takes as long as a disk
    /// does.
    ///
    /// # Errors
    /// FAILED_PRECONDITION: the old token is not of our making. UNAUTHENTICATED: it has ended.
    /// UNAVAILABLE: the new one cannot be signed, or the old one's end cannot be kept; nothing has
    /// changed then.
    pub fn rotate(&self, old: &Identity, client: &Client, now: Timestamp) -> Result<Issued, Fault> {
        if let Holder::User { .. } = old.holder {
            let message = "the token is of another issuer; have it replaced there";
            return Err(Fault::new(
                Code::FailedPrecondition,
                "TOKEN_OF_ANOTHER_ISSUER",
                message,
            ));
        }
        let issued = self.issue(client, now, self.sources.lifetime)?;
        let ending = Ending {
            at: now + self.sources.grace,
            why: Why::Replaced,
            until: old.claims.as_ref().and_then(Claims::end),
        };
        let ended = self.end(&old.id, ending, now, |present| {
            expect_not_over(present, now)
        });
        let unkept = |cause: TokensError| {
            tracing::error!(%cause, "the end of a replaced token could not be kept");
            Fault::new(
                Code::Unavailable,
                "KEYS_UNWRITABLE",
                "no new token can be made at present",
            )
        };
        ended.map_err(unkept)??;
        Ok(issued)
    }

    /// The id of a token, and when it ends by itself; the text may be the id. None where it is
    /// neither. Nothing is checked: a token that is refused can be revoked too.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(String, Option<Timestamp>)> {
        let fingerprint = Fingerprint::of(text);
        let state = self.state();
        if state.listed.contains_key(&fingerprint) {
            return Some((fingerprint.to_string(), None));
        }
        if let Some(claims) = text.split('.').nth(1) {
            let claims: Claims = jwt::part(claims)?;
            let id = claims
                .jti
                .clone()
                .filter(|id| claims.iss == state.issuer.name && is_id(id));
            return Some((id.unwrap_or_else(|| fingerprint.to_string()), claims.end()));
        }
        let id = match text.strip_prefix("sha256:") {
            Some(digest) => {
                let is_digest =
                    digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit());
                is_digest.then(|| text.to_ascii_lowercase())
            }
            // As tokens have it, however it was typed.
            None => Uuid::try_parse(text).ok().map(|id| id.to_string()),
        };
        id.map(|id| (id, None))
    }

    /// Ends a token at once, known by its id.
    ///
    /// # Errors
    /// That cannot be kept; nothing has changed then.
    pub fn revoke(
        &self,
        id: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), TokensError> {
        let ending = Ending {
            at: now,
            why: Why::Revoked,
            until,
        };
        self.end(id, ending, now, |_| Ok(()))?.unwrap_or(());
        Ok(())
    }

    /// Puts another key before the others: it signs from now on. Returns its id.
    ///
    /// # Errors
    /// There is no folder, or it cannot be written.
    pub fn rotate_key(&self) -> Result<String, TokensError> {
        let problem = |problem: String| TokensError::new([problem]);
        let Some(folder) = self
            .sources
            .folder
            .as_ref()
            .filter(|_| self.sources.key.is_none())
        else {
            return Err(problem("the keys are not in a folder of ours; put the new key before the others in their file".to_owned()));
        };
        let write = || -> io::Result<()> {
            let _lock = folder.lock()?;
            let present = folder.read(KEYS)?.unwrap_or_default();
            let new = keys::make().map_err(io::Error::other)?;
            folder.replace(KEYS, &format!("{new}{present}"))
        };
        write().map_err(|error| problem(error.to_string()))?;
        self.reload()?;
        let state = self.state();
        Ok(state.issuer.keys.first().id.clone())
    }

    /// Writes down that a token ends, unless `check` refuses what is known of it so far. Other
    /// processes may do the same at the same time.
    fn end(
        &self,
        id: &str,
        ending: Ending,
        now: Timestamp,
        check: impl FnOnce(Option<Ending>) -> Result<(), Fault>,
    ) -> Result<Result<(), Fault>, TokensError> {
        let _lock = self.lock()?;
        let mut endings = match self.sources.endings()? {
            Some(endings) => endings,
            None => self.state().endings.clone(),
        };
        if let Err(fault) = check(endings.of(id)) {
            return Ok(Err(fault));
        }
        endings.end(id, ending);
        endings.forget(now);
        if let Some(folder) = &self.sources.folder {
            let written = folder.replace(ENDED, &endings.to_string());
            written.map_err(|error| TokensError::new([error.to_string()]))?;
        }
        self.state_to_change().endings = endings;
        self.changes.send_replace(());
        Ok(Ok(()))
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_to_change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who changes the early ends of tokens, here and on disk, is alone with them.
    fn lock(&self) -> Result<(MutexGuard<'_, ()>, Option<File>), TokensError> {
        let ours = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.sources.folder.as_ref();
        let theirs = folder.map(Folder::lock).transpose();
        Ok((
            ours,
            theirs.map_err(|error| TokensError::new([error.to_string()]))?,
        ))
    }
}

impl State {
    fn expect_good(&self, identity: &Identity, now: Timestamp) -> Result<(), Fault> {
        if let Some(claims) = &identity.claims {
            claims.expect_time(now)?;
        }
        expect_not_over(self.endings.of(&identity.id), now)
    }
}

/// Fit to stand in the file of ended tokens.
fn is_id(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('#') && text.bytes().all(|it| it.is_ascii_graphic())
}

fn expect_not_over(ending: Option<Ending>, now: Timestamp) -> Result<(), Fault> {
    match ending
        .filter(|ending| ending.at <= now)
        .map(|ending| ending.why)
    {
        None => Ok(()),
        Some(Why::Revoked) => Err(refused("TOKEN_REVOKED", "it was revoked")),
        Some(Why::Replaced) => Err(refused("TOKEN_REPLACED", "a newer one has taken its place")),
    }
}

#[cfg(test)]
mod tests;
