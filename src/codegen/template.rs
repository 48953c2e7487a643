//! Path templates as `google/api/http.proto` defines them, and the check that no two of them claim
//! the same requests. Knows nothing of protobuf descriptors, axum or generated code.
//!
//! ```text
//! Template  = "/" [ Segments ] [ Verb ] ;
//! Segments  = Segment { "/" Segment } ;
//! Segment   = "*" | "**" | LITERAL | Variable ;
//! Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb      = ":" LITERAL ;
//! ```
//!
//! Beyond the grammar: `**` comes last, variables do not nest, and no field is bound twice.

use std::collections::BTreeMap;
use std::fmt;

/// A parsed path template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pub segments: Vec<Segment>,
    pub verb: Option<String>,
    pub variables: Vec<Variable>,
}

/// One segment of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Segment {
    /// Exactly this text, percent-decoded.
    Literal(String),
    /// `*`: any one segment that is not empty.
    One,
    /// `**`: all that is left, which may be nothing.
    Rest,
}

/// A variable and the segments it spans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// The field it binds, by proto names: `["lease", "name"]`.
    pub path: Vec<String>,
    /// The first segment, from 0.
    pub start: usize,
    /// One past the last segment.
    pub end: usize,
    /// It can hold more than one segment, so `%2F` in it stays encoded.
    pub multi: bool,
}

/// Why a template is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateError {
    /// The byte of the template it happened at, from 0.
    pub at: usize,
    pub what: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.what, self.at)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Says which byte breaks which rule of the grammar.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser {
            text,
            at: 0,
            template: Self {
                segments: vec![],
                verb: None,
                variables: vec![],
            },
        };
        parser.template()?;
        Ok(parser.template)
    }

    /// What decides whether two templates claim the same requests: variables do not count.
    fn shape(&self) -> (&[Segment], Option<&str>) {
        (&self.segments, self.verb.as_deref())
    }
}

/// A template under the method and the owner (an rpc) it was declared with.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    pub owner: &'a str,
    pub method: &'a str,
    pub template: &'a Template,
}

/// Finds the first two claims that nothing could tell apart: same method, same segments, same verb.
#[must_use]
pub fn conflict<'a>(claims: &[Claim<'a>]) -> Option<(Claim<'a>, Claim<'a>)> {
    let mut seen = BTreeMap::new();
    for claim in claims {
        if let Some(earlier) = seen.insert((claim.method, claim.template.shape()), claim) {
            return Some((earlier.clone(), claim.clone()));
        }
    }
    None
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    template: Template,
}

