//! What the gateway does not put up with, and that others notice nothing of it: a server with small
//! limits in a process of its own, and clients that are up to no good.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jumpstarter_gateway::load::{Bounds, Load};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Answer, Gateway, answer};
use crate::program::{PATIENCE, Program};

const LAB: &str = "
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: ann, namespace: lab}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: bob, namespace: lab}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata: {name: board, namespace: lab, labels: {board: rpi4}}
";

const LEASES: &str = "/v1/namespaces/lab/leases";
const EXPORTERS: &str = "/v1/namespaces/lab/exporters";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const LIST: &str = "/jumpstarter.client.v1.ClientService/ListExporters";

/// What the process may take, in kilobytes; much more than it needs, much less than it would take
/// without limits.
const MEMORY: usize = 400_000;

/// A server that asks nobody for a token.
fn open(flags: &[&str]) -> Program {
    Program::start(&[&["--no-auth"], flags].concat(), LAB)
}

/// A server whose clients are `ann` and `bob`, by these tokens.
fn closed(flags: &[&str]) -> Program {
    let folder = tempfile::tempdir().unwrap();
    save_tokens(&folder.path().join("tokens"), &["ann", "bob"]);
    Program::start_in(folder, &[&["--tokens=FOLDER/tokens"], flags].concat(), LAB)
}

fn save_tokens(file: &std::path::Path, clients: &[&str]) {
    let lines = clients
        .iter()
        .map(|name| format!("{name},client:lab:{name}\n"));
    let draft = file.with_extension("new");
    fs::write(&draft, lines.collect::<String>()).unwrap();
    fs::rename(draft, file).unwrap();
}

fn address(program: &Program) -> SocketAddr {
    let url = program.url.strip_prefix("http://").unwrap();
    url.parse().unwrap()
}

/// Bytes on a connection of their own.
async fn begun(program: &Program, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address(program)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// All that comes on a connection, to its end.
async fn heard(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // A reset is an end too.
    end.unwrap_or_else(|_| panic!("still open: {text:?}")).ok();
    String::from_utf8_lossy(&text).into_owned()
}

/// A client with connections of its own.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    client.build().unwrap()
}

async fn get(program: &Program, path: &str, token: &str) -> Answer {
    let request = client().get(format!("{}{path}", program.url));
    answer(request.bearer_auth(token)).await
}

/// Somebody who follows the exporters.
async fn watch(program: &Program, token: &str) -> reqwest::Response {
    let request = client().get(format!("{}{EXPORTERS}", program.url));
    let request = request.header("accept", "text/event-stream");
    request.bearer_auth(token).send().await.unwrap()
}

/// A number of the process, as Linux tells it.
fn status(program: &Program, name: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{}/status", program.process.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

fn open_files(program: &Program) -> usize {
    let folder = format!("/proc/{}/fd", program.process.id());
    fs::read_dir(folder).unwrap().count()
}

/// Asks again until an answer is as it should be.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_sends_no_whole_head_is_hung_up_on() {
    let program = open(&["--head-timeout=1s", "--idle-timeout=1h"]);
    let beginnings: [&[u8]; 4] = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: ",
        b"PRI * HTTP/2.0\r\n",
    ];
    let mut streams = vec![];
    for bytes in beginnings {
        streams.push(begun(&program, bytes).await);
    }
    // The second request of a connection is no different from the first.
    let mut second = begun(&program, HEALTH).await;
    let mut bytes = [0; 1024];
    assert!(second.read(&mut bytes).await.unwrap() > 0);
    second.write_all(b"GET /he").await.unwrap();
    streams.push(second);
    let mut idle = begun(&program, HEALTH).await;
    for stream in streams {
        assert_eq!(heard(stream).await, "");
    }
    // One that is merely idle stays.
    assert!(idle.read(&mut bytes).await.unwrap() > 0);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(heard(idle).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let program = open(&["--idle-timeout=1s"]);
    let stream = begun(&program, HEALTH).await;
    let text = heard(stream).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let program = open(&["--body-timeout=1s"]);
    let head = format!(
        "POST {LEASES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{{"
    );
    let text = heard(begun(&program, head.as_bytes()).await).await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert!(
        text.contains("BODY_TOO_SLOW") && text.contains("within 1 s"),
        "{text}"
    );
    // The same over gRPC: five bytes before a message, and no message.
    let stream = TcpStream::connect(address(&program)).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("{}{LIST}", program.url));
    let request = request.header("content-type", "application/grpc").body(());
    let (response, mut body) = requests.send_request(request.unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(&[0, 0, 0, 0, 9]), false)
        .unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    let (code, message) = ended(response).await;
    assert_eq!(code, "4", "{message}");
    assert!(message.contains("did%20not%20arrive"), "{message}");
}

