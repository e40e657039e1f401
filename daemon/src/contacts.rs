//! Contacts from CSV: which columns there are, and what is wrong with a row.
//!
//! A wrong row is a value like a right one, with its line, its column and what would be right. A file that is wrong as
//! a whole is an error: its heading makes no sense, it has no rows, it is in another encoding, none of its rows has
//! the cells of the heading, or a row has no end.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use crate::limits;
use followupd_proto::v1;

mod bounded;
mod columns;
mod row;

use bounded::Bounded;
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
    reader: csv::Reader<Bounded<R>>,
    columns: Columns,
}

impl<R: Read> Contacts<R> {
    /// Reads the heading.
    ///
    /// # Errors
    /// It cannot be read, or there is no `contact` column, or two columns are one.
    pub(crate) fn open(file: R) -> Result<Contacts<R>, String> {
        let file = Bounded::new(file, limits::CSV_ROW_BYTES);
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
        if !self.read(&mut cells)? {
            return Ok(None);
        }
        let says = row::read(&self.columns, &cells);
        Ok(Some(Row { line: line(&cells), cells, says }))
    }

    /// Passes over this many rows; fewer where the file ends before.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn skip(&mut self, rows: u64) -> Result<(), String> {
        let mut cells = ByteRecord::new();
        for _ in 0..rows {
            if !self.read(&mut cells)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads a file to its end, in constant memory, and says how many rows it has; `seen` is told how many bytes were
    /// read so far.
    ///
    /// # Errors
    /// The file as a whole is wrong, with the first line that shows it.
    pub(crate) fn survey(mut self, mut seen: impl FnMut(u64)) -> Result<u64, String> {
        let wants = self.columns.columns().len();
        let mut cells = ByteRecord::new();
        let (mut rows, mut other_cells, mut other_encoding) = (0_u64, Odd::default(), Odd::default());
        while self.read(&mut cells)? {
            rows += 1;
            if cells.len() != wants {
                other_cells.add(|| format!("line {} has {}", line(&cells), cells.len()));
            }
            if let Some(says) = row::undecodable(&self.columns, &cells) {
                other_encoding.add(|| format!("line {}, {says}", line(&cells)));
            }
            seen(cells.position().map(csv::Position::byte).unwrap_or_default());
        }
        if rows == 0 {
            return Err("it has a heading and no rows".to_owned());
        }
        if let Some(first) = other_encoding.first {
            let more = match other_encoding.rows {
                1 => String::new(),
                rows => format!(" ({rows} rows are like this)"),
            };
            return Err(format!("{first}{more}: save the file as UTF-8"));
        }
        match other_cells.first {
            Some(first) if other_cells.rows == rows => Err(format!(
                "no row has the {wants} cells of the heading: {first}; separate cells by commas, and quote those that \
                 hold one"
            )),
            Some(_) | None => Ok(rows),
        }
    }

    fn read(&mut self, cells: &mut ByteRecord) -> Result<bool, String> {
        self.reader.get_mut().begin();
        let line = self.reader.position().line();
        self.reader
            .read_byte_record(cells)
            .map_err(|error| format!("the file cannot be read on from line {line}: {error}"))
    }
}

/// Rows of one kind: the first, and how many.
#[derive(Default)]
struct Odd {
    first: Option<String>,
    rows: u64,
}

impl Odd {
    fn add(&mut self, says: impl FnOnce() -> String) {
        self.rows += 1;
        self.first.get_or_insert_with(says);
    }
}

fn line(cells: &ByteRecord) -> u64 {
    cells.position().map(csv::Position::line).unwrap_or_default()
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

    fn surveyed(text: impl AsRef<[u8]>) -> Result<u64, String> {
        Contacts::open(text.as_ref())?.survey(|_| ())
    }

    #[test]
    fn a_file_that_is_wrong_as_a_whole_is_found_before_its_rows() {
        let endless = format!("contact,name\nct-1,\"{}", "x\n".repeat(limits::CSV_ROW_BYTES));
        let table: [(&[u8], &str); 7] = [
            (b"", "is empty"),
            (b"contact,name\n", "no rows"),
            (b"contact,name\nct-1,Jos\xe9\nct-2,Ren\xe9\n", "line 2, column \"name\": not UTF-8 from byte 4"),
            (b"contact,name\nct-1,Jos\xe9\nct-2,Ren\xe9\n", "2 rows are like this"),
            (b"contact,name\nct-1;Ana\nct-2;Bo\n", "no row has the 2 cells of the heading: line 2 has 1"),
            (b"\xff\xfec\0o\0n\0t\0", "the heading is not UTF-8"),
            (endless.as_bytes(), "from line 2: a row has more than 1048576 bytes"),
        ];
        for (text, says) in table {
            let error = surveyed(text).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn one_wrong_row_makes_no_wrong_file() {
        assert_eq!(surveyed("contact,name\nct-1\nct-2,Bo\n"), Ok(2));
        assert_eq!(surveyed(b"rejected_problem,contact\n\xe9,ct-1\n"), Ok(1), "what an earlier run wrote");
    }

    #[test]
    fn rows_that_were_passed_over_keep_their_lines() {
        let text = "contact\nct-1\n\"ct\n2\"\nct-3\n";
        let mut contacts = Contacts::open(text.as_bytes()).unwrap();
        contacts.skip(2).unwrap();
        let row = contacts.next().unwrap().unwrap();
        assert_eq!((row.line, row.says.unwrap().contact.as_str()), (5, "ct-3"));
        contacts.skip(9).unwrap();
        assert!(contacts.next().unwrap().is_none());
    }

    #[test]
    fn a_quoted_cell_may_hold_lines_and_a_byte_order_mark_is_no_letter() {
        let rows = rows("\u{feff}contact,name\n\"ct-1\",\"Ana\nMaria\"\nct-2,Bo\n");
        assert_eq!(rows[0].says.as_ref().unwrap().profile.name, "Ana\nMaria");
        assert_eq!(rows[1].line, 4);
    }
}
