//! Text of known short length, put together on the stack: answers carry many points in time, and
//! none of them should cost an allocation.

/// At most 32 ASCII characters.
#[derive(Default)]
pub struct ShortText {
    bytes: [u8; 32],
    length: usize,
}

impl ShortText {
    /// The text so far.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Adds one ASCII character, where there is room.
    pub fn push(&mut self, character: u8) {
        self.push_all([character]);
    }

    /// Adds a number of any length, by pieces of eight digits at most, which each need room for eight.
    pub fn push_number(&mut self, number: u64) {
        if number >= EIGHT_DIGITS {
            self.push_number(number / EIGHT_DIGITS);
            return self.push_all(digits((number % EIGHT_DIGITS) as u32));
        }
        let digits = u64::from_le_bytes(digits(number as u32));
        let leading = (digits ^ ZEROS).trailing_zeros().min(56) / 8;
        self.push_some(
            (digits >> (8 * leading)).to_le_bytes(),
            8 - leading as usize,
        );
    }

    /// Adds the last `WIDTH` digits of a number, at most eight, with zeros before it.
    pub fn push_digits<const WIDTH: usize>(&mut self, number: u32) {
        let digits = digits(number);
        if let Some(last) = digits.last_chunk::<WIDTH>() {
            self.push_all(*last);
        }
    }

    /// Adds ASCII characters, all of them or, where there is no room, none.
    fn push_all<const N: usize>(&mut self, characters: [u8; N]) {
        self.push_some(characters, N);
    }

    /// Adds the first `count` of the characters, where there would be room for all of them.
    fn push_some<const N: usize>(&mut self, characters: [u8; N], count: usize) {
        let rest = self.bytes.get_mut(self.length..).unwrap_or_default();
        // All have their place, so that how many are copied is known when this is compiled.
        if let Some(place) = rest.first_chunk_mut() {
            *place = characters;
            self.length += count;
        }
    }

    /// Adds the fraction of a second with 0, 3, 6 or 9 digits, as many as it needs.
    pub fn push_fraction(&mut self, nanos: u32) {
        if nanos == 0 {
            return;
        }
        let first = b'0' + (nanos / 100_000_000) as u8;
        let [a, b, c, d, e, f, g, h] = digits(nanos);
        let count = match nanos {
            _ if nanos.is_multiple_of(1_000_000) => 3,
            _ if nanos.is_multiple_of(1_000) => 6,
            _ => 9,
        };
        self.push_some([b'.', first, a, b, c, d, e, f, g, h], 1 + count);
    }
}

/// The first number of nine digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// Eight times the character `0`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The last eight digits of a number as characters. All are worked out at once: two lanes of four
/// digits are parted into four of two, and these into eight of one, the first digit in the lowest.
/// Multiplying and shifting stands for a division by 100, and by 10, where a lane is that small.
fn digits(number: u32) -> [u8; 8] {
    let number = u64::from(number) % EIGHT_DIGITS;
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    (ones | ZEROS).to_le_bytes()
}

/// Reads one to nine digits of a fraction of a second as nanoseconds.
pub fn parse_fraction(digits: &str) -> Option<u32> {
    let scale = 10_u32.checked_pow(9_u32.checked_sub(digits.len().try_into().ok()?)?)?;
    Some(parse_digits(digits)? * scale)
}

/// Reads a number of one to nine digits and nothing else.
pub fn parse_digits(digits: &str) -> Option<u32> {
    let plain = matches!(digits.len(), 1..=9) && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut ShortText)) -> String {
        let mut text = ShortText::default();
        write(&mut text);
        text.as_str().to_owned()
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_they_are_everywhere(
            number in prop_oneof![0..200_u64, 0..200_000_000_u64, any::<u64>()],
        ) {
            prop_assert_eq!(written(|text| text.push_number(number)), number.to_string());
            let short = number as u32 % 10_000;
            prop_assert_eq!(written(|text| text.push_digits::<4>(short)), format!("{short:04}"));
        }

        #[test]
        fn a_fraction_has_no_more_digits_than_it_needs(
            number in 1..1_000_u32,
            unit in prop_oneof![Just(1), Just(1_000), Just(1_000_000)],
            any in 1..1_000_000_000_u32,
        ) {
            let (longest, told) = (format!(".{any:09}"), written(|text| text.push_fraction(any)));
            prop_assert_eq!(told.trim_end_matches('0'), longest.trim_end_matches('0'));
            let fraction = written(|text| text.push_fraction(number * unit));
            let all = format!(".{:09}", number * unit);
            let (short, zeros) = all.split_at(fraction.len());
            prop_assert_eq!(&fraction, short);
            prop_assert!(zeros.bytes().all(|zero| zero == b'0'), "{}", all);
            prop_assert!(!fraction.ends_with("000"), "{}", fraction);
        }
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let text = written(|text| (0..50).for_each(|_| text.push(b'x')));
        assert_eq!(text, "x".repeat(32));
        let text = written(|text| (0..5).for_each(|_| text.push_digits::<7>(1)));
        assert_eq!(text, "0000001".repeat(4));
    }
}
