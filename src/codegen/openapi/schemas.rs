//! From messages and enums to schemas, in the shape that ProtoJSON gives them on the wire.
//!
//! A schema states only what the gateway keeps: what it demands of a request is refused otherwise,
//! and what it says of an answer is always so.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema, Type};

use super::prose::Prose;
use super::types::{annotated, plain, scalar, some, well_known};
use crate::codegen::annotations::behavior;

/// The full name behind the component that `errors` adds.
pub const STATUS: &str = "google.rpc.Status";

/// What the schema of a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// An answer: defaults are spelled out, and there may be properties that are not known yet.
    Answer,
    /// A request: it can leave out what is not required, and other properties are refused.
    Input,
    /// The body of a PATCH: a request of which nothing is required (AIP-203).
    Patch,
}

/// The schemas of a document.
pub struct Schemas<'a> {
    prose: &'a Prose,
    /// From full names to names of components.
    names: BTreeMap<String, String>,
    /// The full names of the messages that an answer can hold.
    received: BTreeSet<String>,
    /// What the supplement says of fields, by their full names.
    fields: &'a Value,
    components: BTreeMap<String, RefOr<Schema>>,
}

impl<'a> Schemas<'a> {
    /// For a document whose bodies begin with the messages in `sent`, and its answers with those in
    /// `received`. `fields` is the supplement's.
    pub fn new(
        prose: &'a Prose,
        sent: Vec<MessageDescriptor>,
        received: Vec<MessageDescriptor>,
        fields: &'a Value,
    ) -> Self {
        let (sent, received) = (closure(sent), closure(received));
        let names = names(sent.values().chain(received.values()));
        Self {
            prose,
            names,
            received: received.into_keys().collect(),
            fields,
            components: BTreeMap::new(),
        }
    }

    /// Every component that was asked for.
    pub fn into_components(self) -> BTreeMap<String, RefOr<Schema>> {
        self.components
    }

    /// Adds the component of a type and refers to it.
    pub fn add(&mut self, full_name: &str, schema: impl Into<RefOr<Schema>>) -> Ref {
        let name = self.name(full_name);
        self.components.insert(name.clone(), schema.into());
        Ref::from_schema_name(name)
    }

    /// The schema of a field: its type, and what is said of it.
    pub fn field(&mut self, field: &FieldDescriptor, purpose: Purpose) -> RefOr<Schema> {
        // What only answers hold has their form, and only as a whole can something be changed.
        let inner = match purpose {
            _ if behavior(field).output_only => Purpose::Answer,
            Purpose::Patch if field.is_map() || field.is_list() => Purpose::Input,
            purpose => purpose,
        };
        let schema = if field.is_map() {
            let values = AdditionalProperties::RefOr(self.value(&content(field), inner));
            ObjectBuilder::new()
                .additional_properties(Some(values))
                .into()
        } else if field.is_list() {
            ArrayBuilder::new()
                .items(self.value(&field.kind(), inner))
                .into()
        } else {
            self.value(&field.kind(), inner)
        };
        let schema = annotated(schema, field, &self.description(field));
        match schema {
            RefOr::T(Schema::Object(object)) => {
                supplemented(object, &self.fields[field.full_name()], purpose).into()
            }
            other => other,
        }
    }

