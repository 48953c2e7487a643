//! What the path and the body both say of a field, through the entry point that the server uses.

use jumpstarter_gateway::transcode::{Binding, Body, Capture, Field, Kind, bind};

use crate::generated::gateway::vectors::v1::{BindRequest, vectors_http};
use crate::generated::library::v1 as pb;
use crate::generated::library::v1::library_service_http;

fn row(rpc: &str) -> &'static Binding {
    let mut rows = vectors_http::BINDINGS.iter();
    rows.find(|row| row.rpc.ends_with(&format!("/{rpc}")))
        .unwrap()
}

const TYPED: [&str; 4] = ["5", "COLOR_RED", "2026-01-01T00:00:00Z", "true"];

fn typed(body: &str) -> Result<BindRequest, String> {
    let captures = TYPED.into_iter();
    bind(row("ActTyped"), captures, None, body.as_bytes()).map_err(|fault| fault.to_string())
}

#[test]
fn as_many_fields_as_the_path_binds_may_be_repeated() {
    let repeated = [
        r#""bigId": 5"#,
        r#""color": 1"#,
        r#""begin_time": "2026-01-01T01:00:00+01:00""#,
        r#""dryRun": true"#,
    ];
    let plain = typed("{}").unwrap();
    for count in 1..=repeated.len() {
        let body = format!("{{{}}}", repeated[..count].join(", "));
        assert_eq!(typed(&body).as_ref(), Ok(&plain), "{body}");
    }
    let others = [
        (r#"{"bigId": 5, "color": 2}"#, "color: "),
        (r#"{"bigId": 6, "color": 1}"#, "bigId: "),
        (r#"{"bigId": 5, "color": 1, "dryRun": false}"#, "dryRun: "),
    ];
    for (body, field) in others {
        let error = typed(body).unwrap_err();
        let why = "the body another value; remove the field from the body";
        assert!(error.starts_with(field) && error.contains(why), "{error}");
    }
}

/// What is wrong in the URL has no place in the body, whoever reads it meanwhile.
#[test]
fn only_what_the_body_says_has_a_line_and_a_column() {
    let captures = ["abc", "COLOR_RED", "2026-01-01T00:00:00Z", "true"];
    let read = |captures: [&'static str; 4], body: &str| -> String {
        let request = bind(row("ActTyped"), captures.into_iter(), None, body.as_bytes());
        let request: Result<BindRequest, _> = request;
        request.unwrap_err().to_string()
    };
    for body in ["{}", r#"{"pageSize": 1}"#, ""] {
        let error = read(captures, body);
        assert!(error.starts_with("bigId: invalid value: "), "{error}");
        assert!(!error.contains("line"), "{error}");
    }
    let error = read(TYPED, r#"{"pageSize": "x"}"#);
    assert!(
        error.starts_with("pageSize: ") && error.contains("(line 1, column "),
        "{error}"
    );
    let error = read(captures, r#"{"bigId": }"#);
    assert!(
        error.contains("not valid JSON") && error.contains("line 1, column 11"),
        "{error}"
    );
}

/// NaN is not equal to itself.
#[test]
fn other_fields_do_not_matter() {
    let request = typed(r#"{"bigId": 5, "score": "NaN", "ratio": "NaN"}"#).unwrap();
    assert!(request.score.is_nan() && request.ratio.is_nan());

    let captures = ["1", "2", "NaN", "", "true", ""];
    let mut rows = library_service_http::BINDINGS.iter();
    let row = rows.find(|row| row.template.ends_with("/{wrapped_string}"));
    let row = with(row.unwrap(), Body::All, &[]);
    let specimen: pb::Specimen = bind(
        row,
        captures.into_iter(),
        None,
        br#"{"doubleValue": "NaN"}"#,
    )
    .unwrap();
    assert!(specimen.double_value.is_nan());
}

/// A row of our own making: this one with another body, and with further fields that the path binds.
fn with(
    row: &'static Binding,
    body: Body,
    paths: &'static [&'static [&'static Field]],
) -> &'static Binding {
    let capture = |path: &'static [&'static Field]| Capture {
        path,
        start: 0,
        end: 1,
        multi: false,
    };
    let own = row.captures.iter().map(|own| capture(own.path));
    let captures: Vec<Capture> = own.chain(paths.iter().copied().map(capture)).collect();
    Box::leak(Box::new(Binding {
        captures: captures.leak(),
        body,
        ..*row
    }))
}

/// The way to a field of a request for vectors.
fn way(names: &[&str]) -> &'static [&'static Field] {
    let mut message = row("Act").request;
    let fields: Vec<&Field> = names
        .iter()
        .map(|name| {
            let field = message.field(name).unwrap();
            if let Kind::Message(inner) = field.kind {
                message = inner;
            }
            field
        })
        .collect();
    fields.leak()
}

/// Null is unset (ProtoJSON), also where the path sets something inside it.
#[test]
fn null_holds_what_the_path_sets() {
    let text = ["a"];
    let outer = with(row("Act"), Body::All, vec![way(&["leaf", "text"])].leak());
    for body in [r#"{"leaf": null}"#, r#"{"leaf": {}}"#, "{}"] {
        let request: BindRequest = bind(outer, text.into_iter(), None, body.as_bytes()).unwrap();
        assert_eq!(request.leaf.unwrap().text, "a", "{body}");
    }
    let leaf = way(&["leaf"])[0];
    let inner = vec![way(&["leaf", "child", "text"])].leak();
    let inner = with(row("Act"), Body::Field(leaf), inner);
    for body in ["null", r#"{"child": null}"#, r#"{"child": {}}"#, "{}"] {
        let request: BindRequest = bind(inner, text.into_iter(), None, body.as_bytes()).unwrap();
        let child = request.leaf.unwrap().child.unwrap();
        assert_eq!(child.text, "a", "{body}");
    }
}

#[test]
fn a_mask_of_a_whole_message_does_not_cover_what_the_path_sets() {
    let patch = with(
        row("Update"),
        Body::Field(way(&["leaf"])[0]),
        vec![way(&["leaf", "child", "text"])].leak(),
    );
    for (body, paths) in [
        (r#"{"child": {}}"#, None),
        (r#"{"child": null, "numValue": 1}"#, Some("num_value")),
        (r#"{"child": {"numValue": 1}}"#, Some("child.num_value")),
    ] {
        let captures = ["things/1", "a"].into_iter();
        let request: BindRequest = bind(patch, captures, None, body.as_bytes()).unwrap();
        let mask = request.update_mask.map(|mask| mask.paths.join(","));
        assert_eq!(mask.as_deref(), paths, "{body}");
    }
}

/// Only a `google.protobuf.Value` can be null itself.
#[test]
fn a_body_of_null_is_what_its_field_makes_of_it() {
    let read = |name, body: &str| -> BindRequest {
        let row = with(row("Act"), Body::Field(way(&[name])[0]), &[]);
        bind(row, std::iter::empty(), None, body.as_bytes()).unwrap()
    };
    assert!(read("any_json", "null").any_json.is_some());
    assert!(read("any_json", "").any_json.is_none());
    for name in ["leaf", "tags", "labels", "opt_text", "page_size", "meta"] {
        assert_eq!(read(name, " null "), BindRequest::default(), "{name}");
    }
}
