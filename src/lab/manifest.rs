//! Jumpstarter's Kubernetes objects as the lease book wants them: what each kind's fields mean and
//! which of them are not for us. Knows nothing of files.

use std::sync::Arc;

use crate::lease::grammar::object_name_faults;
use crate::lease::{
    Client, DeclaredExporter, Duration, Labels, Name, Policy, PolicyRule, Selector,
};

use super::duration;
use super::labels::{labels, selector};
use super::problem::nearest;
use super::reader::{Field, quoted};

/// The version of Jumpstarter's objects that is read here.
const API_VERSION: &str = "jumpstarter.dev/v1alpha1";
const KINDS: [&str; 3] = ["Exporter", "Client", "ExporterAccessPolicy"];

/// The namespace of objects that name none, as with kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// `"true"` on an exporter that has no process of its own: it counts as registered, online and
/// available from the start.
const STATIC_ANNOTATION: &str = "gateway.jumpstarter.dev/static";
const OWN_ANNOTATIONS: &str = "gateway.jumpstarter.dev/";

/// One object of a lab.
pub enum Object {
    Exporter(DeclaredExporter),
    Client(Client),
    Policy(Policy),
}

impl Object {
    /// What makes it unique: its kind and its name (rule R8).
    pub fn identity(&self) -> (&'static str, &Name) {
        let [exporter_kind, client_kind, policy_kind] = KINDS;
        match self {
            Self::Exporter(exporter) => (exporter_kind, &exporter.name),
            Self::Client(client) => (client_kind, &client.name),
            Self::Policy(policy) => (policy_kind, &policy.name),
        }
    }
}

/// Hands every object of a document to `keep`; a `List`, as kubectl prints it, has many. They are
/// good for use only if nothing was reported.
pub fn read(document: &Field, keep: &mut dyn FnMut(&Field, Object)) {
    if document.is_null() || !document.expect_map() {
        return;
    }
    let version = document.required("apiVersion");
    let version = version.and_then(|version| version.text());
    let kind = document.required("kind");
    let kind = kind.and_then(|kind| kind.text());
    let (Some(version), Some(kind)) = (version, kind) else {
        return;
    };
    match (version, kind) {
        (API_VERSION, "Exporter") => keep(document, Object::Exporter(exporter(document))),
        (API_VERSION, "Client") => keep(document, Object::Client(client(document))),
        (API_VERSION, "ExporterAccessPolicy") => keep(document, Object::Policy(policy(document))),
        ("v1", "List") => {
            document.expect_fields(&["apiVersion", "kind", "metadata", "items"]);
            if let Some(items) = document.get("items") {
                items.items().for_each(|item| read(&item, keep));
            }
        }
        _ => foreign(document, version, kind),
    }
}

/// An object that is not for us is passed over, with a warning in case it was meant to be.
fn foreign(document: &Field, version: &str, kind: &str) {
    let hint = match nearest(kind, &KINDS) {
        Some(known) if known == kind => format!("; {kind} is read from {API_VERSION}"),
        Some(known) => format!("; did you mean {known}?"),
        None => String::new(),
    };
    document.warning(format!(
        "{kind} ({version}) does not belong to a lab and is passed over{hint}"
    ));
}

fn exporter(object: &Field) -> DeclaredExporter {
    let metadata = metadata(object);
    let spec = spec(object, &["username", "enabled"]);
    let spec = spec.as_ref();
    // Who an exporter logs in as is not the lab's concern; a wrong type is an error all the same.
    spec.and_then(|spec| spec.get("username")?.text());
    DeclaredExporter {
        name: metadata.name,
        labels: metadata.labels,
        enabled: spec
            .and_then(|spec| spec.get("enabled")?.boolean())
            .unwrap_or(true),
        is_static: metadata.is_static,
    }
}

fn client(object: &Field) -> Client {
    let metadata = metadata(object);
    let spec = spec(object, &["username"]);
    let username = spec.and_then(|spec| spec.get("username")?.text().map(str::to_owned));
    Client {
        name: metadata.name,
        labels: metadata.labels,
        username,
        uid: metadata.uid,
        provisioned: false,
        revision: 0,
    }
}

fn policy(object: &Field) -> Policy {
    let metadata = metadata(object);
    let spec = spec(object, &["exporterSelector", "policies"]);
    let part = |name| spec.as_ref().and_then(|spec| spec.get(name));
    Policy {
        name: metadata.name,
        exporters: part("exporterSelector").map_or_else(Selector::default, |it| selector(&it)),
        rules: part("policies")
            .map_or_else(Vec::new, |it| it.items().map(|it| rule(&it)).collect()),
        revision: 0,
    }
}

