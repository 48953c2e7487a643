//! What list requests ask for: which records, and which of them. Pages and watches both start here.

use std::sync::Arc;

use super::page::Page;
use super::{TAG_PREFIX, names};
use crate::fault::{Fault, Violation};
use crate::lease::grammar::label_key_faults;
use crate::lease::{Book, Lease, LeaseQuery, Selector, Timestamp};
use crate::proto::jumpstarter::client::v1 as pb;

/// The exporters that a ListExporters asks for.
pub struct ExporterList {
    pub namespace: Arc<str>,
    pub filter: Selector,
    pub show_hidden: bool,
}

/// The leases that a ListLeases asks for.
pub struct LeaseList {
    pub namespace: Arc<str>,
    pub query: LeaseQuery,
}

impl ExporterList {
    /// # Errors
    /// INVALID_ARGUMENT where the filter is none.
    pub fn new(namespace: Arc<str>, request: &pb::ListExportersRequest) -> Result<Self, Fault> {
        Ok(Self {
            namespace,
            filter: filter("filter", &request.filter)?,
            show_hidden: request.show_hidden_labels,
        })
    }
}

impl LeaseList {
    /// # Errors
    /// INVALID_ARGUMENT where one of the filters is none.
    pub fn new(namespace: Arc<str>, request: &pb::ListLeasesRequest) -> Result<Self, Fault> {
        let query = LeaseQuery {
            filter: filter("filter", &request.filter)?,
            tag_filter: tag_filter(&request.tag_filter)?,
            only_active: request.only_active.unwrap_or(true),
        };
        Ok(Self { namespace, query })
    }

    /// The fields of the request that all its pages have in common.
    pub fn bound<'r>(&self, request: &'r pb::ListLeasesRequest) -> [&'r str; 5] {
        let active = if self.query.only_active {
            "active"
        } else {
            "all"
        };
        let (filter, tags) = (&request.filter, &request.tag_filter);
        ["leases", &request.parent, filter, tags, active]
    }

    /// The leases of a page, and the token of the next one.
    pub fn cut<'b>(
        &self,
        book: &'b Book,
        now: Timestamp,
        page: &Page<'_>,
    ) -> (Vec<&'b Arc<Lease>>, String) {
        let Self { namespace, query } = self;
        let found = book.leases(now, namespace, query, page.after(), page.size() + 1);
        page.cut(found, |lease| &lease.name.id)
    }
}

/// A filter of a list request (rules N5, N8, N10); an empty one lets everything through.
fn filter(field: &'static str, text: &str) -> Result<Selector, Fault> {
    Selector::parse(text).map_err(|error| {
        let violation = Violation {
            field: names::json_name(field),
            description: error.to_string(),
        };
        Fault::invalid_argument("INVALID_FILTER", format!("invalid {field}: {error}"))
            .with_violation(violation)
    })
}

/// A filter on tags, whose keys stand without their prefix (rules N10, N11).
fn tag_filter(text: &str) -> Result<Selector, Fault> {
    let selector = filter("tag_filter", text)?;
    for requirement in selector.requirements() {
        let key = format!("{TAG_PREFIX}{}", requirement.key());
        let faults = label_key_faults(&key);
        if !faults.is_empty() {
            let why = format!("key: Invalid value: {key:?}: {}", faults.join("; "));
            let violation = Violation {
                field: "tagFilter".to_owned(),
                description: why.clone(),
            };
            let message = format!("invalid tag_filter requirement: {why}");
            return Err(
                Fault::invalid_argument("INVALID_FILTER", message).with_violation(violation)
            );
        }
    }
    Ok(selector)
}
