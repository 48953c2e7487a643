//! What the domain and the store refuse, as faults.

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::names;
use crate::fault::{Fault, Violation};
use crate::lease;
use crate::store::StoreError;

/// A refused command as the status of its call.
pub fn status(error: StoreError) -> Status {
    match error {
        StoreError::Refused(refusal) => fault(refusal).into(),
        StoreError::Unavailable => {
            let message = "the change could not be stored; nothing has happened, try again";
            Fault::new(Code::Unavailable, "STORE_UNAVAILABLE", message)
                .with_retry(1)
                .into()
        }
        StoreError::Unknown => {
            let message =
                "it is not known whether the change was stored; look before you try again";
            Fault::new(Code::Unavailable, "STORE_OUTCOME_UNKNOWN", message).into()
        }
    }
}

fn fault(refusal: lease::Refusal) -> Fault {
    let mut fault = Fault::new(code(refusal.code), refusal.reason, refusal.message);
    for lease::Violation { field, description } in refusal.violations {
        let field = field
            .split('.')
            .map(names::json_name)
            .collect::<Vec<_>>()
            .join(".");
        fault = fault.with_violation(Violation { field, description });
    }
    for (key, value) in refusal.metadata {
        fault = fault.with_metadata(key, value);
    }
    fault
}

fn code(code: lease::Code) -> Code {
    match code {
        lease::Code::InvalidArgument => Code::InvalidArgument,
        lease::Code::NotFound => Code::NotFound,
        lease::Code::AlreadyExists => Code::AlreadyExists,
        lease::Code::PermissionDenied => Code::PermissionDenied,
        lease::Code::FailedPrecondition => Code::FailedPrecondition,
        lease::Code::Aborted => Code::Aborted,
    }
}

/// Rules N2 and M5, in upstream's words.
pub fn not_found(collection: &str, id: &str) -> Fault {
    let message = format!("{collection}.jumpstarter.dev \"{id}\" not found");
    let reason = if collection == names::LEASES {
        "LEASE_NOT_FOUND"
    } else {
        "EXPORTER_NOT_FOUND"
    };
    Fault::new(Code::NotFound, reason, message)
}

/// What is said to those who wait or watch when the server stops.
pub fn stopping() -> Fault {
    let message = "the server is stopping; ask again";
    Fault::new(Code::Unavailable, "STOPPING", message).with_retry(1)
}

/// The revision that an `If-Match` header insists on (rule K20); none where it insists on nothing. An
/// ETag that is not of this server's making stands for [`NEVER`]: it is compared, and matches nothing
/// (RFC 9110, section 13.1.1).
///
/// # Errors
/// INVALID_ARGUMENT where the header holds no ETag, or several.
pub fn if_match(metadata: &MetadataMap) -> Result<Option<u64>, Fault> {
    let Some(value) = metadata.get("if-match") else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(None);
    }
    let (is_weak, tag) = match value.strip_prefix("W/") {
        Some(tag) => (true, tag),
        None => (false, value),
    };
    let tag = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|tag| !tag.contains(['"', ' ']));
    let Some(tag) = tag else {
        let message =
            format!("If-Match takes one ETag as it was given, such as \"42\", not {value}");
        return Err(Fault::invalid_argument("INVALID_ETAG", message));
    };
    let revision = tag.parse().ok();
    let revision = revision.filter(|revision: &u64| !is_weak && revision.to_string() == tag);
    Ok(Some(revision.unwrap_or(NEVER)))
}

/// A revision that no lease has: they are counted from 1.
const NEVER: u64 = 0;
