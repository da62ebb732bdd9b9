//! Lines that are written at once, and what is left of them when a write was cut short.

/// Whole lines, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends in [`Self::bytes`], in order.
    ends: Vec<usize>,
}

impl Batch {
    /// `line` is not empty.
    pub(super) fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.ends.push(self.bytes.len());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn lines(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// In bytes, with what it takes to know where the lines end: a flood of empty lines is not small.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + Self::overhead(self.lines())
    }

    pub(super) fn size_with(&self, line: &str) -> usize {
        self.size() + line.len() + Self::overhead(1)
    }

    /// How many lines are whole within the first `written` bytes.
    pub(super) fn lines_within(&self, written: usize) -> usize {
        self.ends.partition_point(|end| *end <= written)
    }

    /// Whether the first `written` bytes end within a line.
    pub(super) fn is_cut_at(&self, written: usize) -> bool {
        written > 0 && self.ends.binary_search(&written).is_err()
    }

    /// The lines that are not whole within the first `written` bytes, each from its beginning.
    pub(super) fn after(&self, written: usize) -> Self {
        let whole = self.lines_within(written);
        let begin = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        Self {
            bytes: self.bytes[begin..].to_vec(),
            ends: self.ends[whole..].iter().map(|end| end - begin).collect(),
        }
    }

    fn overhead(lines: usize) -> usize {
        lines * size_of::<usize>()
    }
}

#[cfg(test)]
pub(super) fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        batch.push(line);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_begins_with_the_first_line_that_is_not_whole() {
        let all = ["ab\n", "c\nd\n", "\n"];
        for (written, left, is_cut) in [
            (0, &all[..], false),
            (1, &all[..], true),
            (3, &all[1..], false),
            (5, &all[1..], true),
            (7, &all[2..], false),
            (8, &[], false),
        ] {
            let batch = batch(&all);
            assert_eq!(batch.after(written), super::batch(left), "{written} bytes are written");
            assert_eq!(batch.lines_within(written), all.len() - left.len(), "{written} bytes are written");
            assert_eq!(batch.is_cut_at(written), is_cut, "{written} bytes are written");
        }
    }

    #[test]
    fn no_flood_of_empty_lines_is_small() {
        let mut empty = Batch::default();
        assert_eq!(empty.size_with("\n"), 1 + size_of::<usize>());
        empty.push("\n");
        assert_eq!(empty.size(), 1 + size_of::<usize>());
    }
}
