//! The page that Prometheus reads: every metric, its name, its meaning and its labels. docs/monitoring.md
//! tells of the same ones.

use std::fmt::{self, Error};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::leases::ENDINGS;
use super::writer::Writer;
use super::{Form, Metrics, OUTCOMES, process};
use crate::lease::Census;
use crate::proto::google::rpc::Code;

/// What is not counted but looked up when somebody asks.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Present {
    pub version: &'static str,
    pub is_ready: bool,
    pub connections: usize,
    /// Requests that wait for a lease, and open event streams.
    pub waiting: usize,
    pub census: Census,
    pub revision: u64,
    /// Where records are kept in a file: its size.
    pub file_bytes: Option<u64>,
    /// The size of the disk that it is on, and what is left for the server there.
    pub disk: Option<(u64, u64)>,
    /// The end of the certificate's validity, in seconds since 1970.
    pub certificate_end: Option<i64>,
}

impl Metrics {
    /// Everything that is counted, and what is known at present.
    ///
    /// # Errors
    /// None ever: text has room for all of it.
    pub fn page(self: &Arc<Self>, present: Present, form: Form) -> Result<String, Error> {
        let mut registry = Registry::default();
        let metrics = self.clone();
        registry.register_collector(Box::new(Page { metrics, present }));
        let mut written = String::new();
        encode(&mut written, &registry)?;
        Ok(form.of(written))
    }
}

#[derive(Debug)]
struct Page {
    metrics: Arc<Metrics>,
    present: Present,
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut writer = Writer(encoder);
        self.calls(&mut writer)?;
        self.leases(&mut writer)?;
        self.store(&mut writer)?;
        self.server(&mut writer)?;
        process(&mut writer)
    }
}

impl Page {
    fn calls(&self, writer: &mut Writer) -> fmt::Result {
        let calls = &self.metrics.calls;
        let status = |status: usize| status.to_string();
        writer.outcomes(
            "jumpstarter_gateway_http_requests",
            "Requests over HTTP that were answered, by route.",
            ["method", "route", "status"],
            calls.http(),
            status,
        )?;
        writer.durations(
            "jumpstarter_gateway_http_request_duration_seconds",
            "How long answers over HTTP took, without those that waited for a lease.",
            ["method", "route"],
            calls.http(),
        )?;
        let code = |code: usize| {
            let code = i32::try_from(code).ok();
            let code = code.and_then(|code| Code::try_from(code).ok());
            code.unwrap_or(Code::Unknown).as_str_name().to_owned()
        };
        writer.outcomes(
            "jumpstarter_gateway_grpc_requests",
            "Calls over gRPC that were answered, by method.",
            ["grpc_service", "grpc_method", "grpc_code"],
            calls.rpcs(),
            code,
        )?;
        writer.durations(
            "jumpstarter_gateway_grpc_request_duration_seconds",
            "How long answers over gRPC took, without those that waited for a lease.",
            ["grpc_service", "grpc_method"],
            calls.rpcs(),
        )?;
        writer.gauge(
            "jumpstarter_gateway_requests_in_flight",
            "Requests that have not been answered yet.",
            calls.in_flight() as f64,
        )?;
        let refusals = calls.refusals();
        writer.counters(
            "jumpstarter_gateway_auth_failures",
            "Requests that were not let in, by the reason that their answer names.",
            "reason",
            refusals.iter().map(|(reason, count)| (&**reason, *count)),
        )
    }

    fn leases(&self, writer: &mut Writer) -> fmt::Result {
        let (counted, census) = (&self.metrics.leases, &self.present.census);
        writer.gauges(
            "jumpstarter_leases",
            "Leases that are kept, by state.",
            "state",
            [
                ("scheduled", census.scheduled as f64),
                ("pending", census.pending as f64),
                ("ready", census.ready as f64),
                ("ended", census.ended as f64),
            ],
        )?;
        writer.gauge(
            "jumpstarter_lease_queue_length",
            "Leases that wait for an exporter now; those that begin later do not count.",
            census.pending as f64,
        )?;
        writer.counter(
            "jumpstarter_leases_created",
            "Leases that were created.",
            counted.created.read(),
        )?;
        writer.counters(
            "jumpstarter_lease_acquisitions",
            "Leases that got an exporter (success), and that never can (failure).",
            "result",
            [
                ("success", counted.acquired.read()),
                ("failure", counted.failed.read()),
            ],
        )?;
        let ended = ENDINGS.iter().zip(&counted.ended);
        writer.counters(
            "jumpstarter_leases_ended",
            "Leases that have ended: their time was up, they were given back, or they could never be served.",
            "reason",
            ended.map(|((name, _), count)| (*name, count.read())),
        )?;
        writer.histogram(
            "jumpstarter_lease_wait_seconds",
            "From when a lease was due to when it got its exporter.",
            &counted.waited,
        )?;
        writer.histogram(
            "jumpstarter_lease_hold_seconds",
            "From when a lease got its exporter to its end.",
            &counted.held,
        )?;
        writer.gauges(
            "jumpstarter_exporters",
            "Exporters, each by the first of these that it is: offline, leased, disabled, available, unready.",
            "status",
            [
                ("offline", census.offline as f64),
                ("leased", census.leased as f64),
                ("disabled", census.disabled as f64),
                ("available", census.available as f64),
                ("unready", census.unready as f64),
            ],
        )
    }

