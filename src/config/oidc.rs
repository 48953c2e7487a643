//! An issuer of OpenID Connect as a setting: a table of the file, or text of a flag.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One of [`super::Security::oidc`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcIssuer {
    /// Its URL, as it stands in the claim `iss`.
    pub issuer: String,
    /// What must stand in the claim `aud`.
    pub audience: String,
    /// The claim that names the user.
    #[serde(default = "username_claim")]
    pub username_claim: String,
    /// What is put before that name; clients have both in `spec.username`.
    pub username_prefix: String,
    /// Users without a client are given one.
    #[serde(default)]
    pub provision: bool,
    /// The certificates that its server must be signed by, as PEM, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

fn username_claim() -> String {
    "sub".to_owned()
}

/// `issuer=URL,audience=TEXT,username_prefix=TEXT`, and more of the fields above.
pub fn issuer(text: &str) -> Result<OidcIssuer, String> {
    let mut table = toml::Table::new();
    for part in text.split(',') {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} must be NAME=VALUE"))?;
        let value = match value {
            "true" | "false" => (value == "true").into(),
            text => toml::Value::from(text),
        };
        table.insert(name.trim().to_owned(), value);
    }
    table
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

impl OidcIssuer {
    pub(super) fn problems(&self) -> Option<String> {
        // Whoever can answer in the issuer's place can be any user.
        let plain = self.issuer.strip_prefix("http://");
        let is_loopback = |rest: &str| {
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
                rest.strip_prefix(host)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            })
        };
        let is_good = self.issuer.starts_with("https://") || plain.is_some_and(is_loopback);
        (!is_good).then(|| {
            format!(
                "oidc: {:?} must be a URL that begins with https://",
                self.issuer
            )
        })
    }
}
