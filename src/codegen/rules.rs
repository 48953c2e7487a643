//! Reads the HTTP rules of annotated services: from descriptors to a checked model that the rows,
//! the OpenAPI document and the route listing are all made from. What cannot work at run time is
//! refused here, naming the rpc.

use std::collections::BTreeMap;
use std::fmt;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor, Value,
};

use super::template::{Claim, Template, Variable, conflict};

/// A service with at least one HTTP rule.
#[derive(Debug)]
pub struct Service {
    pub descriptor: ServiceDescriptor,
    pub bindings: Vec<Binding>,
}

/// One HTTP rule of an rpc: its own, or one of its `additional_bindings`.
#[derive(Debug)]
pub struct Binding {
    pub rpc: MethodDescriptor,
    /// `GET`, …, or the `kind` of a custom pattern; `*` is any method.
    pub method: String,
    /// The template as written in the proto.
    pub path: String,
    pub template: Template,
    /// One for each variable of the template, in order.
    pub captures: Vec<Capture>,
    pub body: Body,
    pub response_body: Option<FieldDescriptor>,
    /// The FieldMask that a PATCH without one takes from the keys of its body.
    pub mask: Option<Mask>,
}

/// A FieldMask of a request, and the message whose fields it names.
#[derive(Debug)]
pub struct Mask {
    pub field: FieldDescriptor,
    pub resource: MessageDescriptor,
}

/// A template's variable and the fields that lead to where it is bound.
#[derive(Debug)]
pub struct Capture {
    pub variable: Variable,
    pub fields: Vec<FieldDescriptor>,
}

/// Where the request's body goes.
#[derive(Debug)]
pub enum Body {
    None,
    /// `body: "*"`: every field that the path does not bind.
    All,
    Field(FieldDescriptor),
}

/// A rule that cannot work, and whose it is.
#[derive(Debug)]
pub struct RuleError {
    pub rpc: String,
    pub what: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc {}: {}", self.rpc, self.what)
    }
}

impl std::error::Error for RuleError {}

/// All annotated services of the pool in the given packages, checked one by one and against each other.
///
/// # Errors
/// A malformed template, a field that is missing or of a kind that cannot be bound, or two rpcs
/// that claim the same requests.
pub fn services(pool: &DescriptorPool, packages: &[&str]) -> Result<Vec<Service>, RuleError> {
    let mut services = vec![];
    for descriptor in pool
        .services()
        .filter(|service| packages.contains(&service.package_name()))
    {
        let mut bindings = vec![];
        for rpc in descriptor.methods() {
            let refused = |what| RuleError {
                rpc: rpc.full_name().to_owned(),
                what,
            };
            for rule in rules(&rpc).map_err(refused)? {
                bindings.push(Binding::new(&rpc, &rule).map_err(refused)?);
            }
        }
        if !bindings.is_empty() {
            services.push(Service {
                descriptor,
                bindings,
            });
        }
    }
    refuse_conflicts(&services)?;
    Ok(services)
}

fn refuse_conflicts(services: &[Service]) -> Result<(), RuleError> {
    match conflict(&claims(services)) {
        None => Ok(()),
        Some((first, second)) => Err(RuleError {
            rpc: second.owner.to_owned(),
            what: format!(
                "claims the same {} requests as {}",
                second.method, first.owner
            ),
        }),
    }
}

/// What the rules of the services claim, each for its rpc.
#[must_use]
pub fn claims(services: &[Service]) -> Vec<Claim<'_>> {
    let bindings = services.iter().flat_map(|service| &service.bindings);
    bindings
        .map(|binding| Claim {
            owner: binding.rpc.full_name(),
            method: &binding.method,
            template: &binding.template,
        })
        .collect()
}

