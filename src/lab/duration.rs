//! Durations as Go and Kubernetes write them. Knows nothing of files.

use crate::lease::Duration;

/// A span as Go writes it: numbers, each with a unit (`1h30m`, `1.5h`, `90s`, `0`), with a sign
/// before them or not. Exact to the nanosecond, finer fractions are cut off; like Go's, at most
/// 2^63-1 ns either way (about 292 years).
pub fn parse(text: &str) -> Option<Duration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::default());
    }
    let mut nanos: i128 = 0;
    loop {
        let digits;
        let decimals;
        (digits, rest) = split_digits(rest);
        (decimals, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if digits.is_empty() && decimals.is_empty() {
            return None;
        }
        let unit;
        (unit, rest) = split_unit(rest)?;
        let whole: i64 = format!("0{digits}").parse().ok()?;
        nanos += i128::from(whole) * unit + fraction(decimals, unit);
        if nanos > i128::from(i64::MAX) {
            return None;
        }
        if rest.is_empty() {
            let nanos = i64::try_from(sign * nanos).ok()?;
            let subsecond = i32::try_from(nanos % 1_000_000_000).ok()?;
            return Some(Duration::new(nanos / 1_000_000_000, subsecond));
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The nanoseconds of the unit that `text` starts with, and what follows it.
fn split_unit(text: &str) -> Option<(i128, &str)> {
    // Longer names first: `m` also starts `ms`. Both micro signs are in use.
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    units
        .into_iter()
        .find_map(|(name, nanos)| text.strip_prefix(name).map(|rest| (nanos, rest)))
}

/// `0.decimals` of a unit, in whole nanoseconds.
fn fraction(decimals: &str, unit: i128) -> i128 {
    // Eighteen digits say more than any unit can hold, and their product fits.
    let digits = decimals.bytes().take(18);
    let (value, scale) = digits.fold((0, 1), |(value, scale), digit| {
        (value * 10 + i128::from(digit - b'0'), scale * 10)
    });
    value * unit / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some((0, 0))),
            ("0s", Some((0, 0))),
            ("30m", Some((1_800, 0))),
            ("1h30m", Some((5_400, 0))),
            ("48h", Some((172_800, 0))),
            ("1.5h", Some((5_400, 0))),
            (".5s", Some((0, 500_000_000))),
            ("1.s", Some((1, 0))),
            ("+90s", Some((90, 0))),
            ("-1m30.25s", Some((-90, -250_000_000))),
            ("2ms", Some((0, 2_000_000))),
            ("3us", Some((0, 3_000))),
            ("3\u{b5}s", Some((0, 3_000))),
            ("3\u{3bc}s", Some((0, 3_000))),
            ("1.9ns", Some((0, 1))),
            ("0.000000000001h", Some((0, 3))),
            ("0.3333333333333333333h", Some((1_199, 999_999_999))),
            ("9223372036854775807ns", Some((9_223_372_036, 854_775_807))),
            ("9223372036854775808ns", None),
            ("2562048h", None),
            ("99999999999999999999h", None),
            ("", None),
            ("-", None),
            ("30", None),
            ("00", None),
            (".s", None),
            ("2d", None),
            ("1h 30m", None),
            (" 1h", None),
            ("1H", None),
            ("1e3s", None),
            ("h", None),
            ("1h30", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(seconds, nanos)| Duration::new(seconds, nanos));
            assert_eq!(parse(text), expected, "for {text:?}");
        }
    }
}
