//! From settings to a running server, and to its end.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::changes::Changes;
use super::reload;
use super::tls::{self, CertificateFiles, Certificates};
use super::{Readiness, gateway, serve};
use crate::archive;
use crate::auth::{AuthLayer, Folder, Sources, Tokens, Trust};
use crate::config::{LogFormat, OidcIssuer, Settings};
use crate::lab::{self, Lab};
use crate::lease::{self, Name, Timestamp};
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
    let changes = lab_path.clone().map(changes_of).transpose()?;
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
    if let Some((path, changes)) = lab_path.zip(changes) {
        tokio::spawn(reload::follow(path, changes, lab, store.clone()));
    }
    let files = certificate_files(&settings)?;
    let certificates = files.clone().map(certificates).transpose()?;
    let clients = Clients::new(store, tokens, labels).with_longest_wait(settings.longest_wait);
    let clients = Arc::new(clients);
    let readiness = Readiness::default();
    let limits = Limits {
        body: settings.max_body_bytes,
        longest_call: settings.longest_call,
    };
    let origins = &settings.cors_origins;
    let gateway = gateway(clients.clone(), &auth, limits, readiness.clone(), origins).await;
    let gateway = gateway.map_err(|error| Error(format!("the routes cannot be built: {error}")))?;
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
        Error(format!(
            "{} cannot be listened on: {error}; choose another address with --listen",
            settings.listen
        ))
    })?;
    let stop = stop_signal().map_err(no_signals)?;
    announce(&settings, &listener, &summary, files.as_ref());
    readiness.set(true);
    let stopping = readiness.clone();
    let stop = async move {
        stop.await;
        stopping.set(false);
        clients.stop();
        tracing::info!("stopping: no new connections, requests under way are finished");
    };
    let grace = settings.shutdown_grace;
    serve(listener, gateway, certificates, stop, grace).await;
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
    if settings.demo || settings.no_auth {
        return Ok((AuthLayer::open(ANYBODY), None));
    }
    let sources = token_sources(settings)?;
    let changes = Changes::of(sources.files()).map_err(no_signals)?;
    let tokens = Tokens::open(sources).map_err(|error| Error(error.to_string()))?;
    for client in tokens.listed_clients() {
        if store.read(|book, _| book.client(&client).is_none()) {
            let (namespace, id) = (&client.namespace, &client.id);
            tracing::warn!(
                "a token stands for the client {id} of {namespace}, which the lab does not have; it is refused"
            );
        }
    }
    let admins = settings.security.admins.iter();
    let admins = admins.filter_map(|admin| admin.split_once('/'));
    let admins = admins
        .map(|(namespace, name)| Name::new(namespace, name))
        .collect();
    let tokens = Arc::new(tokens);
    tokio::spawn(reload::follow_tokens(tokens.clone(), changes));
    Ok((
        AuthLayer::tokens(tokens.clone(), store.clone(), admins)
            .with_failure_limit(settings.security.failed_tokens),
        Some(tokens),
    ))
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
        read.map_err(|error| Error(format!("oidc: {}: {error}", path.display())))
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
    Folder::open(path).map_err(|error| Error(format!("keys: {}: {error}", path.display())))
}

/// Where the certificate is; one of our own is made if there is none yet. None without TLS.
fn certificate_files(settings: &Settings) -> Result<Option<CertificateFiles>, Error> {
    let security = &settings.security;
    if let Some((certificate, key)) = security.tls_cert.clone().zip(security.tls_key.clone()) {
        return Ok(Some(CertificateFiles { certificate, key }));
    }
    let Some(keys) = security
        .keys
        .as_deref()
        .filter(|_| security.tls_self_signed)
    else {
        return Ok(None);
    };
    let folder =
        Folder::open(keys).map_err(|error| Error(format!("keys: {}: {error}", keys.display())))?;
    let (mut needed, usual) = tls::usual_names(settings.listen);
    needed.extend(security.tls_names.iter().cloned());
    let files = tls::self_signed(&folder, &needed, &usual);
    files.map(Some).map_err(|error| Error(error.to_string()))
}

/// The certificate in the files, and whatever it is changed to.
fn certificates(files: CertificateFiles) -> Result<Certificates, Error> {
    let changes = Changes::of(vec![files.certificate.clone(), files.key.clone()]);
    let changes = changes.map_err(no_signals)?;
    let loaded = Certificates::load(files);
    let (certificates, renewal) = loaded.map_err(|error| Error(error.to_string()))?;
    tokio::spawn(renewal.follow(changes));
    Ok(certificates)
}

fn changes_of(path: PathBuf) -> Result<Changes, Error> {
    Changes::of(vec![path]).map_err(no_signals)
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
