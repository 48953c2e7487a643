//! Between the wire's types (`pb::`) and the domain's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::LabelRules;
use super::names::{self, CLIENTS, EXPORTERS, LEASES};
use crate::fault::{Fault, Violation};
use crate::lease::{
    Book, Condition, ConditionKind, CreateLease, Duration, Exporter, Lease, LeaseView, Name,
    Requirement, Selector, Timestamp, Unchanged, UpdateLease,
};
use crate::proto::jumpstarter::client::v1 as pb;
use crate::proto::jumpstarter::v1 as common;
use crate::proto::wkt;

/// Shows records to callers.
pub struct ExporterLabels(LabelRules);

impl ExporterLabels {
    pub fn new(rules: LabelRules) -> Self {
        Self(rules)
    }

    /// An exporter, without the labels that are hidden (rules O1-O3).
    pub fn exporter(
        &self,
        book: &Book,
        now: Timestamp,
        exporter: &Exporter,
        show_hidden: bool,
    ) -> pb::Exporter {
        let LabelRules { hidden, deprecated } = &self.0;
        let withheld =
            |key: &str| hidden.iter().any(|own| own == key) || deprecated.contains_key(key);
        let labels = exporter
            .labels
            .iter()
            .filter(|(key, _)| show_hidden || !withheld(key));
        let view = book.view_exporter(now, exporter);
        // `online` is deprecated, and clients of today still read it.
        #[expect(deprecated, reason = "upstream's clients still show it")]
        pb::Exporter {
            name: names::format(&exporter.name.namespace, EXPORTERS, &exporter.name.id),
            labels: map(labels),
            online: view.online,
            status: view.status as i32,
            status_message: view.status_message,
            enabled: Some(exporter.enabled),
            deprecated_labels: self.deprecated(exporter.labels.iter().map(|(key, _)| key)),
        }
    }

    /// A lease as it was seen.
    pub fn lease(&self, lease: &Lease, view: LeaseView) -> pb::Lease {
        let namespace = &lease.name.namespace;
        pb::Lease {
            name: names::format(namespace, LEASES, &lease.name.id),
            selector: text(&lease.selector),
            duration: lease.duration.map(duration),
            effective_duration: view.effective_duration.map(duration),
            begin_time: lease.begin.map(timestamp),
            effective_begin_time: view.effective_begin.map(timestamp),
            end_time: lease.end.map(timestamp),
            effective_end_time: view.effective_end.map(timestamp),
            client: Some(names::format(namespace, CLIENTS, &lease.client)),
            exporter: lease
                .exporter
                .as_ref()
                .map(|id| names::format(namespace, EXPORTERS, id)),
            conditions: view.conditions.into_iter().map(condition).collect(),
            exporter_name: lease.exporter_name.as_ref().map(ToString::to_string),
            tags: map(lease.tags.iter()),
            allow_disabled: lease.allow_disabled,
            context: map(lease.context.iter()),
            deprecated_labels: self
                .deprecated(lease.selector.requirements().iter().map(Requirement::key)),
        }
    }

    fn deprecated<'k>(&self, keys: impl Iterator<Item = &'k str>) -> BTreeMap<String, String> {
        let found = keys.filter_map(|key| self.0.deprecated.get_key_value(key));
        found
            .map(|(key, message)| (key.clone(), message.clone()))
            .collect()
    }
}

/// A selector as it is written, in one piece of memory for nearly all.
fn text(selector: &Selector) -> String {
    let mut text = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(text, "{selector}");
    text
}

fn map<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> BTreeMap<String, String> {
    labels
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn condition(condition: Condition) -> common::Condition {
    let kind = match condition.kind {
        ConditionKind::Pending => "Pending",
        ConditionKind::Ready => "Ready",
        ConditionKind::Unsatisfiable => "Unsatisfiable",
        ConditionKind::Invalid => "Invalid",
    };
    let status = if condition.status { "True" } else { "False" };
    common::Condition {
        r#type: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        observed_generation: Some(condition.observed_generation),
        // Rule Q5: whole seconds.
        last_transition_time: Some(common::Time {
            seconds: Some(condition.last_transition.seconds()),
            nanos: Some(0),
        }),
        reason: Some(condition.reason.into()),
        message: Some(condition.message.into_owned()),
    }
}

/// What a CreateLease asks for. Fields that the server decides are passed over (rule C10).
pub fn create(
    name: Name,
    named: bool,
    client: Arc<str>,
    lease: pb::Lease,
) -> Result<CreateLease, Fault> {
    Ok(CreateLease {
        name,
        named,
        client,
        selector: lease.selector,
        exporter_name: lease.exporter_name.filter(|name| !name.is_empty()),
        allow_disabled: lease.allow_disabled,
        begin: instant("lease.beginTime", lease.begin_time)?,
        end: instant("lease.endTime", lease.end_time)?,
        duration: span("lease.duration", lease.duration)?,
        tags: lease.tags.into_iter().collect(),
        context: lease.context.into_iter().collect(),
        if_revision: None,
    })
}

/// What an UpdateLease asks for (rules K3, D13, L13). Without a mask the fields that are present are
/// the mask; `*` is every field that can change.
pub fn update(
    name: Name,
    caller: Arc<str>,
    lease: pb::Lease,
    mask: Option<wkt::FieldMask>,
) -> Result<UpdateLease, Fault> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    for path in &paths {
        known_path(path)?;
    }
    let everything = paths.iter().any(|path| path == "*");
    // A field counts if the mask says so or, where there is no mask, if it is there.
    let masked = |path: &str, present: bool| {
        if paths.is_empty() {
            present
        } else {
            everything || paths.iter().any(|masked| masked == path)
        }
    };
    let begin = masked("begin_time", lease.begin_time.is_some());
    let end = masked("end_time", lease.end_time.is_some());
    let duration = masked("duration", lease.duration.is_some());
    let client = lease.client.filter(|client| !client.is_empty());
    let transfer_to = match client.filter(|_| masked("client", true)) {
        Some(client) => Some(transfer(&name, &client)?),
        None => None,
    };
    // An immutable field that the mask names was sent, empty or not. One that is empty and meant by `*`
    // alone stays as it is: `*` says nothing of it in particular.
    let sent = |path: &str, present: bool| {
        paths.iter().any(|named| named == path) || (present && masked(path, true))
    };
    let exporter_name = lease.exporter_name.unwrap_or_default();
    let unchanged = Unchanged {
        selector: sent("selector", !lease.selector.is_empty()).then_some(lease.selector),
        exporter_name: sent("exporter_name", !exporter_name.is_empty()).then_some(exporter_name),
        allow_disabled: sent("allow_disabled", lease.allow_disabled)
            .then_some(lease.allow_disabled),
        tags: sent("tags", !lease.tags.is_empty()).then(|| lease.tags.into_iter().collect()),
        context: sent("context", !lease.context.is_empty())
            .then(|| lease.context.into_iter().collect()),
    };
    Ok(UpdateLease {
        name,
        caller,
        if_revision: None,
        begin: begin
            .then(|| instant("lease.beginTime", lease.begin_time))
            .transpose()?,
        end: end
            .then(|| instant("lease.endTime", lease.end_time))
            .transpose()?,
        duration: duration
            .then(|| span("lease.duration", lease.duration))
            .transpose()?,
        transfer_to,
        unchanged,
    })
}

