//! Rows: what the generator writes for each HTTP rule, as plain static data.

/// One HTTP rule of one rpc.
#[derive(Debug)]
pub struct Binding {
    /// Its place among the rows of its service.
    pub index: usize,
    /// `package.Service/Method`, as gRPC spells it.
    pub rpc: &'static str,
    /// The HTTP method; `*` is any (`HttpRule.custom`).
    pub method: &'static str,
    /// The template as the proto has it, for people.
    pub template: &'static str,
    /// The path's segments, without the verb.
    pub segments: &'static [Segment],
    /// What follows a `:` after the last segment.
    pub verb: Option<&'static str>,
    /// The template's variables, in their order.
    pub captures: &'static [Capture],
    /// The fields of the request message.
    pub request: &'static Message,
    /// Where the request's body goes.
    pub body: Body,
    /// The one field of the response that is sent (`HttpRule.response_body`). Not for a
    /// `google.api.HttpBody`, which a route takes out of the reply itself.
    pub response_body: Option<Selected>,
    /// The FieldMask that a PATCH without one takes from the keys of its body (AIP-134), save those
    /// that name the resource. Where there is one, the body is [`Body::Field`].
    pub mask: Option<Mask>,
}

/// A FieldMask of a request, and the message whose fields it names.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    /// The field of the request that is the FieldMask.
    pub field: &'static Field,
    /// The message that the body is.
    pub resource: &'static Message,
}

/// One segment of a path template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// Exactly this text, percent-decoded.
    Literal(&'static str),
    /// `*`: any one segment that is not empty.
    One,
    /// `**`: all that is left, which may be nothing.
    Rest,
}

/// A variable of a template: the field it binds, and the segments `start..end` it takes.
#[derive(Debug)]
pub struct Capture {
    /// From the request message to the field.
    pub path: &'static [&'static Field],
    /// The first segment that it takes.
    pub start: usize,
    /// The segment behind its last; a `**` before it takes all that is left.
    pub end: usize,
    /// It can hold more than one segment, so `%2F` in it stays encoded (`google/api/http.proto`).
    pub multi: bool,
}

/// Where a request's body goes.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// Nowhere: a body that says anything is refused.
    None,
    /// `body: "*"`: it is the message, but for what the path binds.
    All,
    /// It is this field.
    Field(&'static Field),
    /// It is no JSON, but the bytes of a `google.api.HttpBody`: these fields take what it calls
    /// itself, and the bytes.
    Raw {
        /// From the request message to `HttpBody.content_type`.
        content_type: &'static [&'static Field],
        /// From the request message to `HttpBody.data`.
        data: &'static [&'static Field],
    },
}

/// A field of a response that is sent in place of the whole.
#[derive(Clone, Copy, Debug)]
pub struct Selected {
    /// Its name in JSON.
    pub name: &'static str,
    /// What is sent where it is not set, as JSON.
    pub unset: &'static str,
}

/// A message's fields, in the order of the proto.
#[derive(Debug)]
pub struct Message {
    /// Its full name: `package.Message`.
    pub name: &'static str,
    /// One for each field, oneofs' members included.
    pub fields: &'static [Field],
}

/// What URL text needs to know of a field.
#[derive(Debug)]
pub struct Field {
    /// Its name in the proto: `page_size`.
    pub name: &'static str,
    /// Its name in JSON: `pageSize`.
    pub json: &'static str,
    /// Its number, which no other field of its message has.
    pub number: u32,
    /// It is a list; a map is [`Kind::Opaque`] instead.
    pub repeated: bool,
    /// Its kind; that of its elements, where it is repeated.
    pub kind: Kind,
    /// It names the resource it stands in (`google.api.field_behavior` = IDENTIFIER, AIP-203).
    pub identifier: bool,
}

/// What URL text can do with a field.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It has a text form: scalars, enums, and the well-known types that ProtoJSON writes as one value,
    /// which are `Timestamp`, `Duration`, `FieldMask` and the wrappers (`StringValue` and so on).
    Text,
    /// It is addressed through its own fields.
    Message(&'static Message),
    /// Only a body can carry it: maps, `Struct`, `Value`, `ListValue` and `Any`.
    Opaque,
}

impl Field {
    /// A row's field; `json` is its JSON name.
    #[must_use]
    pub const fn new(
        number: u32,
        name: &'static str,
        json: &'static str,
        repeated: bool,
        kind: Kind,
    ) -> Self {
        Self {
            name,
            json,
            number,
            repeated,
            kind,
            identifier: false,
        }
    }

    /// The same field as the name of the resource it stands in.
    #[must_use]
    pub const fn identifier(self) -> Self {
        Self {
            identifier: true,
            ..self
        }
    }
}

impl Message {
    /// The field of this name, in either spelling.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields
            .iter()
            .find(|field| field.json == name || field.name == name)
    }
}

impl PartialEq for Field {
    /// Fields are compared within one message only, where the number identifies them.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Field {}
