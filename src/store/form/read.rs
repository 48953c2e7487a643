//! From the messages that records are kept as back to records of the domain.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::FormError;
use crate::lease::{
    Client, Condition, ConditionKind, Duration, Exporter, ExporterStatus, Labels, Lease, Name,
    Operator, Policy, PolicyRule, Record, Selector, Timestamp, known_message, known_reason,
};
use crate::proto::gateway::store::v1 as pb;
use crate::proto::wkt;

/// Reads records, and has them share what they have in common: a million leases name few
/// namespaces, clients, exporters and selectors.
#[derive(Default)]
pub struct Reader {
    texts: HashSet<Arc<str>>,
    /// By its canonical text.
    selectors: HashMap<String, Arc<Selector>>,
}

type Read<T> = Result<T, FormError>;

impl Reader {
    /// The record in a message.
    ///
    /// # Errors
    /// Something is missing, or has a value that this program does not know.
    pub fn from_message(&mut self, message: pb::Record) -> Read<Record> {
        use pb::record::Record as Kept;
        match message.record {
            Some(Kept::Exporter(it)) => Ok(Record::Exporter(Arc::new(self.exporter(it)?))),
            Some(Kept::Client(it)) => Ok(Record::Client(Arc::new(self.client(it)?))),
            Some(Kept::Policy(it)) => Ok(Record::Policy(Arc::new(self.policy(it)?))),
            Some(Kept::Lease(it)) => Ok(Record::Lease(Arc::new(self.lease(it)?))),
            None => Err(FormError::Wrong(
                "it is of no kind that is known".to_owned(),
            )),
        }
    }

    fn exporter(&mut self, kept: pb::Exporter) -> Read<Exporter> {
        let status = match pb::ExporterStatus::try_from(kept.status).map_err(unknown("status"))? {
            pb::ExporterStatus::Unspecified => ExporterStatus::Unspecified,
            pb::ExporterStatus::Offline => ExporterStatus::Offline,
            pb::ExporterStatus::Available => ExporterStatus::Available,
            pb::ExporterStatus::BeforeLeaseHook => ExporterStatus::BeforeLeaseHook,
            pb::ExporterStatus::LeaseReady => ExporterStatus::LeaseReady,
            pb::ExporterStatus::AfterLeaseHook => ExporterStatus::AfterLeaseHook,
            pb::ExporterStatus::BeforeLeaseHookFailed => ExporterStatus::BeforeLeaseHookFailed,
            pb::ExporterStatus::AfterLeaseHookFailed => ExporterStatus::AfterLeaseHookFailed,
        };
        Ok(Exporter {
            name: self.name(&kept.namespace, &kept.name)?,
            labels: labels(kept.labels),
            enabled: kept.enabled,
            is_static: kept.r#static,
            registered: kept.registered,
            status,
            status_message: kept.status_message,
            last_seen: kept.last_seen.map(timestamp),
            revision: kept.revision,
        })
    }

    fn client(&mut self, kept: pb::Client) -> Read<Client> {
        Ok(Client {
            name: self.name(&kept.namespace, &kept.name)?,
            labels: labels(kept.labels),
            username: kept.username,
            uid: kept.uid.map(Arc::from),
            provisioned: kept.provisioned,
            revision: kept.revision,
        })
    }

    fn policy(&mut self, kept: pb::Policy) -> Read<Policy> {
        let rules = kept.rules.into_iter().map(rule);
        Ok(Policy {
            name: self.name(&kept.namespace, &kept.name)?,
            exporters: selector(kept.exporters.unwrap_or_default())?,
            rules: rules.collect::<Read<_>>()?,
            revision: kept.revision,
        })
    }

    fn lease(&mut self, kept: pb::Lease) -> Read<Lease> {
        let conditions = kept.conditions.into_iter().map(condition);
        Ok(Lease {
            name: self.name(&kept.namespace, &kept.name)?,
            client: self.text(&kept.client),
            selector: self.shared(selector(kept.selector.unwrap_or_default())?),
            exporter_name: kept.exporter_name.map(|name| self.text(&name)),
            allow_disabled: kept.allow_disabled,
            begin: kept.begin.map(timestamp),
            end: kept.end.map(timestamp),
            duration: kept.duration.map(duration),
            tags: labels(kept.tags),
            context: labels(kept.context),
            created: timestamp(required("created", kept.created)?),
            released: kept.released,
            exporter: kept.exporter.map(|name| self.text(&name)),
            effective_begin: kept.effective_begin.map(timestamp),
            ended: kept.ended.map(timestamp),
            conditions: conditions.collect::<Read<_>>()?,
            generation: kept.generation,
            revision: kept.revision,
        })
    }

