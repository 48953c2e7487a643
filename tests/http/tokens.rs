//! Who may do what: bearer tokens over REST and gRPC.

use jumpstarter_gateway::auth::{Sources, Tokens};
use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::Duration;

use crate::harness::{FAILURES, Gateway, answer, is};

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
kind: Client
metadata: {name: root, namespace: ops}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata:
  name: board-1
  namespace: lab
  labels: {board: rpi4}
  annotations: {gateway.jumpstarter.dev/static: 'true'}
";

const TOKENS: &str = "ann-token,client:lab:ann\nbob-token,client:lab:bob\nroot-token,client:ops:root\nold-token,client:lab:gone\n";

async fn gateway() -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let lab_file = folder.path().join("lab.yaml");
    std::fs::write(&lab_file, LAB).unwrap();
    let tokens_file = folder.path().join("tokens.csv");
    std::fs::write(&tokens_file, TOKENS).unwrap();
    let sources = Sources {
        listed: Some(tokens_file),
        grace: Duration::from_seconds(0),
        ..Sources::default()
    };
    let tokens = Tokens::open(sources).unwrap();
    Gateway::with_tokens(lab::load(&lab_file).unwrap(), tokens).await
}

#[tokio::test]
async fn without_an_accepted_token_nobody_gets_in() {
    let gateway = gateway().await;
    let leases = "/v1/namespaces/lab/leases";
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let head = client.build().unwrap().head(gateway.url(leases));
    assert_eq!(answer(head).await.status, 401);
    let missing = gateway.get(leases).await;
    missing.refused(401, 16, "TOKEN_MISSING", "missing authorization header");
    assert!(
        missing.header("www-authenticate").starts_with("Bearer"),
        "{missing:?}"
    );
    gateway.as_holder_of("guess").get(leases).await.refused(
        401,
        16,
        "TOKEN_REJECTED",
        "failed to authenticate token",
    );
    gateway.as_holder_of("old-token").get(leases).await.refused(
        401,
        16,
        "CLIENT_UNKNOWN",
        "failed to authenticate token: its client does not exist",
    );
    let basic = gateway
        .request("GET", leases)
        .header("authorization", "Basic YTpi");
    answer(basic).await.refused(
        401,
        16,
        "AUTHORIZATION_MALFORMED",
        "malformed authorization header",
    );
    let twice = gateway
        .request("GET", leases)
        .header("authorization", "Bearer a")
        .header("authorization", "Bearer b");
    answer(twice).await.refused(
        401,
        16,
        "AUTHORIZATION_MALFORMED",
        "multiple authorization headers",
    );
    let lower = gateway
        .request("GET", leases)
        .header("authorization", "bearer ann-token");
    assert_eq!(answer(lower).await.status, 200);
}

#[tokio::test]
async fn what_does_not_exist_is_said_before_who_may_ask() {
    let gateway = gateway().await;
    gateway
        .get("/v1/nothing")
        .await
        .refused(404, 5, "PATH_NOT_FOUND", "");
    assert_eq!(
        gateway
            .send("PUT", "/v1/namespaces/lab/leases")
            .await
            .status,
        405
    );
    assert_eq!(
        gateway
            .send("OPTIONS", "/v1/namespaces/lab/leases")
            .await
            .status,
        204
    );
    let bad = gateway
        .request("POST", "/v1/namespaces/lab/leases")
        .header("content-type", "text/plain");
    answer(bad.body("x"))
        .await
        .refused(401, 16, "TOKEN_MISSING", "");
}

#[tokio::test]
async fn documents_and_health_need_no_token() {
    let gateway = gateway().await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/swagger-ui/"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn another_namespace_is_forbidden() {
    let ann = gateway().await.as_holder_of("ann-token");
    let answer = ann.get("/v1/namespaces/other/leases").await;
    answer.refused(403, 7, "NAMESPACE_MISMATCH", "namespace mismatch");
}

