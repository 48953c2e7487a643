//! What cannot work is refused by the build, in words that name the rpc; what can, is generated.

use std::fs;

use super::{Recipe, generate};

/// The rows of a service with these rpcs, beside messages that serve all of them.
fn generated(rpcs: &str) -> Result<String, String> {
    warned(rpcs).map(|(rows, _)| rows)
}

/// The same, and what the generator warns of.
fn warned(rpcs: &str) -> Result<(String, Vec<String>), String> {
    declared(rpcs, "")
}

/// The same, with further declarations beside the service.
fn declared(rpcs: &str, others: &str) -> Result<(String, Vec<String>), String> {
    let root = tempfile::tempdir().unwrap();
    let proto = format!(
        r#"
        syntax = "proto3";
        package shop.v1;
        import "google/api/annotations.proto";
        import "google/api/httpbody.proto";
        import "google/protobuf/field_mask.proto";
        message Inner {{ string name = 1; }}
        message Ask {{
            string name = 1;
            Inner inner = 2;
            repeated string names = 3;
            map<string, string> labels = 4;
            google.api.HttpBody file = 5;
        }}
        service Shop {{ {rpcs} }}
        {others}
        "#
    );
    fs::write(root.path().join("shop.proto"), proto).unwrap();
    let out = root.path().join("out");
    let recipe = Recipe {
        root: root.path(),
        include: &["proto".as_ref()],
        files: &["shop.proto"],
        packages: &["shop.v1"],
        external: &[("google.api", "::jumpstarter_gateway::proto::google::api")],
        emit_defaults: false,
        default_stubs: false,
        openapi: None,
        crate_root: "::jumpstarter_gateway",
        out: &out,
    };
    let warnings = generate(&recipe).map_err(|error| error.to_string())?;
    let rows = fs::read_to_string(out.join("shop.v1.http.rs")).unwrap();
    Ok((rows, warnings))
}

/// An rpc `Buy` with this rule.
fn rpc(rule: &str) -> String {
    format!("rpc Buy(Ask) returns (Ask) {{ option (google.api.http) = {{ {rule} }}; }}")
}

