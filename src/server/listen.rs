//! Accepts connections, secures them where there is a certificate, and ends them in good order. Who
//! has room and who gives way is decided elsewhere, and so is what requests are answered.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::connections::{Connection, Connections, Seat};
use super::gateway::refusal;
use super::grpc::is_grpc;
use super::tally;
use super::tls::Certificates;
use super::watched::Watched;
use crate::auth::Peer;
use crate::config::Limits;
use crate::load::overloaded;

/// How long an HTTP/2 client may take to say that it is still there.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How many connections there may be unless a setting says so, whatever the system allows.
const CONNECTIONS: usize = 10_000;

/// File descriptors that connections never take: for files, and for those who are sent away.
const RESERVED: usize = 128;

/// How many can be told at a time that there is no room, and how long that may take. All others are
/// hung up on.
const SENT_AWAY: usize = 32;
/// See [`SENT_AWAY`].
const FAREWELL: Duration = Duration::from_secs(2);

/// What of an HTTP/2 request's body may arrive before anybody wants it, in bytes; of one request and
/// of all requests of a connection.
const WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);

/// How much of an HTTP/2 answer is made ready before the client takes it, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// How many requests an HTTP/2 client may take back before they were looked at, and how many errors
/// of its own it is told one by one; then the connection ends (CVE-2023-44487 and the like).
const RESETS: (usize, usize) = (20, 200);

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
    limits: &Limits,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    let (most, most_per_address) = most_connections(limits);
    let present = Connections::new(most, most_per_address);
    let farewells = Arc::new(Semaphore::new(SENT_AWAY));
    // Every connection has a receiver, which says when to end, and is dropped when it has ended.
    let (serving, is_serving) = watch::channel(true);
    let common = Common {
        server: server(limits),
        limits: Arc::new(limits.clone()),
        certificates,
        is_serving,
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        present.settle().await;
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
        let address = address.ip();
        match present.admit(address) {
            Some(seat) => {
                let connection = seat.connection.clone();
                let answered = common
                    .clone()
                    .answer(stream, address, service.clone(), seat);
                connection.served_by(tokio::spawn(answered).abort_handle());
            }
            None => {
                tracing::debug!(%address, "a connection was sent away: there is no room");
                if let Ok(farewell) = farewells.clone().try_acquire_owned() {
                    let answered = common.clone().send_away(stream);
                    tokio::spawn(async move {
                        // Who has heard nothing in time hears the line go dead.
                        let _ = timeout(FAREWELL, answered).await;
                        drop(farewell);
                    });
                }
            }
        }
    }
    drop((listener, common));
    serving.send_replace(false);
    if timeout(grace, serving.closed()).await.is_err() {
        tracing::warn!(
            connections = serving.receiver_count(),
            "some requests were cut off: they took longer than the grace period"
        );
    }
}

/// How many connections there may be, in all and of one address: what is set, but never so many that
/// the process runs out of file descriptors.
fn most_connections(limits: &Limits) -> (usize, usize) {
    let open = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024);
    let open = usize::try_from(open).unwrap_or(usize::MAX);
    let possible = open.saturating_sub(RESERVED).max(1);
    let usual = CONNECTIONS.min(open / 4 * 3);
    let most = limits.max_connections.unwrap_or(usual).min(possible);
    if limits.max_connections.is_some_and(|asked| asked > most) {
        tracing::warn!(
            most,
            "max_connections is more than the process may have files open; raise its limit (ulimit -n, LimitNOFILE)"
        );
    }
    let of_one = limits.max_connections_per_address;
    (most, of_one.unwrap_or((most / 2).max(1)).min(most))
}

/// How HTTP is spoken.
fn server(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    let idle = Some(limits.idle_timeout).filter(|time| !time.is_zero());
    let mut http1 = server.http1();
    http1
        .timer(TokioTimer::new())
        // It runs between two requests too, and is longer than what is watched elsewhere.
        .header_read_timeout(idle)
        .max_buf_size(limits.max_header_bytes);
    if limits.max_headers >= 100 {
        // Up to there they need no allocation. A few more, so that the refusal is ours.
        http1.max_headers(limits.max_headers + 32);
    }
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(idle)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS.0)
        .max_local_error_reset_streams(RESETS.1);
    server
}

