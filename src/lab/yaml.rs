//! YAML 1.2 text as a tree in which every value knows its line and column. Knows nothing of what
//! the documents mean.
//!
//! The parser gives events; the tree is built here because it must keep places, share what an alias
//! stands for instead of copying it, and go on with the next document after one that is broken.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::problem::Place;

/// Deeper nesting is refused: Kubernetes objects need about ten levels, and what walks or drops the
/// tree recurses.
const MAXIMUM_DEPTH: usize = 64;

/// How many values one file may hold, where an alias counts as all that it stands for. It bounds
/// the memory of a file and the time to walk it, also of one made of aliases to aliases.
const MAXIMUM_VALUES: usize = 4_000_000;

/// A value and where it starts.
#[derive(Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
    /// How many values are under this one, itself included.
    weight: usize,
}

/// What a [`Node`] holds.
#[derive(Debug)]
pub enum Value {
    /// `text` is as written, without quotes.
    Scalar {
        kind: ScalarKind,
        text: String,
    },
    List(Vec<Rc<Node>>),
    /// In the order of the file; no key twice; merge keys (`<<`) are already resolved.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    /// Where the key starts.
    pub place: Place,
    pub value: Rc<Node>,
}

/// The types of YAML 1.2's core schema: `no` is text, `1.10` a number unless it is quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScalarKind {
    Null,
    Boolean,
    Integer,
    Float,
    Text,
}

/// Why a part of the text is no usable YAML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub place: Place,
    pub message: String,
}

/// The documents of a file, and what kept others from being read.
#[derive(Default, Debug)]
pub struct Documents {
    pub documents: Vec<Rc<Node>>,
    pub faults: Vec<Fault>,
}

/// Reads every document of `text`. A broken one ends at the next line that starts with `---`.
pub fn parse(text: &str) -> Documents {
    let mut builder = Builder::default();
    let mut rest = text;
    while let Err(fault) = builder.read(rest) {
        let broken_line = fault.place.line - builder.lines_before;
        // The parser looks ahead, so a restart can meet the same fault once more.
        if builder.result.faults.last() != Some(&fault) {
            builder.result.faults.push(fault);
        }
        match next_document(rest, broken_line) {
            Some((lines, remaining)) if builder.values <= MAXIMUM_VALUES => {
                builder.lines_before += lines;
                rest = remaining;
            }
            _ => break,
        }
    }
    builder.result
}

/// The text from the next document marker on, at or after `line` but not at the very start, and how
/// many lines lie before it.
fn next_document(text: &str, line: usize) -> Option<(usize, &str)> {
    let mut offset = 0;
    for (lines_before, content) in text.split_inclusive('\n').enumerate() {
        let marks_start = content
            .strip_prefix("---")
            .is_some_and(|after| after.chars().next().is_none_or(char::is_whitespace));
        if marks_start && lines_before > 0 && lines_before + 1 >= line {
            return text.get(offset..).map(|rest| (lines_before, rest));
        }
        offset += content.len();
    }
    None
}

#[derive(Default)]
struct Builder {
    result: Documents,
    /// Lines of the file before the text that is being read.
    lines_before: usize,
    /// Values so far, aliases as what they stand for.
    values: usize,
    anchors: HashMap<usize, Rc<Node>>,
    open: Vec<Open>,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    contents: Contents,
}

enum Contents {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        key: Option<Rc<Node>>,
    },
}