    fn store(&self, writer: &mut Writer) -> fmt::Result {
        let (commits, present) = (&self.metrics.commits, &self.present);
        let outcomes = OUTCOMES.iter().zip(&commits.outcomes);
        writer.counters(
            "jumpstarter_gateway_commits",
            "What came of having changes kept: all but committed and conflict are failures.",
            "outcome",
            outcomes.map(|(name, count)| (*name, count.read())),
        )?;
        writer.histogram(
            "jumpstarter_gateway_commit_duration_seconds",
            "How long it took to have changes kept.",
            &commits.duration,
        )?;
        writer.histogram(
            "jumpstarter_gateway_commit_commands",
            "How many commands shared a commit.",
            &commits.commands,
        )?;
        writer.gauge(
            "jumpstarter_gateway_store_revision",
            "The revision of the last commit.",
            present.revision as f64,
        )?;
        if let Some(bytes) = present.file_bytes {
            writer.gauge(
                "jumpstarter_gateway_store_bytes",
                "The size of the file that records are kept in.",
                bytes as f64,
            )?;
        }
        if let Some((size, free)) = present.disk {
            writer.gauge(
                "jumpstarter_gateway_store_disk_bytes",
                "The size of the disk that records are kept on.",
                size as f64,
            )?;
            writer.gauge(
                "jumpstarter_gateway_store_disk_free_bytes",
                "What is left there for the server.",
                free as f64,
            )?;
        }
        Ok(())
    }

    fn server(&self, writer: &mut Writer) -> fmt::Result {
        let (audit, present) = (&self.metrics.audit, &self.present);
        writer.gauge(
            "jumpstarter_gateway_ready",
            "1 while the server takes new work, as /readyz says.",
            f64::from(u8::from(present.is_ready)),
        )?;
        writer.gauge(
            "jumpstarter_gateway_connections",
            "Connections that are open.",
            present.connections as f64,
        )?;
        writer.gauge(
            "jumpstarter_gateway_watchers",
            "Requests that wait for a lease, and event streams that are open.",
            present.waiting as f64,
        )?;
        if let Some(end) = present.certificate_end {
            writer.gauge(
                "jumpstarter_gateway_certificate_end_timestamp_seconds",
                "When the TLS certificate ends, in seconds since 1970.",
                end as f64,
            )?;
        }
        writer.counter(
            "jumpstarter_gateway_audit_lines",
            "Lines of the audit log that were written.",
            audit.written.read(),
        )?;
        writer.counter(
            "jumpstarter_gateway_audit_lines_lost",
            "Lines of the audit log that could not be written.",
            audit.lost.read(),
        )?;
        writer.gauges(
            "jumpstarter_gateway_build_info",
            "1; which version it is stands in the label.",
            "version",
            [(present.version, 1.0)],
        )
    }
}

fn process(writer: &mut Writer) -> fmt::Result {
    let Some(process) = process::look() else {
        return Ok(());
    };
    writer.seconds(
        "process_cpu_seconds",
        "Processor time, of user and system.",
        process.cpu_seconds,
    )?;
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Memory that is in RAM.",
            process.resident_bytes as f64,
        ),
        (
            "process_virtual_memory_bytes",
            "Address space.",
            process.virtual_bytes as f64,
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_files as f64,
        ),
        (
            "process_max_fds",
            "How many file descriptors may be open.",
            process.most_files as f64,
        ),
        ("process_threads", "Threads.", process.threads as f64),
    ];
    if let Some(start) = process.start_seconds {
        writer.gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
            start,
        )?;
    }
    for (name, help, value) in gauges {
        writer.gauge(name, help, value)?;
    }
    Ok(())
}
