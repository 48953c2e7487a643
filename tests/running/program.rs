//! The program as a process, its log, and requests to it. Knows nothing of what they are for.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::log::Log;
pub use crate::log::PATIENCE;
use crate::signal::signal;

/// The program with arguments, and nothing from the environment but what finds other programs.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"));
    command.env_clear().args(arguments);
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// How a command ends, and what it prints to both.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// A server that runs. It is killed where nobody stopped it.
pub struct Server {
    pub process: Child,
    pub url: String,
    log: Log,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let serve = [&["serve", "--listen=127.0.0.1:0"], arguments].concat();
        Self::start_by(program(&serve))
    }

    /// With a command that becomes the program.
    pub fn start_by(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let mut lines = out.lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("gRPC  ")?.1.to_owned()));
        let Some(url) = url else {
            let mut said = String::new();
            process.stderr.unwrap().read_to_string(&mut said).unwrap();
            panic!("it does not serve:\n{said}");
        };
        let log = Log::of(process.stderr.take().unwrap());
        Self { process, url, log }
    }

    /// The next line of the log that holds a text.
    pub async fn logged(&mut self, text: &str) -> String {
        self.log.logged(text).await
    }

    /// All of the log, once the process has ended.
    pub async fn whole_log(&mut self) -> String {
        while let Some(line) = self.log.lines.recv().await {
            self.log.read.push(line);
        }
        self.log.read.join("\n")
    }

    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// How it ends, once it does.
    pub fn ended(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    pub fn leases(&self) -> String {
        format!("{}/v1/namespaces/default/leases", self.url)
    }

    /// Creates a lease of a board; the status and what is answered.
    pub async fn lease(&self, client: &reqwest::Client, board: &str) -> (u16, Value) {
        let body = json!({"selector": format!("board={board}"), "duration": "60s"});
        let request = client.post(self.leases());
        let json = request.header("content-type", "application/json");
        answer(json.body(body.to_string())).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends a request; the status and what is answered.
pub async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(json!(text))))
}

/// A lab of exporters, each with its board, and of the client that everybody is without tokens.
pub fn lab(exporters: &[(String, &str)]) -> String {
    let client = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: demo}\n";
    exporters.iter().fold(client.to_owned(), |lab, (name, board)| {
        lab + &format!(
            "---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata:\n  name: {name}\n  \
             labels: {{board: {board}}}\n  annotations: {{gateway.jumpstarter.dev/static: \"true\"}}\n"
        )
    })
}

/// Puts a text in place of a file, as editors do.
pub fn replace(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, file).unwrap();
}
