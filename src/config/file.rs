//! The settings as a TOML file. Knows nothing of what they mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::{Spanned, Table, Value};

use super::{ConfigError, Settings, arguments};

/// The settings in a file.
///
/// # Errors
///
/// All that is wrong in it, each with its place, or that it cannot be read.
pub fn load(path: &Path, defaults: &Table) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text =
        fs::read_to_string(path).map_err(|error| ConfigError::new(format!("{name}: {error}")))?;
    parse(&name, &text, defaults)
}

/// The settings in the text of a file.
///
/// # Errors
///
/// As [`load`]'s.
pub fn parse(file_name: &str, text: &str, defaults: &Table) -> Result<Table, ConfigError> {
    let at = |offset: usize, problem: &str| {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.split('\n').count();
        let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
        format!("{file_name}:{line}:{column}: {problem}")
    };
    let file: BTreeMap<Spanned<String>, Value> = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::new(at(offset, error.message()))
    })?;
    let mut problems: Vec<(usize, String)> = Vec::new();
    let mut values = Table::new();
    for (key, value) in file {
        let offset = key.span().start;
        let name = key.into_inner();
        if let Some(fault) = fault(&name, &value, defaults) {
            problems.push((offset, format!("{name}: {fault}")));
        }
        values.insert(name, value);
    }
    if problems.is_empty() {
        return Ok(values);
    }
    problems.sort();
    let problems = problems.iter().map(|(offset, fault)| at(*offset, fault));
    Err(ConfigError {
        problems: problems.collect(),
    })
}

/// What is wrong with one setting: each is tried over the defaults by itself, so that all mistakes
/// of a file are found, and each at its place.
fn fault(name: &str, value: &Value, defaults: &Table) -> Option<String> {
    let arguments = arguments::all();
    let known: Vec<&str> = arguments
        .get_arguments()
        .map(|argument| argument.get_id().as_str())
        .collect();
    if !known.contains(&name) {
        let distance = |known: &&str| strsim::damerau_levenshtein(known, &name.replace('-', "_"));
        let suggestion = match known.into_iter().min_by_key(distance) {
            Some(nearest) if distance(&nearest) <= 3 => format!("; did you mean {nearest}?"),
            _ => String::new(),
        };
        return Some(format!("there is no such setting{suggestion}"));
    }
    let mut values = defaults.clone();
    values.insert(name.to_owned(), value.clone());
    let error = values.try_into::<Settings>().err()?;
    Some(error.message().trim_end().to_owned())
}

/// A file that gives these values, with what each setting means; one without a value stands in a
/// comment.
pub fn text(values: &Table) -> String {
    let mut lines: Vec<String> = Vec::new();
    for argument in arguments::all().get_arguments() {
        let name = argument.get_id().as_str();
        let meaning = argument.get_help().map(ToString::to_string);
        let meaning = wrapped(&meaning.unwrap_or_default());
        lines.extend(meaning.iter().map(|line| format!("# {line}")));
        lines.push(match values.get(name) {
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} ="),
        });
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Text in lines of at most 96 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 96 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
