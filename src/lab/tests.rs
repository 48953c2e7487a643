//! Whole lab files, read as the server reads them. The files under `tests/lab/` carry what is
//! expected of them in their own comments.

use std::path::PathBuf;

use crate::lease::{Command, Duration, Labels, Name, PolicyRule, Selector};

use super::*;

const WRONG: &str = include_str!("../../tests/lab/wrong.yaml");

fn one(text: &str) -> Result<Lab, LabErrors> {
    parse([("lab.yaml", text)])
}

fn name(id: &str) -> Name {
    Name::new("default", id)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn fixture(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "lab", path]
        .iter()
        .collect()
}

/// What the comments of a file expect: `LINE error FIELD: MESSAGE`, sorted.
fn expected_by_comments(text: &str) -> Vec<String> {
    let mut expected = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for comment in line.split(" # ").skip(1) {
            expected.push(format!("{} {comment}", index + 1));
        }
    }
    expected.sort();
    expected
}

fn found(errors: &[Problem], warnings: &[Problem]) -> Vec<String> {
    let errors = errors.iter().map(|problem| ("error", problem));
    let warnings = warnings.iter().map(|problem| ("warning", problem));
    let mut found: Vec<_> = errors
        .chain(warnings)
        .map(|(level, problem)| {
            let line = problem.place.unwrap().line;
            let space = if problem.field.is_empty() { "" } else { " " };
            format!(
                "{line} {level}{space}{}: {}",
                problem.field, problem.message
            )
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_mistake_of_a_file_is_reported_in_its_line() {
    let errors = parse([("wrong.yaml", WRONG)]).unwrap_err();
    let found = found(&errors.errors, &errors.warnings);
    let expected = expected_by_comments(WRONG);
    let alike = |expected: &str, found: &str| match expected.strip_suffix("...") {
        Some(start) => found.starts_with(start),
        None => found == expected,
    };
    let missing: Vec<_> = expected
        .iter()
        .filter(|expected| !found.iter().any(|found| alike(expected, found)))
        .collect();
    let surplus: Vec<_> = found
        .iter()
        .filter(|found| !expected.iter().any(|expected| alike(expected, found)))
        .collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "in tests/lab/wrong.yaml\nnot reported: {missing:#?}\nreported, not expected: {surplus:#?}"
    );
}

#[test]
fn what_kubectl_prints_loads_with_a_warning_for_each_status_only() {
    let text = include_str!("../../tests/lab/kubectl.yaml");
    let lab = parse([("kubectl.yaml", text)]).unwrap();
    assert_eq!(found(&[], &lab.warnings), expected_by_comments(text));
    assert_eq!(
        lab.exporters,
        [
            DeclaredExporter {
                name: Name::new("lab", "rpi4-01"),
                labels: labels(&[("board", "rpi4"), ("example.com/rack", "1")]),
                enabled: true,
                is_static: false,
            },
            DeclaredExporter {
                name: Name::new("lab", "rpi5-01"),
                labels: labels(&[("board", "rpi5")]),
                enabled: false,
                is_static: true,
            },
        ]
    );
    assert_eq!(
        lab.clients,
        [Client {
            name: Name::new("lab", "ada"),
            labels: labels(&[("team", "kernel")]),
            username: Some("oidc:ada@example.com".into()),
            uid: None,
            provisioned: false,
            revision: 0,
        }]
    );
}

#[test]
fn an_access_policy_keeps_its_rules_in_order() {
    let text = include_str!("../../tests/lab/policy.yaml");
    let lab = parse([("policy.yaml", text)]).unwrap();
    assert_eq!(lab.warnings, []);
    let selector = |text: &str| Selector::parse(text).unwrap();
    let policy = Policy {
        name: name("boards"),
        exporters: selector(
            "stage=production,arch in (arm64,armv7m),broken notin (yes),usb-mux,!retired",
        ),
        rules: vec![
            PolicyRule {
                from: vec![selector("role=administrator"), selector("role=operator")],
                priority: 20,
                maximum_duration: None,
                spot_access: false,
                description: String::new(),
            },
            PolicyRule {
                from: vec![selector("role=ci")],
                priority: -5,
                maximum_duration: Some(Duration::from_seconds(5_400)),
                spot_access: true,
                description: "CI may use what is free, for 90 minutes.".into(),
            },
            PolicyRule {
                from: vec![selector("")],
                priority: 0,
                maximum_duration: Some(Duration::from_seconds(48 * 3_600)),
                spot_access: false,
                description: String::new(),
            },
        ],
        revision: 0,
    };
    assert_eq!(lab.policies, [policy]);
}

#[test]
fn columns_count_characters_from_one() {
    let text = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata:\n  \
                {name: bob, labels: {\"größe\": x, team: 5}}\n";
    let errors = one(text).unwrap_err().to_string();
    let places: Vec<_> = errors
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(places, ["lab.yaml:4:24", "lab.yaml:4:42"], "{errors}");
}

#[test]
fn broken_yaml_is_reported_beside_the_errors_of_other_documents_and_files() {
    let broken = "kind: [\n---\nkind: Client\n";
    let errors = parse([("a.yaml", broken), ("b.yaml", "5")]).unwrap_err();
    let found: Vec<_> = errors.errors.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].starts_with("a.yaml:2:1: is not valid YAML: "),
        "{found:#?}"
    );
    assert_eq!(
        found[1..],
        [
            "a.yaml:3:1: apiVersion: is missing",
            "b.yaml:1:1: must be a map, not 5",
        ]
    );
}

#[test]
fn the_same_object_in_two_files_names_both_places() {
    let client = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: bob}\n";
    let again = format!("# Bob once more.\n{client}");
    let errors = parse([("a.yaml", client), ("b.yaml", &again)]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "error: b.yaml:2:1: Client bob of namespace default stands already at a.yaml:1:1"
    );
}

#[test]
fn an_empty_file_is_a_lab_without_anything() {
    for text in ["", "---\n", "# nothing yet\n---\n---\n", "\u{feff}"] {
        assert_eq!(one(text), Ok(Lab::default()), "for {text:?}");
    }
}

#[test]
fn carriage_returns_and_a_byte_order_mark_do_no_harm() {
    let text = "\u{feff}apiVersion: jumpstarter.dev/v1alpha1\r\nkind: Client\r\nmetadata:\r\n  \
                name: bob\r\n";
    let lab = one(text).unwrap();
    assert_eq!(lab.clients[0].name, name("bob"));
}

#[test]
fn a_directory_is_read_by_file_name_and_not_recursively() {
    let lab = load(&fixture("directory")).unwrap();
    let names: Vec<_> = lab.exporters.iter().map(|it| &*it.name.id).collect();
    assert_eq!(names, ["first", "second", "third"]);
    assert_eq!(lab.warnings, []);
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file() {
    let cases = [
        ("nowhere.yaml", "No such file or directory"),
        (
            "directory/nested",
            "has no file whose name ends in .yaml or .yml",
        ),
    ];
    for (file, reason) in cases {
        let path = fixture(file);
        let errors = load(&path).unwrap_err().to_string();
        let expected = format!("error: {}: {reason}", path.display());
        assert!(errors.starts_with(&expected), "{errors}\n{expected}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_line() {
    let error = text(&b"kind: Client\n# caf\xe9\n"[..]).unwrap_err();
    assert_eq!(error.to_string(), "is not UTF-8 in line 2");
}

#[test]
fn a_file_may_have_sixteen_mebibytes() {
    let size = |size| text(io::repeat(b' ').take(size)).map(|text| text.len());
    assert_eq!(size(16 << 20).unwrap(), 16 << 20);
    let error = size((16 << 20) + 1).unwrap_err();
    assert_eq!(error.to_string(), "is larger than 16 MiB; split it");
}

#[test]
fn the_demonstration_lab_is_sound() {
    let lab = demo().unwrap();
    assert_eq!(lab.warnings, []);
    let rpi4 = |exporter: &&DeclaredExporter| exporter.labels.get("board") == Some("rpi4");
    assert_eq!(lab.exporters.iter().filter(rpi4).count(), 1);
    assert!(lab.exporters.iter().all(|exporter| exporter.is_static));
    assert!(lab.clients.iter().any(|client| client.name == name("demo")));
    let (exporters, clients) = (lab.exporters.clone(), lab.clients.clone());
    assert_eq!(
        lab.into_command(),
        Command::ReplaceLab {
            exporters,
            clients,
            policies: Vec::new()
        }
    );
}

#[test]
fn the_example_in_the_document_is_good() {
    let document = include_str!("../../docs/lab-file.md");
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let lab = one(example).unwrap();
    assert_eq!(lab.warnings, []);
    let counts = (lab.exporters.len(), lab.clients.len(), lab.policies.len());
    assert_eq!(counts, (1, 1, 1));
}
