//! Looking at leases and exporters, releasing and extending: for people, for shells, as JSON.

use serde_json::Value;

use super::process::{Server, gateway};
use super::{Command, acquired, ended, run};

#[test]
fn a_pipe_gets_columns_with_tabs() {
    let server = Server::start(&["--demo"]);
    let acquire = [
        "lease",
        "acquire",
        "-l",
        "board in (rpi4,rpi5),!can",
        "--duration",
        "30m",
    ];
    assert_eq!(
        run(
            &server,
            &[
                &acquire[..],
                &["--name", "one", "--tag", "b=2", "--tag", "a=1"]
            ]
            .concat()
        )
        .0,
        0
    );
    let (status, table, errors) = run(&server, &["lease", "list"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    let columns: Vec<&str> = table.trim_end_matches('\n').split('\t').collect();
    let selector = "board in (rpi4,rpi5),!can";
    assert_eq!(
        columns[..5],
        ["one", "ready", "rpi4-01", "demo", selector],
        "{table}"
    );
    assert_eq!(columns[5].len(), "2026-01-31T22:00:00Z".len(), "{table}");
    let (_, lease, _) = run(&server, &["lease", "get", "one"]);
    let names: Vec<&str> = lease
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    let all = [
        "name", "state", "why", "exporter", "client", "selector", "tags", "duration", "begins",
        "ends",
    ];
    assert_eq!(names, all, "{lease}");
    assert!(
        lease.contains("\ntags\ta=1,b=2\nduration\t30m\n"),
        "{lease}"
    );
    let (_, exporters, _) = run(&server, &["exporters", "list", "-l", "board=imx8mp-evk"]);
    let expected = "imx8mp-01\tdisabled\tarch=arm64,board=imx8mp-evk,can=true,location=rack-2,\
                    soc=imx8mp,vendor=nxp\n";
    assert_eq!(exporters, expected);
}

#[test]
fn a_terminal_gets_a_table() {
    let server = Server::start(&["--demo"]);
    let program = env!("CARGO_BIN_EXE_jumpstarter-gateway");
    let list = format!(
        "{program} exporters list -l soc --server http://{}",
        server.address
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &list, "/dev/null"])
        .output()
        .expect("`script`, which gives a program a terminal");
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].starts_with("NAME            STATUS     LABELS"),
        "{table}"
    );
    assert!(
        rows[1].starts_with("imx8mp-01       disabled   arch=arm64"),
        "{table}"
    );
    assert_eq!(rows.len(), 8, "{table}");
}

