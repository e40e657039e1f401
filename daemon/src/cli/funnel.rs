//! `funnel`: where the enrollments of a sequence stand, as a table.

use crate::cli::Shared;
use crate::cli::ask::answer;
use crate::exit::Failure;
use crate::table::{Align, Table, percent, thousands};
use followupd_proto::v1;

/// Prints it.
pub(crate) async fn run(shared: &Shared, sequence: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let request = v1::GetFunnelRequest { tenant: shared.tenant()?, sequence, ..Default::default() };
    let funnel = answer(&server, server.sequences().get_funnel(request)).await?;
    if funnel.versions.is_empty() && !shared.json {
        eprintln!("nobody is enrolled in {} yet", funnel.sequence);
        return Ok(());
    }
    shared.answer(&funnel, || render(&funnel))
}

/// The funnel of every version.
pub(crate) fn render(funnel: &v1::GetFunnelResponse) -> String {
    let one = |version: &v1::Funnel| {
        format!(
            "{} · version {} · {} enrolled\n\n{}\n{}",
            funnel.sequence,
            version.version,
            thousands(version.enrolled.into()),
            standings(version),
            steps(version),
        )
    };
    funnel.versions.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn standings(funnel: &v1::Funnel) -> Table {
    let mut table = Table::new(&[("enrollments", Align::Left), ("", Align::Right), ("share", Align::Right)]);
    let mut row = |label: String, count: u32| {
        if count > 0 {
            table.row([label, thousands(count.into()), percent(count.into(), funnel.enrolled.into())]);
        }
    };
    row("active".to_owned(), funnel.active);
    row("paused".to_owned(), funnel.paused);
    row("completed".to_owned(), funnel.completed);
    for (word, counts) in [("exited", &funnel.exited), ("failed", &funnel.failed)] {
        let mut counts: Vec<&v1::ReasonCount> = counts.iter().collect();
        counts.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        for reason in counts {
            row(format!("{word}: {}", reason.reason), reason.count);
        }
    }
    table
}

fn steps(funnel: &v1::Funnel) -> Table {
    let columns = ["entered", "accepted", "replied", "waiting", "uncertain", "skipped", "failed"];
    let mut all = vec![("step", Align::Left)];
    all.extend(columns.map(|title| (title, Align::Right)));
    all.push(("why", Align::Left));
    let mut table = Table::new(&all);
    for step in &funnel.steps {
        let some = |count: u32| if count == 0 { String::new() } else { thousands(count.into()) };
        let sum = |reasons: &[v1::ReasonCount]| reasons.iter().map(|reason| reason.count).sum::<u32>();
        let why: Vec<String> = step
            .skipped
            .iter()
            .chain(&step.failed)
            .map(|one| format!("{} {}", one.count, one.reason))
            .collect();
        table.row([
            (step.step + 1).to_string(),
            thousands(step.entered.into()),
            thousands(step.accepted.into()),
            some(step.replied),
            some(step.pending),
            some(step.uncertain),
            some(sum(&step.skipped)),
            some(sum(&step.failed)),
            why.join(", "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funnel_shows_only_what_happened() {
        let reason =
            |reason: &str, count| v1::ReasonCount { reason: reason.into(), count, ..Default::default() };
        let step =
            v1::StepFunnel { entered: 1_000, sent: 990, replied: 10, accepted: 1_000, ..Default::default() };
        let version = v1::Funnel {
            version: 1,
            enrolled: 1_000,
            completed: 700,
            exited: vec![reason("goal", 100), reason("replied", 200)],
            steps: vec![step],
            ..Default::default()
        };
        let funnel = v1::GetFunnelResponse {
            sequence: "welcome".into(),
            versions: vec![version],
            ..Default::default()
        };
        let expected = "welcome · version 1 · 1,000 enrolled\n\n\
                        ENROLLMENTS           SHARE\n\
                        completed        700   70 %\n\
                        exited: replied  200   20 %\n\
                        exited: goal     100   10 %\n\n\
                        STEP  ENTERED  ACCEPTED  REPLIED\n\
                        1       1,000     1,000       10\n";
        assert_eq!(render(&funnel), expected);
    }
}
