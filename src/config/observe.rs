//! The settings of what the server tells of itself: metrics, the audit log, traces.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

/// A part of [`super::Settings`].
#[derive(Args, Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the comments are the text of --help too, which has no links"
)]
pub struct Observe {
    /// Serve metrics for Prometheus at /metrics, to everybody who can connect. They have numbers and no
    /// names: no client, lease, exporter or namespace.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_METRICS",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    pub metrics: bool,

    /// Address and port to serve metrics on, without TLS, instead of `listen`: such as
    /// 127.0.0.1:9180.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_METRICS_LISTEN",
        value_name = "ADDRESS"
    )]
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,

    /// File to append the audit log to: who did what to which lease, as JSON lines. `-` is standard
    /// error. It is opened again on SIGHUP.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_AUDIT", value_name = "PATH")]
    #[serde(default)]
    pub audit: Option<PathBuf>,

    /// URL of an OpenTelemetry collector to send traces to (OTLP over HTTP), such as
    /// http://localhost:4318.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_TRACES", value_name = "URL")]
    #[serde(default)]
    pub traces: Option<String>,

    /// The part of requests that are traced, from 0 to 1; a caller that traces, or does not, decides
    /// for its own.
    #[arg(
        long,
        env = "JUMPSTARTER_GATEWAY_TRACE_RATIO",
        value_name = "RATIO",
        default_value = "1"
    )]
    pub trace_ratio: f64,
}

impl Observe {
    /// What cannot go together.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse_if = |wrong: bool, problem: &str| {
            if wrong {
                problems.push(problem.to_owned());
            }
        };
        refuse_if(
            !self.metrics && self.metrics_listen.is_some(),
            "metrics_listen: `metrics` is off; leave out one of them",
        );
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        refuse_if(
            !self.traces.as_ref().is_none_or(is_url),
            "traces: a collector is reached by a URL such as http://localhost:4318",
        );
        refuse_if(
            self.traces.is_some() && !cfg!(feature = "otlp"),
            "traces: this program was built without the feature `otlp`",
        );
        refuse_if(
            !(0.0..=1.0).contains(&self.trace_ratio),
            "trace_ratio: must be from 0 to 1, such as 0.1",
        );
        problems
    }
}