/// The HTTP rule of an rpc and its additional bindings; empty where it is not annotated.
fn rules(rpc: &MethodDescriptor) -> Result<Vec<DynamicMessage>, String> {
    let pool = rpc.parent_pool();
    let Some(extension) = pool.get_extension_by_name("google.api.http") else {
        return Ok(vec![]);
    };
    let options = rpc.options();
    if !options.has_extension(&extension) {
        return Ok(vec![]);
    }
    let Value::Message(rule) = options.get_extension(&extension).into_owned() else {
        return Ok(vec![]);
    };
    let additional = rule
        .get_field_by_name("additional_bindings")
        .map(|list| list.into_owned());
    let additional = additional
        .as_ref()
        .and_then(Value::as_list)
        .unwrap_or_default();
    let additional = additional.iter().filter_map(Value::as_message).cloned();
    let mut rules: Vec<DynamicMessage> = additional.collect();
    if rules
        .iter()
        .any(|rule| present(rule, "additional_bindings").is_some())
    {
        return Err(
            "additional_bindings must not have additional_bindings of their own".to_owned(),
        );
    }
    rules.insert(0, rule);
    Ok(rules)
}

impl Binding {
    fn new(rpc: &MethodDescriptor, rule: &DynamicMessage) -> Result<Self, String> {
        if rpc.is_client_streaming() {
            return Err("a client-streaming rpc cannot have an HTTP rule".to_owned());
        }
        let (method, path) = pattern(rule)?;
        let template =
            Template::parse(&path).map_err(|error| format!("template `{path}`: {error}"))?;
        let request = rpc.input();
        let captures = captures(&request, &template)?;
        let body = body(&request, rule, &captures)?;
        let response_body = match text(rule, "response_body") {
            None => None,
            Some(name) => Some(field(&rpc.output(), &name, "response_body")?),
        };
        let mask = implied_mask(&request, &method, &body, &captures);
        Ok(Self {
            rpc: rpc.clone(),
            method,
            path,
            template,
            captures,
            body,
            response_body,
            mask,
        })
    }
}

/// The method and the template of a rule.
fn pattern(rule: &DynamicMessage) -> Result<(String, String), String> {
    for name in ["get", "put", "post", "delete", "patch"] {
        if let Some(path) = present(rule, name) {
            return Ok((
                name.to_uppercase(),
                path.as_str().unwrap_or_default().to_owned(),
            ));
        }
    }
    let custom = present(rule, "custom");
    let custom = custom.as_ref().and_then(Value::as_message);
    let custom =
        custom.ok_or("the HTTP rule names no method (get, put, post, delete, patch or custom)")?;
    let kind = text(custom, "kind").ok_or("the custom HTTP rule has no `kind`")?;
    if !kind
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    {
        return Err(format!(
            "`{kind}` is not an HTTP method (RFC 9110, section 9.1)"
        ));
    }
    Ok((kind, text(custom, "path").unwrap_or_default()))
}

fn present(message: &DynamicMessage, name: &str) -> Option<Value> {
    let set = message.has_field_by_name(name);
    set.then(|| {
        message
            .get_field_by_name(name)
            .map(|value| value.into_owned())
    })
    .flatten()
}

