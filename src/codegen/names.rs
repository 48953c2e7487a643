//! The names that prost and tonic give to what a proto file declares. They come of prost-build's
//! `ident.rs` and tonic-build's `naive_snake_case`, neither of which is public.

use heck::{ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};
use quote::format_ident;

/// The trait of a service: `HTTPRouteService` is `HttpRouteService`.
pub fn service_trait(name: &str) -> Ident {
    sanitized(&name.to_upper_camel_case())
}

/// A module of a service, named after its trait: `http_route_service_server`.
pub fn service_module(name: &str, suffix: &str) -> Ident {
    let service = service_trait(name).to_string();
    let mut module = String::new();
    for (index, letter) in service.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            module.push('_');
        }
        module.push(letter.to_ascii_lowercase());
    }
    format_ident!("{module}_{suffix}")
}

/// The method of an rpc, or the field of a message: `Move` is `r#move`.
pub fn member(name: &str) -> Ident {
    sanitized(&name.to_snake_case())
}

/// Keywords are raw, save those that cannot be.
fn sanitized(name: &str) -> Ident {
    match name {
        "_" | "super" | "self" | "Self" | "extern" | "crate" => format_ident!("{name}_"),
        "gen" => Ident::new_raw(name, Span::call_site()),
        _ if name.starts_with(char::is_numeric) => format_ident!("_{name}"),
        _ => syn::parse_str(name).unwrap_or_else(|_| Ident::new_raw(name, Span::call_site())),
    }
}
