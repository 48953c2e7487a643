//! Walks a document by field names and notes everything that is wrong on the way, so that one look
//! at a file finds all its errors. Knows what a field may look like, not what it is for.
//!
//! Every reading method gives what could be read and reports the rest; callers go on with what they
//! get, since a report with errors makes the whole result void.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::problem::{Place, Problem, nearest};
use super::yaml::{Entry, Node, ScalarKind, Value};

/// How many characters of a text a message shows at most.
const MAXIMUM_QUOTE: usize = 80;

/// What was found wrong (errors) or odd (warnings) in one file.
pub struct Report {
    file: Arc<str>,
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub fn new(file: Arc<str>) -> Self {
        Self {
            file,
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// An error at a place that is no field.
    pub fn error(&self, place: Place, message: String) {
        let problem = self.problem(place, String::new(), message);
        self.errors.borrow_mut().push(problem);
    }

    /// The errors and warnings, each by place.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |problems: RefCell<Vec<Problem>>| {
            let mut problems = problems.into_inner();
            problems.sort_by_key(|problem| problem.place);
            problems
        };
        (sorted(self.errors), sorted(self.warnings))
    }

    fn problem(&self, place: Place, field: String, message: String) -> Problem {
        Problem {
            file: Arc::clone(&self.file),
            place: Some(place),
            field,
            message,
        }
    }
}

/// A value in a document, and the way to it from the document's root.
pub struct Field<'a> {
    node: &'a Node,
    /// Where it is shown to be: at its key where it has one.
    place: Place,
    step: Step<'a>,
    parent: Option<&'a Field<'a>>,
    report: &'a Report,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Field<'a> {
    /// A document as a whole.
    pub fn root(node: &'a Node, report: &'a Report) -> Self {
        Self {
            node,
            place: node.place,
            step: Step::Root,
            parent: None,
            report,
        }
    }

    /// The file it stands in and where.
    pub fn position(&self) -> (Arc<str>, Place) {
        (Arc::clone(&self.report.file), self.place)
    }

    /// Reports that this value is wrong; `message` says what would be right.
    pub fn error(&self, message: impl Into<String>) {
        let problem = self.problem(self.node.place, message.into());
        self.report.errors.borrow_mut().push(problem);
    }

    /// Reports that the key which leads to this value is wrong.
    pub fn key_error(&self, message: impl Into<String>) {
        let problem = self.problem(self.place, message.into());
        self.report.errors.borrow_mut().push(problem);
    }

    /// Reports something that is passed over.
    pub fn warning(&self, message: impl Into<String>) {
        let problem = self.problem(self.place, message.into());
        self.report.warnings.borrow_mut().push(problem);
    }

    /// The value of a map's key; none where the key is absent or null, or where this is no map
    /// ([`Self::expect_fields`] reports that).
    pub fn get<'s>(&'s self, name: &'s str) -> Option<Field<'s>> {
        let entry = self.map()?.iter().find(|entry| entry.key == name)?;
        let field = self.child(&entry.value, entry.place, Step::Name(name));
        (!field.is_null()).then_some(field)
    }

    /// Like [`Self::get`], and reports that the key is missing.
    pub fn required<'s>(&'s self, name: &'s str) -> Option<Field<'s>> {
        let field = self.get(name);
        if field.is_none() {
            self.child(self.node, self.place, Step::Name(name))
                .key_error("is missing");
        }
        field
    }

    /// Reports a value that is no map, and warns of keys that are not `known`.
    pub fn expect_fields(&self, known: &[&str]) {
        for (name, field) in self.map_entries(Step::Name) {
            if !known.contains(&name) {
                let suggestion = nearest(name, known)
                    .map(|known| format!("; did you mean {known}?"))
                    .unwrap_or_default();
                field.warning(format!("is not known and is passed over{suggestion}"));
            }
        }
    }

    /// The entries of a map whose keys are free, null values too; reports a value that is no map.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Field<'_>)> {
        self.map_entries(Step::Key)
    }

    /// A list's items; reports a value that is no list.
    pub fn items(&self) -> impl Iterator<Item = Field<'_>> {
        let items = if let Value::List(items) = &self.node.value {
            items.as_slice()
        } else {
            self.unexpected("a list");
            &[]
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.child(item, item.place, Step::Index(index)))
    }

    /// Text. A number or a boolean is none, as in Kubernetes: it must be quoted.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar {
                kind: ScalarKind::Text,
                text,
            } => Some(text),
            Value::Scalar { text, .. } => {
                self.error(format!("must be text: write \"{text}\" in quotes"));
                None
            }
            _ => {
                self.unexpected("text");
                None
            }
        }
    }

    /// Text in which `faults` finds none.
    pub fn checked_text(&self, faults: fn(&str) -> Vec<String>) -> Option<&'a str> {
        let text = self.text()?;
        let faults = faults(text);
        if faults.is_empty() {
            return Some(text);
        }
        self.error(format!("{}: {}", quoted(text), faults.join("; ")));
        None
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        let boolean = match &self.node.value {
            Value::Scalar {
                kind: ScalarKind::Boolean,
                text,
            } => Some(text.eq_ignore_ascii_case("true")),
            _ => None,
        };
        if boolean.is_none() {
            self.unexpected("true or false");
        }
        boolean
    }

    /// A whole number, decimal.
    pub fn integer(&self) -> Option<i64> {
        let number = match &self.node.value {
            Value::Scalar {
                kind: ScalarKind::Integer,
                text,
            } => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.unexpected("a whole number");
        }
        number
    }

    /// Nothing at all, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(
            self.node.value,
            Value::Scalar {
                kind: ScalarKind::Null,
                ..
            }
        )
    }

    /// Whether it has keys at all; reports a value that has not.
    pub fn expect_map(&self) -> bool {
        let is_map = self.map().is_some();
        if !is_map {
            self.unexpected("a map");
        }
        is_map
    }

    fn map_entries<'s>(
        &'s self,
        step: fn(&'s str) -> Step<'s>,
    ) -> impl Iterator<Item = (&'s str, Field<'s>)> {
        self.expect_map();
        self.map().unwrap_or_default().iter().map(move |entry| {
            let key = entry.key.as_str();
            (key, self.child(&entry.value, entry.place, step(key)))
        })
    }

    fn map(&self) -> Option<&'a [Entry]> {
        match &self.node.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    fn child<'s>(&'s self, node: &'s Node, place: Place, step: Step<'s>) -> Field<'s> {
        Field {
            node,
            place,
            step,
            parent: Some(self),
            report: self.report,
        }
    }

    fn unexpected(&self, wanted: &str) {
        let found = match &self.node.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar { kind, text } => match kind {
                ScalarKind::Null => "empty".to_owned(),
                ScalarKind::Text => format!("the text {}", quoted(text)),
                _ => text.clone(),
            },
        };
        self.error(format!("must be {wanted}, not {found}"));
    }

    fn problem(&self, place: Place, message: String) -> Problem {
        self.report.problem(place, self.to_string(), message)
    }
}

/// A text from a file as messages show it: in quotes, and only its start if it is long.
pub fn quoted(text: &str) -> String {
    let start: String = text.chars().take(MAXIMUM_QUOTE).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{rest}")
}

impl fmt::Display for Field<'_> {
    /// The way from the root: `spec.policies[0].priority`, `metadata.labels["board"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key:?}]"),
            Step::Name(name) if self.parent.is_some_and(|up| up.parent.is_some()) => {
                write!(f, ".{name}")
            }
            Step::Name(name) => f.write_str(name),
        }
    }
}
