//! The audit log of a running gateway: who did what, and that no token is in it.

use std::fs;

use serde_json::Value;

use crate::harness::{answer, client};
use crate::program::{PATIENCE, Program};
use crate::signal::signal;

const LAB: &str = "
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: ann, namespace: lab}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: root, namespace: ops}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata: {name: board-1, namespace: lab, labels: {board: rpi4}, annotations: {gateway.jumpstarter.dev/static: 'true'}}
";

const TOKENS: &str = "ann-secret,client:lab:ann\nroot-secret,client:ops:root\n";
const WISH: &str = r#"{"selector": "board=rpi4", "duration": "3600s"}"#;

/// A gateway whose clients have tokens.
fn start() -> Program {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokens.csv"), TOKENS).unwrap();
    let flags = [
        "--tokens=FOLDER/tokens.csv",
        "--admins=ops/root",
        "--audit=FOLDER/audit.jsonl",
    ];
    Program::start_in(folder, &flags, LAB)
}

/// Lines as objects.
fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// What a line says, without what is different every time.
fn told(line: &Value) -> String {
    let members = [
        "event",
        "method",
        "code",
        "status",
        "reason",
        "client",
        "subject",
        "admin",
        "explanation",
        "exporter",
    ];
    let told = members
        .iter()
        .filter_map(|member| Some(line.get(member)?.to_string()));
    let told = told.collect::<Vec<_>>().join(" ").replace('"', "");
    told.replace("jumpstarter.client.v1.ClientService/", "")
}

#[tokio::test]
async fn it_tells_who_did_what_to_which_lease() {
    let mut program = start();
    let leases = format!("{}/v1/namespaces/lab/leases", program.url);
    let json = |request: reqwest::RequestBuilder, body: &'static str| {
        answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let created = json(client().post(&leases).bearer_auth("ann-secret"), WISH)
        .await
        .value();
    let lease = format!("{}/v1/{}", program.url, created["name"].as_str().unwrap());
    answer(client().get(&lease).bearer_auth("ann-secret")).await;
    json(client().post(&leases).bearer_auth("ann-secret"), "{").await;
    json(client().post(&leases).bearer_auth("guess"), WISH).await;
    let taken = client().delete(&lease).bearer_auth("root-secret");
    let taken = taken.header("Grpc-Metadata-jumpstarter-reason", "rack maintenance");
    assert_eq!(
        answer(taken.header("x-request-id", "mine")).await.status,
        200
    );
    let moved = program.file("audit.1");
    fs::rename(program.file("audit.jsonl"), &moved).unwrap();
    signal(&program.process, "-HUP");
    program.logged("nothing in it has changed").await;
    signal(&program.process, "-TERM");
    program.logged("stopped").await;
    assert!(program.process.wait().unwrap().success());

    let text = fs::read_to_string(&moved).unwrap();
    let found = lines(&text);
    let expected = [
        "started",
        "assigned lab/ann lab/board-1",
        "call CreateLease OK 200 lab/ann client lab/ann",
        "call CreateLease INVALID_ARGUMENT 400 MALFORMED_JSON lab/ann client lab/ann",
        "call CreateLease UNAUTHENTICATED 401 TOKEN_REJECTED",
        "ended Released lab/ann lab/board-1",
        "call DeleteLease OK 200 ops/root client ops/root true rack maintenance",
    ];
    assert_eq!(
        found.iter().map(told).collect::<Vec<_>>(),
        expected,
        "{text}"
    );
    let name = format!("lab/{}", lease.rsplit('/').next().unwrap());
    let about = found.iter().filter(|line| line["lease"] == name.as_str());
    assert_eq!(about.count(), 4, "{name} in {text}");
    assert_eq!(found[6]["request"], "mine");
    assert_eq!(found[6]["peer"], "127.0.0.1");
    assert_eq!(found[5]["revision"], found[6]["revision"]);
    let times: Vec<&str> = found
        .iter()
        .map(|line| line["time"].as_str().unwrap())
        .collect();
    assert!(times.iter().all(|time| time.ends_with('Z')), "{times:?}");
    let after = fs::read_to_string(program.file("audit.jsonl")).unwrap();
    let told_after: Vec<String> = lines(&after).iter().map(told).collect();
    assert_eq!(told_after, ["lab", "stopped"], "{after}");
    assert!(!(text + &after).contains("secret"));
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_told_of() {
    let program = start();
    let leases = format!("{}/v1/namespaces/lab/leases", program.url);
    let create = || {
        let request = client().post(&leases).bearer_auth("ann-secret");
        request
            .header("content-type", "application/json")
            .body(WISH)
    };
    assert_eq!(answer(create()).await.status, 200);
    let waits = tokio::spawn(create().header("prefer", "wait=300").send());
    let metrics = || answer(client().get(format!("{}/metrics", program.url)));
    while !metrics()
        .await
        .text
        .contains("\njumpstarter_gateway_watchers 1")
    {
        tokio::task::yield_now().await;
    }
    waits.abort();
    let read = || fs::read_to_string(program.file("audit.jsonl")).unwrap();
    let left = async {
        while !read().contains("CLIENT_LEFT") {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, left).await;
    assert!(waited.is_ok(), "{}", read());
    let last = lines(&read()).pop().unwrap();
    assert_eq!(
        told(&last),
        "call CreateLease CANCELLED 499 CLIENT_LEFT lab/ann client lab/ann"
    );
}
