//! Whatever calls itself however, and however it is put on the wire: what is refused has the one shape,
//! and nothing is taken for something else.

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, answer};
use crate::refusals::raw;

const LEASES: &str = "/v1/namespaces/default/leases";
const EXPORTERS: &str = "/v1/namespaces/default/exporters";

#[tokio::test]
async fn what_calls_itself_grpc_is_answered_like_others_where_there_is_a_row() {
    let gateway = Gateway::demo().await;
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web+proto",
    ] {
        let send = async |method: &str, path: &str| {
            let request = gateway.request(method, path).header("content-type", kind);
            answer(request.body("x")).await
        };
        send("POST", LEASES).await.refused(
            415,
            3,
            "UNSUPPORTED_MEDIA_TYPE",
            "not `application/grpc",
        );
        send("PUT", LEASES)
            .await
            .refused(405, 12, "METHOD_NOT_ALLOWED", "");
        send("GET", "/nope")
            .await
            .refused(404, 5, "PATH_NOT_FOUND", "");
        assert_eq!(send("OPTIONS", LEASES).await.status, 204, "{kind}");
        let plain = gateway.request("GET", EXPORTERS);
        let exporters = answer(plain.header("content-type", kind)).await;
        assert!(exporters.value()["exporters"].is_array(), "{exporters:?}");
        let long = format!("{LEASES}?filter={}", "x".repeat(20_000));
        send("POST", &long)
            .await
            .refused(414, 3, "URL_TOO_LONG", "");
    }
    // Only gRPC is told in its own way that there is no such rpc, and only gRPC gets through.
    for (kind, is_grpc) in [
        ("application/grpc", true),
        ("application/grpc;a=b", true),
        ("application/grpc+proto", true),
        ("application/grpc+json", false),
        ("application/grpc-web", false),
        ("application/grpcfoo", false),
    ] {
        let post = |path| gateway.request("POST", path).header("content-type", kind);
        let unknown = answer(post("/nope")).await;
        if is_grpc {
            assert_eq!((unknown.status, unknown.header("grpc-status")), (200, "12"));
            continue;
        }
        unknown.refused(404, 5, "PATH_NOT_FOUND", "");
        let wrong = answer(post("/grpc.health.v1.Health/Check")).await;
        wrong.refused(415, 3, "UNSUPPORTED_MEDIA_TYPE", "application/grpc");
        assert_eq!(wrong.header("accept"), "application/grpc");
    }
}

#[tokio::test]
async fn metrics_are_there_to_be_read() {
    let gateway = Gateway::demo().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let wrong = gateway.send(method, "/metrics").await;
        wrong.refused(405, 12, "METHOD_NOT_ALLOWED", "/metrics");
        assert_eq!(wrong.header("allow"), "GET, HEAD, OPTIONS");
    }
    let options = gateway.send("OPTIONS", "/metrics").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "GET, HEAD, OPTIONS")
    );
}

/// RFC 9110, section 9.3.2.
#[tokio::test]
async fn head_tells_what_get_would() {
    let gateway = Gateway::demo().await;
    for coding in ["gzip", "identity"] {
        let ask = async |method| {
            let request = gateway.request(method, EXPORTERS);
            let asked = answer(request.header("accept-encoding", coding)).await;
            let names = ["content-encoding", "content-type", "etag", "vary"];
            let told = names.map(|name| asked.header(name).to_owned());
            (told, asked.header("content-length").to_owned(), asked.text)
        };
        let (get, length, _) = ask("GET").await;
        let (head, head_length, nothing) = ask("HEAD").await;
        assert_eq!((head, &*nothing), (get, ""), "{coding}");
        assert_eq!(head_length, length, "{coding}");
    }
}

