//! The tokens file: the simple way to have tokens. Knows nothing of what is in a token.
//!
//! The file is of the kind Kubernetes calls a static token file: a line for each token,
//! `token,client:NAMESPACE:NAME`. Empty lines and lines that start with `#` say nothing.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::sources::TokensError;
use crate::lease::Name;

/// A token's SHA-256. Tokens are looked up by it, so that how long a look takes tells an attacker
/// nothing of how near a guess was, and the file's tokens are not kept in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The clients that a file's tokens stand for.
pub type Listed = HashMap<Fingerprint, Name>;

impl Fingerprint {
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Display for Fingerprint {
    /// `sha256:` and hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a tokens file.
///
/// # Errors
/// The file cannot be read, or lines of it cannot be understood; all of them are named.
pub fn load(file: &Path) -> Result<Listed, TokensError> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|why| TokensError::new([format!("{name}: {why}")]))?;
    parse(&text).map_err(|problems| {
        TokensError::new(
            problems
                .iter()
                .map(|(line, problem)| format!("{name}:{line}: {problem}")),
        )
    })
}

fn parse(text: &str) -> Result<Listed, Vec<(usize, String)>> {
    let mut listed = Listed::new();
    let mut problems = vec![];
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match grant(line) {
            Err(problem) => problems.push((index + 1, problem)),
            Ok((token, client)) => {
                if listed.insert(token, client).is_some() {
                    let problem = "this token stands in an earlier line too".to_owned();
                    problems.push((index + 1, problem));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(listed)
    } else {
        Err(problems)
    }
}

/// One line: the token and its client.
fn grant(line: &str) -> Result<(Fingerprint, Name), String> {
    const FORM: &str = "a line is `token,client:NAMESPACE:NAME`";
    let (token, subject) = line
        .split_once(',')
        .ok_or_else(|| format!("there is no comma; {FORM}"))?;
    let (token, subject) = (token.trim(), subject.trim());
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token is empty or not plain ASCII; {FORM}"));
    }
    let parts: Vec<&str> = subject.split(':').collect();
    match parts[..] {
        ["client", namespace, name] if !namespace.is_empty() && !name.is_empty() => {
            Ok((Fingerprint::of(token), Name::new(namespace, name)))
        }
        _ => Err(format!("`{subject}` is no client; {FORM}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_line_is_named() {
        let problems = parse("# lab\n\nabc\nx,client:lab\ny,client:a:b\ny,client:a:c");
        let lines: Vec<usize> = problems
            .unwrap_err()
            .iter()
            .map(|(line, _)| *line)
            .collect();
        assert_eq!(lines, [3, 4, 6]);
    }

    #[test]
    fn tokens_stand_for_clients() {
        let listed = parse("good,client:lab:ann\n").unwrap();
        assert_eq!(listed[&Fingerprint::of("good")], Name::new("lab", "ann"));
        assert!(!listed.contains_key(&Fingerprint::of("goo")));
    }
}
