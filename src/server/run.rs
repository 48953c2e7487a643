//! From settings to a running server, and to its end.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::IntoResponse;
use http::Uri;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::changes::Changes;
use super::current::Current;
use super::foundation::{ANYBODY, Foundation, bounds, lease_settings};
use super::log::Log;
use super::retune::Retuning;
use super::stop::{self, Signals};
use super::tls::{self, CertificateFiles, Certificates};
use super::trace::Traces;
use super::{Monitor, Observer, Readiness, metrics, reload, serve, supervisor, to_be_read};
use crate::archive;
use crate::audit::{Audit, Line};
use crate::auth::{Folder, Sources, Tokens, Trust};
use crate::config::{Limits, LogFormat, OidcIssuer, ServeArgs, Settings};
use crate::lab::{self, Lab};
use crate::lease::{self, Timestamp};
use crate::load::Load;
use crate::store::{Embedded, EngineError, Memory, Store};
use crate::transcode::Rejection;

/// How many connections the system may hold that were not accepted yet; it has a limit of its own.
const WAITING: u32 = 4096;

/// Why the server did not start, or ended before it was told to: sentences for the person who started
/// it, and the status that the process ends with.
#[derive(Debug)]
pub struct Error {
    sentences: String,
    status: u8,
}

impl Error {
    pub(super) fn new(sentences: impl Into<String>) -> Self {
        let (sentences, status) = (sentences.into(), 1);
        Self { sentences, status }
    }

    /// Nothing will change before somebody changes what the server is given (`EX_CONFIG`).
    pub(super) fn configuration(sentences: impl Into<String>) -> Self {
        let (sentences, status) = (sentences.into(), 78);
        Self { sentences, status }
    }

    /// A fault of the program (`EX_SOFTWARE`).
    pub(super) fn fault(sentences: impl Into<String>) -> Self {
        let (sentences, status) = (sentences.into(), 70);
        Self { sentences, status }
    }

    /// What the process should end with, from sysexits.h where that has a name for it.
    #[must_use]
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences)
    }
}

impl std::error::Error for Error {}

/// What a server starts with.
pub struct Start {
    pub settings: Settings,
    /// What the settings came from: they are read again at SIGHUP.
    pub arguments: ServeArgs,
    pub log: Log,
    /// The socket to serve on, if one was handed over.
    pub socket: Option<std::net::TcpListener>,
}

