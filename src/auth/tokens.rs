//! Tokens: read from a file, looked up by digest, and rotated.
//!
//! The file is of the kind Kubernetes calls a static token file: a line for each token,
//! `token,client:NAMESPACE:NAME`. Empty lines and lines that start with `#` say nothing.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::lease::{Duration, Name, Timestamp};

/// What a token is known by: its SHA-256. Tokens themselves are not kept, and comparing digests
/// tells an attacker nothing of how near a guess was.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId([u8; 32]);

/// How long a token lasts that rotation made, as upstream's do.
const LIFETIME: Duration = Duration::from_seconds(365 * 24 * 60 * 60);

/// All tokens that are accepted.
#[derive(Debug)]
pub struct Tokens {
    grants: RwLock<HashMap<TokenId, Grant>>,
    /// How long a token lives on after it was replaced (rule B17).
    grace: Duration,
}

#[derive(Clone, Debug)]
struct Grant {
    client: Arc<Name>,
    until: Option<Timestamp>,
}

/// What is wrong with a tokens file, line by line.
#[derive(Debug)]
pub struct TokensError {
    file: PathBuf,
    problems: Vec<(usize, String)>,
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl TokenId {
    /// The id of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl Tokens {
    /// Reads a tokens file.
    ///
    /// # Errors
    /// The file cannot be read, or lines of it cannot be understood; all of them are named.
    pub fn load(file: &Path, grace: Duration) -> Result<Self, TokensError> {
        let error = |problems| TokensError {
            file: file.to_owned(),
            problems,
        };
        let text =
            std::fs::read_to_string(file).map_err(|why| error(vec![(0, why.to_string())]))?;
        Self::parse(&text, grace).map_err(error)
    }

    fn parse(text: &str, grace: Duration) -> Result<Self, Vec<(usize, String)>> {
        let mut grants: HashMap<TokenId, Grant> = HashMap::new();
        let mut problems = vec![];
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match grant(line) {
                Err(problem) => problems.push((index + 1, problem)),
                Ok((id, client)) => {
                    let grant = Grant {
                        client: Arc::new(client),
                        until: None,
                    };
                    if grants.insert(id, grant).is_some() {
                        problems.push((
                            index + 1,
                            "this token stands in an earlier line too".to_owned(),
                        ));
                    }
                }
            }
        }
        if problems.is_empty() {
            Ok(Self {
                grants: RwLock::new(grants),
                grace,
            })
        } else {
            Err(problems)
        }
    }

    /// Every client that a token stands for, each once.
    #[must_use]
    pub fn clients(&self) -> BTreeSet<Arc<Name>> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        grants.values().map(|grant| grant.client.clone()).collect()
    }

    /// The client that a token stands for, if it is accepted at this time.
    #[must_use]
    pub fn client(&self, id: TokenId, now: Timestamp) -> Option<Arc<Name>> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(&id)?;
        grant
            .until
            .is_none_or(|until| now < until)
            .then(|| grant.client.clone())
    }

    /// Makes a new token for the client of an old one, and lets the old one end after the grace
    /// period. Returns the new token and when it ends.
    ///
    /// # Errors
    /// The system has no randomness to give. None where the old token is not accepted.
    pub fn rotate(
        &self,
        old: TokenId,
        now: Timestamp,
    ) -> Result<Option<(String, Timestamp)>, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let until = now + LIFETIME;
        let mut grants = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.until.is_none_or(|until| now < until));
        let Some(grant) = grants.get_mut(&old) else {
            return Ok(None);
        };
        let ends = now + self.grace;
        grant.until = Some(grant.until.map_or(ends, |until| until.min(ends)));
        let client = grant.client.clone();
        grants.insert(
            TokenId::of(&token),
            Grant {
                client,
                until: Some(until),
            },
        );
        Ok(Some((token, until)))
    }
}

/// One line: the token and its client.
fn grant(line: &str) -> Result<(TokenId, Name), String> {
    const FORM: &str = "a line is `token,client:NAMESPACE:NAME`";
    let (token, subject) = line
        .split_once(',')
        .ok_or_else(|| format!("there is no comma; {FORM}"))?;
    let (token, subject) = (token.trim(), subject.trim());
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token is empty or not plain ASCII; {FORM}"));
    }
    let parts: Vec<&str> = subject.split(':').collect();
    match parts[..] {
        ["client", namespace, name] if !namespace.is_empty() && !name.is_empty() => {
            Ok((TokenId::of(token), Name::new(namespace, name)))
        }
        _ => Err(format!("`{subject}` is no client; {FORM}")),
    }
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, (line, problem)) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match line {
                0 => write!(f, "{separator}{file}: {problem}")?,
                line => write!(f, "{separator}{file}:{line}: {problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for TokensError {}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::new(1_800_000_000, 0);

    #[test]
    fn a_rotated_token_lives_for_its_grace_period() {
        let tokens = Tokens::parse("old,client:lab:ann\n", Duration::from_seconds(60)).unwrap();
        let (new, until) = tokens.rotate(TokenId::of("old"), NOON).unwrap().unwrap();
        let client = |token: &str, at| {
            tokens
                .client(TokenId::of(token), at)
                .map(|name| name.id.to_string())
        };
        let later = NOON + Duration::from_seconds(59);
        assert_eq!(client("old", later).as_deref(), Some("ann"));
        assert_eq!(client("old", later + Duration::from_seconds(1)), None);
        assert_eq!(
            client(&new, until - Duration::new(0, 1)).as_deref(),
            Some("ann")
        );
        assert_eq!(client(&new, until), None);
    }

    #[test]
    fn rotating_twice_does_not_give_a_token_more_time() {
        let tokens = Tokens::parse("old,client:lab:ann", Duration::from_seconds(60)).unwrap();
        let old = TokenId::of("old");
        tokens.rotate(old, NOON).unwrap().unwrap();
        tokens
            .rotate(old, NOON + Duration::from_seconds(30))
            .unwrap()
            .unwrap();
        assert!(
            tokens
                .client(old, NOON + Duration::from_seconds(60))
                .is_none()
        );
    }

    #[test]
    fn without_grace_the_old_token_ends_at_once() {
        let tokens = Tokens::parse("old,client:lab:ann", Duration::from_seconds(0)).unwrap();
        tokens.rotate(TokenId::of("old"), NOON).unwrap().unwrap();
        assert!(tokens.client(TokenId::of("old"), NOON).is_none());
    }

    #[test]
    fn every_bad_line_is_named() {
        let problems = Tokens::parse(
            "# lab\n\nabc\nx,client:lab\ny,client:a:b\ny,client:a:c",
            Duration::default(),
        );
        let lines: Vec<usize> = problems
            .unwrap_err()
            .iter()
            .map(|(line, _)| *line)
            .collect();
        assert_eq!(lines, [3, 4, 6]);
    }
}
