//! The OpenAPI document: the checked-in files are what is served, and its examples are what the
//! gateway answers. `tests/openapi/check` holds it against validators and generators of clients.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "http/harness.rs"]
mod harness;

use std::path::Path;
use std::{env, fs};

use jumpstarter_gateway::auth::{Sources, Tokens};
use jumpstarter_gateway::docs::{OPENAPI_JSON, OPENAPI_YAML};
use jumpstarter_gateway::lab;
use serde_json::{Map, Value};

use harness::{Answer, Gateway, answer};

const EXPORTERS: &str = "/v1/namespaces/{namespace}/exporters";
const EXPORTER: &str = "/v1/namespaces/{namespace}/exporters/{exporter}";
const LEASES: &str = "/v1/namespaces/{namespace}/leases";
const LEASE: &str = "/v1/namespaces/{namespace}/leases/{lease}";

#[test]
fn the_checked_in_files_are_what_is_served() {
    for (name, served) in [
        ("openapi.json", OPENAPI_JSON),
        ("openapi.yaml", OPENAPI_YAML),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("openapi")
            .join(name);
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, served).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap();
        let differs = written
            .lines()
            .zip(served.lines())
            .position(|(a, b)| a != b);
        assert!(
            written == served,
            "{} is not what is served, from line {}; if the change is meant, run this with UPDATE_GOLDEN=1",
            path.display(),
            differs.map_or(
                written.lines().count().min(served.lines().count()) + 1,
                |line| line + 1
            )
        );
    }
}

#[test]
fn operations_of_a_path_stand_in_the_order_of_the_rules() {
    let (_, operations) = OPENAPI_JSON
        .split_once(&format!("\"{LEASE}\": {{"))
        .unwrap();
    let places =
        ["get", "patch", "delete"].map(|method| operations.find(&format!("\"{method}\": {{")));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
}

#[test]
fn every_operation_can_be_understood_and_tried() {
    let document = document();
    let tags = document["tags"].as_array().unwrap();
    for (path, method, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(
            operation["summary"].is_string() && operation["description"].is_string(),
            "{what} is not described"
        );
        let tag = tags.iter().find(|tag| tag["name"] == operation["tags"][0]);
        assert!(
            tag.is_some_and(|tag| tag["description"].is_string()),
            "the tag of {what} is not described"
        );
        for parameter in operation["parameters"].as_array().unwrap() {
            // Swagger UI sends the example of a parameter that may be left out: of those, only the
            // id makes the examples of one lease fit together.
            assert_eq!(
                parameter["example"].is_string(),
                parameter["in"] == "path" || parameter["name"] == "leaseId",
                "example of {what}: {parameter}"
            );
            assert!(parameter["description"].is_string(), "{what}: {parameter}");
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(
                !requests(body).is_empty(),
                "{what} has a body without an example"
            );
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            assert_eq!(
                json_of(response)["example"].is_object(),
                status != "304",
                "the example of {status} of {what}"
            );
        }
        for status in [
            "200", "400", "401", "403", "406", "429", "500", "503", "default",
        ] {
            assert!(
                operation["responses"].get(status).is_some(),
                "{what} does not tell of {status}"
            );
        }
    }
}

