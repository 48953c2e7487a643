//! Points in time and spans of time, as the lease rules need them: exact to the nanosecond, over
//! the whole range of protobuf's well-known types. The domain never reads a clock; every instant
//! here came in as an argument.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Sub};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time, counted from 1970-01-01T00:00:00Z, proleptic Gregorian, no leap seconds.
///
/// Values that come from the wire lie in 0001-01-01T00:00:00Z ..= 9999-12-31T23:59:59.999999999Z
/// (the range of `google.protobuf.Timestamp`); sums may leave it, and never overflow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    /// Never zero, so that an `Option<Timestamp>` takes no more room than a `Timestamp`: a book of
    /// a million leases holds six million of them.
    nanos_plus_one: NonZeroU32,
}

/// A signed span of time (the range of `google.protobuf.Duration` is ±10,000 years).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration {
    seconds: i64,
    /// Of the same sign as `seconds`, or of either where that is 0.
    nanos: i32,
}

impl Timestamp {
    /// The first point in time that can be written on the wire.
    pub const MIN: Self = Self::new(-62_135_596_800, 0);

    /// The last one.
    pub const MAX: Self = Self::new(253_402_300_799, 999_999_999);

    /// From whole seconds since the Unix epoch and nanoseconds (0..=999,999,999) after them.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self::from_parts(seconds, nanos as i64)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`Self::seconds`], 0..=999,999,999.
    pub const fn nanos(self) -> i32 {
        self.nanos_plus_one.get() as i32 - 1
    }

    /// From seconds and any number of nanoseconds.
    const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self {
            seconds: seconds.saturating_add(nanos.div_euclid(NANOS_PER_SECOND)),
            nanos_plus_one: NonZeroU32::MIN
                .saturating_add(nanos.rem_euclid(NANOS_PER_SECOND) as u32),
        }
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self::new(0, 0);

    /// From seconds and nanoseconds of the same sign.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self::from_parts(seconds, nanos as i64)
    }

    /// From whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Whole seconds, rounded towards zero.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// The rest after [`Self::seconds`], with the same sign.
    pub const fn nanos(self) -> i32 {
        self.nanos
    }

    /// True for spans longer than nothing.
    pub const fn is_positive(self) -> bool {
        self.seconds > 0 || self.nanos > 0
    }

    /// From seconds and any number of nanoseconds, of whatever sign.
    const fn from_parts(seconds: i64, nanos: i64) -> Self {
        let (carry, nanos) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
        let seconds = seconds.saturating_add(carry);
        let (seconds, nanos) = match nanos {
            ..=-1 if seconds > 0 => (seconds - 1, nanos + NANOS_PER_SECOND),
            1.. if seconds < 0 => (seconds + 1, nanos - NANOS_PER_SECOND),
            _ => (seconds, nanos),
        };
        Self {
            seconds,
            nanos: nanos as i32,
        }
    }

    const fn total_nanos(self) -> i128 {
        self.seconds as i128 * NANOS_PER_SECOND as i128 + self.nanos as i128
    }
}

impl Default for Timestamp {
    /// The Unix epoch.
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        let seconds = self.seconds.saturating_add(span.seconds);
        Timestamp::from_parts(seconds, i64::from(self.nanos()) + i64::from(span.nanos))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        let seconds = self.seconds.saturating_sub(span.seconds);
        Timestamp::from_parts(seconds, i64::from(self.nanos()) - i64::from(span.nanos))
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Timestamp) -> Duration {
        let seconds = self.seconds.saturating_sub(earlier.seconds);
        Duration::from_parts(
            seconds,
            i64::from(self.nanos()) - i64::from(earlier.nanos()),
        )
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many digits of a second as it takes (`2026-08-21T10:00:00.5Z`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_date(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        write_fraction(f, self.nanos().unsigned_abs().into(), 9)?;
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Duration {
    /// As Go prints a `time.Duration` (`1h0m0s`, `-1.5s`, `300ms`, `0s`): the error texts that
    /// clients know (rule G3) carry spans in this form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total_nanos();
        if total == 0 {
            return f.write_str("0s");
        }
        if total < 0 {
            f.write_str("-")?;
        }
        let nanos = total.unsigned_abs();
        let (unit, digits, name) = match nanos {
            0..1_000 => (1, 0, "ns"),
            1_000..1_000_000 => (1_000, 3, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
            _ => (1_000_000_000, 9, "s"),
        };
        let mut whole = nanos / unit;
        if name == "s" {
            let minutes = whole / 60;
            if minutes >= 60 {
                write!(f, "{}h", minutes / 60)?;
            }
            if minutes > 0 {
                write!(f, "{}m", minutes % 60)?;
            }
            whole %= 60;
        }
        write!(f, "{whole}")?;
        write_fraction(f, nanos % unit, digits)?;
        f.write_str(name)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes `.5` for `fraction` = 500 of `digits` = 3, and nothing at all for 0.
fn write_fraction(f: &mut fmt::Formatter<'_>, fraction: u128, digits: usize) -> fmt::Result {
    if fraction == 0 {
        return Ok(());
    }
    let text = format!("{fraction:0digits$}");
    write!(f, ".{}", text.trim_end_matches('0'))
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counts in years that begin on 1 March, so that the leap day is the last of its year, and in
/// eras of 400 such years, which all have 146,097 days.
fn civil_date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468; // from 0000-03-01
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_counts_nanoseconds_upwards_on_both_sides_of_the_epoch() {
        let before = Timestamp::new(-1, 250_000_000);
        assert_eq!((before.seconds(), before.nanos()), (-1, 250_000_000));
        assert_eq!(Timestamp::default() - before, Duration::new(0, 750_000_000));
        assert!(before < Timestamp::default());
        assert_eq!(before + Duration::new(1, 0), Timestamp::new(0, 250_000_000));
    }

    #[test]
    fn an_absent_timestamp_costs_nothing() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }

    #[test]
    fn spans_are_ordered_by_length_whatever_their_sign() {
        let spans = [
            Duration::new(-1, -500_000_000),
            Duration::new(-1, 0),
            Duration::new(0, -500_000_000),
            Duration::ZERO,
            Duration::new(0, 1),
            Duration::new(1, 0),
        ];
        assert!(spans.is_sorted(), "{spans:?}");
        assert!(!Duration::ZERO.is_positive() && Duration::new(0, 1).is_positive());
    }

    #[test]
    fn spans_are_written_as_go_writes_them() {
        for (span, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_seconds(-1), "-1s"),
            (Duration::from_seconds(-3600), "-1h0m0s"),
            (Duration::from_seconds(5_400), "1h30m0s"),
            (Duration::new(61, 500_000_000), "1m1.5s"),
            (Duration::new(0, 300_000_000), "300ms"),
            (Duration::new(0, 1_500), "1.5µs"),
            (Duration::new(0, -7), "-7ns"),
            (Duration::from_seconds(315_576_000_000), "87660000h0m0s"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn points_in_time_are_written_in_rfc_3339() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_772_323_200, 0, "2026-03-01T00:00:00Z"),
            (1_700_000_000, 10, "2023-11-14T22:13:20.00000001Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (
                253_402_300_799,
                999_999_999,
                "9999-12-31T23:59:59.999999999Z",
            ),
        ] {
            assert_eq!(Timestamp::new(seconds, nanos).to_string(), text);
        }
    }
}
