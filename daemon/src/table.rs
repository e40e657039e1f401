//! Tables for people: columns as wide as they need, numbers to the right, nothing but spaces between them.

use std::fmt;

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A table under its heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let columns = columns.iter().map(|(title, align)| ((*title).to_owned(), *align)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Columns that hold something; one that is empty in every row is not shown.
    fn shown(&self) -> impl Iterator<Item = (usize, &(String, Align))> {
        let used = |i: usize| self.rows.iter().any(|row| row.get(i).is_some_and(|cell| !cell.is_empty()));
        self.columns.iter().enumerate().filter(move |(i, _)| self.rows.is_empty() || used(*i))
    }

    fn width(&self, column: usize, title: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(title.chars().count())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, cell: &dyn Fn(usize, &str) -> String| {
            let cells = self.shown().map(|(i, (title, align))| {
                let (text, width) = (cell(i, title), self.width(i, title));
                match align {
                    Align::Left => format!("{text:<width$}"),
                    Align::Right => format!("{text:>width$}"),
                }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(f, &|_, title| title.to_uppercase())?;
        for row in &self.rows {
            line(f, &|i, _| row.get(i).cloned().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// A number with its thousands set apart: `1,000`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One of two forms by number: `1 row`, `2 rows`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// A share as whole per cent; empty of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    (part * 100 + whole / 2).checked_div(whole).map(|percent| format!("{percent} %")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let mut table = Table::new(&[("step", Align::Left), ("read", Align::Right), ("sent", Align::Right)]);
        table.row(["1", "", "1,000"]);
        table.row(["second", "", "8"]);
        assert_eq!(table.to_string(), "STEP     SENT\n1       1,000\nsecond      8\n");
    }

    #[test]
    fn letters_count_not_bytes() {
        let mut table = Table::new(&[("who", Align::Left), ("n", Align::Right)]);
        table.row(["Ζωή", "1"]);
        table.row(["Ana Maria", "22"]);
        assert_eq!(table.to_string(), "WHO         N\nΖωή         1\nAna Maria  22\n");
    }

    #[test]
    fn numbers_are_set_apart_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "row", "rows"), "1 row");
        assert_eq!(count(2_000, "row", "rows"), "2,000 rows");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(1, 0), "");
    }
}
