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
        self.push_all(&[character]);
    }

    /// Adds a number of any length.
    pub fn push_number(&mut self, number: impl itoa::Integer) {
        self.push_all(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds a number that has no more than `WIDTH` digits, at most nine, with zeros before it.
    pub fn push_digits<const WIDTH: u32>(&mut self, number: u32) {
        // With a one in front there are zeros in between.
        let longer = 10_u32.pow(WIDTH) + number;
        let mut buffer = itoa::Buffer::new();
        let (_, digits) = buffer.format(longer).split_at(1);
        self.push_all(digits.as_bytes());
    }

    /// Adds ASCII characters, all of them or, where they are too many, none.
    fn push_all(&mut self, characters: &[u8]) {
        let end = self.length + characters.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(characters);
            self.length = end;
        }
    }

    /// Adds the fraction of a second with 0, 3, 6 or 9 digits, as many as it needs.
    pub fn push_fraction(&mut self, nanos: u32) {
        if nanos == 0 {
            return;
        }
        let point = self.length;
        // With a one in front there are zeros in between; it gives its place to the point.
        self.push_number(if nanos.is_multiple_of(1_000_000) {
            1_000 + nanos / 1_000_000
        } else if nanos.is_multiple_of(1_000) {
            1_000_000 + nanos / 1_000
        } else {
            1_000_000_000 + nanos
        });
        if let Some(place) = self.bytes.get_mut(point) {
            *place = b'.';
        }
    }
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
