//! The program while it runs: it takes over changes of its lab file, and sends away who waits when
//! it stops.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::harness::{answer, client};

/// What no wait in a test may exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway in a process of its own, which serves a lab file.
struct Program {
    process: Child,
    url: String,
    log: UnboundedReceiver<String>,
    folder: tempfile::TempDir,
}

impl Program {
    fn start(lab: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lab.yaml"), lab).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"))
            .args(["serve", "--no-auth", "--in-memory"])
            .args(["--listen", "127.0.0.1:0", "--lab"])
            .arg(folder.path())
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
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("lab.yaml")
    }

    /// Writes the lab as editors do: another file, renamed over the old one.
    fn save(&self, lab: &str) {
        let draft = self.folder.path().join(".lab.yaml.swp");
        fs::write(&draft, lab).unwrap();
        fs::rename(&draft, self.file()).unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success(), "{name}");
    }

    /// The next line of the log that holds a text.
    async fn logged(&mut self, text: &str) -> String {
        let mut others = vec![];
        let found = async {
            while let Some(line) = self.log.recv().await {
                if line.contains(text) {
                    return Some(line);
                }
                others.push(line);
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", others.join("\n")))
    }

    async fn exporters(&self) -> Vec<(String, String)> {
        let url = format!("{}/v1/namespaces/default/exporters", self.url);
        let list = answer(client().get(url)).await.value();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let exporters = list["exporters"].as_array().unwrap();
        exporters
            .iter()
            .map(|one| (text(&one["name"]), text(&one["labels"]["board"])))
            .collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lab(exporters: &[(&str, &str)]) -> String {
    let client = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: demo}\n";
    exporters.iter().fold(client.to_owned(), |lab, (name, board)| {
        lab + &format!(
            "---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata:\n  name: {name}\n  \
             labels: {{board: {board}}}\n  annotations: {{gateway.jumpstarter.dev/static: \"true\"}}\n"
        )
    })
}

fn shown(exporters: &[(&str, &str)]) -> Vec<(String, String)> {
    let name = |name: &str| format!("namespaces/default/exporters/{name}");
    exporters
        .iter()
        .map(|(id, board)| (name(id), (*board).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_changed_lab_is_taken_over_and_a_wrong_one_is_not() {
    let mut program = Program::start(&lab(&[("a", "rpi4"), ("b", "rpi4")]));
    program.save(&lab(&[("a", "rpi5"), ("c", "rpi4")]));
    let line = program.logged("the lab was read again").await;
    for change in [
        "changed exporter default/a",
        "added exporter default/c",
        "removed exporter default/b",
    ] {
        assert!(line.contains(change), "{line}");
    }
    let expected = shown(&[("a", "rpi5"), ("c", "rpi4")]);
    assert_eq!(program.exporters().await, expected);

    program.save("apiVersion: jumpstarter.dev/v1alpha1\nkind: Exporter\nmetadata: {}\n");
    let line = program.logged("lab.yaml:3").await;
    assert!(line.contains("name"), "{line}");
    program.logged("the server keeps the one it has").await;
    assert_eq!(program.exporters().await, expected);

    // In place, as a shell does.
    fs::write(program.file(), lab(&[("a", "rpi5")])).unwrap();
    let line = program.logged("the lab was read again").await;
    assert!(line.contains("removed exporter default/c"), "{line}");
    assert_eq!(program.exporters().await, shown(&[("a", "rpi5")]));

    program.signal("HUP");
    program.logged("nothing in it has changed").await;
}

#[tokio::test]
async fn who_waits_is_sent_away_when_the_server_stops() {
    let mut program = Program::start(&lab(&[("a", "rpi4")]));
    let leases = format!("{}/v1/namespaces/default/leases", program.url);
    let create = || {
        let request = client()
            .post(&leases)
            .header("content-type", "application/json");
        request.body(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
    };
    answer(create()).await;
    let mut watch = client()
        .get(&leases)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let waiting = tokio::spawn(answer(create().header("prefer", "wait=300")));
    let mut text = String::new();
    let mut read_until = async |what: &str| {
        while !text.contains(what) {
            let chunk = tokio::time::timeout(PATIENCE, watch.chunk())
                .await
                .unwrap()
                .unwrap();
            let chunk = chunk.unwrap_or_else(|| panic!("no {what} in {text}"));
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    // The second lease is there, so its create waits.
    read_until("NotAvailable").await;
    let told = Instant::now();
    program.signal("TERM");
    read_until("event: error\ndata: {\"error\":{\"code\":14").await;
    let sent_away = waiting.await.unwrap();
    let error = sent_away.refused(503, 14, "STOPPING", "ask again");
    assert_eq!(sent_away.header("retry-after"), "1");
    let lease = error["details"][0]["metadata"]["lease"].as_str().unwrap();
    assert!(lease.starts_with("namespaces/default/leases/"), "{error}");
    program.logged("stopped").await;
    assert!(told.elapsed() < PATIENCE);
    assert!(program.process.wait().unwrap().success());
}
