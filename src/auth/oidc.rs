//! Tokens of other issuers (OpenID Connect): whose keys are found by discovery, kept, and asked for
//! again with patience. Knows users, not clients.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tonic::Code;

use super::jwt::{self, Claims, refused};
use crate::fault::Fault;
use crate::lease::Timestamp;

/// The longest answer that an issuer may give, in bytes.
const LONGEST: usize = 1 << 20;

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Its URL: the claim `iss`, and where its configuration is found.
    pub issuer: String,
    /// The claim `aud` that says that a token is for us.
    pub audience: String,
    /// The claim that names the user.
    pub username_claim: String,
    /// What is put before that name, so that no issuer can speak of another's users.
    pub username_prefix: String,
    /// A user whom no client belongs to is given one (rule B13).
    pub provision: bool,
    /// The certificates, as PEM, that its server must be signed by; without them those of the
    /// system.
    pub authorities: Option<Vec<u8>>,
}

/// How often an issuer is asked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Keys are good for so long; after that they are asked for again, and used as long as the
    /// issuer does not answer.
    pub fresh: Duration,
    /// A key that is not there is not asked for more often. After a failure, so long is waited
    /// before the next try, then twice as long, up to 64 times.
    pub pause: Duration,
    /// How long the issuer may take.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(60 * 60),
            pause: Duration::from_secs(1),
            patience: Duration::from_secs(5),
        }
    }
}

/// One issuer, and what is known of its keys.
#[derive(Debug)]
pub struct Provider {
    pub trust: Trust,
    pace: Pace,
    http: reqwest::Client,
    known: Mutex<Known>,
    /// The question that is under way, so that all who lack keys wait for one answer.
    asking: Mutex<Option<Question>>,
}

/// It is a task of its own, which goes on when those who wait for it go away.
type Question = Shared<BoxFuture<'static, ()>>;

#[derive(Debug, Default)]
struct Known {
    keys: Option<Arc<JwkSet>>,
    /// Counts how often they have changed.
    edition: u64,
    /// When the issuer was last asked, and how often in a row to no avail.
    asked: Option<Instant>,
    failures: u32,
}

/// Why an issuer cannot be asked: a sentence.
#[derive(Debug)]
pub struct ProviderError(String);

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProviderError {}

/// A user, and the token that says so.
#[derive(Debug)]
pub struct User {
    pub name: String,
    pub claims: Claims,
    /// Which keys of its issuer's have said so.
    pub edition: u64,
}

impl Provider {
    /// Nobody is asked yet.
    ///
    /// # Errors
    /// The certificates are none.
    pub fn new(trust: Trust, pace: Pace) -> Result<Self, ProviderError> {
        let problem = |error: reqwest::Error| ProviderError(format!("{}: {error}", trust.issuer));
        let mut http = reqwest::Client::builder()
            .timeout(pace.patience)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &trust.authorities {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(problem)?;
            http = http.tls_certs_only(roots);
        }
        let http = http.build().map_err(problem)?;
        Ok(Self {
            pace,
            http,
            known: Mutex::default(),
            asking: Mutex::default(),
            trust,
        })
    }

    /// The user that a token of this issuer stands for.
    ///
    /// # Errors
    /// UNAUTHENTICATED, or UNAVAILABLE while the issuer cannot be asked for its keys.
    pub async fn verify(self: &Arc<Self>, token: &str, now: Timestamp) -> Result<User, Fault> {
        let unverified = jwt::look(token)?;
        let wrong_algorithm = || {
            refused(
                "TOKEN_WRONG_ALGORITHM",
                "it is not signed with a public key",
            )
        };
        let algorithm: Algorithm = unverified.alg.parse().map_err(|_| wrong_algorithm())?;
        if matches!(
            algorithm,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        ) {
            return Err(wrong_algorithm());
        }
        let (edition, key) = self.key(unverified.kid.as_deref()).await?;
        let is_meant_for = |jwk: &Jwk| {
            let named = jwk.common.key_algorithm;
            named.is_none_or(|named| named.to_string() == unverified.alg)
        };
        if !is_meant_for(&key) {
            return Err(refused(
                "TOKEN_WRONG_ALGORITHM",
                "its algorithm does not go with the key",
            ));
        }
        let unusable = |_| {
            refused(
                "TOKEN_WRONG_ALGORITHM",
                "its key is of a kind that is not used here",
            )
        };
        let key = DecodingKey::from_jwk(&key).map_err(unusable)?;
        let all: Map<String, Value> = jwt::decode(token, &key, algorithm)?;
        let malformed = |_| {
            refused(
                "TOKEN_MALFORMED",
                "it is no JWT with the claims iss, sub and aud",
            )
        };
        let claims: Claims = serde_json::from_value(all.clone().into()).map_err(malformed)?;
        if claims.iss != self.trust.issuer {
            return Err(refused(
                "TOKEN_WRONG_ISSUER",
                "its issuer is not known here",
            ));
        }
        claims.expect_audience(&self.trust.audience)?;
        claims.expect_time(now)?;
        Ok(User {
            name: self.username(&all)?,
            claims,
            edition,
        })
    }

