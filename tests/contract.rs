//! Holds `proto/` against Jumpstarter's contract, `tests/golden/contract.binpb`, and against our
//! own rule that everything in it is described.
//!
//! Both sides are flattened into facts: of `jumpstarter.v1.Time.nanos`, `number` is `2`. The
//! contract's facts must be ours too; whatever we have beyond them passes. The test knows nothing
//! of the crate. It reads the proto files only, and edits them on the way to see itself fail.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "contract/elements.rs"]
mod elements;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use protox::file::{File, FileResolver, GoogleFileResolver};

use elements::{ABSENT, Element, elements};

#[test]
fn the_contract_is_kept() {
    let differences = differences(&contract(), &protos(None));
    assert!(
        differences.is_empty(),
        "proto/ departs from tests/golden/contract.binpb:\n{}",
        differences.join("\n")
    );
}

#[test]
fn the_contract_is_read_to_the_end() {
    let contract = contract();
    assert_eq!(contract.len(), 271, "elements of the contract");
    let expected = [
        ("client.v1.Lease.tags", "type", "map<string, string>"),
        ("client.v1.Lease.client", "label", "optional"),
        ("client.v1.Exporter.online", "deprecated", "true"),
        (
            "client.v1.ClientService.UpdateLease",
            "google.api.http",
            r#"{patch:"/v1/{lease.name=namespaces/*/leases/*}",body:"lease"}"#,
        ),
    ];
    for (name, aspect, value) in expected {
        let name = format!("jumpstarter.{name}");
        let element = contract.iter().find(|element| element.name == name);
        assert_eq!(element.unwrap().facts[aspect], value, "{aspect} of {name}");
    }
}

