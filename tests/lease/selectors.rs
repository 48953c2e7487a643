//! The selector grammar against vectors: a text, what a lease makes of it, what labels the lease
//! has then, and what a list filter makes of it. Taken from `tests/vectors/selector-vectors.tsv`,
//! or from the folder that `VECTORS_DIR` names.

use std::sync::Arc;

use jumpstarter_gateway::lease::{
    Command, CreateLease, DeclaredExporter, Labels, LeaseQuery, Selector, Settings,
};

use crate::world::{NAMESPACE, World, name, seconds};

/// Where this engine departs from the vectors, by the rule that says so: the text, what a lease
/// makes of it (its selector, or why not), and what a filter makes of it.
const DEPARTURES: [(&str, &str, Outcome, Outcome); 3] = [
    ("E3", "a==1", Ok("a=1"), Ok("a==1")),
    (
        "C5",
        "   ",
        Err("one of selector or exporter_name is required"),
        Ok(""),
    ),
    (
        "E24",
        "a=1\0,b=2",
        Err("failed to parse label selector: must not contain a NUL byte"),
        Err("must not contain a NUL byte"),
    ),
];

type Outcome = Result<&'static str, &'static str>;

struct Vector {
    line: usize,
    text: String,
    lease: Result<String, String>,
    labels: Vec<(String, String)>,
    filter: Result<String, String>,
}

