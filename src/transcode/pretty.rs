//! `$prettyPrint=true` in the query: an answer in JSON is indented, for people. It is a system parameter,
//! as Google's APIs have it, and no field of any request: it is taken out of the query before anything
//! is bound. Requests without a `$` in their query are spared all of this but the look for it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, ready};
use futures_util::{FutureExt, TryFutureExt};
use http::uri::PathAndQuery;
use http::{Uri, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::explain::invalid;
use super::matcher::decode;
use super::rejection::Rejection;
use super::route::Answer;
use super::{Request, negotiate};
use crate::fault::Fault;

const PARAMETER: &str = "$prettyPrint";

/// What a response holds whose JSON is indented.
#[derive(Clone, Copy)]
pub struct Pretty;

/// Answers a request, indented where it asks for that.
pub fn answer(mut request: Request, call: impl FnOnce(Request) -> Answer) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    if !query.contains('$') && !query.contains("%24") {
        return call(request);
    }
    let refusal = |rejection: Rejection| Either::Left(ready(Ok(rejection.into_response())));
    let (rest, is_wanted) = match taken_out(request.uri()) {
        Ok(None) => return call(request),
        Ok(Some(found)) => found,
        Err(fault) => return refusal(fault.into()),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(rest);
    match Uri::from_parts(parts) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(cause) => return refusal(Rejection::internal("a URL was cut wrongly", cause)),
    }
    let answer = call(request);
    if is_wanted {
        let printed = answer.and_then(|response| printed(response).map(Ok));
        Either::Right(Box::pin(printed))
    } else {
        answer
    }
}

/// Path and query without the parameter, and what the parameter says; none where it is not there.
fn taken_out(uri: &Uri) -> Result<Option<(PathAndQuery, bool)>, Fault> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let (own, others): (Vec<&str>, Vec<&str>) = pairs.partition(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        decode(name, false).is_ok_and(|name| name == PARAMETER)
    });
    let is_wanted = match own.as_slice() {
        [] => return Ok(None),
        [pair] => {
            let value = pair.split_once('=').map_or("", |(_, value)| value);
            match decode(value, false).as_deref() {
                Ok("true") => true,
                Ok("false") => false,
                _ => return Err(invalid(PARAMETER, "must be true or false")),
            }
        }
        _ => return Err(invalid(PARAMETER, "given more than once")),
    };
    let mut rest = uri.path().to_owned();
    if !others.is_empty() {
        rest = format!("{rest}?{}", others.join("&"));
    }
    let rest = PathAndQuery::try_from(rest).map_err(|why| invalid(PARAMETER, why.to_string()))?;
    Ok(Some((rest, is_wanted)))
}

/// The same response with its JSON indented. What is no JSON, or comes piece by piece, stays as it is.
async fn printed(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind == negotiate::JSON);
    if !is_json || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    match body.collect().await {
        Ok(json) => {
            parts.extensions.insert(Pretty);
            Response::from_parts(parts, Body::from(indented(&json.to_bytes())))
        }
        Err(error) => Rejection::internal("an answer broke off", error).into_response(),
    }
}

/// JSON with two spaces for each level, and a line break at its end.
pub fn indented(json: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 * json.len());
    let mut bytes = json.iter().copied().peekable();
    let mut depth = 0_usize;
    let break_line = |text: &mut Vec<u8>, depth: usize| {
        text.push(b'\n');
        text.resize(text.len() + 2 * depth, b' ');
    };
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                text.push(byte);
                while let Some(byte) = bytes.next() {
                    text.push(byte);
                    match byte {
                        b'"' => break,
                        b'\\' => text.extend(bytes.next()),
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => {
                text.push(byte);
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    break_line(&mut text, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut text, depth);
                text.push(byte);
            }
            b',' => {
                text.push(byte);
                break_line(&mut text, depth);
            }
            b':' => text.extend(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => text.push(byte),
        }
    }
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_indented_says_the_same() {
        for value in [
            serde_json::json!({"a": [1, {"b": []}, {}], "c\"{[,:": "\\\" \n,", "d": null}),
            serde_json::json!([]),
            serde_json::json!("a, b: {"),
            serde_json::json!(-0.5),
        ] {
            let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
            for json in [value.to_string(), pretty.clone()] {
                let text = String::from_utf8(indented(json.as_bytes())).unwrap();
                assert_eq!(text, pretty, "{json}");
            }
        }
    }

    #[test]
    fn only_the_parameter_itself_is_taken_out() {
        let found = |query: &str| {
            let uri = format!("http://host/a%2Fb?{query}").parse().unwrap();
            let found = taken_out(&uri).map_err(|fault| fault.to_string());
            found.map(|found| found.map(|(rest, is_wanted)| (rest.to_string(), is_wanted)))
        };
        let left = |rest: &str, is_wanted| Ok(Some((format!("/a%2Fb{rest}"), is_wanted)));
        assert_eq!(found("$prettyPrint=true"), left("", true));
        assert_eq!(found("$prettyPrint=%74ru%65"), left("", true));
        assert_eq!(
            found("a=$&%24prettyPrint=false&b=%24"),
            left("?a=$&b=%24", false)
        );
        assert_eq!(found("$pretty=true&a=$prettyPrint"), Ok(None));
        for wrong in [
            "$prettyPrint",
            "$prettyPrint=1",
            "$prettyPrint=true&$prettyPrint=true",
        ] {
            assert!(
                found(wrong).is_err_and(|error| error.starts_with("$prettyPrint: ")),
                "{wrong}"
            );
        }
    }
}
