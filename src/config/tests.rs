//! What the settings become from flags, environment, file and defaults together.

use std::fs;

use clap::Command;

use super::*;

/// What a command line gives when no variable is set.
fn arguments_of(flags: &[&str]) -> ServeArgs {
    let command = ServeArgs::augment_args(Command::new("serve").no_binary_name(true));
    let matches = arguments::without_environment(command).try_get_matches_from(flags);
    ServeArgs::from_arg_matches(&matches.unwrap()).unwrap()
}

fn loaded(flags: &[&str]) -> Result<Settings, String> {
    Settings::load(arguments_of(flags)).map_err(|error| error.to_string())
}

/// The problems of a file, or the settings it gives over the defaults.
fn file(text: &str) -> Result<Settings, String> {
    let defaults = Settings::default().to_table().unwrap();
    let values = file::parse("gateway.toml", text, &defaults);
    let values = values.map_err(|error| error.to_string())?;
    Ok(defaults
        .into_iter()
        .chain(values)
        .collect::<Table>()
        .try_into()
        .unwrap())
}

fn block<'a>(document: &'a str, language: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

const DOCUMENT: &str = include_str!("../../docs/configuration.md");

#[test]
fn the_defaults_are_those_that_are_promised() {
    let settings = Settings::default();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8082");
    assert_eq!(settings.offline_after, Duration::from_secs(60));
    assert_eq!(settings.lease_retention, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.rotated_token_grace, Duration::from_secs(3_600));
    assert_eq!(settings.shutdown_grace, Duration::from_secs(4));
    assert_eq!(settings.max_body_bytes, 1 << 20);
    assert_eq!(settings.max_tags, 10);
    assert_eq!(settings.log_format, LogFormat::Text);
    assert_eq!((settings.lab, settings.tokens), (None, None));
    assert_eq!((settings.demo, settings.no_auth), (false, false));
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.toml");
    let file = "demo = true\nlog = 'file'\noffline_after = '2m'\nmax_tags = 3\n";
    fs::write(&path, file).unwrap();
    // PATH stands for a variable of ours, since every process has it.
    let command = ServeArgs::augment_args(Command::new("serve").no_binary_name(true));
    let command = arguments::without_environment(command)
        .mut_arg("log", |log| log.env("PATH"))
        .mut_arg("log_format", |format| format.env("PATH"));
    let flags = [
        "--config",
        path.to_str().unwrap(),
        "--offline-after=3m",
        "--log-format=json",
    ];
    let matches = command.try_get_matches_from(flags).unwrap();
    let settings = Settings::load(ServeArgs::from_arg_matches(&matches).unwrap()).unwrap();
    assert_eq!(
        settings.log,
        std::env::var("PATH").unwrap(),
        "variable over file"
    );
    assert_eq!(settings.log_format, LogFormat::Json, "flag over variable");
    assert_eq!(
        settings.offline_after,
        Duration::from_secs(180),
        "flag over file"
    );
    assert_eq!(settings.max_tags, 3, "file over default");
    assert_eq!(settings.shutdown_grace, Duration::from_secs(4), "default");
}

#[test]
fn a_switch_of_the_file_can_be_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.toml");
    fs::write(
        &path,
        "demo = true\nno_auth = true\nlab = 'lab.yaml'\ndata = 'd'\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    assert!(
        loaded(&["--config", path]).is_err(),
        "demo and lab together"
    );
    let settings = loaded(&["--config", path, "--demo=no"]).unwrap();
    assert!(settings.no_auth && !settings.demo);
}

#[test]
fn every_mistake_of_a_file_is_found_at_its_place() {
    let text = "lisen = '[::]:80'\noffline_after = 60\n\n[deprecated_labels]\nboard = 1\n";
    assert_eq!(
        file(text).unwrap_err().lines().collect::<Vec<_>>(),
        [
            "gateway.toml:1:1: lisen: there is no such setting; did you mean listen?",
            "gateway.toml:2:1: offline_after: invalid type: integer `60`, expected a duration",
            "gateway.toml:4:2: deprecated_labels: invalid type: integer `1`, expected a string",
        ]
    );
    let cases = [
        (
            "log-format = 'json'",
            "1:1: log-format: there is no such setting; did you mean log_format?",
        ),
        ("colour = 1", "1:1: colour: there is no such setting"),
        ("config = 'x'", "1:1: config: there is no such setting"),
        (
            "\nlog_format = 'xml'",
            "2:1: log_format: unknown variant `xml`, expected `text` or `json`",
        ),
        (
            "listen = 'localhost'",
            "1:1: listen: invalid socket address syntax",
        ),
        (
            "demo = 'yes'",
            "1:1: demo: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "max_tags = -1",
            "1:1: max_tags: invalid value: integer `-1`, expected usize",
        ),
        (
            "lease_retention = '30'",
            "1:1: lease_retention: invalid value: string \"30\", expected a duration",
        ),
        ("demo = true\n  demo = false", "2:3: duplicate key"),
        ("listen", "1:7: key with no value, expected `=`"),
    ];
    for (text, expected) in cases {
        let expected = format!("gateway.toml:{expected}");
        assert_eq!(file(text), Err(expected), "for {text:?}");
    }
}