#[tokio::test]
async fn only_the_owner_changes_a_lease() {
    let gateway = gateway().await;
    let (ann, bob) = (
        gateway.as_holder_of("ann-token"),
        gateway.as_holder_of("bob-token"),
    );
    let body = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
    let lease = ann
        .json("POST", "/v1/namespaces/lab/leases?leaseId=mine", body)
        .await;
    assert_eq!(
        lease.value()["client"],
        "namespaces/lab/clients/ann",
        "{lease:?}"
    );
    let path = "/v1/namespaces/lab/leases/mine";
    assert_eq!(bob.get(path).await.status, 200);
    bob.send("DELETE", path).await.refused(
        403,
        7,
        "NOT_THE_OWNER",
        "DeleteLease permission denied",
    );
    bob.json("PATCH", path, r#"{"duration": "1s"}"#)
        .await
        .refused(403, 7, "NOT_THE_OWNER", "UpdateLease permission denied");
    let handed = ann
        .json("PATCH", path, r#"{"client": "namespaces/lab/clients/bob"}"#)
        .await;
    assert_eq!(
        handed.value()["client"],
        "namespaces/lab/clients/bob",
        "{handed:?}"
    );
    ann.send("DELETE", path)
        .await
        .refused(403, 7, "NOT_THE_OWNER", "");
    assert_eq!(bob.send("DELETE", path).await.status, 200);
}

#[tokio::test]
async fn a_rotated_token_takes_the_place_of_the_old_one() {
    let gateway = gateway().await;
    let ann = gateway.as_holder_of("ann-token");
    let rotated = ann
        .json("POST", "/v1/namespaces/lab/rotate-token", "{}")
        .await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    assert_eq!(rotated.header("cache-control"), "no-store");
    let value = rotated.value();
    assert!(value["expiry"].is_string(), "{value}");
    let new = gateway.as_holder_of(value["token"].as_str().unwrap());
    assert_eq!(new.get("/v1/namespaces/lab/leases").await.status, 200);
    ann.get("/v1/namespaces/lab/leases")
        .await
        .refused(401, 16, "TOKEN_REPLACED", "");
}

#[tokio::test]
async fn an_administrator_releases_anybodys_lease_and_nothing_else() {
    let gateway = gateway().await;
    let (ann, root) = (
        gateway.as_holder_of("ann-token"),
        gateway.as_holder_of("root-token"),
    );
    let body = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
    let created = ann
        .json("POST", "/v1/namespaces/lab/leases?leaseId=mine", body)
        .await;
    assert_eq!(created.status, 200, "{created:?}");
    let path = "/v1/namespaces/lab/leases/mine";
    root.get(path)
        .await
        .refused(403, 7, "NAMESPACE_MISMATCH", "");
    root.json("PATCH", path, r#"{"duration": "1s"}"#)
        .await
        .refused(403, 7, "NAMESPACE_MISMATCH", "");
    let stale = root.request("DELETE", path).header("if-match", "\"0\"");
    assert_eq!(answer(stale).await.status, 412);
    let release = root.request("DELETE", path);
    let release = release.header("grpc-metadata-jumpstarter-reason", "the board is on fire");
    assert_eq!(answer(release).await.status, 200);
    let lease = ann.get(path).await.value();
    is(&lease, "Ready", "False", "Released");
    root.send("DELETE", path)
        .await
        .refused(400, 9, "ALREADY_RELEASED", "");
    root.send("DELETE", "/v1/namespaces/lab/leases/none")
        .await
        .refused(404, 5, "LEASE_NOT_FOUND", "");
}

#[tokio::test]
async fn what_is_said_beside_the_token_must_agree_with_it() {
    let ann = gateway().await.as_holder_of("ann-token");
    let said = |headers: &[(&str, &str)]| {
        let request = ann.request("GET", "/v1/namespaces/lab/leases");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(format!("jumpstarter-{name}"), *value)
        });
        answer(request)
    };
    let all = [("namespace", "lab"), ("name", "ann"), ("kind", "Client")];
    assert_eq!(said(&all).await.status, 200);
    said(&[("name", "bob")]).await.refused(
        403,
        7,
        "CLIENT_MISMATCH",
        "permission denied for client lab/bob",
    );
    said(&[("namespace", "other")]).await.refused(
        403,
        7,
        "CLIENT_MISMATCH",
        "permission denied for client other/ann",
    );
    said(&[("kind", "Exporter")])
        .await
        .refused(400, 3, "KIND_MISMATCH", "object kind mismatch");
    said(&[("kind", "Client"), ("kind", "Client")])
        .await
        .refused(
            400,
            3,
            "METADATA_REPEATED",
            "multiple metadata: jumpstarter-kind",
        );
    // Rule B6.
    assert_eq!(said(&[("name", "ann"), ("name", "bob")]).await.status, 200);
}

#[tokio::test]
async fn a_challenge_says_what_to_do() {
    let gateway = gateway().await;
    let leases = "/v1/namespaces/lab/leases";
    let missing = gateway.get(leases).await;
    assert_eq!(
        missing.header("www-authenticate"),
        "Bearer realm=\"jumpstarter\""
    );
    let wrong = gateway.as_holder_of("guess").get(leases).await;
    assert_eq!(
        wrong.header("www-authenticate"),
        "Bearer realm=\"jumpstarter\", error=\"invalid_token\", error_description=\"failed to authenticate token\""
    );
    let basic = gateway
        .request("GET", leases)
        .header("authorization", "Basic YTpi");
    // RFC 6750, section 3.1: no error code for what is no token.
    assert_eq!(
        answer(basic).await.header("www-authenticate"),
        "Bearer realm=\"jumpstarter\""
    );
    // gRPC clients find the same among the metadata.
    let called = gateway
        .as_holder_of("guess")
        .request("POST", "/jumpstarter.client.v1.ClientService/ListExporters");
    let called = answer(called.header("content-type", "application/grpc")).await;
    assert_eq!(called.header("grpc-status"), "16", "{called:?}");
    assert_eq!(
        called.header("www-authenticate"),
        wrong.header("www-authenticate")
    );
}

#[tokio::test]
async fn who_shows_too_many_bad_tokens_is_sent_away_and_who_is_known_is_not() {
    let gateway = gateway().await;
    let leases = "/v1/namespaces/lab/leases";
    for _ in 0..FAILURES {
        // Who shows none, guesses none.
        assert_eq!(gateway.get(leases).await.status, 401);
    }
    for attempt in 0..FAILURES {
        let guess = gateway.as_holder_of(&format!("guess-{attempt}"));
        guess
            .get(leases)
            .await
            .refused(401, 16, "TOKEN_REJECTED", "");
    }
    let one_more = gateway.as_holder_of("guess").get(leases).await;
    one_more.refused(429, 8, "TOO_MANY_FAILURES", "try again later");
    let seconds: u64 = one_more.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&seconds), "{one_more:?}");
    assert_eq!(
        gateway.as_holder_of("ann-token").get(leases).await.status,
        200
    );
}
