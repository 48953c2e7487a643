//! What a process writes to its log, line by line.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What no wait in a test may exceed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Log {
    /// What has not been read yet.
    pub lines: UnboundedReceiver<String>,
    /// Every line up to the last one that was looked for.
    pub read: Vec<String>,
}

impl Log {
    pub fn of(errors: ChildStderr) -> Self {
        let (told, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let read = vec![];
        Self { lines, read }
    }

    /// The next line that holds a text.
    pub async fn logged(&mut self, text: &str) -> String {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
            let Some(line) = next.ok().flatten() else {
                panic!("no {text:?} in the log:\n{}", self.read.join("\n"));
            };
            self.read.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }
}
