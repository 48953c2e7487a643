//! The generator against small services made up here, and against the invented library, which uses
//! all that `google.api.http` can say.

use std::path::Path;

use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};
use serde_json::Value;

use super::{document, yaml};
use crate::codegen::rules::{Service, services};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file that stands only here.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "test.proto" {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// The annotated services of a file: `test.proto` is `source`.
fn compile(file: &str, package: &str, source: &str) -> Vec<Service> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(source.to_owned()));
    resolver.add(IncludeFileResolver::new(Path::new(ROOT).join("proto")));
    resolver.add(IncludeFileResolver::new(
        Path::new(ROOT).join("tests/proto"),
    ));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files([file])
        .unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    services(&pool, &[package]).unwrap()
}

/// A service `S` with these rpcs, beside a resource `things/{thing_id}/parts/{part_id}`.
fn service(rpcs: &str) -> Vec<Service> {
    let source = format!(
        r#"syntax = "proto3";
        package t;
        import "google/api/annotations.proto";
        import "google/api/field_behavior.proto";
        import "google/api/resource.proto";
        message Part {{
            option (google.api.resource) = {{
                type: "t.dev/Part" pattern: "things/{{thing_id}}/parts/{{part_id}}" singular: "part" plural: "parts"
            }};
            string name = 1;
            string label = 2 [(google.api.field_behavior) = REQUIRED];
        }}
        message Referred {{ string name = 1 [(google.api.resource_reference).type = "t.dev/Part"]; }}
        message Parent {{ string parent = 1 [(google.api.resource_reference).child_type = "t.dev/Part"]; }}
        message Stranger {{ string parent = 1 [(google.api.resource_reference).child_type = "t.dev/Nobody"]; }}
        message Owner {{ Part part = 1; }}
        message Plain {{ string name = 1; string other = 2; Plain inner = 3; }}
        service S {{ {rpcs} }}"#
    );
    compile("test.proto", "t", &source)
}

fn rpc(name: &str, request: &str, rule: &str) -> String {
    format!("rpc {name}({request}) returns (Part) {{ option (google.api.http) = {{{rule}}}; }}\n")
}

fn written(services: &[Service], supplement: &str) -> Value {
    serde_json::from_str(&document(services, supplement).unwrap()).unwrap()
}

