//! The elements of compiled proto files, each with its facts and the comment before it.
//!
//! It takes descriptors apart and judges nothing: what must be equal to what is the test's matter.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor,
    Kind, MessageDescriptor, MethodDescriptor, ReflectMessage,
};

/// The value of what is not there.
pub const ABSENT: &str = "absent";

/// The options that every element has a fact for, set or not.
const ANNOTATIONS: [&str; 6] = [
    "deprecated",
    "google.api.field_behavior",
    "google.api.http",
    "google.api.method_signature",
    "google.api.resource",
    "google.api.resource_reference",
];

/// A file, service, method, message, field, enum or enum value.
pub struct Element {
    /// Its full name; of a file, its path; of an enum value, with the enum's name before it.
    pub name: String,
    /// Values by aspect: `number` is `2`.
    pub facts: BTreeMap<String, String>,
    /// The comment before it; empty if there is none.
    pub comment: String,
    /// It is a method.
    pub is_method: bool,
}

/// Everything in the packages `jumpstarter.*`.
pub fn elements(pool: &DescriptorPool) -> Vec<Element> {
    let mut walk = Walk::default();
    let files = pool.files();
    for file in files.filter(|file| file.package_name().starts_with("jumpstarter.")) {
        walk.file(&file);
    }
    walk.found
}

/// A walk through one file after another.
#[derive(Default)]
struct Walk {
    found: Vec<Element>,
    /// The comments of the present file, by the path of what they stand before.
    comments: BTreeMap<Vec<i32>, String>,
}

impl Walk {
    fn file(&mut self, file: &FileDescriptor) {
        let source = file.file_descriptor_proto().source_code_info.as_ref();
        let places = source.map_or(&[][..], |source| &source.location);
        let comment = |at: &str| at.trim().to_owned();
        self.comments = places
            .iter()
            .map(|place| (place.path.clone(), comment(place.leading_comments())))
            .collect();

        // A file's own comment stands before its `syntax`, which is field 12 of its descriptor.
        let package = [("package", file.package_name().to_owned())];
        self.add(file.name().to_owned(), &[12], &file.options(), package);
        for service in file.services() {
            let kind = home("service", file);
            let name = service.full_name().to_owned();
            self.add(name, service.path(), &service.options(), kind);
            for method in service.methods() {
                self.method(&method);
            }
        }
        for message in file.messages() {
            self.message(&message);
        }
        for item in file.enums() {
            self.item(&item);
        }
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let one = |message: MessageDescriptor| message.full_name().to_owned();
        let many = |message: MessageDescriptor| format!("stream {}", message.full_name());
        let request = if method.is_client_streaming() {
            many
        } else {
            one
        };
        let response = if method.is_server_streaming() {
            many
        } else {
            one
        };
        let facts = [
            ("request", request(method.input())),
            ("response", response(method.output())),
        ];
        let name = method.full_name().to_owned();
        self.add(name, method.path(), &method.options(), facts);
        if let Some(element) = self.found.last_mut() {
            element.is_method = true;
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        // The entry of a map is no element: it is told by the type of its field.
        if message.is_map_entry() {
            return;
        }
        let kind = home("message", &message.parent_file());
        let name = message.full_name().to_owned();
        self.add(name, message.path(), &message.options(), kind);
        for field in message.fields() {
            self.field(&field);
        }
        for nested in message.child_messages() {
            self.message(&nested);
        }
        for nested in message.child_enums() {
            self.item(&nested);
        }
    }

    fn field(&mut self, field: &FieldDescriptor) {
        let label = match field.cardinality() {
            _ if field.field_descriptor_proto().proto3_optional() => "optional",
            Cardinality::Repeated => "repeated",
            Cardinality::Required => "required",
            Cardinality::Optional => "single",
        };
        let oneof = field.containing_oneof();
        let oneof = oneof.as_ref().filter(|oneof| !oneof.is_synthetic());
        let facts = [
            ("number", field.number().to_string()),
            ("type", type_name(&field.kind())),
            ("label", label.to_owned()),
            ("json_name", field.json_name().to_owned()),
            ("oneof", oneof.map_or(ABSENT, |it| it.name()).to_owned()),
        ];
        let name = field.full_name().to_owned();
        self.add(name, field.path(), &field.options(), facts);
    }

    fn item(&mut self, item: &EnumDescriptor) {
        let kind = home("enum", &item.parent_file());
        let name = item.full_name().to_owned();
        self.add(name, item.path(), &item.options(), kind);
        for value in item.values() {
            let name = format!("{}.{}", item.full_name(), value.name());
            let number = [("number", value.number().to_string())];
            self.add(name, value.path(), &value.options(), number);
        }
    }

    fn add<const N: usize>(
        &mut self,
        name: String,
        path: &[i32],
        options: &DynamicMessage,
        own: [(&str, String); N],
    ) {
        let mut facts = BTreeMap::from(ANNOTATIONS.map(|it| (it.to_owned(), ABSENT.to_owned())));
        facts.extend(own.map(|(aspect, value)| (aspect.to_owned(), value)));
        facts.extend(set_options(options));
        let comment = self.comments.get(path).cloned().unwrap_or_default();
        self.found.push(Element {
            name,
            facts,
            comment,
            is_method: false,
        });
    }
}

fn home(kind: &str, file: &FileDescriptor) -> [(&'static str, String); 2] {
    [("kind", kind.to_owned()), ("file", file.name().to_owned())]
}

fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(entry) if entry.is_map_entry() => {
            let key = type_name(&entry.map_entry_key_field().kind());
            let value = type_name(&entry.map_entry_value_field().kind());
            format!("map<{key}, {value}>")
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(item) => item.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// The options that are set, each with its value as protobuf's text format writes it.
fn set_options(options: &DynamicMessage) -> Vec<(String, String)> {
    let alone = || DynamicMessage::new(options.descriptor());
    let plain = options.fields().map(|(field, value)| {
        let mut option = alone();
        option.set_field(&field, value.clone());
        (field.name().to_owned(), option.to_text_format())
    });
    let extensions = options.extensions().map(|(extension, value)| {
        let mut option = alone();
        option.set_extension(&extension, value.clone());
        (extension.full_name().to_owned(), option.to_text_format())
    });
    // `deprecated:true` and `[google.api.http]{get:"/v1"}`: the name goes, the value stays.
    let value = |name: &str, text: String| {
        let text = text.trim_start_matches('[').trim_start_matches(name);
        let text = text.trim_start_matches(']').trim_start_matches(':');
        text.to_owned()
    };
    plain
        .chain(extensions)
        .map(|(name, text)| (name.clone(), value(&name, text)))
        .collect()
}
