//! The files under `deploy/`, as far as they can be held against the program without systemd, Docker or a
//! cluster: `tests/deploy/check` does the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::run;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn text(name: &str) -> String {
    let path = deploy(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(&format!("kubernetes/{name}"))).unwrap()
}

/// What `check` says of a file of settings once its paths are put below another root.
fn checked(settings: &str, root: &Path) -> (i32, String, String) {
    let below = |text: &str| {
        let text = text.replace("\"/etc/", &format!("\"{}/etc/", root.display()));
        text.replace("\"/var/", &format!("\"{}/var/", root.display()))
    };
    let file = root.join("gateway.toml");
    fs::write(&file, below(settings)).unwrap();
    run(&["check", "--config", file.to_str().unwrap()])
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const LAB: &str = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: ada}\n";

#[test]
fn the_settings_that_are_delivered_are_right() {
    for (file, lab) in [
        ("systemd/gateway.toml", "etc/jumpstarter-gateway/lab.yaml"),
        (
            "docker/gateway.toml",
            "etc/jumpstarter-gateway/lab/lab.yaml",
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), lab, LAB);
        let (status, out, said) = checked(&text(file), root.path());
        assert_eq!((status, &*said), (0, ""), "{file}: {out}");
    }
}

#[test]
fn what_the_cluster_is_given_is_right() {
    let root = tempfile::tempdir().unwrap();
    let lab = yaml("lab.yaml");
    let tokens = yaml("tokens.yaml");
    let of =
        |map: &Value| -> BTreeMap<String, String> { serde_json::from_value(map.clone()).unwrap() };
    for (folder, files) in [
        ("lab", of(&lab["data"])),
        ("tokens", of(&tokens["stringData"])),
    ] {
        for (name, text) in files {
            put(
                root.path(),
                &format!("etc/jumpstarter-gateway/{folder}/{name}"),
                &text,
            );
        }
    }
    let configuration = yaml("configuration.yaml");
    let settings = configuration["data"]["gateway.toml"].as_str().unwrap();
    let (status, out, said) = checked(settings, root.path());
    assert_eq!(status, 0, "{said}{out}");
    assert!(!said.contains("error"), "{said}");

    // Every folder that the settings name is mounted, and every volume is there.
    let pod = &yaml("statefulset.yaml")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounts: Vec<&str> = mounts
        .iter()
        .map(|it| it["mountPath"].as_str().unwrap())
        .collect();
    for path in settings.split('"').filter(|text| text.starts_with('/')) {
        let mounted = mounts.iter().any(|mount| path.starts_with(mount));
        assert!(mounted, "{path} is in none of {mounts:?}");
    }
    let file = container["env"][0]["value"].as_str().unwrap();
    assert!(mounts.iter().any(|mount| file.starts_with(mount)), "{file}");
    let seconds = |name: &str| {
        let (_, rest) = settings.split_once(&format!("{name} = \"")).unwrap();
        rest.split_once('s').unwrap().0.parse::<u64>().unwrap()
    };
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(
        grace > seconds("shutdown_delay") + seconds("shutdown_grace"),
        "{grace}"
    );
}

#[test]
fn every_file_for_the_cluster_is_part_of_it() {
    let listed = yaml("kustomization.yaml");
    let listed: Vec<String> = serde_json::from_value(listed["resources"].clone()).unwrap();
    let mut there: Vec<String> = fs::read_dir(deploy("kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
        .collect();
    there.sort();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, there);
}

#[test]
fn what_units_and_images_start_is_what_the_program_takes() {
    let unit = text("systemd/jumpstarter-gateway.service");
    let backup = text("systemd/jumpstarter-gateway-backup.service");
    let image = text("docker/Dockerfile");
    let commands = unit.lines().chain(backup.lines()).filter_map(|line| {
        let (_, rest) = line.split_once("/usr/local/bin/jumpstarter-gateway ")?;
        rest.split(' ').next()
    });
    let mut commands: Vec<&str> = commands.collect();
    for line in image.lines() {
        if let Some((_, list)) = line.split_once("CMD [") {
            commands.push(
                list.split('"')
                    .rfind(|it| !it.is_empty() && *it != "]")
                    .unwrap(),
            );
        }
    }
    assert_eq!(commands, ["serve", "check", "backup", "health", "serve"]);
    for command in commands {
        let (status, _, said) = run(&[command, "--help"]);
        assert_eq!(status, 0, "{command}: {said}");
    }
    // What is copied into the image is not kept from it.
    let ignored = fs::read_to_string(deploy("../.dockerignore")).unwrap();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "proto",
        "build.rs",
        "deploy/docker/gateway.toml",
    ] {
        assert!(
            ignored.lines().any(|line| line == format!("!{needed}")),
            "{needed}"
        );
    }
}
