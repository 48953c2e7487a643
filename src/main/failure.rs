//! Why a command failed, and what the process ends with. Knows nothing of commands.

use std::fmt::Display;
use std::process::ExitCode;

use jumpstarter_gateway::server;

/// The configuration is wrong: `EX_CONFIG` of sysexits.h.
const CONFIGURATION: u8 = 78;

/// Sentences, one a line, and an exit status.
#[derive(Debug)]
pub struct Failure {
    sentences: String,
    status: u8,
}

impl Failure {
    /// Starting again is of no use before somebody has changed something.
    pub fn configuration(why: impl Display) -> Self {
        Self {
            sentences: why.to_string(),
            status: CONFIGURATION,
        }
    }

    /// Tells whoever sits at the terminal, or reads the log.
    pub fn tell(self) -> ExitCode {
        for line in self.sentences.lines() {
            let labelled = line.starts_with("error: ") || line.starts_with("warning: ");
            eprintln!("{}{line}", if labelled { "" } else { "error: " });
        }
        self.status.into()
    }
}

impl From<String> for Failure {
    fn from(sentences: String) -> Self {
        let status = 1;
        Self { sentences, status }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        Self {
            sentences: error.to_string(),
            status: error.status(),
        }
    }
}