fn rule(field: &Field) -> PolicyRule {
    field.expect_fields(&[
        "priority",
        "from",
        "maximumDuration",
        "spotAccess",
        "description",
    ]);
    let from = field.get("from");
    let sources: Vec<Selector> = from
        .iter()
        .flat_map(Field::items)
        .map(|source| clients(&source))
        .collect();
    if sources.is_empty() {
        let place = from.as_ref().unwrap_or(field);
        place.warning("lets in nobody; everybody is from: [clientSelector: {}]");
    }
    PolicyRule {
        from: sources,
        priority: field
            .get("priority")
            .and_then(|priority| priority.integer())
            .unwrap_or_default(),
        maximum_duration: field
            .get("maximumDuration")
            .and_then(|maximum| maximum_duration(&maximum)),
        spot_access: field
            .get("spotAccess")
            .and_then(|spot_access| spot_access.boolean())
            .unwrap_or_default(),
        description: field
            .get("description")
            .and_then(|description| description.text().map(str::to_owned))
            .unwrap_or_default(),
    }
}

/// One item of `from`; without a selector it is everybody (rule I5).
fn clients(source: &Field) -> Selector {
    source.expect_fields(&["clientSelector"]);
    source
        .get("clientSelector")
        .map_or_else(Selector::default, |it| selector(&it))
}

/// More than nothing; nobody can hold a lease of no length, so zero is a mistake.
fn maximum_duration(field: &Field) -> Option<Duration> {
    let text = field.text()?;
    let duration = duration::parse(text).filter(|duration| duration.is_positive());
    if duration.is_none() {
        field.error(format!(
            "{} is no duration more than zero; write numbers with the units h, m and s, as in \
             1h30m, or 48h for two days",
            quoted(text)
        ));
    }
    duration
}

fn spec<'s>(object: &'s Field, known: &[&str]) -> Option<Field<'s>> {
    let spec = object.get("spec")?;
    spec.expect_fields(known);
    Some(spec)
}

struct Metadata {
    /// Its parts are empty where the document has none that can be used.
    name: Name,
    labels: Labels,
    uid: Option<Arc<str>>,
    is_static: bool,
}

/// The fields that all kinds have in common.
fn metadata(object: &Field) -> Metadata {
    object.expect_fields(&["apiVersion", "kind", "metadata", "spec", "status"]);
    if let Some(status) = object.get("status") {
        status.warning("is passed over: states come from the exporters themselves");
    }
    let metadata = object.required("metadata");
    let metadata = metadata.as_ref();
    if let Some(metadata) = metadata {
        // The second half is what Kubernetes writes for itself.
        metadata.expect_fields(&[
            "name",
            "namespace",
            "labels",
            "annotations",
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        ]);
    }
    let name = metadata.and_then(|metadata| metadata.required("name"));
    let name = name.and_then(|name| name.checked_text(object_name_faults));
    let namespace = match metadata.and_then(|metadata| metadata.get("namespace")) {
        Some(namespace) => namespace.checked_text(namespace_faults),
        None => Some(DEFAULT_NAMESPACE),
    };
    let own_labels = metadata.and_then(|metadata| metadata.get("labels"));
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    Metadata {
        name: Name::new(namespace.unwrap_or_default(), name.unwrap_or_default()),
        labels: own_labels.as_ref().map(labels).unwrap_or_default(),
        uid: metadata.and_then(|metadata| Some(metadata.get("uid")?.text()?.into())),
        is_static: annotations.is_some_and(|annotations| is_static(&annotations)),
    }
}

/// What is wrong with `name` as the name of a namespace: a DNS-1123 label of at most 63 bytes.
fn namespace_faults(name: &str) -> Vec<String> {
    let mut faults = object_name_faults(name);
    if name.contains('.') {
        faults.push("must not contain dots".to_owned());
    }
    if name.len() > 63 {
        faults.push("must be no more than 63 characters".to_owned());
    }
    faults
}

/// Reads our own annotations; all others belong to somebody else.
fn is_static(annotations: &Field) -> bool {
    let mut is_static = false;
    for (key, value) in annotations.entries() {
        if key == STATIC_ANNOTATION {
            match value.text() {
                Some("true") => is_static = true,
                Some("false") | None => {}
                Some(other) => value.error(format!(
                    "must be \"true\" or \"false\", not {}",
                    quoted(other)
                )),
            }
        } else if key.starts_with(OWN_ANNOTATIONS) {
            value.warning(format!("is not known; did you mean {STATIC_ANNOTATION}?"));
        }
    }
    is_static
}
