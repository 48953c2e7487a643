//! Every setting, its default and its meaning. Knows nothing of what the settings do to the rest of
//! the house.
//!
//! A setting is one field of [`Settings`]; its name in the file, its flag, its environment variable,
//! its default and its description all come from there. A value is taken from the flag, else from
//! the environment, else from the file, else it is the default.

mod arguments;
mod change;
mod file;
mod limits;
mod observe;
mod oidc;
mod security;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, FromArgMatches, ValueEnum};
use serde::{Deserialize, Serialize};
use toml::Table;

pub use arguments::ServeArgs;
pub use change::{CHANGEABLE, Change};
pub use limits::Limits;
pub use observe::Observe;
pub use oidc::OidcIssuer;
pub use security::{LONGEST_LIFETIME, Security};

/// How the server runs.
///
/// Durations are written as numbers with units: `90s`, `30m`, `1h 30m`, `30d`.
#[derive(Args, Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the comments are the text of --help too, which has no links"
)]
pub struct Settings {
    /// Address and port to serve REST, gRPC and the documentation on, such as 127.0.0.1:8082 or
    /// [::]:8082.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8082"
    )]
    pub listen: SocketAddr,

    /// Lab file, or a directory of them: the exporters, clients and access policies. Needed unless
    /// `demo` is on.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_LAB", value_name = "PATH")]
    #[serde(default)]
    pub lab: Option<PathBuf>,

    /// Directory to keep leases in, so that a restart does not forget them. It is made if it is not
    /// there; one server at a time can use it. Needed unless `demo` or `in_memory` is on.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_DATA", value_name = "DIRECTORY")]
    #[serde(default)]
    pub data: Option<PathBuf>,

    /// Keep leases in memory alone, and forget them with the process.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_IN_MEMORY",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub in_memory: bool,

    /// File with tokens of clients. Without it, and without `keys` or `data`, `demo` or `no_auth` must be on.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_TOKENS", value_name = "PATH")]
    #[serde(default)]
    pub tokens: Option<PathBuf>,

    /// Ask nobody for a token. On loopback addresses only.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_NO_AUTH",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub no_auth: bool,

    /// Serve a small lab that is built in, without tokens. On loopback addresses only.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_DEMO",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub demo: bool,

    #[command(flatten)]
    #[serde(flatten)]
    pub security: Security,

    #[command(flatten)]
    #[serde(flatten)]
    pub observe: Observe,

    /// Form of the log on standard error: text for people, json for programs.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// What to log: a level (error, warn, info, debug, trace) or directives such as
    /// `info,jumpstarter_gateway::store=debug`.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,

    /// Shortest lease that can be asked for, such as 1m. Without it any length above zero can be.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MINIMUM_DURATION",
        value_name = "DURATION",
        value_parser = humantime::parse_duration
    )]
    #[serde(default, with = "humantime_serde")]
    pub minimum_duration: Option<Duration>,

    /// Longest lease that can be asked for, such as 8h, whatever access policies allow. Without it
    /// there is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAXIMUM_DURATION",
        value_name = "DURATION",
        value_parser = humantime::parse_duration
    )]
    #[serde(default, with = "humantime_serde")]
    pub maximum_duration: Option<Duration>,

    /// An exporter that has not been heard of for so long counts as offline. Static exporters never
    /// do.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_OFFLINE_AFTER",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "60s"
    )]
    #[serde(with = "humantime_serde")]
    pub offline_after: Duration,

    /// Ended leases are kept for so long, then they are removed.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LEASE_RETENTION",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "30d"
    )]
    #[serde(with = "humantime_serde")]
    pub lease_retention: Duration,

    /// Most tags that a lease may have.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_TAGS",
        value_name = "COUNT",
        default_value = "10"
    )]
    pub max_tags: usize,

    /// A token that was rotated out works for so long; 0s ends it at once.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_ROTATED_TOKEN_GRACE",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "1h"
    )]
    #[serde(with = "humantime_serde")]
    pub rotated_token_grace: Duration,

    /// A request for a lease that prefers to wait for it (`Prefer: wait=SECONDS`) may wait so long.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LONGEST_WAIT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "10m"
    )]
    #[serde(with = "humantime_serde")]
    pub longest_wait: Duration,

    /// Watches can be resumed behind any of so many last changes. Each takes about a kilobyte.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_WATCH_HISTORY",
        value_name = "COUNT",
        default_value = "10000"
    )]
    pub watch_history: usize,

    /// Largest request body, in bytes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_BODY_BYTES",
        value_name = "BYTES",
        default_value = "1048576"
    )]
    pub max_body_bytes: usize,

    /// Longest time that a request may ask to be waited for (`grpc-timeout`, `X-Request-Timeout`);
    /// more is lowered to it. A request that asks for none is not ended.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_LONGEST_CALL",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "15m"
    )]
    #[serde(with = "humantime_serde")]
    pub longest_call: Duration,

    #[command(flatten)]
    #[serde(flatten)]
    pub limits: Limits,

    /// Origins whose web pages may call the API (CORS), such as https://lab.example.com; separated
    /// by commas. `*` is all of them. Without it there are none.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_CORS_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<String>,

    /// When told to stop, requests that are under way get so long to finish.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_SHUTDOWN_GRACE",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "4s"
    )]
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,

    /// When told to stop, go on for so long with `/readyz` saying that the server is not ready, so that
    /// a load balancer sends nothing more before the port is closed.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_SHUTDOWN_DELAY",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "0s"
    )]
    #[serde(with = "humantime_serde")]
    pub shutdown_delay: Duration,

    /// Label keys of exporters that are shown only to those who ask for hidden labels; separated by
    /// commas. Selectors match them all the same.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_HIDDEN_LABELS",
        value_name = "KEYS",
        value_delimiter = ','
    )]
    pub hidden_labels: Vec<String>,

    /// Label keys that are going out of use, each with a message for those who use it:
    /// KEY=MESSAGE, separated by semicolons. They are hidden too.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_DEPRECATED_LABELS",
        value_name = "KEY=MESSAGE",
        value_parser = arguments::deprecated_labels,
        default_value = "",
        hide_default_value = true
    )]
    pub deprecated_labels: BTreeMap<String, String>,
}

