//! The program as a process, and requests to it. Knows nothing of what they are for.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::signal::signal;

pub const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/demo.yaml");

/// A server over a data directory. It is killed where nobody stopped it.
pub struct Server {
    process: Child,
    pub url: String,
}

impl Server {
    pub fn start(data: &Path) -> Self {
        Self::start_by(program(&[]), data)
    }

    /// With a command that takes the program's arguments behind its own.
    pub fn start_by(command: Command, data: &Path) -> Self {
        let mut process = serve(command, data).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let mut lines = out.lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("gRPC  ")?.1.to_owned()));
        let Some(url) = url else {
            let mut said = String::new();
            process.stderr.unwrap().read_to_string(&mut said).unwrap();
            panic!("it does not serve {}:\n{said}", data.display());
        };
        // Nothing that it logs may block it.
        let mut log = process.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, url }
    }

    /// What a server says that cannot start, and how it ends.
    pub fn refusal(data: &Path) -> (i32, String) {
        let output = serve(program(&[]), data).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().expect(&said), said)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM.
    pub fn stop(mut self) -> ExitStatus {
        signal(&self.process, "-TERM");
        self.process.wait().unwrap()
    }

    pub fn leases(&self) -> String {
        format!("{}/v1/namespaces/default/leases", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program with arguments, and nothing from the environment.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"));
    command.env_clear().args(arguments);
    command
}

/// What a command prints, after making sure that it went well.
pub fn output(arguments: &[&str]) -> String {
    let output = program(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that goes wrong.
pub fn error(arguments: &[&str]) -> String {
    let output = program(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

fn serve(mut command: Command, data: &Path) -> Command {
    command
        .args(["serve", "--no-auth", "--listen=127.0.0.1:0", "--lab", LAB])
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// One request, over a client that uses no proxy.
pub async fn send(
    client: &reqwest::Client,
    method: Method,
    url: String,
    body: Option<Value>,
) -> Result<(u16, Value), reqwest::Error> {
    let mut request = client.request(method, url);
    if let Some(body) = body {
        let json = "application/json";
        request = request.header("content-type", json).body(body.to_string());
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(json!(text))))
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub async fn create(client: &reqwest::Client, server: &Server, id: &str) -> (u16, Value) {
    let body = json!({"selector": "board=rpi4", "duration": "3600s"});
    let url = format!("{}?leaseId={id}", server.leases());
    send(client, Method::POST, url, Some(body)).await.unwrap()
}

/// Every lease there is, as it is shown.
pub async fn list(client: &reqwest::Client, server: &Server) -> Vec<Value> {
    let (mut leases, mut token) = (vec![], String::new());
    loop {
        let url = format!(
            "{}?pageSize=1000&onlyActive=false&pageToken={token}",
            server.leases()
        );
        let (status, page) = send(client, Method::GET, url, None).await.unwrap();
        assert_eq!(status, 200, "{page}");
        leases.extend(page["leases"].as_array().unwrap().iter().cloned());
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            return leases;
        }
    }
}
