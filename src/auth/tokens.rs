//! All tokens that are accepted: those of the tokens file, and our own JWTs. Knows where they are
//! kept, and which of them end early; whether their clients exist is for others to say.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tonic::Code;
use uuid::Uuid;

use super::endings::{Ending, Endings, Why};
use super::folder::Folder;
use super::jwt::{self, Claims, Issued, Issuer, refused};
use super::keys::{self, Keys};
use super::listed::Fingerprint;
use super::oidc::{Provider, User};
use super::sources::{ENDED, KEYS, Sources, TokensError};
use crate::fault::Fault;
use crate::lease::{Client, Duration, Name, Timestamp};

/// How many verified tokens are remembered, so that a signature is looked at once only.
const REMEMBERED: usize = 10_000;

/// The tokens.
#[derive(Debug)]
pub struct Tokens {
    sources: Sources,
    providers: Vec<Provider>,
    state: RwLock<State>,
    changing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    listed: HashMap<Fingerprint, Arc<Identity>>,
    issuer: Issuer,
    endings: Endings,
    verified: HashMap<Fingerprint, Arc<Identity>>,
}

/// Whom a token stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity {
    /// What the token is revoked by.
    pub id: String,
    pub holder: Holder,
    /// None in the tokens file.
    pub(super) claims: Option<Claims>,
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
            let provider = Provider::new(trust.clone(), sources.pace);
            provider.map_err(|error| TokensError::new([error.to_string()]))
        });
        Ok(Self {
            providers: providers.collect::<Result<_, _>>()?,
            sources,
            state: RwLock::new(state),
            changing: Mutex::new(()),
        })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// A file cannot be read or understood; then everything stays as it is.
    pub fn reload(&self) -> Result<(), TokensError> {
        let (listed, keys) = (self.sources.listed()?, self.sources.keys()?);
        let _lock = self.lock()?;
        let endings = self.sources.endings()?;
        let mut state = self.state_to_change();
        state.listed = listed;
        if let Some(keys) = keys {
            state.issuer.keys = keys;
        }
        if let Some(endings) = endings {
            state.endings = endings;
        }
        state.verified.clear();
        Ok(())
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
    pub fn known(&self, token: &str, now: Timestamp) -> Result<Option<Arc<Identity>>, Fault> {
        let fingerprint = Fingerprint::of(token);
        let state = self.state();
        let found = state
            .listed
            .get(&fingerprint)
            .or_else(|| state.verified.get(&fingerprint));
        let Some(identity) = found else {
            return Ok(None);
        };
        state.expect_good(identity, now)?;
        Ok(Some(identity.clone()))
    }

    /// Whom a token stands for.
    ///
    /// # Errors
    /// UNAUTHENTICATED, with a reason of its own for everything that can be wrong with a token.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Arc<Identity>, Fault> {
        if let Some(identity) = self.known(token, now)? {
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
        let identity = {
            let state = self.state();
            if unverified.iss != state.issuer.name {
                return Err(refused(
                    "TOKEN_WRONG_ISSUER",
                    "its issuer is not known here",
                ));
            }
            let claims = state.issuer.verify(token, &unverified)?;
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
            };
            state.expect_good(&identity, now)?;
            Arc::new(identity)
        };
        self.remember(fingerprint, &identity, |state| {
            state.issuer.keys.has(unverified.kid.as_deref())
        });
        Ok(identity)
    }

    /// The issuer of a token, if it is another one that is trusted.
    #[must_use]
    pub fn provider(&self, token: &str) -> Option<&Provider> {
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
        provision: bool,
        now: Timestamp,
    ) -> Result<Arc<Identity>, Fault> {
        let fingerprint = Fingerprint::of(token);
        let identity = Arc::new(Identity {
            id: fingerprint.to_string(),
            holder: Holder::User {
                username: user.name,
                provision,
            },
            claims: Some(user.claims),
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
