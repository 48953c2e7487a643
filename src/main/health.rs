//! The command that asks a server whether it is ready: for containers, which have no other program to
//! ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use jumpstarter_gateway::client::server_url;
use jumpstarter_gateway::config::{ServeArgs, Settings};
use reqwest::Url;

use super::print;

/// Settings that the help shows; the others are taken and not shown.
pub const SETTINGS: [&str; 2] = ["config", "listen"];

/// What tells whether a server is ready.
const READY: &str = "readyz";

#[derive(Args)]
pub struct HealthArgs {
    /// Where the server is, if not where these settings have it listen on this machine.
    #[arg(long, value_name = "URL", value_parser = server_url)]
    url: Option<Url>,
    /// How long to wait for an answer.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "5s")]
    timeout: Duration,
    #[command(flatten)]
    settings: ServeArgs,
}

/// Says that it is.
///
/// # Errors
/// It is not, or does not answer.
pub fn run(args: HealthArgs) -> Result<(), String> {
    let url = match args.url {
        Some(url) => url.into(),
        None => url(&Settings::show(args.settings).map_err(|error| error.to_string())?),
    };
    let url = format!("{}/{READY}", url.trim_end_matches('/'));
    let asked = async {
        // Nothing secret is said, and nothing that is answered is trusted: whose certificate it is does
        // not matter, and may not be known where the server was given one for its own name.
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(args.timeout)
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        let answer = client.get(&url).send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answered: Result<_, reqwest::Error> = runtime.block_on(asked);
    let (status, text) = answered.map_err(|error| format!("{url}: {}", reason(&error)))?;
    if status.is_success() {
        print(&text)
    } else {
        Err(format!("{url}: {status}: {}", text.trim_end()))
    }
}

/// The innermost cause, which says most.
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => reason(source),
        None => error.to_string(),
    }
}

fn url(settings: &Settings) -> String {
    let host = match settings.listen.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let scheme = if settings.security.has_tls() {
        "https"
    } else {
        "http"
    };
    format!(
        "{scheme}://{}",
        SocketAddr::new(host, settings.listen.port())
    )
}