impl Parser<'_> {
    fn template(&mut self) -> Result<(), TemplateError> {
        self.expect('/')?;
        if self.peek().is_none() {
            return Ok(());
        }
        self.segments(false)?;
        if self.eat(':') {
            self.template.verb = Some(self.literal("a verb")?);
        }
        match self.peek() {
            None => Ok(()),
            Some(other) => self.fail(format!("`{other}` cannot stand here")),
        }
    }

    fn segments(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        loop {
            if self.template.segments.last() == Some(&Segment::Rest) {
                return self.fail("`**` must be the last segment".to_owned());
            }
            self.segment(in_variable)?;
            if !self.eat('/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        if self.eat('*') {
            let segment = if self.eat('*') {
                Segment::Rest
            } else {
                Segment::One
            };
            self.template.segments.push(segment);
        } else if self.peek() == Some('{') {
            if in_variable {
                return self.fail("variables do not nest".to_owned());
            }
            self.variable()?;
        } else {
            let literal = self.literal("a segment")?;
            self.template.segments.push(Segment::Literal(literal));
        }
        match self.peek() {
            None | Some('/' | ':' | '}') => Ok(()),
            Some(other) => self.fail(format!(
                "`{other}` cannot follow: a segment is one literal, wildcard or variable"
            )),
        }
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        let opened = self.at;
        self.expect('{')?;
        let path = self.field_path()?;
        let start = self.template.segments.len();
        if self.eat('=') {
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        self.expect('}')?;
        if self
            .template
            .variables
            .iter()
            .any(|other| other.path == path)
        {
            self.at = opened;
            return self.fail(format!("`{}` is bound twice", path.join(".")));
        }
        let end = self.template.segments.len();
        let multi = end - start > 1 || self.template.segments.last() == Some(&Segment::Rest);
        self.template.variables.push(Variable {
            path,
            start,
            end,
            multi,
        });
        Ok(())
    }

    fn field_path(&mut self) -> Result<Vec<String>, TemplateError> {
        let mut path = vec![];
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|c| c == '_' || c.is_ascii_alphanumeric())
            {
                self.at += 1;
            }
            let name = &self.text[start..self.at];
            if !name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) {
                self.at = start;
                return self.fail("a field name was expected".to_owned());
            }
            path.push(name.to_owned());
            if !self.eat('.') {
                return Ok(path);
            }
        }
    }

    /// A run of RFC 3986 `pchar`s without `:` and `*`, percent-decoded.
    fn literal(&mut self, what: &str) -> Result<String, TemplateError> {
        let start = self.at;
        let mut decoded = vec![];
        while let Some(c) = self.peek() {
            if c == '%' {
                let hex = self.text.get(self.at + 1..self.at + 3);
                let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
                    return self.fail("`%` must be followed by two hexadecimal digits".to_owned());
                };
                decoded.push(byte);
                self.at += 3;
            } else if c.is_ascii_alphanumeric() || "-._~!$&'()+,;=@".contains(c) {
                decoded.push(c as u8);
                self.at += 1;
            } else {
                break;
            }
        }
        if decoded.is_empty() {
            return self.fail(format!("{what} was expected"));
        }
        String::from_utf8(decoded).map_err(|_| TemplateError {
            at: start,
            what: "the escapes are not UTF-8".to_owned(),
        })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn expect(&mut self, expected: char) -> Result<(), TemplateError> {
        if self.eat(expected) {
            Ok(())
        } else {
            self.fail(format!("`{expected}` was expected"))
        }
    }

    fn fail<T>(&self, what: String) -> Result<T, TemplateError> {
        Err(TemplateError { at: self.at, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_know_their_segments() {
        let template = Template::parse("/v1/{lease.name=namespaces/*/leases/*}:cancel").unwrap();
        assert_eq!(template.segments.len(), 5);
        assert_eq!(template.verb.as_deref(), Some("cancel"));
        assert_eq!(
            template.variables,
            [Variable {
                path: vec!["lease".into(), "name".into()],
                start: 1,
                end: 5,
                multi: true
            }]
        );
        assert!(!Template::parse("/v1/{name=*}").unwrap().variables[0].multi);
        assert!(Template::parse("/v1/{name=**}").unwrap().variables[0].multi);
    }

    #[test]
    fn errors_point_at_the_byte() {
        let error = Template::parse("/a/{x=**}/b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`**` must be the last segment (at byte 10)"
        );
        let error = Template::parse("/{a}/{a}").unwrap_err();
        assert_eq!(error.to_string(), "`a` is bound twice (at byte 5)");
    }

    #[test]
    fn equal_shapes_conflict_whatever_their_variables_are_called() {
        let (one, two) = (
            Template::parse("/a/{x}").unwrap(),
            Template::parse("/a/{y=*}").unwrap(),
        );
        let claim = |owner, method, template| Claim {
            owner,
            method,
            template,
        };
        let found = conflict(&[claim("A", "GET", &one), claim("B", "GET", &two)]);
        assert_eq!(found.map(|(a, b)| (a.owner, b.owner)), Some(("A", "B")));
        assert!(conflict(&[claim("A", "GET", &one), claim("B", "POST", &two)]).is_none());
    }
}