/// The forms of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Settings {
    /// The settings that these arguments, the file that they name and the defaults make together.
    ///
    /// # Errors
    ///
    /// All that is wrong in the file, each with its place; if nothing is, all settings that cannot
    /// go together.
    pub fn load(args: ServeArgs) -> Result<Self, ConfigError> {
        let settings = Self::show(args)?;
        settings.check()?;
        Ok(settings)
    }

    /// The same, whether or not a server could run with them: to look at.
    ///
    /// # Errors
    ///
    /// All that is wrong in the file, each with its place.
    pub fn show(args: ServeArgs) -> Result<Self, ConfigError> {
        let mut values = Self::default().to_table()?;
        if let Some(path) = &args.config {
            let file = file::load(path, &values)?;
            values.extend(file);
        }
        values.extend(args.given);
        let mut settings: Self = values.try_into()?;
        if let (None, Some(data)) = (&settings.security.keys, &settings.data) {
            settings.security.keys = Some(data.join("keys"));
        }
        Ok(settings)
    }

    /// A file with every setting: what it means, and its value here. One without a value stands in a
    /// comment.
    ///
    /// # Errors
    ///
    /// A path that is not UTF-8 cannot be written as TOML.
    pub fn to_toml_with_comments(&self) -> Result<String, ConfigError> {
        Ok(file::text(&self.to_table()?))
    }

    /// Refuses settings that cannot go together, all of them at once.
    ///
    /// # Errors
    ///
    /// A sentence for each problem.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut refuse_if = |wrong: bool, problem: &str| {
            if wrong {
                problems.push(problem.to_owned());
            }
        };
        refuse_if(
            (self.demo || self.no_auth) && !self.listen.ip().is_loopback(),
            "listen: without tokens anybody who can connect can do anything, so `demo` and \
             `no_auth` work on a loopback address only, such as 127.0.0.1:8082",
        );
        let has_tokens = !self.demo && !self.no_auth;
        refuse_if(
            has_tokens
                && !self.listen.ip().is_loopback()
                && !self.security.has_tls()
                && !self.security.allow_plaintext,
            "listen: others can reach this address, and without TLS they can read the tokens that \
             pass; add --tls-self-signed or --tls-cert and --tls-key, or, if something in front has \
             TLS, --allow-plaintext",
        );
        refuse_if(
            self.demo && self.lab.is_some(),
            "lab: `demo` brings its own lab; leave out one of them",
        );
        refuse_if(
            self.demo && self.tokens.is_some(),
            "tokens: `demo` asks for no tokens; leave out one of them",
        );
        refuse_if(
            self.no_auth && self.tokens.is_some(),
            "tokens: `no_auth` asks for no tokens; leave out one of them",
        );
        refuse_if(
            !self.demo && self.lab.is_none(),
            "lab: missing; name a lab file or a directory of them with --lab PATH, or try the \
             server with --demo",
        );
        refuse_if(
            has_tokens
                && self.tokens.is_none()
                && self.security.keys.is_none()
                && self.security.token_key.is_none()
                && self.security.oidc.is_empty(),
            "tokens: missing; name a folder for keys with --keys PATH, or one for everything with \
             --data DIRECTORY, and make tokens with `jumpstarter-gateway token create`, or name a file with the clients' tokens with \
             --tokens PATH, or ask nobody for a token with --no-auth (on a loopback address)",
        );
        refuse_if(
            self.demo && self.data.is_some(),
            "data: `demo` keeps nothing; leave out one of them",
        );
        refuse_if(
            self.in_memory && self.data.is_some(),
            "data: `in_memory` keeps nothing; leave out one of them",
        );
        refuse_if(
            !self.demo && !self.in_memory && self.data.is_none(),
            "data: missing; name a directory to keep leases in with --data DIRECTORY, or have a \
             restart forget them with --in-memory",
        );
        let limits = self.minimum_duration.zip(self.maximum_duration);
        refuse_if(
            limits.is_some_and(|(minimum, maximum)| minimum > maximum),
            "minimum_duration: must not be longer than maximum_duration",
        );
        refuse_if(
            self.maximum_duration == Some(Duration::ZERO),
            "maximum_duration: must be longer than 0s; leave it out for no limit",
        );
        refuse_if(
            self.offline_after.is_zero(),
            "offline_after: must be longer than 0s",
        );
        refuse_if(
            self.longest_wait > Duration::from_secs(24 * 60 * 60),
            "longest_wait: must not be longer than 1day",
        );
        refuse_if(
            self.max_body_bytes == 0,
            "max_body_bytes: must be more than 0",
        );
        refuse_if(
            self.longest_call.is_zero(),
            "longest_call: must be longer than 0s",
        );
        refuse_if(
            !self.cors_origins.iter().all(|origin| is_origin(origin)),
            "cors_origins: an origin is a scheme, a host and perhaps a port, such as \
             https://lab.example.com or http://localhost:3000, or `*` for all",
        );
        problems.extend(self.security.problems());
        problems.extend(self.limits.problems());
        problems.extend(self.observe.problems());
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { problems })
        }
    }

    fn to_table(&self) -> Result<Table, ConfigError> {
        Table::try_from(self).map_err(|error| ConfigError::new(error.to_string()))
    }
}

/// An origin as browsers send it: nothing behind the host and port.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']);
    text == "*" || (text.is_ascii() && host.is_some_and(is_host))
}

impl Default for Settings {
    /// Every setting's default, whatever the environment says.
    fn default() -> Self {
        let matches = arguments::without_environment(arguments::all()).get_matches_from([""; 0]);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Why the server cannot run with its settings: one or more sentences, each on its own line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    fn new(problem: String) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl From<toml::de::Error> for ConfigError {
    fn from(error: toml::de::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
