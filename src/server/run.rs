//! From settings to a running server, and to its end.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::reload::{self, Traces};
use super::{Readiness, router, serve, with_cors};
use crate::archive;
use crate::auth::{AuthLayer, Tokens};
use crate::config::{LogFormat, Settings};
use crate::lab::{self, Lab};
use crate::lease::{self, Timestamp};
use crate::service::{Clients, LabelRules};
use crate::store::{Embedded, EngineError, Memory, Store};
use crate::transcode::Limits;

/// The client that everybody is where nobody is authenticated.
const ANYBODY: &str = "demo";

/// Why the server did not start: sentences for the person who started it.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Serves until SIGTERM or SIGINT arrives, then finishes what is under way.
///
/// # Errors
/// The lab or the tokens have errors, or the address cannot be listened on.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let lab_path = settings.lab.clone();
    // Before the files are read, so that no later change is missed.
    let traces = lab_path.as_deref().map(Traces::of);
    let lab = lab(&settings)?;
    for warning in &lab.warnings {
        tracing::warn!("{warning}");
    }
    let summary = summary(&lab);
    let limits = lease_settings(&settings);
    let store = open(settings.data.as_deref(), limits).await;
    let store = store.map_err(|error| Error(format!("the store cannot be opened: {error}")))?;
    let store = store.with_history(settings.watch_history);
    let loaded = store.submit(lab.clone().into_command()).await;
    loaded.map_err(|error| Error(format!("the lab cannot be loaded: {error}")))?;
    let (auth, tokens) = authentication(&settings, &store)?;
    let labels = LabelRules {
        hidden: settings.hidden_labels.clone(),
        deprecated: settings.deprecated_labels.clone(),
    };
    if let Some((path, traces)) = lab_path.zip(traces) {
        let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
        tokio::spawn(reload::follow(path, traces, lab, store.clone(), hangup));
    }
    let clients = Clients::new(store, tokens, labels).with_longest_wait(settings.longest_wait);
    let clients = Arc::new(clients);
    let readiness = Readiness::default();
    let limits = Limits {
        body: settings.max_body_bytes,
        longest_call: settings.longest_call,
    };
    let router = router(clients.clone(), &auth, limits, readiness.clone()).await;
    let router = router.map_err(|error| Error(format!("the routes cannot be built: {error}")))?;
    let router = with_cors(router, &settings.cors_origins);
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
        Error(format!(
            "{} cannot be listened on: {error}; choose another address with --listen",
            settings.listen
        ))
    })?;
    let stop = stop_signal().map_err(no_signals)?;
    announce(&settings, &listener, &summary);
    readiness.set(true);
    let stopping = readiness.clone();
    let stop = async move {
        stop.await;
        stopping.set(false);
        clients.stop();
        tracing::info!("stopping: no new connections, requests under way are finished");
    };
    serve(listener, router, stop, settings.shutdown_grace).await;
    tracing::info!("stopped");
    Ok(())
}

/// The store over the directory that leases are kept in, or in memory.
async fn open(data: Option<&Path>, limits: lease::Settings) -> Result<Store, EngineError> {
    let clock = Arc::new(system_time);
    let first = first_revision();
    match data {
        Some(directory) => {
            let engine = Embedded::open(directory, first)?;
            let instance = engine.instance();
            let store = Store::open(engine, limits, clock).await?;
            tracing::info!(directory = %directory.display(), instance, "the records are read");
            tokio::spawn(offer_exports(directory.to_owned(), store.clone(), instance));
            Ok(store)
        }
        None => Store::open(Memory::starting_at(first), limits, clock).await,
    }
}

/// Lets `backup` and `export` work while the server runs. The server does without, if it must.
async fn offer_exports(directory: PathBuf, store: Store, instance: String) {
    if let Err(error) = archive::offer(&directory, store, instance).await {
        let directory = directory.display();
        tracing::warn!(%error, "no backups of {directory} can be made while the server runs");
    }
}

/// Revisions of a new store begin where the clock stands, so that no ETag or event id of an earlier
/// one is taken for one of this.
#[must_use]
pub fn first_revision() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

fn lab(settings: &Settings) -> Result<Lab, Error> {
    let lab = match &settings.lab {
        Some(path) => lab::load(path),
        None => lab::demo(),
    };
    lab.map_err(|errors| Error(errors.to_string()))
}

fn authentication(
    settings: &Settings,
    store: &Store,
) -> Result<(AuthLayer, Option<Arc<Tokens>>), Error> {
    let Some(file) = &settings.tokens else {
        return Ok((AuthLayer::open(ANYBODY), None));
    };
    let grace = span(settings.rotated_token_grace);
    let tokens = Tokens::load(file, grace).map_err(|error| Error(error.to_string()))?;
    for client in tokens.clients() {
        if store.read(|book, _| book.client(&client).is_none()) {
            let (namespace, id) = (&client.namespace, &client.id);
            tracing::warn!(
                "a token stands for the client {id} of {namespace}, which the lab does not have; it is refused"
            );
        }
    }
    let tokens = Arc::new(tokens);
    Ok((
        AuthLayer::tokens(tokens.clone(), store.clone()),
        Some(tokens),
    ))
}

fn lease_settings(settings: &Settings) -> lease::Settings {
    lease::Settings {
        minimum_duration: settings.minimum_duration.map(span),
        maximum_duration: settings.maximum_duration.map(span),
        offline_after: span(settings.offline_after),
        retention: span(settings.lease_retention),
        max_tags: settings.max_tags,
    }
}

fn span(duration: Duration) -> lease::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    lease::Duration::new(seconds, duration.subsec_nanos().cast_signed())
}

/// The wall clock. Before 1970 it is 1970.
fn system_time() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(seconds, since.subsec_nanos().cast_signed())
}

fn no_signals(error: std::io::Error) -> Error {
    Error(format!("signals cannot be received: {error}"))
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What the lab holds, as part of a sentence.
fn summary(lab: &Lab) -> String {
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let exporters = count(lab.exporters.len(), "exporter");
    format!("{exporters} and {}", count(lab.clients.len(), "client"))
}

/// Says where everything is: a log line for programs, a message for people.
fn announce(settings: &Settings, listener: &TcpListener, summary: &str) {
    let address = listener.local_addr().unwrap_or(settings.listen);
    if settings.log_format == LogFormat::Json {
        tracing::info!(%address, "serving {summary}");
        return;
    }
    let lab = if settings.demo {
        "the demonstration lab"
    } else {
        "a lab"
    };
    let asked = match &settings.tokens {
        Some(_) => "Every call needs a bearer token.".to_owned(),
        None => format!("Nobody is asked for a token: everybody is the client `{ANYBODY}`."),
    };
    let kept = match &settings.data {
        Some(directory) => format!("Leases are kept in {}.", directory.display()),
        None => "Leases are kept in memory: a restart forgets them.".to_owned(),
    };
    let url = format!("http://{address}");
    let message = format!(
        "jumpstarter-gateway {version} serves {lab} with {summary}. {asked} {kept}\n\
         \n\
         \x20 Swagger UI     {url}/swagger-ui/\n\
         \x20 OpenAPI        {url}/openapi.json\n\
         \x20 REST and gRPC  {url}\n\
         \n\
         Stop it with Ctrl-C.\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    // A closed standard output is no reason not to serve.
    let _ = std::io::stdout().write_all(message.as_bytes());
}
