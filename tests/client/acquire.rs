//! Acquiring: with and without a command, at once, after a wait, and in vain.

use std::fs;

use super::process::{Server, gateway};
use super::signal::signal;
use super::{Stdio, acquired, acquiring, ended, run, states, to};

const HALF_AN_HOUR: [&str; 4] = ["lease", "acquire", "--duration", "30m"];

#[test]
fn a_command_runs_with_the_lease_and_gives_the_status() {
    let server = Server::start(&["--demo"]);
    let script = "echo $JMP_LEASE $JUMPSTARTER_GATEWAY_LEASE $JUMPSTARTER_GATEWAY_EXPORTER \
                  $JUMPSTARTER_GATEWAY_URL $JUMPSTARTER_GATEWAY_NAMESPACE; exit 7";
    let with = [
        "--selector",
        "board=rpi4",
        "--name",
        "first",
        "--tag",
        "build=1",
    ];
    let args = [&HALF_AN_HOUR[..], &with, &["--", "sh", "-c", script]].concat();
    let (status, out, errors) = run(&server, &args);
    assert_eq!(status, 7, "{errors}");
    assert_eq!(
        out,
        format!("first first rpi4-01 http://{} default\n", server.address)
    );
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(
        lines[0].starts_with("lease first is ready: rpi4-01 until 20"),
        "{errors}"
    );
    assert_eq!(lines[1], "lease first is released");
    assert_eq!(states(&server), ["ended:Released"]);
}

#[test]
fn a_command_can_extend_its_own_lease() {
    let server = Server::start(&["--demo"]);
    let program = env!("CARGO_BIN_EXE_jumpstarter-gateway");
    let script =
        format!("{program} lease extend --by 30m >&2 && {program} lease get | grep ^duration");
    let args = [
        &HALF_AN_HOUR[..],
        &["-n", "rpi4-01", "-q", "--", "sh", "-c", &script],
    ]
    .concat();
    let (status, out, errors) = run(&server, &args);
    assert_eq!((status, out.as_str()), (0, "duration\t1h\n"), "{errors}");
}

#[test]
fn without_a_command_the_lease_stays() {
    let server = Server::start(&["--demo"]);
    let name = acquired(&server, "rpi4");
    assert_eq!(states(&server), ["ready"]);
    let args = [
        &HALF_AN_HOUR[..],
        &["-l", "board=nuc13", "--json", "--name", "second"],
    ]
    .concat();
    let (status, out, errors) = run(&server, &args);
    assert_eq!(status, 0, "{errors}");
    let lease: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(lease["name"], "namespaces/default/leases/second", "{lease}");
    assert_eq!(run(&server, &["lease", "release", &name]).0, 0);
}

