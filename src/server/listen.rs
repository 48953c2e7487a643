//! Accepts connections, secures them where there is a certificate, and ends them in good order.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt};

use super::audible::Audible;
use super::tls::Certificates;
use crate::auth::Peer;

/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// After so long a silence an HTTP/2 connection is asked whether it is still there, and how long it
/// may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// See [`KEEP_ALIVE`].
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take to agree on keys.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that has connected may take to agree on keys, and to begin with a request, when the
/// server stops.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Accepts connections, HTTP/1.1 and HTTP/2 alike, until `stop` completes; then finishes the
/// requests that are under way, for at most `grace`. With certificates it does so over TLS, each
/// connection with the one that there is when it begins.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    certificates: Option<Certificates>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    // Every connection has a receiver, which says when to end, and is dropped when it has ended.
    let (serving, is_serving) = watch::channel(true);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: leave the others time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without it small responses wait for the client's next packet.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let peer = Peer(address.ip());
        let service = service
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request
            });
        let (server, is_serving) = (server.clone(), is_serving.clone());
        match &certificates {
            None => drop(tokio::spawn(converse(server, service, is_serving, stream))),
            Some(certificates) => {
                let acceptor = TlsAcceptor::from(certificates.present());
                tokio::spawn(async move {
                    if let Some(stream) = secure(stream, acceptor, is_serving.clone()).await {
                        converse(server, service, is_serving, stream).await;
                    }
                });
            }
        }
    }
    drop((listener, is_serving));
    serving.send_replace(false);
    if timeout(grace, serving.closed()).await.is_err() {
        tracing::warn!(
            connections = serving.receiver_count(),
            "some requests were cut off: they took longer than the grace period"
        );
    }
}

/// Agrees on keys with a client. None where that comes to nothing: a probe that hangs up, a scanner,
/// or a client that does not trust the certificate; the log tells of it at the level `debug`.
async fn secure(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    mut is_serving: watch::Receiver<bool>,
) -> Option<TlsStream<TcpStream>> {
    let last_call = async {
        let _ = is_serving.wait_for(|is_serving| !is_serving).await;
        tokio::time::sleep(LAST_CALL).await;
    };
    let agreed = tokio::select! {
        agreed = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => agreed,
        () = last_call => return None,
    };
    match agreed {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

/// Answers the requests of one connection, to its end.
async fn converse<S>(
    server: auto::Builder<TokioExecutor>,
    service: S,
    mut is_serving: watch::Receiver<bool>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    let service = TowerToHyperService::new(service);
    let (stream, heard) = Audible::new(stream);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let told_to_end = async {
        let _ = is_serving.wait_for(|is_serving| !is_serving).await;
        let _ = timeout(LAST_CALL, heard).await;
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = told_to_end => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke off");
    }
}
