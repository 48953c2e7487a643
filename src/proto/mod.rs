//! Generated code: messages, traits and HTTP rows, as the build wrote them. Beside it what no
//! generator gives: the well-known types and ProtoJSON.

#![allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    rustdoc::all,
    reason = "generated code is not ours to polish; the rooms below are"
)]

#[warn(clippy::all)]
pub mod json;
#[warn(clippy::all)]
pub mod wkt;

include!(concat!(env!("OUT_DIR"), "/google/mod.rs"));
include!(concat!(env!("OUT_DIR"), "/jumpstarter/mod.rs"));
include!(concat!(env!("OUT_DIR"), "/gateway/mod.rs"));

/// All descriptors, imports included, as a serialised `FileDescriptorSet`: for gRPC reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/jumpstarter/descriptors.bin"));
