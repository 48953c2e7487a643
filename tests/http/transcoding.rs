//! The transcoder around an invented service, without a network: bodies that are no JSON, headers
//! and metadata, deadlines, conditions, and requests made to hurt.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use jumpstarter_gateway::proto::json::to_vec;
use jumpstarter_gateway::transcode::{Binding, STACK, bind};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tower::ServiceExt;

use crate::generated::gateway::vectors::v1::{BindRequest, vectors_http};
use crate::generated::library::v1 as pb;
use crate::generated::library::v1::library_service_http::BINDINGS;
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
    let stream = get(
        "/v1/shelves/1/books:watch?limit=-1",
        &[("x-request-timeout", "0.05")],
    )
    .await;
    let last: Value = serde_json::from_slice(
        stream
            .body
            .trim_ascii_end()
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap(),
    )
    .unwrap();
    let code = if stream.status == 200 {
        &last["error"]["code"]
    } else {
        &last["code"]
    };
    assert_eq!(code, 4, "{stream:?}");
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

/// The row of a method that takes a body.
fn row(method: &str, http: &str) -> &'static Binding {
    let mut rows = BINDINGS.iter();
    rows.find(|row| row.rpc.ends_with(&format!("/{method}")) && row.method == http)
        .unwrap()
}

/// A category in a category, and so on.
fn nested(depth: usize) -> String {
    format!(
        "{}{{}}{}",
        "{\"parent\":".repeat(depth - 1),
        "}".repeat(depth - 1)
    )
}

#[test]
fn a_hundred_levels_fit_on_a_small_stack() {
    let bound = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(|| {
            let row = row("Classify", "POST");
            let read = |depth| {
                bind::<pb::ClassifyRequest>(row, std::iter::empty(), None, nested(depth).as_bytes())
            };
            (
                read(100).is_ok(),
                read(101).map(|_| ()).map_err(|fault| fault.to_string()),
            )
        });
    let (hundred, more) = bound.unwrap().join().unwrap();
    assert!(hundred, "a hundred levels are refused");
    assert!(
        more.is_err_and(|error| error.contains("nested")),
        "one more is not"
    );
}

/// The largest message there is, in half of the stack that threads have: read, told where it is wrong,
/// and written.
#[test]
fn a_hundred_levels_of_a_large_message_fit_twice() {
    let bound = std::thread::Builder::new().stack_size(STACK / 2).spawn(|| {
        let nested = |depth, innermost: &str| {
            let (open, close) = ("{\"recursiveValue\":".repeat(depth), "}".repeat(depth));
            format!("{open}{{{innermost}}}{close}")
        };
        let row = row("ExchangeSpecimen", "POST");
        let read = |body: &str| {
            let specimen: Result<pb::Specimen, _> =
                bind(row, std::iter::empty(), None, body.as_bytes());
            specimen.map_err(|fault| fault.to_string())
        };
        let deepest = nested(99, "");
        let specimen = read(&deepest).unwrap();
        assert_eq!(to_vec(&specimen).unwrap(), deepest.as_bytes());
        let wrong = read(&nested(99, "\"int32Value\":true")).unwrap_err();
        assert!(wrong.contains("invalid type: boolean"), "{wrong}");
        assert!(read(&nested(100, "")).unwrap_err().contains("nested"));
    });
    bound.unwrap().join().unwrap();
}

