//! Signals, as a shell sends them.

use std::process::{Child, Command};

/// Sends a signal by the name that `kill` takes, such as `-TERM`.
pub fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success(), "kill {name} {id}: {sent}");
}
