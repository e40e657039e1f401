//! What waits to leave by a channel, as lines above its settings.

use std::fmt::Write as _;

use crate::cli::time;
use crate::table::{Align, Table, thousands};
use followupd_proto::v1;

/// The lines, each a comment of the file that follows; none where nothing waits.
pub(crate) fn lines(backlog: Option<&v1::Backlog>) -> String {
    let Some(backlog) = backlog else { return String::new() };
    if backlog.due.saturating_add(backlog.later) == 0 {
        return "# nothing waits to leave\n".to_owned();
    }
    let about = if backlog.about { "about " } else { "" };
    let more = if backlog.more { " · and more in queues and hours that were not read" } else { "" };
    let mut text = format!(
        "# {about}{} due · {} in the next 24 h · {} later{more}\n",
        thousands(u64::from(backlog.due)),
        thousands(u64::from(backlog.due_24h)),
        thousands(u64::from(backlog.later - backlog.due_24h.min(backlog.later))),
    );
    for waits in &backlog.waits_for {
        let _ = writeln!(text, "# all of it waits: {}{}", waits.text, until(waits));
    }
    let _ = writeln!(text, "# {}{}", pace(backlog), ends(backlog));
    if backlog.groups.iter().any(|group| group.waits_for.is_set()) || backlog.groups.len() > 1 {
        for line in groups(backlog).to_string().lines() {
            let _ = writeln!(text, "#   {line}");
        }
    }
    text
}

fn groups(backlog: &v1::Backlog) -> Table {
    let (left, right) = (|title| (title, Align::Left), |title| (title, Align::Right));
    let columns = ["due", "next 24 h", "later"].map(right);
    let mut table =
        Table::new(&[&[left("sequence"), left("class")], &columns[..], &[left("waits for")]].concat());
    for group in &backlog.groups {
        let sequence = if group.sequence.is_empty() { "(gone)" } else { &group.sequence };
        let waits = group.waits_for.as_option().map(|waits| format!("{}{}", waits.text, until(waits)));
        table.row([
            sequence.to_owned(),
            group.class.clone(),
            thousands(u64::from(group.due)),
            thousands(u64::from(group.due_24h)),
            thousands(u64::from(group.later - group.due_24h.min(group.later))),
            waits.unwrap_or_else(|| "its turn".to_owned()),
        ]);
    }
    table
}

/// At what pace it leaves, and what says so.
fn pace(backlog: &v1::Backlog) -> String {
    let per_second = backlog.per_second;
    if per_second == 0.0 {
        let ends = backlog.empty_at.is_set();
        return if ends { "leaves as its day lets it" } else { "leaves as fast as it is taken" }.to_owned();
    }
    let (count, span) = match per_second {
        fast if fast >= 1.0 => (fast, "a second"),
        slow if slow * 60.0 >= 1.0 => (slow * 60.0, "a minute"),
        slow if slow * 3_600.0 >= 1.0 => (slow * 3_600.0, "an hour"),
        slower => (slower * 86_400.0, "a day"),
    };
    let digits = format!("{count:.1}");
    let count = digits.strip_suffix(".0").unwrap_or(&digits);
    let slowed = match backlog.pace_percent {
        100.. => String::new(),
        percent => format!(", slowed to {percent} % of its pace"),
    };
    format!("leaves at {count} {span} ({}{slowed})", backlog.limit)
}

fn ends(backlog: &v1::Backlog) -> String {
    let at = backlog.empty_at.as_option();
    at.map(|at| format!(" · empty about {} UTC", time::utc(Some(at)))).unwrap_or_default()
}

fn until(waits: &v1::WaitsFor) -> String {
    let until = waits.until.as_option();
    until.map(|until| format!(", until {} UTC", time::utc(Some(until)))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_reads_as_length_pace_and_end() {
        let held = v1::WaitsFor { text: "the sequence is held: release it".to_owned(), ..Default::default() };
        let group = |sequence: &str, due, waits_for| v1::BacklogGroup {
            sequence: sequence.to_owned(),
            class: "normal".to_owned(),
            due,
            waits_for,
            ..Default::default()
        };
        let backlog = v1::Backlog {
            due: 1_500,
            due_24h: 10,
            later: 30,
            per_second: 80.0,
            limit: "rate".to_owned(),
            pace_percent: 50,
            groups: vec![
                group("renewal", 1_000, buffa::MessageField::none()),
                group("welcome", 500, held.into()),
            ],
            ..Default::default()
        };
        let expected = "# 1,500 due · 10 in the next 24 h · 20 later\n\
                        # leaves at 80 a second (rate, slowed to 50 % of its pace)\n\
                        #   SEQUENCE  CLASS     DUE  NEXT 24 H  LATER  WAITS FOR\n\
                        #   renewal   normal  1,000          0      0  its turn\n\
                        #   welcome   normal    500          0      0  the sequence is held: release it\n";
        assert_eq!(lines(Some(&backlog)), expected);
        assert_eq!(lines(Some(&v1::Backlog::default())), "# nothing waits to leave\n");
        assert_eq!(lines(None), "");
    }

    #[test]
    fn a_slow_pace_is_told_by_the_hour() {
        let backlog = |per_second| v1::Backlog { per_second, pace_percent: 100, ..Default::default() };
        assert_eq!(pace(&backlog(0.1)), "leaves at 6 a minute ()");
        assert_eq!(pace(&backlog(0.005)), "leaves at 18 an hour ()");
        assert_eq!(pace(&backlog(0.00005)), "leaves at 4.3 a day ()");
        assert_eq!(pace(&backlog(0.0)), "leaves as fast as it is taken");
    }
}
