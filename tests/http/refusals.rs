//! Every way of being wrong, and the one shape of the answer.

use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Gateway, answer};

const LEASES: &str = "/v1/namespaces/default/leases";

#[tokio::test]
async fn unknown_paths_are_404() {
    let gateway = Gateway::demo().await;
    for path in [
        "/v1/nothing",
        "/v1/namespaces/default/leases/",
        "/v1//leases",
        "/v2/namespaces/default/leases",
    ] {
        gateway
            .get(path)
            .await
            .refused(404, 5, "PATH_NOT_FOUND", path);
    }
}

#[tokio::test]
async fn wrong_methods_say_what_is_possible() {
    let gateway = Gateway::demo().await;
    let answer = gateway.send("PUT", "/v1/namespaces/default/leases/x").await;
    answer.refused(405, 12, "METHOD_NOT_ALLOWED", "PUT is not allowed on /v1");
    assert_eq!(answer.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH");
    let options = gateway.send("OPTIONS", LEASES).await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "GET, HEAD, OPTIONS, POST")
    );
}

#[tokio::test]
async fn what_is_beside_the_api_refuses_in_the_same_shape() {
    let gateway = Gateway::demo().await;
    for path in ["/healthz", "/openapi.json", "/swagger-ui/"] {
        let answer = gateway.send("POST", path).await;
        answer.refused(405, 12, "METHOD_NOT_ALLOWED", "POST is not allowed on /");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let gateway = Gateway::demo().await;
    let path = "/v1/namespaces/default/exporters/rpi4-01";
    let (get, head) = (gateway.get(path).await, gateway.send("HEAD", path).await);
    assert_eq!(head.status, 200);
    assert_eq!(head.text, "");
    assert_eq!(head.header("content-length"), get.text.len().to_string());
}

#[tokio::test]
async fn malformed_json_is_pointed_at() {
    let gateway = Gateway::demo().await;
    let answer = gateway
        .json("POST", LEASES, "{\n  \"selector\": board\n}")
        .await;
    let error = answer.refused(400, 3, "MALFORMED_JSON", "line 2, column 15");
    assert_eq!(error["details"][0]["metadata"]["line"], "2");
}

#[tokio::test]
async fn fields_that_are_wrong_are_named() {
    let gateway = Gateway::demo().await;
    let cases = [
        (r#"{"selector": 7}"#, "lease.selector"),
        (r#"{"selectr": "a=b"}"#, "lease.selectr"),
        (
            r#"{"selector": "a=b", "duration": "30m"}"#,
            "lease.duration",
        ),
        (
            r#"{"selector": "a=b", "duration": "--1s"}"#,
            "lease.duration",
        ),
        (
            r#"{"selector": "a=b", "selector": "a=b"}"#,
            "lease.selector",
        ),
        (r#"{"tags": {"a": "1", "a": "2"}}"#, "lease.tags"),
        (r#"{"tags": {"a": 1}}"#, "lease.tags.a"),
        (r#"{"allowDisabled": "yes"}"#, "lease.allowDisabled"),
        (r#"{"beginTime": "tomorrow"}"#, "lease.beginTime"),
    ];
    for (body, field) in cases {
        let error = gateway
            .json("POST", LEASES, body)
            .await
            .refused(400, 3, "INVALID_FIELD", "");
        let violation = &error["details"][1]["fieldViolations"][0];
        assert!(
            violation["field"].as_str().unwrap().starts_with(field),
            "{body} gives {error}"
        );
        assert!(
            violation["description"]
                .as_str()
                .unwrap()
                .contains("line 1"),
            "{body} gives {error}"
        );
    }
    let error = gateway
        .json("POST", LEASES, r#"{"selectr": "a=b"}"#)
        .await
        .value();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("did you mean `selector`"),
        "{error}"
    );
}

#[tokio::test]
async fn query_parameters_that_are_wrong_are_named() {
    let gateway = Gateway::demo().await;
    let cases = [
        ("page_sise=10", "page_sise", "did you mean `pageSize`"),
        ("pageSize=ten", "pageSize", ""),
        ("pageSize=1&page_size=2", "pageSize", "more than once"),
        (
            "parent=namespaces%2Fother",
            "parent",
            "the path binds this field",
        ),
        ("filter=%zz", "filter", "hexadecimal"),
    ];
    for (query, field, description) in cases {
        let answer = gateway.get(&format!("{LEASES}?{query}")).await;
        let error = answer.refused(400, 3, "INVALID_FIELD", description);
        assert_eq!(
            error["details"][1]["fieldViolations"][0]["field"], field,
            "{error}"
        );
    }
    gateway.get(&format!("{LEASES}?pageSize=-1")).await.refused(
        400,
        3,
        "INVALID_PAGE",
        "must not be negative",
    );
    gateway.get(&format!("{LEASES}?pageToken=x")).await.refused(
        400,
        3,
        "INVALID_PAGE",
        "no page token",
    );
    let filter = gateway.get(&format!("{LEASES}?filter=a%20b")).await;
    filter.refused(
        400,
        3,
        "INVALID_FILTER",
        "found 'b', expected: in, notin, =, ==, !=, gt, lt",
    );
}

#[tokio::test]
async fn path_and_body_must_agree() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
        .await;
    let name = lease["name"].as_str().unwrap();
    let other = gateway
        .json(
            "PATCH",
            &format!("/v1/{name}"),
            r#"{"name": "namespaces/default/leases/other", "duration": "90s"}"#,
        )
        .await;
    let error = other.refused(400, 3, "INVALID_FIELD", "the path gives");
    assert_eq!(field(&error), "lease.name", "{error}");
    let same = gateway
        .json(
            "PATCH",
            &format!("/v1/{name}"),
            format!(r#"{{"name": "{name}", "duration": "90s"}}"#),
        )
        .await;
    assert_eq!(same.value()["duration"], "90s", "{same:?}");
    let twice = format!(r#"{{"name": "{name}", "name": "{name}"}}"#);
    for (body, description) in [
        (twice.as_str(), "more than once"),
        (r#"{"name": null, "name": null}"#, "more than once"),
        (r#"{"name": 5}"#, "expected a string"),
        (r#"{"a`b": 1}"#, "no such field"),
    ] {
        let refused = gateway.json("PATCH", &format!("/v1/{name}"), body).await;
        let error = refused.refused(400, 3, "INVALID_FIELD", description);
        assert!(
            ["lease.name", "lease.a`b"].contains(&field(&error)),
            "{error}"
        );
    }
    let rotate = "/v1/namespaces/default/rotate-token";
    let other = r#"{"parent": "namespaces/x"}"#;
    let other = gateway.json("POST", rotate, other).await;
    let error = other.refused(400, 3, "INVALID_FIELD", "parent: the path gives");
    assert_eq!(field(&error), "parent", "{error}");
}

/// The field that an error names.
fn field(error: &serde_json::Value) -> &str {
    let violation = &error["details"][1]["fieldViolations"][0];
    violation["field"].as_str().unwrap_or_default()
}

/// What is answered to these bytes, to the end of the connection.
pub async fn raw(gateway: &Gateway, request: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_asked_for() {
    let gateway = Gateway::demo().await;
    for expect in ["", "expect: 100-continue\r\n"] {
        let request = format!(
            "POST {LEASES} HTTP/1.1\r\nhost: x\r\n{expect}\
             content-type: application/json\r\ncontent-length: 43000000\r\n\r\n"
        );
        let answer = raw(&gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("BODY_TOO_LARGE"), "{answer}");
        // RFC 9112, section 9.6: nobody reads on.
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

/// W3C Trace Context: who follows requests through several programs finds this one by it.
#[tokio::test]
async fn an_error_tells_the_trace_that_its_request_is_a_part_of() {
    let gateway = Gateway::demo().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (traceparent, expected) in [
        (
            format!("00-{trace}-00f067aa0ba902b7-01"),
            format!("trace={trace}"),
        ),
        ("nonsense".to_owned(), String::new()),
    ] {
        let request = gateway.request("GET", "/v1/namespaces/default/leases/none");
        let answer = answer(request.header("traceparent", traceparent)).await;
        let error = answer.refused(404, 5, "LEASE_NOT_FOUND", "");
        let info = error["details"].as_array().unwrap().last().unwrap();
        assert_eq!(
            info["servingData"].as_str().unwrap_or_default(),
            expected,
            "{error}"
        );
    }
}

/// Whatever in a request is too long, its answer is not.
#[tokio::test]
async fn no_error_grows_with_its_request() {
    let gateway = Gateway::demo().await;
    let long = "x".repeat(15_000);
    let many = "x".repeat(60_000);
    let tags = format!(r#"{{"selector": "a=b", "duration": "1s", "tags": {{"{many}": "((("}}}}"#);
    let client = format!(r#"{{"client": "{many}"}}"#);
    let lease = format!("{LEASES}/none");
    for (method, path, body) in [("POST", LEASES, tags), ("PATCH", &lease, client)] {
        let answer = gateway.json(method, path, body).await;
        assert_eq!(answer.status, 400);
        let length = answer.value().to_string().len();
        assert!(length < 5_000, "{method} {path}: {length} bytes");
    }
    for (name, status, reason) in [
        ("x-request-timeout", 400, "INVALID_TIMEOUT"),
        ("if-match", 400, "INVALID_ETAG"),
        ("if-none-match", 400, "INVALID_ETAG"),
        ("content-encoding", 415, "UNSUPPORTED_CONTENT_ENCODING"),
        ("content-type", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(name, long.parse().unwrap());
        let request = gateway.request("PATCH", &lease).headers(headers);
        let answer = answer(request.body("{}")).await;
        answer.refused(status, 3, reason, "");
        let length = answer.value().to_string().len();
        assert!(length < 5_000, "{name}: {length} bytes");
    }
}

/// A client that sends head and body apart may have its answer in between, and goes on all the same.
#[tokio::test]
async fn a_short_body_that_nobody_reads_ends_no_connection() {
    let gateway = Gateway::demo().await;
    for (line, status) in [
        ("POST /nope", "404"),
        ("PUT /v1/namespaces/default/leases", "405"),
        ("POST /v1/namespaces/default/leases", "415"),
        ("OPTIONS /v1/namespaces/default/leases", "204"),
        ("GET /openapi.json", "200"),
    ] {
        let mut socket = tokio::net::TcpStream::connect(gateway.address)
            .await
            .unwrap();
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut beginning = [0; 12];
        socket.read_exact(&mut beginning).await.unwrap();
        assert_eq!(beginning, format!("HTTP/1.1 {status}").as_bytes(), "{line}");
        socket.write_all(b"{}").await.unwrap();
        let next = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        socket.write_all(next).await.unwrap();
        let mut rest = vec![];
        socket.read_to_end(&mut rest).await.unwrap();
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.ends_with("\r\n\r\nok\n"), "{line}: {rest}");
        let (first, _) = rest.split_once("\r\n\r\n").unwrap();
        assert!(!first.contains("connection: close"), "{line}: {first}");
    }
}

/// RFC 9112, section 9.6: where the rest is not read, the connection ends, and the answer says so.
#[tokio::test]
async fn an_answer_tells_that_a_body_is_not_read() {
    let gateway = Gateway::demo().await;
    for rest in [
        "expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        "content-length: 65537\r\n\r\n",
    ] {
        let request = format!("POST /nope HTTP/1.1\r\nhost: x\r\n{rest}");
        let answer = raw(&gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{rest}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{rest}: {answer}");
    }
    let broken = format!(
        "POST {LEASES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\nxyz\r\n"
    );
    let answer = raw(&gateway, &broken).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("BODY_INCOMPLETE"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_is_for_a_path() {
    let gateway = Gateway::demo().await;
    for line in ["GET v1", "CONNECT x:80"] {
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = raw(&gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line}: {answer}");
        assert!(answer.contains("\"INVALID_TARGET\""), "{line}: {answer}");
    }
}

#[tokio::test]
async fn what_is_too_late_changes_nothing() {
    let gateway = Gateway::demo().await;
    for (name, value) in [("grpc-timeout", "0S"), ("x-request-timeout", "0")] {
        let create = gateway
            .request("POST", LEASES)
            .header("content-type", "application/json")
            .header(name, value);
        let late = answer(create.body(r#"{"selector": "board=rpi4", "duration": "60s"}"#)).await;
        late.refused(504, 4, "DEADLINE_EXCEEDED", "");
    }
    let twice = gateway
        .request("GET", LEASES)
        .header("grpc-timeout", "1S")
        .header("grpc-timeout", "2S");
    answer(twice)
        .await
        .refused(400, 3, "INVALID_TIMEOUT", "twice");
    assert_eq!(
        gateway.get(LEASES).await.value()["leases"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn the_server_has_options_too() {
    let gateway = Gateway::demo().await;
    let request = "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&gateway, request).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn an_encoded_slash_forges_no_name() {
    let gateway = Gateway::demo().await;
    let answer = gateway
        .get("/v1/namespaces/default%2Fleases%2Fx/leases/y")
        .await;
    answer.refused(400, 3, "INVALID_RESOURCE_NAME", "may not contain '%'");
    let list = gateway.get("/v1/namespaces/default%2Fleases/leases").await;
    list.refused(400, 3, "INVALID_RESOURCE_NAME", "may not contain '%'");
}

/// curl's `-d ''` calls what it does not send a form.
#[tokio::test]
async fn an_empty_body_may_call_itself_anything() {
    let gateway = Gateway::demo().await;
    for kind in ["text/plain; a=b", "application/x-www-form-urlencoded"] {
        let rotate = gateway.request("POST", "/v1/namespaces/default/rotate-token");
        let rotate = rotate.header("content-type", kind);
        let refused = answer(rotate.header("content-length", "0")).await;
        refused.refused(400, 9, "AUTHENTICATION_OFF", "");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_or_a_whole_body_is_told_once() {
    let gateway = Gateway::demo().await;
    for query in ["lease=1", "lease.name=x", "lease.nope=x"] {
        let path = format!("{LEASES}?{query}");
        let refused = gateway.json("POST", &path, "{}").await;
        refused.refused(400, 3, "INVALID_FIELD", "the request body holds this field");
    }
    for body in ["[]", "1"] {
        let path = "/v1/namespaces/default/rotate-token";
        let refused = gateway.json("POST", path, body).await;
        let error = refused.refused(400, 3, "INVALID_FIELD", "expected an object");
        assert_eq!(error["details"].as_array().unwrap().len(), 2, "{error}");
    }
}

#[tokio::test]
async fn bodies_must_be_json_and_not_too_long() {
    let gateway = Gateway::demo().await;
    let form = gateway
        .request("POST", LEASES)
        .header("content-type", "application/x-www-form-urlencoded");
    answer(form.body("selector=a")).await.refused(
        415,
        3,
        "UNSUPPORTED_MEDIA_TYPE",
        "Content-Type: application/json",
    );
    let both = gateway
        .request("POST", LEASES)
        .header("content-type", "application/json")
        .header("content-type", "text/plain");
    answer(both.body("{}"))
        .await
        .refused(415, 3, "UNSUPPORTED_MEDIA_TYPE", "with several");
    let latin = gateway
        .request("POST", LEASES)
        .header("content-type", "application/json; charset=latin1");
    answer(latin.body("{}"))
        .await
        .refused(415, 3, "UNSUPPORTED_MEDIA_TYPE", "UTF-8");
    let html = gateway.request("GET", LEASES).header("accept", "text/html");
    answer(html)
        .await
        .refused(406, 3, "NOT_ACCEPTABLE", "application/json");
    // What cannot be read is one item of several.
    let latin = http::HeaderValue::from_bytes(b"application/json, \xe4/x").unwrap();
    let both = gateway.request("GET", LEASES).header("accept", latin);
    assert_eq!(answer(both).await.status, 200);
    let long = format!(r#"{{"selector": "{}"}}"#, "a".repeat(70_000));
    gateway
        .json("POST", LEASES, long)
        .await
        .refused(413, 8, "BODY_TOO_LARGE", "65536 bytes");
    let deep = "[".repeat(60_000);
    gateway
        .json("POST", LEASES, deep)
        .await
        .refused(400, 3, "INVALID_FIELD", "");
    gateway
        .json("DELETE", &format!("{LEASES}/x"), r#"{"force": true}"#)
        .await
        .refused(400, 3, "UNEXPECTED_BODY", "no request body");
}

#[tokio::test]
async fn what_the_domain_refuses_is_told_in_its_words() {
    let gateway = Gateway::demo().await;
    let cases = [
        ("{}", "one of selector or exporter_name is required"),
        (
            r#"{"selector": "a=b"}"#,
            "duration is required (must specify Duration, or both BeginTime and EndTime)",
        ),
        (
            r#"{"selector": "a=b", "duration": "-1s"}"#,
            "duration must be positive, got -1s",
        ),
        (
            r#"{"selector": "a in b", "duration": "1s"}"#,
            "failed to parse label selector: unable to parse requirement: found 'b' expected: '('",
        ),
        (
            r#"{"selector": "a=b", "duration": "1s", "tags": {"a/b": ""}}"#,
            "must not contain '/'",
        ),
    ];
    for (body, message) in cases {
        let answer = gateway.json("POST", LEASES, body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(
            answer.value()["message"]
                .as_str()
                .unwrap()
                .contains(message),
            "{body}: {answer:?}"
        );
    }
    gateway.get(&format!("{LEASES}/missing")).await.refused(
        404,
        5,
        "LEASE_NOT_FOUND",
        "leases.jumpstarter.dev \"missing\" not found",
    );
}

#[tokio::test]
async fn rotating_a_token_needs_a_token() {
    let gateway = Gateway::demo().await;
    let answer = gateway
        .json("POST", "/v1/namespaces/default/rotate-token", "{}")
        .await;
    answer.refused(400, 9, "AUTHENTICATION_OFF", "no token to rotate");
}

#[tokio::test]
async fn half_a_body_harms_nobody() {
    let gateway = Gateway::demo().await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {LEASES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = vec![];
    socket.read_to_end(&mut rest).await.unwrap();
    assert_eq!(
        gateway.get(LEASES).await.text,
        r#"{"leases":[],"nextPageToken":""}"#
    );
}
