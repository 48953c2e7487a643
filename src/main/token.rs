//! The commands about tokens: make, look at, end. They work on the files that the server uses,
//! whether it runs or not; a running one sees what they did within a second.

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use jumpstarter_gateway::audit::{Audit, Line, TokenEvent};
use jumpstarter_gateway::auth::{Sources, Tokens};
use jumpstarter_gateway::config::{LONGEST_LIFETIME, ServeArgs, Settings};
use jumpstarter_gateway::lease::{Client, Labels, Name};
use jumpstarter_gateway::{lab, server};
use serde_json::Value;

use super::failure::Failure;

/// What can be done with tokens.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token for a client, and print it.
    Create {
        /// The client's name in the lab file.
        client: String,
        /// The client's namespace.
        #[arg(long, value_name = "NAME", default_value = "default")]
        namespace: String,
        /// How long it lasts, such as 30d, if not `token_lifetime`.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        lifetime: Option<Duration>,
        #[command(flatten)]
        settings: ServeArgs,
    },
    /// Show what is in a token, and whether it is accepted.
    Inspect {
        /// The token; `-` reads it from standard input.
        token: String,
        #[command(flatten)]
        settings: ServeArgs,
    },
    /// End a token at once.
    Revoke {
        /// The token or its id; `-` reads it from standard input.
        token: String,
        #[command(flatten)]
        settings: ServeArgs,
    },
    /// Make a new key that tokens are signed with from now on; those that exist stay good.
    RotateKey(ServeArgs),
}

/// Settings that these commands use; the others are taken and not shown.
pub const SETTINGS: [&str; 9] = [
    "audit",
    "config",
    "data",
    "keys",
    "lab",
    "tokens",
    "token_key",
    "token_issuer",
    "token_audience",
];

const KEYS_MISSING: &str =
    "keys: missing; name the folder that the server keeps its keys in with --keys PATH";

/// Does it, and returns what is to be printed.
///
/// # Errors
/// Why it cannot be done.
pub fn run(command: TokenCommand) -> Result<String, Failure> {
    match command {
        TokenCommand::Create {
            client,
            namespace,
            lifetime,
            settings,
        } => create(&Name::new(namespace, client), lifetime, settings),
        TokenCommand::Inspect { token, settings } => inspect(&given(token)?, settings),
        TokenCommand::Revoke { token, settings } => revoke(&given(token)?, settings),
        TokenCommand::RotateKey(settings) => {
            let (tokens, settings) = open(settings)?;
            let id = tokens.rotate_key().map_err(|error| error.to_string())?;
            tell(&settings, TokenEvent::KeyRotated, None, &id)?;
            Ok(format!("tokens are signed with the key {id} from now on\n"))
        }
    }
}

fn open(args: ServeArgs) -> Result<(Tokens, Settings), Failure> {
    let settings = Settings::show(args).map_err(Failure::configuration)?;
    if settings.security.keys.is_none() && settings.security.token_key.is_none() {
        return Err(Failure::configuration(KEYS_MISSING));
    }
    let sources = server::token_sources(&settings).map_err(Failure::configuration)?;
    let tokens = Tokens::open(sources).map_err(Failure::configuration)?;
    Ok((tokens, settings))
}

/// The argument, or standard input.
fn given(token: String) -> Result<String, String> {
    if token != "-" {
        return Ok(token);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim().to_owned())
}

fn create(name: &Name, lifetime: Option<Duration>, args: ServeArgs) -> Result<String, Failure> {
    let (tokens, settings) = open(args)?;
    let lifetime = lifetime.unwrap_or(settings.security.token_lifetime);
    if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
        let why = "lifetime: must be longer than 0s and not longer than 100years";
        return Err(why.to_owned().into());
    }
    let client = match &settings.lab {
        Some(path) => {
            let lab = lab::load(path).map_err(Failure::configuration)?;
            let found = lab.clients.into_iter().find(|client| client.name == *name);
            found.ok_or_else(|| {
                let (path, Name { namespace, id }) = (path.display(), name);
                format!("{path} has no client {id} in the namespace {namespace}")
            })?
        }
        // Nobody is there to say whether there is such a client; the server will.
        None => Client {
            name: name.clone(),
            labels: Labels::default(),
            username: None,
            uid: None,
            provisioned: false,
            revision: 0,
        },
    };
    let issued = tokens.issue(&client, server::system_time(), server::span(lifetime));
    let issued = issued.map_err(|fault| fault.to_string())?;
    tell(
        &settings,
        TokenEvent::Created,
        Some(format!("client {name}")),
        &issued.id,
    )?;
    eprintln!(
        "token {} of the client {name}, good until {}",
        issued.id, issued.ends
    );
    Ok(format!("{}\n", issued.token))
}

/// Tells the audit log, where there is one.
fn tell(
    settings: &Settings,
    event: TokenEvent,
    subject: Option<String>,
    id: &str,
) -> Result<(), String> {
    let Some(path) = &settings.observe.audit else {
        return Ok(());
    };
    let line = Line::Token {
        at: server::system_time(),
        event,
        subject,
        id: id.to_owned(),
    };
    let told = Audit::append(path, &line);
    told.map_err(|error| format!("it is done, but the audit log {}: {error}", path.display()))
}

fn inspect(token: &str, args: ServeArgs) -> Result<String, Failure> {
    let (tokens, _) = open(args)?;
    let mut text = String::new();
    for (what, part) in ["header", "claims"].into_iter().zip(token.split('.')) {
        let decoded = URL_SAFE_NO_PAD.decode(part).ok();
        let json = decoded.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if let Some(json) = json {
            text.push_str(&format!("{what}: {json:#}\n"));
        }
    }
    let verdict = match tokens.authenticate(token, server::system_time()) {
        Ok(identity) => format!("accepted: {}, token {}\n", identity.holder, identity.id),
        Err(fault) => format!("refused: {fault} ({})\n", fault.reason()),
    };
    Ok(text + &verdict)
}

fn revoke(token: &str, args: ServeArgs) -> Result<String, Failure> {
    let settings = Settings::show(args).map_err(Failure::configuration)?;
    if settings.security.keys.is_none() {
        return Err(Failure::configuration(KEYS_MISSING));
    }
    let sources = server::token_sources(&settings).map_err(Failure::configuration)?;
    // A token must come to its end whatever is wrong with the tokens file.
    let tokens = Tokens::open(sources.clone()).or_else(|error| {
        eprintln!("{error}");
        Tokens::open(Sources {
            listed: None,
            ..sources
        })
    });
    let tokens = tokens.map_err(Failure::configuration)?;
    let (id, until) = tokens.find(token).ok_or(
        "this is neither a token nor the id of one; an id looks like \
         019ab8f0-2c3d-7e21-9b7a-5d2f8c1e4a60, and `token inspect` shows it (the claim jti)"
            .to_owned(),
    )?;
    let revoked = tokens.revoke(&id, until, server::system_time());
    revoked.map_err(|error| error.to_string())?;
    tell(&settings, TokenEvent::Revoked, None, &id)?;
    Ok(format!("token {id} is worth nothing from now on\n"))
}
