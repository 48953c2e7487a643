//! Numbers, as ProtoJSON reads and writes them. Knows the grammar and the ranges, and no message.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize as _;
use serde::de::{self, Deserializer, Error as _, Unexpected, Visitor};
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::{INTEGER, Kind};

/// The kind of all integer and floating point fields.
///
/// Read from a JSON number or from a string that holds one; an integer may be written with a
/// fraction of zeros or an exponent (`1.0`, `1e5`). 64-bit integers are written as strings, NaN
/// and the infinities as `"NaN"`, `"Infinity"` and `"-Infinity"`.
///
/// Integers are read as they are written, whatever their form, in JSON text ([`Strict::of_text`]). A value
/// in memory holds a number with a fraction or an exponent as an `f64`, which has every integer below
/// 2^53; a larger one is refused there: it may have been another.
///
/// [`Strict::of_text`]: super::Strict::of_text
pub struct Number;

impl<T: Numeric> Kind<T> for Number {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let visitor = NumberVisitor(PhantomData);
        let number = match T::IS_INTEGER {
            true => deserializer.deserialize_newtype_struct(INTEGER, visitor),
            false => deserializer.deserialize_any(visitor),
        };
        number.map(Some)
    }

    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.write(serializer)
    }
}

/// A Rust type of a number field.
pub trait Numeric: Sized {
    /// What the type takes, for error messages.
    const EXPECTED: &'static str;

    /// The same for a number with a fraction or an exponent that may have been rounded.
    const EXPECTED_BEYOND: &'static str = Self::EXPECTED;

    /// True for a type without fractions.
    const IS_INTEGER: bool;

    /// `None` when out of range.
    fn from_i64(number: i64) -> Option<Self>;

    /// `None` when out of range.
    fn from_u64(number: u64) -> Option<Self>;

    /// `None` when out of range, or where an integer is wanted and this is a fraction or may have
    /// been rounded.
    fn from_f64(number: f64) -> Option<Self>;

    /// The number that a string holds: a JSON number with nothing around it, and for floating
    /// point also `NaN`, `Infinity`, `-Infinity`.
    fn parse(text: &str) -> Option<Self>;

    /// Writes the number as ProtoJSON.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Takes a number in any of the ways it may be given.
pub struct NumberVisitor<T>(pub PhantomData<T>);

impl<'de, T: Numeric> Visitor<'de> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        T::from_i64(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        T::from_u64(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        let expected = match number.abs() < TWO_TO_53 {
            true => T::EXPECTED,
            false => T::EXPECTED_BEYOND,
        };
        T::from_f64(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &expected))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    /// From what cannot tell how it is written.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        inner.deserialize_any(self)
    }
}

/// Reads what is asked for as an [`INTEGER`] from somewhere in a JSON text: a number as it is written,
/// everything else as it is.
///
/// # Errors
/// It is no JSON, a number that is no integer of 64 bits, or something that the visitor does not take.
pub fn read_integer<'de, D: Deserializer<'de>, V: Visitor<'de>>(
    json: D,
    text: &[u8],
    visitor: V,
) -> Result<V::Value, D::Error> {
    let value = <&RawValue>::deserialize(json)?.get();
    // As whoever reads JSON says it: serde_json takes the place out of the words again.
    visit_integer(value, visitor).map_err(|error: D::Error| {
        let before = value.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        let read = text.get(..before.wrapping_add(value.len()));
        let mut lines = read.unwrap_or(text).rsplit(|byte| *byte == b'\n');
        let column = lines.next().unwrap_or_default().len();
        let line = 1 + lines.count();
        D::Error::custom(format_args!("{error} at line {line} column {column}"))
    })
}

fn visit_integer<'de, V: Visitor<'de>, E: de::Error>(
    value: &str,
    visitor: V,
) -> Result<V::Value, E> {
    let unexpected = match value.as_bytes().first() {
        Some(b'"') => {
            let inner = value.get(1..value.len() - 1);
            if let Some(text) = inner.filter(|inner| !inner.contains('\\')) {
                return visitor.visit_str(text);
            }
            let half = |_| E::custom("a string with half of a surrogate pair");
            return visitor.visit_string(serde_json::from_str(value).map_err(half)?);
        }
        Some(b'[') => Unexpected::Seq,
        Some(b'{') => Unexpected::Map,
        Some(b't' | b'f') => Unexpected::Bool(value == "true"),
        Some(b'n') => Unexpected::Unit,
        _ => {
            let integer = Decimal::parse(value).and_then(|number| number.integer());
            return match integer.map(|number| (i64::try_from(number), u64::try_from(number))) {
                Some((Ok(number), _)) => visitor.visit_i64(number),
                Some((_, Ok(number))) => visitor.visit_u64(number),
                _ => {
                    let number = format!("number `{value}`");
                    Err(E::invalid_value(Unexpected::Other(&number), &visitor))
                }
            };
        }
    };
    Err(E::invalid_type(unexpected, &visitor))
}

