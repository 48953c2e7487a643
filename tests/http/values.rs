//! What a request says, bound without a network: values of every kind, what is told of wrong ones, and
//! requests made to hurt.

use std::collections::BTreeMap;
use std::time::Instant;

use jumpstarter_gateway::proto::json::to_vec;
use jumpstarter_gateway::transcode::{Binding, STACK, bind};

use crate::generated::gateway::vectors::v1::{BindRequest, vectors_http};
use crate::generated::library::v1 as pb;
use crate::generated::library::v1::library_service_http::BINDINGS;

/// The row of a method that takes a body.
fn row(method: &str, http: &str) -> &'static Binding {
    let mut rows = BINDINGS.iter();
    rows.find(|row| row.rpc.ends_with(&format!("/{method}")) && row.method == http)
        .unwrap()
}

/// A category in a category, and so on.
fn nested(depth: usize) -> String {
    format!(
        "{}{{}}{}",
        "{\"parent\":".repeat(depth - 1),
        "}".repeat(depth - 1)
    )
}

#[test]
fn a_hundred_levels_fit_on_a_small_stack() {
    let bound = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(|| {
            let row = row("Classify", "POST");
            let read = |depth| {
                bind::<pb::ClassifyRequest>(row, std::iter::empty(), None, nested(depth).as_bytes())
            };
            (
                read(100).is_ok(),
                read(101).map(|_| ()).map_err(|fault| fault.to_string()),
            )
        });
    let (hundred, more) = bound.unwrap().join().unwrap();
    assert!(hundred, "a hundred levels are refused");
    assert!(
        more.is_err_and(|error| error.contains("nested")),
        "one more is not"
    );
}

/// The largest message there is, in half of the stack that threads have: read, told where it is wrong,
/// and written.
#[test]
fn a_hundred_levels_of_a_large_message_fit_twice() {
    let bound = std::thread::Builder::new().stack_size(STACK / 2).spawn(|| {
        let nested = |depth, innermost: &str| {
            let (open, close) = ("{\"recursiveValue\":".repeat(depth), "}".repeat(depth));
            format!("{open}{{{innermost}}}{close}")
        };
        let row = row("ExchangeSpecimen", "POST");
        let read = |body: &str| {
            let specimen: Result<pb::Specimen, _> =
                bind(row, std::iter::empty(), None, body.as_bytes());
            specimen.map_err(|fault| fault.to_string())
        };
        let deepest = nested(99, "");
        let specimen = read(&deepest).unwrap();
        assert_eq!(to_vec(&specimen).unwrap(), deepest.as_bytes());
        let wrong = read(&nested(99, "\"int32Value\":true")).unwrap_err();
        assert!(wrong.contains("invalid type: boolean"), "{wrong}");
        assert!(read(&nested(100, "")).unwrap_err().contains("nested"));
    });
    bound.unwrap().join().unwrap();
}

#[test]
fn a_query_has_as_many_levels() {
    let bound = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(|| {
            let list = vectors_http::BINDINGS.iter();
            let list = list.clone().find(|row| row.rpc.ends_with("/List")).unwrap();
            let read = |depth: usize, value: &str| {
                let query = format!("leaf.{}numValue={value}", "child.".repeat(depth - 2));
                let none = std::iter::empty();
                let message = bind::<BindRequest>(list, none, Some(&query), b"");
                message.map(|_| ()).map_err(|fault| fault.to_string())
            };
            (
                read(100, "1"),
                read(100, "x"),
                read(101, "1"),
                read(10_000, "1"),
            )
        });
    let (hundred, wrong, more, many) = bound.unwrap().join().unwrap();
    assert_eq!(hundred, Ok(()));
    assert!(wrong.is_err_and(|error| error.contains("32-bit")));
    for error in [more, many] {
        assert!(
            error.clone().is_err_and(|error| error.contains("nested")),
            "{error:?}"
        );
    }
}

