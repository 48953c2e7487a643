//! `jumpstarter-gateway lease` and `exporters`, as processes against a server that is one too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "../support/process.rs"]
mod process;
#[path = "../support/signal.rs"]
mod signal;

mod acquire;
mod interrupted;
mod manage;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use process::{Server, gateway};

/// How a command ended: its status, and what it printed.
type Ended = (i32, String, String);

/// A command that talks to this server.
fn to(server: &Server, args: &[&str]) -> Command {
    let mut command = gateway(args);
    command.env(
        "JUMPSTARTER_GATEWAY_URL",
        format!("http://{}", server.address),
    );
    command
}

fn run(server: &Server, args: &[&str]) -> Ended {
    ended(to(server, args).output().unwrap())
}

fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().expect("no signal ends it");
    (status, text(output.stdout), text(output.stderr))
}

/// A lease of a board, half an hour long; returns its name.
fn acquired(server: &Server, board: &str) -> String {
    let selector = format!("board={board}");
    let args = ["lease", "acquire", "-l", &selector, "--duration", "30m"];
    let (status, name, errors) = run(server, &args);
    assert_eq!(status, 0, "{errors}");
    name.trim_end().to_owned()
}

/// `lease acquire` of the one rpi4 with these arguments, that goes on; and the lines it says.
fn acquiring(server: &Server, args: &[&str]) -> (Child, Lines) {
    let acquire = ["lease", "acquire", "-l", "board=rpi4", "--duration", "30m"];
    let mut command = to(server, &[&acquire, args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap());
    (process, Lines(lines))
}

/// What a process says on standard error.
struct Lines(BufReader<ChildStderr>);

impl Lines {
    /// The next line that holds this text.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let length = self.0.read_line(&mut line).unwrap();
            assert!(length > 0, "it ended and did not say {text:?}:\n{said}");
            if line.contains(text) {
                return line;
            }
            said.push_str(&line);
        }
    }
}

/// The states of all leases there ever were, in the order of their making.
fn states(server: &Server) -> Vec<String> {
    let (status, table, errors) = run(server, &["lease", "list", "--all"]);
    assert_eq!(status, 0, "{errors}");
    let state = |row: &str| row.split('\t').nth(1).unwrap().to_owned();
    table.lines().map(state).collect()
}