#[test]
fn leases_and_filters_read_selectors_as_the_vectors_say() {
    let vectors = vectors();
    assert!(
        vectors.len() >= 50,
        "only {} vectors: is the file whole?",
        vectors.len()
    );
    let mut wrong = Vec::new();
    for vector in &vectors {
        let lease = created(&vector.text);
        let selector = lease
            .as_ref()
            .map(|(selector, _)| selector.clone())
            .map_err(Clone::clone);
        if selector != vector.lease {
            wrong.push(report(vector, "lease", &vector.lease, &selector));
        }
        let labels = lease
            .map(|(_, world)| found_by(&world, &vector.labels))
            .unwrap_or_default();
        if labels != vector.labels {
            wrong.push(report(vector, "labels", &vector.labels, &labels));
        }
        let filter = Selector::parse(&vector.text);
        let filter = filter
            .map(|filter| filter.to_string())
            .map_err(|error| error.to_string());
        if filter != vector.filter {
            wrong.push(report(vector, "filter", &vector.filter, &filter));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_departure_is_one() {
    for (rule, text, ..) in DEPARTURES {
        let count = raw_vectors()
            .iter()
            .filter(|(_, vector)| vector.text == text)
            .count();
        assert_eq!(
            count, 1,
            "{rule}: {text:?} is in no vector, so nothing departs from it"
        );
    }
}

#[test]
fn a_filter_that_is_written_out_is_read_back_the_same() {
    for vector in vectors() {
        if let Ok(filter) = Selector::parse(&vector.text) {
            let again = Selector::parse(&filter.to_string());
            assert_eq!(
                again.as_ref(),
                Ok(&filter),
                "line {}: {:?}",
                vector.line,
                vector.text
            );
        }
    }
}

fn report<T: std::fmt::Debug>(vector: &Vector, what: &str, expected: &T, found: &T) -> String {
    let Vector { line, text, .. } = vector;
    format!("line {line}: {text:?}\n  {what} expected: {expected:?}\n  {what} found:    {found:?}")
}

/// What becomes of a CreateLease with this selector: the selector of the lease, or the message.
fn created(selector: &str) -> Result<(String, World), String> {
    let mut world = World::new(Settings::default());
    let exporters = vec![DeclaredExporter {
        name: name("board"),
        labels: Labels::new(),
        enabled: true,
        is_static: true,
    }];
    let lab = Command::ReplaceLab {
        exporters,
        clients: Vec::new(),
        policies: Vec::new(),
    };
    world.submit(&lab).unwrap();
    let create = Command::CreateLease(CreateLease {
        name: name("lease"),
        named: true,
        client: Arc::from("client"),
        selector: selector.to_owned(),
        exporter_name: None,
        allow_disabled: false,
        begin: None,
        end: None,
        duration: Some(seconds(60)),
        tags: Labels::new(),
        context: Labels::new(),
        if_revision: None,
    });
    world.submit(&create).map_err(|refusal| refusal.message)?;
    let selector = world.lease("lease").unwrap().selector.to_string();
    Ok((selector, world))
}

/// Those labels, and any that the expected ones may hide, that a filter finds the lease by.
fn found_by(world: &World, expected: &[(String, String)]) -> Vec<(String, String)> {
    let selector = &world.lease("lease").unwrap().selector;
    let mut candidates: Vec<(String, String)> = expected.to_vec();
    for (key, value) in selector.equalities() {
        candidates.push((key.to_owned(), value.to_owned()));
    }
    candidates.sort();
    candidates.dedup();
    candidates.retain(|(key, value)| {
        let filter = Selector::parse(&format!("{key}={value}")).unwrap();
        let query = LeaseQuery {
            filter,
            ..LeaseQuery::default()
        };
        !world
            .published
            .leases(world.now, NAMESPACE, &query, None, 1)
            .is_empty()
    });
    candidates
}

/// The vectors with the departures put in.
fn vectors() -> Vec<Vector> {
    let with_departure = |(_, mut vector): (usize, Vector)| {
        for (_, text, lease, filter) in DEPARTURES {
            if vector.text == text {
                vector.lease = owned(lease);
                vector.filter = owned(filter);
                vector.labels = match &vector.lease {
                    Ok(label) => label.split_once('=').into_iter().map(pair).collect(),
                    Err(_) => Vec::new(),
                };
            }
        }
        vector
    };
    raw_vectors().into_iter().map(with_departure).collect()
}

fn owned(outcome: Outcome) -> Result<String, String> {
    outcome.map(str::to_owned).map_err(str::to_owned)
}

fn pair((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn raw_vectors() -> Vec<(usize, Vector)> {
    let folder = std::env::var("VECTORS_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors").to_owned());
    let path = format!("{folder}/selector-vectors.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows = text.lines().enumerate().skip(1);
    rows.map(|(index, row)| (index, vector(index + 1, row)))
        .collect()
}

fn vector(line: usize, row: &str) -> Vector {
    let columns: Vec<&str> = row.split('\t').collect();
    let [text, outcome, result, labels, filter] = columns[..] else {
        panic!(
            "line {line}: {} columns where there should be 5",
            columns.len()
        )
    };
    // Rule E20: the path that is always empty is left out. Rule F9: the empty selector is empty.
    let told = |text: &str| text.replace("<nil>: ", "");
    let selector = result.replace("<none>", "");
    let filter = match (filter.strip_prefix("ok"), filter.strip_prefix("ERR ")) {
        (_, Some(error)) => Err(told(error)),
        (Some(text), None) => Ok(text.trim().replace("(everything)", "")),
        (None, None) => panic!("line {line}: what does the filter {filter:?} mean?"),
    };
    let lease = if outcome == "OK" {
        Ok(selector)
    } else {
        Err(told(result))
    };
    Vector {
        line,
        text: json_string(text),
        lease,
        labels: json_labels(labels),
        filter,
    }
}

/// What a JSON string literal says.
fn json_string(literal: &str) -> String {
    let inner = literal
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut characters = inner
        .unwrap_or_else(|| panic!("{literal} is no JSON string"))
        .chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, false) => text.push(character),
            _ => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).unwrap();
                    text.push(char::from_u32(code).unwrap());
                }
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                other => text.extend(other),
            },
        }
    }
    text
}

/// The pairs of a flat JSON object of strings without escapes.
fn json_labels(object: &str) -> Vec<(String, String)> {
    let strings: Vec<&str> = object.split('"').skip(1).step_by(2).collect();
    strings
        .chunks_exact(2)
        .map(|both| pair((both[0], both[1])))
        .collect()
}
