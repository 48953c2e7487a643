//! Writes the rows: for each HTTP binding one `transcode::Binding`, for each request message a
//! table of its fields, and for each service a function that gives every row its trait method.
//! Rows are data; all behaviour is in `transcode`, which is generic.

use std::error::Error;

use proc_macro2::TokenStream;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use quote::{format_ident, quote};

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
        quote!(Field::new(#number, #name, #json, #repeated, #kind))
    });
    quote! {
        pub(super) static #ident: Message = Message { name: #name, fields: &[#(#fields),*] };
    }
}

fn table_ident(message: &MessageDescriptor) -> proc_macro2::Ident {
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
        let shape = if binding.rpc.is_server_streaming() {
            quote!(streaming)
        } else {
            quote!(unary)
        };
        quote! {
            transcode::Route::#shape(&BINDINGS[#index], &service, |service, request| async move {
                service.#method(request).await
            })
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
    let body = match &binding.body {
        Body::None => quote!(Body::None),
        Body::All => quote!(Body::All),
        Body::Field(field) => {
            let field = field_reference(field);
            quote!(Body::Field(&#field))
        }
    };
    let response_body = match &binding.response_body {
        Some(field) => {
            let json = field.json_name();
            quote!(Some(#json))
        }
        None => quote!(None),
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

fn capture(capture: &Capture) -> TokenStream {
    let (start, end) = (capture.variable.start, capture.variable.end);
    let multi = capture.variable.multi;
    let path = capture.fields.iter().map(field_reference);
    quote!(Capture { path: &[#(&#path),*], start: #start, end: #end, multi: #multi })
}

/// The place of a field in its message's table.
fn field_reference(field: &FieldDescriptor) -> TokenStream {
    let message = field.parent_message();
    let table = table_ident(&message);
    let index = message.fields().take_while(|other| *other != *field).count();
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