/// Serves until SIGTERM or SIGINT arrives, then finishes what is under way.
///
/// # Errors
/// The lab or the tokens have errors, the address cannot be listened on, or the store's writer ended.
pub async fn run(start: Start) -> Result<(), Error> {
    let settings = start.settings;
    // As many files as the system lets it have; how many those are shows when they are counted.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    // A SIGHUP that comes while the server starts counts when it has started.
    let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let lab_path = settings.lab.clone();
    // Before the files are read, so that no later change is missed.
    let changes = lab_path.clone().map(changes_of).transpose()?;
    let lab = lab(&settings)?;
    for warning in &lab.warnings {
        tracing::warn!("{warning}");
    }
    let summary = summary(&lab);
    let observer = observer(&settings)?;
    let (data, limits) = (settings.data.as_deref(), lease_settings(&settings));
    let store = open(data, limits, observer.clone()).await;
    let store =
        store.map_err(|error| Error::new(format!("the store cannot be opened: {error}")))?;
    let store = store.with_history(settings.watch_history);
    let loaded = store.submit(lab.clone().into_command()).await;
    loaded.map_err(|error| Error::new(format!("the lab cannot be loaded: {error}")))?;
    let tokens = tokens(&settings, &store)?;
    if let Some((path, changes)) = lab_path.zip(changes) {
        let audit = observer.audit().cloned();
        tokio::spawn(reload::follow(path, changes, lab, store.clone(), audit));
    }
    let files = certificate_files(&settings)?;
    let certificates = files.clone().map(certificates).transpose()?;
    let (readiness, stopping) = (Readiness::default(), watch::Sender::new(false));
    let monitor = settings.observe.metrics.then(|| {
        Monitor::new(
            observer.metrics().clone(),
            store.clone(),
            stopping.clone(),
            readiness.clone(),
            certificates.clone(),
            settings.data.clone(),
        )
    });
    let (monitor, monitor_apart) = match settings.observe.metrics_listen {
        Some(address) => (None, monitor.zip(Some(address))),
        None => (monitor, None),
    };
    if let Some((monitor, address)) = monitor_apart {
        serve_metrics(monitor, address).await?;
    }
    let foundation = Arc::new(Foundation {
        store,
        tokens,
        load: Load::new(bounds(&settings)),
        readiness,
        stopping,
        observer: observer.clone(),
        monitor,
    });
    let current = Current::new(foundation.gateway(&settings)?);
    let listener = listener(start.socket, settings.listen).await?;
    let signals = Signals::new().map_err(no_signals)?;
    announce(&settings, &listener, &summary, files.as_ref());
    foundation.readiness.set(true).await;
    let status = format!("serving {summary}");
    supervisor::ready(&status).await;
    tokio::spawn(supervisor::watchdog(foundation.store.clone()));
    let (grace, limits) = (settings.shutdown_grace, settings.limits.clone());
    let (settings, present) = watch::channel(settings);
    let retuning = Retuning {
        arguments: start.arguments,
        log: start.log,
        foundation: foundation.clone(),
        current: current.clone(),
        settings,
        status,
    };
    tokio::spawn(retuning.follow(hangup));
    let (close, closing) = oneshot::channel::<()>();
    let told = async {
        let told = stop::told(signals, &foundation, present).await;
        drop(close);
        told
    };
    let closing = async {
        // The other end is dropped, which is an error to this one.
        let _ = closing.await;
    };
    let served = serve(listener, current, certificates, &limits, closing, grace);
    let (told, ()) = tokio::join!(told, served);
    observer.stop().await;
    tracing::info!("stopped");
    told
}

/// The socket that was handed over, or one at the address.
async fn listener(
    handed: Option<std::net::TcpListener>,
    address: SocketAddr,
) -> Result<TcpListener, Error> {
    let Some(socket) = handed else {
        return bound(address).map_err(|error| {
            Error::new(format!(
                "{address} cannot be listened on: {error}; choose another address with --listen"
            ))
        });
    };
    let usable = socket.set_nonblocking(true);
    usable
        .and_then(|()| TcpListener::from_std(socket))
        .map_err(|error| Error::new(format!("the socket that was handed over: {error}")))
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart does not wait for connections that have just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// The store over the directory that leases are kept in, or in memory.
async fn open(
    data: Option<&Path>,
    limits: lease::Settings,
    observer: Observer,
) -> Result<Store, EngineError> {
    let (clock, observer) = (Arc::new(system_time), Arc::new(observer));
    let first = first_revision();
    match data {
        Some(directory) => {
            let engine = Embedded::open(directory, first)?;
            let instance = engine.instance();
            let store = Store::open_observed(engine, limits, clock, observer).await?;
            tracing::info!(directory = %directory.display(), instance, "the records are read");
            tokio::spawn(offer_exports(directory.to_owned(), store.clone(), instance));
            Ok(store)
        }
        None => {
            let engine = Memory::starting_at(first);
            Store::open_observed(engine, limits, clock, observer).await
        }
    }
}

/// Who is told of calls and commits. The audit log is opened again on SIGHUP.
fn observer(settings: &Settings) -> Result<Observer, Error> {
    let metrics = Observer::counting();
    let observe = &settings.observe;
    let audit = observe.audit.as_ref().map(|path| {
        let audit = Audit::open(path, metrics.clone());
        audit.map_err(|error| Error::new(format!("audit: {}: {error}", path.display())))
    });
    let traces = observe.traces.as_ref().map(|collector| {
        let traces = Traces::to(collector, observe.trace_ratio);
        traces.map_err(|error| Error::configuration(format!("traces: {collector}: {error}")))
    });
    let (audit, traces) = (audit.transpose()?, traces.transpose()?);
    if let Some(audit) = audit.clone() {
        let mut hangups = signal(SignalKind::hangup()).map_err(no_signals)?;
        audit.line(Line::Started {
            at: system_time(),
            version: env!("CARGO_PKG_VERSION"),
        });
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                audit.reopen();
            }
        });
    }
    Ok(Observer::new(metrics, audit, traces))
}

