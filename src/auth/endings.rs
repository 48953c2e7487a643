//! Which tokens end before their time: those that were revoked, and those that were replaced. Knows
//! tokens by their ids only.
//!
//! They stand in a file, a line for each: `ID TIME WHY`, and where it is known when the token would
//! have ended by itself, ` UNTIL TIME`; the line is dropped after that. Times are RFC 3339, UTC, in
//! whole seconds. Lines that start with `#` say nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lease::Timestamp;

/// Tokens by their ids, each with its early end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endings(BTreeMap<String, Ending>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// From then on it is worth nothing.
    pub at: Timestamp,
    pub why: Why,
    /// When it would have ended by itself, if that is known.
    pub until: Option<Timestamp>,
}

/// Why a token ends early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Somebody said so.
    Revoked,
    /// Its owner has a newer one (RotateToken).
    Replaced,
}

impl Endings {
    /// How a token ends.
    pub fn of(&self, id: &str) -> Option<Ending> {
        self.0.get(id).copied()
    }

    /// Ends a token. One that ends anyway never gets more time by it.
    pub fn end(&mut self, id: &str, ending: Ending) {
        match self.0.get_mut(id) {
            Some(present) if present.at <= ending.at => {}
            Some(present) => {
                let until = present.until.or(ending.until);
                *present = Ending { until, ..ending };
            }
            None => {
                self.0.insert(id.to_owned(), ending);
            }
        }
    }

    /// Drops what makes no difference any more.
    pub fn forget(&mut self, now: Timestamp) {
        self.0
            .retain(|_, ending| ending.until.is_none_or(|until| now < until));
    }
}

impl fmt::Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Tokens that end before their time: ID TIME WHY [until TIME]\n")?;
        for (id, Ending { at, why, until }) in &self.0 {
            write!(f, "{id} {} {why}", written(*at))?;
            if let Some(until) = until {
                write!(f, " until {}", written(*until))?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl FromStr for Endings {
    /// What is wrong, with its line.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut endings = Self::default();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            let (id, ending) = ending(&words).ok_or_else(|| {
                format!(
                    "{}: `{line}` is not ID TIME WHY [until TIME], such as \
                     `0199-ab 2026-11-22T20:00:00Z revoked`",
                    index + 1
                )
            })?;
            endings.end(id, ending);
        }
        Ok(endings)
    }
}

fn ending<'a>(words: &[&'a str]) -> Option<(&'a str, Ending)> {
    let (id, at, why, until) = match *words {
        [id, at, why] => (id, at, why, None),
        [id, at, why, "until", until] => (id, at, why, Some(read(until)?)),
        _ => return None,
    };
    let at = read(at)?;
    let why = why.parse().ok()?;
    Some((id, Ending { at, why, until }))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
        })
    }
}

impl FromStr for Why {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Revoked, Self::Replaced]
            .into_iter()
            .find(|why| why.to_string() == text)
            .ok_or(())
    }
}

/// Whole seconds: what is behind them is cut off. Times before 1970 are 1970.
fn written(time: Timestamp) -> impl fmt::Display {
    let seconds = u64::try_from(time.seconds()).unwrap_or_default();
    // The last second that RFC 3339 can write.
    let seconds = seconds.min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn read(text: &str) -> Option<Timestamp> {
    let time: SystemTime = humantime::parse_rfc3339(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::new(i64::try_from(since.as_secs()).ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(1_800_000_000 + seconds, 0)
    }

    fn replaced(seconds: i64, until: Option<i64>) -> Ending {
        Ending {
            at: at(seconds),
            why: Why::Replaced,
            until: until.map(at),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut endings = Endings::default();
        endings.end("one", replaced(0, None));
        let revoked = Ending {
            why: Why::Revoked,
            ..replaced(5, Some(60))
        };
        endings.end("two", revoked);
        let text = endings.to_string();
        assert_eq!(text.parse(), Ok(endings), "{text}");
        assert!(
            text.contains("two 2027-01-15T08:00:05Z revoked until 2027-01-15T08:01:00Z\n"),
            "{text}"
        );
        let fault = "#\n\none 2027-01-15T08:00:05Z gone"
            .parse::<Endings>()
            .unwrap_err();
        assert!(fault.starts_with("3: `one "), "{fault}");
    }

    #[test]
    fn an_end_only_comes_nearer() {
        let mut endings = Endings::default();
        endings.end("one", replaced(10, Some(60)));
        endings.end("one", replaced(20, None));
        assert_eq!(endings.of("one"), Some(replaced(10, Some(60))));
        endings.end("one", replaced(5, None));
        assert_eq!(endings.of("one"), Some(replaced(5, Some(60))));
    }

    #[test]
    fn what_is_over_anyway_is_forgotten() {
        let mut endings = Endings::default();
        endings.end("one", replaced(0, Some(60)));
        endings.end("two", replaced(0, None));
        endings.forget(at(59));
        assert!(endings.of("one").is_some());
        endings.forget(at(60));
        assert!(endings.of("one").is_none() && endings.of("two").is_some());
    }
}
