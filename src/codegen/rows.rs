//! Writes the rows: for each HTTP binding one `transcode::Binding`, for each request message a
//! table of its fields, and for each service a function that gives every row its trait method.
//! Rows are data; all behaviour is in `transcode`, which is generic.

use std::error::Error;

use heck::ToShoutySnakeCase;
use proc_macro2::{Ident, TokenStream};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use quote::{format_ident, quote};

use super::annotations::behavior;
use super::names::{member, service_module, service_trait};
use super::rules::{Binding, Body, Capture, Role, Service, is_http_body, reachable};
use super::template::Segment;

/// The Rust source of all rows of one package. `root` is the crate that holds `transcode`.
///
/// # Errors
/// `root` is no Rust path.
pub fn render(root: &str, services: &[&Service]) -> Result<String, Box<dyn Error>> {
    let root: TokenStream = root.parse()?;
    let tables = reachable(services)
        .into_values()
        .map(|message| table(&message));
    let modules = services.iter().map(|service| module(service));
    let file = quote! {
        /// The fields of each message that a request can carry.
        #[allow(non_upper_case_globals)]
        mod tables {
            use #root::transcode::{Field, Kind, Message};
            #(#tables)*
        }
        use #root::transcode;
        #(#modules)*
    };
    Ok(prettyplease::unparse(&syn::parse2(file)?))
}

