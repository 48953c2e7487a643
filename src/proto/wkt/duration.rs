//! `google.protobuf.Duration`. JSON: seconds with a suffix, `"1.5s"`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use super::text::{ShortText, parse_fraction};

/// A signed span of time of at most ±315,576,000,000 seconds, about 10,000 years.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds, rounded towards zero.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the same sign, -999,999,999 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

const MAXIMUM_SECONDS: u64 = 315_576_000_000;

impl Duration {
    /// Reads an optional minus sign, digits, optionally a point and one to nine digits, and `s`.
    /// `None` for everything else, and out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('s')?;
        let (sign, number) = match number.strip_prefix('-') {
            Some(number) => (-1, number),
            None => (1, number),
        };
        let (seconds, nanos) = match number.split_once('.') {
            Some((seconds, fraction)) => (seconds, parse_fraction(fraction)?.cast_signed()),
            None => (number, 0),
        };
        // Rust's own parser would take another sign here.
        let digits = seconds.bytes().all(|digit| digit.is_ascii_digit());
        let seconds: i64 = seconds.parse().ok().filter(|_| digits)?;
        let duration = Self {
            seconds: i64::from(sign) * seconds,
            nanos: sign * nanos,
        };
        duration.is_valid().then_some(duration)
    }

    /// The JSON text without quotes; `None` if out of range or the signs differ.
    pub(crate) fn text(&self) -> Option<ShortText> {
        if !self.is_valid() {
            return None;
        }
        let mut text = ShortText::default();
        if self.seconds < 0 || self.nanos < 0 {
            text.push(b'-');
        }
        text.push_number(self.seconds.unsigned_abs());
        text.push_fraction(self.nanos.unsigned_abs());
        text.push(b's');
        Some(text)
    }

    fn is_valid(&self) -> bool {
        self.seconds.unsigned_abs() <= MAXIMUM_SECONDS
            && self.nanos.unsigned_abs() < 1_000_000_000
            && self.seconds.signum() * i64::from(self.nanos.signum()) >= 0
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => Err(S::Error::custom("a duration is out of range")),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = Duration;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration such as \"1.5s\", at most 315576000000s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::json::{Options, from_slice, to_vec};

    fn duration(seconds: i64, nanos: i32) -> Duration {
        Duration { seconds, nanos }
    }

    #[test]
    fn known_spans() {
        for (text, seconds, nanos) in [
            ("0s", 0, 0),
            ("3600s", 3600, 0),
            ("-1s", -1, 0),
            ("1.500s", 1, 500_000_000),
            ("-0.000001s", 0, -1_000),
            ("-2.000000001s", -2, -1),
            ("315576000000s", 315_576_000_000, 0),
            ("-315576000000.999999999s", -315_576_000_000, -999_999_999),
        ] {
            assert_eq!(
                Duration::parse(text),
                Some(duration(seconds, nanos)),
                "{text}"
            );
            let written = duration(seconds, nanos).text().unwrap();
            assert_eq!(written.as_str(), text);
        }
        for (text, seconds, nanos) in [
            ("1.5s", 1, 500_000_000),
            ("-0s", 0, 0),
            ("007s", 7, 0),
            ("-0.5s", 0, -500_000_000),
        ] {
            assert_eq!(
                Duration::parse(text),
                Some(duration(seconds, nanos)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "1",
            "-s",
            ".s",
            ".5s",
            "1.s",
            "-.5s",
            "--1s",
            "+1s",
            "-+1s",
            "1.-5s",
            "1.+5s",
            " 1s",
            "1 s",
            "1s ",
            "1S",
            "1m",
            "1h30m",
            "1ss",
            "1e3s",
            "0x1s",
            "1.0000000000s",
            "1.5.5s",
            "315576000001s",
            "-315576000001s",
            "9223372036854775808s",
            "99999999999999999999s",
            "١s",
        ] {
            assert_eq!(Duration::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_json_form_is_not_written() {
        for (seconds, nanos) in [
            (1, -1),
            (-1, 1),
            (0, 1_000_000_000),
            (0, i32::MIN),
            (315_576_000_001, 0),
            (i64::MIN, 0),
        ] {
            let error = to_vec(&duration(seconds, nanos)).unwrap_err().to_string();
            assert!(error.contains("out of range"), "{seconds} {nanos}: {error}");
        }
    }

    proptest! {
        #[test]
        fn durations_survive_the_round_trip(
            seconds in 0..=MAXIMUM_SECONDS as i64,
            nanos in prop_oneof![Just(0), (0..1_000).prop_map(|n| n * 1_000_000), 0..1_000_000_000],
            sign in prop_oneof![Just(1), Just(-1)],
        ) {
            let span = duration(sign * seconds, sign as i32 * nanos);
            let json = to_vec(&span).unwrap();
            prop_assert_eq!(from_slice::<Duration>(&json, Options::default()).unwrap(), span);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[-+0-9.s]{0,30}|\\PC{0,30}s?") {
            if let Some(read) = Duration::parse(&text) {
                prop_assert!(read.is_valid(), "{text}");
            }
        }
    }
}
