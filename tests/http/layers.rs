//! What the server puts around every request: ids, packing, and pages of other origins.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;
use tower_http::decompression::Decompression;

use crate::harness::{Gateway, answer};
use crate::refusals::raw;

const LEASES: &str = "/v1/namespaces/default/leases";
const EXPORTERS: &str = "/v1/namespaces/default/exporters";

/// Packs text, as any HTTP client might.
async fn packed(encoding: &str, text: String) -> Bytes {
    let respond = service_fn(move |_: Request<Body>| {
        let response = Response::new(Body::from(text.clone()));
        async { Ok::<_, Infallible>(response) }
    });
    let request = Request::builder()
        .header("accept-encoding", encoding)
        .body(Body::empty())
        .unwrap();
    let response = Compression::new(respond).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], encoding);
    response.into_body().collect().await.unwrap().to_bytes()
}

/// The opposite.
async fn unpacked(encoding: &str, bytes: Bytes) -> String {
    let response = Response::builder()
        .header("content-encoding", encoding)
        .body(Body::from(bytes))
        .unwrap();
    let mut response = Some(response);
    let respond = service_fn(move |_: Request<Body>| {
        let response = response.take().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let response = Decompression::new(respond)
        .oneshot(Request::new(Body::empty()))
        .await
        .unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn answers_are_packed_for_those_who_can_unpack_them() {
    let gateway = Gateway::demo().await;
    let plain = gateway.get(EXPORTERS).await;
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "br", "zstd"] {
        let request = gateway
            .request("GET", EXPORTERS)
            .header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        let vary = response.headers().get_all("vary").iter();
        let vary: Vec<_> = vary.collect();
        assert_eq!(vary, ["accept", "accept-encoding"]);
        let bytes = response.bytes().await.unwrap();
        assert!(
            bytes.len() < plain.text.len() / 2,
            "{} of {} bytes",
            bytes.len(),
            plain.text.len()
        );
        assert_eq!(unpacked(encoding, bytes).await, plain.text, "{encoding}");
    }
}

#[tokio::test]
async fn refusals_are_not_packed_and_do_not_say_so() {
    let gateway = Gateway::demo().await;
    for path in [format!("{LEASES}/nothing"), format!("{LEASES}?pageSize=x")] {
        for encoding in ["gzip", "br", "zstd", "gzip, deflate, br, zstd"] {
            let request = gateway.request("GET", &path);
            let refusal = answer(request.header("accept-encoding", encoding)).await;
            assert_eq!(refusal.header("content-encoding"), "", "{refusal:?}");
            assert!(refusal.value()["code"].is_number(), "{refusal:?}");
        }
    }
}

#[tokio::test]
async fn packed_requests_are_unpacked() {
    let gateway = Gateway::demo().await;
    let lease = r#"{"selector": "board=rpi4", "duration": "60s", "tags": {"a": "b"}}"#;
    let send = |encoding: &str, body: Bytes| {
        let request = gateway
            .request("POST", LEASES)
            .header("content-type", "application/json");
        answer(request.header("content-encoding", encoding).body(body))
    };
    for encoding in ["gzip", "br", "zstd"] {
        let created = send(encoding, packed(encoding, lease.to_owned()).await).await;
        assert_eq!(created.status, 200, "{encoding}: {created:?}");
        assert_eq!(created.value()["selector"], "board=rpi4", "{encoding}");
        let blank = format!("{}{lease}", " ".repeat(10_000_000));
        let bomb = packed(encoding, blank).await;
        assert!(bomb.len() < 60_000, "{encoding}: {} bytes", bomb.len());
        send(encoding, bomb)
            .await
            .refused(413, 8, "BODY_TOO_LARGE", "65536 bytes");
    }
    send("gzip", Bytes::from_static(b"{}")).await.refused(
        400,
        3,
        "BODY_INCOMPLETE",
        "Content-Encoding",
    );
    let unknown = send("compress", Bytes::from_static(b"{}")).await;
    unknown.refused(415, 3, "UNSUPPORTED_CONTENT_ENCODING", "`compress`");
    assert_eq!(unknown.header("accept-encoding"), "gzip, br, zstd");
    let gzip = packed("gzip", lease.to_owned()).await;
    for spelling in ["GZIP", "x-gzip", "gzip, identity"] {
        let created = send(spelling, gzip.clone()).await;
        assert_eq!(created.status, 200, "{spelling}: {created:?}");
    }
    for nothing in ["identity", ""] {
        let created = send(nothing, lease.to_owned().into()).await;
        assert_eq!(created.status, 200, "{nothing}: {created:?}");
    }
    // What is behind the packed data, another piece of it or not, is not passed over.
    for more in [b"garbage".as_slice(), b"x", &gzip] {
        let body = [&gzip, more].concat();
        send("gzip", body.into())
            .await
            .refused(400, 3, "BODY_INCOMPLETE", "");
    }
    let twice = gateway
        .request("POST", LEASES)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .header("content-encoding", "br");
    let twice = answer(twice.body(gzip)).await;
    twice.refused(415, 3, "UNSUPPORTED_CONTENT_ENCODING", "gzip, br");
}

#[tokio::test]
async fn an_answer_may_always_be_plain() {
    let gateway = Gateway::demo().await;
    for accepted in ["identity;q=0", "gzip;q=0, *;q=0"] {
        let create = gateway
            .request("POST", LEASES)
            .header("content-type", "application/json")
            .header("accept-encoding", accepted);
        let lease = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
        let created = answer(create.body(lease)).await;
        assert_eq!(created.status, 200, "{accepted}: {created:?}");
        assert_eq!(created.header("content-encoding"), "");
        assert_eq!(created.value()["selector"], "board=rpi4");
        let document = gateway.request("GET", "/openapi.json");
        let document = answer(document.header("accept-encoding", accepted)).await;
        assert_eq!(document.status, 200, "{accepted}");
    }
}

#[tokio::test]
async fn every_request_has_an_id() {
    let gateway = Gateway::demo().await;
    let own = answer(
        gateway
            .request("GET", LEASES)
            .header("x-request-id", "mine-1"),
    )
    .await;
    assert_eq!(own.header("x-request-id"), "mine-1");
    let (one, two) = (gateway.get(LEASES).await, gateway.get(LEASES).await);
    for made_up in [&one, &two] {
        let id: uuid::Uuid = made_up.header("x-request-id").parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    let visible: String = ('!'..='~').collect();
    let request = gateway.request("GET", LEASES);
    let taken = answer(request.header("x-request-id", &visible)).await;
    assert_eq!(taken.header("x-request-id"), visible);
    for other in [
        "x".repeat(129),
        String::new(),
        "a b".into(),
        "a\tb".into(),
        "ä".into(),
    ] {
        let request = gateway.request("GET", LEASES);
        let made_up = answer(request.header("x-request-id", other)).await;
        assert_eq!(made_up.header("x-request-id").len(), 36, "{made_up:?}");
    }
    let request = gateway.request("GET", "/healthz");
    let twice = request
        .header("x-request-id", "a")
        .header("x-request-id", "b");
    let twice = answer(twice).await;
    assert_eq!(twice.header("x-request-id").len(), 36, "{twice:?}");
}

#[tokio::test]
async fn errors_tell_the_id_of_their_request() {
    let gateway = Gateway::demo().await;
    let wrong: [(&str, &str); 4] = [
        ("GET", "/v1/namespaces/default/leases/missing"),
        ("GET", "/v1/nothing"),
        ("PUT", LEASES),
        ("GET", "/v1/namespaces/default/leases?pageSize=-1"),
    ];
    for (method, path) in wrong {
        let error = gateway.send(method, path).await;
        let details = error.value()["details"].clone();
        let info = details.as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            info["@type"], "type.googleapis.com/google.rpc.RequestInfo",
            "{error:?}"
        );
        assert_eq!(info["requestId"], error.header("x-request-id"), "{error:?}");
    }
    // And so does the last event of a stream.
    let stream = gateway.request("GET", LEASES);
    let stream = stream.header("accept", "text/event-stream");
    let stream = answer(stream.header("x-request-timeout", "0.05")).await;
    let (id, text) = (stream.header("x-request-id"), &stream.text);
    let told = format!("\"requestId\":\"{id}\"");
    assert!(
        text.contains("event: error") && text.contains(&told),
        "{text}"
    );
    let head = gateway
        .send("HEAD", "/v1/namespaces/default/leases/missing")
        .await;
    assert_eq!((head.status, head.text.as_str()), (404, ""), "{head:?}");
}

#[tokio::test]
async fn a_lease_that_is_known_is_not_sent_again() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
        .await;
    let path = format!("/v1/{}", lease["name"].as_str().unwrap());
    let etag = gateway.get(&path).await.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let known = answer(gateway.request("GET", &path).header("if-none-match", &etag)).await;
    assert_eq!(
        (known.status, known.text.as_str(), known.header("etag")),
        (304, "", etag.as_str())
    );
    let changed = gateway.json("PATCH", &path, r#"{"duration": "90s"}"#).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let news = answer(gateway.request("GET", &path).header("if-none-match", &etag)).await;
    assert_eq!(
        (news.status, news.value()["duration"].clone()),
        (200, Value::from("90s"))
    );
}

#[tokio::test]
async fn a_packed_answer_has_an_etag_of_its_own() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
        .await;
    let path = format!("/v1/{}", lease["name"].as_str().unwrap());
    let read = |accepted: &str, known: &str| {
        let request = gateway.request("GET", &path);
        let request = request.header("accept-encoding", accepted);
        answer(request.header("if-none-match", known))
    };
    let plain = gateway.get(&path).await;
    let plain = plain.header("etag");
    let gzip = gateway.request("GET", &path);
    let gzip = gzip.header("accept-encoding", "gzip").send().await.unwrap();
    let gzip = gzip.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(gzip, format!("{}-gzip\"", plain.trim_end_matches('"')));
    // What is known is not sent again, under the tag by which it is known.
    let known = read("gzip, br", &gzip).await;
    assert_eq!((known.status, known.header("etag")), (304, &*gzip));
    assert_eq!(known.list("vary"), "accept, accept-encoding");
    let known = read("gzip", plain).await;
    assert_eq!((known.status, known.header("etag")), (304, plain));
    // Those who can unpack anything get something packed, and know it.
    for accepted in ["*", "gzip;q=0, *", "compress, *;q=0.5"] {
        for path in [path.as_str(), "/openapi.json"] {
            let read = |(name, value): (&str, &str)| {
                let request = gateway.request("GET", path);
                answer(
                    request
                        .header("accept-encoding", accepted)
                        .header(name, value),
                )
            };
            let packed = read(("accept", "*/*")).await;
            assert_ne!(packed.header("content-encoding"), "", "{accepted} {path}");
            let etag = packed.header("etag");
            let known = read(("if-none-match", etag)).await;
            assert_eq!(
                (known.status, known.header("etag")),
                (304, etag),
                "{accepted} {path}"
            );
        }
    }
    // Who would get another form does not know it.
    let other = read("identity", &gzip).await;
    assert_eq!((other.status, other.header("etag")), (200, plain));
    assert_eq!(other.list("vary"), "accept, accept-encoding");
    let request = gateway.request("GET", &path);
    let unpacked = answer(request.header("if-none-match", &gzip)).await;
    assert_eq!((unpacked.status, unpacked.header("etag")), (200, plain));
    // A change is to what both stand for.
    let change = gateway.request("PATCH", &path).header("if-match", &gzip);
    let change = change.header("content-type", "application/json");
    let changed = answer(change.body(r#"{"duration": "90s"}"#)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let change = gateway.request("PATCH", &path).header("if-match", &gzip);
    let change = change.header("content-type", "application/json");
    let late = answer(change.body(r#"{"duration": "91s"}"#)).await;
    late.refused(412, 10, "ETAG_MISMATCH", "");
}

/// Some that pages send, in the order in which browsers ask for them.
const HEADERS: &str =
    "authorization,content-encoding,grpc-metadata-x-a,jumpstarter-name,jumpstarter-namespace";

/// What a browser on a page of `origin` gets.
async fn from_page(
    origins: &[&str],
    method: &str,
    origin: Option<&str>,
) -> (StatusCode, HeaderMap) {
    let gateway = Gateway::open_to(origins).await;
    let mut request = gateway.request(method, &format!("{EXPORTERS}/rpi4-01"));
    if let Some(origin) = origin {
        request = request
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", HEADERS);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.headers().clone())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

#[tokio::test]
async fn pages_of_other_origins_need_a_setting() {
    let page = Some("https://lab.example.com");
    let (status, headers) = from_page(&[], "GET", page).await;
    assert_eq!(
        (status, header(&headers, "access-control-allow-origin")),
        (StatusCode::OK, "")
    );
    let named = ["https://lab.example.com"];
    let (status, headers) = from_page(&named, "GET", page).await;
    assert_eq!(
        (status, header(&headers, "access-control-allow-origin")),
        (StatusCode::OK, named[0])
    );
    assert_eq!(header(&headers, "access-control-expose-headers"), "*");
    assert_eq!(header(&headers, "access-control-allow-credentials"), "");
    let (_, headers) = from_page(&named, "GET", Some("https://evil.example.com")).await;
    assert_eq!(header(&headers, "access-control-allow-origin"), "");
    let (_, headers) = from_page(&["*"], "GET", page).await;
    assert_eq!(header(&headers, "access-control-allow-origin"), "*");
    assert_eq!(header(&headers, "access-control-allow-credentials"), "");
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let named = ["https://lab.example.com"];
    let (status, headers) = from_page(&named, "OPTIONS", Some(named[0])).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        header(&headers, "access-control-allow-methods").contains("DELETE"),
        "{headers:?}"
    );
    assert_eq!(header(&headers, "access-control-allow-headers"), HEADERS);
    // No other answer depends on what was asked for.
    let (_, headers) = from_page(&named, "GET", Some(named[0])).await;
    let vary: Vec<_> = headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["origin"]);
    let (_, headers) = from_page(&["*"], "GET", Some(named[0])).await;
    assert_eq!(header(&headers, "vary"), "");
    let (status, headers) = from_page(&named, "OPTIONS", None).await;
    assert_eq!(
        (status, header(&headers, "allow")),
        (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS")
    );
    // A cache must not give a page what it keeps for somebody without an origin.
    let (_, headers) = from_page(&named, "GET", None).await;
    assert!(header(&headers, "vary").contains("origin"), "{headers:?}");
    // Without a method that it asks for, it is no such question.
    let gateway = Gateway::open_to(&named).await;
    let plain = gateway.request("OPTIONS", EXPORTERS);
    let plain = answer(plain.header("origin", named[0])).await;
    assert_eq!(
        (plain.status, plain.header("allow")),
        (204, "GET, HEAD, OPTIONS")
    );
    for path in [EXPORTERS, "/nope"] {
        let options = gateway.request("OPTIONS", path);
        let options = answer(options.header("origin", named[0])).await;
        let told = ["access-control-allow-origin", "vary"].map(|name| options.header(name));
        assert_eq!(told[0], named[0], "{options:?}");
        assert!(told[1].contains("origin"), "{options:?}");
    }
}

/// What calls itself a browser's question keeps to what every request keeps to.
#[tokio::test]
async fn who_asks_first_is_refused_as_others_are() {
    let origin = "https://lab.example.com";
    let gateway = Gateway::open_to(&[origin]).await;
    let long = format!("{LEASES}?{}", "x".repeat(20_000));
    let many = format!("host: x\r\n{}", "x: y\r\n".repeat(70));
    for (target, headers, reason) in [
        (LEASES, "", "INVALID_HOST"),
        (LEASES, "host: x\r\nhost: x\r\n", "INVALID_HOST"),
        ("evil:80", "host: evil:80\r\n", "INVALID_TARGET"),
        (&long, "host: x\r\n", "URL_TOO_LONG"),
        (LEASES, &many, "TOO_MANY_HEADERS"),
        (
            LEASES,
            "host: x\r\ntransfer-encoding: gzip, chunked\r\n",
            "UNSUPPORTED_TRANSFER_ENCODING",
        ),
    ] {
        let request = format!(
            "OPTIONS {target} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
             {headers}connection: close\r\n\r\n"
        );
        let answer = raw(&gateway, &request).await;
        assert!(answer.contains(reason), "{target} {headers}: {answer}");
        let told = format!("access-control-allow-origin: {origin}\r\n");
        assert!(answer.contains(&told), "{target} {headers}: {answer}");
        assert!(!answer.contains("access-control-allow-methods"), "{answer}");
    }
}
