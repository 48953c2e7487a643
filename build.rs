//! Generates everything that comes from proto files; `src/codegen/` does the work.

#[path = "src/codegen/mod.rs"]
mod codegen;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use codegen::Recipe;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/codegen");
    println!("cargo::rerun-if-changed=openapi/supplement.json");
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=tests/proto");
    if let Err(error) = run() {
        println!("cargo::error={}", error.to_string().replace('\n', " "));
    }
}

/// Generates, and passes on what the author of a proto file should know.
fn generate(recipe: &Recipe) -> Result<(), Box<dyn Error>> {
    for warning in codegen::generate(recipe)? {
        println!("cargo::warning={warning}");
    }
    Ok(())
}

fn run() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let proto = Path::new("proto");
    // What goes with every service: the details of errors, and bodies that are not JSON.
    generate(&Recipe {
        root: proto,
        include: &[],
        files: &[
            "google/api/httpbody.proto",
            "google/rpc/code.proto",
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        ],
        packages: &["google.api", "google.rpc"],
        external: &[],
        emit_defaults: false,
        default_stubs: false,
        openapi: None,
        crate_root: "crate",
        out: &out.join("google"),
    })?;
    generate(&Recipe {
        root: proto,
        include: &[],
        files: &[
            "jumpstarter/client/v1/client.proto",
            "jumpstarter/v1/jumpstarter.proto",
            "jumpstarter/v1/router.proto",
            "jumpstarter/v1/telemetry.proto",
        ],
        packages: &["jumpstarter.client.v1", "jumpstarter.v1"],
        external: &[("google.api", "crate::proto::google::api")],
        emit_defaults: true,
        default_stubs: false,
        openapi: Some(Path::new("openapi/supplement.json")),
        crate_root: "crate",
        out: &out.join("jumpstarter"),
    })?;
    // What is kept on disk, and exported.
    generate(&Recipe {
        root: proto,
        include: &[],
        files: &["gateway/store/v1/record.proto"],
        packages: &["gateway.store.v1"],
        external: &[],
        emit_defaults: false,
        default_stubs: false,
        openapi: None,
        crate_root: "crate",
        out: &out.join("gateway"),
    })?;
    // The invented services that prove the transcoder generic, for the tests alone.
    let invented = Path::new("tests/proto");
    if invented.exists() {
        generate(&Recipe {
            root: invented,
            include: &[proto],
            files: &["library/v1/library.proto", "names.proto", "vectors.proto"],
            packages: &["library.v1", "gateway.names.v1", "gateway.vectors.v1"],
            external: &[("google.api", "::jumpstarter_gateway::proto::google::api")],
            emit_defaults: false,
            default_stubs: true,
            openapi: None,
            crate_root: "::jumpstarter_gateway",
            out: &out.join("tests"),
        })?;
    }
    if env::var_os("CARGO_FEATURE_CONFORMANCE").is_some() {
        println!("cargo::rerun-if-env-changed=CONFORMANCE_PROTOS");
        let protos = env::var_os("CONFORMANCE_PROTOS").ok_or("run tests/conformance/run.sh")?;
        generate(&Recipe {
            root: Path::new(&protos),
            include: &[],
            files: &[
                "conformance/conformance.proto",
                "google/protobuf/test_messages_proto3.proto",
            ],
            packages: &["conformance", "protobuf_test_messages.proto3"],
            external: &[],
            emit_defaults: false,
            default_stubs: false,
            openapi: None,
            crate_root: "::jumpstarter_gateway",
            out: &out.join("conformance"),
        })?;
    }
    Ok(())
}
