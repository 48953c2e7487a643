//! What ProtoJSON makes of single values: scalars and the well-known types. Knows nothing of
//! messages of anybody's own.

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, ArrayBuilder, Object, ObjectBuilder, SchemaFormat,
    SchemaType,
};
use utoipa::openapi::{Deprecated, RefOr, Schema, Type};

use crate::codegen::annotations::{behavior, deprecated};

/// ProtoJSON's duration. It is not JSON Schema's format `duration`, which is `PT30M`.
const DURATION: &str = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$";

/// The schema of a scalar. Enums and messages are no scalars; they get one that says nothing.
pub fn scalar(kind: &Kind) -> Object {
    match kind {
        Kind::Double => plain(Type::Number, Some("double")),
        Kind::Float => plain(Type::Number, Some("float")),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => plain(Type::Integer, Some("int32")),
        Kind::Uint32 | Kind::Fixed32 => ObjectBuilder::from(plain(Type::Integer, Some("uint32")))
            .minimum(Some(0))
            .build(),
        // JavaScript's numbers end at 2^53.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => plain(Type::String, Some("int64")),
        Kind::Uint64 | Kind::Fixed64 => plain(Type::String, Some("uint64")),
        Kind::Bool => plain(Type::Boolean, None),
        Kind::String => plain(Type::String, None),
        Kind::Bytes => ObjectBuilder::from(plain(Type::String, None))
            .content_encoding("base64")
            .build(),
        Kind::Message(_) | Kind::Enum(_) => Object::with_type(SchemaType::AnyValue),
    }
}

/// The schema of `google.protobuf.NAME`.
pub fn well_known(name: &str) -> RefOr<Schema> {
    let any = || Object::with_type(SchemaType::AnyValue);
    let free = Some(AdditionalProperties::FreeForm(true));
    match name {
        "Timestamp" => plain(Type::String, Some("date-time")).into(),
        "Duration" => ObjectBuilder::from(plain(Type::String, None))
            .pattern(Some(DURATION))
            .examples([json!("1800s")])
            .into(),
        "FieldMask" => plain(Type::String, None).into(),
        "Struct" => ObjectBuilder::new().additional_properties(free).into(),
        "Value" => any().into(),
        "ListValue" => ArrayBuilder::new().items(any()).into(),
        "Any" => ObjectBuilder::new()
            .property("@type", plain(Type::String, None))
            .required("@type")
            .additional_properties(free)
            .into(),
        "DoubleValue" => scalar(&Kind::Double).into(),
        "FloatValue" => scalar(&Kind::Float).into(),
        "Int64Value" => scalar(&Kind::Int64).into(),
        "UInt64Value" => scalar(&Kind::Uint64).into(),
        "Int32Value" => scalar(&Kind::Int32).into(),
        "UInt32Value" => scalar(&Kind::Uint32).into(),
        "BoolValue" => scalar(&Kind::Bool).into(),
        "StringValue" => scalar(&Kind::String).into(),
        "BytesValue" => scalar(&Kind::Bytes).into(),
        _ => Object::new().into(),
    }
}

/// A schema of a JSON type.
pub fn plain(json: Type, format: Option<&str>) -> Object {
    let format = format.map(|format| SchemaFormat::Custom(format.to_owned()));
    ObjectBuilder::new()
        .schema_type(json)
        .format(format)
        .build()
}

/// The schema with what a field's annotations and its description add to it.
///
/// OpenAPI has words for what only one side may send; for IMMUTABLE there is
/// `x-google-field-behavior`. The model keeps other keywords in a map without order, so no schema
/// gets more than one of them.
pub fn annotated(
    schema: RefOr<Schema>,
    field: &FieldDescriptor,
    description: &str,
) -> RefOr<Schema> {
    let behavior = behavior(field);
    let read_only = (behavior.output_only || behavior.identifier).then_some(true);
    let write_only = behavior.input_only.then_some(true);
    let deprecated = deprecated(&field.options()).then_some(Deprecated::True);
    let immutable = || Extensions::from_iter([("x-google-field-behavior", json!(["IMMUTABLE"]))]);
    match schema {
        RefOr::Ref(mut reference) => {
            description.clone_into(&mut reference.description);
            (reference.read_only, reference.write_only) = (read_only, write_only);
            match deprecated {
                None => reference.into(),
                Some(_) => AllOfBuilder::new()
                    .item(reference)
                    .extensions(Some(Extensions::from_iter([("deprecated", true)])))
                    .into(),
            }
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = some(description);
            array.deprecated = deprecated;
            array.extensions = match (read_only, write_only) {
                (Some(_), _) => Some(Extensions::from_iter([("readOnly", true)])),
                (None, Some(_)) => Some(Extensions::from_iter([("writeOnly", true)])),
                (None, None) => behavior.immutable.then(immutable),
            };
            array.into()
        }
        RefOr::T(Schema::Object(mut object)) => {
            object.description = some(description);
            object.deprecated = deprecated;
            object.read_only = read_only;
            object.write_only = write_only;
            object.extensions = behavior.immutable.then(immutable);
            object.into()
        }
        other => other,
    }
}

/// Text that is left out where it is empty.
pub fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
