//! `google.protobuf.Timestamp`. JSON: RFC 3339, written in UTC with `Z`.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use super::text::{ShortText, parse_digits, parse_fraction};

/// A point in time, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z; proleptic
/// Gregorian calendar, no leap seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// 0001-01-01T00:00:00Z
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z
const LAST_SECOND: i64 = 253_402_300_799;

impl Timestamp {
    /// Reads RFC 3339 with upper-case `T` and `Z`, up to nine digits of a fraction, any offset.
    /// `None` for everything else, and outside the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let (clock, offset) = rest.split_at_checked(8)?;
        let (fraction, offset) = match offset.strip_prefix('.') {
            None => (None, offset),
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit())?;
                let (fraction, offset) = rest.split_at_checked(end)?;
                (Some(fraction), offset)
            }
        };
        let nanos = fraction.map_or(Some(0), parse_fraction)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let in_range = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && (hour < 24 && minute < 60 && second < 60);
        let seconds = days_since_epoch(year, month, day) * SECONDS_PER_DAY
            + seconds_of_day(hour, minute, second)
            - parse_offset(offset)?;
        let timestamp = Self {
            seconds,
            nanos: nanos.cast_signed(),
        };
        (in_range && timestamp.is_valid()).then_some(timestamp)
    }

    /// The canonical text, or `None` when out of range.
    fn text(&self) -> Option<ShortText> {
        let nanos = u32::try_from(self.nanos).ok().filter(|_| self.is_valid())?;
        let (year, month, day) = date(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second = u32::try_from(self.seconds.rem_euclid(SECONDS_PER_DAY)).ok()?;
        let mut text = ShortText::default();
        text.push_digits::<4>(year);
        text.push(b'-');
        text.push_digits::<2>(month);
        text.push(b'-');
        text.push_digits::<2>(day);
        text.push(b'T');
        text.push_digits::<2>(second / 3600);
        text.push(b':');
        text.push_digits::<2>(second / 60 % 60);
        text.push(b':');
        text.push_digits::<2>(second % 60);
        text.push_fraction(nanos);
        text.push(b'Z');
        Some(text)
    }

    fn is_valid(&self) -> bool {
        (FIRST_SECOND..=LAST_SECOND).contains(&self.seconds)
            && (0..1_000_000_000).contains(&self.nanos)
    }
}

/// Three numbers of fixed width between separators.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |width| {
        let part = parts.next().filter(|part| part.len() == width)?;
        parse_digits(part).map(i64::from)
    };
    let [first, second, third] = widths;
    let found = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(found)
}

/// Seconds east of UTC.
fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, clock) = match text.split_at_checked(1)? {
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let (hours, minutes) = clock.split_once(':')?;
    let two_digits = |part: &str| {
        parse_digits(part)
            .filter(|_| part.len() == 2)
            .map(i64::from)
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| sign * seconds_of_day(hours, minutes, 0))
}

fn seconds_of_day(hours: i64, minutes: i64, seconds: i64) -> i64 {
    hours * 3600 + minutes * 60 + seconds
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both directions count in years that begin in March, so that the leap day is the last of its
// year, and from a day 0000-03-01, which begins a cycle of 400 years = 146,097 days.

/// Day zero of the count below: 1970-01-01 is this many days after 0000-03-01.
const EPOCH_DAY: i64 = 719_468;

/// Days from 1970-01-01 to a date of the year 0 or later.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - EPOCH_DAY
}

/// Year, month and day of a valid timestamp's day, counted from 1970-01-01.
fn date(days_since_epoch: i64) -> (u32, u32, u32) {
    let days = u32::try_from(days_since_epoch + EPOCH_DAY).unwrap_or_default();
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    // Take out the leap days passed so far in the cycle: one per 4 years, not per 100.
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - (month * 153 + 2) / 5 + 1;
    let year = cycle * 400 + year_of_cycle;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

impl From<SystemTime> for Timestamp {
    /// A clock beyond the range of `i64` seconds gives its end.
    fn from(time: SystemTime) -> Self {
        let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (whole(after), after.subsec_nanos()),
            Err(before) => match (whole(before.duration()), before.duration().subsec_nanos()) {
                (seconds, 0) => (-seconds, 0),
                // Seconds are rounded down, and the nanoseconds count on from there.
                (seconds, nanos) => (-seconds - 1, NANOS_PER_SECOND - nanos),
            },
        };
        Self {
            seconds,
            nanos: nanos.cast_signed(),
        }
    }
}