    /// The field's comment, and what its place in a `oneof` and its annotations mean.
    pub fn description(&self, field: &FieldDescriptor) -> String {
        let mut paragraphs = vec![self.prose.of(field)];
        if behavior(field).immutable {
            paragraphs.push("It cannot be changed later.".to_owned());
        }
        if let Some(choice) = field
            .containing_oneof()
            .filter(|choice| !choice.is_synthetic())
        {
            let others = choice.fields().filter(|other| other != field);
            let others: Vec<_> = others
                .map(|other| format!("`{}`", other.json_name()))
                .collect();
            if !others.is_empty() {
                paragraphs.push(format!("Not together with {}.", others.join(" or ")));
            }
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        paragraphs.join("\n\n")
    }

    /// The schema of a message: a reference to its component, or in place for what ProtoJSON
    /// writes in a form of its own.
    pub fn message(&mut self, message: &MessageDescriptor, purpose: Purpose) -> RefOr<Schema> {
        match message.full_name().strip_prefix("google.protobuf.") {
            Some(name) => well_known(name),
            None => self.component(message, purpose).into(),
        }
    }

    /// A request body that is a message without some of its fields.
    pub fn without(&mut self, message: &MessageDescriptor, left_out: &[FieldDescriptor]) -> Schema {
        let fields = message.fields().filter(|field| !left_out.contains(field));
        self.object(fields, Purpose::Input).build().into()
    }

    /// Whether the message, or one inside it, requires anything.
    pub fn demands(message: &MessageDescriptor) -> bool {
        let messages = closure(vec![message.clone()]);
        messages
            .values()
            .flat_map(MessageDescriptor::fields)
            .any(|field| behavior(&field).required)
    }

    fn component(&mut self, message: &MessageDescriptor, purpose: Purpose) -> Ref {
        let full_name = message.full_name();
        let name = match purpose {
            Purpose::Input if self.received.contains(full_name) => self.variant(full_name, "Input"),
            Purpose::Input | Purpose::Answer => self.name(full_name),
            Purpose::Patch => self.variant(full_name, "Patch"),
        };
        if !self.components.contains_key(&name) {
            // Stands in while the fields are looked at: a message can contain itself.
            self.components.insert(name.clone(), Object::new().into());
            let object = self.object(message.fields(), purpose);
            let object = object.description(some(&self.prose.of(message)));
            self.components.insert(name.clone(), object.into());
        }
        Ref::from_schema_name(name)
    }

    fn object(
        &mut self,
        fields: impl Iterator<Item = FieldDescriptor>,
        purpose: Purpose,
    ) -> ObjectBuilder {
        let mut object = ObjectBuilder::new();
        for field in fields {
            let demanded = behavior(&field).required;
            let required = match purpose {
                // Whatever has no presence of its own is there.
                Purpose::Answer => demanded || !field.supports_presence(),
                Purpose::Input => demanded && self.fields[field.full_name()]["optional"] != true,
                Purpose::Patch => false,
            };
            if required {
                object = object.required(field.json_name());
            }
            object = object.property(field.json_name(), self.field(&field, purpose));
        }
        match purpose {
            Purpose::Answer => object,
            Purpose::Input | Purpose::Patch => {
                object.additional_properties(Some(AdditionalProperties::FreeForm(false)))
            }
        }
    }

    /// The schema of one value.
    fn value(&mut self, kind: &Kind, purpose: Purpose) -> RefOr<Schema> {
        match kind {
            Kind::Message(message) => {
                let whole = purpose == Purpose::Patch && !Self::demands(message);
                self.message(message, if whole { Purpose::Input } else { purpose })
            }
            Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => {
                plain(Type::Null, None).into()
            }
            Kind::Enum(kind) => self.enumeration(kind).into(),
            kind => scalar(kind).into(),
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Ref {
        let values = kind.values().map(|value| {
            let meaning = self.prose.of(&value).replace('\n', " ");
            let colon = if meaning.is_empty() { "" } else { ": " };
            format!("- `{}`{colon}{meaning}", value.name())
        });
        let values = values.collect::<Vec<_>>().join("\n");
        let description = format!("{}\n\n{values}", self.prose.of(kind));
        let names = kind.values().map(|value| value.name().to_owned());
        let schema = ObjectBuilder::from(plain(Type::String, None))
            .description(some(description.trim()))
            .enum_values(Some(names));
        self.add(kind.full_name(), schema)
    }

    fn name(&self, full_name: &str) -> String {
        self.names
            .get(full_name)
            .map_or(full_name, String::as_str)
            .to_owned()
    }

    /// The name of a component beside that of the answer.
    fn variant(&self, full_name: &str, variant: &str) -> String {
        let name = format!("{}{variant}", self.name(full_name));
        let taken = self.names.values().any(|other| *other == name);
        if taken {
            format!("{full_name}.{variant}")
        } else {
            name
        }
    }
}

/// A field's schema with what the supplement says of the field.
fn supplemented(mut object: Object, said: &Value, purpose: Purpose) -> Object {
    if let Some(pattern) = said["pattern"].as_str() {
        object.pattern = Some(pattern.to_owned());
    }
    if let Some(minimum) = said["minimum"].as_i64() {
        object.minimum = Some(minimum.into());
    }
    if let Some(longest) = said["maxLength"].as_u64() {
        object.max_length = usize::try_from(longest).ok();
    }
    if purpose == Purpose::Patch && said["writable"] == true {
        object.read_only = None;
    }
    object
}

/// The type of a field's value; of a map's values.
fn content(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// The messages and all that they lead to, by full name.
pub fn closure(mut open: Vec<MessageDescriptor>) -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    while let Some(message) = open.pop() {
        let inner = message.fields().filter_map(|field| match content(&field) {
            Kind::Message(inner) => Some(inner),
            _ => None,
        });
        let inner: Vec<_> = inner.collect();
        if found
            .insert(message.full_name().to_owned(), message)
            .is_none()
        {
            open.extend(inner);
        }
    }
    found
}

/// Components are called by the short names of their types (`Book.Binding` is `BookBinding`), and
/// by the full ones where short ones are the same.
fn names<'a>(messages: impl Iterator<Item = &'a MessageDescriptor>) -> BTreeMap<String, String> {
    let mut by_short: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut enter = |full: &str, package: &str| {
        let local = full.strip_prefix(package).unwrap_or(full);
        by_short
            .entry(local.replace('.', ""))
            .or_default()
            .insert(full.to_owned());
    };
    enter(STATUS, "google.rpc");
    for message in messages {
        enter(message.full_name(), message.package_name());
        for field in message.fields() {
            if let Kind::Enum(kind) = content(&field) {
                enter(kind.full_name(), kind.package_name());
            }
        }
    }
    let mut names = BTreeMap::new();
    for (short, types) in by_short {
        let alone = types.len() == 1;
        for full in types {
            names.insert(full.clone(), if alone { short.clone() } else { full });
        }
    }
    names
}