fn text(message: &DynamicMessage, name: &str) -> Option<String> {
    present(message, name)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn captures(request: &MessageDescriptor, template: &Template) -> Result<Vec<Capture>, String> {
    template
        .variables
        .iter()
        .map(|variable| {
            let fields = field_path(request, &variable.path)?;
            Ok(Capture {
                variable: variable.clone(),
                fields,
            })
        })
        .collect()
}

/// The fields that a path variable names; the last one must be a single value with a text form.
fn field_path(
    request: &MessageDescriptor,
    path: &[String],
) -> Result<Vec<FieldDescriptor>, String> {
    let mut fields: Vec<FieldDescriptor> = vec![];
    let mut message = request.clone();
    for (depth, name) in path.iter().enumerate() {
        let field = field(&message, name, "the path")?;
        let last = depth + 1 == path.len();
        match (Role::of(&field), last) {
            (Role::Text, true) if !field.is_list() => {}
            (Role::Message(inner), false) if !field.is_list() => message = inner,
            (_, true) => {
                return Err(format!(
                    "`{}` cannot be bound by the path: it is no single value",
                    path.join(".")
                ));
            }
            (_, false) => {
                return Err(format!(
                    "`{}` in `{}` has no fields to bind",
                    name,
                    path.join(".")
                ));
            }
        }
        fields.push(field);
    }
    Ok(fields)
}

fn body(
    request: &MessageDescriptor,
    rule: &DynamicMessage,
    captures: &[Capture],
) -> Result<Body, String> {
    match text(rule, "body").as_deref() {
        None => Ok(Body::None),
        Some("*") => Ok(Body::All),
        Some(name) => {
            let field = field(request, name, "body")?;
            if captures
                .iter()
                .any(|capture| capture.fields == [field.clone()])
            {
                return Err(format!(
                    "`{name}` is bound by the path and cannot be the body too"
                ));
            }
            Ok(Body::Field(field))
        }
    }
}

fn field(message: &MessageDescriptor, name: &str, place: &str) -> Result<FieldDescriptor, String> {
    message.get_field_by_name(name).ok_or_else(|| {
        format!(
            "{place} names the field `{name}`, which {} does not have",
            message.full_name()
        )
    })
}

/// AIP-134: a PATCH of a resource takes its `update_mask` from the body's keys. A FieldMask of another
/// name is it only where it is the only one, and never a `read_mask` (AIP-157).
fn implied_mask(
    request: &MessageDescriptor,
    method: &str,
    body: &Body,
    captures: &[Capture],
) -> Option<Mask> {
    let Body::Field(body) = body else {
        return None;
    };
    let Role::Message(resource) = Role::of(body) else {
        return None;
    };
    if method != "PATCH" || body.is_list() || is_http_body(&resource) {
        return None;
    }
    let is_mask = |field: &FieldDescriptor| {
        let is_one = matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask");
        is_one && !field.is_list()
    };
    let masks: Vec<FieldDescriptor> = request.fields().filter(is_mask).collect();
    let named = masks.iter().find(|mask| mask.name() == "update_mask");
    let field = match (named, masks.as_slice()) {
        (Some(field), _) => field,
        (None, [field]) if field.name() != "read_mask" => field,
        _ => return None,
    };
    let mut bound = captures.iter().map(|capture| capture.fields.first());
    (!bound.any(|first| first == Some(field))).then(|| Mask {
        field: field.clone(),
        resource,
    })
}

/// A message whose JSON form HTTP does not show: its bytes are the body (`google/api/httpbody.proto`).
#[must_use]
pub fn is_http_body(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

/// What URL text can do with a field.
#[derive(Clone, Debug)]
pub enum Role {
    /// It has a text form: scalars, enums, and well-known types that ProtoJSON writes as one value.
    Text,
    /// It is addressed through its own fields.
    Message(MessageDescriptor),
    /// Only a body can carry it: maps and free-form values.
    Opaque,
}

impl Role {
    /// The role of a field; of its elements, where it is repeated.
    #[must_use]
    pub fn of(field: &FieldDescriptor) -> Self {
        if field.is_map() {
            return Self::Opaque;
        }
        let Kind::Message(message) = field.kind() else {
            return Self::Text;
        };
        let name = message.full_name();
        match name.strip_prefix("google.protobuf.") {
            None | Some("Empty") => Self::Message(message),
            Some("Struct" | "Value" | "ListValue" | "Any") => Self::Opaque,
            Some("Timestamp" | "Duration" | "FieldMask") => Self::Text,
            Some(wrapper) if wrapper.ends_with("Value") => Self::Text,
            // Descriptors of APIs and the like, which nobody writes into a URL.
            Some(_) => Self::Opaque,
        }
    }
}

/// Every message that the bindings' requests can reach, by full name.
#[must_use]
pub fn reachable(services: &[&Service]) -> BTreeMap<String, MessageDescriptor> {
    let bindings = services.iter().flat_map(|service| &service.bindings);
    let mut open: Vec<MessageDescriptor> = bindings.map(|binding| binding.rpc.input()).collect();
    let mut found = BTreeMap::new();
    while let Some(message) = open.pop() {
        let fields = message.fields();
        if found
            .insert(message.full_name().to_owned(), message.clone())
            .is_none()
        {
            open.extend(fields.filter_map(|field| match Role::of(&field) {
                Role::Message(inner) => Some(inner),
                Role::Text | Role::Opaque => None,
            }));
        }
    }
    found
}