/// The shortest of several times that something takes, in nanoseconds: what else runs makes none shorter.
fn shortest(mut task: impl FnMut()) -> u128 {
    let times = (0..7).map(|_| {
        let start = Instant::now();
        task();
        start.elapsed().as_nanos()
    });
    times.min().unwrap()
}

/// Sixteen times as much takes some sixteen times as long; by squares it would be 256 times.
#[track_caller]
fn takes_its_share<T>(sizes: [usize; 2], request: impl Fn(usize) -> T, read: impl Fn(&T)) {
    let [few, many] = sizes.map(|size| {
        let request = request(size);
        shortest(|| read(&request))
    });
    assert_eq!(sizes[1], 16 * sizes[0]);
    assert!(many < 64 * few, "{few} ns became {many} ns");
}

#[test]
fn large_requests_take_no_more_than_their_share() {
    let get = row("ListShelves", "GET");
    let list =
        |query: &String| bind::<pb::ListShelvesRequest>(get, std::iter::empty(), Some(query), b"");
    let repeated = |size| vec!["genres=GENRE_POETRY"; size].join("&");
    takes_its_share([500, 8_000], repeated, |query| {
        let count = query.split('&').count();
        assert_eq!(list(query).unwrap().genres.len(), count);
    });
    let unknown = |size| "x".repeat(size);
    takes_its_share([60_000, 960_000], unknown, |query| {
        let error = list(query).unwrap_err().to_string();
        assert!(error.len() < 5_000, "an error grows with its request");
    });
    let post = row("Classify", "POST");
    let unknown = |size| format!("{{\"{}\": 1}}", "x".repeat(size));
    takes_its_share([60_000, 960_000], unknown, |body| {
        let request = bind::<pb::ClassifyRequest>(post, std::iter::empty(), None, body.as_bytes());
        let error = request.unwrap_err().to_string();
        assert!(error.len() < 5_000, "an error grows with its request");
    });
    let put = row("ReplaceProperties", "PUT");
    let properties = |size| {
        let properties: BTreeMap<String, String> = (0..size)
            .map(|key| (key.to_string(), String::new()))
            .collect();
        serde_json::to_vec(&properties).unwrap()
    };
    takes_its_share([2_000, 32_000], properties, |body| {
        let captures = ["shelves/1/books/2"].into_iter();
        let request: pb::ReplacePropertiesRequest = bind(put, captures, None, body).unwrap();
        assert!(request.properties.len() >= 2_000);
    });
}

/// What is told of a request for vectors that is wrong.
fn wrong(rpc: &str, captures: &[&str], query: Option<&str>, body: &str) -> String {
    let mut rows = vectors_http::BINDINGS.iter();
    let row = rows.find(|row| row.rpc.ends_with(&format!("/{rpc}")));
    let captures = captures.iter().copied();
    let request = bind::<BindRequest>(row.unwrap(), captures, query, body.as_bytes());
    request.unwrap_err().to_string()
}

#[test]
fn a_number_too_large_is_told_of_its_field() {
    for number in ["1e309", "-1e400"] {
        let error = wrong(
            "Act",
            &[],
            None,
            &format!("{{\"leaf\": {{\"numValue\": {number}}}}}"),
        );
        let told = format!("leaf.numValue: invalid value: number `{number}`, expected a 32-bit");
        assert!(error.starts_with(&told), "{error}");
        let body = format!("{{\"doubleValue\": {number}}}");
        let specimen = row("ExchangeSpecimen", "POST");
        let error = bind::<pb::Specimen>(specimen, std::iter::empty(), None, body.as_bytes());
        let error = error.unwrap_err().to_string();
        let told = "doubleValue: number out of range";
        assert!(error.starts_with(told), "{error}");
    }
}

