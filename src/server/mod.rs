//! The server: what is served where, how connections are accepted, and how it stops. The one room
//! that knows all others.

mod changes;
mod check;
mod connections;
mod cors;
mod current;
mod foundation;
mod framing;
mod gateway;
mod grpc;
mod host;
mod identify;
mod lingering;
mod listen;
mod log;
mod metrics;
mod observer;
mod packing;
mod patience;
mod refusals;
mod reload;
mod rest;
mod retune;
mod routes;
mod run;
mod signs;
mod stop;
mod supervisor;
mod tally;
mod tls;
mod trace;
mod variants;
mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use futures_util::TryFutureExt;
use futures_util::future::{Either, ready};
use http::{Method, Request, StatusCode, Uri};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::util::MapRequestLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::decompression::RequestDecompression;

pub use check::{Checked, check, lab_summary};
pub use gateway::{Gateway, Limits};
pub use listen::serve;
pub use log::{Log, start_log};
pub use metrics::Monitor;
pub use observer::Observer;
pub use run::{Error, Start, first_revision, run, span, system_time, token_sources};
pub use supervisor::handed_socket;
pub use tls::{
    CertificateError, CertificateFiles, Certificates, Renewal, self_signed, usual_names,
};

pub use crate::transcode::STACK;
use rest::Rest;
use routes::Step;

use crate::auth::AuthLayer;
use crate::docs;
use crate::proto;
use crate::proto::jumpstarter::client::v1::client_service_http;
use crate::proto::jumpstarter::client::v1::client_service_server::{self, ClientServiceServer};
use crate::service::{self, Clients};
use crate::transcode::{Binding, Transcoder, wrong_method};
use packing::compression;
use signs::Signs;
use variants::told_apart;

/// What gRPC's health service knows; the empty name is the whole server.
const SERVICES: [&str; 2] = ["", client_service_server::SERVICE_NAME];

/// What is answered however much is under way: whether the process is there, and whether it is
/// ready.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Whether the server takes new work: what `/readyz` says, and gRPC's health service.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    ready: Arc<AtomicBool>,
    health: HealthReporter,
}

impl Readiness {
    /// From now on, or not any more.
    pub async fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        let status = match ready {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        for service in SERVICES {
            self.health.set_service_status(service, status).await;
        }
    }

    /// Who watches gRPC's health service is told no more: such a call has no other end.
    pub async fn end(&self) {
        let mut health = self.health.clone();
        for service in SERVICES {
            health.clear_service_status(service).await;
        }
    }

    fn is_set(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn check(&self) -> (StatusCode, &'static str) {
        if self.is_set() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}

/// The HTTP rows of the service that is served; their places are the numbers that `routes` counts by.
pub fn bindings() -> impl ExactSizeIterator<Item = &'static Binding> {
    client_service_http::BINDINGS.iter()
}

/// Everything that is served. Web pages of `origins` may call it, too. With a monitor there are metrics.
///
/// # Errors
/// The descriptors for reflection cannot be read.
pub fn gateway(
    clients: Arc<Clients>,
    auth: &AuthLayer,
    limits: Limits,
    readiness: Readiness,
    origins: &[String],
    observer: &Observer,
    monitor: Option<Monitor>,
) -> Result<Gateway, Box<dyn std::error::Error + Send + Sync>> {
    let load = clients.load().clone();
    let transcoder = Transcoder::new(service::routes(&clients), limits.call);
    let transcoder = transcoder.map_err(|conflict| conflict.to_string())?;
    let transcoder = transcoder.with_hint("; /openapi.json lists every path");
    let rest = Rest::new(transcoder, auth.clone());
    let health = HealthService::from_health_reporter(readiness.health.clone());
    let health = HealthServer::new(health);
    // The descriptors also hold services that nobody serves here: only these are told of.
    let served = [
        client_service_server::SERVICE_NAME,
        tonic_health::pb::health_server::SERVICE_NAME,
        tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME,
    ];
    let reflection = || {
        let descriptors = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        served
            .into_iter()
            .fold(descriptors, |builder, name| builder.with_service_name(name))
    };
    let client_service =
        ClientServiceServer::from_arc(clients).max_decoding_message_size(limits.call.body);
    let api = Routes::new(client_service)
        .into_axum_router()
        .reset_fallback()
        .route_layer(MapRequestLayer::new(routes::with_actor as Step))
        .route_layer(auth.clone())
        .route_layer(from_fn(move |request, next| {
            grpc::native(limits.call.longest_call, request, next)
        }))
        .route_layer(MapRequestLayer::new(routes::note_rpc as Step))
        .route_layer(from_fn(grpc::only));
    let open = Routes::new(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router()
        .reset_fallback()
        .route_layer(from_fn_with_state(load.clone(), patience::streamed))
        .route_layer(MapRequestLayer::new(routes::note_rpc as Step))
        .route_layer(from_fn(grpc::only));
    // Those who pack or can unpack go through layers that the others are spared. An encoding that
    // cannot be unpacked is refused by the transcoder, in the one shape of errors.
    let taken = |rest: Rest| {
        service_fn(move |request: Request<Body>| match rest.take(request) {
            Ok(answer) => Either::Left(answer),
            Err(request) => Either::Right(ready(Ok(rest.refuse(&request)))),
        })
    };
    let unpacked = taken(rest.clone()).map_request(|request: Request<_>| request.map(Body::new));
    let unpack = RequestDecompression::new(unpacked).pass_through_unaccepted(true);
    let packed = ServiceBuilder::new()
        .layer(from_fn(told_apart))
        .layer(compression())
        .service(unpack);
    // What no other route takes belongs to the transcoder, which also answers 404, and to gRPC that it
    // knows no such rpc.
    let transcoder = taken(rest.clone());
    let fallback = service_fn(move |request: Request<Body>| {
        if Signs::of(request.headers()).is_packed(request.method()) {
            let response = packed.clone().oneshot(request);
            Either::Left(response.map_ok(|response| response.map(Body::new)))
        } else {
            Either::Right(transcoder.clone().oneshot(request))
        }
    });
    let health_checks = Router::new()
        .route(HEALTH[0], get(async || "ok\n"))
        .route(HEALTH[1], get(async move || readiness.check()))
        .route_layer(MapRequestLayer::new(routes::note_health as Step));
    let pages = docs::router()
        .layer(compression())
        .layer(from_fn(told_apart))
        .route_layer(from_fn_with_state(load.clone(), patience::limited))
        .route_layer(MapRequestLayer::new(routes::note_documentation as Step))
        .merge(health_checks)
        .merge(monitor.map(metrics::router).unwrap_or_default());
    let router = to_be_read(pages)
        .merge(api)
        .merge(open)
        .fallback_service(fallback);
    Ok(Gateway::new(
        rest,
        router,
        cors::cors(origins),
        load,
        limits,
        observer.clone(),
    ))
}

/// Pages that take no other method than GET.
fn to_be_read(pages: Router) -> Router {
    pages.method_not_allowed_fallback(async |method: Method, uri: Uri| {
        wrong_method(&method, uri.path(), &["GET"])
    })
}