/// Refuses a mask path that is no field of a lease (AIP-161). Output-only fields are passed over
/// (AIP-203), so that a lease can be sent back as it was read.
fn known_path(path: &str) -> Result<(), Fault> {
    const FIELDS: [&str; 17] = [
        "*",
        "name",
        "selector",
        "duration",
        "effective_duration",
        "begin_time",
        "effective_begin_time",
        "end_time",
        "effective_end_time",
        "client",
        "exporter",
        "conditions",
        "exporter_name",
        "tags",
        "allow_disabled",
        "context",
        "deprecated_labels",
    ];
    if FIELDS.contains(&path) {
        return Ok(());
    }
    let json = names::json_name(path);
    let message = format!(
        "`{json}` is no field of a lease; those that can change: duration, beginTime, endTime, client"
    );
    let violation = Violation {
        field: "updateMask".to_owned(),
        description: message.clone(),
    };
    Err(Fault::invalid_argument("INVALID_UPDATE_MASK", message).with_violation(violation))
}

/// The client to hand a lease to (rules L4, L5).
fn transfer(lease: &Name, client: &str) -> Result<Arc<str>, Fault> {
    let client = names::object_in("lease.client", client, CLIENTS)?;
    if client.namespace != lease.namespace {
        let message = "cannot transfer lease to client in different namespace";
        let violation = Violation {
            field: "lease.client".to_owned(),
            description: format!("must be a client of the namespace {}", lease.namespace),
        };
        return Err(
            Fault::invalid_argument("NAMESPACE_MISMATCH", message).with_violation(violation)
        );
    }
    Ok(client.id)
}

/// A point in time of the domain as a Timestamp.
pub fn timestamp(instant: Timestamp) -> wkt::Timestamp {
    wkt::Timestamp {
        seconds: instant.seconds(),
        nanos: instant.nanos(),
    }
}

/// A span of the domain as a Duration.
pub fn duration(span: Duration) -> wkt::Duration {
    wkt::Duration {
        seconds: span.seconds(),
        nanos: span.nanos(),
    }
}

/// Rule G17: JSON is checked when it is read; gRPC's bytes can hold anything.
fn instant(field: &str, sent: Option<wkt::Timestamp>) -> Result<Option<Timestamp>, Fault> {
    const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    sent.map(|sent| {
        if YEARS_1_TO_9999.contains(&sent.seconds) && (0..1_000_000_000).contains(&sent.nanos) {
            Ok(Timestamp::new(sent.seconds, sent.nanos))
        } else {
            Err(out_of_range(
                field,
                "must be a time between the years 1 and 9999",
            ))
        }
    })
    .transpose()
}

fn span(field: &str, sent: Option<wkt::Duration>) -> Result<Option<Duration>, Fault> {
    const LONGEST: u64 = 315_576_000_000;
    sent.map(|sent| {
        let same_sign =
            (sent.seconds >= 0 && sent.nanos >= 0) || (sent.seconds <= 0 && sent.nanos <= 0);
        let in_range =
            sent.seconds.unsigned_abs() <= LONGEST && sent.nanos.unsigned_abs() < 1_000_000_000;
        if same_sign && in_range {
            Ok(Duration::new(sent.seconds, sent.nanos))
        } else {
            Err(out_of_range(
                field,
                "must be at most 315576000000 seconds, its parts of one sign",
            ))
        }
    })
    .transpose()
}

fn out_of_range(field: &str, description: &str) -> Fault {
    let violation = Violation {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    Fault::invalid_argument("OUT_OF_RANGE", format!("{field} {description}"))
        .with_violation(violation)
}
