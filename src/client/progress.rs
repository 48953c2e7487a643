//! How a lease comes along, for whoever looks: one line that is rewritten on a terminal, and
//! elsewhere a line for each change. All of it goes to standard error.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::connection::Answer;
use super::show;
use crate::proto::jumpstarter::client::v1::Lease;

/// What is shown of one lease on its way.
pub struct Progress {
    line: Line,
}

enum Line {
    /// Nobody wants to know.
    Silent,
    /// It is rewritten in place.
    Rewritten(ProgressBar),
    /// A line for each change; here is the last.
    Appended(std::cell::RefCell<String>),
}

/// How often the time on the line is brought up to date.
const TICK: Duration = Duration::from_millis(250);

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let line = if quiet {
            Line::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            Line::Rewritten(bar)
        } else {
            Line::Appended(String::new().into())
        };
        Self { line }
    }

    /// The lease waits; the answer is the server's that says so.
    pub fn waits(&self, lease: &Lease, answer: &Answer) {
        let expectation = expectation(lease, answer);
        match self.line {
            // A terminal is narrow, and the name is not what one looks for.
            Line::Rewritten(_) => self.change(&expectation),
            Line::Silent | Line::Appended(_) => {
                let name = show::short(&lease.name);
                self.change(&format!("lease {name} waits: {expectation}"));
            }
        }
    }

    /// Something else that is so for now.
    pub fn change(&self, text: &str) {
        match &self.line {
            Line::Silent => {}
            Line::Rewritten(bar) => {
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(TICK);
            }
            Line::Appended(last) => {
                if *last.borrow() != text {
                    eprintln!("{text}");
                    text.clone_into(&mut last.borrow_mut());
                }
            }
        }
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        match &self.line {
            Line::Silent => {}
            Line::Rewritten(bar) => {
                bar.finish_and_clear();
                eprintln!("{text}");
            }
            Line::Appended(_) => eprintln!("{text}"),
        }
    }

    /// Takes away what would be rewritten.
    pub fn clear(&self) {
        if let Line::Rewritten(bar) = &self.line {
            bar.finish_and_clear();
        }
    }
}

/// What is known of the wait, what matters most first: the place, the start, the reason.
fn expectation(lease: &Lease, answer: &Answer) -> String {
    let (reason, message) = show::why(lease);
    let Some(place) = answer.header("jumpstarter-queue-position") else {
        return message.to_owned();
    };
    let start = answer.header("jumpstarter-estimated-start");
    let start = start.and_then(|text| humantime::parse_rfc3339(text).ok());
    let start = start.map(|start| format!(", estimated start {}", show::moment(start)));
    let start = start.unwrap_or_default();
    let offline = if reason == "Offline" {
        "; no exporter is online"
    } else {
        ""
    };
    format!("place {place} in the queue{start}{offline}")
}
