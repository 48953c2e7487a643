//! Changing a lease: its times, and whose it is (sections K and L).

use std::sync::Arc;

use super::super::book::Book;
use super::super::command::{Code, Refusal, Unchanged, UpdateLease};
use super::super::record::{Change, Client, Lease, Name};
use super::super::selector::Selector;
use super::super::time::Timestamp;
use super::window::{END, Window, check_positive, duration_conflict};
use super::{approve, check_revision, own_lease, put};

pub(super) fn update(
    book: &Book,
    now: Timestamp,
    update: &UpdateLease,
) -> Result<Vec<Change>, Refusal> {
    let lease = own_lease(
        book,
        &update.name,
        &update.caller,
        "UpdateLease permission denied",
    )?;
    check_revision(lease, update.if_revision.as_deref())?;
    check_unchanged(lease, &update.unchanged)?;
    let present = lease.at(now);
    let mut wanted = Lease::clone(&present);
    if update.begin.is_some() || update.end.is_some() || update.duration.is_some() {
        set_times(book, now, update, &mut wanted)?;
    }
    if let Some(target) = update
        .transfer_to
        .as_ref()
        .filter(|target| **target != lease.client)
    {
        wanted.client = new_owner(book, &wanted, target)?.name.id.clone();
    }
    if wanted == *present {
        return Ok(Vec::new());
    }
    if wanted.client != present.client || wanted.length() > present.length() {
        approve(book, &wanted)?;
    }
    wanted.generation += 1;
    Ok(vec![put(book, wanted)])
}

/// Rules K4-K18.
fn set_times(
    book: &Book,
    now: Timestamp,
    update: &UpdateLease,
    lease: &mut Lease,
) -> Result<(), Refusal> {
    if lease.ended.is_some() {
        let message = "cannot update lease: lease has already ended";
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "LEASE_ENDED",
            message,
        ));
    }
    let begin = update.begin.unwrap_or(lease.begin);
    let moves_begin = begin != lease.begin;
    if moves_begin && lease.exporter.is_some() {
        let message = "cannot update BeginTime: lease has already started";
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "LEASE_STARTED",
            message,
        ));
    }
    let window = new_window(now, update, lease, begin)?;
    if window.duration != lease.duration {
        window.check_length(book.settings())?;
    }
    // A duration may be cut so short that the lease is over at once (rule K17).
    if moves_begin || update.end.flatten().is_some() {
        window.check_not_over(now)?;
    }
    (lease.begin, lease.end, lease.duration) = (window.begin, window.end, window.duration);
    Ok(())
}

/// What is not named stays as it is, as far as it can: a begin or an end that is moved alone
/// changes the duration, and a duration that is changed alone moves the end.
fn new_window(
    now: Timestamp,
    update: &UpdateLease,
    lease: &Lease,
    begin: Option<Timestamp>,
) -> Result<Window, Refusal> {
    let end = match (update.end, update.duration) {
        (Some(end), _) => end,
        (None, Some(Some(span))) => {
            let from = begin.or(lease.effective_begin);
            lease.end.and(from).map(|from| from + span)
        }
        (None, _) => lease.end,
    };
    let duration = match update.duration {
        Some(duration) => duration,
        None if end.is_some() => None,
        None => lease.duration,
    };
    match (begin, end) {
        // Without a begin the time counts from when the lease got its exporter, or from now; no
        // begin is made up for a lease that has started (rule K11).
        (None, Some(end)) if lease.exporter.is_some() || duration.is_none() => {
            let span = end - lease.effective_begin.unwrap_or(now);
            check_positive(span, END)?;
            if duration.is_some_and(|duration| duration != span) {
                return Err(duration_conflict());
            }
            let window = Window {
                begin: None,
                end: Some(end),
                duration: Some(span),
            };
            window.check_range()?;
            Ok(window)
        }
        _ => Window::new(begin, end, duration),
    }
}

/// Rules L1-L6. Who may have the exporter is checked elsewhere.
fn new_owner<'a>(book: &'a Book, lease: &Lease, target: &str) -> Result<&'a Client, Refusal> {
    let refused =
        |reason, message: &str| Err(Refusal::new(Code::FailedPrecondition, reason, message));
    if lease.exporter.is_none() {
        return refused(
            "LEASE_NOT_STARTED",
            "cannot transfer lease: lease has not started yet",
        );
    }
    if lease.ended.is_some() {
        return refused(
            "LEASE_ENDED",
            "cannot transfer lease: lease has already ended",
        );
    }
    let name = Name {
        namespace: lease.name.namespace.clone(),
        id: Arc::from(target),
    };
    book.client(&name).map(|client| &**client).ok_or_else(|| {
        let message =
            format!("target client not found: clients.jumpstarter.dev \"{target}\" not found");
        Refusal::new(Code::NotFound, "CLIENT_NOT_FOUND", message)
    })
}

/// Rule D13: what cannot be changed may be sent along as it is.
fn check_unchanged(lease: &Lease, sent: &Unchanged) -> Result<(), Refusal> {
    let differs = |field: &str, are: &str| {
        let message = format!("{field} {are} immutable after creation");
        Err(Refusal::invalid(
            "FIELD_IMMUTABLE",
            format!("lease.{field}"),
            message,
        ))
    };
    if sent
        .selector
        .as_ref()
        .is_some_and(|text| !is_selector(lease, text))
    {
        return differs("selector", "is");
    }
    let name = sent.exporter_name.as_ref();
    if name.is_some_and(|name| **name != *lease.exporter_name.as_deref().unwrap_or_default()) {
        return differs("exporter_name", "is");
    }
    if sent
        .allow_disabled
        .is_some_and(|allowed| allowed != lease.allow_disabled)
    {
        return differs("allow_disabled", "is");
    }
    if sent.tags.as_ref().is_some_and(|tags| *tags != lease.tags) {
        return differs("tags", "are");
    }
    if sent
        .context
        .as_ref()
        .is_some_and(|context| *context != lease.context)
    {
        return differs("context", "is");
    }
    Ok(())
}

/// True if `text` is the lease's selector, in whatever spelling.
fn is_selector(lease: &Lease, text: &str) -> bool {
    Selector::parse_for_lease(text).is_ok_and(|selector| selector == *lease.selector)
}
