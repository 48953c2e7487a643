//! One line of the audit log. What it says is an interface: programs read it, and docs/monitoring.md
//! tells of every member.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::call::Actor;
use crate::lease::{ConditionKind, Lease, Name, Timestamp};
use crate::store::Commit;

/// What happened.
#[derive(Clone, Debug)]
pub enum Line {
    Call(Box<CallLine>),
    /// A lease got its exporter, or ended, whatever brought it.
    Lease {
        at: Timestamp,
        event: LeaseEvent,
        lease: Arc<Lease>,
        revision: u64,
    },
    /// The lab file was read again, or could not be.
    Lab {
        at: Timestamp,
        changes: Vec<String>,
        error: Option<String>,
    },
    /// A token was made, or ended, on the command line.
    Token {
        at: Timestamp,
        event: TokenEvent,
        /// Whom it stands for, where that is known.
        subject: Option<String>,
        /// Its id, or that of the key.
        id: String,
    },
    Started {
        at: Timestamp,
        version: &'static str,
    },
    Stopped {
        at: Timestamp,
    },
}

/// A call that was to change something, and its outcome.
#[derive(Clone, Debug)]
pub struct CallLine {
    pub at: Timestamp,
    /// `package.Service/Method`.
    pub rpc: &'static str,
    /// The canonical code: `OK`, `NOT_FOUND`.
    pub code: &'static str,
    /// Over HTTP.
    pub status: Option<u16>,
    /// Why it was refused, as the answer says it.
    pub reason: Option<String>,
    /// None where the caller could not be known.
    pub actor: Option<Actor>,
    pub peer: Option<IpAddr>,
    pub lease: Option<Name>,
    /// Since which revision it is so.
    pub revision: Option<u64>,
    pub request: String,
    pub trace: Option<String>,
    /// What the caller gave as a reason.
    pub explanation: Option<String>,
    /// How many calls like this one were not told of, before it.
    pub left_out: u64,
}

/// What was done to tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenEvent {
    Created,
    Revoked,
    /// New ones are signed with another key.
    KeyRotated,
}

/// What a commit did to a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseEvent {
    Assigned,
    Ended,
}

/// The members of a call's line, in order; what there is none of is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    time: String,
    event: &'static str,
    method: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a str>,
    request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

impl Line {
    /// Appends the line and its end.
    pub fn write(&self, text: &mut String) {
        let line = match self {
            Self::Call(call) => call.json(),
            Self::Lease {
                at,
                event,
                lease,
                revision,
            } => {
                let event = match event {
                    LeaseEvent::Assigned => json!({ "event": "assigned" }),
                    LeaseEvent::Ended => json!({ "event": "ended", "reason": reason(lease) }),
                };
                let Name { namespace, .. } = &lease.name;
                let more = json!({
                    "client": format!("{namespace}/{}", lease.client),
                    "lease": lease.name.to_string(),
                    "exporter": lease.exporter.as_ref().map(|id| format!("{namespace}/{id}")),
                    "revision": revision,
                });
                object(at, [event, more])
            }
            Self::Lab { at, changes, error } => {
                let changes = error.is_none().then_some(changes);
                let more = json!({ "changes": changes, "error": error });
                object(at, [json!({ "event": "lab" }), more])
            }
            Self::Token {
                at,
                event,
                subject,
                id,
            } => {
                let (event, member) = match event {
                    TokenEvent::Created => ("token created", "token"),
                    TokenEvent::Revoked => ("token revoked", "token"),
                    TokenEvent::KeyRotated => ("key rotated", "key"),
                };
                object(
                    at,
                    [json!({ "event": event, "subject": subject, member: id })],
                )
            }
            Self::Started { at, version } => {
                object(at, [json!({ "event": "started", "version": version })])
            }
            Self::Stopped { at } => object(at, [json!({ "event": "stopped" })]),
        };
        text.push_str(&line);
        text.push('\n');
    }
}

impl CallLine {
    fn json(&self) -> String {
        let actor = self.actor.as_ref();
        let client = actor.map(|actor| match &actor.namespace {
            Some(namespace) => format!("{namespace}/{}", actor.client),
            None => actor.client.to_string(),
        });
        let token = actor.and_then(|actor| actor.token.as_ref());
        let members = Members {
            time: self.at.to_string(),
            event: "call",
            method: self.rpc,
            code: self.code,
            status: self.status,
            reason: self.reason.as_deref(),
            client,
            subject: token.map(|(subject, _)| &**subject),
            token: token.map(|(_, id)| &**id),
            admin: actor.is_some_and(|actor| actor.is_admin),
            peer: self.peer,
            lease: self.lease.as_ref().map(Name::to_string),
            revision: self.revision,
            explanation: self.explanation.as_deref(),
            request: &self.request,
            trace: self.trace.as_deref(),
            left_out: self.left_out,
        };
        serde_json::to_string(&members).unwrap_or_default()
    }
}

/// What a commit did to leases.
pub(super) fn of(commit: &Commit) -> impl Iterator<Item = Line> {
    commit.leases.iter().flat_map(|effect| {
        let (before, after) = (effect.before.as_ref(), effect.after.as_ref());
        let happened = |is: fn(&Lease) -> bool| {
            after.is_some_and(|it| is(it)) && before.is_none_or(|it| !is(it))
        };
        let assigned = happened(|lease| lease.exporter.is_some()).then_some(LeaseEvent::Assigned);
        let ended = happened(|lease| lease.ended.is_some()).then_some(LeaseEvent::Ended);
        let events = [assigned, ended].into_iter().flatten();
        let (at, revision) = (commit.at, commit.revision);
        after.into_iter().flat_map(move |lease| {
            events.clone().map(move |event| Line::Lease {
                at,
                event,
                lease: lease.clone(),
                revision,
            })
        })
    })
}

/// Why a lease has ended: the reason of its last condition.
fn reason(lease: &Lease) -> Option<&'static str> {
    let mut last = lease.conditions.iter().rev();
    last.find(|one| one.kind != ConditionKind::Pending)
        .map(|one| one.reason)
}

/// The members of several objects behind the time, without those that are null.
fn object<const N: usize>(at: &Timestamp, parts: [serde_json::Value; N]) -> String {
    let mut line = format!("{{\"time\":\"{at}\"");
    for part in &parts {
        for (name, value) in part.as_object().into_iter().flatten() {
            if !value.is_null() {
                line.push_str(&format!(",\"{name}\":{value}"));
            }
        }
    }
    line.push('}');
    line
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
