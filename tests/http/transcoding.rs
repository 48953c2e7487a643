//! The transcoder around an invented service, without a network: bodies that are no JSON, headers
//! and metadata, deadlines, and conditions.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use jumpstarter_gateway::proto::google::rpc;
use jumpstarter_gateway::transcode::{Limits, Route, Transcoder, with_request_info};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tower::ServiceExt;

use crate::generated::library::v1::library_service_http;
use crate::library::{Library, router};

const BOOK: &str = "/v1/shelves/1/books/2";

/// A response, read to its end.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

async fn ask(router: Router, request: Request<Body>) -> Reply {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Sends a request with these headers.
async fn send(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(
        router(Library::default()),
        request.body(body.into()).unwrap(),
    )
    .await
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Reply {
    send("GET", path, headers, Body::empty()).await
}

#[tokio::test]
async fn an_answer_may_be_bytes() {
    let cover = get(&format!("{BOOK}/cover"), &[("accept", "image/*")]).await;
    assert_eq!(
        (cover.status, cover.header("content-type")),
        (StatusCode::OK, "image/png"),
        "{cover:?}"
    );
    assert_eq!(cover.body, [0, 0xff]);
    let unnamed = get("/v1/shelves/1/books/0/cover", &[]).await;
    assert_eq!(
        unnamed.header("content-type"),
        "application/octet-stream",
        "{unnamed:?}"
    );
    let known = get(&format!("{BOOK}/cover"), &[("if-none-match", "\"cover\"")]).await;
    assert_eq!(
        (known.status, known.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
}

#[tokio::test]
async fn a_request_may_be_bytes() {
    let path = format!("{BOOK}/cover");
    let replaced = send(
        "PUT",
        &path,
        &[("content-type", "image/png")],
        vec![1, 0, 0xff],
    )
    .await;
    assert_eq!(
        replaced.value(),
        json!({"name": "shelves/1/books/2", "title": "image/png: [1, 0, 255]"})
    );
    let unnamed = send("PUT", &path, &[], "{").await;
    assert_eq!(unnamed.value()["title"], ": [123]");
    let nothing = send("PUT", &path, &[], "").await;
    assert_eq!(nothing.value(), json!({"name": "shelves/1/books/2"}));
    let query = send(
        "PUT",
        &format!("{path}?cover.contentType=text%2Fplain"),
        &[],
        "x",
    )
    .await;
    assert_eq!(query.status, StatusCode::BAD_REQUEST, "{query:?}");
    let long = send("PUT", &path, &[], vec![0; 64 * 1024 + 1]).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE, "{long:?}");
}

#[tokio::test]
async fn a_stream_of_bytes_is_one_body() {
    let file = get("/v1/files/a/b:download", &[]).await;
    assert_eq!(
        (file.header("content-type"), file.body.as_slice()),
        ("text/csv", b"a,b\n1,2\n3,4\n".as_slice())
    );
    let empty = get("/v1/files/empty:download", &[]).await;
    assert_eq!((empty.status, empty.body.len()), (StatusCode::OK, 0));
    let missing = get("/v1/files/missing:download", &[]).await;
    assert_eq!(
        (missing.status, missing.value()["code"].clone()),
        (StatusCode::NOT_FOUND, json!(5))
    );
}

#[tokio::test]
async fn headers_that_are_allowed_become_metadata() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = [
        ("accept", "application/json"),
        ("connection", "x-secret, grpc-metadata-x-hop"),
        ("cookie", "a=b"),
        ("grpc-metadata-x-desk", "7"),
        ("grpc-metadata-connection", "close"),
        ("grpc-metadata-host", "elsewhere"),
        // These have a way of their own, or none.
        ("grpc-metadata-authorization", "Bearer other"),
        ("grpc-metadata-x-request-id", "other"),
        ("grpc-metadata-if-match", "\"8\""),
        ("grpc-metadata-grpc-timeout", "1S"),
        ("grpc-metadata-grpc-status", "5"),
        ("grpc-metadata-x-hop", "1"),
        ("if-match", "\"7\""),
        ("traceparent", trace),
        ("x-request-id", "abc"),
        ("x-secret", "1"),
    ];
    let book = get(BOOK, &sent).await;
    let expected = [
        "if-match: \"7\"",
        &format!("traceparent: {trace}"),
        "x-desk: 7",
        "x-request-id: abc",
    ];
    assert_eq!(book.value()["tags"], json!(expected));
}

#[tokio::test]
async fn metadata_becomes_headers() {
    let book = get(BOOK, &[]).await;
    assert_eq!(
        (book.header("etag"), book.header("x-shelf")),
        ("\"7\"", "oak")
    );
    // What describes the HTTP message is not the service's to say.
    assert_eq!(
        (book.header("connection"), book.header("content-length")),
        ("", "")
    );
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    for (condition, status) in [
        ("\"7\"", 304),
        ("W/\"7\"", 304),
        ("\"1\", \"7\"", 304),
        ("*", 304),
        ("\"8\"", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let book = send(method, BOOK, &[("if-none-match", condition)], "").await;
            assert_eq!(book.status, status, "{method} {condition}: {book:?}");
            assert_eq!(book.header("etag"), "\"7\"");
            if status == 304 {
                assert_eq!(book.header("content-length"), "", "{method}: {book:?}");
            }
            let silent = status == 304 || method == "HEAD";
            assert_eq!(
                book.body.is_empty(),
                silent,
                "{method} {condition}: {book:?}"
            );
        }
    }
    let posted = send(
        "POST",
        &format!("{BOOK}:archive"),
        &[("if-none-match", "*")],
        "",
    )
    .await;
    assert_eq!(posted.status, 200, "{posted:?}");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    for header in [("grpc-timeout", "1n"), ("x-request-timeout", "0.000001")] {
        let late = get("/v1/shelves/never", &[header]).await;
        assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT, "{late:?}");
        assert_eq!(late.value()["code"], 4, "{late:?}");
        assert_eq!(
            late.value()["details"][0]["reason"],
            "DEADLINE_EXCEEDED",
            "{late:?}"
        );
    }
    let in_time = get("/v1/shelves/1", &[("x-request-timeout", "3600")]).await;
    assert_eq!(in_time.status, 200, "{in_time:?}");
    let wrong = get("/v1/shelves/1", &[("x-request-timeout", "soon")]).await;
    assert_eq!(
        (wrong.status, wrong.value()["details"][0]["reason"].clone()),
        (StatusCode::BAD_REQUEST, json!("INVALID_TIMEOUT"))
    );
}

/// Time stands still while anything can be done, so a stream begins before its deadline.
#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_too_long_is_cut_off() {
    let timeout = [("x-request-timeout", "0.05")];
    let stream = get("/v1/shelves/1/books:watch?limit=-1", &timeout).await;
    assert_eq!(stream.status, 200, "{stream:?}");
    let lines = stream.body.trim_ascii_end().split(|byte| *byte == b'\n');
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let [first, last] = lines.as_slice() else {
        panic!("{stream:?}");
    };
    assert_eq!(first["book"]["title"], "one");
    assert_eq!(last["error"]["code"], 4, "{stream:?}");
    let nothing = get("/v1/shelves/1/books:watch?limit=-2", &timeout).await;
    assert_eq!(nothing.status, StatusCode::GATEWAY_TIMEOUT, "{nothing:?}");
    assert_eq!(nothing.value()["code"], 4, "{nothing:?}");

    let request = Request::get("/v1/files/endless:download").header(timeout[0].0, timeout[0].1);
    let request = request.body(Body::empty()).unwrap();
    let response = router(Library::default()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut pieces = response.into_body().into_data_stream();
    assert_eq!(pieces.next().await.unwrap().unwrap(), "a,b\n");
    assert!(pieces.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_that_fails_says_the_id_of_its_request() {
    let request = Request::get("/v1/shelves/1/books:watch?limit=2");
    let request = request.body(Body::empty()).unwrap();
    let response = router(Library::default()).oneshot(request).await.unwrap();
    let info = || rpc::RequestInfo {
        request_id: "seventh".to_owned(),
        serving_data: "trace=12".to_owned(),
    };
    let body = with_request_info(response, info).into_body();
    let lines = body.collect().await.unwrap().to_bytes();
    let lines = String::from_utf8_lossy(&lines);
    let told = r#""requestId":"seventh","servingData":"trace=12""#;
    assert!(lines.contains(told), "{lines}");
}

#[tokio::test]
async fn a_deadline_holds_for_the_body_too() {
    let half = stream::iter([Ok::<_, Infallible>("{")]).chain(stream::pending());
    let headers = [
        ("content-type", "application/json"),
        ("x-request-timeout", "0.01"),
    ];
    let late = send("POST", "/v1/shelves", &headers, Body::from_stream(half)).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT, "{late:?}");
    assert_eq!(
        late.value()["details"][0]["reason"],
        "DEADLINE_EXCEEDED",
        "{late:?}"
    );
}

#[tokio::test]
async fn a_requester_who_leaves_ends_the_call() {
    let (sender, mut calls) = unbounded_channel();
    let router = router(Library {
        calls: Some(sender),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}/v1/shelves/never");
    let request = tokio::spawn(crate::harness::client().get(url).send());
    assert_eq!(calls.recv().await, Some("begun"));
    request.abort();
    assert_eq!(calls.recv().await, Some("over"));
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_before_it_is_called() {
    let (sender, mut calls) = unbounded_channel();
    let router = router(Library {
        calls: Some(sender),
    });
    let request = Request::get("/v1/shelves/1").header("accept", "text/event-stream");
    let refused = ask(router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE, "{refused:?}");
    assert!(calls.try_recv().is_err(), "it was called");
}

/// What is answered by a library all of whose routes were asked to be followed.
async fn followed(path: &str, headers: &[(&str, &str)]) -> Reply {
    let routes = library_service_http::routes(Arc::new(Library::default())).into_iter();
    let routes = routes.map(Route::followed);
    let router =
        Router::new().fallback_service(Transcoder::new(routes, Limits::default()).unwrap());
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn who_prefers_events_gets_json_where_there_are_none() {
    let accept = |value| [("accept", value)];
    let json = "text/event-stream, application/json;q=0.5";
    let shelf = followed("/v1/shelves/1", &accept(json)).await;
    assert_eq!(
        (shelf.status, shelf.header("content-type")),
        (StatusCode::OK, "application/json")
    );
    assert_eq!(shelf.value()["name"], "shelves/1");
    // The route was wrong, not the request.
    let shelf = followed("/v1/shelves/1", &accept("text/event-stream")).await;
    assert_eq!(shelf.status, StatusCode::INTERNAL_SERVER_ERROR, "{shelf:?}");
    // What cannot be followed is as it was.
    let books = followed("/v1/shelves/1/books:watch?limit=1", &[]).await;
    assert_eq!(books.header("content-type"), "application/x-ndjson");
    let cover = followed(&format!("{BOOK}/cover"), &accept("image/*")).await;
    assert_eq!(cover.header("content-type"), "image/png", "{cover:?}");
}

/// RFC 9110, section 12.5.5.
#[tokio::test]
async fn where_there_is_a_choice_it_is_told_what_made_it() {
    let known = ("if-none-match", "\"7\"");
    for (path, headers, status, vary) in [
        (BOOK, vec![], 200, "accept"),
        (BOOK, vec![("accept", "application/json")], 200, "accept"),
        (BOOK, vec![known], 304, "accept"),
        ("/v1/shelves/1/books:watch?limit=1", vec![], 200, "accept"),
        (&format!("{BOOK}/cover"), vec![], 200, ""),
    ] {
        let reply = followed(path, &headers).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("vary")),
            (status, vary),
            "{path} {headers:?}"
        );
    }
    assert_eq!(get(BOOK, &[]).await.header("vary"), "");
}

#[tokio::test]
async fn bytes_are_of_one_kind_and_plain() {
    let path = format!("{BOOK}/cover");
    for (headers, told) in [
        (
            [
                ("content-type", "image/png"),
                ("content-type", "text/plain"),
            ],
            "with one Content-Type, not with several",
        ),
        (
            [
                ("content-encoding", "identity"),
                ("content-encoding", "gzip"),
            ],
            "Content-Encoding `gzip` is not supported",
        ),
    ] {
        let refused = send("PUT", &path, &headers, vec![1]).await;
        assert_eq!(
            refused.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{refused:?}"
        );
        let message = refused.value()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{message}");
    }
}

#[tokio::test]
async fn a_field_that_is_not_set_is_sent_as_nothing_of_its_kind() {
    let shelves = get("/v1/shelves", &[]).await;
    assert_eq!(shelves.body, b"[]", "{shelves:?}");
}

#[tokio::test]
async fn an_answer_is_indented_for_who_asks() {
    let path = format!("{BOOK}:archive");
    let book = send("POST", &format!("{path}?%24prettyPrint=true"), &[], "").await;
    let text = String::from_utf8(book.body).unwrap();
    assert_eq!(text, "{\n  \"name\": \"shelves/1/books/2\"\n}\n");
    let plain = send("POST", &format!("{path}?$prettyPrint=false"), &[], "").await;
    assert_eq!(plain.body, br#"{"name":"shelves/1/books/2"}"#);
    // It is beside what a body of everything leaves for the query, and beside other parameters.
    let path = format!("{BOOK}:archive?reason=damp&$prettyPrint=true");
    let book = send("POST", &path, &[], "").await;
    assert_eq!(book.value()["title"], "damp");
    assert!(book.body.ends_with(b"\n"));
    let refused = get("/v1/shelves?$prettyPrint=true&genres=x", &[]).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.starts_with(b"{\n  \"code\": 3,"),
        "{refused:?}"
    );
    for wrong in ["$prettyPrint=yes", "$alt=json", "prettyPrint=true"] {
        let refused = get(&format!("/v1/shelves?{wrong}"), &[]).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    // Streams come line by line.
    let stream = get("/v1/shelves/1/books:watch?limit=1&$prettyPrint=true", &[]).await;
    assert_eq!(stream.body, b"{\"book\":{\"title\":\"one\"}}\n");
}