fn paths(document: &Value) -> Vec<&str> {
    document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// The path of one rpc with this rule.
fn path(request: &str, rule: &str) -> String {
    let document = written(&service(&rpc("Do", request, rule)), "{}");
    paths(&document)[0].to_owned()
}

fn refusal(rpcs: &str) -> String {
    document(&service(rpcs), "{}").unwrap_err().to_string()
}

#[test]
fn wildcards_are_called_as_the_resource_calls_them() {
    // The type that the field refers to.
    assert_eq!(
        path("Referred", r#"get: "/v1/{name=things/*/parts/*}""#),
        "/v1/things/{thing_id}/parts/{part_id}"
    );
    // The resource whose name the field is.
    assert_eq!(
        path(
            "Owner",
            r#"patch: "/v1/{part.name=things/*/parts/*}" body: "part""#
        ),
        "/v1/things/{thing_id}/parts/{part_id}"
    );
    // The beginning of the child's pattern.
    assert_eq!(
        path("Parent", r#"get: "/v1/{parent=things/*}/parts""#),
        "/v1/things/{thing_id}/parts"
    );
    // Any pattern with the same literals, because nothing defines the child.
    assert_eq!(
        path("Stranger", r#"get: "/v1/{parent=things/*}/nobodies""#),
        "/v1/things/{thing_id}/nobodies"
    );
}

#[test]
fn wildcards_of_no_resource_are_called_after_the_literal_before_them() {
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=boxes/*/entries/*}""#),
        "/v1/boxes/{box}/entries/{entry}"
    );
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=leases/*/status/*}""#),
        "/v1/leases/{lease}/status/{name}"
    );
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=parts/*}""#),
        "/v1/parts/{part}"
    );
    // One wildcard alone is its field.
    assert_eq!(
        path("Plain", r#"get: "/v1/things/{other}""#),
        "/v1/things/{other}"
    );
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=things/**}:read""#),
        "/v1/things/{name}:read"
    );
    // Twice the same collection.
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=boxes/*}/in/{other=boxes/*}""#),
        "/v1/boxes/{name_box}/in/boxes/{other_box}"
    );
    assert_eq!(
        path("Plain", r#"get: "/v1/{name=boxes/*/boxes/*}""#),
        "/v1/boxes/{name_box}/boxes/{name_box_2}"
    );
}

#[test]
fn rpcs_on_one_path_share_its_key_and_its_names() {
    let rpcs = [
        rpc(
            "GetPart",
            "Referred",
            r#"get: "/v1/{name=things/*/parts/*}""#,
        ),
        rpc(
            "UpdatePart",
            "Owner",
            r#"patch: "/v1/{part.name=things/*/parts/*}" body: "part""#,
        ),
        rpc(
            "DropPart",
            "Plain",
            r#"delete: "/v1/things/{name}/parts/{other}""#,
        ),
    ];
    let document = written(&service(&rpcs.concat()), "{}");
    assert_eq!(paths(&document), ["/v1/things/{thing_id}/parts/{part_id}"]);
    let item = &document["paths"]["/v1/things/{thing_id}/parts/{part_id}"];
    for method in ["get", "patch", "delete"] {
        let names = item[method]["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| &parameter["name"]);
        let names: Vec<_> = names.take(2).collect();
        assert_eq!(names, ["thing_id", "part_id"], "parameters of {method}");
    }
}

#[test]
fn what_openapi_cannot_say_is_refused() {
    let one_operation = [
        rpc("GetFile", "Plain", r#"get: "/v1/{name=files/**}""#),
        rpc("GetEntry", "Plain", r#"get: "/v1/{name=files/*}""#),
    ];
    assert_eq!(
        refusal(&one_operation.concat()),
        "rpc t.S.GetEntry: `GET /v1/{name=files/*}` cannot be told from `/v1/{name=files/**}` of t.S.GetFile \
         in an OpenAPI document: both are `/v1/files/{name}`"
    );
    let search = r#"custom: {kind: "SEARCH" path: "/v1/parts"}"#;
    assert_eq!(
        refusal(&rpc("Search", "Plain", search)),
        "rpc t.S.Search: OpenAPI 3.1 cannot describe the method `SEARCH` of `/v1/parts`"
    );
    let any = r#"custom: {kind: "*" path: "/v1/parts"}"#;
    assert!(refusal(&rpc("Any", "Plain", any)).starts_with("rpc t.S.Any: "));
}

#[test]
fn a_supplement_for_what_does_not_exist_is_refused() {
    let services = service(&rpc(
        "GetPart",
        "Referred",
        r#"get: "/v1/{name=things/*/parts/*}""#,
    ));
    for (section, known) in [
        ("fields", "t.Part.label, t.Part.name, t.Referred.name"),
        ("operations", "GetPart"),
        ("tags", "Parts"),
        ("parameters", "part_id, thing_id"),
        ("errors", "400, 401, 404, 406, 429, 500, 503, default"),
    ] {
        let supplement = format!(r#"{{"{section}": {{"Nothing": {{}}}}}}"#);
        assert_eq!(
            document(&services, &supplement).unwrap_err().to_string(),
            format!(
                "the OpenAPI supplement has `Nothing` under `{section}`, where there are only: {known}"
            )
        );
    }
}

#[test]
fn a_request_requires_less_than_an_answer_and_a_patch_nothing() {
    let rpcs = [
        rpc("AddPart", "Owner", r#"post: "/v1/parts" body: "part""#),
        rpc(
            "UpdatePart",
            "Owner",
            r#"patch: "/v1/{part.name=things/*/parts/*}" body: "part""#,
        ),
    ];
    let document = written(&service(&rpcs.concat()), "{}");
    let schemas = &document["components"]["schemas"];
    // What is answered spells defaults out, and may grow.
    assert_eq!(
        schemas["Part"]["required"],
        serde_json::json!(["name", "label"])
    );
    assert_eq!(schemas["Part"].get("additionalProperties"), None);
    assert_eq!(
        schemas["PartInput"]["required"],
        serde_json::json!(["label"])
    );
    assert_eq!(schemas["PartInput"]["additionalProperties"], false);
    assert_eq!(schemas["PartPatch"].get("required"), None);
    assert_eq!(schemas["PartPatch"]["additionalProperties"], false);
    let body = &document["paths"]["/v1/things/{thing_id}/parts/{part_id}"]["patch"]["requestBody"];
    assert_eq!(
        body["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/PartPatch"
    );
}

#[test]
fn comments_name_fields_as_json_does_and_codes_that_become_statuses() {
    let source = r#"syntax = "proto3";
        package t;
        import "google/api/annotations.proto";
        // A letter.
        message Letter {
            // Set `sent_time` too. A second one is `ALREADY_EXISTS`.
            string text = 1;
            string sent_time = 2;
        }
        // Sends letters.
        service Post {
            // Send a letter
            //
            // It goes out
            // at `sent_time`.
            rpc SendLetter(Letter) returns (Letter) { option (google.api.http) = {post: "/v1/letters" body: "*"}; }
        }"#;
    let document = written(&compile("test.proto", "t", source), "{}");
    let operation = &document["paths"]["/v1/letters"]["post"];
    assert_eq!(operation["summary"], "Send a letter");
    assert_eq!(operation["description"], "It goes out at `sentTime`.");
    assert_eq!(operation["tags"], serde_json::json!(["Letters"]));
    assert_eq!(
        operation["responses"]["409"]["$ref"],
        "#/components/responses/Conflict"
    );
    let letter = &document["components"]["schemas"]["Letter"]["properties"];
    assert_eq!(
        letter["text"]["description"],
        "Set `sentTime` too. A second one is `ALREADY_EXISTS`."
    );
}

#[test]
fn a_supplement_adds_examples_and_what_comes_first() {
    let rpcs = [
        rpc("AddPart", "Owner", r#"post: "/v1/parts" body: "part""#),
        rpc("ListParts", "Plain", r#"get: "/v1/parts""#),
    ];
    let supplement = r#"{
        "info": {"description": "Begin here."}, "parameters": {"other": "x"},
        "operations": {"AddPart": {"requests": {"big": {"summary": "A big part", "value": {"label": "big"}}}}}
    }"#;
    let document = written(&service(&rpcs.concat()), supplement);
    let text = document["info"]["description"].as_str().unwrap();
    assert!(text.starts_with("Begin here.\n\n"), "{text}");
    let path = &document["paths"]["/v1/parts"];
    let examples = path["get"]["parameters"].as_array().unwrap().iter();
    let examples = examples
        .filter_map(|parameter| Some((parameter["name"].as_str()?, parameter.get("example")?)));
    assert_eq!(examples.collect::<Vec<_>>(), [("other", &Value::from("x"))]);
    assert_eq!(
        path["post"]["requestBody"]["content"]["application/json"]["examples"],
        serde_json::json!({"big": {"summary": "A big part", "value": {"label": "big"}}})
    );
}

#[test]
fn a_supplement_tells_what_a_part_of_a_name_looks_like() {
    let services = service(&rpc(
        "GetPart",
        "Referred",
        r#"get: "/v1/{name=things/*/parts/*}""#,
    ));
    let supplement = r#"{"parameters": {"thing_id": "car", "part_id": {"example": "door", "pattern": "^[a-z]+$"}}}"#;
    let document = written(&services, supplement);
    let item = &document["paths"]["/v1/things/{thing_id}/parts/{part_id}"];
    let parameters = item["get"]["parameters"].as_array().unwrap();
    let found: Vec<_> = parameters
        .iter()
        .map(|parameter| (&parameter["example"], &parameter["schema"]))
        .collect();
    assert_eq!(
        found,
        [
            (&"car".into(), &serde_json::json!({"type": "string"})),
            (
                &"door".into(),
                &serde_json::json!({"type": "string", "pattern": "^[a-z]+$"})
            ),
        ]
    );
}

#[test]
fn the_supplement_says_what_annotations_cannot() {
    let source = r#"syntax = "proto3";
        package t;
        import "google/api/annotations.proto";
        import "google/api/field_behavior.proto";
        message Part {
            string name = 1;
            string owner = 2 [(google.api.field_behavior) = OUTPUT_ONLY];
            string maker = 3 [(google.api.field_behavior) = OUTPUT_ONLY];
            string label = 4 [(google.api.field_behavior) = REQUIRED];
            int32 size = 5 [(google.api.field_behavior) = REQUIRED];
        }
        message Owner { Part part = 1; }
        service S {
            rpc UpdatePart(Owner) returns (Part) {
                option (google.api.http) = {patch: "/v1/{part.name=parts/*}" body: "part"};
            }
            rpc AddPart(Owner) returns (Part) {
                option (google.api.http) = {post: "/v1/parts" body: "part"};
            }
        }"#;
    let services = compile("test.proto", "t", source);
    let supplement = r#"{"fields": {
        "t.Part.owner": {"writable": true},
        "t.Part.label": {"optional": true, "pattern": "^[a-z]*$", "maxLength": 9},
        "t.Part.size": {"minimum": 1}
    }}"#;
    let document = written(&services, supplement);
    let read_only = |schema: &str, field: &str| {
        document["components"]["schemas"][schema]["properties"][field]["readOnly"] == true
    };
    assert!(!read_only("PartPatch", "owner") && read_only("PartPatch", "maker"));
    assert!(read_only("Part", "owner"));
    let part = &document["components"]["schemas"]["PartInput"];
    assert_eq!(part["required"], serde_json::json!(["size"]));
    let properties = &part["properties"];
    let label = &properties["label"];
    assert_eq!(label["pattern"], "^[a-z]*$");
    assert_eq!(
        (&label["maxLength"], &properties["size"]["minimum"]),
        (&9.into(), &1.into())
    );
}

#[test]
fn a_supplement_adds_headers_and_events() {
    let get = rpc(
        "GetPart",
        "Referred",
        r#"get: "/v1/{name=things/*/parts/*}""#,
    );
    let supplement = r#"{"operations": {"GetPart": {
        "requestHeaders": {"If-None-Match": {"description": "What is known.", "pattern": "^x$"}},
        "responseHeaders": {"ETag": "The edition.", "Age": {"description": "Seconds.", "type": "integer"}},
        "events": "event: gone\n\n"
    }}}"#;
    let document = written(&service(&get), supplement);
    let operation = &document["paths"]["/v1/things/{thing_id}/parts/{part_id}"]["get"];
    let header = operation["parameters"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&header["name"], &header["in"], &header["required"]),
        (&"If-None-Match".into(), &"header".into(), &false.into())
    );
    assert_eq!(header["description"], "What is known.");
    assert_eq!(header["schema"]["pattern"], "^x$");
    let responses = &operation["responses"];
    for status in ["200", "304"] {
        let headers = &responses[status]["headers"];
        assert_eq!(headers["ETag"]["schema"]["type"], "string", "{status}");
        assert_eq!(headers["Age"]["schema"]["type"], "integer", "{status}");
        assert_eq!(headers["Age"]["description"], "Seconds.", "{status}");
    }
    assert_eq!(responses["304"].get("content"), None);
    assert_eq!(responses.get("412"), None);
    let delete = rpc(
        "GetPart",
        "Referred",
        r#"delete: "/v1/{name=things/*/parts/*}""#,
    );
    let document = written(&service(&delete), supplement);
    let change = &document["paths"]["/v1/things/{thing_id}/parts/{part_id}"]["delete"];
    assert_eq!(change["responses"].get("304"), None);
    assert!(change["responses"].get("412").is_some());
    let events = &responses["200"]["content"]["text/event-stream"];
    assert_eq!(events["example"], "event: gone\n\n");
    let text = responses["200"]["description"].as_str().unwrap();
    assert!(text.starts_with("The part."), "{text}");
}

/// The library without what OpenAPI cannot say.
fn library() -> Vec<Service> {
    let mut services = compile("library/v1/library.proto", "library.v1", "");
    for service in &mut services {
        service
            .bindings
            .retain(|binding| !["SEARCH", "*"].contains(&binding.method.as_str()));
    }
    services
}

#[test]
fn every_binding_of_the_library_is_one_operation() {
    let services = library();
    let document = written(&services, "{}");
    let items = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> = items
        .flat_map(|item| item.as_object().unwrap().values())
        .collect();
    let bindings: usize = services.iter().map(|service| service.bindings.len()).sum();
    assert_eq!(operations.len(), bindings);
    let mut ids: Vec<&str> = operations
        .iter()
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), bindings, "operation ids repeat: {ids:?}");
    for id in [
        "CreateBook",
        "CreateBook_2",
        "MoveBook",
        "GetFile_2",
        "WatchBooks_2",
        "ExchangeSpecimen_3",
    ] {
        assert!(ids.contains(&id), "{id} is missing in {ids:?}");
    }
}

#[test]
fn the_library_says_what_is_on_the_wire() {
    let document = written(&library(), "{}");
    let content =
        |path: &str, method: &str| &document["paths"][path][method]["responses"]["200"]["content"];
    for media_type in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let books = content("/v1/shelves/{shelf}/books:watch", "get");
        assert!(
            books.get(media_type).is_some(),
            "no {media_type} in {books}"
        );
    }
    let cover = content("/v1/shelves/{shelf}/books/{book}/cover", "get");
    assert_eq!(cover["*/*"]["schema"]["format"], "binary");
    let author = content("/v1/shelves/{shelf}/books/{book}/author", "get");
    assert_eq!(
        author["application/json"]["schema"]["oneOf"][1]["type"],
        "null"
    );
    let shelves = content("/v1/shelves", "get");
    assert_eq!(shelves["application/json"]["schema"]["type"], "array");

    let specimen = &document["components"]["schemas"]["Specimen"]["properties"];
    for (field, key, value) in [
        ("int64Value", "type", "string"),
        ("int64Value", "format", "int64"),
        ("uint32Value", "type", "integer"),
        ("bytesValue", "contentEncoding", "base64"),
        ("timestamp", "format", "date-time"),
        ("wrappedInt64", "type", "string"),
        ("enumValue", "$ref", "#/components/schemas/Genre"),
        ("recursiveValue", "$ref", "#/components/schemas/Specimen"),
    ] {
        assert_eq!(specimen[field][key], value, "{key} of {field}");
    }
    assert_eq!(specimen["duration"].get("format"), None);
    assert_eq!(specimen["value"].get("type"), None);
    assert_eq!(
        specimen["mapMessage"]["additionalProperties"]["$ref"],
        "#/components/schemas/Address"
    );

    let query = |path: &str| {
        let parameters = document["paths"][path]["get"]["parameters"]
            .as_array()
            .unwrap()
            .iter();
        let query = parameters.filter(|parameter| parameter["in"] == "query");
        query
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let books = query("/v1/shelves/{shelf}/books");
    assert!(
        books.contains(&"author.address.line1") && books.contains(&"genres"),
        "{books:?}"
    );
    assert!(!books.contains(&"parent"), "the path binds it: {books:?}");
    // A category contains categories, without end.
    assert_eq!(
        query("/v1/categories:classify"),
        ["category.title", "depth"]
    );
}

#[test]
fn the_same_input_gives_the_same_text_and_the_same_yaml() {
    let services = library();
    let json = document(&services, "{}").unwrap();
    for _ in 0..8 {
        assert!(
            document(&services, "{}").unwrap() == json,
            "the document is not the same twice"
        );
    }
    let yaml = yaml(&json).unwrap();
    assert!(
        yaml.contains("openapi: \"3.1.0\"\n"),
        "a version that is no text, or none"
    );
}
