//! Why nobody in a line can ever be served as things are configured (rules H6-H15, H31, I7).
//!
//! A verdict is about labels, enabled flags, policies and clients alone. Whether an exporter is
//! online, ready or held makes a lease wait; it never ends one.

use super::claim::{Claim, Wish};
use super::namespace::Namespace;
use super::record::{Client, ConditionKind, Exporter};
use super::time::Duration;

/// A lease that can never be served, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Rule H6.
    NothingAskedFor,
    /// Rule H7.
    ExporterNotFound(String),
    /// Rule H8.
    SelectorMismatch { exporter: String, selector: String },
    /// Rule H9.
    ExporterDisabled(String),
    /// Rule H12.
    NoMatch { selector: String },
    /// Rule H11, with how many there are.
    AllDisabled(usize),
    /// Rule H31.
    ClientNotFound(String),
    /// Rule H15, with the first of them.
    SpotAccess(String),
    /// Rules I6 and I7, with the longest that would have been allowed.
    DurationExceeded(Duration),
    /// Rule H13, with how many exporters match and what the policies say of themselves.
    NoAccess {
        matching: usize,
        descriptions: String,
    },
}

/// The most of the policies' descriptions that a message shows, in bytes (rule H13).
const DESCRIPTIONS_LIMIT: usize = 4096;

impl Namespace {
    /// Why no exporter can ever be assigned to `client` for this claim; `None` if one can.
    pub(super) fn verdict(&self, claim: &Claim, client: &str) -> Option<Verdict> {
        let Claim { wish, access } = claim;
        if wish.is_empty() {
            return Some(Verdict::NothingAskedFor);
        }
        let mut matching = 0;
        let mut approvable: Vec<&Exporter> = Vec::new();
        for exporter in self
            .candidates(wish)
            .filter(|exporter| wish.matches(exporter))
        {
            matching += 1;
            if wish.tolerates(exporter) {
                if access.priority(exporter).is_some() {
                    return None;
                }
                approvable.push(exporter);
            }
        }
        Some(match (matching, &wish.exporter_name) {
            (0, Some(name)) => self.named_but_not_matching(name, wish),
            (0, None) => Verdict::NoMatch {
                selector: wish.selector.to_string(),
            },
            (_, Some(name)) if approvable.is_empty() => Verdict::ExporterDisabled(name.to_string()),
            (count, None) if approvable.is_empty() => Verdict::AllDisabled(count),
            _ => self.without_approval(&approvable, claim, client),
        })
    }

    /// Every exporter that a wish can be about, and more, by name.
    pub(super) fn candidates<'a>(&'a self, wish: &'a Wish) -> impl Iterator<Item = &'a Exporter> {
        let named = wish
            .exporter_name
            .as_ref()
            .map(|name| self.exporters.get(name));
        let any = named
            .is_none()
            .then(|| self.exporters.candidates(&wish.selector, None));
        let exporters = named.flatten().into_iter().chain(any.into_iter().flatten());
        exporters.map(|exporter| &**exporter)
    }

    fn named_but_not_matching(&self, name: &str, wish: &Wish) -> Verdict {
        let exporter = name.to_owned();
        match self.exporters.get(name) {
            None => Verdict::ExporterNotFound(exporter),
            Some(_) => Verdict::SelectorMismatch {
                exporter,
                selector: wish.selector.to_string(),
            },
        }
    }

    fn without_approval(&self, exporters: &[&Exporter], claim: &Claim, client: &str) -> Verdict {
        let Some(record) = self.clients.get(client) else {
            return Verdict::ClientNotFound(client.to_owned());
        };
        if let Some(spot) = exporters
            .iter()
            .find(|one| claim.access.approval(one).is_some())
        {
            return Verdict::SpotAccess(spot.name.id.to_string());
        }
        let limits = exporters
            .iter()
            .filter_map(|one| self.policies.limit(record, one));
        if let Some(limit) = limits.max() {
            return Verdict::DurationExceeded(limit);
        }
        let descriptions = self.descriptions(exporters, record);
        Verdict::NoAccess {
            matching: exporters.len(),
            descriptions,
        }
    }

    fn descriptions(&self, exporters: &[&Exporter], client: &Client) -> String {
        let mut distinct: Vec<&str> = Vec::new();
        for exporter in exporters {
            for description in self.policies.descriptions(client, exporter) {
                if !distinct.contains(&description) {
                    distinct.push(description);
                }
            }
        }
        let mut text = distinct.join("; ");
        if text.len() > DESCRIPTIONS_LIMIT {
            let whole = (0..=DESCRIPTIONS_LIMIT)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.truncate(whole.unwrap_or_default());
            text.push_str("...");
        }
        text
    }
}

impl Verdict {
    /// The condition that ends such a lease.
    pub(super) fn kind(&self) -> ConditionKind {
        match self {
            Self::NothingAskedFor => ConditionKind::Invalid,
            _ => ConditionKind::Unsatisfiable,
        }
    }

    /// For programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NothingAskedFor => "InvalidSelector",
            Self::ExporterNotFound(_) => "ExporterNotFound",
            Self::SelectorMismatch { .. } => "SelectorMismatch",
            Self::ExporterDisabled(_) => "ExporterDisabled",
            Self::NoMatch { .. } => "NoMatch",
            Self::AllDisabled(_) => "AllDisabled",
            Self::ClientNotFound(_) => "ClientNotFound",
            Self::SpotAccess(_) => "SpotAccess",
            Self::DurationExceeded(_) => "DurationExceeded",
            Self::NoAccess { .. } => "NoAccess",
        }
    }

    /// For people.
    pub(super) fn message(&self) -> String {
        match self {
            Self::NothingAskedFor => {
                "The selector for the lease is empty, a selector is required".to_owned()
            }
            Self::ExporterNotFound(exporter) => {
                format!("Requested exporter {exporter} was not found")
            }
            Self::SelectorMismatch { exporter, selector } => {
                format!("Requested exporter {exporter} does not match selector {selector}")
            }
            Self::ExporterDisabled(exporter) => format!(
                "Requested exporter {exporter} is disabled. To lease a disabled exporter, set \
                 spec.allowDisabled: true on the Lease, or use --allow-disabled with jmp create \
                 lease"
            ),
            Self::NoMatch { selector } => format!("No exporter matches the selector {selector}"),
            Self::AllDisabled(count) => {
                format!("All {count} exporters matching the selector are disabled")
            }
            Self::ClientNotFound(client) => {
                format!("The client {client} was not found, so no access policy can let it in")
            }
            Self::SpotAccess(exporter) => format!(
                "The only possible exporters are under spot access (i.e. {exporter}), but spot \
                 access is still not implemented"
            ),
            Self::DurationExceeded(limit) => format!(
                "The duration of the lease is longer than the {limit} that access policies allow"
            ),
            Self::NoAccess {
                matching,
                descriptions,
            } => {
                let mut message = format!(
                    "While there are {matching} exporters matching the selector, none of them are \
                     approved by any policy for your client"
                );
                if !descriptions.is_empty() {
                    message.push_str(". Matching policies: ");
                    message.push_str(descriptions);
                }
                message
            }
        }
    }
}
