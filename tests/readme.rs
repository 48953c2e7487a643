//! Runs what the papers tell a reader to run: every `sh` block of README.md, CONTRIBUTING.md and all
//! pages below `docs/`, in order, one shell for each page, and holds what a command prints against
//! the `text` block below it.
//!
//! In a `text` block `...` stands for anything, white space does not count, and one time is as good
//! as another. It knows nothing of the gateway but its program and, for `grpcurl`, its clients.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test reports"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jumpstarter_gateway::proto::json::{self, Options};
use jumpstarter_gateway::proto::jumpstarter::client::v1::GetExporterRequest;
use jumpstarter_gateway::proto::jumpstarter::client::v1::client_service_client::ClientServiceClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse::ListServicesResponse;

/// Where the papers say that the gateway listens.
const ADDRESS: &str = "127.0.0.1:8082";

/// What the shell knows before the first block: `cargo run` is the program that was built for this
/// test, and so is `jumpstarter-gateway`, which looks for the server where the page says it is; a
/// server is started once and is there when the block goes on, and what the tests or CI do themselves
/// is done nowhere else.
const PRELUDE: &str = r#"
gateway=$1 script=$2
export PATH="$(dirname "$gateway"):$PATH" JUMPSTARTER_GATEWAY_URL="http://$ADDRESS"
stop() { [ -z "${server-}" ] || { kill "$server"; wait "$server" || true; } 2>/dev/null; }
trap stop EXIT
cargo() {
    case "$*" in
        "run -- serve "*) stop; shift 2; serve "$@" ;;
        "run -- "*) shift 2; "$gateway" "$@" ;;
        *) grep -qxE "step [a-z]+ cargo $*" "$script" || { echo "CI does not run: cargo $*"; return 1; } ;;
    esac
}
serve() {
    local line
    exec 3< <(exec "$gateway" "$@" --listen "$ADDRESS" 2>server.log)
    server=$!
    while read -r line <&3; do
        echo "$line"
        [ "$line" != 'Stop it with Ctrl-C.' ] || return 0
    done
    cat server.log
    return 1
}
"#;

/// One block of commands, and what is shown of what they print.
struct Step {
    line: usize,
    commands: String,
    expected: Option<String>,
}

#[test]
fn the_papers_tell_the_truth() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    pages.extend(below(&root.join("docs")));
    assert!(pages.len() > 5, "where are the pages?");
    let failures: Vec<String> = pages.iter().flat_map(|page| failures(page, root)).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// The pages in a folder and the folders in it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let pages = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "md"));
    pages
        .chain(folders.iter().flat_map(|folder| below(folder)))
        .collect()
}