#[test]
fn lists_have_all_pages_and_are_narrowed_down() {
    let server = Server::start(&["--demo"]);
    let socket = std::net::TcpStream::connect(&server.address).unwrap();
    create_many(socket, 1001);
    let (_, table, _) = run(&server, &["lease", "list"]);
    assert_eq!(table.lines().count(), 1001);
    let (_, document, _) = run(&server, &["lease", "list", "--json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["leases"].as_array().unwrap().len(), 1001);
    assert_eq!(document["nextPageToken"], "");
    let count = |args: &[&str]| {
        let (status, table, errors) = run(&server, &[&["lease", "list"], args].concat());
        assert_eq!(status, 0, "{errors}");
        table.lines().count()
    };
    assert_eq!(count(&["--exporter", "rpi4-01"]), 1);
    assert_eq!(
        count(&["--filter", "gateway.jumpstarter.dev/state=pending"]),
        1000
    );
    assert_eq!(count(&["--client", "ada"]), 0);
    assert_eq!(
        count(&[
            "--client",
            "namespaces/default/clients/demo",
            "--tag-filter",
            "n=7"
        ]),
        1
    );
}

/// Creates leases over one connection.
fn create_many(mut socket: std::net::TcpStream, count: usize) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut answers = BufReader::new(socket.try_clone().unwrap());
    for number in 0..count {
        let body = format!(
            r#"{{"selector": "board=rpi4", "duration": "60s", "tags": {{"n": "{number}"}}}}"#
        );
        let length = body.len();
        let request = format!(
            "POST /v1/namespaces/default/leases HTTP/1.1\r\nhost: x\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            let value = line.strip_prefix("content-length: ");
            length = value.map_or(length, |value| value.trim().parse().unwrap());
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
    }
}

#[test]
fn leases_are_released_one_by_one() {
    let server = Server::start(&["--demo"]);
    let (first, second) = (acquired(&server, "rpi4"), acquired(&server, "nuc13"));
    let full = format!("namespaces/default/leases/{second}");
    let (status, out, errors) = run(&server, &["lease", "release", &first, "nobody", &full]);
    assert_eq!(out, format!("{first}\n{second}\n"));
    assert_eq!(status, 66, "{errors}");
    assert!(errors.contains("\"nobody\" not found"), "{errors}");
    let (status, _, errors) = run(&server, &["lease", "release", &first]);
    assert_eq!(status, 73, "{errors}");
    let third = acquired(&server, "rpi4");
    let (_, out, _) = run(&server, &["lease", "release", &third, "--json"]);
    let lease: Value = serde_json::from_str(&out).unwrap();
    assert!(lease["effectiveEndTime"].is_string(), "{lease}");
}

#[test]
fn leases_are_extended() {
    let server = Server::start(&["--demo"]);
    let name = acquired(&server, "rpi4");
    let extend = |args: &[&str]| {
        let (status, out, errors) = run(
            &server,
            &[&["lease", "extend", &name, "--json"], args].concat(),
        );
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(extend(&["--by", "30m"])["duration"], "3600s");
    assert_eq!(extend(&["--duration", "2h"])["duration"], "7200s");
    assert_eq!(extend(&["--by", "500ms"])["duration"], "7200.500s");
    assert_eq!(
        extend(&["--until", "2099-01-31T22:00:00Z"])["endTime"],
        "2099-01-31T22:00:00Z"
    );
    let (_, end, _) = run(&server, &["lease", "extend", &name, "--by", "2h"]);
    assert_eq!(end, "2099-02-01T00:00:00Z\n");
    let (status, _, errors) = run(&server, &["lease", "extend", &name, "--until", "soon"]);
    assert_eq!(status, 64, "{errors}");
    assert_eq!(run(&server, &["lease", "extend", &name]).0, 2);
}

#[test]
fn the_page_and_the_help_tell_the_same() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lease.md"));
    let page = page.unwrap();
    let (_, help, _) = ended(gateway(&["lease", "--help"]).output().unwrap());
    let (_, list) = help.split_once("Exit status:\n").unwrap();
    let statuses: Vec<&str> = list
        .lines()
        .take_while(|line| line.starts_with("  "))
        .collect();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .collect();
    assert_eq!(rows.len(), statuses.len(), "{help}");
    for (row, status) in rows.iter().zip(statuses) {
        let (number, meaning) = status.trim().split_once(' ').unwrap();
        assert_eq!(*row, format!("| {number} | {} |", meaning.trim()));
    }
    for line in help.lines().filter(|line| line.contains("[env: ")) {
        let name = line.split("[env: ").nth(1).unwrap();
        let name = name.split(['=', ']']).next().unwrap();
        assert!(
            page.contains(&format!("| `{name}` |")),
            "docs/lease.md does not tell of {name}"
        );
    }
}

#[test]
fn a_token_that_says_whose_it_is_finds_ones_own_leases() {
    let folder = tempfile::tempdir().unwrap();
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/demo.yaml");
    let place = ["--lab", lab, "--keys", folder.path().to_str().unwrap()];
    let server = Server::start(&[&place[..], &["--in-memory"]].concat());
    let token = |client: &str| {
        let create = [&["token", "create", client], &place[..]].concat();
        let (status, token, errors) = ended(gateway(&create).output().unwrap());
        assert_eq!(status, 0, "{errors}");
        token.trim().to_owned()
    };
    let (ada, demo) = (token("ada"), token("demo"));
    let acquire = [
        "lease",
        "acquire",
        "-l",
        "board=rpi4",
        "--duration",
        "30m",
        "--name",
        "of-ada",
    ];
    assert_eq!(
        run(&server, &[&acquire[..], &["--token", &ada]].concat()).0,
        0
    );
    let mine = |token: &str| run(&server, &["lease", "list", "--mine", "--token", token]);
    let (status, leases, errors) = mine(&ada);
    assert_eq!(status, 0, "{errors}");
    assert!(leases.starts_with("of-ada\tready\t"), "{leases}");
    assert_eq!(mine(&demo), (0, String::new(), String::new()));
    let (status, _, errors) = mine("opaque");
    assert_eq!(status, 1, "{errors}");
    assert!(errors.contains("--client NAME"), "{errors}");
}