/// The status of a gRPC answer, in its head or behind its body.
async fn ended(response: http::Response<h2::RecvStream>) -> (String, String) {
    let (head, mut body) = response.into_parts();
    let mut headers = head.headers;
    while let Some(data) = body.data().await {
        data.unwrap();
    }
    if let Some(trailers) = body.trailers().await.unwrap() {
        headers.extend(trailers);
    }
    let text = |name| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    (text("grpc-status"), text("grpc-message"))
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused_in_the_one_shape() {
    let program = open(&["--max-url-bytes=300", "--max-query-bytes=200"]);
    let long = |length| "x".repeat(length);
    let url = get(&program, &format!("{EXPORTERS}/{}", long(300)), "").await;
    url.refused(414, 3, "URL_TOO_LONG", "the URL is longer than 300 bytes");
    let query = get(&program, &format!("{EXPORTERS}?filter={}", long(200)), "").await;
    query.refused(414, 3, "URL_TOO_LONG", "the query of the URL");
    // `host` and `accept` come by themselves.
    let with_headers = async |count| {
        let request = client().get(format!("{}{EXPORTERS}", program.url));
        let request = (2..count).fold(request, |request, index| {
            request.header(format!("x-{index}"), "x")
        });
        answer(request).await
    };
    assert_eq!(with_headers(64).await.status, 200);
    let many = with_headers(65).await;
    many.refused(431, 3, "TOO_MANY_HEADERS", "more than 64");
    // Cookies are one field, which HTTP/2 may split (RFC 9113, section 8.2.3).
    let http2 = reqwest::Client::builder().no_proxy();
    let http2 = http2.http2_prior_knowledge().build().unwrap();
    for (client, status) in [(client(), 431), (http2, 200)] {
        let request = client.get(format!("{}{EXPORTERS}", program.url));
        let request = (0..70).fold(request, |request, _| request.header("cookie", "a=b"));
        assert_eq!(answer(request).await.status, status);
    }
    // What is larger still is refused by what reads it, without a body.
    let request = client().get(format!("{}{EXPORTERS}", program.url));
    let large = answer(request.header("x", long(70_000))).await;
    assert_eq!((large.status, &*large.text), (431, ""), "{large:?}");
    let endless = begun(&program, b"GET / HTTP/1.1\r\nx: ").await;
    let (mut read, mut write) = endless.into_split();
    let flood = tokio::spawn(async move { while write.write_all(&[b'x'; 4096]).await.is_ok() {} });
    let mut bytes = vec![];
    let _ = timeout(PATIENCE, read.read_to_end(&mut bytes))
        .await
        .unwrap();
    flood.await.unwrap();
    assert!(status(&program, "VmRSS") < MEMORY);
}

#[tokio::test]
async fn thousands_of_half_open_connections_give_way() {
    let program = open(&["--max-connections=200", "--head-timeout=1h"]);
    let mut streams = vec![];
    for index in 0..3_000 {
        let bytes: &[u8] = match index % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nx: ",
            _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        };
        streams.push(TcpStream::connect(address(&program)).await.unwrap());
        // It may be gone already.
        let _ = streams[index].write_all(bytes).await;
        if index % 500 == 499 {
            let exporters = get(&program, EXPORTERS, "").await;
            assert_eq!(exporters.status, 200, "{exporters:?}");
            assert!(open_files(&program) < 400, "{}", open_files(&program));
        }
    }
    assert!(status(&program, "VmRSS") < MEMORY);
    drop(streams);
    until("the connections are not closed", async || {
        open_files(&program) < 60
    })
    .await;
}