#[test]
fn a_lease_whose_name_nobody_reads_is_released() {
    let server = Server::start(&["--demo"]);
    let args = [&HALF_AN_HOUR[..], &["-l", "board=rpi4"]].concat();
    let mut process = to(&server, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let (status, _, errors) = ended(process.wait_with_output().unwrap());
    assert_eq!(status, 1, "{errors}");
    assert_eq!(states(&server), ["ended:Released"]);
}

#[test]
fn what_cannot_be_run_has_the_status_of_a_shell() {
    let server = Server::start(&["--demo"]);
    let cases = [("/no/such/program", 127), ("/", 126)];
    for (command, expected) in cases {
        let args = [&HALF_AN_HOUR[..], &["-l", "board=rpi4", "--", command]].concat();
        let (status, _, errors) = run(&server, &args);
        assert_eq!(status, expected, "{errors}");
        assert!(
            errors.contains(&format!("error: {command} cannot be run")),
            "{errors}"
        );
    }
    let args = [
        &HALF_AN_HOUR[..],
        &["-l", "board=rpi4", "--", "sh", "-c", "kill -KILL $$"],
    ]
    .concat();
    assert_eq!(run(&server, &args).0, 128 + 9);
    assert_eq!(states(&server), ["ended:Released"; 3]);
}

#[test]
fn several_wait_and_are_served_in_order() {
    let server = Server::start(&["--demo"]);
    let first = acquired(&server, "rpi4");
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut waiting = vec![];
    for (name, wait) in [
        ("a", ["--wait", "5m"]),
        ("b", ["--wait", "1h"]),
        ("c", ["--name", "c"]),
    ] {
        let script = format!("echo {name} >> {}", file.path().display());
        let args = [&wait[..], &["--", "sh", "-c", &script]].concat();
        let (process, mut lines) = acquiring(&server, &args);
        let line = lines.until("waits");
        let place = format!(
            "place {} in the queue, estimated start 20",
            waiting.len() + 1
        );
        assert!(line.contains(&place), "{name}: {line}");
        waiting.push((process, lines));
    }
    assert_eq!(run(&server, &["lease", "release", &first]).0, 0);
    for (mut process, mut lines) in waiting {
        lines.until("is ready: rpi4-01 until");
        lines.until("is released");
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "a\nb\nc\n");
    assert_eq!(states(&server), ["ended:Released"; 4]);
}

#[test]
fn a_wait_in_vain_leaves_nothing_behind() {
    let server = Server::start(&["--demo"]);
    acquired(&server, "rpi4");
    let cases = [
        vec!["--wait", "1s"],
        vec!["--wait", "0s"],
        vec!["--wait", "1s", "--name", "mine"],
    ];
    for case in cases {
        let args = [
            &HALF_AN_HOUR[..],
            &["-l", "board=rpi4"],
            &case,
            &["--", "echo", "never"],
        ]
        .concat();
        let (status, out, errors) = run(&server, &args);
        assert_eq!((status, out.as_str()), (75, ""), "{case:?}: {errors}");
        assert!(errors.contains("error: the lease"), "{case:?}: {errors}");
        assert!(errors.contains("already leased"), "{case:?}: {errors}");
    }
    let ended = ["ended:Released"; 3];
    let mut states = states(&server);
    states.retain(|state| state != "ready");
    assert_eq!(states, ended);
}

#[test]
fn a_server_that_waits_for_less_is_asked_again() {
    let server = Server::start(&["--demo", "--longest-wait", "1s"]);
    let first = acquired(&server, "rpi4");
    let (process, mut lines) = acquiring(&server, &["--wait", "5m", "--", "echo", "yes"]);
    let before = lines.until("waits");
    // The server gave that lease up; this is another.
    let after = lines.until("waits");
    assert_ne!(before, after);
    assert_eq!(run(&server, &["lease", "release", &first]).0, 0);
    let (status, out, _) = ended(process.wait_with_output().unwrap());
    assert_eq!((status, out.as_str()), (0, "yes\n"));
}

#[test]
fn a_server_that_is_started_again_is_asked_again() {
    for args in [&["--wait", "5m"][..], &["--name", "x"]] {
        let mut server = Server::start(&["--demo"]);
        acquired(&server, "rpi4");
        let (process, mut lines) = acquiring(&server, &[args, &["--", "echo", "yes"]].concat());
        lines.until("waits");
        signal(&server.process, "-TERM");
        assert!(server.process.wait().unwrap().success());
        lines.until("trying again");
        // It has forgotten everything, so that the board is free.
        let _server = Server::start_at(&server.address.clone(), &["--demo"]);
        lines.until("is ready");
        let (status, out, _) = ended(process.wait_with_output().unwrap());
        assert_eq!((status, out.as_str()), (0, "yes\n"), "{args:?}");
    }
}

#[test]
fn each_kind_of_failure_has_its_status() {
    let server = Server::start(&["--demo"]);
    acquired(&server, "rpi4");
    let cases: [(&[&str], i32, &str); 7] = [
        (&["-l", "board=rpi9"], 78, " has ended (NoMatch): "),
        (&["-n", "imx8mp-01"], 78, "(ExporterDisabled)"),
        (
            &["-l", "board=("],
            64,
            "error: lease.selector: failed to parse label selector",
        ),
        (&["-l", "a=b", "--name", "A B"], 64, "error: leaseId: "),
        (&["-l", "a=b", "--tag", "x"], 2, "KEY=VALUE"),
        (&[], 2, "--selector <SELECTOR>|--exporter <NAME>"),
        (
            &["-l", "a=b", "--server", "http://127.0.0.1:1"],
            69,
            "cannot be reached",
        ),
    ];
    for (args, expected, message) in cases {
        let args = [&HALF_AN_HOUR[..], args, &["--", "echo", "never"]].concat();
        let (status, out, errors) = run(&server, &args);
        assert_eq!((status, out.as_str()), (expected, ""), "{args:?}: {errors}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
}

#[test]
fn a_token_is_shown_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let lab = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: ada}\n---\n\
               apiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata: {name: rpi4-01, \
               labels: {board: rpi4}, annotations: {gateway.jumpstarter.dev/static: \"true\"}}\n";
    fs::write(path("lab.yaml"), lab).unwrap();
    fs::write(path("tokens"), "a-long-random-text,client:default:ada\n").unwrap();
    fs::write(path("token"), "a-long-random-text\n").unwrap();
    let server = Server::start(&[
        "--in-memory",
        "--lab",
        &path("lab.yaml"),
        "--tokens",
        &path("tokens"),
    ]);
    let (status, _, errors) = run(&server, &["lease", "list"]);
    assert_eq!(status, 77, "{errors}");
    assert!(errors.contains("hint: give your token"), "{errors}");
    assert_eq!(run(&server, &["lease", "list", "--token", "wrong"]).0, 77);
    assert_eq!(
        run(&server, &["lease", "list", "--token", "a-long-random-text"]).0,
        0
    );
    assert_eq!(
        run(&server, &["lease", "list", "--token-file", &path("token")]).0,
        0
    );
    let (status, _, errors) = run(&server, &["lease", "list", "--token-file", &path("none")]);
    assert_eq!(status, 1, "{errors}");
    let token = ("JUMPSTARTER_GATEWAY_TOKEN", "a-long-random-text");
    let by_environment = to(&server, &["lease", "list"])
        .envs([token])
        .output()
        .unwrap();
    assert_eq!(ended(by_environment).0, 0);
    let others = [
        "lease",
        "list",
        "--namespace",
        "other",
        "--token",
        "a-long-random-text",
    ];
    assert_eq!(run(&server, &others).0, 77);
    let help = gateway(&["lease", "--help"])
        .envs([token])
        .output()
        .unwrap();
    assert!(!ended(help).1.contains(token.1), "the help shows the token");
}

#[test]
fn a_private_certificate_is_trusted_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().display().to_string();
    let server = Server::start(&["--demo", "--tls-self-signed", "--keys", &keys]);
    let url = format!("https://{}", server.address);
    let list = ["lease", "list", "--server", &url];
    let (status, _, errors) = run(&server, &list);
    assert_eq!(status, 69, "{errors}");
    assert!(errors.contains("certificate"), "{errors}");
    assert!(
        errors.contains("hint: ") && errors.contains("--cacert"),
        "{errors}"
    );
    let certificate = format!("{keys}/tls-cert.pem");
    let (status, _, errors) = run(&server, &[&list[..], &["--cacert", &certificate]].concat());
    assert_eq!(status, 0, "{errors}");
    let wrong = format!("{keys}/tls-key.pem");
    let (status, _, errors) = run(&server, &[&list[..], &["--cacert", &wrong]].concat());
    assert_eq!(status, 1, "{errors}");
}
