//! The settings of who is let in, and how what they say is kept from others.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

use super::oidc::{self, OidcIssuer};

/// Far enough; dates stay such that everybody can read them.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A part of [`super::Settings`].
#[derive(Args, Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the comments are the text of --help too, which has no links"
)]
pub struct Security {
    /// Folder for keys, and for what else must be neither lost nor seen by others. It is made if it
    /// is not there, for the server's account alone. Without it, `keys` in `data`.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_KEYS", value_name = "PATH")]
    #[serde(default)]
    pub keys: Option<PathBuf>,

    /// PEM file with the ECDSA P-256 key that tokens are signed with, if it is not to be made and kept
    /// in `keys`. Keys below the first one sign nothing; tokens that they have signed are good.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_TOKEN_KEY", value_name = "PATH")]
    #[serde(default)]
    pub token_key: Option<PathBuf>,

    /// The issuer (claim `iss`) of tokens that are made and accepted here.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TOKEN_ISSUER",
        value_name = "TEXT",
        default_value = "jumpstarter-gateway"
    )]
    pub token_issuer: String,

    /// The audience (claim `aud`) of tokens that are made and accepted here.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TOKEN_AUDIENCE",
        value_name = "TEXT",
        default_value = "jumpstarter"
    )]
    pub token_audience: String,

    /// A token that is made here lasts so long, unless another time is asked for.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TOKEN_LIFETIME",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "365d"
    )]
    #[serde(with = "humantime_serde")]
    pub token_lifetime: Duration,

    /// Other issuers whose tokens are accepted (OpenID Connect); each is
    /// issuer=URL,audience=TEXT,username_prefix=TEXT and may have username_claim=CLAIM,
    /// provision=true and ca=PATH. Several are separated by semicolons.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_OIDC",
        value_name = "ISSUERS",
        value_delimiter = ';',
        value_parser = oidc::issuer
    )]
    #[serde(default)]
    pub oidc: Vec<OidcIssuer>,

    /// Clients that may release anybody's lease: NAMESPACE/NAME, separated by commas.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_ADMINS",
        value_name = "CLIENTS",
        value_delimiter = ','
    )]
    pub admins: Vec<String>,

    /// So many bad tokens may come from one address in a minute; then nothing but tokens that are
    /// known is looked at until the minute is over. 0 is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_FAILED_TOKENS",
        value_name = "COUNT",
        default_value = "60"
    )]
    pub failed_tokens: u32,

    /// File with the TLS certificate as PEM, the server's own first. With it, and `tls_key`,
    /// everything is served over TLS. Both are read again when they change.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_TLS_CERT", value_name = "PATH")]
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,

    /// File with the private key of `tls_cert` as PEM: ECDSA P-256 or RSA.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_TLS_KEY", value_name = "PATH")]
    #[serde(default)]
    pub tls_key: Option<PathBuf>,

    /// Serve over TLS with a self-signed certificate, which is made once and kept in `keys`.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TLS_SELF_SIGNED",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub tls_self_signed: bool,

    /// Names and addresses that clients reach the server by, for the self-signed certificate;
    /// separated by commas. It always has the address that is listened on, localhost and, when it
    /// is made, the name of the machine.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TLS_NAMES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub tls_names: Vec<String>,

    /// Let tokens travel without TLS on addresses that others can reach: there is something in front
    /// that has TLS, or everybody on the network is trusted.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_ALLOW_PLAINTEXT",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub allow_plaintext: bool,
}

impl Security {
    /// Everything is served over TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls_self_signed || self.tls_cert.is_some()
    }

    /// What cannot go together.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse_if = |wrong: bool, problem: &str| {
            if wrong {
                problems.push(problem.to_owned());
            }
        };
        refuse_if(
            self.token_lifetime.is_zero() || self.token_lifetime > LONGEST_LIFETIME,
            "token_lifetime: must be longer than 0s and not longer than 100years",
        );
        refuse_if(
            !self.admins.iter().all(|admin| is_client(admin)),
            "admins: a client is NAMESPACE/NAME, such as default/ada",
        );
        for issuer in &self.oidc {
            problems.extend(issuer.problems());
        }
        let mut refuse_if = |wrong: bool, problem: &str| {
            if wrong {
                problems.push(problem.to_owned());
            }
        };
        let mut names: Vec<&str> = self.oidc.iter().map(|oidc| &*oidc.issuer).collect();
        names.push(&self.token_issuer);
        names.sort_unstable();
        refuse_if(
            names.windows(2).any(|pair| pair[0] == pair[1]),
            "oidc: two issuers have the same name, or one has that of token_issuer",
        );
        refuse_if(
            self.tls_cert.is_some() && self.tls_key.is_none(),
            "tls_key: missing; name the file with the private key of tls_cert",
        );
        refuse_if(
            self.tls_key.is_some() && self.tls_cert.is_none(),
            "tls_cert: missing; name the file with the certificate that tls_key belongs to",
        );
        refuse_if(
            self.tls_self_signed && self.tls_cert.is_some(),
            "tls_self_signed: there is a certificate, tls_cert; leave out one of them",
        );
        refuse_if(
            self.tls_self_signed && self.keys.is_none(),
            "keys: missing; name a folder to keep the self-signed certificate in with --keys PATH",
        );
        problems
    }
}

fn is_client(text: &str) -> bool {
    matches!(text.split('/').collect::<Vec<_>>()[..], [namespace, name] if !namespace.is_empty() && !name.is_empty())
}
