//! The keys that our own tokens are signed with. Knows nothing of tokens.
//!
//! Keys stand one below the other in a PEM file. The first one signs; tokens that any of them has
//! signed are good. So a key is changed without a token losing its worth: the new one is put before
//! the others.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// At least one key.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

/// An ECDSA key on the curve P-256.
pub struct Key {
    /// Its RFC 7638 thumbprint, the `kid` of tokens that it has signed.
    pub id: String,
    pub signing: EncodingKey,
    pub verifying: DecodingKey,
}

/// Why there are no keys: a sentence.
#[derive(Debug)]
pub struct KeyError(String);

impl std::error::Error for KeyError {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Keys {
    /// The keys of a PEM file's text, in the form PKCS#8 or SEC1.
    ///
    /// # Errors
    /// There is none, or one that is not on P-256.
    pub fn read(pem: &str) -> Result<Self, KeyError> {
        let keys: Result<Vec<PrivateKeyDer<'_>>, _> =
            PrivateKeyDer::pem_slice_iter(pem.as_bytes()).collect();
        let keys = keys.map_err(|error| KeyError(error.to_string()))?;
        let mut keys = keys.iter().enumerate().map(|(index, key)| {
            Key::of(key.secret_der()).ok_or_else(|| {
                KeyError(format!(
                    "private key {} of the file is no ECDSA key on the curve P-256",
                    index + 1
                ))
            })
        });
        let none = || {
            KeyError(
                "there is no private key in this file; one begins with -----BEGIN PRIVATE KEY-----"
                    .to_owned(),
            )
        };
        let first = keys.next().ok_or_else(none)??;
        Ok(Self {
            first,
            others: keys.collect::<Result<_, _>>()?,
        })
    }

    /// The key that signs.
    pub fn first(&self) -> &Key {
        &self.first
    }

    /// The key with an id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|key| key.id == id)
    }

    /// Whether the key with an id is here.
    pub fn has(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }
}

/// A new key as PEM.
///
/// # Errors
/// The system has no randomness to give.
pub fn make() -> Result<String, KeyError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
    let key = key.map_err(|error| KeyError(format!("no key can be made: {error}")))?;
    Ok(key.serialize_pem())
}

impl Key {
    fn of(der: &[u8]) -> Option<Self> {
        let pair =
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
        let point = pair.public_key().as_ref();
        // Uncompressed: a byte that says so, then both coordinates.
        let (x, y) = point.get(1..)?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(Self {
            id: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)),
            signing: EncodingKey::from_ec_der(pair.to_pkcs8v1().ok()?.as_ref()),
            verifying: DecodingKey::from_ec_der(point),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = std::iter::once(&self.first).chain(&self.others);
        f.debug_list().entries(ids.map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_signs_and_all_are_found() {
        let (old, new) = (make().unwrap(), make().unwrap());
        let keys = Keys::read(&format!("{new}\n{old}")).unwrap();
        let (old, new) = (Keys::read(&old).unwrap(), Keys::read(&new).unwrap());
        assert_eq!(keys.count(), 2);
        assert_eq!(keys.first().id, new.first().id);
        assert!(keys.find(&old.first().id).is_some());
        assert!(new.find(&old.first().id).is_none());
    }

    /// As `openssl ecparam -name prime256v1 -genkey -noout` writes them.
    #[test]
    fn keys_in_the_older_form_are_read_and_other_keys_are_not() {
        const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\n\
            MHcCAQEEIOY5P0xPeGz7G0DCO5g1f7ZFtli2TpedhdqeSbol7rFioAoGCCqGSM49\n\
            AwEHoUQDQgAENZW0bLxMmiN5O2tLsxqK1EDV2DG+NxY42GWBiz02+wxoWGhnCwB5\n\
            wS9S3G+nNrUm3YtXmKrk8oMiu8sBVUCpAw==\n\
            -----END EC PRIVATE KEY-----\n";
        assert_eq!(Keys::read(SEC1).unwrap().count(), 1);
        let fault = |pem: &str| Keys::read(pem).unwrap_err().to_string();
        assert!(fault("").contains("no private key"), "{}", fault(""));
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(fault(&other.serialize_pem()).contains("P-256"));
    }
}
