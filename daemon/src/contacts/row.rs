//! One row: its cells checked one by one, the first wrong one named.

use csv::ByteRecord;
use followupd_domain::calendar::Zone;
use followupd_domain::name::check_id;

use crate::contacts::Problem;
use crate::contacts::columns::{Column, Columns};
use followupd_proto::v1;

/// Longest number of E.164 (ITU-T E.164, §6.2.1), and the shortest that can be one.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// What is wrong with an e-mail address. Only what surely cannot be one is refused: whether it can be reached is
/// the provider's to say.
pub(crate) fn email_problem(text: &str) -> Option<String> {
    let right = match text.split_once('@') {
        Some((name, host)) => !name.is_empty() && !host.is_empty() && !host.contains('@'),
        None => false,
    };
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (!right || !clean)
        .then(|| format!("{text:?} is no e-mail address: write one with a name, one @ and a host"))
}

/// What is wrong with a phone number.
pub(crate) fn phone_problem(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let right = PHONE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    (!right).then(|| {
        format!("{text:?} is no phone number: write + , country code and number without spaces, such as +491511234567")
    })
}

/// The first cell of a row that is not UTF-8, and from where on.
pub(super) fn undecodable(columns: &Columns, cells: &ByteRecord) -> Option<String> {
    // All cells together are one look; a letter that two of them share shows when the row is read.
    if std::str::from_utf8(cells.as_slice()).is_ok() {
        return None;
    }
    let named = columns.headings().iter().zip(columns.columns()).zip(cells);
    let mut ours = named.filter(|((_, column), _)| **column != Column::Rejected);
    ours.find_map(|((heading, _), cell)| {
        let error = std::str::from_utf8(cell).err()?;
        Some(format!("column {heading:?}: not UTF-8 from byte {} on", error.valid_up_to() + 1))
    })
}

/// Reads a row.
pub(super) fn read(columns: &Columns, cells: &ByteRecord) -> Result<v1::Enroll, Problem> {
    if cells.len() != columns.columns().len() {
        let (has, wants) = (cells.len(), columns.columns().len());
        let problem = format!(
            "the row has {has} cells: the heading has {wants}; quote a cell that holds a comma or quote"
        );
        return Err(Problem { column: String::new(), problem });
    }
    let mut wish = v1::Enroll::default();
    let mut profile = v1::Profile::default();
    let rows = columns.headings().iter().zip(columns.columns()).zip(cells);
    for ((heading, column), cell) in rows {
        let wrong = |problem: String| Problem { column: heading.clone(), problem };
        if *column == Column::Rejected {
            continue;
        }
        let text = std::str::from_utf8(cell).map_err(|error| {
            wrong(format!("is not UTF-8 from byte {} on: save the file as UTF-8", error.valid_up_to() + 1))
        })?;
        take(column, text, columns.has_target(), &mut wish, &mut profile).map_err(wrong)?;
    }
    wish.profile = profile.into();
    Ok(wish)
}

fn take(
    column: &Column,
    text: &str,
    has_target: bool,
    wish: &mut v1::Enroll,
    profile: &mut v1::Profile,
) -> Result<(), String> {
    let text = text.trim();
    match column {
        Column::Contact => {
            check_id(text).map_err(|error| format!("the contact's id {error}"))?;
            text.clone_into(&mut wish.contact);
        }
        Column::Email => {
            known(text, email_problem)?;
            text.clone_into(&mut profile.email);
        }
        Column::Phone => {
            known(text, phone_problem)?;
            text.clone_into(&mut profile.phone);
        }
        Column::Name => text.clone_into(&mut profile.name),
        Column::TimeZone => {
            known(text, |zone| Zone::parse(zone).err().map(|error| error.to_string()))?;
            text.clone_into(&mut profile.time_zone);
        }
        Column::Target(kind) => {
            check_id(text).map_err(|error| format!("the {}'s id {error}", kind.word()))?;
            let target =
                v1::Target { kind: kind.word().to_owned(), id: text.to_owned(), ..Default::default() };
            wish.target = target.into();
        }
        Column::Attribute(_) if text.is_empty() => {}
        Column::Attribute(name) => {
            let attributes = if has_target { &mut wish.target_attributes } else { &mut profile.attributes };
            attributes.insert(name.clone(), text.to_owned());
        }
        Column::Rejected => {}
    }
    Ok(())
}

/// An empty cell says nothing; another has to be right.
fn known(text: &str, problem: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { problem(text).map_or(Ok(()), Err) }
}
