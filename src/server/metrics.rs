//! `/metrics`: collects what is known at the moment somebody asks, and serves it. It asks nobody for a
//! token, as Prometheus expects, and so tells nothing that has a name.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::watch;
use tower::util::MapRequestLayer;

use super::routes::{Step, note_metrics};
use super::tls::Certificates;
use super::{Readiness, tally};
use crate::metrics::{Form, Metrics, Present};
use crate::store::Store;
use crate::store::embedded::DATABASE;

/// Where it is.
pub const PATH: &str = "/metrics";

/// Where to look for what is not counted.
#[derive(Clone)]
pub struct Monitor {
    metrics: Arc<Metrics>,
    store: Store,
    stopping: watch::Sender<bool>,
    readiness: Readiness,
    certificates: Option<Certificates>,
    data: Option<PathBuf>,
}

impl Monitor {
    /// Of a server that keeps records in a directory, or in memory alone. Whoever waits or follows what
    /// happens listens to `stopping`.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        store: Store,
        stopping: watch::Sender<bool>,
        readiness: Readiness,
        certificates: Option<Certificates>,
        data: Option<PathBuf>,
    ) -> Self {
        Self {
            metrics,
            store,
            stopping,
            readiness,
            certificates,
            data,
        }
    }

    fn present(&self) -> Present {
        let (census, revision) = self
            .store
            .read(|book, now| (book.census(now), book.revision()));
        let data = self.data.as_deref();
        let file = data.and_then(|data| fs::metadata(data.join(DATABASE)).ok());
        let disk = data.and_then(|data| rustix::fs::statvfs(data).ok());
        Present {
            version: env!("CARGO_PKG_VERSION"),
            is_ready: self.readiness.is_set(),
            connections: tally::count(),
            waiting: self.stopping.receiver_count(),
            census,
            revision,
            file_bytes: file.map(|file| file.len()),
            disk: disk.map(|disk| {
                let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
                (bytes(disk.f_blocks), bytes(disk.f_bavail))
            }),
            certificate_end: self.certificates.as_ref().and_then(Certificates::end),
        }
    }
}

/// The one page there is.
pub fn router(monitor: Monitor) -> Router {
    Router::new()
        .route(PATH, get(page))
        .with_state(monitor)
        .route_layer(MapRequestLayer::new(note_metrics as Step))
}

async fn page(State(monitor): State<Monitor>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let form = Form::accepted(accept.unwrap_or_default());
    match monitor.metrics.page(monitor.present(), form) {
        Ok(text) => ([(header::CONTENT_TYPE, form.content_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