macro_rules! integer {
    ($integer:ty, $expected:literal, $beyond:literal, $write:expr) => {
        impl Numeric for $integer {
            const EXPECTED: &'static str = $expected;
            const EXPECTED_BEYOND: &'static str = concat!($expected, $beyond);
            const IS_INTEGER: bool = true;

            fn from_i64(number: i64) -> Option<Self> {
                number.try_into().ok()
            }

            fn from_u64(number: u64) -> Option<Self> {
                number.try_into().ok()
            }

            fn from_f64(number: f64) -> Option<Self> {
                let exact = number.fract() == 0.0 && number.abs() < TWO_TO_53;
                exact.then_some(number as i64)?.try_into().ok()
            }

            fn parse(text: &str) -> Option<Self> {
                Decimal::parse(text)?.integer()?.try_into().ok()
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $write(*self, serializer)
            }
        }
    };
}

const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

integer!(i32, "a 32-bit integer", "", |n, s: S| s.serialize_i32(n));
integer!(u32, "an unsigned 32-bit integer", "", |n, s: S| s
    .serialize_u32(n));
integer!(
    i64,
    "a 64-bit integer",
    ", with a fraction or an exponent only in quotes",
    |n, s: S| s.serialize_str(itoa::Buffer::new().format(n))
);
integer!(
    u64,
    "an unsigned 64-bit integer",
    ", with a fraction or an exponent only in quotes",
    |n, s: S| s.serialize_str(itoa::Buffer::new().format(n))
);

macro_rules! float {
    ($float:ty, $expected:literal, $write:ident) => {
        impl Numeric for $float {
            const EXPECTED: &'static str = $expected;
            const IS_INTEGER: bool = false;

            fn from_i64(number: i64) -> Option<Self> {
                Some(number as $float)
            }

            fn from_u64(number: u64) -> Option<Self> {
                Some(number as $float)
            }

            fn from_f64(number: f64) -> Option<Self> {
                Some(number as $float).filter(|number| number.is_finite())
            }

            fn parse(text: &str) -> Option<Self> {
                match text {
                    "NaN" => Some(<$float>::NAN),
                    "Infinity" => Some(<$float>::INFINITY),
                    "-Infinity" => Some(<$float>::NEG_INFINITY),
                    _ => {
                        Decimal::parse(text)?;
                        text.parse()
                            .ok()
                            .filter(|number: &$float| number.is_finite())
                    }
                }
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match *self {
                    number if number.is_nan() => serializer.serialize_str("NaN"),
                    <$float>::INFINITY => serializer.serialize_str("Infinity"),
                    <$float>::NEG_INFINITY => serializer.serialize_str("-Infinity"),
                    number => serializer.$write(number),
                }
            }
        }
    };
}

float!(f32, "a 32-bit floating point number", serialize_f32);
float!(f64, "a 64-bit floating point number", serialize_f64);