/// A timestamp that is outside its own range or that of the system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl TryFrom<Timestamp> for SystemTime {
    type Error = OutOfRange;

    fn try_from(timestamp: Timestamp) -> Result<Self, OutOfRange> {
        let nanos = u64::try_from(timestamp.nanos).map_err(|_| OutOfRange)?;
        let whole = Duration::from_secs(timestamp.seconds.unsigned_abs());
        let second = if timestamp.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        second
            .and_then(|second| second.checked_add(Duration::from_nanos(nanos)))
            .filter(|_| timestamp.is_valid())
            .ok_or(OutOfRange)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => Err(S::Error::custom(
                "a timestamp is outside the years 1 to 9999",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;

        impl Visitor<'_> for Rfc3339 {
            type Value = Timestamp;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a timestamp such as \"2026-01-31T23:59:59.5Z\", in the years 1 to 9999",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Rfc3339)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::json::{Options, from_slice, to_vec};

    fn timestamp(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    fn written(timestamp: Timestamp) -> Option<String> {
        Some(timestamp.text()?.as_str().to_owned())
    }

    #[test]
    fn known_points_in_time() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("0001-01-01T00:00:00Z", FIRST_SECOND, 0),
            ("9999-12-31T23:59:59.999999999Z", LAST_SECOND, 999_999_999),
            ("1969-12-31T23:59:59.500Z", -1, 500_000_000),
            ("2000-02-29T12:34:56.000001Z", 951_827_696, 1_000),
            ("2026-08-01T10:00:00.000000001Z", 1_785_578_400, 1),
        ] {
            assert_eq!(
                Timestamp::parse(text),
                Some(timestamp(seconds, nanos)),
                "{text}"
            );
            assert_eq!(written(timestamp(seconds, nanos)).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_forms_of_the_same_instant() {
        for (text, canonical) in [
            ("2026-08-01T10:00:00+02:00", "2026-08-01T08:00:00Z"),
            ("2026-08-01T10:00:00-00:00", "2026-08-01T10:00:00Z"),
            ("2026-12-31T23:30:00-05:45", "2027-01-01T05:15:00Z"),
            ("0001-01-01T23:59:00+23:59", "0001-01-01T00:00:00Z"),
            ("2026-08-01T10:00:00.5Z", "2026-08-01T10:00:00.500Z"),
            ("2026-08-01T10:00:00.1234Z", "2026-08-01T10:00:00.123400Z"),
            ("2026-08-01T10:00:00.000000000Z", "2026-08-01T10:00:00Z"),
        ] {
            let read = Timestamp::parse(text).and_then(written);
            assert_eq!(read.as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "2026-08-01",
            "2026-08-01T10:00:00",
            "2026-08-01t10:00:00Z",
            "2026-08-01T10:00:00z",
            "2026-08-01 10:00:00Z",
            " 2026-08-01T10:00:00Z",
            "2026-08-01T10:00:00Z ",
            "2026-8-01T10:00:00Z",
            "+2026-08-01T10:00:00Z",
            "02026-08-01T10:00:00Z",
            "2026-08-01-01T10:00:00Z",
            "2026-00-01T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-02-29T10:00:00Z",
            "1900-02-29T10:00:00Z",
            "2026-04-31T10:00:00Z",
            "2026-08-00T10:00:00Z",
            "2026-08-01T24:00:00Z",
            "2026-08-01T10:60:00Z",
            "2026-08-01T10:00:60Z",
            "2026-08-01T10:00:0.Z",
            "2026-08-01T10:00:00.Z",
            "2026-08-01T10:00:00.1234567890Z",
            "2026-08-01T10:00:00,5Z",
            "2026-08-01T10:00:00 02:00",
            "2026-08-01T10:00:00+2:00",
            "2026-08-01T10:00:00+0200",
            "2026-08-01T10:00:00+24:00",
            "2026-08-01T10:00:00+02:60",
            "2026-08-01T10:00:00Z+02:00",
            "2026-08-01T10:00:0\u{661}Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_json_form_is_not_written() {
        for (seconds, nanos) in [
            (FIRST_SECOND - 1, 999_999_999),
            (LAST_SECOND + 1, 0),
            (0, -1),
            (0, 1_000_000_000),
            (i64::MIN, 0),
            (i64::MAX, i32::MAX),
        ] {
            let error = to_vec(&timestamp(seconds, nanos)).unwrap_err().to_string();
            assert!(error.contains("outside"), "{seconds} {nanos}: {error}");
        }
    }

    /// All 3,652,059 days from 0001-01-01 to 9999-12-31, against the rules of the calendar alone.
    #[test]
    fn every_day_has_its_date() {
        let (mut year, mut month, mut day) = (1, 1, 1);
        for days in FIRST_SECOND / SECONDS_PER_DAY..=LAST_SECOND / SECONDS_PER_DAY {
            assert_eq!(
                days_since_epoch(year, month, day),
                days,
                "{year}-{month}-{day}"
            );
            let found = date(days);
            assert_eq!(found, (year as u32, month as u32, day as u32), "day {days}");
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == days_in_month(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }

    #[test]
    fn the_system_clock_knows_the_same_instants() {
        for (seconds, nanos) in [(0, 0), (-1, 1), (1, 999_999_999), (FIRST_SECOND, 5)] {
            let time = SystemTime::try_from(timestamp(seconds, nanos)).unwrap();
            assert_eq!(Timestamp::from(time), timestamp(seconds, nanos));
        }
        let half_before = UNIX_EPOCH - Duration::from_millis(1_500);
        assert_eq!(Timestamp::from(half_before), timestamp(-2, 500_000_000));
        assert_eq!(SystemTime::try_from(timestamp(0, -1)), Err(OutOfRange));
        assert_eq!(
            SystemTime::try_from(timestamp(LAST_SECOND + 1, 0)),
            Err(OutOfRange)
        );
    }

    proptest! {
        #[test]
        fn timestamps_survive_the_round_trip(
            seconds in FIRST_SECOND..=LAST_SECOND,
            nanos in prop_oneof![Just(0), (0..1_000).prop_map(|n| n * 1_000_000), 0..1_000_000_000],
        ) {
            let json = to_vec(&timestamp(seconds, nanos)).unwrap();
            let back: Timestamp = from_slice(&json, Options::default()).unwrap();
            prop_assert_eq!(back, timestamp(seconds, nanos));
        }

        /// Text of the same length sorts as the instants do.
        #[test]
        fn text_sorts_as_time_does(a in FIRST_SECOND..=LAST_SECOND, b in FIRST_SECOND..=LAST_SECOND) {
            let text = [a, b].map(|seconds| written(timestamp(seconds, 0)));
            prop_assert_eq!(text[0].cmp(&text[1]), a.cmp(&b));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9TZtz:.+-]{0,40}|\\PC{0,40}") {
            if let Some(read) = Timestamp::parse(&text) {
                prop_assert!(read.is_valid(), "{text}");
            }
        }
    }
}
