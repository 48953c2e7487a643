//! The gateway in a process of its own, and what it writes to its log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::log::Log;
pub use crate::log::PATIENCE;

/// A gateway that serves a lab file.
pub struct Program {
    pub process: Child,
    pub url: String,
    log: Log,
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
        let log = Log::of(process.stderr.take().unwrap());
        Self {
            process,
            url,
            log,
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
        self.log.logged(text).await
    }

    /// Every line of the log up to the last one that was looked for.
    pub fn log_so_far(&self) -> &[String] {
        &self.log.read
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