#[test]
fn settings_that_cannot_go_together_are_refused_all_at_once() {
    let cases: [(&[&str], &[&str]); 15] = [
        (&[], &["lab: missing", "tokens: missing", "data: missing"]),
        (&["--lab=l", "--in-memory"], &["tokens: missing"]),
        (&["--lab=l", "--no-auth"], &["data: missing"]),
        (&["--demo", "--data=d"], &["data: "]),
        (
            &[
                "--lab=l",
                "--no-auth",
                "--in-memory",
                "--data=d",
                "--listen=[::]:80",
            ],
            &["listen: ", "data: "],
        ),
        (&["--demo", "--listen=10.0.0.1:80"], &["listen: "]),
        (&["--demo", "--lab=l", "--tokens=t"], &["lab: ", "tokens: "]),
        (
            &["--lab=l", "--tokens=t", "--data=d", "--listen=0.0.0.0:80"],
            &["listen: others"],
        ),
        (&["--demo", "--tls-cert=c"], &["tls_key: missing"]),
        (&["--demo", "--tls-key=k"], &["tls_cert: missing"]),
        (
            &["--demo", "--tls-key=k", "--tls-cert=c", "--tls-self-signed"],
            &["tls_self_signed: ", "keys: missing"],
        ),
        (
            &["--lab=l", "--tokens=t", "--no-auth", "--data=d"],
            &["tokens: "],
        ),
        (&["--lab=l", "--tokens=t"], &["data: missing"]),
        (
            &["--demo", "--minimum-duration=2h", "--maximum-duration=1h"],
            &["minimum_duration: "],
        ),
        (
            &[
                "--demo",
                "--maximum-duration=0s",
                "--offline-after=0s",
                "--max-body-bytes=0",
            ],
            &["maximum_duration: ", "offline_after: ", "max_body_bytes: "],
        ),
    ];
    for (flags, expected) in cases {
        let problems = loaded(flags).unwrap_err();
        let as_expected = problems
            .lines()
            .zip(expected)
            .filter(|(it, start)| it.starts_with(**start));
        assert_eq!(as_expected.count(), expected.len(), "{flags:?}: {problems}");
        assert_eq!(
            problems.lines().count(),
            expected.len(),
            "{flags:?}: {problems}"
        );
    }
    for flags in [
        &["--demo"][..],
        &["--demo", "--no-auth", "--listen=[::1]:0"],
        &["--lab=l", "--no-auth", "--in-memory"],
        &[
            "--lab=l",
            "--tokens=t",
            "--data=d",
            "--listen=0.0.0.0:80",
            "--allow-plaintext",
        ],
        &[
            "--lab=l",
            "--tokens=t",
            "--data=d",
            "--listen=0.0.0.0:80",
            "--tls-self-signed",
            "--keys=k",
        ],
        &[
            "--lab=l",
            "--tokens=t",
            "--data=d",
            "--listen=0.0.0.0:80",
            "--tls-cert=c",
            "--tls-key=k",
        ],
        // Keys are in the data, where nothing else is said.
        &["--lab=l", "--data=d"],
    ] {
        assert_eq!(loaded(flags).err(), None, "{flags:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problem = loaded(&["--demo", "--config", "/nowhere/gateway.toml"]).unwrap_err();
    assert!(problem.starts_with("/nowhere/gateway.toml: "), "{problem}");
}

#[test]
fn lists_and_maps_have_a_form_for_the_command_line() {
    let labels = "--deprecated-labels=board = use model; example.com/a=x=y;";
    let settings = loaded(&["--demo", "--hidden-labels=a,example.com/b", labels]).unwrap();
    assert_eq!(settings.hidden_labels, ["a", "example.com/b"]);
    let pairs: Vec<_> = settings
        .deprecated_labels
        .iter()
        .map(|(key, message)| (&**key, &**message))
        .collect();
    assert_eq!(pairs, [("board", "use model"), ("example.com/a", "x=y")]);
    assert_eq!(
        arguments::deprecated_labels("board"),
        Err("\"board\" must be KEY=MESSAGE".into())
    );
}

#[test]
fn issuers_are_tables_of_the_file_or_text_of_a_flag() {
    let flag = "--oidc=issuer=https://dex.example.com,audience=jumpstarter,username_prefix=dex:,\
                provision=true,ca=/ca.pem;issuer=http://127.0.0.1:5556/dex,audience=lab,username_prefix=,\
                username_claim=email";
    let from_flag = loaded(&["--lab=l", "--in-memory", flag]).unwrap();
    let table = "lab = 'l'\nin_memory = true\n[[oidc]]\nissuer = 'https://dex.example.com'\naudience = 'jumpstarter'\n\
                 username_prefix = 'dex:'\nprovision = true\nca = '/ca.pem'\n\
                 [[oidc]]\nissuer = 'http://127.0.0.1:5556/dex'\naudience = 'lab'\n\
                 username_prefix = ''\nusername_claim = 'email'\n";
    assert_eq!(file(table), Ok(from_flag.clone()));
    let shown = from_flag.to_toml_with_comments().unwrap();
    assert_eq!(file(&shown), Ok(from_flag), "{shown}");
    let mistake = "\n[[oidc]]\nissuer = 'https://dex.example.com'\naudience = 'jumpstarter'\n";
    let problem = file(mistake).unwrap_err();
    assert!(
        problem.starts_with("gateway.toml:2:3: oidc: missing field `username_prefix`"),
        "{problem}"
    );
    for (flag, expected) in [
        (
            "--oidc=issuer=http://dex.example.com,audience=a,username_prefix=",
            "begins with https://",
        ),
        (
            "--oidc=issuer=http://localhost.example.com,audience=a,username_prefix=",
            "begins with https://",
        ),
        (
            "--oidc=issuer=https://a,audience=a,username_prefix=;issuer=https://a,audience=b,username_prefix=",
            "oidc: two issuers",
        ),
        ("--admins=ada", "admins: a client is NAMESPACE/NAME"),
        ("--token-lifetime=0s", "token_lifetime: must be longer"),
    ] {
        let problem = loaded(&["--lab=l", "--tokens=t", flag]).unwrap_err();
        assert!(problem.contains(expected), "{flag}: {problem}");
    }
}

#[test]
fn the_file_that_is_shown_gives_the_same_settings() {
    let flags = [
        "--demo",
        "--maximum-duration=90m",
        "--deprecated-labels=a=\"b\"",
    ];
    let settings = loaded(&flags).unwrap();
    let text = settings.to_toml_with_comments().unwrap();
    assert_eq!(file(&text), Ok(settings), "{text}");
    assert!(
        text.contains("# Most tags that a lease may have\nmax_tags = 10\n"),
        "{text}"
    );
    assert!(text.contains("\n# lab =\n"), "{text}");
}

#[test]
fn flags_and_variables_are_named_after_the_setting_and_the_document_has_them_all() {
    for argument in arguments::all().get_arguments() {
        let name = argument.get_id().as_str();
        assert_eq!(argument.get_long(), Some(name.replace('_', "-").as_str()));
        let variable = format!("JUMPSTARTER_GATEWAY_{}", name.to_uppercase());
        assert_eq!(argument.get_env(), Some(std::ffi::OsStr::new(&variable)));
        let default = match argument.get_default_values() {
            [value] if !value.is_empty() => format!("`{}`", value.display()),
            _ => String::new(),
        };
        let help = argument.get_help().unwrap();
        let row = format!("| `{name}` | {default} | {help}. |\n");
        assert!(
            DOCUMENT.contains(&row),
            "docs/configuration.md lacks\n{row}"
        );
    }
}

#[test]
fn what_a_running_server_takes_over_is_what_is_promised() {
    let (_, rest) = DOCUMENT.split_once("## While the server runs").unwrap();
    let list = rest.split("\n\n").nth(2).unwrap();
    let told: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(told, CHANGEABLE, "docs/configuration.md");
    let present = loaded(&["--demo", "--max-tags=3", "--maximum-duration=1h"]).unwrap();
    let read = loaded(&[
        "--demo",
        "--max-tags=4",
        "--listen=127.0.0.1:1",
        "--admins=a/b",
    ])
    .unwrap();
    let change = present.changed_to(&read).unwrap();
    assert_eq!(change.settings.max_tags, 4);
    assert_eq!(change.settings.maximum_duration, None);
    assert_eq!(change.settings.listen, present.listen);
    assert_eq!(change.postponed, ["listen"]);
    let taken_over = [
        "admins = [\"a/b\"]",
        "maximum_duration is not set",
        "max_tags = 4",
    ];
    let mut sorted = change.taken_over.clone();
    sorted.sort();
    let mut expected = taken_over.map(str::to_owned);
    expected.sort();
    assert_eq!(sorted, expected);
    let again = change.settings.changed_to(&read).unwrap();
    assert_eq!(again.taken_over, Vec::<String>::new());
    assert_eq!(again.postponed, ["listen"], "it still waits");
    assert_eq!(present.shutdown_delay, Duration::ZERO);
}

#[test]
fn the_examples_in_the_documents_are_good() {
    file(block(DOCUMENT, "toml")).unwrap().check().unwrap();
    let security = block(include_str!("../../docs/security.md"), "toml");
    let settings = file(&format!("lab = 'lab.yaml'\ndata = 'data'\n{security}")).unwrap();
    settings.check().unwrap();
    assert_eq!(settings.security.oidc.len(), 1, "{security}");
}
