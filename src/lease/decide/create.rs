//! Creating a lease: what may be asked for (sections C, D, E and G). Whether there is an exporter
//! for it is for settling to find out, but for one thing: a lease longer than the access policies
//! allow is refused at once (rules C14, I9).

use std::sync::Arc;

use super::super::book::Book;
use super::super::command::{Code, CreateLease, Refusal};
use super::super::grammar::{label_key_faults, label_value_faults, object_name_faults, quoted};
use super::super::labels::Labels;
use super::super::query::{ENDED_KEY, TAG_PREFIX};
use super::super::record::{Change, Lease};
use super::super::selector::Selector;
use super::super::time::Timestamp;
use super::window::Window;
use super::{approve, check_revision, put};

/// The most entries a context may have, and the most characters in each key and value (rules
/// D14-D16).
const CONTEXT_ENTRIES: usize = 8;
const CONTEXT_KEY: usize = 32;
const CONTEXT_VALUE: usize = 64;

const EXPORTER_NAME: usize = 253;

pub(super) fn create(
    book: &Book,
    now: Timestamp,
    create: &CreateLease,
) -> Result<Vec<Change>, Refusal> {
    let exporter_name = create
        .exporter_name
        .as_deref()
        .filter(|name| !name.is_empty());
    check_target(&create.selector, exporter_name)?;
    check_exporter_name(exporter_name)?;
    check_tags(&create.tags, book.settings().max_tags)?;
    let selector = selector(&create.selector)?;
    let window = Window::new(create.begin, create.end, create.duration)?;
    window.check_length(book.settings())?;
    window.check_not_over(now)?;
    check_name(&create.name.id)?;
    check_context(&create.context)?;

    let lease = lease(book, now, create, selector, exporter_name, window);
    if let Some(present) = book.lease(&create.name) {
        check_revision(present, create.if_revision.as_deref())?;
        let is_replay = create.named && !present.has_ended(now) && asks_the_same(present, &lease);
        return if is_replay {
            Ok(Vec::new())
        } else {
            Err(already_exists(&create.name.id))
        };
    }
    approve(book, &lease)?;
    Ok(vec![put(book, lease)])
}

/// What is longer can be no exporter's name (RFC 1123), and would be kept all the same.
fn check_exporter_name(name: Option<&str>) -> Result<(), Refusal> {
    if name.is_none_or(|name| name.len() <= EXPORTER_NAME) {
        return Ok(());
    }
    let message = format!("exporter_name must be no more than {EXPORTER_NAME} characters");
    Err(Refusal::invalid(
        "EXPORTER_NAME_TOO_LONG",
        "lease.exporter_name",
        message,
    ))
}

/// The lease as it is written down. What other records already hold is shared with them.
fn lease(
    book: &Book,
    now: Timestamp,
    create: &CreateLease,
    selector: Selector,
    exporter_name: Option<&str>,
    window: Window,
) -> Lease {
    let namespace = book.namespace(&create.name.namespace);
    let client = namespace.and_then(|namespace| namespace.clients.get(&create.client));
    let exporter = namespace
        .zip(exporter_name)
        .and_then(|(namespace, name)| namespace.exporters.get(name))
        .map(|exporter| exporter.name.id.clone());
    let twin = namespace.and_then(|namespace| namespace.leases.same_selector(&selector));
    let mut name = create.name.clone();
    if let Some(client) = client {
        name.namespace = client.name.namespace.clone();
    }
    Lease {
        name,
        client: client.map_or_else(|| create.client.clone(), |client| client.name.id.clone()),
        selector: twin.unwrap_or_else(|| Arc::new(selector)),
        exporter_name: exporter.or_else(|| exporter_name.map(Arc::from)),
        allow_disabled: create.allow_disabled,
        begin: window.begin,
        end: window.end,
        duration: window.duration,
        tags: create.tags.clone(),
        context: create.context.clone(),
        created: now,
        released: false,
        exporter: None,
        effective_begin: None,
        ended: None,
        conditions: Vec::new(),
        generation: 1,
        revision: 0,
    }
}

