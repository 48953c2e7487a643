//! Holds the template parser, the conflict check and the matcher against routing cases kept as
//! data: `tests/vectors/routing-vectors.json`, or the folder named in `VECTORS_DIR`.

use serde_json::Value;

use super::matcher::{Matcher, Outcome, captures, decode};
use super::row::{Binding, Body, Capture, Field, Kind, Message, Segment};
use crate::codegen::template::{self, Claim, Template, conflict};

#[test]
fn every_routing_case_comes_out_as_expected() {
    let folder = std::env::var("VECTORS_DIR").unwrap_or_else(|_| "tests/vectors".to_owned());
    let text = std::fs::read_to_string(format!("{folder}/routing-vectors.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| run(case).err().map(|why| format!("{}: {why}", case["id"])))
        .collect();
    assert!(!cases.is_empty());
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn run(case: &Value) -> Result<(), String> {
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
    let mut matcher = Matcher::default();
    for (index, ((method, text), template)) in declared.iter().zip(&parsed).enumerate() {
        matcher
            .insert(binding(method, text, template), index)
            .map_err(|conflict| conflict.to_string())?;
    }
    let method = case["method"].as_str().ok_or("no method")?;
    let path = case["url"]
        .as_str()
        .ok_or("no url")?
        .split('?')
        .next()
        .unwrap_or_default();
    match matcher.find(method, path) {
        Outcome::Found(found) => {
            let names = found
                .binding
                .captures
                .iter()
                .map(|capture| (capture.path[0].name, capture.multi));
            let raw = captures(found.binding, path);
            let captures = names.zip(raw).map(|((name, multi), raw)| {
                let text = decode(raw, multi).map_err(|_| "400")?;
                Ok((name.to_owned(), Value::from(text.into_owned())))
            });
            match captures.collect::<Result<serde_json::Map<_, _>, &str>>() {
                Err(_) => check("status", &expect["status"], &Value::from(400)),
                Ok(captures) => {
                    check("match", &expect["match"], &Value::from(true))?;
                    check("captures", &expect["captures"], &Value::from(captures))?;
                    match expect["winner"].as_u64() {
                        Some(winner) => check("winner", &winner, &(*found.route as u64)),
                        None => Ok(()),
                    }
                }
            }
        }
        Outcome::WrongMethod(allow) => {
            let status = if method == "OPTIONS" { 204 } else { 405 };
            check("status", &expect["status"], &Value::from(status))?;
            check("allow", &expect["allow"], &Value::from(allow))
        }
        Outcome::NotFound => check("status", &expect["status"], &Value::from(404)),
    }
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
    let captures: Vec<Capture> = template
        .variables
        .iter()
        .map(|variable| {
            let name = variable.path.join(".").leak();
            let field = Field {
                name,
                json: name,
                number: 1,
                repeated: false,
                kind: Kind::Text,
            };
            let path: &[&Field] = vec![&*Box::leak(Box::new(field))].leak();
            Capture {
                path,
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
