//! `check`: everything that is wrong is found at once, with its place, and nothing is changed by looking.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::program::run;

/// Every file below a folder, with what is in it.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let content = fs::read(&path).unwrap_or_default();
            all.push((path.display().to_string(), content));
        }
    }
    all.sort();
    all
}

const LAB: &str = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: ada}\n";

#[test]
fn all_that_is_wrong_is_found_at_once_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
    write(
        "lab.yaml",
        "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {nam: ada}\n",
    );
    write("tokens", "abc,client:default:ada\nnonsense\n");
    write("cert.pem", "rubbish");
    write("key.pem", "rubbish");
    fs::create_dir(path("keys")).unwrap();
    write("keys/token-keys.pem", "rubbish");
    fs::create_dir(path("data")).unwrap();
    symlink("/nowhere/gateway.redb", path("data/gateway.redb")).unwrap();
    let at = |name: &str| format!("{:?}", path(name));
    let settings = format!(
        "lab = {}\ntokens = {}\nkeys = {}\ndata = {}\ntls_cert = {}\ntls_key = {}\nlog = 'a=b=c'\nmax_body_bytes = 0\n",
        at("lab.yaml"),
        at("tokens"),
        at("keys"),
        at("data"),
        at("cert.pem"),
        at("key.pem")
    );
    write("gateway.toml", &settings);
    let before = contents(folder.path());
    let file = path("gateway.toml").display().to_string();
    let (status, _, said) = run(&["check", "--config", &file]);
    assert_eq!(status, 78, "{said}");
    for expected in [
        "max_body_bytes: must be more than 0",
        "log: ",
        "lab.yaml:3:1: metadata.name: is missing",
        "tokens:2: ",
        "keys/token-keys.pem: ",
        "cert.pem",
        "leads to /nowhere/gateway.redb, which is not there",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    for line in said.lines() {
        assert!(
            line.starts_with("error: ") || line.starts_with("warning: "),
            "{line}"
        );
    }
    assert_eq!(contents(folder.path()), before);

    // What cannot be read at all is said alone.
    write("gateway.toml", "lisen = 'x'\nmax_tags = 'x'\n");
    let (status, _, said) = run(&["check", "--config", &file]);
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("gateway.toml:1:1: lisen: there is no such setting; did you mean listen?")
    );
    assert!(said.contains("gateway.toml:2:1: max_tags: "), "{said}");
}

#[test]
fn what_is_right_is_said_and_what_is_odd_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("lab.yaml"), LAB).unwrap();
    fs::write(path("tokens"), "abc,client:default:aada\n").unwrap();
    fs::set_permissions(path("tokens"), fs::Permissions::from_mode(0o644)).unwrap();
    let flag = |name: &str, file: &str| format!("--{name}={}", path(file).display());
    let (lab, tokens, data) = (
        flag("lab", "lab.yaml"),
        flag("tokens", "tokens"),
        flag("data", "new"),
    );
    let (status, out, said) = run(&[
        "check",
        &lab,
        &tokens,
        &data,
        "--tls-self-signed",
        "--admins=default/adda",
    ]);
    assert_eq!(status, 0, "{said}");
    for expected in [
        "the client default/aada, which the lab does not have; it is refused; did you mean default/ada?",
        "admins: the lab does not have the client default/adda; did you mean default/ada?",
        "chmod 600",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    for expected in [
        "the settings: right",
        "lab.yaml: right; exporters: 0, clients: 1, policies: 0",
        "new: not there yet",
        "tls-cert.pem: not there yet",
    ] {
        assert!(out.contains(expected), "{expected} in\n{out}");
    }
    assert!(!path("new").exists());
}

#[test]
fn a_server_refuses_to_start_with_what_check_finds() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab.yaml");
    fs::write(&lab, "nonsense").unwrap();
    let lab = format!("--lab={}", lab.display());
    let (status, _, said) = run(&["serve", &lab, "--in-memory", "--no-auth"]);
    assert_eq!(status, 78, "{said}");
    let (status, _, said) = run(&["serve"]);
    assert_eq!(status, 78, "{said}");
}