/// A 64-bit integer is what the text says, wherever in a request it is and however it is written.
#[test]
fn integers_of_64_bits_survive_in_every_form() {
    let post = row("ExchangeSpecimen", "POST");
    let is_query =
        |row: &&Binding| row.rpc == post.rpc && row.method == "GET" && row.captures.is_empty();
    let get = BINDINGS.iter().find(is_query).unwrap();
    for (text, number) in [
        ("9007199254740993.0", "9007199254740993"),
        ("922337203685477580700e-2", "9223372036854775807"),
        ("1e18", "1000000000000000000"),
    ] {
        let body = format!("{{\"int64Value\": {text}, \"uint64Value\": \"{text}\"}}");
        let in_body = bind::<pb::Specimen>(post, std::iter::empty(), None, body.as_bytes());
        let query = format!("int64Value={text}&uint64Value={text}");
        let in_query = bind::<pb::Specimen>(get, std::iter::empty(), Some(&query), b"");
        let expected = format!(r#"{{"int64Value":"{number}","uint64Value":"{number}"}}"#);
        for specimen in [in_body, in_query] {
            assert_eq!(serde_json::to_string(&specimen.unwrap()).unwrap(), expected);
        }
    }
}

#[test]
fn a_plus_is_spoken_of_where_there_is_one() {
    let query = |query| wrong("List", &[], Some(query), "");
    let plus = query("beginTime=2026-01-01T00:00:00+02:00");
    assert!(plus.contains("%2B is a plus"), "{plus}");
    let numbers = |query: &str| wrong("List", &[], Some(query), "");
    let plus = numbers("numbers=1&numbers=+2");
    assert!(
        plus.starts_with("numbers[1]: ") && plus.contains("%2B is a plus"),
        "{plus}"
    );
    let other = numbers("tags=a+b&numbers=1&numbers=x");
    assert!(
        other.starts_with("numbers[1]: ") && !other.contains("plus"),
        "{other}"
    );
    for other in [query("pageSize=1%20"), wrong("ById", &["1%20"], None, "")] {
        assert!(!other.contains("plus"), "{other}");
    }
}

/// As every other enum, by name or by number.
#[test]
fn a_query_may_hold_the_number_of_null() {
    let row = row("ExchangeSpecimen", "GET");
    for (query, is_right) in [
        ("choiceNull=0", true),
        ("choiceNull=NULL_VALUE", true),
        ("choiceNull=1", false),
    ] {
        let specimen = bind::<pb::Specimen>(row, std::iter::empty(), Some(query), b"");
        assert_eq!(
            specimen.is_ok_and(|specimen| specimen.choice.is_some()),
            is_right,
            "{query}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_in_terms_of_json() {
    let row = row("ExchangeSpecimen", "POST");
    for (body, told) in [
        (
            r#"{"int32Value": 1.5}"#,
            "int32Value: invalid value: number `1.5`, expected a 32-bit integer",
        ),
        (
            r#"{"uint32Value": -5}"#,
            "uint32Value: invalid value: number `-5`, expected an unsigned",
        ),
        (
            r#"{"boolValue": 5}"#,
            "boolValue: invalid type: number `5`, expected a boolean",
        ),
        (
            r#"{"mapString": {"a": "", "a": ""}}"#,
            "the key \"a\" is given more than once",
        ),
        (
            r#"{"struct": {"a": 1, "a": 2}}"#,
            "the key \"a\" is given more than once",
        ),
        (
            r#"{"any": {"a": 1, "a": 2}}"#,
            "the key \"a\" is given more than once",
        ),
        (
            r#"{"any": {"@type": "x/y"}}"#,
            "of a type that this server knows",
        ),
        (r#"{"duration": "315576000001s"}"#, "at most 315576000000s"),
        (
            r#"{"timestamp": "10000-01-01T00:00:00Z"}"#,
            "in the years 1 to 9999",
        ),
    ] {
        let specimen = bind::<pb::Specimen>(row, std::iter::empty(), None, body.as_bytes());
        let error = specimen.unwrap_err().to_string();
        assert!(error.contains(told), "{body}: {error}");
    }
    let get = self::row("ExchangeSpecimen", "GET");
    let query = |query| {
        let specimen = bind::<pb::Specimen>(get, std::iter::empty(), Some(query), b"");
        specimen.unwrap_err().to_string()
    };
    assert_eq!(
        query("empty=x"),
        "empty: a message cannot be a query parameter"
    );
    let inside =
        "a message cannot be a query parameter; address its fields, as `messageValue.line1`";
    assert!(
        query("messageValue=x").ends_with(inside),
        "{}",
        query("messageValue=x")
    );
    assert!(query("mapString=x").contains("maps, repeated messages and free-form JSON cannot be"));
}

/// What an `Any` holds may have the name of the field that holds the `Any`.
#[test]
fn an_unknown_field_inside_an_any_is_told_of_the_any() {
    let row = row("ExchangeSpecimen", "POST");
    for name in ["any", "other"] {
        let inside = r#""@type": "type.googleapis.com/google.rpc.ErrorInfo""#;
        let body = format!(r#"{{"any": {{{inside}, "{name}": 1}}}}"#);
        let specimen = bind::<pb::Specimen>(row, std::iter::empty(), None, body.as_bytes());
        let error = specimen.unwrap_err().to_string();
        let told = format!("any.{name}: no such field");
        assert!(
            error.starts_with(&told) && !error.contains("did you mean"),
            "{error}"
        );
    }
}

#[test]
fn names_of_enums_are_told_like_names_of_fields() {
    let near = "color: no such value; did you mean `COLOR_RED`?";
    let body = wrong("Act", &[], None, r#"{"color": "COLOR_REDD"}"#);
    assert!(body.starts_with(near), "{body}");
    assert_eq!(wrong("List", &[], Some("color=COLOR_REDD"), ""), near);
    let far = wrong("ByColor", &["x"], None, "");
    assert!(
        far.starts_with("color: no such value; there are: "),
        "{far}"
    );
}

#[test]
fn keys_that_come_twice_are_refused_where_they_make_a_mask() {
    let patch = row("UpdateBook", "PATCH");
    let body = format!("{{{}\"title\":\"\"}}", "\"title\":\"\",".repeat(50_000));
    let captures = ["shelves/1/books/2"].into_iter();
    let fault = bind::<pb::UpdateBookRequest>(patch, captures, None, body.as_bytes()).unwrap_err();
    assert!(fault.to_string().contains("more than once"), "{fault}");
}

/// As protobuf's own implementations have it: text form and presence tell -0 from 0.
#[test]
fn minus_zero_is_a_floating_point_number_and_as_an_integer_zero() {
    let rows = || {
        BINDINGS
            .iter()
            .filter(|row| row.rpc.ends_with("/ExchangeSpecimen"))
    };
    let [path, query] = [6, 0].map(|captures| {
        let mut rows = rows().filter(|row| row.method == "GET");
        rows.find(|row| row.captures.len() == captures).unwrap()
    });
    let body = rows().find(|row| row.method == "POST").unwrap();
    let read = |row, captures: &[&'static str], query: Option<&str>, body: &str| {
        let captures = captures.iter().copied();
        let specimen = bind::<pb::Specimen>(row, captures, query, body.as_bytes()).unwrap();
        serde_json::to_string(&specimen).unwrap()
    };
    let six = ["-0", "-0", "-0", "AA", "true", "x"];
    assert_eq!(
        read(path, &six, None, ""),
        r#"{"doubleValue":-0.0,"bytesValue":"AA==","optionalBool":true,"wrappedString":"x"}"#
    );
    let asked = "int32Value=-0&uint32Value=-0.0&sint64Value=-0e1&floatValue=-0&doubleValue=-0.0";
    let floats = r#"{"floatValue":-0.0,"doubleValue":-0.0}"#;
    assert_eq!(read(query, &[], Some(asked), ""), floats);
    for body_text in [
        r#"{"int32Value":-0,"uint64Value":-0,"floatValue":-0,"doubleValue":-0.0}"#,
        r#"{"int64Value":"-0","fixed32Value":"-0","floatValue":"-0","doubleValue":"-0.0"}"#,
    ] {
        assert_eq!(read(body, &[], None, body_text), floats);
    }
    let others = r#"{"optionalInt32":0,"optionalFloat":-0.0,"value":-0.0,"wrappedDouble":-0.0}"#;
    assert_eq!(read(body, &[], None, others), others);
}