impl Builder {
    /// Reads documents until the end of `text` or until one is broken.
    fn read(&mut self, text: &str) -> Result<(), Fault> {
        self.open.clear();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| Fault {
                place: self.place(*error.marker()),
                message: format!("is not valid YAML: {}", error.info()),
            })?;
            let place = self.place(span.start);
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let value = Value::Scalar {
                        kind: kind_of(&text, style, tag.as_deref()),
                        text: text.into_owned(),
                    };
                    self.values += 1;
                    self.finish(place, value, anchor);
                }
                Event::SequenceStart(anchor, _) => {
                    self.start(place, anchor, Contents::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, _) => {
                    let contents = Contents::Map {
                        entries: Vec::new(),
                        key: None,
                    };
                    self.start(place, anchor, contents)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(),
                Event::Alias(anchor) => {
                    // An anchor without a value is still open: the alias stands inside it.
                    let node = self.anchors.get(&anchor).cloned().ok_or_else(|| Fault {
                        place,
                        message: "an alias cannot stand inside the value that it names".into(),
                    })?;
                    self.values = self.values.saturating_add(node.weight);
                    self.add(node);
                }
                Event::DocumentEnd => self.anchors.clear(),
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_) => {}
            }
            if self.values > MAXIMUM_VALUES {
                return Err(Fault {
                    place,
                    message: format!(
                        "holds more than {MAXIMUM_VALUES} values (an alias counts as all that it \
                         stands for); split the file"
                    ),
                });
            }
        }
        Ok(())
    }

    fn place(&self, marker: Marker) -> Place {
        Place {
            line: self.lines_before + marker.line(),
            column: marker.col() + 1,
        }
    }

    fn start(&mut self, place: Place, anchor: usize, contents: Contents) -> Result<(), Fault> {
        if self.open.len() == MAXIMUM_DEPTH {
            return Err(Fault {
                place,
                message: format!("is nested deeper than {MAXIMUM_DEPTH} levels"),
            });
        }
        self.values += 1;
        self.open.push(Open {
            place,
            anchor,
            contents,
        });
        Ok(())
    }

    fn end(&mut self) {
        // Ends come in pairs with starts; the parser sees to that.
        if let Some(open) = self.open.pop() {
            let value = match open.contents {
                Contents::List(items) => Value::List(items),
                Contents::Map { entries, .. } => Value::Map(self.resolve(entries)),
            };
            self.finish(open.place, value, open.anchor);
        }
    }

    /// A value is complete: it is remembered under its anchor (0: it has none) and put in place.
    fn finish(&mut self, place: Place, value: Value, anchor: usize) {
        let below: usize = match &value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(|item| item.weight).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.weight).sum(),
        };
        let node = Rc::new(Node {
            place,
            value,
            weight: below.saturating_add(1),
        });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node);
    }

    fn add(&mut self, node: Rc<Node>) {
        let Some(open) = self.open.last_mut() else {
            self.result.documents.push(node);
            return;
        };
        match &mut open.contents {
            Contents::List(items) => items.push(node),
            Contents::Map { entries, key } => match key.take() {
                None => *key = Some(node),
                Some(name) => match &name.value {
                    Value::Scalar { text, .. } => entries.push(Entry {
                        key: text.clone(),
                        place: name.place,
                        value: node,
                    }),
                    Value::List(_) | Value::Map(_) => self.result.faults.push(Fault {
                        place: name.place,
                        message: "a key must be text".into(),
                    }),
                },
            },
        }
    }

    /// Refuses keys given twice and puts in what merge keys (`<<: *base`) stand for: the map's own
    /// keys win over merged ones, and earlier merged maps over later ones.
    fn resolve(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let (merges, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        let mut first: HashMap<String, Place> = HashMap::with_capacity(entries.len());
        let mut resolved = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(earlier) = first.get(&entry.key) {
                self.result.faults.push(Fault {
                    place: entry.place,
                    message: format!(
                        "the key {:?} stands already in line {}",
                        entry.key, earlier.line
                    ),
                });
            } else {
                first.insert(entry.key.clone(), entry.place);
                resolved.push(entry);
            }
        }
        for merge in merges {
            let sources = match &merge.value.value {
                Value::List(sources) => sources.as_slice(),
                _ => std::slice::from_ref(&merge.value),
            };
            for source in sources {
                let Value::Map(inherited) = &source.value else {
                    self.result.faults.push(Fault {
                        place: source.place,
                        message: "a merge key (<<) takes a map or a list of maps".into(),
                    });
                    continue;
                };
                for entry in inherited {
                    if !first.contains_key(&entry.key) {
                        first.insert(entry.key.clone(), entry.place);
                        self.values = self.values.saturating_add(entry.value.weight);
                        resolved.push(entry.clone());
                    }
                }
            }
        }
        resolved
    }
}

/// The type of a scalar by YAML 1.2's core schema (section 10.3): quoted text is text, and so is
/// what `!!str` says is.
fn kind_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> ScalarKind {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return ScalarKind::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Boolean,
        _ if is_integer(text) => ScalarKind::Integer,
        _ if is_float(text) => ScalarKind::Float,
        _ => ScalarKind::Text,
    }
}

fn is_integer(text: &str) -> bool {
    let all = |digits: &str, radix| {
        !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix))
    };
    match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => all(digits, 8),
        (_, Some(digits)) => all(digits, 16),
        _ => all(without_sign(text), 10),
    }
}

