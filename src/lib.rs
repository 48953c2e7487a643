//! jumpstarter-gateway: Jumpstarter's `ClientService` as REST/JSON and gRPC, over a lease engine of
//! its own. This is the map of the house, in the order in which a request walks through it.
//!
//! - [`config`]: every setting, its default, its meaning.
//! - [`server`]: listens; routes to the API, the documentation and the health checks; stops cleanly.
//! - [`docs`]: the OpenAPI document and Swagger UI.
//! - [`transcode`]: `google.api.http` at run time. Generic; knows no service by name.
//! - [`load`]: how much is under way, and how much may be.
//! - [`auth`]: from a bearer token to a [`auth::Caller`].
//! - [`service`]: `ClientService` against the store.
//! - [`store`]: one writer, many readers, and the engines that keep records.
//! - [`archive`]: backups and exports of what is kept.
//! - [`lease`]: the domain: who holds which exporter, and who is next. The standard library alone.
//! - [`lab`]: the lab file, from YAML to records.
//! - [`call`]: what is noted of the call that is being answered.
//! - [`metrics`]: what is counted, for Prometheus.
//! - [`audit`]: who did what to which lease, as JSON lines.
//! - [`proto`]: generated code, well-known types, ProtoJSON.
//! - [`fault`]: a failure on its way out.
//! - [`client`]: leasing from the command line, over REST like anybody else.
//!
//! `codegen` works at build time: it writes what [`proto`] includes.

#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod auth;
pub mod call;
pub mod client;
pub mod config;
pub mod docs;
pub mod fault;
pub mod lab;
pub mod lease;
pub mod load;
pub mod metrics;
pub mod proto;
pub mod server;
pub mod service;
pub mod store;
pub mod transcode;

#[cfg(test)]
mod codegen;
