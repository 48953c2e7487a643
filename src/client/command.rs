//! The command that runs while a lease is held. Knows nothing of how the lease came about.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::process::{Child, Command};

use super::exit;
use super::signals::Signals;

/// Runs a command with these variables in its environment, hands signals on to it, and waits for
/// its end. Returns the status that a shell would give it.
pub async fn run(
    command: &[OsString],
    environment: Vec<(&'static str, String)>,
    signals: &mut Signals,
) -> Result<u8, (u8, String)> {
    let (program, arguments) = command
        .split_first()
        .unwrap_or((const { &OsString::new() }, &[]));
    let spawned = Command::new(program)
        .args(arguments)
        .envs(environment)
        .spawn();
    let mut child = spawned.map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::NotFound => 127,
            _ => 126,
        };
        (
            status,
            format!("{} cannot be run: {error}", program.display()),
        )
    })?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let ended = ended.map_err(|error| (1, format!("the command is lost: {error}")))?;
                return Ok(status(ended));
            }
            signal = signals.next() => hand_on(signal, &child),
        }
    }
}

fn status(ended: ExitStatus) -> u8 {
    match ended.code() {
        Some(code) => u8::try_from(code).unwrap_or(u8::MAX),
        None => exit::of_signal(ended.signal().unwrap_or_default()),
    }
}

fn hand_on(signal: Signal, child: &Child) {
    // What is typed at a terminal, the terminal sends to the command too; twice can mean more than
    // once.
    if signal == Signal::INT && is_in_foreground() {
        return;
    }
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // If it has ended in between, the loop hears of it.
        let _ = kill_process(pid, signal);
    }
}

/// Whether keys that are typed at the terminal reach this process and what it has started.
fn is_in_foreground() -> bool {
    let groups = [
        rustix::termios::tcgetpgrp(io::stdin()),
        rustix::termios::tcgetpgrp(io::stderr()),
    ];
    groups.into_iter().flatten().any(|group| group == getpgrp())
}
