//! Holds binding against cases kept as data, through the entry point that the server uses:
//! `tests/vectors/binding-vectors.json`, or the folder named in `VECTORS_DIR`.

use std::sync::Arc;

use jumpstarter_gateway::transcode::{Limits, Transcoder};
use serde::de::IgnoredAny;
use serde_json::Value;
use tonic::{Request, Response, Status};

use crate::generated::gateway::vectors::v1::vectors_server::Vectors;
use crate::generated::gateway::vectors::v1::{BindRequest, vectors_http};
use crate::harness::{Answer, answer, client};

/// Answers what it was asked.
struct Echo;

macro_rules! echo {
    ($($method:ident)*) => {
        #[tonic::async_trait]
        impl Vectors for Echo {
            $(async fn $method(&self, request: Request<BindRequest>) -> Result<Response<BindRequest>, Status> {
                Ok(Response::new(request.into_inner()))
            })*
        }
    };
}

echo! {
    list get delete create act act_typed ping update put_tags put_labels
    by_id by_color by_flag by_time by_payload by_opt
}

#[tokio::test]
async fn every_binding_case_comes_out_as_expected() {
    let folder = std::env::var("VECTORS_DIR").unwrap_or_else(|_| "tests/vectors".to_owned());
    let text = std::fs::read_to_string(format!("{folder}/binding-vectors.json")).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let transcoder = Transcoder::new(
        vectors_http::routes(Arc::new(Echo)),
        Limits {
            body: 64 * 1024,
            ..Limits::default()
        },
    )
    .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback_service(transcoder);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = client();
    let mut failures = vec![];
    for case in cases {
        let method = case["method"].as_str().unwrap().parse().unwrap();
        let url = format!("http://{address}{}", case["url"].as_str().unwrap());
        let mut request = client.request(method, url);
        if let Some(body) = case["body"].as_str() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let answer = answer(request).await;
        let expected = &case["expect"]["request"];
        let right = match case["expect"]["error"].as_str() {
            Some("INVALID_ARGUMENT") => is_refusal(&answer, case),
            Some(other) => panic!("{} expects the unknown error {other}", case["id"]),
            None => answer.status == 200 && plain(answer.value()) == plain(expected.clone()),
        };
        if !right {
            let note = &case["note"];
            failures.push(format!(
                "{} {note}: {} instead of {}",
                case["id"], answer.text, case["expect"]
            ));
        }
    }
    assert!(!cases.is_empty());
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// The answer says that the request is wrong, and which field, unless it is the whole message or a
/// parameter without a name; that a body is no JSON, only of one that is none.
fn is_refusal(answer: &Answer, case: &Value) -> bool {
    let (error, body) = (answer.value(), case["body"].as_str());
    let is_nameless = body.is_some_and(|body| body.starts_with('['))
        || case["url"].as_str().is_some_and(|url| url.contains("?="));
    let is_json = body.is_none_or(|body| serde_json::from_str::<IgnoredAny>(body).is_ok());
    let is_told = match error["details"][0]["reason"].as_str() {
        Some("MALFORMED_JSON") => !is_json,
        Some("INVALID_FIELD") => {
            let field = &error["details"][1]["fieldViolations"][0]["field"];
            is_nameless || field.as_str().is_some_and(|field| !field.is_empty())
        }
        reason => reason.is_some(),
    };
    answer.status == 400 && error["code"] == 3 && is_told
}

/// The value with every number as a float, so that `1` and `1.0` are the same.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, plain(value)))
            .collect(),
        other => other,
    }
}