/// Over HTTP/1.1 no body would be sent in any case; over HTTP/2 one is an error of the protocol.
#[tokio::test]
async fn head_has_no_body_over_http_2_whatever_is_answered() {
    let gateway = Gateway::demo().await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let long = format!("{EXPORTERS}?filter={}", "x".repeat(20_000));
    for (path, header, status) in [
        (EXPORTERS, ("accept", "*/*"), 200),
        (EXPORTERS, ("accept-encoding", "gzip"), 200),
        (EXPORTERS, ("if-match", "*"), 200),
        (EXPORTERS, ("accept", "text/html"), 406),
        ("/openapi.json", ("accept", "*/*"), 200),
        ("/healthz", ("accept", "*/*"), 200),
        ("/v1/nothing", ("accept", "*/*"), 404),
        ("/v1/nothing", ("accept-encoding", "gzip"), 404),
        (&long, ("accept", "*/*"), 414),
    ] {
        let request = client.head(gateway.url(path));
        let head = answer(request.header(header.0, header.1)).await;
        assert_eq!(
            (head.status, &*head.text),
            (status, ""),
            "{path} {header:?}"
        );
    }
}

fn chunked(method: &str, headers: &str, chunks: &str) -> String {
    format!("{method} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{chunks}0\r\n\r\n")
}

