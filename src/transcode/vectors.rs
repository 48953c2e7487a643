//! Holds the template parser, the conflict check and the transcoder against routing cases kept as
//! data: `tests/vectors/routing-vectors.json`, or the folder named in `VECTORS_DIR`.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use http::{Request, Uri, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tower::ServiceExt;

use super::row::{Binding, Body, Capture, Field, Kind, Message, Segment};
use super::{Limits, Route, Transcoder};
use crate::codegen::template::{self, Claim, Template, conflict};

#[tokio::test]
async fn every_routing_case_comes_out_as_expected() {
    let folder = std::env::var("VECTORS_DIR").unwrap_or_else(|_| "tests/vectors".to_owned());
    let text = std::fs::read_to_string(format!("{folder}/routing-vectors.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut failures = vec![];
    for case in &cases {
        if let Err(why) = run(case).await {
            failures.push(format!("{}: {why}", case["id"]));
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

async fn run(case: &Value) -> Result<(), String> {
    let expect = &case["expect"];
    let declared = declared(case);
    let parsed: Vec<_> = declared
        .iter()
        .map(|(_, template)| Template::parse(template))
        .collect();
    if let Some(valid) = expect["template_valid"].as_bool() {
        return check("template_valid", &valid, &parsed.iter().all(Result::is_ok));
    }
    let parsed: Vec<Template> = parsed
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if let Some(refused) = expect["build_error"].as_bool() {
        let claims: Vec<Claim> = declared
            .iter()
            .zip(&parsed)
            .map(|((method, owner), template)| Claim {
                owner,
                method,
                template,
            })
            .collect();
        return check("build_error", &refused, &conflict(&claims).is_some());
    }
    let routes = declared.iter().zip(&parsed).enumerate();
    let routes = routes.map(|(index, ((method, text), template))| {
        let binding = binding(method, text, template);
        Route::unary(binding, &Arc::new(index), answer)
    });
    let transcoder =
        Transcoder::new(routes, Limits::default()).map_err(|conflict| conflict.to_string())?;
    let url = case["url"].as_str().ok_or("no url")?;
    // What a query may hold is for the cases of binding.
    let path = url.split('?').next().unwrap_or_default();
    let Ok(url) = path.parse::<Uri>() else {
        // No such request comes as far as this.
        return check("match", &expect["match"], &Value::from(false));
    };
    let request = Request::builder()
        .method(case["method"].as_str().ok_or("no method")?)
        .uri(url)
        .body(HttpBody::empty())
        .map_err(|error| error.to_string())?;
    let response = transcoder.oneshot(request).await;
    let (parts, body) = response.map_err(|never| never.to_string())?.into_parts();
    if parts.status != 200 {
        check("match", &expect["match"], &Value::from(false))?;
        check(
            "status",
            &expect["status"],
            &Value::from(parts.status.as_u16()),
        )?;
        let allow = parts.headers.get(header::ALLOW);
        let allow = allow.map_or("", |allow| allow.to_str().unwrap_or("?"));
        return check("Allow", &allowed(&expect["allow"]).as_str(), &allow);
    }
    check("match", &expect["match"], &Value::from(true))?;
    if let Some(expected) = expect["winner"].as_u64() {
        let winner = parts.headers.get("winner");
        let winner = winner.map_or("", |winner| winner.to_str().unwrap_or("?"));
        check("winner", &expected.to_string().as_str(), &winner)?;
    }
    let body = body.collect().await.map_err(|error| error.to_string())?;
    let body = body.to_bytes();
    if body.is_empty() {
        return check("method", &case["method"], &Value::from("HEAD"));
    }
    let bound: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let mut captures = Map::new();
    flatten("", bound, &mut captures);
    check("captures", &expect["captures"], &captures.into())
}

/// Names what was bound inside others as the template does: `book.name`.
fn flatten(name: &str, bound: Value, captures: &mut Map<String, Value>) {
    match bound {
        Value::Object(fields) => {
            for (field, bound) in fields {
                let outer = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{outer}{field}"), bound, captures);
            }
        }
        bound => drop(captures.insert(name.to_owned(), bound)),
    }
}

/// Tells which route it was, and what it bound: an object with objects inside it.
async fn answer(
    index: Arc<usize>,
    request: tonic::Request<Value>,
) -> Result<tonic::Response<Value>, tonic::Status> {
    let mut response = tonic::Response::new(request.into_inner());
    response
        .metadata_mut()
        .insert("winner", (*index as u64).into());
    Ok(response)
}

/// The Allow header for a path with these methods; none where there are none.
fn allowed(methods: &Value) -> String {
    let methods = methods.as_array().into_iter().flatten();
    let mut methods: Vec<&str> = methods.filter_map(Value::as_str).collect();
    if methods.is_empty() {
        return String::new();
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.join(", ")
}

fn check<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what} should be {expected:?}, is {found:?}"))
    }
}

/// Methods and templates of a case.
fn declared(case: &Value) -> Vec<(&'static str, &'static str)> {
    let text = |from: &Value, entry: &str| -> &'static str {
        from[entry].as_str().unwrap_or_default().to_owned().leak()
    };
    match case["templates"].as_array() {
        Some(templates) => templates
            .iter()
            .map(|one| (text(one, "method"), text(one, "template")))
            .collect(),
        None => {
            // A case of one template is asked with other methods too; it is declared for GET then.
            let method = if expects_get(case) {
                "GET"
            } else {
                text(case, "method")
            };
            vec![(method, text(case, "template"))]
        }
    }
}

fn expects_get(case: &Value) -> bool {
    case["expect"]["allow"]
        .as_array()
        .is_some_and(|allow| allow.iter().any(|method| method == "GET"))
}

fn binding(method: &'static str, text: &'static str, template: &Template) -> &'static Binding {
    let segments: Vec<Segment> = template
        .segments
        .iter()
        .map(|segment| match segment {
            template::Segment::Literal(text) => Segment::Literal(text.clone().leak()),
            template::Segment::One => Segment::One,
            template::Segment::Rest => Segment::Rest,
        })
        .collect();
    // A name has the same number wherever it stands, so that what is bound inside one message meets there.
    let mut names: Vec<&str> = vec![];
    let mut field = |name: &str, kind: Kind| -> &'static Field {
        let known = names.iter().position(|known| *known == name);
        let index = known.unwrap_or(names.len());
        let name = name.to_owned().leak();
        names.push(name);
        let number = u32::try_from(index).unwrap();
        Box::leak(Box::new(Field::new(number, name, name, false, kind)))
    };
    let captures: Vec<Capture> = template
        .variables
        .iter()
        .map(|variable| {
            let (last, outer) = variable.path.split_last().unwrap();
            let outer = outer.iter().map(|name| (name, Kind::Message(&NOTHING)));
            let path = outer.chain([(last, Kind::Text)]);
            let path: Vec<&Field> = path.map(|(name, kind)| field(name, kind)).collect();
            Capture {
                path: path.leak(),
                start: variable.start,
                end: variable.end,
                multi: variable.multi,
            }
        })
        .collect();
    static NOTHING: Message = Message {
        name: "",
        fields: &[],
    };
    Box::leak(Box::new(Binding {
        index: 0,
        rpc: text,
        method,
        template: text,
        segments: segments.leak(),
        verb: template.verb.clone().map(|verb| &*verb.leak()),
        captures: captures.leak(),
        request: &NOTHING,
        body: Body::None,
        response_body: None,
        mask: None,
    }))
}
