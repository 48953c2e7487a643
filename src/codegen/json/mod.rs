//! BUILD TIME ONLY. Writes the serde implementations of messages: pbjson-build generates them,
//! and what it does differently from ProtoJSON is mended here, in its syntax tree. Knows the shape
//! of pbjson-build's output and the kinds of `proto::json`; nothing else.
//!
//! pbjson's frame stays: which types get an implementation, the names of fields in both spellings,
//! when a field is written, save that -0 is no default. Two things are replaced, each by one rule for
//! all fields: the code that writes a field's value, and the code that reads it ([`messages`]). What
//! they become follows from the field's descriptor ([`messages::Frame::kind`]). Enums also learn the aliases of their values
//! ([`enums`]).
//!
//! Whatever is not found where it is expected fails the build, with the name of the type.

mod enums;
mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use prost_reflect::DescriptorPool;
use quote::ToTokens;
use syn::ItemImpl;

type Mended<T> = Result<T, Box<dyn Error>>;

/// Writes `<package>.serde.rs` into `out_dir` for each of `packages`.
///
/// `descriptor_bytes` is the encoded file descriptor set that `pool` was made from. `root` is the
/// Rust path of the module that holds `json`, `wkt` (for `google.protobuf`) and, each under its own
/// name, the packages that are not generated here: `crate::proto`, or from other crates
/// `::jumpstarter_gateway::proto`. `emit_defaults` is ProtoJSON's option whether a field without
/// presence is written when it has its default value. Map fields must be `BTreeMap`s.
///
/// # Errors
///
/// When the output of pbjson-build is not what this room knows.
pub fn generate(
    pool: &DescriptorPool,
    descriptor_bytes: &[u8],
    packages: &[&str],
    root: &str,
    emit_defaults: bool,
    out_dir: &Path,
) -> Mended<()> {
    let mut builder = pbjson_build::Builder::new();
    builder.register_descriptors(descriptor_bytes)?;
    builder.btree_map(["."]);
    if emit_defaults {
        builder.emit_fields();
    }
    let known: BTreeSet<_> = pool
        .files()
        .map(|file| file.package_name().to_owned())
        .collect();
    for package in known
        .iter()
        .filter(|package| !packages.contains(&package.as_str()))
    {
        let module = match package.as_str() {
            "google.protobuf" => "wkt".to_owned(),
            package => package.replace('.', "::"),
        };
        builder.extern_path(format!(".{package}"), format!("{root}::{module}"));
    }
    let json = syn::parse_str(&format!("{root}::json"))?;
    for package in packages {
        let generated = builder.generate(&[format!(".{package}")], |_| Ok(Vec::new()))?;
        // A prefix also selects the packages below it; a package may have no messages at all.
        let text = generated
            .into_iter()
            .find(|(found, _)| found.to_string() == *package);
        let text = String::from_utf8(text.map_or_else(Vec::new, |(_, text)| text))?;
        let mended = mend(&text, pool, package, &json)
            .map_err(|reason| format!("pbjson-build's output for {package}: {reason}"))?;
        std::fs::write(out_dir.join(format!("{package}.serde.rs")), mended)?;
    }
    Ok(())
}

/// Mends the implementations of one package. `json` is the Rust path of `proto::json`.
fn mend(text: &str, pool: &DescriptorPool, package: &str, json: &syn::Path) -> Mended<String> {
    let mut file = syn::parse_file(text)?;
    let mut messages = BTreeMap::new();
    for written in implementations(&mut file, "Serialize") {
        if let Some(name) = messages::written_message(written) {
            let message = pool.get_message_by_name(&name);
            let message = message.ok_or_else(|| format!("{name} is no message"))?;
            let frames = messages::mend_writing(written, &message, json)
                .map_err(|reason| format!("writing {name}: {reason}"))?;
            messages.insert(type_of(written), (name, frames));
        }
    }
    for read in implementations(&mut file, "Deserialize") {
        if let Some((name, frames)) = messages.remove(&type_of(read)) {
            messages::mend_reading(read, frames, json)
                .map_err(|reason| format!("reading {name}: {reason}"))?;
        }
    }
    if let Some((name, _)) = messages.values().next() {
        return Err(format!("{name} is written but not read").into());
    }
    for enumeration in pool.all_enums().filter(|it| it.package_name() == package) {
        enums::add_aliases(implementations(&mut file, "Deserialize"), &enumeration)
            .map_err(|reason| format!("reading {}: {reason}", enumeration.full_name()))?;
    }
    let mended = prettyplease::unparse(&file);
    if mended.contains("pbjson") {
        return Err("something still refers to pbjson's runtime".into());
    }
    Ok(mended)
}