#[tokio::test]
async fn a_body_that_turns_out_empty_needs_no_type() {
    let gateway = Gateway::demo().await;
    let coding = "transfer-encoding: chunked\r\n";
    for (request, expected) in [
        (chunked(&format!("GET {EXPORTERS}"), coding, ""), " 200 OK"),
        (
            chunked(&format!("DELETE {LEASES}/x"), coding, ""),
            "LEASE_NOT_FOUND",
        ),
        (
            chunked(&format!("POST {LEASES}"), coding, "2\r\n{}\r\n"),
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ] {
        let answer = raw(&gateway, &request).await;
        assert!(answer.contains(expected), "{request}{answer}");
    }
}

/// RFC 9112, section 6.1.
#[tokio::test]
async fn a_transfer_coding_that_is_not_understood_is_not_passed_over() {
    let gateway = Gateway::demo().await;
    let lease = "{\"selector\": \"board=rpi4\", \"duration\": \"60s\"}";
    let chunk = format!("{:x}\r\n{lease}\r\n", lease.len());
    for coding in ["gzip, chunked", "foo, chunked", "chunked, chunked"] {
        let headers = format!("content-type: application/json\r\ntransfer-encoding: {coding}\r\n");
        let answer = raw(
            &gateway,
            &chunked(&format!("POST {LEASES}"), &headers, &chunk),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{coding}: {answer}");
        assert!(answer.contains("UNSUPPORTED_TRANSFER_ENCODING"), "{answer}");
    }
    let leases = gateway.get(LEASES).await.value();
    assert_eq!(
        leases["leases"].as_array().map(Vec::len),
        Some(0),
        "{leases}"
    );
}

/// RFC 9110, section 15.5.16; RFC 5789, section 2.2.
#[tokio::test]
async fn whoever_sends_the_wrong_type_is_told_the_right_one() {
    let gateway = Gateway::demo().await;
    for (method, path, patch) in [
        ("POST", LEASES, ""),
        (
            "PATCH",
            "/v1/namespaces/default/leases/x",
            "application/json",
        ),
    ] {
        let request = gateway.request(method, path).body("x");
        let wrong = answer(request.header("content-type", "text/plain")).await;
        wrong.refused(415, 3, "UNSUPPORTED_MEDIA_TYPE", "text/plain");
        let told = (wrong.header("accept"), wrong.header("accept-patch"));
        assert_eq!(told, ("application/json", patch), "{method}");
    }
}

/// RFC 9110, section 8.6: a length is that of the answer to GET, or is not told.
#[tokio::test]
async fn no_length_is_told_that_is_none() {
    let gateway = Gateway::demo().await;
    let client = || reqwest::Client::builder().no_proxy();
    let clients = [client(), client().http2_prior_knowledge()];
    let pages = ["/", "/openapi.json", "/openapi.yaml", "/swagger-ui/"];
    let script = "/swagger-ui/swagger-initializer.js";
    let length = |answer: &Answer| answer.headers.get("content-length").cloned();
    for client in clients.map(|client| client.build().unwrap()) {
        for path in pages.into_iter().chain([script, EXPORTERS, "/healthz"]) {
            for coding in ["identity", "gzip"] {
                let ask = |method: &str, name: &str, value: &str| {
                    let request = client.request(method.parse().unwrap(), gateway.url(path));
                    answer(
                        request
                            .header("accept-encoding", coding)
                            .header(name, value),
                    )
                };
                let get = ask("GET", "accept", "*/*").await;
                let head = ask("HEAD", "accept", "*/*").await;
                assert_eq!(length(&get), length(&head), "{path} {coding}");
                let etag = get.header("etag");
                assert_eq!(head.header("etag"), etag, "{path} {coding}");
                for method in ["GET", "HEAD"].into_iter().filter(|_| !etag.is_empty()) {
                    let known = ask(method, "if-none-match", etag).await;
                    assert_eq!((known.status, length(&known)), (304, None), "{known:?}");
                }
                let options = ask("OPTIONS", "accept", "*/*").await;
                assert_eq!((options.status, length(&options)), (204, None), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let gateway = Gateway::demo().await;
    for hosts in [
        "",
        "host: x\r\nhost: x\r\n",
        "host: x y/\r\n",
        "host: [::1\r\n",
        "host: a:b:c\r\n",
        "host: a:99999x\r\n",
        "host: %zz\r\n",
        "host: [x]\r\n",
        "host: ,\r\n",
        "host: u:p@x\r\n",
    ] {
        let request = format!("GET {LEASES} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = raw(&gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts}: {answer}");
        assert!(answer.contains("INVALID_HOST"), "{hosts}: {answer}");
    }
    let request =
        format!("GET http://u@x{LEASES} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = raw(&gateway, &request).await;
    assert!(answer.contains("INVALID_HOST"), "{answer}");
    for (version, host) in [
        ("1.0", ""),
        ("1.1", "host:\r\n"),
        ("1.1", "host: [::1]:8082\r\n"),
    ] {
        let request = format!("GET {LEASES} HTTP/{version}\r\n{host}connection: close\r\n\r\n");
        let answer = raw(&gateway, &request).await;
        assert!(answer.contains(" 200 OK"), "{version} {host}: {answer}");
    }
}

/// RFC 9113, section 8.3.1.
#[tokio::test]
async fn a_request_over_http_2_is_for_one_host_too() {
    let gateway = Gateway::demo().await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (authority, host, status) in [
        ("x", None, 200),
        ("x", Some("x"), 200),
        ("x:80", Some("X"), 200),
        ("[::1]:8082", Some("[::1]:8082"), 200),
        ("", Some("x"), 200),
        ("", None, 400),
        ("", Some(""), 400),
        ("x", Some(""), 400),
        ("x", Some("y"), 400),
        ("x", Some("x:443"), 400),
        ("u:p@x", None, 400),
        ("u:p@x", Some("u:p@x"), 400),
        ("a,b", None, 400),
    ] {
        // What comes from HTTP/1.1 may have no `:authority`.
        let (scheme, version) = match authority {
            "" => ("", http::Version::HTTP_11),
            _ => ("http://", http::Version::HTTP_2),
        };
        let request = http::Request::get(format!("{scheme}{authority}{LEASES}")).version(version);
        let request = match host {
            Some(host) => request.header("host", host),
            None => request,
        };
        let mut requests = requests.clone().ready().await.unwrap();
        let sent = requests.send_request(request.body(()).unwrap(), true);
        let answer = sent.unwrap().0.await.unwrap();
        assert_eq!(answer.status(), status, "{authority} {host:?}");
    }
}

/// What is reset may reach its client before the answer does.
#[tokio::test]
async fn who_is_refused_over_http_2_may_send_to_the_end() {
    let gateway = Gateway::demo().await;
    let url = gateway.url("");
    let address = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let put = |path| {
        let request = http::Request::put(gateway.url(path));
        request.body(()).unwrap()
    };
    for (path, status) in [("/v1/nothing", 404), (LEASES, 405)] {
        let mut requests = requests.clone().ready().await.unwrap();
        let (response, mut body) = requests.send_request(put(path), false).unwrap();
        body.send_data(Bytes::from_static(b"some "), false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), status);
        // An answer to something else comes behind whatever was sent with the refusal.
        let mut requests = requests.ready().await.unwrap();
        let (other, _) = requests.send_request(put("/v1/other"), true).unwrap();
        assert_eq!(other.await.unwrap().status(), 404);
        let rest = body.send_data(Bytes::from_static(b"more"), true);
        assert!(rest.is_ok(), "{path} was reset: {rest:?}");
    }
}
