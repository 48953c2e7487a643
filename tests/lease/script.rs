//! The language of the scenarios in `tests/lease/scenarios`: a file of scenarios, a scenario of
//! steps, a step of words. What the steps mean is in [`crate::scenarios`].
//!
//! ```text
//! # a comment
//! scenario a title, which is unique
//!   verb word word key=value key="value with spaces" flag
//! ```

use std::path::PathBuf;

use jumpstarter_gateway::lease::Duration;

pub struct Scenario {
    pub title: String,
    pub file: String,
    pub steps: Vec<Step>,
}

pub struct Step {
    pub line: usize,
    pub text: String,
    pub verb: String,
    /// What has no `=`, in order.
    pub words: Vec<String>,
    /// What has one, in order.
    pub options: Vec<(String, String)>,
}

/// Every scenario of every file.
pub fn scenarios() -> Vec<Scenario> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lease/scenarios");
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(read).collect()
}

fn read(path: &PathBuf) -> Vec<Scenario> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("scenario ") {
            let title = title.trim().to_owned();
            scenarios.push(Scenario {
                title,
                file: file.clone(),
                steps: Vec::new(),
            });
            continue;
        }
        let scenario = scenarios.last_mut();
        let scenario = scenario.unwrap_or_else(|| panic!("{file}: a step before any scenario"));
        scenario.steps.push(step(index + 1, text));
    }
    scenarios
}

fn step(line: usize, text: &str) -> Step {
    let mut all = words(text).into_iter();
    let verb = all.next().map(|(verb, _)| verb).unwrap_or_default();
    let (mut words, mut options) = (Vec::new(), Vec::new());
    for (word, is_quoted) in all {
        match word.split_once('=') {
            Some((key, value)) if !is_quoted => options.push((key.to_owned(), value.to_owned())),
            _ => words.push(word),
        }
    }
    Step {
        line,
        text: text.to_owned(),
        verb,
        words,
        options,
    }
}

/// Splits at white space outside double quotes, which are dropped; and says of each word whether
/// it began with one.
fn words(text: &str) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let (mut is_inside, mut is_quoted) = (false, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' if !is_quoted => is_inside = false,
            _ => {
                if !is_inside {
                    words.push((String::new(), character == '"'));
                    is_inside = true;
                }
                let (word, _) = words.last_mut().unwrap();
                match character {
                    '"' => is_quoted = !is_quoted,
                    '\\' => word.extend(characters.next()),
                    _ => word.push(character),
                }
            }
        }
    }
    assert!(!is_quoted, "a quotation is not closed: {text}");
    words
}

/// A span such as `90s`, `1h30m`, `1.5s`, `-10m` or `2d`.
pub fn span(text: &str) -> Duration {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut nanos: i128 = 0;
    let mut number = String::new();
    for character in digits.chars() {
        let unit: i128 = match character {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => {
                number.push(character);
                continue;
            }
        };
        let count: f64 = number
            .parse()
            .unwrap_or_else(|_| panic!("{text:?} is no span of time"));
        nanos += (count * 1e9) as i128 * unit;
        number.clear();
    }
    assert!(
        number.is_empty(),
        "{text:?} is no span of time: a unit is missing"
    );
    let nanos = sign * nanos;
    Duration::new(
        (nanos / 1_000_000_000) as i64,
        (nanos % 1_000_000_000) as i32,
    )
}

impl Step {
    /// The value of an option that may be given once.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of an option, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.options
            .iter()
            .filter(move |(own, _)| own == key)
            .map(|(_, value)| value.as_str())
    }

    pub fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }

    /// The word at this place.
    pub fn word(&self, place: usize) -> &str {
        self.words
            .get(place)
            .unwrap_or_else(|| panic!("{}: a word is missing", self.text))
    }

    /// Fails for an option that means nothing here, so that no expectation is passed over.
    pub fn only(&self, keys: &[&str]) {
        for (key, _) in &self.options {
            let is_known = keys.iter().any(|known| {
                key == known
                    || known
                        .strip_suffix('*')
                        .is_some_and(|stem| key.starts_with(stem))
            });
            assert!(is_known, "{}: what is {key:?}?", self.text);
        }
    }
}
