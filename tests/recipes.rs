//! The files for other people's CI, with the examples of their pages, as the systems they are for would
//! run them: what they read of the YAML, in the shells they use, with the environment they give.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test reports"
)]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use process::{Server, gateway};
use serde_json::Value;
use tempfile::TempDir;

type Variables = BTreeMap<String, String>;

/// How a job ended: each of its parts that ran, with its status; and all that it printed.
struct Job {
    statuses: Vec<(&'static str, i32)>,
    log: String,
}

/// A folder to work in, where `test.sh` succeeds, and a lab in which everybody needs the token.
struct World {
    folder: TempDir,
    server: Server,
}

const TOKEN: &str = "a-long-random-text";

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let exporter = "kind: Exporter\nmetadata: {name: rpi4-01, labels: {board: rpi4}, \
                        annotations: {gateway.jumpstarter.dev/static: \"true\"}}\n";
        let lab = format!(
            "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {{name: ada}}\n---\n\
             apiVersion: jumpstarter.dev/v1alpha1\n{exporter}"
        );
        fs::write(path("lab.yaml"), lab).unwrap();
        fs::write(path("tokens"), format!("{TOKEN},client:default:ada\n")).unwrap();
        fs::write(
            path("test.sh"),
            "#!/bin/sh\necho \"tests of $JUMPSTARTER_GATEWAY_LEASE\"\nexit ${FAIL:-0}\n",
        )
        .unwrap();
        let executable = Command::new("chmod")
            .arg("+x")
            .arg(path("test.sh"))
            .status();
        assert!(executable.unwrap().success());
        let (lab, tokens) = (path("lab.yaml"), path("tokens"));
        let args = [
            "--in-memory",
            "--lab",
            lab.to_str().unwrap(),
            "--tokens",
            tokens.to_str().unwrap(),
        ];
        let server = Server::start(&args);
        Self { folder, server }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = gateway(args);
        let command = command.args(["--server", &self.url(), "--token", TOKEN]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The states of all leases there ever were.
    fn states(&self) -> Vec<String> {
        let leases = self.run(&["lease", "list", "--all"]);
        let state = |row: &str| row.split('\t').nth(1).unwrap().to_owned();
        leases.lines().map(state).collect()
    }

    /// Runs a script with a shell; returns its status and what it printed.
    fn shell(&self, shell: &[&str], script: &str, variables: &Variables) -> (i32, String) {
        let file = self.folder.path().join("script");
        fs::write(&file, script).unwrap();
        let (program, options) = shell.split_first().unwrap();
        let output = Command::new(program)
            .args(options)
            .arg(&file)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(variables)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The one YAML block of a page.
fn example(page: &str) -> Value {
    let text = read(page);
    let (_, rest) = text.split_once("```yaml\n").expect("an example");
    yaml(rest.split_once("```\n").unwrap().0)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn variables(value: &Value) -> Variables {
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// A job of GitHub's: the page's example, with these inputs instead of its own.
fn github(world: &World, inputs: &[(&str, &str)]) -> Job {
    let action = yaml(&read("ci/github/action.yml"));
    let page = example("docs/recipes/github-actions.md");
    let steps = page["jobs"]["board"]["steps"].as_array().unwrap();
    let used = steps
        .iter()
        .find(|step| text(&step["uses"]).contains("/ci/github@"));
    let mut values = Variables::new();
    for (name, input) in action["inputs"].as_object().unwrap() {
        values.insert(
            format!("inputs.{name}"),
            input.get("default").map(text).unwrap_or_default(),
        );
    }
    let given = variables(&used.unwrap()["with"]);
    let given = given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let url = world.url();
    for (name, value) in given
        .chain([("server", url.as_str()), ("token", TOKEN)])
        .chain(inputs.iter().copied())
    {
        let known = values.insert(format!("inputs.{name}"), value.to_owned());
        assert!(known.is_some(), "the action has no input {name}");
    }
    let mut job = Job {
        statuses: vec![],
        log: String::new(),
    };
    let mut has_failed = false;
    for (number, step) in action["runs"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        if has_failed && step["if"] != "always()" {
            continue;
        }
        assert_eq!(step["shell"], "bash", "{step}");
        let outputs = world.folder.path().join(format!("outputs-{number}"));
        fs::write(&outputs, "").unwrap();
        let mut environment = variables(&step["env"]);
        for value in environment.values_mut() {
            *value = filled(value, &values);
        }
        let action_path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "ci", "github"]
            .iter()
            .collect();
        let given = [
            ("GITHUB_ACTION_PATH", action_path.display().to_string()),
            ("GITHUB_OUTPUT", outputs.display().to_string()),
            ("GITHUB_RUN_ID", "4711".to_owned()),
            ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
            ("CI", "true".to_owned()),
        ];
        environment.extend(given.map(|(name, value)| (name.to_owned(), value)));
        let script = text(&step["run"]);
        assert!(
            !script.contains("${{"),
            "what is given may not be part of a script: {script}"
        );
        let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
        let (status, log) = world.shell(&shell, &script, &environment);
        has_failed |= status != 0;
        let name = ["name", "acquire", "run", "release"][number];
        job.statuses.push((name, status));
        job.log.push_str(&log);
        for line in fs::read_to_string(&outputs).unwrap().lines() {
            let (key, value) = line.split_once('=').unwrap();
            values.insert(
                format!("steps.{}.outputs.{key}", text(&step["id"])),
                value.to_owned(),
            );
        }
    }
    for (name, output) in action["outputs"].as_object().unwrap() {
        let value = filled(&text(&output["value"]), &values);
        job.log.push_str(&format!("output {name}: {value}\n"));
    }
    job
}

/// Puts values where `${{ name }}` asks for them; one that was never set is empty.
fn filled(text: &str, values: &Variables) -> String {
    let mut parts = text.split("${{ ");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |filled, part| {
        let (name, rest) = part.split_once(" }}").unwrap();
        filled + values.get(name).map_or("", String::as_str) + rest
    })
}

/// A job of GitLab's: the page's example, with these variables too.
fn gitlab(world: &World, number: &str, given: &[(&str, &str)]) -> Job {
    let template = yaml(&read("ci/gitlab/lease.yml"));
    let page = example("docs/recipes/gitlab-ci.md");
    assert_eq!(page["board"]["extends"], ".lease");
    let mut environment = variables(&template[".lease"]["variables"]);
    environment.extend(variables(&page["board"]["variables"]));
    let url = world.url();
    let set = [
        ("JUMPSTARTER_GATEWAY_URL", url.as_str()),
        ("JUMPSTARTER_GATEWAY_TOKEN", TOKEN),
    ];
    environment.extend(
        set.iter()
            .chain(given)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    for value in environment.values_mut() {
        *value = value.replace("$CI_JOB_ID", number);
    }
    let lines = |of: &Value| -> Vec<String> { of.as_array().unwrap().iter().map(text).collect() };
    let before = lines(&template[".lease"]["before_script"]);
    let script = [before, lines(&page["board"]["script"])]
        .concat()
        .join("\n");
    let after = lines(&template[".lease"]["after_script"]).join("\n");
    let (status, log) = world.shell(&["sh", "-e"], &script, &environment);
    // In a shell of its own, whatever became of the first.
    let (released, after) = world.shell(&["sh", "-e"], &after, &environment);
    Job {
        statuses: vec![("script", status), ("after_script", released)],
        log: log + &after,
    }
}

#[test]
fn github_runs_commands_with_a_lease() {
    let world = World::new();
    let job = github(&world, &[]);
    let expected = [("name", 0), ("acquire", 0), ("run", 0), ("release", 0)];
    assert_eq!(job.statuses, expected, "{}", job.log);
    for line in [
        "Leased rpi4-01 as github-4711-1-",
        "on rpi4-01\ntests of github-4711-1-",
        "Released github-4711-1-",
        "output exporter: rpi4-01\noutput lease: github-4711-1-",
    ] {
        assert!(job.log.contains(line), "{line:?} is not in\n{}", job.log);
    }
    let failing = github(&world, &[("run", "false; echo never")]);
    let expected = [("name", 0), ("acquire", 0), ("run", 1), ("release", 0)];
    assert_eq!(failing.statuses, expected, "{}", failing.log);
    assert!(!failing.log.contains("never"), "{}", failing.log);
    assert_eq!(world.states(), ["ended:Released"; 2]);
}

#[test]
fn github_releases_what_it_could_not_use() {
    let world = World::new();
    world.run(&["lease", "acquire", "-l", "board=rpi4", "--duration", "30m"]);
    let cases = [
        (&[("wait", "1")][..], 75, "Not in time: "),
        (
            &[("selector", "board=rpi9")],
            78,
            "No exporter matches the selector board=rpi9",
        ),
        (&[("selector", "board=(")], 1, "INVALID_SELECTOR"),
        (&[("token", "wrong")], 1, "TOKEN_REJECTED"),
    ];
    for (inputs, status, message) in cases {
        let job = github(&world, inputs);
        assert_eq!(job.statuses[1], ("acquire", status), "{}", job.log);
        assert_eq!(job.statuses.last().unwrap().0, "release", "{}", job.log);
        assert!(
            job.log.contains(message),
            "{message} is not in\n{}",
            job.log
        );
        assert!(!job.log.contains(TOKEN), "{}", job.log);
    }
    // Jobs of one run are told apart by a random part of their lease's name.
    let mut states = world.states();
    states.sort();
    assert_eq!(states, ["ended:NoMatch", "ended:Released", "ready"]);
}

#[test]
fn gitlab_runs_a_script_with_a_lease() {
    let world = World::new();
    let job = gitlab(&world, "1", &[]);
    assert_eq!(
        job.statuses,
        [("script", 0), ("after_script", 0)],
        "{}",
        job.log
    );
    let expected = "Leased rpi4-01 as gitlab-1\non rpi4-01\ntests of gitlab-1\nReleased gitlab-1\n";
    assert_eq!(job.log, expected);
    let failing = gitlab(&world, "2", &[("FAIL", "3")]);
    assert_eq!(
        failing.statuses,
        [("script", 3), ("after_script", 0)],
        "{}",
        failing.log
    );
    assert_eq!(world.states(), ["ended:Released"; 2]);
}

#[test]
fn gitlab_releases_what_it_could_not_use() {
    let world = World::new();
    world.run(&[
        "lease",
        "acquire",
        "-l",
        "board=rpi4",
        "--duration",
        "30m",
        "--name",
        "a",
    ]);
    let cases = [
        (
            ("LEASE_WAIT", "1"),
            75,
            "Not in time: There are 1 approved exporters",
        ),
        (
            ("LEASE_SELECTOR", "board=rpi9"),
            78,
            "No exporter matches the selector board=rpi9",
        ),
        (("LEASE_SELECTOR", "board=("), 1, "INVALID_SELECTOR"),
    ];
    for (number, (variable, status, message)) in cases.into_iter().enumerate() {
        let job = gitlab(&world, &number.to_string(), &[variable]);
        assert_eq!(
            job.statuses,
            [("script", status), ("after_script", 0)],
            "{}",
            job.log
        );
        assert!(
            job.log.contains(message),
            "{message} is not in\n{}",
            job.log
        );
    }
    // Jobs of one run are told apart by a random part of their lease's name.
    let mut states = world.states();
    states.sort();
    assert_eq!(states, ["ended:NoMatch", "ended:Released", "ready"]);
}

#[test]
fn both_systems_run_the_same_scripts() {
    let template = yaml(&read("ci/gitlab/lease.yml"));
    assert_eq!(
        text(&template[".lease"]["before_script"][0]),
        read("ci/acquire.sh")
    );
    assert_eq!(
        text(&template[".lease"]["after_script"][0]),
        read("ci/release.sh")
    );
}

#[test]
fn the_pages_tell_of_every_input() {
    let page = read("docs/recipes/github-actions.md");
    let action = yaml(&read("ci/github/action.yml"));
    for (name, input) in action["inputs"].as_object().unwrap() {
        let default = input
            .get("default")
            .map(text)
            .filter(|text| !text.is_empty());
        let default = default.map(|text| format!(" `{text}`")).unwrap_or_default();
        let row = format!("| `{name}` |{default} | {} |", text(&input["description"]));
        assert!(page.contains(&row), "the page has no row\n{row}");
    }
    let page = read("docs/recipes/gitlab-ci.md");
    for name in [
        "LEASE_SELECTOR",
        "LEASE_SECONDS",
        "LEASE_WAIT",
        "JUMPSTARTER_GATEWAY_URL",
    ] {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