/// Rule C9: what a repeated create must have in common with the first.
fn asks_the_same(present: &Lease, lease: &Lease) -> bool {
    present.client == lease.client
        && present.selector == lease.selector
        && present.exporter_name == lease.exporter_name
        && present.allow_disabled == lease.allow_disabled
        && (present.begin, present.end, present.duration)
            == (lease.begin, lease.end, lease.duration)
        && present.tags == lease.tags
        && present.context == lease.context
}

fn already_exists(id: &str) -> Refusal {
    let message = format!("leases.jumpstarter.dev \"{id}\" already exists");
    Refusal::new(Code::AlreadyExists, "LEASE_ALREADY_EXISTS", message)
}

/// Rules C4, C5.
fn check_target(selector: &str, exporter_name: Option<&str>) -> Result<(), Refusal> {
    let is_empty = selector.trim_matches([' ', '\t', '\r', '\n']).is_empty();
    if is_empty && exporter_name.is_none() {
        let message = "one of selector or exporter_name is required";
        return Err(Refusal::invalid(
            "TARGET_REQUIRED",
            "lease.selector",
            message,
        ));
    }
    Ok(())
}

/// Section E, and rule F13.
pub(super) fn selector(text: &str) -> Result<Selector, Refusal> {
    let invalid = |message: String| Refusal::invalid("INVALID_SELECTOR", "lease.selector", message);
    let selector = Selector::parse_for_lease(text).map_err(|error| invalid(error.to_string()))?;
    if selector
        .requirements()
        .iter()
        .any(|one| one.key() == ENDED_KEY)
    {
        return Err(invalid(format!(
            "invalid selector: label {ENDED_KEY} is reserved"
        )));
    }
    Ok(selector)
}

/// Rules D1-D11. The first fault by key is told.
fn check_tags(tags: &Labels, most: usize) -> Result<(), Refusal> {
    if tags.len() > most {
        let fault = format!("too many tags: {} (maximum {most})", tags.len());
        return Err(invalid_tags(&fault));
    }
    for (key, value) in tags {
        if key.starts_with(TAG_PREFIX) || key.starts_with("jumpstarter.dev/") {
            return Err(invalid_tags(&format!(
                "tag key {} must not use reserved prefix",
                quoted(key)
            )));
        }
        if key.contains('/') {
            return Err(invalid_tags(&format!(
                "tag key {} must not contain '/' (use simple names without prefix)",
                quoted(key)
            )));
        }
        let faults = label_key_faults(key);
        if !faults.is_empty() {
            return Err(invalid_tags(&format!(
                "tag key {} is not a valid label key: {}",
                quoted(key),
                faults.join("; ")
            )));
        }
        let faults = label_value_faults(value);
        if !faults.is_empty() {
            return Err(invalid_tags(&format!(
                "tag value for key {} is not a valid label value: {}",
                quoted(key),
                faults.join("; ")
            )));
        }
    }
    Ok(())
}

fn invalid_tags(fault: &str) -> Refusal {
    Refusal::invalid(
        "INVALID_TAGS",
        "lease.tags",
        format!("invalid lease tags: {fault}"),
    )
}

/// Rules D14-D16. Characters are counted, not bytes.
fn check_context(context: &Labels) -> Result<(), Refusal> {
    let is_long = |(key, value): (&str, &str)| {
        key.chars().count() > CONTEXT_KEY || value.chars().count() > CONTEXT_VALUE
    };
    let fault = if context.len() > CONTEXT_ENTRIES {
        let count = context.len();
        format!("Too many: {count}: must have at most {CONTEXT_ENTRIES} items")
    } else if context.iter().any(is_long) {
        format!("context keys max {CONTEXT_KEY} chars, values max {CONTEXT_VALUE} chars")
    } else {
        return Ok(());
    };
    let message = format!("invalid lease context: {fault}");
    Err(Refusal::invalid(
        "INVALID_CONTEXT",
        "lease.context",
        message,
    ))
}

/// Rules C8, R1.
fn check_name(id: &str) -> Result<(), Refusal> {
    let faults = object_name_faults(id);
    if faults.is_empty() {
        return Ok(());
    }
    let name = quoted(id);
    let faults = faults.join("; ");
    let message = format!(
        "Lease.jumpstarter.dev {name} is invalid: metadata.name: Invalid value: {name}: {faults}"
    );
    Err(Refusal::invalid("INVALID_LEASE_ID", "lease_id", message))
}
