//! Writes the rows: for each HTTP binding one `transcode::Binding`, for each request message a
//! table of its fields, and for each service a function that gives every row its trait method.
//! Rows are data; all behaviour is in `transcode`, which is generic.

use std::error::Error;

use proc_macro2::{Ident, Span, TokenStream};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use quote::{format_ident, quote};

use super::annotations::behavior;
use super::rules::{Binding, Body, Capture, Role, Service, reachable};
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
    let modules = services.iter().map(|service| service_module(service));
    let file = quote! {
        /// The fields of each message that a request can carry.
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

fn table_ident(message: &MessageDescriptor) -> Ident {
    format_ident!("{}", message.full_name().replace('.', "_").to_uppercase())
}

fn service_module(service: &Service) -> TokenStream {
    let name = service.descriptor.name();
    let module = format_ident!("{}_http", snake(name));
    let server = format_ident!("{}_server", snake(name));
    let service_trait = format_ident!("{name}");
    let doc = format!("HTTP rows of `{}`.", service.descriptor.full_name());
    let rows = service.bindings.iter().map(row);
    let count = service.bindings.len();
    let routes = service.bindings.iter().enumerate().map(|(index, binding)| {
        let method = format_ident!("{}", snake(binding.rpc.name()));
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

            /// Every row, in the order of the proto.
            pub static BINDINGS: [Binding; #count] = [#(#rows),*];

            /// Every row with the method of `service` that answers it.
            pub fn routes<S: #service_trait>(service: Arc<S>) -> Vec<transcode::Route> {
                vec![#(#routes),*]
            }
        }
    }
}

fn row(binding: &Binding) -> TokenStream {
    let rpc = format!(
        "{}/{}",
        binding.rpc.parent_service().full_name(),
        binding.rpc.name()
    );
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
        Some(field) if !is_http_body(field) => {
            let (name, unset) = (field.json_name(), unset(field));
            quote!(Some(transcode::Selected { name: #name, unset: #unset }))
        }
        _ => quote!(None),
    };
    let mask = match &binding.mask {
        Some(field) => {
            let field = field_reference(field);
            quote!(Some(&#field))
        }
        None => quote!(None),
    };
    quote! {
        Binding {
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
        Body::All if binding.rpc.input().full_name() == HTTP_BODY => {
            raw_body(&binding.rpc.input(), &[])
        }
        Body::All => quote!(Body::All),
        Body::Field(field) => match field.kind() {
            Kind::Message(message) if is_http_body(field) => {
                raw_body(&message, &[field_reference(field)])
            }
            _ => {
                let field = field_reference(field);
                quote!(Body::Field(&#field))
            }
        },
    }
}

/// A message whose JSON form HTTP does not show: its bytes are the body (`google/api/httpbody.proto`).
const HTTP_BODY: &str = "google.api.HttpBody";

fn is_http_body(field: &FieldDescriptor) -> bool {
    let message = match field.kind() {
        Kind::Message(message) => message,
        _ => return false,
    };
    message.full_name() == HTTP_BODY && !field.is_list()
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
        None if binding.rpc.output().full_name() == HTTP_BODY => Some(quote!(Some)),
        Some(field) if is_http_body(field) => {
            let name = snake(field.name());
            let name = syn::parse_str::<Ident>(&name)
                .unwrap_or_else(|_| Ident::new_raw(&name, Span::call_site()));
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

/// `LibraryService` as Rust modules and methods spell it: `library_service`. Agrees with what
/// tonic makes of the same names.
pub fn snake(name: &str) -> String {
    let mut snake = String::new();
    let characters: Vec<char> = name.chars().collect();
    for (index, c) in characters.iter().enumerate() {
        let after_lower = index > 0 && !characters[index - 1].is_uppercase();
        let before_lower = characters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && index > 0 && (after_lower || before_lower) && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
