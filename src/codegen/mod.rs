//! Build time only: from proto files to everything generated. `build.rs` uses this room through
//! `#[path]`, the library only in its tests. It uses no other room.
//!
//! ```text
//! *.proto -> protox -> descriptors -> prost + tonic   messages, server and client traits
//!                                  -> json            pbjson's serde impls, mended
//!                                  -> rules -> rows   HTTP rows and field tables
//!                                           -> openapi
//! ```

mod annotations;
pub mod json;
mod names;
pub mod openapi;
mod overlap;
pub mod rows;
pub mod rules;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_reflect::DescriptorPool;

/// What to generate, and where it will be used.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// The folder that imports are resolved in; [`Self::include`] is searched after it.
    pub root: &'a Path,
    pub include: &'a [&'a Path],
    /// Files to compile, relative to [`Self::root`].
    pub files: &'a [&'a str],
    /// The packages to write code for.
    pub packages: &'a [&'a str],
    /// Packages whose code stands elsewhere: proto path, Rust path.
    pub external: &'a [(&'a str, &'a str)],
    /// Messages show fields without presence also where they hold their default.
    pub emit_defaults: bool,
    /// Methods of a service that are not written answer UNIMPLEMENTED.
    pub default_stubs: bool,
    /// The supplement of the OpenAPI document, where there is to be one.
    pub openapi: Option<&'a Path>,
    /// The Rust path of the crate that holds `transcode` and `proto`.
    pub crate_root: &'a str,
    pub out: &'a Path,
}

/// Compiles the proto files and writes, into [`Recipe::out`]: `PACKAGE.rs` (messages, traits),
/// `PACKAGE.serde.rs`, `PACKAGE.http.rs` where it has HTTP rules, `mod.rs` that holds them all as
/// nested modules, `descriptors.bin`, `openapi.json` and `openapi.yaml`.
///
/// What works and yet may not be meant is told: each rule that shares requests with another.
///
/// # Errors
/// Whatever is wrong with a proto file or an HTTP rule, naming the rpc.
pub fn generate(recipe: &Recipe) -> Result<Vec<String>, Box<dyn Error>> {
    fs::create_dir_all(recipe.out)?;
    let (pool, bytes) = compile(recipe)?;
    let services = rules::services(&pool, recipe.packages)?;
    let overlaps = overlap::overlaps(&rules::claims(&services));
    let warnings = overlaps.iter().map(ToString::to_string).collect();
    write_messages(recipe, &pool)?;
    let proto = format!("{}::proto", recipe.crate_root);
    json::generate(
        &pool,
        &bytes,
        recipe.packages,
        &proto,
        recipe.emit_defaults,
        recipe.out,
    )?;
    let packages = write_rows(recipe, &services)?;
    write_modules(recipe, &packages)?;
    if let Some(supplement) = recipe.openapi {
        let document = openapi::document(&services, &fs::read_to_string(supplement)?)?;
        fs::write(recipe.out.join("openapi.yaml"), openapi::yaml(&document)?)?;
        fs::write(recipe.out.join("openapi.json"), document)?;
    }
    fs::write(recipe.out.join("descriptors.bin"), bytes)?;
    Ok(warnings)
}

/// Parses and links the files: descriptors with comments, and the same as bytes.
///
/// # Errors
/// What protox says of a file it cannot compile.
pub fn compile(recipe: &Recipe) -> Result<(DescriptorPool, Vec<u8>), Box<dyn Error>> {
    let include = [recipe.root]
        .into_iter()
        .chain(recipe.include.iter().copied());
    let mut compiler = protox::Compiler::new(include)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(recipe.files)?;
    let bytes = compiler.encode_file_descriptor_set();
    Ok((DescriptorPool::decode(bytes.as_slice())?, bytes))
}

fn write_messages(recipe: &Recipe, pool: &DescriptorPool) -> Result<(), Box<dyn Error>> {
    let set = prost_types::FileDescriptorSet {
        file: pool.file_descriptor_protos().cloned().collect(),
    };
    let mut builder = tonic_prost_build::configure()
        .out_dir(recipe.out)
        .compile_well_known_types(true)
        .extern_path(
            ".google.protobuf",
            format!("{}::proto::wkt", recipe.crate_root),
        )
        .btree_map(".")
        .generate_default_stubs(recipe.default_stubs)
        .build_transport(false)
        .emit_rerun_if_changed(false);
    for (proto, rust) in recipe.external {
        builder = builder.extern_path(format!(".{proto}"), *rust);
    }
    let mut config = prost_build::Config::new();
    config
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com");
    Ok(builder.compile_fds_with_config(set, config)?)
}

/// Writes the rows of each package that has any; tells which.
fn write_rows<'a>(
    recipe: &Recipe<'a>,
    services: &[rules::Service],
) -> Result<Vec<&'a str>, Box<dyn Error>> {
    let mut by_package: BTreeMap<&str, Vec<&rules::Service>> = BTreeMap::new();
    for service in services {
        by_package
            .entry(service.descriptor.package_name())
            .or_default()
            .push(service);
    }
    let mut written = vec![];
    for package in recipe.packages {
        if let Some(services) = by_package.get(package) {
            let source = rows::render(recipe.crate_root, services)?;
            fs::write(recipe.out.join(format!("{package}.http.rs")), source)?;
            written.push(*package);
        }
    }
    Ok(written)
}

/// A tree of modules by package name, each including its generated files.
#[derive(Default)]
struct Module<'a> {
    children: BTreeMap<&'a str, Module<'a>>,
    package: Option<&'a str>,
}

fn write_modules(recipe: &Recipe, with_rows: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut root = Module::default();
    for package in recipe.packages {
        let module = package.split('.').fold(&mut root, |module, part| {
            module.children.entry(part).or_default()
        });
        module.package = Some(package);
    }
    let mut source = String::new();
    root.render(recipe.out, with_rows, &mut source)?;
    fs::write(recipe.out.join("mod.rs"), source)?;
    Ok(())
}

impl Module<'_> {
    fn render(&self, out: &Path, with_rows: &[&str], source: &mut String) -> std::fmt::Result {
        if let Some(package) = self.package {
            let rows = if with_rows.contains(&package) {
                &["rs", "serde.rs", "http.rs"][..]
            } else {
                &["rs", "serde.rs"]
            };
            for suffix in rows {
                let file = out.join(format!("{package}.{suffix}"));
                writeln!(source, "include!({file:?});")?;
            }
        }
        for (name, child) in &self.children {
            writeln!(source, "pub mod {name} {{")?;
            child.render(out, with_rows, source)?;
            writeln!(source, "}}")?;
        }
        Ok(())
    }
}