#[test]
fn a_lie_is_found() {
    let found = |expected| {
        differs(
            expected,
            r#"{"name":"first","at":"2026-01-02T03:04:05.6Z","tags":{}}"#,
        )
    };
    assert!(!found(r#"{"name": "first", ..., "tags": {}}"#));
    assert!(!found(
        r#"{"name": "first", "at": "2031-12-31T23:59:59Z", "tags": {}}"#
    ));
    assert!(found(r#"{"name": "second", ..., "tags": {}}"#));
    assert!(found(r#"{"name": "first", ...}, "tags": {}}"#));
    assert!(found(r#"{"name": "first""#));
    assert!(found("..., \"name\""));
}

/// grpcurl is not there to be run; the same calls are made by clients that are.
#[tokio::test]
async fn grpcurl_would_print_what_the_readme_shows() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let steps: Vec<Step> = steps(&text)
        .into_iter()
        .filter(|step| step.commands.starts_with("grpcurl"))
        .collect();
    assert!(!steps.is_empty());
    let address = free_address();
    let mut server = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"))
        .args(["serve", "--demo", "--listen", &address])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut announced = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let ready = announced.find(|line| line == "Stop it with Ctrl-C.");
    assert!(ready.is_some(), "it does not serve");
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut printed = vec![];
    for step in &steps {
        printed.push(grpcurl(&step.commands, channel.clone()).await);
    }
    server.kill().unwrap();
    server.wait().unwrap();
    for (
        Step {
            commands, expected, ..
        },
        printed,
    ) in steps.iter().zip(printed)
    {
        let expected = expected.as_deref().unwrap();
        assert!(
            !differs(expected, &printed),
            "{commands}\n--- expected:\n{expected}\n--- found:\n{printed}"
        );
    }
}

/// What a `grpcurl` command prints.
async fn grpcurl(command: &str, channel: tonic::transport::Channel) -> String {
    let (options, data) = match command.split('\'').collect::<Vec<_>>()[..] {
        [before, data, after] => (format!("{before}DATA{after}"), data.to_owned()),
        _ => (command.to_owned(), String::new()),
    };
    match options.split_whitespace().collect::<Vec<_>>()[..] {
        ["grpcurl", "-plaintext", ADDRESS, "list"] => {
            let message_request = Some(ListServices(String::new()));
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request,
            };
            let mut client = ServerReflectionClient::new(channel);
            let answers = client
                .server_reflection_info(futures_util::stream::iter([request]))
                .await;
            let answer = answers
                .unwrap()
                .into_inner()
                .message()
                .await
                .unwrap()
                .unwrap();
            let Some(ListServicesResponse(list)) = answer.message_response else {
                panic!("no list: {answer:?}")
            };
            let mut names: Vec<String> = list
                .service
                .into_iter()
                .map(|service| service.name)
                .collect();
            names.sort();
            names.join("\n")
        }
        [
            "grpcurl",
            "-plaintext",
            "-d",
            "DATA",
            ADDRESS,
            "jumpstarter.client.v1.ClientService/GetExporter",
        ] => {
            let request: GetExporterRequest =
                json::from_slice(data.as_bytes(), Options::default()).unwrap();
            let answer = ClientServiceClient::new(channel)
                .get_exporter(request)
                .await
                .unwrap();
            String::from_utf8(json::to_vec(answer.get_ref()).unwrap()).unwrap()
        }
        _ => panic!("this test has no client for `{command}`"),
    }
}

/// What is wrong on a page.
fn failures(page: &Path, root: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let steps: Vec<Step> = steps(&text)
        .into_iter()
        .filter(|step| !step.commands.starts_with("grpcurl"))
        .collect();
    if steps.is_empty() {
        return vec![];
    }
    let address = free_address();
    let outputs = run(&steps, root, &address);
    let wrong = steps.iter().zip(outputs).filter_map(|(step, output)| {
        let (printed, status) = output;
        let expected = step.expected.as_ref().map(|text| text.replace(ADDRESS, &address));
        let differs = expected.as_ref().is_some_and(|expected| differs(expected, &printed));
        (differs || status != "0").then(|| {
            let Step { line, commands, .. } = step;
            let expected = expected.unwrap_or_default();
            format!(
                "{}:{line}: these commands end with {status}:\n{commands}\n--- expected:\n{expected}\n--- found:\n{printed}\n",
                page.display()
            )
        })
    });
    wrong.collect()
}

/// Runs the steps in one shell, in a folder of its own; returns what each printed and its status.
fn run(steps: &[Step], root: &Path, address: &str) -> Vec<(String, String)> {
    const MARK: &str = "==== the end of a block, with status ";
    let folder = tempfile::tempdir().unwrap();
    // No proxy, no progress, and nothing hangs.
    fs::write(
        folder.path().join(".curlrc"),
        "silent\nshow-error\nnoproxy = *\nmax-time = 60\n",
    )
    .unwrap();
    let mut script = PRELUDE.to_owned();
    for step in steps {
        let commands = step.commands.replace(ADDRESS, address);
        script.push_str(&format!(
            "{{\n{commands}\n}} 2>&1\nprintf '\\n{MARK}%s\\n' $?\n"
        ));
    }
    let program = folder.path().join("session.sh");
    fs::write(&program, script).unwrap();
    let output = Command::new("bash")
        .arg(&program)
        .args([
            Path::new(env!("CARGO_BIN_EXE_jumpstarter-gateway")),
            &root.join(".ci/run"),
        ])
        .current_dir(folder.path())
        .env("CURL_HOME", folder.path())
        .env("ADDRESS", address)
        .stdin(Stdio::null())
        .output()
        .expect("bash is needed to run what the papers say");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts: Vec<&str> = printed.split(MARK).collect();
    let statuses = parts
        .iter()
        .skip(1)
        .map(|part| part.lines().next().unwrap_or_default());
    // What follows a mark begins with the status of the block before.
    let outputs = parts.iter().enumerate().map(|(index, part)| match index {
        0 => *part,
        _ => part.split_once('\n').map_or("", |(_, rest)| rest),
    });
    let outputs: Vec<_> = outputs
        .zip(statuses)
        .map(|(text, status)| (text.to_owned(), status.to_owned()))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        outputs.len(),
        steps.len(),
        "the shell stopped early:\n{printed}\n{errors}"
    );
    outputs
}

/// The steps of a page: each `sh` block, with the `text` block that comes next, if one does.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    let mut block: Option<(&str, usize, String)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language, index + 2, String::new())),
            (None, None) => {}
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (Some(_), Some(_)) => match block.take().unwrap() {
                ("sh", line, commands) => steps.push(Step {
                    line,
                    commands,
                    expected: None,
                }),
                ("text", _, text) => {
                    if let Some(step) = steps.last_mut().filter(|step| step.expected.is_none()) {
                        step.expected = Some(text);
                    }
                }
                _ => {}
            },
        }
    }
    steps
}

/// Whether what was found is not what is shown.
fn differs(expected: &str, found: &str) -> bool {
    let (expected, found) = (plain(expected), plain(found));
    let mut parts = expected.split("...");
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else {
        return true;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return !rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return true,
        }
    }
    !rest.ends_with(last)
}

/// Text without white space, in which every time is the same.
fn plain(text: &str) -> String {
    const TIME: &str = "0000-00-00T00:00:00";
    let text: String = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let is_time = |at: &str| {
        at.len() > TIME.len()
            && at
                .bytes()
                .zip(TIME.bytes())
                .all(|(byte, pattern)| match pattern {
                    b'0' => byte.is_ascii_digit(),
                    other => byte == other,
                })
    };
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some(character) = rest.chars().next() {
        if is_time(rest) {
            plain.push_str("TIME");
            rest = rest[TIME.len()..]
                .trim_start_matches(|next: char| next == '.' || next.is_ascii_digit());
        } else {
            plain.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    plain
}

/// An address that nobody listens on.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}