    fn name(&mut self, namespace: &str, id: &str) -> Read<Name> {
        if namespace.is_empty() || id.is_empty() {
            return Err(FormError::Wrong(
                "it has no namespace, or no name".to_owned(),
            ));
        }
        // Nothing else is called so: there is nobody to share it with.
        Ok(Name::new(self.text(namespace), id))
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    fn shared(&mut self, selector: Selector) -> Arc<Selector> {
        let selectors = self.selectors.entry(selector.to_string());
        selectors.or_insert_with(|| Arc::new(selector)).clone()
    }
}

fn rule(kept: pb::PolicyRule) -> Read<PolicyRule> {
    Ok(PolicyRule {
        from: kept
            .clients
            .into_iter()
            .map(selector)
            .collect::<Read<_>>()?,
        priority: kept.priority,
        maximum_duration: kept.maximum_duration.map(duration),
        spot_access: kept.spot_access,
        description: kept.description,
    })
}

fn condition(kept: pb::Condition) -> Read<Condition> {
    let kind = match pb::ConditionKind::try_from(kept.kind).map_err(unknown("kind"))? {
        pb::ConditionKind::Pending => ConditionKind::Pending,
        pb::ConditionKind::Ready => ConditionKind::Ready,
        pb::ConditionKind::Unsatisfiable => ConditionKind::Unsatisfiable,
        pb::ConditionKind::Invalid => ConditionKind::Invalid,
        pb::ConditionKind::Unspecified => return Err(missing("kind")),
    };
    // Pending conditions are kept without one: the view says why.
    let reason = match kept.reason.as_str() {
        "" => "",
        reason => known_reason(reason).ok_or_else(|| unknown("reason")(reason))?,
    };
    Ok(Condition {
        kind,
        status: kept.status,
        reason,
        message: known_message(kept.message),
        last_transition: timestamp(required("last_transition", kept.last_transition)?),
        observed_generation: kept.observed_generation,
    })
}

fn selector(kept: pb::Selector) -> Read<Selector> {
    let requirements = kept.requirements.into_iter().map(|kept| {
        let operator = match pb::Operator::try_from(kept.operator).map_err(unknown("operator"))? {
            pb::Operator::Equals => Operator::Equals,
            pb::Operator::DoubleEquals => Operator::DoubleEquals,
            pb::Operator::NotEquals => Operator::NotEquals,
            pb::Operator::In => Operator::In,
            pb::Operator::NotIn => Operator::NotIn,
            pb::Operator::Exists => Operator::Exists,
            pb::Operator::DoesNotExist => Operator::DoesNotExist,
            pb::Operator::GreaterThan => Operator::GreaterThan,
            pb::Operator::LessThan => Operator::LessThan,
            pb::Operator::Unspecified => return Err(missing("operator")),
        };
        Ok((kept.key, operator, kept.values))
    });
    Ok(Selector::from_kept(requirements.collect::<Read<Vec<_>>>()?))
}

fn labels(kept: BTreeMap<String, String>) -> Labels {
    kept.into_iter().collect()
}

fn timestamp(kept: wkt::Timestamp) -> Timestamp {
    Timestamp::new(kept.seconds, kept.nanos)
}

fn duration(kept: wkt::Duration) -> Duration {
    Duration::new(kept.seconds, kept.nanos)
}

fn required<T>(field: &str, kept: Option<T>) -> Read<T> {
    kept.ok_or_else(|| missing(field))
}

fn missing(field: &str) -> FormError {
    FormError::Wrong(format!("its {field} is missing"))
}

fn unknown<T: std::fmt::Display>(field: &str) -> impl FnOnce(T) -> FormError {
    move |value| FormError::Wrong(format!("its {field} is not known here: {value}"))
}