/// What all connections have in common.
#[derive(Clone)]
struct Common {
    server: auto::Builder<TokioExecutor>,
    limits: Arc<Limits>,
    certificates: Option<Certificates>,
    is_serving: watch::Receiver<bool>,
}

impl Common {
    /// Answers the requests of one connection, to its end.
    async fn answer<S>(self, stream: TcpStream, address: IpAddr, service: S, seat: Seat)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>,
        S: Clone + Send + 'static,
    {
        let connection = seat.connection.clone();
        let respond = move |mut request: Request<Incoming>| {
            let under_way = connection.begin();
            request.extensions_mut().insert(Peer(address));
            if !request.body().is_end_stream() {
                request
                    .extensions_mut()
                    .insert(connection.outstanding.clone());
            }
            let answer = service.clone().call(request);
            async move {
                let response = answer.await?;
                // Who follows something uses the connection as long as that goes on.
                Ok(match response.body().size_hint().exact() {
                    Some(_) => response,
                    None => response.map(|body| {
                        Body::new(body.map_frame(move |frame| {
                            let _ = &under_way;
                            frame
                        }))
                    }),
                })
            }
        };
        self.speak(stream, respond, &seat.connection).await;
    }

    /// Tells somebody that there is no room.
    async fn send_away(self, stream: TcpStream) {
        let respond = |request: Request<Incoming>| async move {
            let fault = overloaded("there are as many connections as it takes");
            let mut response = refusal(is_grpc(&request), fault.into());
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        };
        let connection = Arc::new(Connection::new());
        self.speak(stream, respond, &connection).await;
    }

    async fn speak<R, A>(self, stream: TcpStream, respond: R, connection: &Arc<Connection>)
    where
        R: Fn(Request<Incoming>) -> A + Send + 'static,
        A: Future<Output = Result<Response, Infallible>> + Send + 'static,
    {
        let Self {
            server,
            limits,
            certificates,
            is_serving,
        } = self;
        let (head, write) = (limits.head_timeout, limits.write_timeout);
        let connection = connection.clone();
        match certificates {
            None => {
                let stream = Watched::new(stream, connection, head, write);
                converse(server, respond, is_serving, stream).await;
            }
            Some(certificates) => {
                let acceptor = TlsAcceptor::from(certificates.present());
                let time = limits.handshake_timeout;
                if let Some(stream) = secure(stream, acceptor, time, is_serving.clone()).await {
                    let stream = Watched::new(stream, connection, head, write);
                    converse(server, respond, is_serving, stream).await;
                }
            }
        }
    }
}

/// Agrees on keys with a client. None where that comes to nothing: a probe that hangs up, a scanner,
/// or a client that does not trust the certificate; the log tells of it at the level `debug`.
async fn secure(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    time: Duration,
    mut is_serving: watch::Receiver<bool>,
) -> Option<TlsStream<TcpStream>> {
    let last_call = async {
        let _ = is_serving.wait_for(|is_serving| !is_serving).await;
        tokio::time::sleep(LAST_CALL).await;
    };
    let time = if time.is_zero() { Duration::MAX } else { time };
    let agreed = tokio::select! {
        agreed = timeout(time, acceptor.accept(stream)) => agreed,
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

/// Answers requests until there are no more.
async fn converse<R, A>(
    server: auto::Builder<TokioExecutor>,
    respond: R,
    mut is_serving: watch::Receiver<bool>,
    (stream, heard): (
        Watched<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
        oneshot::Receiver<()>,
    ),
) where
    R: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let _open = tally::opened();
    let connection = server.serve_connection(TokioIo::new(stream), service_fn(respond));
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
