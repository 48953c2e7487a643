//! From records of the domain to the messages they are kept as.

use crate::lease::{
    Client, Condition, ConditionKind, Duration, Exporter, ExporterStatus, Labels, Lease, Operator,
    Policy, PolicyRule, Record, Requirement, Selector, Timestamp,
};
use crate::proto::gateway::store::v1 as pb;
use crate::proto::wkt;

/// A record as the message that it is kept and exported as.
pub fn message(record: &Record) -> pb::Record {
    let record = match record {
        Record::Exporter(it) => pb::record::Record::Exporter(exporter(it)),
        Record::Client(it) => pb::record::Record::Client(client(it)),
        Record::Policy(it) => pb::record::Record::Policy(policy(it)),
        Record::Lease(it) => pb::record::Record::Lease(lease(it)),
    };
    pb::Record {
        record: Some(record),
    }
}

fn exporter(exporter: &Exporter) -> pb::Exporter {
    let status = match exporter.status {
        ExporterStatus::Unspecified => pb::ExporterStatus::Unspecified,
        ExporterStatus::Offline => pb::ExporterStatus::Offline,
        ExporterStatus::Available => pb::ExporterStatus::Available,
        ExporterStatus::BeforeLeaseHook => pb::ExporterStatus::BeforeLeaseHook,
        ExporterStatus::LeaseReady => pb::ExporterStatus::LeaseReady,
        ExporterStatus::AfterLeaseHook => pb::ExporterStatus::AfterLeaseHook,
        ExporterStatus::BeforeLeaseHookFailed => pb::ExporterStatus::BeforeLeaseHookFailed,
        ExporterStatus::AfterLeaseHookFailed => pb::ExporterStatus::AfterLeaseHookFailed,
    };
    pb::Exporter {
        namespace: exporter.name.namespace.to_string(),
        name: exporter.name.id.to_string(),
        revision: exporter.revision,
        labels: labels(&exporter.labels),
        enabled: exporter.enabled,
        r#static: exporter.is_static,
        registered: exporter.registered,
        status: status.into(),
        status_message: exporter.status_message.clone(),
        last_seen: exporter.last_seen.map(timestamp),
    }
}

fn client(client: &Client) -> pb::Client {
    pb::Client {
        namespace: client.name.namespace.to_string(),
        name: client.name.id.to_string(),
        revision: client.revision,
        labels: labels(&client.labels),
        username: client.username.clone(),
        uid: client.uid.as_deref().map(str::to_owned),
        provisioned: client.provisioned,
    }
}

fn policy(policy: &Policy) -> pb::Policy {
    pb::Policy {
        namespace: policy.name.namespace.to_string(),
        name: policy.name.id.to_string(),
        revision: policy.revision,
        exporters: Some(selector(&policy.exporters)),
        rules: policy.rules.iter().map(rule).collect(),
    }
}

fn rule(rule: &PolicyRule) -> pb::PolicyRule {
    pb::PolicyRule {
        clients: rule.from.iter().map(selector).collect(),
        priority: rule.priority,
        maximum_duration: rule.maximum_duration.map(duration),
        spot_access: rule.spot_access,
        description: rule.description.clone(),
    }
}

fn lease(lease: &Lease) -> pb::Lease {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
    pb::Lease {
        namespace: lease.name.namespace.to_string(),
        name: lease.name.id.to_string(),
        revision: lease.revision,
        generation: lease.generation,
        client: lease.client.to_string(),
        selector: Some(selector(&lease.selector)),
        exporter_name: text(&lease.exporter_name),
        allow_disabled: lease.allow_disabled,
        begin: lease.begin.map(timestamp),
        end: lease.end.map(timestamp),
        duration: lease.duration.map(duration),
        tags: labels(&lease.tags),
        context: labels(&lease.context),
        created: Some(timestamp(lease.created)),
        released: lease.released,
        exporter: text(&lease.exporter),
        effective_begin: lease.effective_begin.map(timestamp),
        ended: lease.ended.map(timestamp),
        conditions: lease.conditions.iter().map(condition).collect(),
    }
}

fn condition(condition: &Condition) -> pb::Condition {
    let kind = match condition.kind {
        ConditionKind::Pending => pb::ConditionKind::Pending,
        ConditionKind::Ready => pb::ConditionKind::Ready,
        ConditionKind::Unsatisfiable => pb::ConditionKind::Unsatisfiable,
        ConditionKind::Invalid => pb::ConditionKind::Invalid,
    };
    pb::Condition {
        kind: kind.into(),
        status: condition.status,
        reason: condition.reason.to_owned(),
        message: condition.message.clone().into_owned(),
        last_transition: Some(timestamp(condition.last_transition)),
        observed_generation: condition.observed_generation,
    }
}

fn selector(selector: &Selector) -> pb::Selector {
    pb::Selector {
        requirements: selector.requirements().iter().map(requirement).collect(),
    }
}

fn requirement(requirement: &Requirement) -> pb::Requirement {
    let operator = match requirement.operator() {
        Operator::Equals => pb::Operator::Equals,
        Operator::DoubleEquals => pb::Operator::DoubleEquals,
        Operator::NotEquals => pb::Operator::NotEquals,
        Operator::In => pb::Operator::In,
        Operator::NotIn => pb::Operator::NotIn,
        Operator::Exists => pb::Operator::Exists,
        Operator::DoesNotExist => pb::Operator::DoesNotExist,
        Operator::GreaterThan => pb::Operator::GreaterThan,
        Operator::LessThan => pb::Operator::LessThan,
    };
    pb::Requirement {
        key: requirement.key().to_owned(),
        operator: operator.into(),
        values: requirement.values().map(str::to_owned).collect(),
    }
}

fn labels(labels: &Labels) -> std::collections::BTreeMap<String, String> {
    labels
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn timestamp(at: Timestamp) -> wkt::Timestamp {
    wkt::Timestamp {
        seconds: at.seconds(),
        nanos: at.nanos(),
    }
}

fn duration(span: Duration) -> wkt::Duration {
    wkt::Duration {
        seconds: span.seconds(),
        nanos: span.nanos(),
    }
}