#[test]
fn a_query_has_as_many_levels() {
    let bound = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(|| {
            let list = vectors_http::BINDINGS.iter();
            let list = list.clone().find(|row| row.rpc.ends_with("/List")).unwrap();
            let read = |depth: usize, value: &str| {
                let query = format!("leaf.{}numValue={value}", "child.".repeat(depth - 2));
                let none = std::iter::empty();
                let message = bind::<BindRequest>(list, none, Some(&query), b"");
                message.map(|_| ()).map_err(|fault| fault.to_string())
            };
            (
                read(100, "1"),
                read(100, "x"),
                read(101, "1"),
                read(10_000, "1"),
            )
        });
    let (hundred, wrong, more, many) = bound.unwrap().join().unwrap();
    assert_eq!(hundred, Ok(()));
    assert!(wrong.is_err_and(|error| error.contains("32-bit")));
    for error in [more, many] {
        assert!(
            error.clone().is_err_and(|error| error.contains("nested")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_field_that_is_not_set_is_sent_as_nothing_of_its_kind() {
    let shelves = get("/v1/shelves", &[]).await;
    assert_eq!(shelves.body, b"[]", "{shelves:?}");
}

#[test]
fn large_requests_take_no_more_than_their_share() {
    // Squares of these sizes would be felt: a billion steps and more.
    let get = row("ListShelves", "GET");
    let many = vec!["genres=GENRE_POETRY"; 3_000].join("&");
    let request =
        bind::<pb::ListShelvesRequest>(get, std::iter::empty(), Some(&many), b"").unwrap();
    assert_eq!(request.genres.len(), 3_000);
    let unknown = "x".repeat(60_000);
    let fault =
        bind::<pb::ListShelvesRequest>(get, std::iter::empty(), Some(&unknown), b"").unwrap_err();
    assert!(
        fault.to_string().len() < 5_000,
        "an error grows with its request"
    );
    let post = row("Classify", "POST");
    let body = format!("{{\"{}\": 1}}", "x".repeat(1_000_000));
    let fault =
        bind::<pb::ClassifyRequest>(post, std::iter::empty(), None, body.as_bytes()).unwrap_err();
    assert!(
        fault.to_string().len() < 5_000,
        "an error grows with its request"
    );
    let put = row("ReplaceProperties", "PUT");
    let properties: BTreeMap<String, String> = (0..30_000)
        .map(|key| (key.to_string(), String::new()))
        .collect();
    let body = serde_json::to_vec(&properties).unwrap();
    let captures = ["shelves/1/books/2"].into_iter();
    let request = bind::<pb::ReplacePropertiesRequest>(put, captures, None, &body).unwrap();
    assert_eq!(request.properties.len(), 30_000);
}

/// What is told of a request for vectors that is wrong.
fn wrong(rpc: &str, captures: &[&str], query: Option<&str>, body: &str) -> String {
    let mut rows = vectors_http::BINDINGS.iter();
    let row = rows.find(|row| row.rpc.ends_with(&format!("/{rpc}")));
    let captures = captures.iter().copied();
    let request = bind::<BindRequest>(row.unwrap(), captures, query, body.as_bytes());
    request.unwrap_err().to_string()
}

#[test]
fn a_number_too_large_is_told_of_its_field() {
    for number in ["1e309", "-1e400"] {
        let error = wrong(
            "Act",
            &[],
            None,
            &format!("{{\"leaf\": {{\"numValue\": {number}}}}}"),
        );
        assert!(
            error.starts_with("leaf.numValue: number out of range"),
            "{error}"
        );
    }
}

#[test]
fn a_plus_is_spoken_of_where_there_is_one() {
    let query = |query| wrong("List", &[], Some(query), "");
    let plus = query("beginTime=2026-01-01T00:00:00+02:00");
    assert!(plus.contains("%2B is a plus"), "{plus}");
    for other in [query("pageSize=1%20"), wrong("ById", &["1%20"], None, "")] {
        assert!(!other.contains("plus"), "{other}");
    }
}

/// As every other enum, by name or by number.
#[test]
fn a_query_may_hold_the_number_of_null() {
    let row = row("ExchangeSpecimen", "GET");
    for (query, is_right) in [
        ("choiceNull=0", true),
        ("choiceNull=NULL_VALUE", true),
        ("choiceNull=1", false),
    ] {
        let specimen = bind::<pb::Specimen>(row, std::iter::empty(), Some(query), b"");
        assert_eq!(
            specimen.is_ok_and(|specimen| specimen.choice.is_some()),
            is_right,
            "{query}"
        );
    }
}

#[test]
fn names_of_enums_are_told_like_names_of_fields() {
    let near = "color: no such value; did you mean `COLOR_RED`?";
    let body = wrong("Act", &[], None, r#"{"color": "COLOR_REDD"}"#);
    assert!(body.starts_with(near), "{body}");
    assert_eq!(wrong("List", &[], Some("color=COLOR_REDD"), ""), near);
    let far = wrong("ByColor", &["x"], None, "");
    assert!(
        far.starts_with("color: no such value; there are: "),
        "{far}"
    );
}

#[test]
fn a_mask_is_not_made_of_keys_that_come_twice() {
    let patch = row("UpdateBook", "PATCH");
    let body = format!("{{{}\"title\":\"\"}}", "\"title\":\"\",".repeat(50_000));
    let captures = ["shelves/1/books/2"].into_iter();
    let fault = bind::<pb::UpdateBookRequest>(patch, captures, None, body.as_bytes()).unwrap_err();
    assert!(fault.to_string().contains("more than once"), "{fault}");
}

/// As protobuf's own implementations have it: text form and presence tell -0 from 0.
#[test]
fn minus_zero_is_a_floating_point_number_and_as_an_integer_zero() {
    let rows = || {
        BINDINGS
            .iter()
            .filter(|row| row.rpc.ends_with("/ExchangeSpecimen"))
    };
    let [path, query] = [6, 0].map(|captures| {
        let mut rows = rows().filter(|row| row.method == "GET");
        rows.find(|row| row.captures.len() == captures).unwrap()
    });
    let body = rows().find(|row| row.method == "POST").unwrap();
    let read = |row, captures: &[&'static str], query: Option<&str>, body: &str| {
        let captures = captures.iter().copied();
        let specimen = bind::<pb::Specimen>(row, captures, query, body.as_bytes()).unwrap();
        serde_json::to_string(&specimen).unwrap()
    };
    let six = ["-0", "-0", "-0", "AA", "true", "x"];
    assert_eq!(
        read(path, &six, None, ""),
        r#"{"doubleValue":-0.0,"bytesValue":"AA==","optionalBool":true,"wrappedString":"x"}"#
    );
    let asked = "int32Value=-0&uint32Value=-0.0&sint64Value=-0e1&floatValue=-0&doubleValue=-0.0";
    let floats = r#"{"floatValue":-0.0,"doubleValue":-0.0}"#;
    assert_eq!(read(query, &[], Some(asked), ""), floats);
    for body_text in [
        r#"{"int32Value":-0,"uint64Value":-0,"floatValue":-0,"doubleValue":-0.0}"#,
        r#"{"int64Value":"-0","fixed32Value":"-0","floatValue":"-0","doubleValue":"-0.0"}"#,
    ] {
        assert_eq!(read(body, &[], None, body_text), floats);
    }
    let others = r#"{"optionalInt32":0,"optionalFloat":-0.0,"value":-0.0,"wrappedDouble":-0.0}"#;
    assert_eq!(read(body, &[], None, others), others);
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
