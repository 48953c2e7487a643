//! The gateway in a process of its own, and what it writes to its log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What no wait in a test may exceed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that serves a lab file.
pub struct Program {
    pub process: Child,
    pub url: String,
    log: UnboundedReceiver<String>,
    read: Vec<String>,
    folder: tempfile::TempDir,
}

impl Program {
    /// Starts it with these flags, in which `FOLDER` is a folder of its own.
    pub fn start(flags: &[&str], lab: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags, lab)
    }

    pub fn start_in(folder: tempfile::TempDir, flags: &[&str], lab: &str) -> Self {
        let path = folder.path().to_str().unwrap();
        let is_kept = flags.iter().any(|flag| flag.starts_with("--data"));
        let kept = (!is_kept).then_some("--in-memory");
        let flags = flags.iter().map(|flag| flag.replace("FOLDER", path));
        fs::write(folder.path().join("lab.yaml"), lab).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"))
            .args(["serve", "--listen", "127.0.0.1:0", "--lab"])
            .arg(folder.path().join("lab.yaml"))
            .args(kept)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let announced =
            |line: std::io::Result<String>| Some(line.unwrap().split_once("gRPC  ")?.1.to_owned());
        let url = out.lines().find_map(announced).unwrap();
        let (lines, log) = unbounded_channel();
        let errors = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            url,
            log,
            read: vec![],
            folder,
        }
    }

    /// A file in the folder of its own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the lab as editors do: another file, renamed over the old one.
    pub fn save(&self, lab: &str) {
        let draft = self.folder.path().join(".lab.yaml.swp");
        fs::write(&draft, lab).unwrap();
        fs::rename(&draft, self.file("lab.yaml")).unwrap();
    }

    /// The next line of the log that holds a text.
    pub async fn logged(&mut self, text: &str) -> String {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.log.recv()).await;
            let Some(line) = next.ok().flatten() else {
                panic!("no {text:?} in the log:\n{}", self.read.join("\n"));
            };
            self.read.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Every line of the log up to the last one that was looked for.
    pub fn log_so_far(&self) -> &[String] {
        &self.read
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