#[track_caller]
fn refused(rpcs: &str, told: &[&str]) {
    let error = generated(rpcs).expect_err("it is generated");
    for part in ["rpc shop.v1.Shop.Buy: "].iter().chain(told) {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_malformed_template_is_refused() {
    for (template, what) in [
        ("v1/x", "`/` was expected (at byte 0)"),
        ("/v1/{name", "`}` was expected (at byte 9)"),
        (
            "/v1/{name=**}/x",
            "`**` must be the last segment (at byte 14)",
        ),
        ("/v1/{name=a/{inner.name}}", "variables do not nest"),
        ("/v1/{name}/{name}", "`name` is bound twice"),
        ("/v1/a*", "`*` cannot follow"),
    ] {
        refused(&rpc(&format!("get: '{template}'")), &[template, what]);
    }
}

#[test]
fn nested_bindings_are_refused() {
    refused(
        &rpc(
            "get: '/v1/a' additional_bindings { get: '/v1/b' additional_bindings { get: '/v1/c' } }",
        ),
        &["additional_bindings of their own"],
    );
}

#[test]
fn a_selected_field_says_what_it_is_when_it_is_not_set() {
    for (field, unset) in [
        ("name", r#"\"\""#),
        ("names", "[]"),
        ("labels", "{}"),
        ("inner", "null"),
    ] {
        let text = generated(&rpc(&format!("get: '/v1/x' response_body: '{field}'"))).unwrap();
        let expected = format!("unset: \"{unset}\"");
        assert!(text.contains(&expected), "`{expected}` is not in: {text}");
    }
}

#[test]
fn a_field_that_does_not_exist_is_refused() {
    let missing = "the field `nam`, which shop.v1.Ask does not have";
    refused(&rpc("get: '/v1/{nam}'"), &["the path names", missing]);
    refused(&rpc("post: '/v1/x' body: 'nam'"), &["body names", missing]);
    refused(
        &rpc("get: '/v1/x' response_body: 'nam'"),
        &["response_body names", missing],
    );
    let inside = "the field `nam`, which shop.v1.Inner does not have";
    refused(&rpc("get: '/v1/{inner.nam}'"), &[inside]);
    let additional = "get: '/v1/x' additional_bindings { get: '/v1/{nam}' }";
    refused(&rpc(additional), &[missing]);
}

#[test]
fn a_capture_of_no_single_value_is_refused() {
    for field in ["inner", "names", "labels", "file"] {
        let told = format!("`{field}` cannot be bound by the path");
        refused(&rpc(&format!("get: '/v1/{{{field}}}'")), &[&told]);
    }
    refused(
        &rpc("get: '/v1/{name.first}'"),
        &["`name` in `name.first` has no fields"],
    );
    let twice = "post: '/v1/{name}' body: 'name'";
    refused(
        &rpc(twice),
        &["`name` is bound by the path and cannot be the body too"],
    );
}

#[test]
fn a_rule_without_a_method_is_refused() {
    refused(&rpc("body: '*'"), &["names no method"]);
    refused(&rpc("custom { path: '/v1/x' }"), &["has no `kind`"]);
    refused(
        &rpc("custom { kind: 'A B' path: '/v1/x' }"),
        &["`A B` is not an HTTP method"],
    );
}

#[test]
fn two_rpcs_on_one_route_are_refused() {
    let other =
        "rpc Ask(Ask) returns (Ask) { option (google.api.http) = { get: '/v1/{name=a/*}:x' }; }";
    let rpcs = format!("{other} {}", rpc("get: '/v1/a/{inner.name}:x'"));
    refused(&rpcs, &["claims the same GET requests as shop.v1.Shop.Ask"]);
}

#[test]
fn rpcs_that_share_requests_are_told() {
    let other =
        "rpc Ask(Ask) returns (Ask) { option (google.api.http) = { get: '/v1/{name=a/*}' }; }";
    let (_, warnings) = warned(&format!("{} {other}", rpc("get: '/v1/{name=*/b}'"))).unwrap();
    let expected = "rpc shop.v1.Shop.Buy: shares requests with shop.v1.Shop.Ask, which answers \
        them, such as GET /v1/a/b";
    assert_eq!(warnings, [expected]);
    let (_, warnings) = warned(&format!("{} {other}", rpc("get: '/v1/a/b'"))).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_stream_of_requests_is_refused() {
    let stream = "rpc Buy(stream Ask) returns (Ask) { option (google.api.http) = { post: '/v1/x' body: '*' }; }";
    refused(stream, &["client-streaming"]);
}

#[test]
fn bodies_of_bytes_are_told_apart_by_their_type() {
    let rpcs = "
        rpc Get(Ask) returns (google.api.HttpBody) { option (google.api.http) = { get: '/v1/a' }; }
        rpc Take(google.api.HttpBody) returns (Ask) { option (google.api.http) = { post: '/v1/b' body: '*' }; }
        rpc Part(Ask) returns (Ask) {
            option (google.api.http) = { post: '/v1/c' body: 'file' response_body: 'file' };
        }
        rpc Many(Ask) returns (stream google.api.HttpBody) { option (google.api.http) = { get: '/v1/d' }; }
    ";
    let rows = generated(rpcs).unwrap();
    for part in [
        "Route::unary_raw",
        "Route::streaming_raw",
        "reply.file",
        "response_body: None",
    ] {
        assert!(rows.contains(part), "`{part}` is not in:\n{rows}");
    }
    assert_eq!(rows.matches("body: Body::Raw").count(), 2, "{rows}");
}

/// The mask of a PATCH with this body, whose request also has these fields.
fn mask_of(body: &str, fields: &str) -> Option<String> {
    let message =
        format!("message Change {{ Inner inner = 1; google.api.HttpBody file = 2; {fields} }}");
    let rule = format!("patch: '/v1/{{inner.name}}' body: '{body}'");
    let rpc =
        format!("rpc Buy(Change) returns (Ask) {{ option (google.api.http) = {{ {rule} }}; }}");
    let (rows, _) = declared(&rpc, &message).unwrap();
    let rows: String = rows.split_whitespace().collect();
    if rows.contains("mask:None") {
        return None;
    }
    let (_, mask) = rows
        .split_once("field:&tables::shop_v1_Change.fields[")
        .unwrap();
    let index: usize = mask.split("usize").next().unwrap().parse().unwrap();
    let (_, table) = rows.split_once("staticshop_v1_Change:").unwrap();
    let field = table.split("Field::new(").nth(index + 1).unwrap();
    Some(field.split('"').nth(1).unwrap().to_owned())
}

#[test]
fn the_mask_of_a_patch_is_the_one_of_that_name() {
    let mask = |name: &str, number: u32| format!("google.protobuf.FieldMask {name} = {number};");
    for (fields, expected) in [
        (vec![], None),
        (vec!["update_mask"], Some("update_mask")),
        (vec!["read_mask", "update_mask"], Some("update_mask")),
        (vec!["changes", "update_mask"], Some("update_mask")),
        (vec!["changes"], Some("changes")),
        (vec!["read_mask"], None),
        (vec!["changes", "others"], None),
    ] {
        let fields: String = fields
            .iter()
            .zip(3..)
            .map(|(name, at)| mask(name, at))
            .collect();
        assert_eq!(mask_of("inner", &fields).as_deref(), expected, "{fields}");
    }
}

#[test]
fn a_body_of_bytes_has_no_mask() {
    let mask = "google.protobuf.FieldMask update_mask = 3;";
    assert_eq!(mask_of("file", mask), None);
}

#[test]
fn names_are_those_that_prost_and_tonic_make() {
    let get = |name: &str, path: &str| {
        format!(
            "rpc {name}(Ask) returns (Ask) {{ option (google.api.http) = {{ get: '{path}' }}; }}"
        )
    };
    let others = format!(
        "service HTTPRouteService {{ {} }} service shelf_2 {{ {} }}",
        get("Super", "/v1/b"),
        get("GetHTTPRoute", "/v1/c")
    );
    let (rows, _) = declared(&get("Move", "/v1/a"), &others).unwrap();
    for part in [
        "service.r#move(request)",
        "use super::{http_route_service_server::HttpRouteService,",
        "service.super_(request)",
        "use super::{shelf2_server::Shelf2,",
        "service.get_http_route(request)",
    ] {
        assert!(rows.contains(part), "`{part}` is not in:\n{rows}");
    }
}
