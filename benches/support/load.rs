//! A load generator: a fixed number of requests over keep-alive connections, each of which sends
//! its next request when it has read the whole answer to the one before. It does as little as it
//! can for a request, so that it is the server that is measured. It knows HTTP/1.1 only as far as
//! the servers of this benchmark speak it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

/// Which request of a benchmark this is.
#[derive(Clone, Copy)]
pub struct Position {
    pub round: usize,
    pub connection: usize,
    pub index: usize,
}

/// Writes a request to the end of the buffer.
pub type Requests = fn(Position, &mut Vec<u8>);

/// Sends `each` requests over each of so many connections at the same time; returns the time from the first to the last.
///
/// # Panics
/// An answer is not 200, or cannot be read: the benchmark would measure something else.
pub fn run(
    address: SocketAddr,
    connections: usize,
    round: usize,
    each: usize,
    requests: Requests,
) -> Duration {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut streams = vec![];
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        for (connection, mut stream) in streams.into_iter().enumerate() {
            tasks.spawn_local(async move {
                let (mut request, mut answer) = (vec![], vec![0; 256 * 1024]);
                for index in 0..each {
                    request.clear();
                    requests(
                        Position {
                            round,
                            connection,
                            index,
                        },
                        &mut request,
                    );
                    exchange(&mut stream, &request, &mut answer).await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        started.elapsed()
    })
}

/// Sends one request over a connection of its own, and returns the whole answer.
pub fn once(address: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut request = vec![];
    write(&mut request);
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = vec![0; 256 * 1024];
        let length = exchange(&mut stream, &request, &mut answer).await;
        answer.truncate(length);
        answer
    })
}

/// Sends a request, and reads the answer into the buffer; returns its length.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut [u8]) -> usize {
    stream.write_all(request).await.unwrap();
    let mut filled = 0;
    let mut wanted = None;
    while wanted.is_none_or(|wanted| filled < wanted) {
        let count = stream.read(&mut answer[filled..]).await.unwrap();
        assert!(
            count > 0,
            "the server hung up after {}",
            text(&answer[..filled])
        );
        filled += count;
        wanted = wanted.or_else(|| whole(&answer[..filled]));
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}\n{}",
        text(request),
        text(&answer[..filled])
    );
    filled
}

/// The length of the whole answer, once its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = head(answer)?;
    let marker = b"content-length: ";
    let start = head
        .windows(marker.len())
        .position(|window| window == marker)
        .unwrap();
    let digits = head[start + marker.len()..]
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap();
    Some(head.len() + text(digits).parse::<usize>().unwrap())
}

/// The head of an answer, with the empty line that ends it.
pub fn head(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(&answer[..end + 4])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