fn table(message: &MessageDescriptor) -> TokenStream {
    let ident = table_ident(message);
    let name = message.full_name();
    let fields = message.fields().map(|field| {
        let (name, json, number) = (
            field.name().to_owned(),
            field.json_name().to_owned(),
            field.number(),
        );
        let repeated = field.is_list();
        let kind = match Role::of(&field) {
            Role::Text => quote!(Kind::Text),
            Role::Opaque => quote!(Kind::Opaque),
            Role::Message(inner) => {
                let inner = table_ident(&inner);
                quote!(Kind::Message(&#inner))
            }
        };
        let identifier = behavior(&field).identifier.then(|| quote!(.identifier()));
        quote!(Field::new(#number, #name, #json, #repeated, #kind) #identifier)
    });
    quote! {
        pub(super) static #ident: Message = Message { name: #name, fields: &[#(#fields),*] };
    }
}

/// A name that no other message has: case is kept, and since no part of a full name begins with a
/// digit, `_0` can only be an underscore of the name's own.
fn table_ident(message: &MessageDescriptor) -> Ident {
    let name = message.full_name().replace('_', "_0").replace('.', "_");
    format_ident!("{name}")
}

fn module(service: &Service) -> TokenStream {
    let name = service.descriptor.name();
    let module = service_module(name, "http");
    let server = service_module(name, "server");
    let service_trait = service_trait(name);
    let doc = format!("HTTP rows of `{}`.", service.descriptor.full_name());
    let rows = service.bindings.iter().enumerate().map(row);
    let rpcs = rpcs(service);
    let count = service.bindings.len();
    let routes = service.bindings.iter().enumerate().map(|(index, binding)| {
        let method = member(binding.rpc.name());
        let raw = raw_reply(binding);
        let shape = match (binding.rpc.is_server_streaming(), &raw) {
            (false, None) => quote!(unary),
            (false, Some(_)) => quote!(unary_raw),
            (true, None) => quote!(streaming),
            (true, Some(_)) => quote!(streaming_raw),
        };
        let raw = raw.into_iter();
        quote! {
            transcode::Route::#shape(&BINDINGS[#index], &service, |service, request| async move {
                service.#method(request).await
            } #(, #raw)*)
        }
    });
    quote! {
        #[doc = #doc]
        pub mod #module {
            use super::{#server::#service_trait, tables, transcode};
            use std::sync::Arc;
            use transcode::{Binding, Body, Capture, Segment};

            /// What `Binding::rpc` says of each rpc that has a row.
            #[allow(dead_code)]
            pub mod rpcs {
                #(#rpcs)*
            }

            /// Every row, in the order of the proto.
            pub static BINDINGS: [Binding; #count] = [#(#rows),*];

            /// Every row with the method of `service` that answers it.
            pub fn routes<S: #service_trait>(service: Arc<S>) -> Vec<transcode::Route> {
                vec![#(#routes),*]
            }
        }
    }
}

/// A constant for each rpc with a row: who names one that is gone does not compile.
fn rpcs(service: &Service) -> Vec<TokenStream> {
    let mut rpcs: Vec<&MethodDescriptor> = service.bindings.iter().map(|row| &row.rpc).collect();
    rpcs.dedup();
    let constant = |rpc: &MethodDescriptor| {
        let ident = format_ident!("{}", rpc.name().to_shouty_snake_case());
        let name = full_name(rpc);
        quote!(pub const #ident: &str = #name;)
    };
    rpcs.into_iter().map(constant).collect()
}

/// `package.Service/Method`, as gRPC spells it.
fn full_name(rpc: &MethodDescriptor) -> String {
    format!("{}/{}", rpc.parent_service().full_name(), rpc.name())
}

fn row((index, binding): (usize, &Binding)) -> TokenStream {
    let rpc = full_name(&binding.rpc);
    let (method, path) = (&binding.method, &binding.path);
    let segments = binding
        .template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => quote!(Segment::Literal(#text)),
            Segment::One => quote!(Segment::One),
            Segment::Rest => quote!(Segment::Rest),
        });
    let verb = match &binding.template.verb {
        Some(verb) => quote!(Some(#verb)),
        None => quote!(None),
    };
    let captures = binding.captures.iter().map(capture);
    let request = table_ident(&binding.rpc.input());
    let body = body(binding);
    let response_body = match &binding.response_body {
        Some(field) if !is_one_http_body(field) => {
            let (name, unset) = (field.json_name(), unset(field));
            quote!(Some(transcode::Selected { name: #name, unset: #unset }))
        }
        _ => quote!(None),
    };
    let mask = match &binding.mask {
        Some(mask) => {
            let (field, resource) = (field_reference(&mask.field), table_ident(&mask.resource));
            quote!(Some(transcode::Mask { field: &#field, resource: &tables::#resource }))
        }
        None => quote!(None),
    };
    quote! {
        Binding {
            index: #index,
            rpc: #rpc,
            method: #method,
            template: #path,
            segments: &[#(#segments),*],
            verb: #verb,
            captures: &[#(#captures),*],
            request: &tables::#request,
            body: #body,
            response_body: #response_body,
            mask: #mask,
        }
    }
}

/// What ProtoJSON says of a field that is not set, where something has to be said.
fn unset(field: &FieldDescriptor) -> String {
    match field.kind() {
        _ if field.is_list() => "[]".to_owned(),
        _ if field.is_map() => "{}".to_owned(),
        _ if field.supports_presence() => "null".to_owned(),
        Kind::Bool => "false".to_owned(),
        Kind::String | Kind::Bytes => "\"\"".to_owned(),
        Kind::Enum(of) => format!("{:?}", of.default_value().name()),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
            "\"0\"".to_owned()
        }
        _ => "0".to_owned(),
    }
}

fn body(binding: &Binding) -> TokenStream {
    match &binding.body {
        Body::None => quote!(Body::None),
        Body::All if is_http_body(&binding.rpc.input()) => raw_body(&binding.rpc.input(), &[]),
        Body::All => quote!(Body::All),
        Body::Field(field) => match field.kind() {
            Kind::Message(message) if is_one_http_body(field) => {
                raw_body(&message, &[field_reference(field)])
            }
            _ => {
                let field = field_reference(field);
                quote!(Body::Field(&#field))
            }
        },
    }
}

/// The field is one `HttpBody`, not a list of them.
fn is_one_http_body(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if is_http_body(&message)) && !field.is_list()
}

/// A body of bytes for `message`, an `HttpBody`, inside the fields `around`.
fn raw_body(message: &MessageDescriptor, around: &[TokenStream]) -> TokenStream {
    let inside = |name: &str| {
        let field = message.get_field_by_name(name);
        let path = around
            .iter()
            .cloned()
            .chain(field.as_ref().map(field_reference));
        quote!(&[#(&#path),*])
    };
    let (content_type, data) = (inside("content_type"), inside("data"));
    quote!(Body::Raw { content_type: #content_type, data: #data })
}

/// Takes the `HttpBody` out of a reply, where the answer is one.
fn raw_reply(binding: &Binding) -> Option<TokenStream> {
    match &binding.response_body {
        None if is_http_body(&binding.rpc.output()) => Some(quote!(Some)),
        Some(field) if is_one_http_body(field) => {
            let name = member(field.name());
            Some(quote!(|reply| reply.#name))
        }
        _ => None,
    }
}

fn capture(capture: &Capture) -> TokenStream {
    let (start, end) = (capture.variable.start, capture.variable.end);
    let multi = capture.variable.multi;
    let path = capture.fields.iter().map(field_reference);
    quote!(Capture { path: &[#(&#path),*], start: #start, end: #end, multi: #multi })
}

/// The place of a field in its message's table.
fn field_reference(field: &FieldDescriptor) -> TokenStream {
    let message = field.parent_message();
    let table = table_ident(message);
    let index = message
        .fields()
        .take_while(|other| *other != *field)
        .count();
    quote!(tables::#table.fields[#index])
}
