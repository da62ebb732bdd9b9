//! Lines out of a pipe, which knows none: a read may end in the middle of one.

/// Envoy's longest lines have a few kilobytes.
pub(super) const LONGEST: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without its line break.
    Whole(&'a [u8]),
    /// Longer than [`LONGEST`]; its bytes are gone.
    TooLong,
}

/// Holds what has come of the line that is not whole yet, [`LONGEST`] bytes at most.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// The line that has begun is longer than it may be: the rest of it is passed over.
    is_too_long: bool,
}

impl Lines {
    /// Hands over each line that ends within these bytes.
    pub(super) fn take(&mut self, bytes: &[u8], mut hand_over: impl FnMut(Line<'_>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if self.begun.len() + piece.len() > LONGEST {
                self.begun.clear();
                self.is_too_long = true;
            }
            match (self.is_too_long, ends) {
                (true, false) => {}
                (true, true) => {
                    self.is_too_long = false;
                    hand_over(Line::TooLong);
                }
                (false, false) => self.begun.extend_from_slice(piece),
                (false, true) if self.begun.is_empty() => hand_over(Line::Whole(piece)),
                (false, true) => {
                    self.begun.extend_from_slice(piece);
                    hand_over(Line::Whole(&self.begun));
                    self.begun.clear();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `bytes` arrive `at_once` bytes a read; a line that was too long is `None`.
    fn lines(bytes: &[u8], at_once: usize) -> Vec<Option<String>> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for read in bytes.chunks(at_once) {
            lines.take(read, |line| {
                out.push(match line {
                    Line::Whole(line) => Some(String::from_utf8_lossy(line).into_owned()),
                    Line::TooLong => None,
                });
            });
            assert!(lines.begun.len() <= LONGEST, "it holds more than a line may have");
        }
        out
    }

    #[test]
    fn a_line_is_whole_wherever_the_reads_cut_it() {
        for at_once in 1..=13 {
            let expected = ["one", "", "three"].map(|line| Some(line.to_owned()));
            assert_eq!(lines(b"one\n\nthree\nnot yet", at_once), expected, "{at_once} bytes a read");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_and_the_next_is_whole() {
        let longest = "x".repeat(LONGEST);
        let text = format!("a\n{longest}\n{longest}x\nb\n{longest}{longest}{longest}\nc\n");
        let line = |text: &str| Some(text.to_owned());
        let expected = [line("a"), line(&longest), None, line("b"), None, line("c")];
        for at_once in [1000, LONGEST, LONGEST + 1, text.len()] {
            assert!(lines(text.as_bytes(), at_once) == expected, "{at_once} bytes a read");
        }
    }
}
