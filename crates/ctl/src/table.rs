//! Tables as Kuma 0.3.0 prints them: columns padded with spaces, three spaces between, no borders.

const GAP: usize = 3;

/// The header and the rows, one line each. Widths count characters, not bytes; no line ends with a space.
///
/// Control characters are shown escaped, so that no text of a resource can move the cursor of a terminal.
pub(crate) fn print(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(|title| (*title).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(header)
        .chain(rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()))
        .collect();
    let widths = widths(&lines);
    let mut text = String::new();
    for line in &lines {
        text.push_str(&padded(line, &widths));
        text.push('\n');
    }
    text
}

/// With control characters escaped.
pub(crate) fn visible(cell: &str) -> String {
    cell.chars()
        .map(|char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() })
        .collect()
}

fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|it| it.chars().count()).max();
    (0..columns).map(|column| width(column).unwrap_or_default()).collect()
}

fn padded(line: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = line.iter().zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    cells.join(&" ".repeat(GAP)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[&str], rows: &[&[&str]], expected: &str) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|it| (*it).into()).collect()).collect();
        assert_eq!(print(header, &rows), expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        check(
            &["NAME", "mTLS"],
            &[&["a", "on"], &["long-name", "off"]],
            "\
NAME        mTLS
a           on
long-name   off
",
        );
    }

    #[test]
    fn without_rows_the_header_stands_alone() {
        check(&["MESH", "NAME"], &[], "MESH   NAME\n");
    }

    #[test]
    fn width_is_counted_in_characters() {
        check(&["A", "B"], &[&["größe", "1"], &["x", "2"]], "A       B\ngröße   1\nx       2\n");
    }

    #[test]
    fn an_empty_cell_keeps_its_place_and_no_line_ends_with_a_space() {
        check(&["A", "B", "C"], &[&["", "b", ""]], "A   B   C\n    b\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        check(&["A"], &[&["x\u{1b}[2J\n"]], "A\nx\\u{1b}[2J\\n\n");
    }
}
