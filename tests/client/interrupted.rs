//! Signals: while a lease is waited for, and while its command runs.

use std::io::{BufReader, Read as _};
use std::process::Stdio;

use super::process::Server;
use super::signal::signal;
use super::{Lines, acquired, acquiring, ended, states, to};

const SIGNALS: [(&str, i32); 3] = [("-INT", 2), ("-TERM", 15), ("-HUP", 1)];

#[test]
fn a_wait_that_is_interrupted_leaves_nothing_behind() {
    let server = Server::start(&["--demo"]);
    acquired(&server, "rpi4");
    let waits: [&[&str]; 3] = [&["--wait", "5m"], &["--wait", "1h"], &[]];
    for wait in waits {
        for (name, number) in SIGNALS {
            let (process, mut lines) =
                acquiring(&server, &[wait, &["--", "echo", "never"]].concat());
            lines.until("waits");
            signal(&process, name);
            lines.until("given up on SIG");
            let (status, out, _) = ended(process.wait_with_output().unwrap());
            assert_eq!(
                (status, out.as_str()),
                (128 + number, ""),
                "{wait:?} {name}"
            );
            let states = states(&server);
            let (held, given_up) = states.split_first().unwrap();
            assert_eq!(held, "ready", "{wait:?} {name}");
            assert!(
                given_up.iter().all(|state| state == "ended:Released"),
                "{wait:?} {name}: {given_up:?}"
            );
        }
    }
}

#[test]
fn a_signal_is_handed_on_and_the_command_decides() {
    let server = Server::start(&["--demo"]);
    let cases = [
        ("echo up; exec sleep 600", None),
        (
            "trap 'exit 9' INT TERM HUP; echo up; while :; do sleep 0.01; done",
            Some(9),
        ),
    ];
    for (script, decides) in cases {
        for (name, number) in SIGNALS {
            let (mut process, mut lines) = acquiring(&server, &["--", "sh", "-c", script]);
            let mut up = [0; 3];
            process
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut up)
                .unwrap();
            signal(&process, name);
            lines.until("is released");
            let status = process.wait().unwrap().code();
            assert_eq!(status, decides.or(Some(128 + number)), "{script} {name}");
        }
    }
    assert_eq!(states(&server), ["ended:Released"; 6]);
}

#[test]
fn a_command_that_outlasts_its_lease_is_warned() {
    let server = Server::start(&["--demo"]);
    let args = ["--name", "short", "--duration", "1s", "--", "sleep", "600"];
    let mut command = to(&server, &["lease", "acquire", "-n", "rpi4-01"]);
    command.args(args).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut lines = Lines(BufReader::new(process.stderr.take().unwrap()));
    lines.until("warning: the lease short has ended");
    signal(&process, "-TERM");
    assert_eq!(process.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(states(&server), ["ended:Expired"]);
}

/// Nobody can release then but the server, which sees the connection go.
#[test]
fn a_wait_that_is_killed_is_given_up_by_the_server() {
    let server = Server::start(&["--demo"]);
    acquired(&server, "rpi4");
    let (mut process, mut lines) = acquiring(&server, &["--wait", "5m", "--", "echo", "never"]);
    lines.until("waits");
    process.kill().unwrap();
    process.wait().unwrap();
    // The next in the queue moves up, and says so.
    let (next, mut lines) = acquiring(&server, &["--wait", "5m", "--", "echo", "never"]);
    while !lines.until("waits").contains("place 1") {}
    signal(&next, "-TERM");
    assert_eq!(ended(next.wait_with_output().unwrap()).0, 128 + 15);
}
