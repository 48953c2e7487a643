//! What goes wrong around a data directory, while the server runs and when it starts: reads go on,
//! whoever writes is told, and nothing that was told is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::server::{Server, client, create, list, program, send};

fn reason(answer: &Value) -> &str {
    answer["details"][0]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_full_disk_stops_writes_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = client();
    // The lab is stored before there is any limit.
    Server::start(&data).stop();
    // A limit on files looks to a process like a disk that is full. Blocks have 512 or 1024 bytes,
    // as the shell will have it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 200; exec \"$@\"", "sh"]);
    shell.arg(program(&[]).get_program()).env_clear();
    let server = Server::start_by(shell, &data);
    let mut created = 0;
    let refused = loop {
        let (status, answer) = create(&client, &server, &format!("lease-{created}")).await;
        if status != 200 {
            break (status, answer);
        }
        created += 1;
        assert!(created < 10_000, "the limit has no effect");
    };
    assert_eq!(
        (refused.0, reason(&refused.1)),
        (503, "STORE_UNAVAILABLE"),
        "{}",
        refused.1
    );
    let retry = &refused.1["details"][1]["retryDelay"];
    assert_eq!(retry, "1s", "{}", refused.1);
    assert_eq!(list(&client, &server).await.len(), created, "reads go on");
    let one = format!("{}/lease-0", server.leases());
    let (status, answer) = send(&client, Method::DELETE, one, None).await.unwrap();
    assert_eq!((status, reason(&answer)), (503, "STORE_UNAVAILABLE"));
    let raised = Command::new("prlimit")
        .args([&format!("--pid={}", server.id()), "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit is needed (util-linux)").success());
    let (status, answer) = create(&client, &server, "after").await;
    assert_eq!(status, 200, "there is room again: {answer}");
    server.kill();
    let server = Server::start(&data);
    let there = list(&client, &server).await;
    assert_eq!(
        there.len(),
        created + 1,
        "those that were told of, and no others"
    );
}

#[tokio::test]
async fn a_file_that_is_gone_is_noticed_before_anything_is_lost_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = client();
    let server = Server::start(&data);
    assert_eq!(create(&client, &server, "before").await.0, 200);
    let (file, aside) = (data.join("gateway.redb"), data.join("aside"));
    fs::rename(&file, &aside).unwrap();
    let (status, answer) = create(&client, &server, "between").await;
    assert_eq!((status, reason(&answer)), (503, "STORE_UNAVAILABLE"));
    assert_eq!(list(&client, &server).await.len(), 1);
    fs::rename(&aside, &file).unwrap();
    assert_eq!(create(&client, &server, "after").await.0, 200);
    server.kill();
    assert_eq!(list(&client, &Server::start(&data)).await.len(), 2);
}

#[tokio::test]
async fn what_is_shown_otherwise_than_it_is_kept_has_no_etag() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = client();
    let server = Server::start(&data);
    let body = serde_json::json!({"selector": "board=rpi4", "duration": "1s"});
    let url = format!("{}?leaseId=short", server.leases());
    let (status, made) = send(&client, Method::POST, url, Some(body)).await.unwrap();
    assert_eq!(status, 200, "{made}");
    // From now on nothing can be kept.
    let (file, aside) = (data.join("gateway.redb"), data.join("aside"));
    fs::rename(&file, &aside).unwrap();
    let url = format!("{}/short", server.leases());
    let mut known = String::new();
    let last = loop {
        let request = match &*known {
            "" => client.get(&url),
            known => client.get(&url).header("if-none-match", known),
        };
        let answer = request.send().await.unwrap();
        let etag = answer.headers().get("etag");
        match etag.map(|etag| etag.to_str().unwrap().to_owned()) {
            // Ready, as before.
            Some(etag) => known = etag,
            None => break answer,
        }
    };
    assert_eq!(last.status(), 200);
    assert_ne!(known, "", "it was ready at first");
    let shown: Value = serde_json::from_str(&last.text().await.unwrap()).unwrap();
    assert!(shown["effectiveEndTime"].is_string(), "{shown}");
    fs::rename(&aside, &file).unwrap();
    // Kept at last: the end has a revision, and an ETag.
    loop {
        let answer = client.get(&url).send().await.unwrap();
        if let Some(etag) = answer.headers().get("etag") {
            assert_ne!(etag.to_str().unwrap(), known);
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_link_that_leads_nowhere_is_no_new_directory() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("gateway.redb");
    std::os::unix::fs::symlink("/nowhere/gateway.redb", &link).unwrap();
    let (code, said) = Server::refusal(folder.path());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("/nowhere/gateway.redb: "), "{said}");
    assert!(link.is_symlink(), "nothing was put in its place");
    let data = folder.path().display().to_string();
    let backup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kept/1/gateway.redb");
    let said = crate::server::error(&["restore", "--data", &data, backup]);
    assert!(said.contains("is there already"), "{said}");
    assert!(link.is_symlink(), "nothing was put in its place");
}

#[tokio::test]
async fn a_second_server_is_refused_and_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (code, said) = Server::refusal(folder.path());
    assert_eq!(code, 1);
    let holder = format!("is in use by process {}", server.id());
    assert!(said.contains(&holder), "{said}");
    assert_eq!(create(&client(), &server, "one").await.0, 200);
    // What a process leaves behind keeps nobody out.
    server.kill();
    Server::start(folder.path()).stop();
}

#[test]
fn a_place_that_cannot_be_used_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, said) = Server::refusal(&file);
    assert_eq!(code, 1);
    assert!(said.contains(&*file.to_string_lossy()), "{said}");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        println!("this user may write everywhere: nothing to see here");
        return;
    }
    let (code, said) = Server::refusal(&closed);
    assert_eq!(code, 1);
    assert!(said.contains("cannot be written to"), "{said}");
}
