//! JSON Web Tokens (RFC 7519): our own, in the form that Jumpstarter's controller gives them, and
//! what tokens of all issuers have in common. Knows no clients and no files.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tonic::Code;
use uuid::Uuid;

use super::keys::{Key, Keys};
use crate::fault::Fault;
use crate::lease::{Client, Duration, Name, Timestamp};

/// How far an issuer's clock may be from ours, in seconds.
const SKEW: f64 = 60.0;

/// Makes our own tokens, and knows them again.
#[derive(Debug)]
pub struct Issuer {
    /// The claims `iss` and `aud` of its tokens.
    pub name: String,
    pub audience: String,
    pub keys: Keys,
}

/// A token that was made just now.
#[derive(Clone, Debug)]
pub struct Issued {
    pub token: String,
    /// What it is revoked by.
    pub id: String,
    /// From then on it is worth nothing.
    pub ends: Timestamp,
}

/// The claims that matter here (RFC 7519, section 4.1). Times are seconds since 1970.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Audience,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// One audience or several.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What a token says of itself before anybody has looked at its signature.
#[derive(Debug, Deserialize)]
pub struct Unverified {
    /// Text, since there are algorithms (`none`!) that are not even known here.
    pub alg: String,
    pub kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
    #[serde(skip)]
    pub iss: String,
}

/// A token that is not accepted (rule B4). Never writes the word `expired` for anything but that:
/// Jumpstarter's command line logs in again when it reads it.
pub fn refused(reason: &'static str, why: &str) -> Fault {
    Fault::unauthenticated(reason, format!("failed to authenticate token: {why}"))
}

/// A client's stable id: the one the lab file gives it, else one made from its name.
#[must_use]
pub fn uid(client: &Client) -> String {
    match &client.uid {
        Some(uid) => uid.to_string(),
        None => {
            let Name { namespace, id } = &client.name;
            let url = format!("https://jumpstarter.dev/namespaces/{namespace}/clients/{id}");
            Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes()).to_string()
        }
    }
}

impl Issuer {
    /// A new token for a client.
    ///
    /// # Errors
    /// UNAVAILABLE: the system has no randomness to give.
    pub fn issue(
        &self,
        client: &Client,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, Fault> {
        let Name { namespace, id } = &client.name;
        let ends = Timestamp::new((now + lifetime).seconds(), 0);
        let jti = Uuid::now_v7().to_string();
        let seconds = now.seconds();
        // Whole numbers, as everybody writes them.
        let claims = serde_json::json!({
            "iss": self.name,
            "sub": format!("client:{namespace}:{id}:{}", uid(client)),
            "aud": [self.audience],
            "iat": seconds,
            "exp": ends.seconds(),
            "jti": jti,
        });
        let key = self.keys.first();
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &key.signing).map_err(|cause| {
            tracing::error!(%cause, "a token could not be signed");
            Fault::new(
                Code::Unavailable,
                "SIGNING_FAILED",
                "no new token can be made at present",
            )
        })?;
        Ok(Issued {
            token,
            id: jti,
            ends,
        })
    }

    /// The claims of one of our own tokens, whatever its times, and the id of its key.
    ///
    /// # Errors
    /// UNAUTHENTICATED: it is not one of ours, or not for this audience.
    pub fn verify(&self, token: &str, unverified: &Unverified) -> Result<(String, Claims), Fault> {
        if unverified.alg != "ES256" {
            return Err(refused(
                "TOKEN_WRONG_ALGORITHM",
                "it is not signed with ES256",
            ));
        }
        let unknown = || {
            refused(
                "TOKEN_UNKNOWN_KEY",
                "it is signed with a key that is not known here",
            )
        };
        // Tokens of Jumpstarter's controller have no `kid`; there the key is given to both.
        let key: &Key = match &unverified.kid {
            Some(id) => self.keys.find(id).ok_or_else(unknown)?,
            None => self.keys.first(),
        };
        let claims: Claims = decode(token, &key.verifying, Algorithm::ES256)?;
        claims.expect_audience(&self.audience)?;
        Ok((key.id.clone(), claims))
    }
}

/// Looks at a token without believing it.
///
/// # Errors
/// UNAUTHENTICATED: it is no JWT, or asks for what is not understood here (`crit`, RFC 7515,
/// section 4.1.11).
pub fn look(token: &str) -> Result<Unverified, Fault> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let malformed = || {
        refused(
            "TOKEN_MALFORMED",
            "it is no JWT with an algorithm and an issuer",
        )
    };
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed());
    };
    let mut unverified: Unverified = part(header).ok_or_else(malformed)?;
    if unverified.crit.is_some() {
        return Err(refused(
            "TOKEN_MALFORMED",
            "it has critical parts that are not understood here",
        ));
    }
    unverified.iss = part::<Issuer>(claims).ok_or_else(malformed)?.iss;
    Ok(unverified)
}

/// One part of a token: base64 of JSON.
pub fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The claims of a token that this key has signed with this algorithm. Nothing else is checked.
///
/// # Errors
/// UNAUTHENTICATED.
pub fn decode<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, Fault> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode(token, key, &validation);
    decoded.map(|data| data.claims).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        match error.kind() {
            ErrorKind::InvalidSignature => {
                refused("TOKEN_WRONG_SIGNATURE", "its signature is wrong")
            }
            ErrorKind::Base64(_) => refused("TOKEN_MALFORMED", "it was cut off or changed"),
            ErrorKind::InvalidAlgorithm => refused(
                "TOKEN_WRONG_ALGORITHM",
                "its algorithm does not go with the key",
            ),
            _ => refused(
                "TOKEN_MALFORMED",
                "it is no JWT with the claims iss, sub and aud",
            ),
        }
    })
}

impl Claims {
    /// # Errors
    /// UNAUTHENTICATED: the token is for somebody else.
    pub fn expect_audience(&self, audience: &str) -> Result<(), Fault> {
        let is_for_us = match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        };
        if is_for_us {
            Ok(())
        } else {
            Err(refused(
                "TOKEN_WRONG_AUDIENCE",
                "it is for another audience",
            ))
        }
    }

    /// # Errors
    /// UNAUTHENTICATED: the token is not valid yet, or not any more, or says nothing of its end.
    pub fn expect_time(&self, now: Timestamp) -> Result<(), Fault> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of this age fit in 53 bits"
        )]
        let now = now.seconds() as f64;
        let end = self
            .exp
            .ok_or_else(|| refused("TOKEN_MALFORMED", "it has no end (the claim exp)"))?;
        if now >= end {
            return Err(refused("TOKEN_EXPIRED", "token is expired"));
        }
        if self.nbf.is_some_and(|from| now + SKEW < from) {
            return Err(refused("TOKEN_NOT_YET_VALID", "it is not valid yet"));
        }
        Ok(())
    }

    /// When the token ends.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        self.exp.map(|end| Timestamp::new(end as i64, 0))
    }

    /// The client that one of our own tokens stands for, and its uid.
    ///
    /// # Errors
    /// UNAUTHENTICATED: it stands for somebody who is no client.
    pub fn client(&self) -> Result<(Name, &str), Fault> {
        match self.sub.split(':').collect::<Vec<_>>()[..] {
            ["client", namespace, name, uid] if !namespace.is_empty() && !name.is_empty() => {
                Ok((Name::new(namespace, name), uid))
            }
            _ => Err(refused("TOKEN_OF_ANOTHER_KIND", "it is not a client's")),
        }
    }
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(vec![])
    }
}
