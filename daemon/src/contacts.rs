//! Contacts from CSV: which columns there are, and what is wrong with a row.
//!
//! A wrong row is a value like a right one, with its line, its column and what would be right; only a file whose
//! heading makes no sense is an error.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use crate::proto::v1;

mod columns;
mod row;

pub(crate) use columns::{Columns, REJECTED};
pub(crate) use row::{email_problem, phone_problem};

/// One row of the file.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    /// The cells as they stand in the file.
    pub(crate) cells: ByteRecord,
    /// What it says.
    pub(crate) says: Result<v1::Enroll, Problem>,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The heading of the column; empty: the row as such.
    pub(crate) column: String,
    /// What is wrong and what would be right.
    pub(crate) problem: String,
}

/// A file of contacts, read row by row.
pub(crate) struct Contacts<R> {
    reader: csv::Reader<R>,
    columns: Columns,
}

impl<R: Read> Contacts<R> {
    /// Reads the heading.
    ///
    /// # Errors
    /// It cannot be read, or there is no `contact` column, or two columns are one.
    pub(crate) fn open(file: R) -> Result<Contacts<R>, String> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let heading = reader.byte_headers().map_err(|error| format!("the file cannot be read: {error}"))?;
        let columns = Columns::read(heading)?;
        Ok(Contacts { reader, columns })
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, String> {
        let mut cells = ByteRecord::new();
        let more = self.reader.read_byte_record(&mut cells);
        let more = more.map_err(|error| format!("the file cannot be read on: {error}"))?;
        if !more {
            return Ok(None);
        }
        let line = cells.position().map(csv::Position::line).unwrap_or_default();
        let says = row::read(&self.columns, &cells);
        Ok(Some(Row { line, cells, says }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: impl AsRef<[u8]>) -> Vec<Row> {
        let mut contacts = Contacts::open(text.as_ref()).unwrap();
        std::iter::from_fn(|| contacts.next().unwrap()).collect()
    }

    fn problem(text: impl AsRef<[u8]>) -> (u64, String, String) {
        let wrong = rows(text).into_iter().find_map(|row| row.says.err().map(|says| (row.line, says)));
        let (line, says) = wrong.unwrap();
        (line, says.column, says.problem)
    }

    #[test]
    fn a_row_becomes_a_wish_with_its_target() {
        let text = "contact,email,phone,name,time_zone,charge,amount\n\
                    ct-1,zoe@mail.example,+4915112345678,Zoë,Europe/Berlin,ch-1,12.50\n";
        let wish = rows(text).remove(0).says.unwrap();
        assert_eq!(wish.contact, "ct-1");
        assert_eq!(wish.profile.name, "Zoë");
        assert_eq!((wish.target.kind.as_str(), wish.target.id.as_str()), ("charge", "ch-1"));
        assert_eq!(wish.target_attributes["amount"], "12.50");
        assert!(wish.profile.attributes.is_empty());
    }

    #[test]
    fn without_a_target_other_columns_are_the_contacts() {
        let wish = rows("contact,email,plan\nct-1,a@b.example,gold\n").remove(0).says.unwrap();
        assert_eq!(wish.profile.attributes["plan"], "gold");
        assert!(!wish.target.is_set());
    }

    #[test]
    fn each_wrong_row_names_line_column_and_what_would_be_right() {
        let head = "contact,email,phone,time_zone\n";
        let long = "x".repeat(129);
        let table = [
            (",a@b.example,,", "contact", "empty"),
            ("ct-1,a.b.example,,", "email", "@"),
            ("ct-1,a@b@c,,", "email", "@"),
            ("ct-1,a@b.example,0171 23,", "phone", "+"),
            ("ct-1,a@b.example,,Europe/Berln", "time_zone", "Europe/Berlin"),
            ("ct-1,a@b.example", "", "2 cells: the heading has 4"),
            ("ct-1,a@b.example,,,x", "", "5 cells: the heading has 4"),
            (&format!("{long},a@b.example,,"), "contact", "at most 128"),
        ];
        for (wrong, column, right) in table {
            let (line, found, says) = problem(format!("{head}ct-0,ok@b.example,,\n{wrong}\n"));
            assert_eq!((line, found.as_str()), (3, column), "{wrong}: {says}");
            assert!(says.contains(right), "{wrong}: {says}");
        }
    }

    #[test]
    fn another_encoding_than_utf_8_is_named_where_it_stands() {
        let (line, column, says) = problem(b"contact,name\nct-1,Jos\xe9\n");
        assert_eq!((line, column.as_str()), (2, "name"));
        assert!(says.contains("UTF-8"), "{says}");
    }

    #[test]
    fn a_quoted_cell_may_hold_lines_and_a_byte_order_mark_is_no_letter() {
        let rows = rows("\u{feff}contact,name\n\"ct-1\",\"Ana\nMaria\"\nct-2,Bo\n");
        assert_eq!(rows[0].says.as_ref().unwrap().profile.name, "Ana\nMaria");
        assert_eq!(rows[1].line, 4);
    }
}
