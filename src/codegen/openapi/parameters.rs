//! The parameters of an operation: what the path captures, what the query can say, and headers.

use prost_reflect::FieldDescriptor;
use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Deprecated, Object, Ref, RefOr, Required, Schema, Type};

use super::naming::Location;
use super::schemas::{Purpose, Schemas};
use super::types::{plain, some};
use crate::codegen::annotations::{behavior, deprecated};
use crate::codegen::rules::{Binding, Body, Capture, Role};
use crate::codegen::template::Segment;

const SEVERAL_SEGMENTS: &str = "It can be several segments with `/` between them, or none. OpenAPI \
cannot say so: tools that are made from this document send such a `/` as `%2F`, which is another name, \
and so can only send one segment.";

/// One for each wildcard of the path, with what the supplement says by its name.
pub fn path_parameters(
    binding: &Binding,
    location: &Location,
    schemas: &mut Schemas,
    said: &Value,
) -> Vec<Parameter> {
    let parameters = location.parameters.iter().map(|parameter| {
        let capture = parameter
            .capture
            .and_then(|index| binding.captures.get(index));
        let lone = capture.filter(|capture| capture.variable.end - capture.variable.start == 1);
        let field = lone.and_then(|capture| capture.fields.last());
        let schema = match field {
            Some(field) => unannotated(schemas.field(field, Purpose::Input)),
            None => text(said.get(&parameter.name)).into(),
        };
        let mut description = match (field, capture) {
            (Some(field), _) => schemas.description(field),
            (None, Some(capture)) => {
                let names = location
                    .parameters
                    .iter()
                    .filter(|other| other.capture == parameter.capture);
                let names = names.map(|other| other.name.as_str());
                let whole = resource_name(binding, capture, names);
                format!(
                    "The `{{{}}}` in the resource name `{whole}`.",
                    parameter.name
                )
            }
            (None, None) => String::new(),
        };
        if parameter.rest {
            description = [description.as_str(), SEVERAL_SEGMENTS]
                .join("\n\n")
                .trim()
                .to_owned();
        }
        ParameterBuilder::new()
            .name(&parameter.name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(some(&description))
            .schema(Some(schema))
            .example(example(said.get(&parameter.name)))
            .build()
    });
    parameters.collect()
}

/// The schema of a string, with the pattern of what the supplement says of it.
fn text(said: Option<&Value>) -> Object {
    let pattern = said.and_then(|said| said["pattern"].as_str());
    let mut schema = plain(Type::String, None);
    schema.pattern = pattern.map(str::to_owned);
    schema
}

/// What the supplement says is an example, or has one.
fn example(said: Option<&Value>) -> Option<Value> {
    match said {
        Some(Value::Object(said)) => said.get("example").cloned(),
        said => said.cloned(),
    }
}

/// The part of the path that a capture takes, with the names of its parameters.
fn resource_name<'a>(
    binding: &Binding,
    capture: &Capture,
    mut names: impl Iterator<Item = &'a str>,
) -> String {
    let segments = binding
        .template
        .segments
        .iter()
        .take(capture.variable.end)
        .skip(capture.variable.start);
    let segments = segments.map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::One | Segment::Rest => format!("{{{}}}", names.next().unwrap_or_default()),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Every field that neither path nor body binds (`google/api/http.proto`), with an example from what the supplement
/// says by its name.
pub fn query_parameters(binding: &Binding, schemas: &mut Schemas, said: &Value) -> Vec<Parameter> {
    let mut parameters = vec![];
    let left_out = match &binding.body {
        Body::All => return parameters,
        Body::Field(field) => Some(field),
        Body::None => None,
    };
    let request = binding.rpc.input();
    for field in request.fields().filter(|field| Some(field) != left_out) {
        let mut way = vec![field];
        add_query_parameters(binding, &mut way, schemas, said, &mut parameters);
    }
    parameters
}

/// Adds the field at the end of `way`, or what is inside it. A message is not looked into again
/// inside itself: parameters have no end there.
fn add_query_parameters(
    binding: &Binding,
    way: &mut Vec<FieldDescriptor>,
    schemas: &mut Schemas,
    said: &Value,
    parameters: &mut Vec<Parameter>,
) {
    let Some(field) = way.last() else { return };
    let bound = binding
        .captures
        .iter()
        .any(|capture| capture.fields == *way);
    if bound || behavior(field).output_only {
        return;
    }
    match Role::of(field) {
        Role::Text => parameters.push(query_parameter(way, schemas, said)),
        Role::Message(inner) if !field.is_list() => {
            if way.iter().any(|outer| *outer.parent_message() == inner) {
                return;
            }
            for field in inner.fields() {
                way.push(field);
                add_query_parameters(binding, way, schemas, said, parameters);
                way.pop();
            }
        }
        // Only a body can carry these.
        Role::Message(_) | Role::Opaque => {}
    }
}

fn query_parameter(way: &[FieldDescriptor], schemas: &mut Schemas, said: &Value) -> Parameter {
    let names: Vec<&str> = way.iter().map(FieldDescriptor::json_name).collect();
    let name = names.join(".");
    let required = way.iter().all(|field| behavior(field).required);
    let field = way.last();
    let gone = field.is_some_and(|field| deprecated(&field.options()));
    ParameterBuilder::new()
        .example(example(said.get(&name)))
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if required {
            Required::True
        } else {
            Required::False
        })
        .description(field.and_then(|field| some(&schemas.description(field))))
        .deprecated(gone.then_some(Deprecated::True))
        .schema(field.map(|field| unannotated(schemas.field(field, Purpose::Input))))
        .build()
}

/// Request headers, from names to descriptions, or to objects with one and a pattern.
pub fn header_parameters(headers: &Value) -> Vec<Parameter> {
    let headers = headers.as_object().into_iter().flatten();
    let parameter = |(name, entry): (&String, &Value)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(entry.as_str().or(entry["description"].as_str()))
            .schema(Some(text(Some(entry))))
            .build()
    };
    headers.map(parameter).collect()
}

/// The schema of a parameter, which says for itself what a field's schema would repeat.
pub fn unannotated(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::Ref(reference) => Ref::new(reference.ref_location).into(),
        RefOr::T(Schema::Object(mut object)) => {
            (object.description, object.deprecated, object.extensions) = (None, None, None);
            (object.read_only, object.write_only) = (None, None);
            object.into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            (array.description, array.deprecated, array.extensions) = (None, None, None);
            array.into()
        }
        other => other,
    }
}
