//! What the domain and the store refuse, as faults.

use http::header;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::names;
use crate::fault::{Fault, Violation};
use crate::lease::{self, Revisions};
use crate::store::StoreError;
use crate::transcode::{Tag, Tags};

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

/// The same for what is not there yet, so that `If-Match` cannot hold.
///
/// # Errors
/// ABORTED where it is sent; as [`if_revision`].
pub fn if_new(metadata: &MetadataMap) -> Result<Option<Box<Revisions>>, Fault> {
    let revisions = if_revision(metadata)?;
    if metadata.as_ref().contains_key(header::IF_MATCH) {
        let message = "If-Match insists on a lease that is there, and this one is to be created";
        return Err(Fault::new(Code::Aborted, lease::ETAG_MISMATCH, message));
    }
    Ok(revisions)
}

/// The revisions that `If-Match` and `If-None-Match` leave for a change; none where they insist on nothing
/// (rule K20; RFC 9110, section 13.1). An ETag that is not of this server's making matches nothing.
///
/// # Errors
/// INVALID_ARGUMENT where a header holds no list of ETags.
pub fn if_revision(metadata: &MetadataMap) -> Result<Option<Box<Revisions>>, Fault> {
    let wanted = Tags::of(metadata.as_ref(), &header::IF_MATCH)?;
    let unwanted = Tags::of(metadata.as_ref(), &header::IF_NONE_MATCH)?;
    if wanted.is_none() && unwanted.is_none() {
        return Ok(None);
    }
    let mut revisions = Revisions::default();
    match wanted {
        None | Some(Tags::Any) => {}
        Some(Tags::These(tags)) => {
            // Compared strongly: a weak one never matches.
            let strong = tags.iter().filter(|tag| !tag.is_weak);
            revisions.one_of = Some(strong.filter_map(revision).collect());
        }
    }
    match unwanted {
        None => {}
        Some(Tags::Any) => revisions.none = true,
        Some(Tags::These(tags)) => {
            revisions.none_of = tags.iter().filter_map(revision).collect();
        }
    }
    Ok(Some(Box::new(revisions)))
}

/// The revision of a tag, if it is written as this server does.
fn revision(tag: &Tag) -> Option<u64> {
    let text = std::str::from_utf8(&tag.opaque).ok()?;
    let revision: u64 = text.parse().ok()?;
    (revision.to_string() == text).then_some(revision)
}