#[tokio::test]
async fn the_examples_are_what_the_demonstration_lab_answers() {
    let gateway = Gateway::demo().await;
    let document = document();
    let example = |path: &str, method: &str, status: &str| example(&document, path, method, status);
    let body = |path: &str, method: &str| {
        requests(&document["paths"][path][method]["requestBody"])[0]
            .1
            .to_string()
    };
    let (exporters, exporter) = (filled(&document, EXPORTERS), filled(&document, EXPORTER));
    let (leases, lease) = (filled(&document, LEASES), filled(&document, LEASE));
    let named = named(&document);

    is_example(
        &gateway.get(&exporter).await,
        200,
        &example(EXPORTER, "get", "200"),
    );
    let listed = gateway.get(&exporters).await.value();
    for exporter in example(EXPORTERS, "get", "200")["exporters"]
        .as_array()
        .unwrap()
    {
        let found = listed["exporters"].as_array().unwrap().contains(exporter);
        assert!(found, "the lab has no such exporter: {exporter}");
    }
    is_example(
        &gateway
            .get(&format!("{exporters}?filter=board=rpi4,"))
            .await,
        400,
        &example(EXPORTERS, "get", "400"),
    );
    is_example(
        &gateway.get(&lease).await,
        404,
        &example(LEASE, "get", "404"),
    );

    is_example(
        &gateway.json("POST", &named, body(LEASES, "post")).await,
        200,
        &example(LEASES, "post", "200"),
    );
    let other = r#"{"selector":"board=rpi4","duration":"60s"}"#;
    is_example(
        &gateway.json("POST", &named, other).await,
        409,
        &example(LEASES, "post", "409"),
    );
    let nothing = gateway
        .json("POST", &leases, r#"{"duration":"1800s"}"#)
        .await;
    is_example(&nothing, 400, &example(LEASES, "post", "400"));
    let text = gateway
        .request("POST", &leases)
        .header("content-type", "text/plain")
        .body("x");
    is_example(&answer(text).await, 415, &example(LEASES, "post", "415"));

    is_example(
        &gateway.get(&lease).await,
        200,
        &example(LEASE, "get", "200"),
    );
    is_example(
        &gateway.get(&leases).await,
        200,
        &example(LEASES, "get", "200"),
    );
    for (template, path) in [(LEASE, &lease), (LEASES, &leases), (EXPORTERS, &exporters)] {
        let content = &document["paths"][template]["get"]["responses"]["200"]["content"];
        let example = content["text/event-stream"]["example"].as_str().unwrap();
        let followed = until_sync(&gateway, path).await;
        for event in events(example) {
            assert!(
                followed.contains(&event),
                "{path} does not show {event:?}, but {followed:?}"
            );
        }
    }
    let other = format!("{leases}?leaseId=nightly-43");
    let late = gateway
        .request("POST", &other)
        .header("prefer", "wait=1, on-timeout=release")
        .header("content-type", "application/json")
        .body(body(LEASES, "post"));
    let mut late = answer(late).await;
    late.text = without_times(&late.text);
    let mut too_late = example(LEASES, "post", "504").to_string();
    too_late = without_times(&too_late);
    is_example(&late, 504, &serde_json::from_str(&too_late).unwrap());
    let page = gateway
        .request("GET", &leases)
        .header("accept", "text/html");
    is_example(&answer(page).await, 406, &example(LEASES, "get", "406"));
    is_example(
        &gateway.send("PUT", &leases).await,
        405,
        &example(LEASES, "get", "default"),
    );

    is_example(
        &gateway.json("PATCH", &lease, body(LEASE, "patch")).await,
        200,
        &example(LEASE, "patch", "200"),
    );
    let outdated = gateway.request("PATCH", &lease).header("if-match", "\"0\"");
    is_example(
        &answer(outdated).await,
        412,
        &example(LEASE, "patch", "412"),
    );
    is_example(
        &gateway.send("DELETE", &lease).await,
        200,
        &example(LEASE, "delete", "200"),
    );
    is_example(
        &gateway.send("DELETE", &lease).await,
        400,
        &example(LEASE, "delete", "400"),
    );
    is_example(
        &gateway.json("PATCH", &lease, body(LEASE, "patch")).await,
        400,
        &example(LEASE, "patch", "400"),
    );
}

#[tokio::test]
async fn every_example_of_a_request_works_as_it_is() {
    let document = document();
    let examples =
        |path: &str, method: &str| requests(&document["paths"][path][method]["requestBody"]);
    let (named, lease) = (named(&document), filled(&document, LEASE));
    for (key, body) in examples(LEASES, "post") {
        let gateway = Gateway::demo().await;
        let created = gateway.json("POST", &named, body.to_string()).await;
        assert_eq!(created.status, 200, "{key}: {created:?}");
        let condition = &created.value()["conditions"][0];
        let waits = if body["beginTime"].is_string() {
            "Scheduled"
        } else {
            "Ready"
        };
        assert_eq!(condition["reason"], waits, "{key}: {condition}");
    }
    for (key, body) in examples(LEASE, "patch") {
        let gateway = Gateway::demo().await;
        let (_, create) = &examples(LEASES, "post")[0];
        gateway.json("POST", &named, create.to_string()).await;
        let changed = gateway.json("PATCH", &lease, body.to_string()).await;
        assert_eq!(changed.status, 200, "{key}: {changed:?}");
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(changed.value()[field], *value, "{key}: {changed:?}");
        }
    }
}

