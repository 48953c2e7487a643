//! The command line, as a process: what it prints, what it returns, how it starts and stops.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "support/process.rs"]
mod process;
#[path = "support/signal.rs"]
mod signal;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::time::{Duration, Instant};

use process::{Server, gateway};
use signal::signal;

fn run(args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = gateway(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(&server.address).unwrap()
}

fn get(server: &Server, path: &str) -> String {
    let mut socket = connect(server);
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn routes_are_listed_as_in_the_golden_table() {
    let (code, table, _) = run(&["routes"]);
    assert_eq!(code, 0);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/routes.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &table).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(
        table, expected,
        "run with UPDATE_GOLDEN=1 to rewrite {golden}"
    );
}

#[test]
fn the_openapi_document_is_printed() {
    let (code, json, _) = run(&["openapi"]);
    assert_eq!(
        (code, json.lines().nth(1)),
        (0, Some("  \"openapi\": \"3.1.0\","))
    );
    let (code, yaml, _) = run(&["openapi", "--format", "yaml"]);
    assert_eq!((code, yaml.lines().next()), (0, Some("openapi: \"3.1.0\"")));
}

#[test]
fn lab_files_are_checked() {
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/demo.yaml");
    let (code, out, _) = run(&["check", lab]);
    assert_eq!(code, 0);
    assert!(
        out.contains("exporters: 9, clients: 2, policies: 0"),
        "{out}"
    );
    let (code, _, error) = run(&[
        "check",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/wrong.yaml"),
    ]);
    assert_eq!(code, 78);
    assert!(
        error
            .lines()
            .any(|line| line.starts_with("error: ") && line.contains("wrong.yaml:")),
        "{error}"
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let (code, _, error) = run(&["serve"]);
    assert_eq!(code, 78);
    assert!(
        error.contains("--lab PATH") && error.contains("--tokens PATH"),
        "{error}"
    );
    let (code, _, error) = run(&["serve", "--demo", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 78);
    assert!(error.contains("loopback"), "{error}");
    assert_eq!(run(&["serve", "--no-such-flag"]).0, 2);
}

#[test]
fn settings_are_shown_as_a_file_that_can_be_used() {
    let (code, file, _) = run(&["config", "show", "--demo", "--max-tags", "7"]);
    assert_eq!(code, 0);
    assert!(file.contains("max_tags = 7"), "{file}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, &file).unwrap();
    let (code, again, error) = run(&["config", "show", "--config", path.to_str().unwrap()]);
    assert_eq!((code, again), (0, file), "{error}");
}

#[test]
fn shells_are_helped() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        for word in ["jumpstarter-gateway", "acquire", "selector"] {
            assert!(script.contains(word), "{shell}, {word}: {script}");
        }
    }
}

#[test]
fn health_is_answered() {
    let server = Server::start(&["--demo"]);
    assert!(get(&server, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/readyz").ends_with("ready\n"));
}

#[test]
fn a_stop_lets_requests_finish() {
    for name in ["-TERM", "-INT"] {
        let mut server = Server::start(&["--demo"]);
        let body = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
        let (first, second) = body.split_at(10);
        let mut socket = connect(&server);
        write!(
            socket,
            "POST /v1/namespaces/default/leases HTTP/1.1\r\nhost: x\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        )
        .unwrap();
        // Another request makes sure that the server has seen this one.
        get(&server, "/healthz");
        let stopped = Instant::now();
        signal(&server.process, name);
        // Until the listener is gone.
        while TcpStream::connect(&server.address).is_ok() {
            assert!(
                stopped.elapsed() < Duration::from_secs(5),
                "the listener stays open"
            );
        }
        socket.write_all(second.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("rpi4-01"), "{answer}");
        assert!(server.process.wait().unwrap().success());
        assert!(
            stopped.elapsed() < Duration::from_secs(5),
            "it took {:?}",
            stopped.elapsed()
        );
    }
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::start(&["--demo", "--shutdown-grace", "100ms"]);
    let mut socket = connect(&server);
    write!(
        socket,
        "POST /v1/namespaces/default/leases HTTP/1.1\r\nhost: x\r\n"
    )
    .unwrap();
    get(&server, "/healthz");
    signal(&server.process, "-TERM");
    assert!(server.process.wait().unwrap().success());
}

/// Everything that tokens are made from and checked against, in a folder.
fn token(folder: &std::path::Path, args: &[&str]) -> (i32, String, String) {
    let keys = format!("--keys={}", folder.join("keys").display());
    let lab = format!("--lab={}", folder.join("lab.yaml").display());
    run(&[&["token"], args, &[&*keys, &*lab]].concat())
}

#[test]
fn tokens_are_made_looked_at_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let lab =
        "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: ada, uid: one}\n";
    std::fs::write(folder.path().join("lab.yaml"), lab).unwrap();
    let (code, made, told) = token(folder.path(), &["create", "ada", "--lifetime=30d"]);
    assert_eq!(code, 0, "{told}");
    let made = made.strip_suffix('\n').unwrap();
    assert!(
        made.split('.').count() == 3 && !made.contains(char::is_whitespace),
        "{made}"
    );
    assert!(
        told.contains("of the client default/ada, good until 20"),
        "{told}"
    );

    let (code, shown, _) = token(folder.path(), &["inspect", made]);
    assert_eq!(code, 0);
    for expected in [
        "\"alg\": \"ES256\"",
        "\"sub\": \"client:default:ada:one\"",
        "accepted: client default/ada, token ",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let id = shown.trim_end().rsplit(' ').next().unwrap().to_owned();
    let (code, ended, _) = token(folder.path(), &["revoke", &id]);
    assert_eq!(
        (code, ended),
        (0, format!("token {id} is worth nothing from now on\n"))
    );
    let (_, shown, _) = token(folder.path(), &["inspect", made]);
    assert!(
        shown.contains("refused: failed to authenticate token: it was revoked (TOKEN_REVOKED)"),
        "{shown}"
    );

    let (code, id, _) = token(folder.path(), &["rotate-key"]);
    assert_eq!(code, 0);
    let id = id.split(' ').nth(6).unwrap();
    let (_, made, _) = token(folder.path(), &["create", "ada"]);
    let (_, shown, _) = token(folder.path(), &["inspect", made.trim()]);
    assert!(
        shown.contains(&format!("\"kid\": \"{id}\"")),
        "{id} in {shown}"
    );
}

#[test]
fn a_token_that_cannot_be_made_or_ended_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let lab = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: ada}\n";
    std::fs::write(folder.path().join("lab.yaml"), lab).unwrap();
    for (args, expected) in [
        (
            &["create", "eve"][..],
            "has no client eve in the namespace default",
        ),
        (
            &["create", "ada", "--namespace=lab"],
            "has no client ada in the namespace lab",
        ),
        (
            &["create", "ada", "--lifetime=0s"],
            "lifetime: must be longer than 0s",
        ),
        (&["revoke", "nonsense"], "neither a token nor the id of one"),
    ] {
        let (code, out, told) = token(folder.path(), args);
        assert_eq!((code, &*out), (1, ""), "{args:?}");
        assert!(
            told.starts_with("error: ") && told.contains(expected),
            "{args:?}: {told}"
        );
    }
    let (code, _, told) = run(&["token", "create", "ada"]);
    assert_eq!(code, 78);
    assert!(told.starts_with("error: keys: missing"), "{told}");
}

#[test]
fn what_is_no_name_and_no_url_is_a_wrong_command_line() {
    for (args, expected) in [
        (&["health", "--url", "nonsense"][..], "an address is like"),
        (&["health", "--url", "mailto:a@b"], "an address is like"),
        (&["lease", "get", "a/b"], "a lease is named like"),
        (&["lease", "get", ""], "a lease is named like"),
        (&["lease", "release", "one", "/"], "a lease is named like"),
    ] {
        let (code, out, told) = run(args);
        assert_eq!((code, &*out), (2, ""), "{args:?}");
        assert!(told.contains(expected), "{args:?}: {told}");
    }
}