/// A number in JSON's grammar, taken apart: `whole.fraction × 10^exponent`.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// RFC 8259, section 6: no white space, no plus sign, no leading zeros, no bare point.
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, rest) = digits(rest);
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            None => ("", rest),
            Some(rest) => Some(digits(rest)).filter(|(fraction, _)| !fraction.is_empty())?,
        };
        let exponent = match rest.strip_prefix(['e', 'E']) {
            None => Some(0).filter(|_| rest.is_empty())?,
            Some(rest) => {
                let (sign, rest) = match rest.strip_prefix('-') {
                    Some(rest) => (-1, rest),
                    None => (1, rest.strip_prefix('+').unwrap_or(rest)),
                };
                let (exponent, rest) = digits(rest);
                if exponent.is_empty() || !rest.is_empty() {
                    return None;
                }
                // What does not fit is far beyond every type either way.
                sign * i64::from(exponent.parse::<i32>().unwrap_or(i32::MAX))
            }
        };
        Some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    /// The exact value, when it is an integer of at most 64 bits and a sign.
    fn integer(&self) -> Option<i128> {
        // Zeros at the end, however many there are, are only a matter of the exponent.
        let fraction = self.fraction.trim_end_matches('0');
        let whole = match fraction {
            "" => self.whole.trim_end_matches('0'),
            _ => self.whole,
        };
        let places = |digits: &str| i64::try_from(digits.len()).ok();
        let exponent = self.exponent + places(self.whole)? - places(whole)? - places(fraction)?;
        let mut magnitude = 0_u128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            magnitude = magnitude
                .checked_mul(10)?
                .checked_add(u128::from(digit - b'0'))?;
        }
        if magnitude == 0 {
            return Some(0);
        }
        let scale = 10_u128.checked_pow(u32::try_from(exponent).ok()?)?;
        let magnitude = i128::try_from(magnitude.checked_mul(scale)?).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// The leading ASCII digits of a text, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{read, write};
    use super::*;

    fn number<T: Numeric>(json: &str) -> Option<T> {
        read::<Number, T>(json).ok().flatten()
    }

    #[test]
    fn integers_may_have_an_exponent_or_a_fraction_of_zeros() {
        for text in [
            "100",
            "1e2",
            "1E+2",
            "100.0",
            "1.00e2",
            "1000e-1",
            "10000000e-5",
            "0.1e3",
        ] {
            assert_eq!(number::<i32>(text), Some(100), "{text}");
            assert_eq!(number::<u64>(&format!("{text:?}")), Some(100), "{text:?}");
        }
        for count in [39, 400] {
            let zeros = "0".repeat(count);
            for text in [format!("1.{zeros}"), format!("1{zeros}e-{count}")] {
                assert_eq!(number::<i32>(&text), Some(1), "{text}");
                assert_eq!(number::<i32>(&format!("{text:?}")), Some(1), "{text:?}");
            }
        }
        for text in ["0", "-0", "0.0", "-0e5", "0e99999999999", "0.000e-7"] {
            assert_eq!(number::<u32>(text), Some(0), "{text}");
            assert_eq!(number::<i64>(&format!("{text:?}")), Some(0), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        let bare = [
            "1.5",
            "1e-1",
            "true",
            "[1]",
            "{}",
            "1.0000000001",
            "NaN",
            "0x10",
            "01",
            "+1",
        ];
        let quoted = [
            "", " 1", "1 ", "+1", "01", "1.", ".5", "0x10", "1e", "1_0", "١", "NaN", "-",
        ];
        let quoted = quoted.map(|text| format!("{text:?}"));
        for json in bare.into_iter().chain(quoted.iter().map(String::as_str)) {
            assert_eq!(number::<i32>(json), None, "{json}");
            assert_eq!(number::<u64>(json), None, "{json}");
        }
    }

    #[test]
    fn ranges_are_exact_at_both_ends() {
        fn check<T: Numeric + std::fmt::Debug + PartialEq>(
            (below, first): (&str, T),
            (last, above): (T, &str),
        ) {
            let (below_text, above_text) = (format!("{below:?}"), format!("{above:?}"));
            for outside in [below, above, &below_text, &above_text] {
                assert_eq!(number::<T>(outside), None, "{outside}");
            }
            for inside in [first, last] {
                assert_eq!(number(&write::<Number, T>(&inside)), Some(inside));
            }
        }
        check(("-2147483649", i32::MIN), (i32::MAX, "2147483648"));
        check(("-1", u32::MIN), (u32::MAX, "4294967296"));
        check(
            ("-9223372036854775809", i64::MIN),
            (i64::MAX, "9223372036854775808"),
        );
        check(("-1", u64::MIN), (u64::MAX, "18446744073709551616"));
        check(("-3.5e38", f32::MIN), (f32::MAX, "3.5e38"));
        check(("-1.8e308", f64::MIN), (f64::MAX, "1.8e308"));
    }

    #[test]
    fn integers_are_exact_beyond_the_precision_of_floating_point() {
        let exact = 9_007_199_254_740_993;
        for (text, signed, unsigned) in [
            (
                "9223372036854775807.0",
                Some(i64::MAX),
                Some(i64::MAX as u64),
            ),
            ("1844674407370955161.5e1", None, Some(u64::MAX)),
            ("9007199254740993.00e0", Some(exact), Some(exact as u64)),
            ("1e18", Some(10_i64.pow(18)), Some(10_u64.pow(18))),
            ("-9007199254740993e-0", Some(-exact), None),
            ("-9223372036854775808.0", Some(i64::MIN), None),
            ("9223372036854775808e0", None, Some(1 << 63)),
            ("18446744073709551616.0", None, None),
            ("9007199254740993.5", None, None),
            ("1.00000000000000000000000000000000000000001", None, None),
        ] {
            for json in [text.to_owned(), format!("{text:?}")] {
                assert_eq!(number::<i64>(&json), signed, "{json}");
                assert_eq!(number::<u64>(&json), unsigned, "{json}");
            }
        }
    }

    /// `f64` holds no others: 2^53 may have been 2^53 + 1.
    #[test]
    fn what_may_have_been_rounded_in_memory_is_refused() {
        let in_memory = |json: &str| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            Number::read(value).map(Option::<i64>::unwrap)
        };
        for (json, number) in [
            ("9007199254740991.0", (1 << 53) - 1),
            ("-1e15", -10_i64.pow(15)),
        ] {
            assert_eq!(in_memory(json).unwrap(), number, "{json}");
        }
        for json in ["9007199254740993.0", "9007199254740992.0", "1e18", "1.8e19"] {
            let told = in_memory(json).unwrap_err().to_string();
            assert!(told.contains("exponent only in quotes"), "{json}: {told}");
        }
    }

    #[test]
    fn what_is_no_integer_is_told_as_it_is_written_and_where() {
        for (json, told) in [
            (
                "\n 1.50",
                "invalid value: number `1.50`, expected a 32-bit integer at line 2 column 5",
            ),
            (
                "1e400",
                "invalid value: number `1e400`, expected a 32-bit integer at line 1 column 5",
            ),
            (
                "\"a\\u0062\"",
                "invalid value: string \"ab\", expected a 32-bit integer at line 1 column 9",
            ),
            (
                "[1]",
                "invalid type: sequence, expected a 32-bit integer at line 1 column 3",
            ),
            (
                "{}",
                "invalid type: map, expected a 32-bit integer at line 1 column 2",
            ),
            (
                "true",
                "invalid type: boolean `true`, expected a 32-bit integer at line 1 column 4",
            ),
            (
                "\"\\ud800\"",
                "a string with half of a surrogate pair at line 1 column 8",
            ),
            ("1.", "invalid number at line 1 column 2"),
        ] {
            assert_eq!(read::<Number, i32>(json).unwrap_err(), told, "{json}");
        }
    }

    #[test]
    fn sixty_four_bits_are_written_as_strings() {
        assert_eq!(write::<Number, _>(&i64::MIN), "\"-9223372036854775808\"");
        assert_eq!(write::<Number, _>(&u64::MAX), "\"18446744073709551615\"");
        assert_eq!(write::<Number, _>(&i32::MIN), "-2147483648");
        assert_eq!(write::<Number, _>(&u32::MAX), "4294967295");
    }

    #[test]
    fn what_is_not_finite_has_a_name_and_only_that() {
        for (number, json) in [
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(write::<Number, _>(&number), json);
            assert_eq!(write::<Number, _>(&(number as f32)), json);
            let back: f64 = super::tests::number(json).unwrap();
            assert!(
                back == number || (back.is_nan() && number.is_nan()),
                "{json}: {back}"
            );
        }
        for json in [
            "NaN",
            "Infinity",
            "\"nan\"",
            "\"inf\"",
            "\"+Infinity\"",
            "\"infinity\"",
        ] {
            assert_eq!(number::<f64>(json), None, "{json}");
        }
    }

    #[test]
    fn null_leaves_a_number_unset() {
        assert_eq!(read::<Number, i32>("null"), Ok(None));
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(
            a: i32, b: u32, c: i64, d: u64,
            e in proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL,
            f in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
        ) {
            prop_assert_eq!(number(&write::<Number, _>(&a)), Some(a));
            prop_assert_eq!(number(&write::<Number, _>(&b)), Some(b));
            prop_assert_eq!(number(&write::<Number, _>(&c)), Some(c));
            prop_assert_eq!(number(&write::<Number, _>(&d)), Some(d));
            prop_assert_eq!(number(&write::<Number, _>(&e)), Some(e));
            prop_assert_eq!(number(&write::<Number, _>(&f)), Some(f));
        }

        /// Moving the point and correcting the exponent does not change a number.
        #[test]
        fn the_point_may_stand_anywhere(value: i64, places in 0_usize..19) {
            let digits = value.unsigned_abs().to_string();
            let digits = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let whole = match whole.trim_start_matches('0') { "" => "0", whole => whole };
            let sign = if value < 0 { "-" } else { "" };
            let point = if places > 0 { "." } else { "" };
            let text = format!("\"{sign}{whole}{point}{fraction}e{places}\"");
            prop_assert_eq!(number::<i64>(&text), Some(value), "{}", text);
        }

        /// What is read as an integer is a number to Rust too, and the same.
        #[test]
        fn no_text_is_misread(text in "[-+]?[0-9]{0,4}[.]?[0-9]{0,4}([eE][-+]?[0-9]{0,2})?") {
            if let Some(integer) = <i32 as Numeric>::parse(&text) {
                prop_assert_eq!(text.parse::<f64>().ok(), Some(f64::from(integer)));
            }
        }
    }
}