/// Each line is one edit and how it is reported: file, what stands there, what is put instead, and
/// how the report begins, `jumpstarter.` before it.
const DEPARTURES: &str = r#"
client/v1/client | string selector = 2 | string selector = 99 | client.v1.Lease.selector: number is 99, should be 2
client/v1/client | string status_message | bytes status_message | client.v1.Exporter.status_message: type is bytes, should be string
client/v1/client | > tags = 13 | > labels = 13 | client.v1.Lease.tags: missing
client/v1/client | map<string, string> tags | map<string, bytes> tags | client.v1.Lease.tags: type is map<string, bytes>, should be map<string, string>
client/v1/client | optional string exporter_name | string exporter_name | client.v1.Lease.exporter_name: label is single, should be optional
client/v1/client | repeated Exporter exporters | Exporter exporters | client.v1.ListExportersResponse.exporters: label is single, should be repeated
client/v1/client | status_message = 5 [ | status_message = 5 [json_name = "note", | client.v1.Exporter.status_message: json_name is note, should be statusMessage
client/v1/client | deprecated = true, |  | client.v1.Exporter.online: deprecated is absent, should be true
client/v1/client | ExporterStatus status = 4 [(google.api.field_behavior) = OUTPUT_ONLY] | ExporterStatus status = 4 | client.v1.Exporter.status: google.api.field_behavior is absent, should be [OUTPUT_ONLY]
client/v1/client | labels = 2; | labels = 2 [(google.api.field_behavior) = REQUIRED]; | client.v1.Exporter.labels: google.api.field_behavior is [REQUIRED], should be absent
client/v1/client | plural: "leases" | plural: "leasings" | client.v1.Lease: google.api.resource is {
client/v1/client | child_type: "jumpstarter.dev/Client" | type: "jumpstarter.dev/Client" | client.v1.RotateTokenRequest.parent: google.api.resource_reference is {type:
client/v1/client | {delete: "/v1/{name | {delete: "/v2/{name | client.v1.ClientService.DeleteLease: google.api.http is {delete:"/v2/
client/v1/client | /rotate-token" | /rotate-token" additional_bindings {get: "/token"} | client.v1.ClientService.RotateToken: google.api.http is {post:
client/v1/client | "lease,update_mask" | "lease" | client.v1.ClientService.UpdateLease: google.api.method_signature is ["lease"],
client/v1/client | returns (google.protobuf.Empty) | returns (Lease) | client.v1.ClientService.DeleteLease: response is jumpstarter.client.v1.Lease,
v1/jumpstarter | rpc Unregister(UnregisterRequest) returns (UnregisterResponse); |  | v1.ControllerService.Unregister: missing
v1/jumpstarter | returns (stream ListenResponse) | returns (ListenResponse) | v1.ControllerService.Listen: response is jumpstarter.v1.ListenResponse, should be stream
v1/jumpstarter | rpc DriverCall(DriverCall | rpc DriverCall(stream DriverCall | v1.ExporterService.DriverCall: request is stream jumpstarter.v1.DriverCallRequest,
v1/telemetry | uint32 dropped = 2; | oneof rest { uint32 dropped = 2; } | v1.PushLogsResponse.dropped: oneof is rest, should be absent
v1/common | LOG_SOURCE_SYSTEM = 4 | LOG_SOURCE_SYSTEM = 5 | v1.LogSource.LOG_SOURCE_SYSTEM: number is 5, should be 4
"#;

#[test]
fn every_departure_is_reported() {
    let contract = contract();
    for case in DEPARTURES.trim().lines() {
        let [file, from, to, expected] = columns(case);
        let found = differences(&contract, &protos(Some(Edit { file, from, to })));
        let expected = format!("jumpstarter.{expected}");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{case}\nshould give one difference and gives:\n{}",
            found.join("\n")
        );
    }
}

const ADDITIONS: &str = "
v1/common | LOG_SOURCE_SYSTEM = 4; | LOG_SOURCE_SYSTEM = 4; LOG_SOURCE_MOON = 5;
v1/telemetry | uint32 dropped = 2; | uint32 dropped = 2; uint32 delayed = 3;
v1/jumpstarter | message ResetRequest {} | message ResetRequest {} message Nothing {}
v1/jumpstarter | rpc Dial(DialRequest) returns | rpc Hang(DialRequest) returns (DialResponse); rpc Dial(DialRequest) returns
";

#[test]
fn additions_pass() {
    let contract = contract();
    for case in ADDITIONS.trim().lines() {
        let [file, from, to] = columns(case);
        let found = differences(&contract, &protos(Some(Edit { file, from, to })));
        assert!(
            found.is_empty(),
            "{case}\nshould pass and gives:\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn everything_is_described() {
    let bare = undescribed(protos(None));
    assert!(
        bare.is_empty(),
        "these have no comment in proto/:\n{}",
        bare.join("\n")
    );
}

/// Each line is a comment, and what is without one when it is taken away.
const COMMENTS: &str = "
v1/telemetry | // How many lines were thrown away. | jumpstarter.v1.PushLogsResponse.dropped
v1/telemetry | // What became of a batch. | jumpstarter.v1.PushLogsResponse
v1/telemetry | // Collects log lines. | jumpstarter.v1.TelemetryService
v1/jumpstarter | // Follow the log | jumpstarter.v1.ExporterService.LogStream
v1/common | // Where in an exporter a log line comes from. | jumpstarter.v1.LogSource
v1/common | // The exporter itself. | jumpstarter.v1.LogSource.LOG_SOURCE_SYSTEM
v1/common | // Enums that several of Jumpstarter's services share. | jumpstarter/v1/common.proto
";

#[test]
fn a_missing_description_is_reported() {
    for case in COMMENTS.trim().lines() {
        let [file, from, expected] = columns(case);
        let to = "";
        let bare = undescribed(protos(Some(Edit { file, from, to })));
        assert_eq!(bare, [expected], "{case}");
    }
}

/// The API document and the generated code take the first line of a method for its summary.
#[test]
fn every_method_opens_with_a_short_summary() {
    let elements = protos(None);
    for method in elements.iter().filter(|element| element.is_method) {
        let mut lines = method.comment.lines();
        let summary = lines.next().unwrap_or_default();
        assert!(
            summary.len() <= 60 && !summary.contains('.'),
            "{}: the first line is no short summary: {summary}",
            method.name
        );
        assert!(
            lines.next().unwrap_or_default().is_empty(),
            "{}: an empty line is missing after the summary",
            method.name
        );
    }
}

fn columns<const N: usize>(line: &str) -> [&str; N] {
    let columns: Vec<&str> = line.split(" | ").collect();
    columns.try_into().expect(line)
}

fn contract() -> Vec<Element> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/contract.binpb");
    let bytes = std::fs::read(path).unwrap();
    elements(&DescriptorPool::decode(bytes.as_slice()).unwrap())
}

/// One line for each fact of the contract that is not ours.
fn differences(contract: &[Element], ours: &[Element]) -> Vec<String> {
    let ours: BTreeMap<&str, &Element> = ours.iter().map(|it| (it.name.as_str(), it)).collect();
    let mut lines = vec![];
    for Element { name, facts, .. } in contract {
        let Some(present) = ours.get(name.as_str()) else {
            lines.push(format!("{name}: missing"));
            continue;
        };
        for (aspect, expected) in facts {
            let found = present.facts.get(aspect).map_or(ABSENT, String::as_str);
            if found != expected {
                lines.push(format!("{name}: {aspect} is {found}, should be {expected}"));
            }
        }
    }
    lines
}

/// The names of the elements that no comment stands before.
fn undescribed(elements: Vec<Element>) -> Vec<String> {
    let elements = elements.into_iter();
    let bare = elements.filter(|element| element.comment.is_empty());
    bare.map(|element| element.name).collect()
}

/// A change to the text of one file.
#[derive(Clone, Copy, Debug)]
struct Edit {
    /// Its path below `proto/jumpstarter/`, without `.proto`.
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Compiles all of `proto/`, with an edit made to it if there is one.
fn protos(edit: Option<Edit>) -> Vec<Element> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let names = proto_files(&root);
    let mut compiler = protox::Compiler::with_file_resolver(Sources { root, edit });
    compiler.include_source_info(true);
    if let Err(error) = compiler.open_files(names) {
        panic!("proto/ does not compile, edited by {edit:?}: {error}");
    }
    elements(&compiler.descriptor_pool())
}

/// The proto files below a directory, relative to it.
fn proto_files(root: &Path) -> Vec<PathBuf> {
    let mut directories = vec![root.to_owned()];
    let mut files = vec![];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == "proto") {
                files.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files
}

/// The files of `proto/`, one of them edited, and `google/protobuf/*` from the compiler.
struct Sources {
    root: PathBuf,
    edit: Option<Edit>,
}

impl FileResolver for Sources {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let Ok(text) = std::fs::read_to_string(self.root.join(name)) else {
            return GoogleFileResolver::new().open_file(name);
        };
        match self.edit {
            Some(Edit { file, from, to }) if name == format!("jumpstarter/{file}.proto") => {
                let places = text.matches(from).count();
                assert_eq!(places, 1, "places in {name} where `{from}` stands");
                File::from_source(name, &text.replace(from, to))
            }
            _ => File::from_source(name, &text),
        }
    }
}
