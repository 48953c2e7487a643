//! The settings of how much is taken on, and for how long anybody is waited for.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

/// A part of [`super::Settings`].
#[derive(Args, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Most connections at a time. When there are more, idle ones give way. Without it, 10000, or three
    /// quarters of the file descriptors that the process may have, if that is less.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_CONNECTIONS",
        value_name = "COUNT"
    )]
    #[serde(default)]
    pub max_connections: Option<usize>,

    /// Most connections of one address at a time; the addresses of an IPv6 network of 64 bits count as
    /// one. Without it, half of max_connections.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "COUNT"
    )]
    #[serde(default)]
    pub max_connections_per_address: Option<usize>,

    /// Most requests under way at a time; more are answered 503. Those that wait for a lease or for the
    /// rest of their body do not count. 0 is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_REQUESTS",
        value_name = "COUNT",
        default_value = "1024"
    )]
    pub max_requests: usize,

    /// Most requests of one client in a second; more are answered 429. So many may also come at once.
    /// For documentation, gRPC reflection and health, an address counts as a client. 0 is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_REQUESTS_PER_SECOND",
        value_name = "COUNT",
        default_value = "1000"
    )]
    pub max_requests_per_second: u32,

    /// Most requests that wait for a lease or for their body, and streams, at a time; more are answered
    /// 503. 0 is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_WAITS",
        value_name = "COUNT",
        default_value = "10000"
    )]
    pub max_waits: usize,

    /// Those of one client; more are answered 429. 0 is no limit.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_WAITS_PER_CLIENT",
        value_name = "COUNT",
        default_value = "256"
    )]
    pub max_waits_per_client: usize,

    /// Longest URL, in bytes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_URL_BYTES",
        value_name = "BYTES",
        default_value = "16384"
    )]
    pub max_url_bytes: usize,

    /// Longest query of a URL, in bytes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_QUERY_BYTES",
        value_name = "BYTES",
        default_value = "8192"
    )]
    pub max_query_bytes: usize,

    /// Most header fields of a request.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_HEADERS",
        value_name = "COUNT",
        default_value = "64"
    )]
    pub max_headers: usize,

    /// Longest head of a request, in bytes: its first line and all header fields.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_HEADER_BYTES",
        value_name = "BYTES",
        default_value = "65536"
    )]
    pub max_header_bytes: usize,

    /// Most requests at a time on one HTTP/2 connection.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_MAX_STREAMS",
        value_name = "COUNT",
        default_value = "200"
    )]
    pub max_streams: u32,

    /// How long a client may take to agree on keys (TLS). 0s is as long as it likes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_HANDSHAKE_TIMEOUT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "10s"
    )]
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,

    /// How long a client may take to send the head of a request; for the first one, from the beginning
    /// of the connection. 0s is as long as it likes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_HEAD_TIMEOUT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "10s"
    )]
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,

    /// How long the body of a request may be on its way. 0s is as long as it takes.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_BODY_TIMEOUT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "30s"
    )]
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,

    /// An HTTP/1.1 connection without requests is closed after so long; one of HTTP/2 is asked after so long
    /// whether anybody is there, and stays if so. 0s is never.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_IDLE_TIMEOUT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "75s"
    )]
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,

    /// A client that takes nothing of what it is sent for so long is cut off. 0s is never.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_WRITE_TIMEOUT",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        default_value = "30s"
    )]
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        super::Settings::default().limits
    }
}

impl Limits {
    /// What cannot be meant.
    pub(super) fn problems(&self) -> Vec<String> {
        // The `http` crate has no longer URLs, and HTTP/2 has frames of 16 kilobytes.
        let bounds = [
            ("max_url_bytes", self.max_url_bytes, 16, 65_534),
            ("max_query_bytes", self.max_query_bytes, 0, 65_534),
            ("max_headers", self.max_headers, 8, 1_000),
            ("max_header_bytes", self.max_header_bytes, 8_192, 1 << 20),
        ];
        let outside = bounds
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value));
        let mut problems: Vec<String> = outside
            .map(|(name, _, least, most)| format!("{name}: must be from {least} to {most}"))
            .collect();
        let none = [
            ("max_connections", self.max_connections == Some(0)),
            (
                "max_connections_per_address",
                self.max_connections_per_address == Some(0),
            ),
            ("max_streams", self.max_streams == 0),
        ];
        let none = none.into_iter().filter(|(_, is_none)| *is_none);
        problems.extend(none.map(|(name, _)| format!("{name}: must be more than 0")));
        problems
    }
}