#[tokio::test]
async fn the_headers_are_those_that_are_sent() {
    let gateway = Gateway::demo().await;
    let document = document();
    let (leases, lease) = (filled(&document, LEASES), filled(&document, LEASE));
    let id = lease.rsplit('/').next().unwrap();
    let lease_of = |selector: &str| format!(r#"{{"selector": "{selector}", "duration": "60s"}}"#);
    gateway.lease(&lease_of("board=rpi4")).await;
    let create = gateway
        .request("POST", &format!("{leases}?leaseId={id}"))
        .header("prefer", "wait=0")
        .header("content-type", "application/json")
        .body(lease_of("board=rpi4"));
    let created = answer(create).await;
    let read = answer(gateway.request("GET", &lease).header("prefer", "wait=0")).await;
    let changed = gateway
        .json("PATCH", &lease, r#"{"duration": "90s"}"#)
        .await;
    let same = gateway
        .request("GET", &lease)
        .header("prefer", "wait=0")
        .header("if-none-match", changed.header("etag"));
    let same = answer(same).await;
    for (answer, path, method, status) in [
        (created, LEASES, "post", "200"),
        (read, LEASE, "get", "200"),
        (changed, LEASE, "patch", "200"),
        (same, LEASE, "get", "304"),
    ] {
        assert_eq!(answer.status.to_string(), status, "{answer:?}");
        sends_what_is_promised(&document, (path, method, status), &answer);
    }
}

#[tokio::test]
async fn the_headers_of_refusals_are_those_that_are_sent() {
    let tokens = Tokens::open(Sources::default()).unwrap();
    let gateway = Gateway::with_tokens(lab::demo().unwrap(), tokens).await;
    let document = document();
    let leases = filled(&document, LEASES);
    for (method, status, documented) in [("GET", 401, "401"), ("PUT", 405, "default")] {
        let answer = gateway.send(method, &leases).await;
        assert_eq!(answer.status, status, "{answer:?}");
        sends_what_is_promised(&document, (LEASES, "get", documented), &answer);
    }
}

/// Asserts that an answer has every header that the document gives to its path, method and status.
#[track_caller]
fn sends_what_is_promised(document: &Value, place: (&str, &str, &str), answer: &Answer) {
    let (path, method, status) = place;
    let response = &document["paths"][path][method]["responses"][status];
    for (name, header) in resolved(document, response)["headers"].as_object().unwrap() {
        let value = answer.header(name);
        assert!(!value.is_empty(), "{method} {path} sends no {name}");
        if header["schema"]["type"] == "integer" {
            assert!(value.parse::<u64>().is_ok(), "{name} is {value}");
        }
    }
}

/// The events of a stream, but for their ids and for times.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |text: &str| {
        let line = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name))
        };
        let data = serde_json::from_str(line("data: ")?).unwrap();
        Some((line("event: ")?.to_owned(), timeless(data)))
    };
    text.split("\n\n").filter_map(event).collect()
}

/// What somebody who follows is shown at first.
async fn until_sync(gateway: &Gateway, path: &str) -> Vec<(String, Value)> {
    let request = gateway
        .request("GET", path)
        .header("accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("event: sync\ndata: {}\n\n") {
        let chunk = response.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    events(&text)
}

/// A text without the time in which an estimate ends.
fn without_times(text: &str) -> String {
    match text.split_once("estimated to start by ") {
        Some((before, after)) => {
            let (_, after) = after.split_once('"').unwrap();
            format!("{before}\"{after}")
        }
        None => text.to_owned(),
    }
}

/// Asserts that an answer is an example, but for times and what follows from them.
#[track_caller]
fn is_example(answer: &Answer, status: u16, example: &Value) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        timeless(answer.value()),
        timeless(example.clone()),
        "left: what is answered, right: the example"
    );
}

/// A value without times; what else follows from them, or is made up, has only its key.
fn timeless(value: Value) -> Value {
    let blank = |(key, value): (String, Value)| {
        let value = match key.as_str() {
            "effectiveDuration" | "effectiveBeginTime" | "lastTransitionTime" => Value::Null,
            "requestId" => Value::Null,
            // It counts changes, and the examples are not of one lease's history.
            "observedGeneration" => Value::Null,
            _ => timeless(value),
        };
        (key, value)
    };
    match value {
        Value::Object(fields) => fields.into_iter().map(blank).collect::<Map<_, _>>().into(),
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        other => other,
    }
}

fn document() -> Value {
    serde_json::from_str(OPENAPI_JSON).unwrap()
}

/// Every operation with its path and its method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// The example of an answer.
fn example(document: &Value, path: &str, method: &str, status: &str) -> Value {
    let response = &document["paths"][path][method]["responses"][status];
    json_of(resolved(document, response))["example"].clone()
}

/// What a reference stands for.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let reference = value["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    reference.map_or(value, |pointer| document.pointer(pointer).unwrap())
}

/// The examples of a request body, each with its key, in the order of the keys.
fn requests(body: &Value) -> Vec<(&str, &Value)> {
    let examples = json_of(body)["examples"].as_object().into_iter().flatten();
    let mut examples: Vec<_> = examples
        .map(|(key, example)| (key.as_str(), &example["value"]))
        .collect();
    examples.sort_by_key(|(key, _)| *key);
    examples
}

/// Where the lease of the examples is created.
fn named(document: &Value) -> String {
    let parameters = document["paths"][LEASES]["post"]["parameters"]
        .as_array()
        .unwrap();
    let id = parameters
        .iter()
        .find(|parameter| parameter["name"] == "leaseId");
    let id = id.unwrap()["example"].as_str().unwrap();
    assert!(
        filled(document, LEASE).ends_with(id),
        "{id} is another lease"
    );
    format!("{}?leaseId={id}", filled(document, LEASES))
}

fn json_of(content: &Value) -> &Value {
    &content["content"]["application/json"]
}

/// A path with the examples of its parameters.
fn filled(document: &Value, path: &str) -> String {
    let parameters = document["paths"][path]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter();
    let parameters = parameters.filter(|parameter| parameter["in"] == "path");
    parameters.fold(path.to_owned(), |path, parameter| {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        path.replace(&name, parameter["example"].as_str().unwrap())
    })
}