#[tokio::test]
async fn where_all_are_busy_who_comes_is_told_so() {
    let program = open(&["--max-connections=4", "--max-connections-per-address=4"]);
    let mut watches = vec![];
    for _ in 0..4 {
        watches.push(watch(&program, "").await);
    }
    let refused = get(&program, EXPORTERS, "").await;
    refused.refused(503, 14, "OVERLOADED", "as many connections");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(watches.iter().all(|watch| watch.status() == 200));
    watches.pop();
    until("a place has become free", async || {
        get(&program, EXPORTERS, "").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn when_too_much_is_under_way_only_health_is_told() {
    let load = Load::new(Bounds {
        requests: 1,
        ..Bounds::NONE
    });
    let gateway = Gateway::bounded(&load).await;
    let exporters = "/v1/namespaces/default/exporters";
    assert_eq!(gateway.get(exporters).await.status, 200);
    let under_way = load.begin();
    for path in [exporters, "/openapi.json", "/nowhere"] {
        let refused = gateway.get(path).await;
        refused.refused(503, 14, "OVERLOADED", "try again later");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let called = gateway.request("POST", LIST).body(vec![0; 5]);
    let called = answer(called.header("content-type", "application/grpc")).await;
    assert_eq!(called.header("grpc-status"), "14", "{called:?}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    // Who waits is not in the way of others.
    let waiting = load.wait(None).unwrap();
    assert_eq!(gateway.get(exporters).await.status, 200);
    drop(waiting);
    assert_eq!(gateway.get(exporters).await.status, 503);
    drop(under_way);
    assert_eq!(gateway.get(exporters).await.status, 200);
}

#[tokio::test]
async fn one_clients_flood_is_not_the_others_business() {
    let program = closed(&["--max-requests-per-second=20"]);
    let (flood, url) = (client(), format!("{}{EXPORTERS}", program.url));
    let mut refused = None;
    until("nothing was refused", async || {
        let next = answer(flood.get(&url).bearer_auth("ann")).await;
        refused = Some(next).filter(|next| next.status != 200);
        refused.is_some()
    })
    .await;
    let refused = refused.unwrap();
    refused.refused(429, 8, "TOO_MANY_REQUESTS", "slow down");
    assert_eq!(refused.header("retry-after"), "1");
    for _ in 0..5 {
        let other = get(&program, EXPORTERS, "bob").await;
        assert_eq!(other.status, 200, "{other:?}");
    }
    // gRPC is the same client.
    let http2 = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    let http2 = http2.build().unwrap();
    until("gRPC was never refused", async || {
        let request = http2.post(format!("{}{LIST}", program.url));
        let request = request.header("content-type", "application/grpc");
        let called = answer(request.bearer_auth("ann").body(vec![0; 5])).await;
        called.header("grpc-status") == "8"
    })
    .await;
}

#[tokio::test]
async fn waits_have_a_limit_for_each_client() {
    let program = closed(&["--max-waits-per-client=2"]);
    let mut first = watch(&program, "ann").await;
    let second = watch(&program, "ann").await;
    assert!(first.status() == 200 && second.status() == 200);
    let third = watch(&program, "ann").await;
    assert_eq!(third.status(), 429);
    assert_eq!(third.headers()["retry-after"], "5");
    let third: Value = serde_json::from_str(&third.text().await.unwrap()).unwrap();
    assert_eq!(third["details"][0]["reason"], "TOO_MANY_WAITS", "{third}");
    // A wait is one as well, and nothing is created that cannot be waited for.
    let body =
        r#"{"selector": "board=rpi4", "duration": "60s", "beginTime": "2100-01-01T00:00:00Z"}"#;
    let create = |token: &'static str| {
        let request = client().post(format!("{}{LEASES}", program.url));
        let request = request.header("prefer", "wait=1").bearer_auth(token);
        answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    create("ann")
        .await
        .refused(429, 8, "TOO_MANY_WAITS", "2 waits");
    let leases = get(&program, LEASES, "ann").await;
    assert_eq!(leases.value()["leases"], Value::Array(vec![]), "{leases:?}");
    let other = create("bob").await;
    assert_eq!(other.status, 200, "{other:?}");
    assert!(first.chunk().await.unwrap().is_some());
    drop(first);
    until("the place of a watch that ended stays taken", async || {
        watch(&program, "ann").await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_watch_and_a_wait_end_with_their_token() {
    let program = closed(&[]);
    let mut anns = watch(&program, "ann").await;
    let mut bobs = watch(&program, "bob").await;
    let body =
        r#"{"selector": "board=rpi4", "duration": "60s", "beginTime": "2100-01-01T00:00:00Z"}"#;
    let create = client().post(format!("{}{LEASES}", program.url));
    let create = create.header("prefer", "wait=500, on-timeout=release");
    let create = create.header("content-type", "application/json").body(body);
    let waiting = tokio::spawn(answer(create.bearer_auth("ann")));
    let is_there = async || get(&program, LEASES, "bob").await.text.contains("ann");
    until("nobody waits for a lease", is_there).await;
    save_tokens(&program.file("tokens"), &["bob"]);
    let mut text = String::new();
    let end = async {
        while let Some(chunk) = anns.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    timeout(PATIENCE, end).await.unwrap();
    assert!(
        text.contains("event: error") && text.contains("TOKEN_REJECTED"),
        "{text}"
    );
    let waited = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    waited.refused(401, 16, "TOKEN_REJECTED", "not in the tokens file any more");
    // As if its client had gone away.
    until("the lease is still there", async || !is_there().await).await;
    let opening = bobs.chunk().await.unwrap();
    assert!(opening.is_some());
    let more = timeout(Duration::from_millis(1), bobs.chunk()).await;
    assert!(!matches!(more, Ok(Ok(None) | Err(_))), "{more:?}");
}

/// CVE-2023-44487: requests that are taken back before anybody has looked at them.
#[tokio::test]
async fn rapid_resets_are_nobody_elses_trouble() {
    let program = open(&[]);
    for _ in 0..5 {
        let stream = TcpStream::connect(address(&program)).await.unwrap();
        let (requests, connection) = h2::client::Builder::new()
            .initial_max_send_streams(100_000)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let mut failure = None;
        for _ in 0..20_000 {
            let mut ready = match requests.clone().ready().await {
                Ok(ready) => ready,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let request = http::Request::get(format!("{}{EXPORTERS}", program.url)).body(());
            match ready.send_request(request.unwrap(), true) {
                Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        drop(requests);
        let ended = timeout(PATIENCE, connection).await.unwrap().unwrap();
        let failure = failure.or(ended.err());
        let exporters = get(&program, EXPORTERS, "").await;
        assert_eq!(exporters.status, 200, "{exporters:?} after {failure:?}");
        assert!(status(&program, "VmRSS") < MEMORY, "after {failure:?}");
    }
}

/// CVE-2024-27316: header fields without end.
#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    let program = open(&[]);
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frames.extend(frame(4, 0, 0, &[]));
    frames.extend(frame(1, 0, 1, &[0x82, 0x86, 0x84]));
    let stream = begun(&program, &frames).await;
    let (mut read, mut write) = stream.into_split();
    // A literal field without indexing, `x: xxx...`, again and again.
    let mut field = vec![0, 1, b'x', 100];
    field.extend([b'x'; 100]);
    let fields = frame(9, 0, 1, &field.repeat(100));
    let mut sent = 0;
    while sent < 100_000_000 && write.write_all(&fields).await.is_ok() {
        sent += fields.len();
    }
    assert!(sent < 100_000_000, "the server took {sent} bytes");
    let mut bytes = vec![];
    let _ = timeout(PATIENCE, read.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(status(&program, "VmRSS") < MEMORY);
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
