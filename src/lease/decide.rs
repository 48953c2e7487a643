//! What somebody asks for: from a command to the changes it makes, or to the refusal that says why
//! it makes none. Each kind of command has a room of its own below.

mod create;
mod lab;
mod update;
mod window;

use std::sync::Arc;

use super::book::Book;
use super::claim::Claim;
use super::command::{Code, Command, ETAG_MISMATCH, Refusal, Revisions, Violation};
use super::record::{Change, Lease, Name, Record};
use super::time::Timestamp;
use super::verdict::Verdict;

pub(super) fn decide(
    book: &Book,
    now: Timestamp,
    command: &Command,
) -> Result<Vec<Change>, Refusal> {
    match command {
        Command::CreateLease(create) => create::create(book, now, create),
        Command::UpdateLease(update) => update::update(book, now, update),
        Command::ReleaseLease(asked) => {
            let denial = "DeleteLease permission denied";
            let lease = own_lease(book, &asked.name, &asked.caller, denial)?;
            release(book, now, lease, asked.if_revision.as_deref())
        }
        Command::TakeLease { name, if_revision } => {
            let lease = book.lease(name);
            let lease = lease.ok_or_else(|| Refusal::lease_not_found(&name.id))?;
            release(book, now, lease, if_revision.as_deref())
        }
        Command::ReleaseHeldLease { exporter, lease } => release_held(book, now, exporter, lease),
        Command::RegisterExporter { name, labels } => lab::register(book, name, labels),
        Command::ReportStatus {
            name,
            status,
            message,
        } => lab::report(book, now, name, *status, message),
        Command::ExporterConnected { name } => lab::connected(book, now, name),
        Command::ExporterSeen { name } => lab::seen(book, now, name),
        Command::ProvisionClient { name, username } => Ok(lab::provision(book, name, username)),
        Command::UnregisterExporter { name, reason } => lab::unregister(book, name, reason),
        Command::ReplaceLab {
            exporters,
            clients,
            policies,
        } => Ok(lab::replace(book, exporters, clients, policies)),
    }
}

/// Section M: the owner lets go, or has to.
fn release(
    book: &Book,
    now: Timestamp,
    lease: &Lease,
    if_revision: Option<&Revisions>,
) -> Result<Vec<Change>, Refusal> {
    check_revision(lease, if_revision)?;
    if lease.released {
        let Name { namespace, id } = &lease.name;
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "ALREADY_RELEASED",
            format!("lease \"namespaces/{namespace}/leases/{id}\" has already been released"),
        ));
    }
    Ok(vec![put(book, lease.at(now).released(now))])
}

/// Rules J12, J13: the exporter that holds it lets go. Repeating it is no mistake: the exporter
/// holds it no more, but it did.
fn release_held(
    book: &Book,
    now: Timestamp,
    exporter: &Name,
    id: &Arc<str>,
) -> Result<Vec<Change>, Refusal> {
    let name = Name {
        namespace: exporter.namespace.clone(),
        id: id.clone(),
    };
    let Some(lease) = book.lease(&name) else {
        let message = format!("lease {id} not found");
        return Err(Refusal::new(Code::NotFound, "LEASE_NOT_FOUND", message));
    };
    if lease.exporter.as_ref() != Some(&exporter.id) {
        let message = format!("lease {id} is not held by exporter {}", exporter.id);
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "LEASE_NOT_HELD",
            message,
        ));
    }
    if lease.released {
        return Ok(Vec::new());
    }
    Ok(vec![put(book, lease.at(now).released(now))])
}

/// The lease of that name, if it is the caller's (rules K2, M2, M5).
fn own_lease<'a>(
    book: &'a Book,
    name: &Name,
    caller: &str,
    denial: &str,
) -> Result<&'a Arc<Lease>, Refusal> {
    let lease = book
        .lease(name)
        .ok_or_else(|| Refusal::lease_not_found(&name.id))?;
    if *lease.client != *caller {
        return Err(Refusal::new(
            Code::PermissionDenied,
            "NOT_THE_OWNER",
            denial,
        ));
    }
    Ok(lease)
}

/// Rule K20.
fn check_revision(lease: &Lease, wanted: Option<&Revisions>) -> Result<(), Refusal> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.include(lease.revision)) else {
        return Ok(());
    };
    let what = match wanted.rule_out(lease.revision) {
        true => "is there in an edition that the request rules out",
        false => "has changed since it was read",
    };
    let message = format!("lease {} {what}", lease.name.id);
    Err(Refusal::new(Code::Aborted, ETAG_MISMATCH, message))
}

/// Refuses what the access policies do not allow and nobody would ever notice again: a lease that
/// is too long from the start, or that is made longer or handed on (rules C14, I9, K18, L8).
fn approve(book: &Book, lease: &Lease) -> Result<(), Refusal> {
    let Some(namespace) = book.namespace(&lease.name.namespace) else {
        return Ok(());
    };
    let policies = &namespace.policies;
    if policies.is_empty() {
        return Ok(());
    }
    let client = namespace.clients.get(&lease.client).map(|client| &**client);
    let claim = Claim::of(lease, policies, client);
    let limit = match &lease.exporter {
        Some(held) => {
            let Some(exporter) = namespace.exporters.get(held) else {
                return Ok(());
            };
            if claim.access.priority(exporter).is_some() {
                return Ok(());
            }
            client.and_then(|client| policies.limit(client, exporter))
        }
        None => match namespace.verdict(&claim, &lease.client) {
            Some(Verdict::DurationExceeded(limit)) => Some(limit),
            _ => return Ok(()),
        },
    };
    Err(match limit {
        Some(limit) => {
            let length = lease.length();
            let message =
                format!("duration {length} is longer than the {limit} that access policies allow");
            Refusal::new(Code::FailedPrecondition, "DURATION_EXCEEDED", message)
                .with("limit", limit.to_string())
        }
        None => {
            let exporter = lease.exporter.as_deref().unwrap_or_default();
            let message = format!(
                "no access policy approves exporter {exporter} for client {}",
                lease.client
            );
            Refusal::new(Code::FailedPrecondition, "NO_ACCESS", message)
        }
    })
}

fn put(book: &Book, mut lease: Lease) -> Change {
    lease.revision = book.revision() + 1;
    Change::Put(Record::Lease(Arc::new(lease)))
}

impl Refusal {
    /// A refusal that is about no field in particular.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        let (violations, metadata) = (Vec::new(), Vec::new());
        Self {
            code,
            reason,
            message: message.into(),
            violations,
            metadata,
        }
    }

    /// There is no lease of that short name (rules M5, N2).
    pub fn lease_not_found(id: &str) -> Self {
        let message = format!("leases.jumpstarter.dev \"{id}\" not found");
        Self::new(Code::NotFound, "LEASE_NOT_FOUND", message)
    }

    /// There is no exporter of that short name (rule N2).
    pub fn exporter_not_found(id: &str) -> Self {
        let message = format!("exporters.jumpstarter.dev \"{id}\" not found");
        Self::new(Code::NotFound, "EXPORTER_NOT_FOUND", message)
    }

    /// INVALID_ARGUMENT about one field, by its proto path.
    pub fn invalid(
        reason: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut refusal = Self::new(Code::InvalidArgument, reason, message);
        let description = refusal.message.clone();
        refusal.violations.push(Violation {
            field: field.into(),
            description,
        });
        refusal
    }

    /// The same with one more fact for programs.
    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }
}