/// The implementations of one of serde's traits, in order.
fn implementations<'a>(
    file: &'a mut syn::File,
    of: &'a str,
) -> impl Iterator<Item = &'a mut ItemImpl> {
    file.items.iter_mut().filter_map(move |item| match item {
        syn::Item::Impl(item) => {
            let (implemented, _) = item.trait_.as_ref()?;
            (implemented.segments.last()?.ident == of).then_some(item)
        }
        _ => None,
    })
}

fn type_of(implementation: &ItemImpl) -> String {
    implementation.self_ty.to_token_stream().to_string()
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost_types::{
        EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto, FileDescriptorProto,
        FileDescriptorSet,
    };

    use super::*;

    const PACKAGE: &str = "gateway.vectors.v1";

    fn pool() -> DescriptorPool {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let include = [root.join("tests/proto"), root.join("proto")];
        let files = protox::compile(["vectors.proto"], include).unwrap();
        DescriptorPool::from_file_descriptor_set(files).unwrap()
    }

    /// What pbjson-build makes of a package.
    fn generated(pool: &DescriptorPool, package: &str) -> String {
        let mut builder = pbjson_build::Builder::new();
        for file in pool.file_descriptor_protos() {
            builder.register_file_descriptor(file.clone());
        }
        builder
            .emit_fields()
            .btree_map(["."])
            .extern_path(".google.protobuf", "crate::wkt");
        let files = builder
            .generate(&[format!(".{package}")], |_| Ok(Vec::new()))
            .unwrap();
        files
            .into_iter()
            .map(|(_, text)| String::from_utf8(text).unwrap())
            .collect()
    }

    /// Mended code, without white space and trailing commas. The runtime's path is `json`.
    fn mended(text: &str, pool: &DescriptorPool, package: &str) -> Result<String, String> {
        let json = syn::parse_quote!(json);
        let mended = mend(text, pool, package, &json).map_err(|error| error.to_string())?;
        let mended: String = mended.split_whitespace().collect();
        Ok(mended.replace(",>", ">").replace(",)", ")"))
    }

    #[test]
    fn every_field_is_written_and_read_as_its_kind() {
        let pool = pool();
        let code = mended(&generated(&pool, PACKAGE), &pool, PACKAGE).unwrap();
        for (name, variable, kind) in [
            ("displayName", "display_name", "json::Plain"),
            ("pageSize", "page_size", "json::Number"),
            ("bigCount", "big_count", "json::Number"),
            ("ratio", "ratio", "json::Number"),
            ("payload", "payload", "json::Bytes"),
            ("color", "color", "json::Enum<Color>"),
            ("onlyActive", "only_active", "json::Plain"),
            ("numbers", "numbers", "json::List<json::Number>"),
            ("colors", "colors", "json::List<json::Enum<Color>>"),
            ("leaves", "leaves", "json::List<json::Plain>"),
            ("labels", "labels", "json::Map<json::Plain>"),
            ("beginTime", "begin_time", "json::Plain"),
            ("anyJson", "any_json", "json::Nullable"),
            ("customName", "renamed", "json::Plain"),
        ] {
            let value = match name {
                "onlyActive" | "beginTime" | "anyJson" => "v".to_owned(),
                _ => format!("&self.{variable}"),
            };
            let written = format!("(\"{name}\",&json::Written::<{kind},_>::new({value}))?;");
            assert_eq!(code.matches(&written).count(), 1, "{written}");
            let read = format!(
                "\"{name}\")?;{variable}__=map_.next_value_seed(json::Field::<{kind},_>::new())?;"
            );
            assert_eq!(code.matches(&read).count(), 1, "{read}");
        }
        let read = "json::member::<_,V::Error>(&mutchoice__,map_.next_value_seed(\
            json::Field::<json::Number,_>::new())?.map(bind_request::Choice::PickNum),\"pickNum\")?;";
        assert_eq!(code.matches(read).count(), 1, "{read}");
        assert_eq!(code.matches("letmutseen=[false;33usize];").count(), 1);
    }

    #[test]
    fn what_is_not_as_expected_fails_the_build() {
        let pool = pool();
        let text = generated(&pool, PACKAGE);
        for (expected, other, reason) in [
            (
                "serialize_struct(\"gateway.vectors.v1.Leaf\"",
                "serialize_struct(\"Leaf\"",
                "Leaf is no message",
            ),
            (
                "serialize_field(\"numValue\"",
                "write(\"numValue\"",
                "writing gateway.vectors.v1.Leaf: not every field was found",
            ),
            (
                "serialize_field(\"numValue\"",
                "serialize_field(\"other\"",
                "writing gateway.vectors.v1.Leaf: other is no field",
            ),
            (
                "Color::try_from(self.color)",
                "Color::find(self.color)",
                "writing gateway.vectors.v1.BindRequest: the enum's type is missing",
            ),
            (
                "duplicate_field(\"numValue\"",
                "twice(\"numValue\"",
                "reading gateway.vectors.v1.Leaf: not every field was found",
            ),
            (
                "duplicate_field(\"numValue\"",
                "duplicate_field(\"other\"",
                "reading gateway.vectors.v1.Leaf: other is not written",
            ),
            (
                "num_value__ = \n",
                "num_value__ += \n",
                "reading gateway.vectors.v1.Leaf: numValue is not assigned",
            ),
            (
                "serde::Deserialize<'de> for Leaf",
                "serde::Other<'de> for Leaf",
                "gateway.vectors.v1.Leaf is written but not read",
            ),
            (
                "impl serde::Serialize for Leaf",
                "use pbjson::private; impl serde::Serialize for Leaf",
                "something still refers to pbjson's runtime",
            ),
        ] {
            let changed = text.replace(expected, other);
            assert_ne!(changed, text, "{expected}");
            assert_eq!(
                mended(&changed, &pool, PACKAGE),
                Err(reason.to_owned()),
                "{other}"
            );
        }
    }

    #[test]
    fn an_alias_of_an_enum_value_is_read_too() {
        let value = |name: &str, number| EnumValueDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            options: None,
        };
        let enumeration = EnumDescriptorProto {
            name: Some("Size".to_owned()),
            value: vec![
                value("SMALL", 0),
                value("LARGE", 1),
                value("BIG", 1),
                value("HUGE", 1),
            ],
            options: Some(EnumOptions {
                allow_alias: Some(true),
                ..EnumOptions::default()
            }),
            ..EnumDescriptorProto::default()
        };
        let file = FileDescriptorProto {
            name: Some("sizes.proto".to_owned()),
            package: Some("sizes".to_owned()),
            syntax: Some("proto3".to_owned()),
            enum_type: vec![enumeration],
            ..FileDescriptorProto::default()
        };
        let files = FileDescriptorSet { file: vec![file] };
        let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
        let text = generated(&pool, "sizes");
        let code = mended(&text, &pool, "sizes").unwrap();
        assert!(
            code.contains("\"LARGE\"|\"BIG\"|\"HUGE\"=>Ok(Size::Large)"),
            "{code}"
        );
        let changed = text.replace("\"SMALL\" =>", "\"TINY\" =>");
        let reason = "reading sizes.Size: 0 implementations list its values";
        assert_eq!(mended(&changed, &pool, "sizes"), Err(reason.to_owned()));
    }
}
