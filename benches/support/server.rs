//! Servers to measure, each on threads of its own: the gateway, and the floor, which is axum
//! with nothing behind it. Both listen through the same function.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, Method, Request};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use jumpstarter_gateway::auth::AuthLayer;
use jumpstarter_gateway::config;
use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::{Settings, Timestamp};
use jumpstarter_gateway::server::{self, Gateway, Limits, Observer, Readiness};
use jumpstarter_gateway::service::{Clients, LabelRules};
use jumpstarter_gateway::store::{Engine, Store};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower::Service;

use super::load;

/// A server that listens on a loopback address until the process ends.
pub struct Server {
    pub address: SocketAddr,
    /// Where Linux tells how long the server's thread has run.
    schedule: PathBuf,
}

impl Server {
    fn start<F, S>(
        name: &str,
        mut threads: Builder,
        service: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = S>,
        S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
    {
        let (sender, receiver) = mpsc::channel();
        let serve = move || {
            let runtime = threads.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let own = fs::read_link("/proc/thread-self").unwrap_or_default();
                let schedule = PathBuf::from("/proc").join(own).join("schedstat");
                let service = service().await;
                sender
                    .send(Self {
                        address: listener.local_addr().unwrap(),
                        schedule,
                    })
                    .unwrap();
                server::serve(
                    listener,
                    service,
                    None,
                    &config::Limits::default(),
                    std::future::pending(),
                    Duration::ZERO,
                )
                .await;
            });
        };
        // Named, for a profiler to tell them apart.
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(serve)
            .unwrap();
        receiver.recv().unwrap()
    }

    /// The gateway as `serve --no-auth` runs it, on threads of some kind and over an engine, with a
    /// lab of `exporters` boards.
    pub fn gateway(threads: Builder, engine: impl Engine, exporters: usize) -> Self {
        Self::start("gateway", threads, move || gateway(engine, exporters))
    }

    /// A server that reads every request to its end and then gives an answer that it was given, to
    /// DELETE the second. The status, headers and body are those of the gateway, but nothing is
    /// matched, bound, looked up or encoded.
    pub fn floor(first: Vec<u8>, second: Vec<u8>) -> Self {
        let (first, second) = (response(&first), response(&second));
        let handler = move |method: Method, _: Bytes| {
            let (headers, body) = if method == Method::DELETE {
                &second
            } else {
                &first
            };
            let response = (headers.clone(), body.clone());
            async { response }
        };
        let router = Router::new().route("/{*path}", any(handler));
        Self::start("floor", Builder::new_current_thread(), move || async {
            router
        })
    }

    /// How long the server's thread has been on a processor; zero where the system does not tell.
    pub fn processor_time(&self) -> Duration {
        let text = fs::read_to_string(&self.schedule).unwrap_or_default();
        let first = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(first.unwrap_or(0))
    }
}

/// What the gateway serves over an engine, without tokens, with a lab of `exporters` boards.
pub async fn gateway(engine: impl Engine, exporters: usize) -> Gateway {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::new(
            since.as_secs().cast_signed(),
            since.subsec_nanos().cast_signed(),
        )
    };
    let store = Store::open(engine, Settings::default(), Arc::new(now))
        .await
        .unwrap();
    let lab = lab::parse([("benchmark", lab_file(exporters).as_str())]).unwrap();
    store.submit(lab.into_command()).await.unwrap();
    let clients = Arc::new(Clients::new(store, None, LabelRules::default()));
    let limits = Limits::default();
    let auth = AuthLayer::open("demo");
    let observer = Observer::default();
    server::gateway(
        clients,
        &auth,
        limits,
        Readiness::default(),
        &[],
        &observer,
        None,
    )
    .unwrap()
}

/// What axum needs to give an answer again: it adds the length and the date itself.
fn response(answer: &[u8]) -> (HeaderMap, Bytes) {
    let head = load::head(answer).unwrap();
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(": ") {
            Some(("content-type", value)) => headers.insert(CONTENT_TYPE, value.parse().unwrap()),
            Some(("etag", value)) => headers.insert(ETAG, value.parse().unwrap()),
            Some(("vary", value)) => headers.insert(VARY, value.parse().unwrap()),
            _ => None,
        };
    }
    (headers, Bytes::copy_from_slice(&answer[head.len()..]))
}

/// A lab with static exporters `board-0`, `board-1` and so on, labelled as a real one would be.
fn lab_file(exporters: usize) -> String {
    let client = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: demo}\n";
    let exporter = |number| {
        format!(
            "---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata:\n  name: board-{number}\n  \
             labels: {{board: rpi4, number: \"{number}\", location: rack-1, arch: arm64}}\n  \
             annotations: {{gateway.jumpstarter.dev/static: \"true\"}}\n"
        )
    };
    (0..exporters).fold(client.to_owned(), |lab, number| lab + &exporter(number))
}
