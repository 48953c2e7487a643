//! What exporters say of themselves (section P), and what the lab file says of everybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::book::Book;
use super::super::command::{DeclaredExporter, Refusal};
use super::super::labels::Labels;
use super::super::record::{Change, Client, Exporter, ExporterStatus, Kind, Name, Policy, Record};
use super::super::time::Timestamp;

/// Labels that begin so are the exporter's own to set (rule P10).
const OWN_PREFIX: &str = "jumpstarter.dev/";

/// Rule P10. An exporter that comes back after it said goodbye is not offline any more.
pub(super) fn register(book: &Book, name: &Name, labels: &Labels) -> Decision {
    change(book, name, |exporter| {
        let declared = exporter
            .labels
            .iter()
            .filter(|(key, _)| !key.starts_with(OWN_PREFIX));
        let own = labels.iter().filter(|(key, _)| key.starts_with(OWN_PREFIX));
        let labels: Labels = declared.chain(own).collect();
        if labels != exporter.labels {
            exporter.labels = labels;
        }
        exporter.registered = true;
        no_longer_offline(exporter);
    })
}

/// Rule P8.
pub(super) fn report(
    book: &Book,
    now: Timestamp,
    name: &Name,
    status: ExporterStatus,
    message: &str,
) -> Decision {
    change(book, name, |exporter| {
        exporter.status = status;
        message.clone_into(&mut exporter.status_message);
        exporter.last_seen = Some(now);
    })
}

/// Rule P1.
pub(super) fn connected(book: &Book, now: Timestamp, name: &Name) -> Decision {
    change(book, name, |exporter| {
        exporter.last_seen = Some(now);
        no_longer_offline(exporter);
    })
}

/// Rule P2.
pub(super) fn seen(book: &Book, now: Timestamp, name: &Name) -> Decision {
    change(book, name, |exporter| exporter.last_seen = Some(now))
}

/// Rule P12.
pub(super) fn unregister(book: &Book, name: &Name, reason: &str) -> Decision {
    change(book, name, |exporter| {
        let reason = if reason.is_empty() {
            "Exporter unregistered"
        } else {
            reason
        };
        exporter.registered = false;
        exporter.status = ExporterStatus::Offline;
        reason.clone_into(&mut exporter.status_message);
    })
}

/// Rule B13.
pub(super) fn provision(book: &Book, name: &Name, username: &str) -> Vec<Change> {
    if book.client(name).is_some() {
        return Vec::new();
    }
    let client = Client {
        name: name.clone(),
        labels: Labels::default(),
        username: Some(username.to_owned()),
        uid: None,
        provisioned: true,
        revision: book.revision() + 1,
    };
    vec![Change::Put(Record::Client(Arc::new(client)))]
}

/// The lab file as it is now, in place of the one before. What exporters have told us of
/// themselves is kept, and so are all leases, and clients that were made for users (rule B13): a
/// name stays with the user who has it, so that nobody is ever given another's leases. The lab file
/// takes such a client over by its name, and in place of it by its user.
pub(super) fn replace(
    book: &Book,
    exporters: &[DeclaredExporter],
    clients: &[Client],
    policies: &[Policy],
) -> Vec<Change> {
    let revision = book.revision() + 1;
    let mut changes = Vec::new();
    for declared in exporters {
        let present = book.exporter(&declared.name);
        let exporter = merged(declared, present.map(|exporter| &**exporter));
        if present.is_none_or(|present| **present != exporter) {
            let exporter = Exporter {
                revision,
                ..exporter
            };
            changes.push(Change::Put(Record::Exporter(Arc::new(exporter))));
        }
    }
    for client in clients {
        let present = book.client(&client.name);
        let unchanged = |present: &Arc<Client>| {
            present.labels == client.labels
                && present.username == client.username
                && present.uid == client.uid
                && present.provisioned == client.provisioned
        };
        if !present.is_some_and(unchanged) {
            let client = Client {
                revision,
                ..client.clone()
            };
            changes.push(Change::Put(Record::Client(Arc::new(client))));
        }
    }
    for policy in policies {
        let namespace = book.namespace(&policy.name.namespace);
        let present = namespace.and_then(|namespace| namespace.policies.get(&policy.name.id));
        let unchanged = |present: &Arc<Policy>| {
            present.exporters == policy.exporters && present.rules == policy.rules
        };
        if !present.is_some_and(unchanged) {
            let policy = Policy {
                revision,
                ..policy.clone()
            };
            changes.push(Change::Put(Record::Policy(Arc::new(policy))));
        }
    }
    let users: BTreeSet<(&str, &str)> = clients.iter().filter_map(user).collect();
    let exporters = exporters
        .iter()
        .map(|exporter| (Kind::Exporter, &exporter.name));
    let clients = clients.iter().map(|client| (Kind::Client, &client.name));
    let policies = policies.iter().map(|policy| (Kind::Policy, &policy.name));
    let declared: BTreeSet<(Kind, &Name)> = exporters.chain(clients).chain(policies).collect();
    for record in book.lab_records() {
        let is_declared = declared.contains(&(record.kind(), record.name()));
        if !is_declared && !stays(&record, &users) {
            changes.push(Change::Remove(record.kind(), record.name().clone()));
        }
    }
    changes
}

/// The user that a client is of, in its namespace.
fn user(client: &Client) -> Option<(&str, &str)> {
    let username = client.username.as_deref()?;
    Some((&client.name.namespace, username))
}

/// A client that was made for a user who has none in the lab file.
fn stays(record: &Record, users: &BTreeSet<(&str, &str)>) -> bool {
    match record {
        Record::Client(client) => {
            client.provisioned && user(client).is_some_and(|user| !users.contains(&user))
        }
        Record::Exporter(_) | Record::Policy(_) | Record::Lease(_) => false,
    }
}

type Decision = Result<Vec<Change>, Refusal>;

/// The exporter of that name, changed, if that makes a difference.
fn change(book: &Book, name: &Name, alter: impl FnOnce(&mut Exporter)) -> Decision {
    let present = book
        .exporter(name)
        .ok_or_else(|| Refusal::exporter_not_found(&name.id))?;
    let mut exporter = Exporter::clone(present);
    alter(&mut exporter);
    if exporter == **present {
        return Ok(Vec::new());
    }
    exporter.revision = book.revision() + 1;
    Ok(vec![Change::Put(Record::Exporter(Arc::new(exporter)))])
}

fn no_longer_offline(exporter: &mut Exporter) {
    if exporter.status == ExporterStatus::Offline {
        exporter.status = ExporterStatus::Unspecified;
        exporter.status_message.clear();
    }
}

/// What the lab file declares, with what the exporter itself has said.
fn merged(declared: &DeclaredExporter, present: Option<&Exporter>) -> Exporter {
    let DeclaredExporter {
        name,
        labels,
        enabled,
        is_static,
    } = declared;
    let Some(present) = present else {
        return Exporter {
            name: name.clone(),
            labels: labels.clone(),
            enabled: *enabled,
            is_static: *is_static,
            registered: false,
            status: ExporterStatus::Unspecified,
            status_message: String::new(),
            last_seen: None,
            revision: 0,
        };
    };
    let own = present
        .labels
        .iter()
        .filter(|(key, _)| key.starts_with(OWN_PREFIX));
    let own = own.filter(|_| present.registered && !is_static);
    let labels = labels.iter().chain(own).collect();
    Exporter {
        labels,
        enabled: *enabled,
        is_static: *is_static,
        ..present.clone()
    }
}
