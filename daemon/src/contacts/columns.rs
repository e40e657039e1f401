//! The heading of a contact file: what each column is.

use csv::ByteRecord;
use followupd_domain::name::nearest;
use followupd_domain::target::TargetKind;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The contact's id.
    Contact,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// What to call them.
    Name,
    /// Their own time zone.
    TimeZone,
    /// The id of the target, of this kind.
    Target(TargetKind),
    /// A value for templates.
    Attribute(String),
    /// What an earlier run wrote about rejected rows.
    Rejected,
}

/// The columns of a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    headings: Vec<String>,
    columns: Vec<Column>,
    target: bool,
}

const KNOWN: [&str; 5] = ["contact", "email", "phone", "name", "time_zone"];

/// Columns of this prefix are what a rejected row was rejected for; a corrected file may keep them.
pub(crate) const REJECTED: &str = "rejected_";

impl Columns {
    /// Reads a heading.
    ///
    /// # Errors
    /// Says which column is missing, doubled or probably misspelt.
    pub(super) fn read(heading: &ByteRecord) -> Result<Columns, String> {
        if heading.is_empty() {
            return Err(
                "the file is empty: its first line names the columns, one of them \"contact\"".to_owned()
            );
        }
        let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).map(|text| text.trim().to_owned());
        let headings = heading.iter().map(text).collect::<Result<Vec<String>, _>>();
        let headings = headings.map_err(|_| "the heading is not UTF-8: save the file as UTF-8".to_owned())?;
        if let [one] = &headings[..]
            && let Some(mark) = one.chars().find(|c| matches!(c, ';' | '\t' | '|'))
        {
            return Err(format!(
                "the heading is one column with {mark:?} in it: separate the columns by commas"
            ));
        }
        let columns: Vec<Column> = headings.iter().map(|heading| column(heading)).collect();
        if !columns.contains(&Column::Contact) {
            let near = nearest("contact", headings.iter().map(String::as_str));
            let near = near.map(|near| format!(" ({near:?} is near to it)")).unwrap_or_default();
            return Err(format!(
                "there is no column \"contact\"{near}: it holds the platform's id of each contact"
            ));
        }
        if let Some(empty) = headings.iter().position(String::is_empty) {
            return Err(format!("column {} has no heading: give it one", empty + 1));
        }
        for (i, heading) in headings.iter().enumerate() {
            if headings[..i].contains(heading) {
                return Err(format!("there are two columns {heading:?}: keep one"));
            }
        }
        let targets: Vec<&String> =
            headings.iter().filter(|heading| matches!(column(heading), Column::Target(_))).collect();
        if let [one, other, ..] = targets[..] {
            return Err(format!("{one:?} and {other:?} are two targets of one enrollment: keep one"));
        }
        let target = !targets.is_empty();
        Ok(Columns { headings, columns, target })
    }

    /// The headings as they stand in the file.
    pub(crate) fn headings(&self) -> &[String] {
        &self.headings
    }

    /// What the columns are.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether rows name a target: other columns are attributes of it then, of the contact otherwise.
    pub(super) fn has_target(&self) -> bool {
        self.target
    }

    /// Attributes that look like a known column misspelt, each with that column.
    pub(crate) fn doubtful(&self) -> Vec<(&str, &'static str)> {
        let missing: Vec<&str> =
            KNOWN.into_iter().filter(|known| !self.headings.iter().any(|heading| heading == known)).collect();
        let attributes = self.columns.iter().filter_map(|column| match column {
            Column::Attribute(name) => Some(name.as_str()),
            Column::Contact
            | Column::Email
            | Column::Phone
            | Column::Name
            | Column::TimeZone
            | Column::Target(_)
            | Column::Rejected => None,
        });
        attributes
            .filter_map(|name| nearest(name, missing.iter().copied()).map(|near| (name, near)))
            .collect()
    }
}

fn column(heading: &str) -> Column {
    match heading {
        "contact" => Column::Contact,
        "email" => Column::Email,
        "phone" => Column::Phone,
        "name" => Column::Name,
        "time_zone" => Column::TimeZone,
        _ if heading.starts_with(REJECTED) => Column::Rejected,
        _ => TargetKind::parse(heading).map_or_else(|| Column::Attribute(heading.to_owned()), Column::Target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(heading: &str) -> Result<Columns, String> {
        Columns::read(&ByteRecord::from(heading.split(',').collect::<Vec<_>>()))
    }

    #[test]
    fn a_heading_that_makes_no_sense_says_why() {
        for (heading, says) in [
            ("contcat,email", "\"contcat\" is near"),
            ("contact;email", "by commas"),
            ("contact,email,email", "two columns"),
            ("contact,deal,charge", "two targets"),
            ("contact,,email", "column 2"),
        ] {
            let error = read(heading).unwrap_err();
            assert!(error.contains(says), "{heading}: {error}");
        }
    }

    #[test]
    fn a_column_near_to_a_missing_one_is_doubtful() {
        let columns = read("contact,emial,plan").unwrap();
        assert_eq!(columns.doubtful(), [("emial", "email")]);
        assert!(read("contact,email,emails").unwrap().doubtful().is_empty());
    }

    #[test]
    fn what_an_earlier_run_wrote_is_no_attribute() {
        let columns = read("rejected_line,contact").unwrap();
        assert_eq!(columns.columns()[0], Column::Rejected);
    }
}