/// Serves metrics on an address of their own, until the process ends.
async fn serve_metrics(monitor: Monitor, address: SocketAddr) -> Result<(), Error> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(format!(
            "{address} cannot be listened on: {error}; choose another address with --metrics-listen"
        ))
    })?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!("metrics are served at http://{address}/metrics");
    let pages = to_be_read(metrics::router(monitor)).fallback(async |uri: Uri| {
        Rejection::not_found(uri.path(), "; /metrics is").into_response()
    });
    let forever = std::future::pending();
    tokio::spawn(async move {
        let limits = Limits::default();
        serve(listener, pages, None, &limits, forever, Duration::ZERO).await;
    });
    Ok(())
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
    lab.map_err(|errors| Error::configuration(errors.to_string()))
}

/// All tokens that are accepted, and whatever they are changed to. None where nobody is asked for one.
fn tokens(settings: &Settings, store: &Store) -> Result<Option<Arc<Tokens>>, Error> {
    if settings.demo || settings.no_auth {
        return Ok(None);
    }
    let sources = token_sources(settings)?;
    let changes = Changes::of(sources.files()).map_err(no_signals)?;
    let tokens = Tokens::open(sources).map_err(|error| Error::configuration(error.to_string()))?;
    for client in tokens.listed_clients() {
        if store.read(|book, _| book.client(&client).is_none()) {
            let (namespace, id) = (&client.namespace, &client.id);
            tracing::warn!(
                "a token stands for the client {id} of {namespace}, which the lab does not have; it is refused"
            );
        }
    }
    let tokens = Arc::new(tokens);
    tokio::spawn(reload::follow_tokens(tokens.clone(), changes));
    Ok(Some(tokens))
}

/// Where tokens come from; also for the commands that make and end them.
///
/// # Errors
/// The folder for keys cannot be made.
pub fn token_sources(settings: &Settings) -> Result<Sources, Error> {
    let security = &settings.security;
    Ok(Sources {
        listed: settings.tokens.clone(),
        folder: security.keys.as_deref().map(folder).transpose()?,
        key: security.token_key.clone(),
        issuer: security.token_issuer.clone(),
        audience: security.token_audience.clone(),
        lifetime: span(security.token_lifetime),
        grace: span(settings.rotated_token_grace),
        trusted: security.oidc.iter().map(trust).collect::<Result<_, _>>()?,
        ..Sources::default()
    })
}

fn trust(oidc: &OidcIssuer) -> Result<Trust, Error> {
    let read = |path: &PathBuf| {
        let read = std::fs::read(path);
        read.map_err(|error| Error::configuration(format!("oidc: {}: {error}", path.display())))
    };
    Ok(Trust {
        issuer: oidc.issuer.clone(),
        audience: oidc.audience.clone(),
        username_claim: oidc.username_claim.clone(),
        username_prefix: oidc.username_prefix.clone(),
        provision: oidc.provision,
        authorities: oidc.ca.as_ref().map(read).transpose()?,
    })
}

fn folder(path: &Path) -> Result<Folder, Error> {
    Folder::open(path)
        .map_err(|error| Error::configuration(format!("keys: {}: {error}", path.display())))
}

/// Where the certificate is, or will be. None without TLS.
pub(super) fn certificate_file_names(settings: &Settings) -> Option<CertificateFiles> {
    let security = &settings.security;
    if let Some((certificate, key)) = security.tls_cert.clone().zip(security.tls_key.clone()) {
        return Some(CertificateFiles { certificate, key });
    }
    let keys = security.keys.as_deref();
    let own = keys.filter(|_| security.tls_self_signed)?;
    Some(CertificateFiles::own(own))
}