fn is_float(text: &str) -> bool {
    let unsigned = without_sign(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF")
        || matches!(text, ".nan" | ".NaN" | ".NAN")
        || (unsigned.starts_with(|first: char| first == '.' || first.is_ascii_digit())
            && unsigned.parse::<f64>().is_ok())
}

fn without_sign(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as text, to compare with: `{a: text(x)}`.
    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar { kind, text } => format!("{kind:?}({text})"),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| show(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key, show(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn shown(text: &str) -> Vec<String> {
        let read = parse(text);
        assert_eq!(read.faults, [], "in {text:?}");
        read.documents.iter().map(|node| show(node)).collect()
    }

    fn faults(text: &str) -> Vec<String> {
        parse(text)
            .faults
            .iter()
            .map(|fault| {
                format!(
                    "{}:{} {}",
                    fault.place.line, fault.place.column, fault.message
                )
            })
            .collect()
    }

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        let cases = [
            ("no", "Text(no)"),
            ("yes", "Text(yes)"),
            ("on", "Text(on)"),
            ("true", "Boolean(true)"),
            ("False", "Boolean(False)"),
            ("tRue", "Text(tRue)"),
            ("'true'", "Text(true)"),
            ("\"1\"", "Text(1)"),
            ("!!str 1", "Text(1)"),
            ("~", "Null(~)"),
            ("null", "Null(null)"),
            ("1", "Integer(1)"),
            ("-12", "Integer(-12)"),
            ("007", "Integer(007)"),
            ("0x1F", "Integer(0x1F)"),
            ("0o17", "Integer(0o17)"),
            ("0o18", "Text(0o18)"),
            ("0x", "Text(0x)"),
            ("1.10", "Float(1.10)"),
            (".5", "Float(.5)"),
            ("8e5", "Float(8e5)"),
            ("-.inf", "Float(-.inf)"),
            (".nan", "Float(.nan)"),
            ("inf", "Text(inf)"),
            ("nan", "Text(nan)"),
            (".", "Text(.)"),
            ("-", "[Null()]"),
            ("1_000", "Text(1_000)"),
            ("1h30m", "Text(1h30m)"),
            ("12:30", "Text(12:30)"),
            ("2026-01-01", "Text(2026-01-01)"),
            ("rpi4", "Text(rpi4)"),
            ("ß", "Text(ß)"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), [expected], "for {text:?}");
        }
    }

    #[test]
    fn documents_maps_and_lists_keep_their_order_and_places() {
        let text = "b: 1\na: [x, {y: z}]\n---\n- 'q'\n---\n";
        assert_eq!(
            shown(text),
            [
                "{b: Integer(1), a: [Text(x), {y: Text(z)}]}",
                "[Text(q)]",
                "Null()"
            ]
        );
        let read = parse(text);
        let Value::Map(entries) = &read.documents[0].value else {
            panic!("a map: {read:?}");
        };
        let at = |line, column| Place { line, column };
        assert_eq!(
            (entries[1].place, entries[1].value.place),
            (at(2, 1), at(2, 4))
        );
    }

    #[test]
    fn aliases_share_and_merge_keys_inherit() {
        let text = "base: &b {a: 1, c: 2}\nx: *b\ny: {c: 3, <<: *b}\nz: {<<: [{c: 4}, *b]}";
        let expected = "{base: {a: Integer(1), c: Integer(2)}, x: {a: Integer(1), c: Integer(2)}, \
                        y: {c: Integer(3), a: Integer(1)}, z: {c: Integer(4), a: Integer(1)}}";
        assert_eq!(shown(text), [expected]);
    }

    #[test]
    fn a_broken_document_does_not_hide_the_others() {
        let text = "a: 1\n---\nb: [1\n---\nc: 3\n--- {x\n---\nd: 'unclosed\n---\ne: 5\n";
        let read = parse(text);
        let shown: Vec<_> = read.documents.iter().map(|node| show(node)).collect();
        assert_eq!(
            shown,
            ["{a: Integer(1)}", "{c: Integer(3)}", "{e: Integer(5)}"],
            "{:?}",
            read.faults
        );
        let lines: Vec<_> = read.faults.iter().map(|fault| fault.place.line).collect();
        assert_eq!(lines, [4, 7, 8], "{:?}", read.faults);
    }

    #[test]
    fn keys_given_twice_and_keys_that_are_no_text_are_faults() {
        assert_eq!(
            faults("a: 1\nb: 2\na: 3\n"),
            ["3:1 the key \"a\" stands already in line 1"]
        );
        assert_eq!(faults("{[x]: 1, y: 2}"), ["1:2 a key must be text"]);
        assert_eq!(
            faults("a: {<<: 5}"),
            ["1:9 a merge key (<<) takes a map or a list of maps"]
        );
    }

    #[test]
    fn bombs_and_loops_are_refused_without_the_memory_for_them() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..40 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.extend([format!("a{level}: &a{level} [{below}]\n")]);
        }
        let found = faults(&bomb);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("more than 4000000 values"), "{found:?}");

        let deep = "[".repeat(100);
        assert_eq!(faults(&deep), ["1:65 is nested deeper than 64 levels"]);

        let found = faults("a: &a [*a]");
        assert_eq!(
            found,
            ["1:8 an alias cannot stand inside the value that it names"]
        );
    }
}
