//! The one line that the probe prints.

use core::fmt;

/// Long enough for every line the probe has; what does not fit is cut, for a short cause is worth more than none.
const CAPACITY: usize = 160;

/// A line of text on the stack; the program has no allocator.
pub struct Line {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Line {
    /// The line that shows `text`, with its end-of-line.
    pub fn of(text: impl fmt::Display) -> Self {
        let mut line = Self { bytes: [0; CAPACITY], length: 0 };
        // `write_str` below does not fail, and no `Display` of this crate does.
        let _ = fmt::write(&mut line, format_args!("{text}"));
        line.length = line.length.min(CAPACITY - 1);
        line.push(b'\n');
        line
    }

    /// The line as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_ends_the_line() {
        assert_eq!(Line::of("http 200").as_bytes(), b"http 200\n");
        let long = "x".repeat(500);
        let line = Line::of(&long);
        assert_eq!(line.as_bytes().len(), CAPACITY);
        assert!(line.as_bytes().ends_with(b"x\n"));
    }
}
