//! Who may do what: bearer tokens over REST and gRPC.

use jumpstarter_gateway::auth::{Sources, Tokens};
use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::Duration;

use crate::harness::{Gateway, answer};

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
metadata:
  name: board-1
  namespace: lab
  labels: {board: rpi4}
  annotations: {gateway.jumpstarter.dev/static: 'true'}
";

const TOKENS: &str =
    "ann-token,client:lab:ann\nbob-token,client:lab:bob\nold-token,client:lab:gone\n";

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
    let value = rotated.value();
    assert!(value["expiry"].is_string(), "{value}");
    let new = gateway.as_holder_of(value["token"].as_str().unwrap());
    assert_eq!(new.get("/v1/namespaces/lab/leases").await.status, 200);
    ann.get("/v1/namespaces/lab/leases")
        .await
        .refused(401, 16, "TOKEN_REPLACED", "");
}
