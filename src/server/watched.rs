//! The bytes of one connection, and how long a client may take with them: to send the head of a
//! request, and to take what it is sent. It also tells when the first of them has come: a connection that
//! was accepted just before the server stops has a request on its way, and is heard out. Knows no more of
//! HTTP than its two ways to begin.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::connections::Connection;

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes in both directions that a client must not take too long with. Zero is as long as it likes.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    /// From the first byte of a head to its last. The first head of a connection counts from its
    /// beginning; of HTTP/2 only the preface does, for a connection may well be there for later.
    head_time: Duration,
    /// How long nothing may be taken of what is to be sent.
    write_time: Duration,
    protocol: Protocol,
    /// How many heads there had been when the last byte came.
    heads: u32,
    head_timer: Option<(u32, Pin<Box<Sleep>>)>,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Who is to be told of the first byte.
    told: Option<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    /// So much of the preface has come, and nothing else.
    Perhaps2(usize),
    Http1,
    Http2,
}

impl<S> Watched<S> {
    /// The stream, and what completes with the first byte that is read from it, or when it is dropped.
    pub fn new(
        stream: S,
        connection: Arc<Connection>,
        head_time: Duration,
        write_time: Duration,
    ) -> (Self, oneshot::Receiver<()>) {
        let (told, heard) = oneshot::channel();
        let watched = Self {
            stream,
            connection,
            head_time,
            write_time,
            protocol: Protocol::Perhaps2(0),
            heads: 0,
            head_timer: None,
            write_timer: None,
            told: Some(told),
        };
        (watched, heard)
    }

    fn heard(&mut self, bytes: &[u8]) {
        if self.protocol == Protocol::Http2 || bytes.is_empty() {
            return;
        }
        if let Some(told) = self.told.take() {
            // Nobody may be waiting for it.
            let _ = told.send(());
        }
        self.heads = self.connection.heads();
        if let Protocol::Perhaps2(so_far) = self.protocol {
            let expected = &PREFACE[so_far..];
            let common = expected.len().min(bytes.len());
            self.protocol = match expected[..common] == bytes[..common] {
                true if common == expected.len() => Protocol::Http2,
                true => Protocol::Perhaps2(so_far + common),
                false => Protocol::Http1,
            };
        }
    }

    /// It has begun a head and not ended it.
    fn owes_a_head(&self) -> bool {
        self.protocol != Protocol::Http2
            && self.heads == self.connection.heads()
            && !self.connection.is_busy()
    }

    /// There is nothing to read. Ready when the client has had its time.
    fn silent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.head_time.is_zero() || !self.owes_a_head() {
            self.head_timer = None;
            return Poll::Pending;
        }
        if self
            .head_timer
            .as_ref()
            .is_none_or(|(heads, _)| *heads != self.heads)
        {
            self.head_timer = Some((self.heads, Box::pin(sleep(self.head_time))));
        }
        match &mut self.head_timer {
            Some((_, timer)) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// What came of sending something; an error when the client has had its time.
    fn sent<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer = None;
            return outcome;
        }
        if self.write_time.is_zero() {
            return Poll::Pending;
        }
        let time = self.write_time;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep(time)));
        timer.as_mut().poll(context).map(|()| Err(too_slow()))
    }
}

fn too_slow() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client was too slow")
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.heard(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => self.silent(context).map(|()| Err(too_slow())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.sent(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.sent(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.sent(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn watched<S>(stream: S) -> (Watched<S>, Arc<Connection>) {
        let connection = Arc::new(Connection::new());
        let (watched, _) = Watched::new(stream, connection.clone(), TIME, TIME);
        (watched, connection)
    }

    /// Reads on, until that fails; how long it took.
    async fn lasted(mut stream: impl AsyncRead + Unpin) -> Duration {
        let began = Instant::now();
        let mut bytes = [0; 64];
        loop {
            match stream.read(&mut bytes).await {
                Err(error) if error.kind() == ErrorKind::TimedOut => return began.elapsed(),
                read => assert!(read.unwrap() > 0, "the other side is still there"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_head_is_cut_off_however_slowly_it_goes_on() {
        for bytes in [b"".as_slice(), b"GET / HTTP/1.1\r\nx: ", &PREFACE[..20]] {
            let (mut client, server) = duplex(64);
            let (server, _connection) = watched(server);
            let client = tokio::spawn(async move {
                for byte in bytes {
                    client.write_all(&[*byte]).await.unwrap();
                    sleep(Duration::from_millis(450)).await;
                }
                sleep(TIME * 9).await;
                drop(client);
            });
            let lasted = lasted(server).await;
            assert_eq!(lasted.as_secs(), TIME.as_secs(), "{bytes:?}");
            client.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_idle_or_is_being_answered_is_not() {
        let (mut client, server) = duplex(64);
        let (mut server, connection) = watched(server);
        let mut bytes = [0; 64];
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(server.read(&mut bytes).await.unwrap() > 0);
        let answering = connection.begin();
        assert!(timeout(TIME * 3, server.read(&mut bytes)).await.is_err());
        drop(answering);
        assert!(timeout(TIME * 3, server.read(&mut bytes)).await.is_err());
        client.write_all(b"GE").await.unwrap();
        assert_eq!(lasted(server).await.as_secs(), TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_http_2_may_be_there_for_later() {
        let (mut client, server) = duplex(64);
        let (mut server, _connection) = watched(server);
        client.write_all(PREFACE).await.unwrap();
        let mut bytes = [0; 64];
        assert!(server.read(&mut bytes).await.unwrap() > 0);
        assert!(timeout(TIME * 9, server.read(&mut bytes)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let (mut client, server) = duplex(8);
        let (mut server, _connection) = watched(server);
        let taken = tokio::spawn(async move {
            let mut bytes = [0; 8];
            for _ in 0..5 {
                sleep(TIME - Duration::from_secs(1)).await;
                client.read_exact(&mut bytes).await.unwrap();
            }
            client
        });
        server.write_all(&[0; 40]).await.unwrap();
        let _client = taken.await.unwrap();
        let began = Instant::now();
        let error = server.write_all(&[0; 80]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), TIME.as_secs());
    }
}