/// Where the certificate is; one of our own is made if there is none yet. None without TLS.
fn certificate_files(settings: &Settings) -> Result<Option<CertificateFiles>, Error> {
    let security = &settings.security;
    let keys = security.keys.as_deref();
    let Some(keys) = keys.filter(|_| security.tls_self_signed) else {
        return Ok(certificate_file_names(settings));
    };
    let folder = Folder::open(keys)
        .map_err(|error| Error::configuration(format!("keys: {}: {error}", keys.display())))?;
    let (mut needed, usual) = tls::usual_names(settings.listen);
    needed.extend(security.tls_names.iter().cloned());
    let files = tls::self_signed(&folder, &needed, &usual);
    files
        .map(Some)
        .map_err(|error| Error::configuration(error.to_string()))
}

/// The certificate in the files, and whatever it is changed to.
fn certificates(files: CertificateFiles) -> Result<Certificates, Error> {
    let changes = Changes::of(vec![files.certificate.clone(), files.key.clone()]);
    let changes = changes.map_err(no_signals)?;
    let loaded = Certificates::load(files);
    let (certificates, renewal) =
        loaded.map_err(|error| Error::configuration(error.to_string()))?;
    tokio::spawn(renewal.follow(changes));
    Ok(certificates)
}

fn changes_of(path: PathBuf) -> Result<Changes, Error> {
    Changes::of(vec![path]).map_err(no_signals)
}

pub fn span(duration: Duration) -> lease::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    lease::Duration::new(seconds, duration.subsec_nanos().cast_signed())
}

/// The wall clock. Before 1970 it is 1970.
pub fn system_time() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(seconds, since.subsec_nanos().cast_signed())
}

fn no_signals(error: std::io::Error) -> Error {
    Error::new(format!("signals cannot be received: {error}"))
}

/// What the lab holds, as part of a sentence.
fn summary(lab: &Lab) -> String {
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let exporters = count(lab.exporters.len(), "exporter");
    format!("{exporters} and {}", count(lab.clients.len(), "client"))
}

/// Says where everything is: a log line for programs, a message for people.
fn announce(
    settings: &Settings,
    listener: &TcpListener,
    summary: &str,
    files: Option<&CertificateFiles>,
) {
    let address = listener.local_addr().unwrap_or(settings.listen);
    if settings.log_format == LogFormat::Json {
        tracing::info!(%address, tls = files.is_some(), "serving {summary}");
        return;
    }
    let lab = if settings.demo {
        "the demonstration lab"
    } else {
        "a lab"
    };
    let asked = if settings.demo || settings.no_auth {
        format!("Nobody is asked for a token: everybody is the client `{ANYBODY}`.")
    } else {
        "Every call needs a bearer token.".to_owned()
    };
    let scheme = if files.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    // Who is to trust a self-signed certificate must be told where it is.
    let certificate = match files.filter(|_| settings.security.tls_self_signed) {
        None => String::new(),
        Some(files) => format!(
            "\x20 Certificate    {}, self-signed: curl --cacert FILE\n",
            files.certificate.display()
        ),
    };
    let kept = match &settings.data {
        Some(directory) => format!("Leases are kept in {}.", directory.display()),
        None => "Leases are kept in memory: a restart forgets them.".to_owned(),
    };
    let message = format!(
        "jumpstarter-gateway {version} serves {lab} with {summary}. {asked} {kept}\n\
         \n\
         \x20 Swagger UI     {url}/swagger-ui/\n\
         \x20 OpenAPI        {url}/openapi.json\n\
         \x20 REST and gRPC  {url}\n\
         {certificate}\
         \n\
         Stop it with Ctrl-C.\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    // A closed standard output is no reason not to serve.
    let _ = std::io::stdout().write_all(message.as_bytes());
}
