//! The program while it runs: it takes over changes of its lab file, and sends away who waits when
//! it stops.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{answer, client};
use crate::program::{PATIENCE, Program};
use crate::signal::signal;

async fn exporters(program: &Program) -> Vec<(String, String)> {
    let url = format!("{}/v1/namespaces/default/exporters", program.url);
    let list = answer(client().get(url)).await.value();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let exporters = list["exporters"].as_array().unwrap();
    exporters
        .iter()
        .map(|one| (text(&one["name"]), text(&one["labels"]["board"])))
        .collect()
}

fn lab(exporters: &[(&str, &str)]) -> String {
    let client = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: demo}\n";
    exporters.iter().fold(client.to_owned(), |lab, (name, board)| {
        lab + &format!(
            "---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata:\n  name: {name}\n  \
             labels: {{board: {board}}}\n  annotations: {{gateway.jumpstarter.dev/static: \"true\"}}\n"
        )
    })
}

fn shown(exporters: &[(&str, &str)]) -> Vec<(String, String)> {
    let name = |name: &str| format!("namespaces/default/exporters/{name}");
    exporters
        .iter()
        .map(|(id, board)| (name(id), (*board).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_changed_lab_is_taken_over_and_a_wrong_one_is_not() {
    let mut program = Program::start(&["--no-auth"], &lab(&[("a", "rpi4"), ("b", "rpi4")]));
    program.save(&lab(&[("a", "rpi5"), ("c", "rpi4")]));
    let line = program.logged("the lab was read again").await;
    for change in [
        "changed exporter default/a",
        "added exporter default/c",
        "removed exporter default/b",
    ] {
        assert!(line.contains(change), "{line}");
    }
    let expected = shown(&[("a", "rpi5"), ("c", "rpi4")]);
    assert_eq!(exporters(&program).await, expected);

    program.save("apiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata: {}\n");
    let line = program.logged("lab.yaml:3").await;
    assert!(line.contains("name"), "{line}");
    program.logged("the server keeps the one it has").await;
    assert_eq!(exporters(&program).await, expected);

    // In place, as a shell does.
    fs::write(program.file("lab.yaml"), lab(&[("a", "rpi5")])).unwrap();
    let line = program.logged("the lab was read again").await;
    assert!(line.contains("removed exporter default/c"), "{line}");
    assert_eq!(exporters(&program).await, shown(&[("a", "rpi5")]));

    signal(&program.process, "-HUP");
    program.logged("nothing in it has changed").await;
}

#[tokio::test]
async fn who_waits_is_sent_away_when_the_server_stops() {
    let mut program = Program::start(&["--no-auth"], &lab(&[("a", "rpi4")]));
    let leases = format!("{}/v1/namespaces/default/leases", program.url);
    let create = || {
        let request = client()
            .post(&leases)
            .header("content-type", "application/json");
        request.body(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
    };
    answer(create()).await;
    let mut watch = client()
        .get(&leases)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let waiting = tokio::spawn(answer(create().header("prefer", "wait=300")));
    let mut text = String::new();
    let mut read_until = async |what: &str| {
        while !text.contains(what) {
            let chunk = tokio::time::timeout(PATIENCE, watch.chunk())
                .await
                .unwrap()
                .unwrap();
            let chunk = chunk.unwrap_or_else(|| panic!("no {what} in {text}"));
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    // The second lease is there, so its create waits.
    read_until("NotAvailable").await;
    let told = Instant::now();
    signal(&program.process, "-TERM");
    read_until("event: error\ndata: {\"error\":{\"code\":14").await;
    let sent_away = waiting.await.unwrap();
    let error = sent_away.refused(503, 14, "STOPPING", "ask again");
    assert_eq!(sent_away.header("retry-after"), "1");
    let lease = error["details"][0]["metadata"]["lease"].as_str().unwrap();
    assert!(lease.starts_with("namespaces/default/leases/"), "{error}");
    program.logged("stopped").await;
    assert!(told.elapsed() < PATIENCE);
    assert!(program.process.wait().unwrap().success());
}

/// What a command about tokens prints.
fn token(folder: &std::path::Path, args: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"))
        .arg("token")
        .args(args)
        .arg("--keys")
        .arg(folder.join("keys"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_token_that_is_revoked_beside_a_running_server_is_worth_nothing_at_once_and_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let (first, second) = (
        token(&path, &["create", "demo"]),
        token(&path, &["create", "demo"]),
    );
    let flags = ["--keys=FOLDER/keys"];
    let mut program = Program::start_in(folder, &flags, &lab(&[("a", "rpi4")]));
    let show = |program: &Program, token: &str| {
        let url = format!("{}/v1/namespaces/default/leases", program.url);
        answer(client().get(url).bearer_auth(token))
    };
    assert_eq!(show(&program, &first).await.status, 200);
    token(&path, &["revoke", &first]);
    program.logged("the tokens were read again").await;
    show(&program, &first)
        .await
        .refused(401, 16, "TOKEN_REVOKED", "it was revoked");
    token(&path, &["rotate-key"]);
    program.logged("the tokens were read again").await;
    assert_eq!(show(&program, &second).await.status, 200);

    fs::write(program.file("keys/token-keys.pem"), "rubbish").unwrap();
    program.logged("the server keeps those it has").await;
    assert_eq!(show(&program, &second).await.status, 200);
}
