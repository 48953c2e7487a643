//! Settings that change while the server runs: SIGHUP brings those that can be taken over, names those
//! that cannot, and leaves the server alone where there are mistakes.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::program::{Server, answer, client, lab, replace};

struct Configured {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Configured {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(folder.path().join("lab.yaml"), lab(&[("a".into(), "rpi4")])).unwrap();
        let this = |settings: &str| {
            let lab = folder.path().join("lab.yaml");
            let data = folder.path().join("data");
            format!("lab = {lab:?}\ndata = {data:?}\nno_auth = true\n{settings}")
        };
        std::fs::write(&file, this(settings)).unwrap();
        let server = Server::start(&["--config", file.to_str().unwrap()]);
        Self {
            server,
            file,
            _folder: folder,
        }
    }

    /// Puts other settings into the file, and has them read.
    fn set(&self, settings: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let (kept, _) = text.split_once("no_auth = true\n").unwrap();
        replace(&self.file, &format!("{kept}no_auth = true\n{settings}"));
        self.server.signal("-HUP");
    }
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_can_change_does_and_what_cannot_is_named() {
    let mut gateway = Configured::start("log = 'warn,jumpstarter_gateway=info'\n");
    // One connection, from before all changes to after them.
    let client = client();
    assert_eq!(gateway.server.lease(&client, "rpi4").await.0, 200);
    let all = "log = 'debug'\nmaximum_duration = '30s'\nhidden_labels = ['board']\n\
               cors_origins = ['https://lab.example.com']\nmax_body_bytes = 200\n\
               listen = '127.0.0.1:1'\nshutdown_grace = '1s'\nlog_format = 'json'\n";
    gateway.set(all);
    let server = &mut gateway.server;
    server.logged("log_format was changed").await;
    let line = server.logged("shutdown_grace was changed").await;
    assert!(line.contains("started anew"), "{line}");
    let line = server.logged("the configuration was read again").await;
    for change in ["maximum_duration = ", "hidden_labels = ", "log = "] {
        assert!(line.contains(change), "{change}: {line}");
    }
    // A flag wins over the file, so `listen` was not changed.
    assert!(!line.contains("listen"), "{line}");
    let (status, refused) = server.lease(&client, "rpi4").await;
    assert_eq!(status, 400, "{refused}");
    assert!(message(&refused).contains("30s"), "{refused}");
    let exporters = format!("{}/v1/namespaces/default/exporters", server.url);
    let request = client
        .get(&exporters)
        .header("origin", "https://lab.example.com");
    let shown = request.send().await.unwrap();
    let allowed = shown.headers().get("access-control-allow-origin");
    assert!(allowed.is_some(), "{shown:?}");
    let shown: Value = serde_json::from_str(&shown.text().await.unwrap()).unwrap();
    assert_eq!(shown["exporters"][0]["labels"], json!({}), "{shown}");
    let large = json!({"selector": "x".repeat(300)}).to_string();
    let request = client.post(server.leases());
    let request = request
        .header("content-type", "application/json")
        .body(large);
    assert_eq!(answer(request).await.unwrap().0, 413);
    // What is no HTTP is worth a line for those who look closely.
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stranger = std::net::TcpStream::connect(address).unwrap();
    stranger.write_all(b"nonsense\r\n\r\n").unwrap();
    server.logged("DEBUG").await;

    gateway.set("log = 'debug'\n");
    let server = &mut gateway.server;
    let line = server.logged("the configuration was read again").await;
    assert!(line.contains("maximum_duration is not set"), "{line}");
    assert_eq!(server.lease(&client, "rpi4").await.0, 200);
    let (_, shown) = answer(client.get(&exporters)).await.unwrap();
    assert_eq!(shown["exporters"][0]["labels"], json!({"board": "rpi4"}));
}

#[tokio::test]
async fn a_configuration_with_mistakes_changes_nothing_and_says_where_they_are() {
    let mut gateway = Configured::start("max_tags = 7\nmaximum_duration = '30s'\n");
    for (wrong, expected) in [
        ("max_tag = 3\n", "did you mean max_tags?"),
        ("log = 'a=b=c'\n", "log: "),
        (
            "max_body_bytes = 0\n",
            "max_body_bytes: must be more than 0",
        ),
        ("max_tags = 1", "gateway.toml: "),
    ] {
        if wrong == "max_tags = 1" {
            std::fs::remove_file(&gateway.file).unwrap();
            gateway.server.signal("-HUP");
        } else {
            gateway.set(wrong);
        }
        let line = gateway.server.logged(expected).await;
        assert!(line.contains("ERROR"), "{line}");
        gateway.server.logged("keeps the one it has").await;
        let (status, refused) = gateway.server.lease(&client(), "rpi4").await;
        assert_eq!(status, 400, "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn a_shorter_retention_counts_for_leases_that_have_ended_already() {
    let mut gateway = Configured::start("");
    let (_, lease) = gateway.server.lease(&client(), "rpi4").await;
    let name = lease["name"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/{name}", gateway.server.url);
    assert_eq!(answer(client().delete(&url)).await.unwrap().0, 200);
    assert_eq!(answer(client().get(&url)).await.unwrap().0, 200);
    gateway.set("lease_retention = '0s'\n");
    gateway
        .server
        .logged("the configuration was read again")
        .await;
    let gone = async {
        while answer(client().get(&url)).await.unwrap().0 != 404 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(crate::program::PATIENCE, gone).await;
    gone.expect("the lease stays");
}
