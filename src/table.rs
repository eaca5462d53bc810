//! Aligned tables for a terminal, and how numbers and spans of time are shown. What a pod author has named is escaped, and long cells
//! are shortened in the middle, where names differ least.

use std::{fmt::Display, time::Duration};

const GAP: &str = "  ";

/// Rows of cells below their titles.
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned)] }
    }

    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| escaped(&cell)));
    }

    /// The table in at most `columns`, if the columns that may become narrower suffice.
    /// The widest does first. None becomes narrower than its title.
    pub fn print(&self, columns: Option<usize>, may_shrink: &[usize]) -> String {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let mut widths: [usize; N] = std::array::from_fn(width);
        let narrowest = |column: usize| self.rows[0][column].chars().count();
        let gaps = GAP.len() * N.saturating_sub(1);
        while columns.is_some_and(|columns| widths.iter().sum::<usize>() + gaps > columns) {
            let wide = may_shrink.iter().copied().filter(|column| widths[*column] > narrowest(*column));
            let Some(widest) = wide.max_by_key(|column| widths[*column]) else { break };
            widths[widest] -= 1;
        }
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", shortened(cell, *width)));
    let line = cells.collect::<Vec<_>>().join(GAP);
    format!("{}\n", line.trim_end())
}

/// The text with `…` for the characters in its middle, if it is longer than `width`.
/// More remains of the end, where names with the same prefix differ.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (start, end) = (kept / 3, kept - kept / 3);
    text.chars().take(start).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

/// The text on one line, with Rust's escapes for every character that is not printed as
/// itself: line breaks, terminal commands, direction marks, invisible characters.
pub fn escaped(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => visible.push(c),
            c => visible.extend(c.escape_debug()),
        }
    }
    visible
}

/// A whole number in groups of digits: `1,234`.
pub fn grouped(number: impl Display) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of time in its two largest units, as kubectl shows ages: `45s`, `3m20s`, `2h5m`, `3d4h`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(amount, _)| *amount > 0).unwrap_or(parts.len() - 1);
    let shown = parts[first..].iter().take(2).enumerate();
    let shown = shown.filter(|(place, (amount, _))| *place == 0 || *amount > 0);
    shown.map(|(_, (amount, unit))| format!("{amount}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (200, "3m20s"),
            (7500, "2h5m"),
            (273_600, "3d4h"),
            (86_400, "1d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    fn table() -> Table<3> {
        let mut table = Table::new(["NAMESPACE", "VALUE", "AGE"]);
        table.row(["shop".to_owned(), "production/shop/database-of-orders".to_owned(), "3m".to_owned()]);
        table.row(["a-namespace".to_owned(), "x".to_owned(), "12s".to_owned()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        assert_eq!(
            table().print(None, &[]),
            "NAMESPACE    VALUE                               AGE\n\
             shop         production/shop/database-of-orders  3m\n\
             a-namespace  x                                   12s\n"
        );
    }

    #[test]
    fn a_table_fits_by_shortening_its_widest_column_in_the_middle() {
        let printed = table().print(Some(40), &[0, 1]);
        assert!(printed.lines().all(|line| line.chars().count() <= 40), "{printed}");
        assert!(printed.contains("product…base-of-orders"), "{printed}");
        // What cannot become narrower stays.
        let printed = table().print(Some(10), &[0, 1]);
        assert!(printed.contains("p…ers"), "{printed}");
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_command_the_terminal() {
        let hostile = "a\n\u{1b}[2Jb\u{9b}c\u{202e}d\u{200b}\\";
        assert_eq!(escaped(hostile), r"a\n\u{1b}[2Jb\u{9b}c\u{202e}d\u{200b}\\");
    }
}
