//! Backups and exports: made while the server runs, put into another directory, and told apart from
//! what is none.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::server::{Server, client, create, error, list, output, program};

/// What a server shows of the leases in a directory, without what the clock changes.
async fn shown(data: &Path) -> Vec<Value> {
    let mut leases = list(&client(), &Server::start(data)).await;
    for lease in &mut leases {
        lease.as_object_mut().unwrap().remove("effectiveDuration");
    }
    leases
}

#[tokio::test]
async fn a_backup_is_what_was_there_when_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, backup, new) = (path("data"), path("backup.redb"), path("new"));
    let server = Server::start(Path::new(&data));
    for number in 0..20 {
        assert_eq!(
            create(&client(), &server, &format!("lease-{number}"))
                .await
                .0,
            200
        );
    }
    let said = output(&["backup", "--data", &data, &backup]);
    assert!(
        said.contains("31 records"),
        "9 exporters, 2 clients, 20 leases: {said}"
    );
    let said = error(&["backup", "--data", &data, &backup]);
    assert!(said.contains("backup.redb is there already"), "{said}");
    assert_eq!(create(&client(), &server, "later").await.0, 200);
    let said = error(&["restore", "--data", &data, "--force", &backup]);
    assert!(said.contains("is in use by process"), "{said}");
    server.stop();

    output(&["restore", "--data", &new, &backup]);
    let restored = shown(Path::new(&new)).await;
    let names: Vec<_> = restored.iter().map(|lease| &lease["name"]).collect();
    assert_eq!(names.len(), 20, "{names:?}");

    let said = error(&["restore", "--data", &data, &backup]);
    assert!(said.contains("restore --force"), "{said}");
    assert_eq!(
        shown(Path::new(&data)).await.len(),
        21,
        "nothing was touched"
    );
    output(&["restore", "--data", &data, "--force", &backup]);
    assert_eq!(shown(Path::new(&data)).await, restored);
    let replaced = output(&["export", &path("data/gateway.redb.replaced")]);
    assert!(replaced.contains("\"later\""), "{replaced}");
}

#[tokio::test]
async fn an_export_is_the_same_from_a_server_a_directory_and_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, backup) = (path("data"), path("backup.redb"));
    let server = Server::start(Path::new(&data));
    for number in 0..5 {
        assert_eq!(
            create(&client(), &server, &format!("lease-{number}"))
                .await
                .0,
            200
        );
    }
    let running = output(&["export", &data]);
    output(&["backup", "--data", &data, &backup]);
    server.stop();
    // The first line tells where it comes from; the order is each one's own.
    let records = |export: &str| {
        let mut lines: Vec<_> = export.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(records(&running).len(), 16);
    assert_eq!(records(&output(&["export", &data])), records(&running));
    assert_eq!(records(&output(&["export", &backup])), records(&running));

    let file = path("export.jsonl");
    fs::write(&file, &running).unwrap();
    output(&["import", "--data", &path("imported"), &file]);
    assert_eq!(
        records(&output(&["export", &path("imported")])),
        records(&running)
    );
    let leases = shown(Path::new(&data)).await;
    assert_eq!(shown(Path::new(&path("imported"))).await, leases);
    let said = error(&["import", "--data", &data, &file]);
    assert!(said.contains("is there already"), "{said}");
}

#[test]
fn an_export_that_is_none_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = r#"{"client":{"namespace":"lab","name":"ada"}}"#;
    let cases = [
        ("", "1: this is no export"),
        ("{}", "1: this is no export: it does not say its format"),
        (r#"{"format":2}"#, "1: it has version 2 of the form"),
        (
            r#"{"format":1,"records":"2"}"#,
            "1: the export should have 2 records, and it has 0",
        ),
        (
            &format!("{{\"format\":1,\"records\":\"2\"}}\n{client}"),
            "2: the export should have 2 records, and it has 1",
        ),
        (
            "{\"format\":1,\"records\":\"1\"}\n{\"klient\":{}}",
            "2: unknown field `klient`, expected one of `exporter`, `client`, `policy`, `lease`, column 9",
        ),
        (
            "{\"format\":1,\"records\":\"1\"}\n{\"client\":{\"name\":\"ada\"}}",
            "2: it has no namespace, or no name",
        ),
    ];
    for (export, expected) in cases {
        let mut import = program(&["import", "-", "--data"])
            .arg(&data)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        import
            .stdin
            .take()
            .unwrap()
            .write_all(export.as_bytes())
            .unwrap();
        let output = import.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{export}");
        let expected = format!("error: standard input:{expected}");
        assert!(
            said.starts_with(&expected),
            "{export}: {said}, not {expected}"
        );
        assert!(!data.exists(), "{export}: it made a directory");
    }
}

#[test]
fn what_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for arguments in [
        &["export", &path("none")][..],
        &["backup", "--data", &path("none"), &path("backup")],
        &["restore", "--data", &path("data"), &path("none")],
    ] {
        let said = error(arguments);
        assert!(said.contains("none"), "{arguments:?}: {said}");
    }
    let said = error(&["export", &folder.path().display().to_string()]);
    assert!(said.contains("is no data directory"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What is in a file, and when it was last written to.
fn trace(file: &Path) -> (Vec<u8>, std::time::SystemTime) {
    (
        fs::read(file).unwrap(),
        file.metadata().unwrap().modified().unwrap(),
    )
}

#[tokio::test]
async fn nothing_that_is_read_is_changed_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, backup, new) = (path("data"), path("backup.redb"), path("new"));
    let server = Server::start(Path::new(&data));
    assert_eq!(create(&client(), &server, "one").await.0, 200);
    output(&["backup", "--data", &data, &backup]);
    // As it lies there in the middle of everything: redb has to mend it to read it.
    server.kill();
    let torn = path("torn.redb");
    fs::copy(format!("{data}/gateway.redb"), &torn).unwrap();
    for file in [&backup, &torn, &format!("{data}/gateway.redb")] {
        let before = trace(Path::new(file));
        assert!(output(&["export", file]).contains("\"one\""), "{file}");
        assert_eq!(trace(Path::new(file)), before, "{file}");
    }
    let kept = trace(Path::new(&format!("{data}/gateway.redb")));
    assert!(output(&["export", &data]).contains("\"one\""));
    assert_eq!(trace(Path::new(&format!("{data}/gateway.redb"))), kept);
    let before = trace(Path::new(&backup));
    output(&["restore", "--data", &new, &backup]);
    assert_eq!(trace(Path::new(&backup)), before);
}
