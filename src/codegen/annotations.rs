//! What proto files say beyond types, read from descriptors: `google.api.resource`,
//! `google.api.resource_reference` and `google.api.field_behavior`. Knows nothing of OpenAPI.

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value,
};

/// A resource type: `google.api.resource` of a message, or `google.api.resource_definition` of a
/// file.
#[derive(Debug)]
pub struct Resource {
    /// The message that is the resource; none where only a file defines it.
    pub message: Option<MessageDescriptor>,
    /// `jumpstarter.dev/Lease`.
    pub kind: String,
    /// `namespaces/{namespace}/leases/{lease}`, one for each kind of parent.
    pub patterns: Vec<String>,
    /// As declared; may be empty.
    pub singular: String,
    /// As declared; may be empty.
    pub plural: String,
    /// The field that holds the resource's name.
    pub name_field: String,
}

/// Every resource type of a pool.
pub fn resources(pool: &DescriptorPool) -> Vec<Resource> {
    let files = pool.files().flat_map(|file| {
        let definitions = option(&file.options(), "google.api.resource_definition");
        let definitions = definitions
            .as_ref()
            .and_then(Value::as_list)
            .unwrap_or_default();
        let definitions = definitions.iter().filter_map(Value::as_message);
        definitions
            .map(|definition| resource(None, definition))
            .collect::<Vec<_>>()
    });
    let messages = pool
        .all_messages()
        .filter_map(|message| resource_of(&message));
    files.chain(messages).collect()
}

/// The resource type that a message is.
pub fn resource_of(message: &MessageDescriptor) -> Option<Resource> {
    let definition = option(&message.options(), "google.api.resource")?;
    Some(resource(Some(message.clone()), definition.as_message()?))
}

fn resource(message: Option<MessageDescriptor>, definition: &DynamicMessage) -> Resource {
    let patterns = definition.get_field_by_name("pattern");
    let patterns = patterns
        .as_deref()
        .and_then(Value::as_list)
        .unwrap_or_default();
    let name_field = text(definition, "name_field");
    Resource {
        message,
        kind: text(definition, "type"),
        patterns: patterns
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        singular: text(definition, "singular"),
        plural: text(definition, "plural"),
        name_field: if name_field.is_empty() {
            "name".to_owned()
        } else {
            name_field
        },
    }
}

/// Which resource a field names: `google.api.resource_reference`.
#[derive(Debug, Default)]
pub struct Reference {
    /// The field holds a name of this type; may be empty.
    pub kind: String,
    /// The field holds the name of a parent of this type; may be empty.
    pub child_kind: String,
}

/// The reference of a field; an empty one where it has none.
pub fn reference(field: &FieldDescriptor) -> Reference {
    let value = option(&field.options(), "google.api.resource_reference");
    let message = value.as_ref().and_then(Value::as_message);
    message.map_or_else(Reference::default, |message| Reference {
        kind: text(message, "type"),
        child_kind: text(message, "child_type"),
    })
}

/// `google.api.field_behavior` (AIP-203).
#[derive(Clone, Copy, Debug, Default)]
pub struct Behavior {
    pub required: bool,
    pub output_only: bool,
    pub input_only: bool,
    pub immutable: bool,
    pub identifier: bool,
}

/// The behaviour of a field.
pub fn behavior(field: &FieldDescriptor) -> Behavior {
    let value = option(&field.options(), "google.api.field_behavior");
    let mut behavior = Behavior::default();
    // The numbers of google.api.FieldBehavior.
    for number in value.as_ref().and_then(Value::as_list).unwrap_or_default() {
        match number.as_enum_number() {
            Some(2) => behavior.required = true,
            Some(3) => behavior.output_only = true,
            Some(4) => behavior.input_only = true,
            Some(5) => behavior.immutable = true,
            Some(8) => behavior.identifier = true,
            _ => {}
        }
    }
    behavior
}

/// Whether `option deprecated = true` stands on the element that these are the options of.
pub fn deprecated(options: &DynamicMessage) -> bool {
    let value = options.get_field_by_name("deprecated");
    value.and_then(|value| value.as_bool()).unwrap_or_default()
}

fn option(options: &DynamicMessage, extension: &str) -> Option<Value> {
    let extension = options
        .descriptor()
        .parent_pool()
        .get_extension_by_name(extension)?;
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).into_owned())
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value
        .as_deref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