    /// The user's name, with the issuer's prefix.
    fn username(&self, claims: &Map<String, Value>) -> Result<String, Fault> {
        let Trust {
            username_claim,
            username_prefix,
            ..
        } = &self.trust;
        // An address that anybody may have typed in is nobody's name.
        if username_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(refused(
                "USERNAME_MISSING",
                "its email address is not verified (the claim email_verified is not true)",
            ));
        }
        let name = claims.get(username_claim).and_then(Value::as_str);
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
            let why = format!("it has no text in the claim {username_claim}, which names the user");
            refused("USERNAME_MISSING", &why)
        })?;
        Ok(format!("{username_prefix}{name}"))
    }

    /// The key with an id; without an id the only one there is.
    async fn key(self: &Arc<Self>, id: Option<&str>) -> Result<(u64, Jwk), Fault> {
        if let Some(outcome) = self.known().key(id, self.pace) {
            return outcome;
        }
        self.question().await;
        let outcome = self.known().key(id, self.pace);
        outcome.unwrap_or_else(|| Err(unavailable(self.pace.pause)))
    }

    /// Whether a token that these keys have said to be good still is: they are the present ones,
    /// and have been asked for lately.
    pub fn still_has(&self, edition: u64) -> bool {
        let known = self.known();
        known.edition == edition && !known.should_ask(self.pace)
    }

    /// The question to the issuer that is under way; else one begins.
    fn question(self: &Arc<Self>) -> Question {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = asking.as_ref().filter(|it| it.peek().is_none()) {
            return question.clone();
        }
        let provider = self.clone();
        let task = tokio::spawn(async move { provider.learn().await });
        let question = task.map(drop).boxed().shared();
        *asking = Some(question.clone());
        question
    }

    async fn learn(&self) {
        let asked = self.ask().await;
        let mut known = self.known();
        known.asked = Some(Instant::now());
        match asked {
            Ok(keys) => {
                if known.failures > 0 {
                    tracing::info!(issuer = self.trust.issuer, "the issuer answers again");
                }
                known.failures = 0;
                if known.keys.as_deref() != Some(&keys) {
                    known.edition += 1;
                    known.keys = Some(Arc::new(keys));
                }
            }
            Err(cause) => {
                known.failures = known.failures.saturating_add(1);
                tracing::warn!(issuer = self.trust.issuer, %cause, "the issuer's keys cannot be had");
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The issuer's keys (OpenID Connect Discovery 1.0, section 4).
    async fn ask(&self) -> Result<JwkSet, ProviderError> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = &self.trust.issuer;
        let place = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let Configuration {
            issuer: named,
            jwks_uri,
        } = self.get(&place).await?;
        if named != *issuer {
            return Err(ProviderError(format!(
                "{place} is the configuration of {named}"
            )));
        }
        if is_secret(issuer) && !is_secret(&jwks_uri) {
            return Err(ProviderError(format!(
                "{place} names keys at {jwks_uri}, where anybody on the way could change them"
            )));
        }
        self.get(&jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, ProviderError> {
        let problem = |error: &dyn fmt::Display| ProviderError(format!("{url}: {error}"));
        let response = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|error| problem(&causes(&error)))?;
        if !response.status().is_success() {
            return Err(problem(&response.status()));
        }
        let body = Limited::new(reqwest::Body::from(response), LONGEST);
        let body = body.collect().await.map_err(|error| problem(&error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| problem(&error))
    }
}

impl Known {
    fn find(&self, id: Option<&str>) -> Option<Jwk> {
        let keys = &self.keys.as_ref()?.keys;
        let signs =
            |key: &&Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        let mut signing = keys.iter().filter(signs);
        match id {
            Some(id) => signing
                .find(|key| key.common.key_id.as_deref() == Some(id))
                .cloned(),
            None => signing.next().filter(|_| signing.next().is_none()).cloned(),
        }
    }

    /// What is to be said of a key without asking; none where the issuer should be asked.
    fn key(&self, id: Option<&str>, pace: Pace) -> Option<Result<(u64, Jwk), Fault>> {
        match (self.find(id), self.wait(pace)) {
            (Some(key), _) if !self.should_ask(pace) => Some(Ok((self.edition, key))),
            (None, Some(_)) if self.failures == 0 => Some(Err(unknown_key())),
            (None, Some(wait)) => Some(Err(unavailable(wait))),
            _ => None,
        }
    }

    /// The keys that are there are not to be relied on without another question. While the issuer
    /// is left alone they are: old keys are better than none.
    fn should_ask(&self, pace: Pace) -> bool {
        let is_fresh = self.asked.is_some_and(|asked| asked.elapsed() < pace.fresh);
        !(self.failures == 0 && is_fresh) && self.wait(pace).is_none()
    }

    /// How long to leave the issuer alone, if it is to be left alone.
    fn wait(&self, pace: Pace) -> Option<Duration> {
        let pause = pace
            .pause
            .saturating_mul(1 << self.failures.saturating_sub(1).min(6));
        let left = pause.checked_sub(self.asked?.elapsed())?;
        (!left.is_zero()).then_some(left)
    }
}

fn unknown_key() -> Fault {
    refused(
        "TOKEN_UNKNOWN_KEY",
        "it is signed with a key that its issuer does not have",
    )
}

fn unavailable(wait: Duration) -> Fault {
    let message =
        "failed to authenticate token: its issuer cannot be asked for its keys at present";
    let seconds = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    Fault::new(Code::Unavailable, "ISSUER_UNAVAILABLE", message).with_retry(seconds)
}

/// Nobody on the way can read or change what is sent there.
fn is_secret(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https")
}

/// An error with what is behind it, which reqwest's own text leaves out.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The name of the client that a user is given (rule B9): what is behind the prefix, as far as it
/// can be an object's name.
#[must_use]
pub fn client_name(username: &str) -> String {
    let bare = username.split_once(':').map_or(username, |(_, bare)| bare);
    let mut name = String::new();
    for character in bare.to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(63);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule B9.
    #[test]
    fn a_users_client_has_a_name_that_an_object_may_have() {
        for (username, expected) in [
            ("dex:ada", "ada"),
            ("ada", "ada"),
            ("dex:Ada.Lovelace@Example.com", "ada-lovelace-example-com"),
            (
                "dex:system:serviceaccount:lab:ci",
                "system-serviceaccount-lab-ci",
            ),
            ("dex:--a__b--", "a-b"),
            ("dex:é", ""),
        ] {
            assert_eq!(client_name(username), expected, "{username}");
        }
        let long = client_name(&format!("dex:{}-{}", "a".repeat(62), "b".repeat(9)));
        assert_eq!(long, "a".repeat(62));
    }

    #[test]
    fn only_an_address_that_is_surely_verified_names_a_user() {
        let trust = Trust {
            issuer: "https://dex.example.com".into(),
            audience: "jumpstarter".into(),
            username_claim: "email".into(),
            username_prefix: "dex:".into(),
            provision: false,
            authorities: None,
        };
        let provider = Provider::new(trust, Pace::default()).unwrap();
        let name = |verified: &str| {
            let claims = format!(r#"{{"email": "ada@example.com"{verified}}}"#);
            let claims = serde_json::from_str(&claims).unwrap();
            provider.username(&claims).map_err(|fault| fault.reason())
        };
        let verified = name(r#", "email_verified": true"#);
        assert_eq!(verified.unwrap(), "dex:ada@example.com");
        for other in ["", ":false", ":\"false\"", ":\"true\"", ":1", ":null"] {
            let claim = other.strip_prefix(':');
            let claim = claim.map(|value| format!(r#", "email_verified": {value}"#));
            let refused = name(&claim.unwrap_or_default());
            assert_eq!(refused, Err("USERNAME_MISSING"), "{other}");
        }
    }

    #[test]
    fn keys_come_as_safely_as_their_issuer() {
        assert!(is_secret("https://x") && is_secret("HTTPS://x"));
        assert!(!is_secret("http://x") && !is_secret("httpsx://x") && !is_secret("https"));
    }

    #[test]
    fn an_issuer_that_fails_is_left_alone_ever_longer() {
        let pace = Pace {
            pause: Duration::from_secs(100),
            ..Pace::default()
        };
        let wait = |failures| {
            let known = Known {
                keys: None,
                edition: 0,
                asked: Some(Instant::now()),
                failures,
            };
            known.wait(pace).unwrap().as_secs().div_ceil(100)
        };
        assert_eq!([0, 1, 2, 3, 7, 8, 99].map(wait), [1, 1, 2, 4, 64, 64, 64]);
        assert_eq!(Known::default().wait(pace), None);
    }
}
