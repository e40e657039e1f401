//! What a person sees while the demo runs: on a terminal a few lines that are drawn again, elsewhere a line now and
//! then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::table::thousands;
use followupd_proto::v1;

/// How often a line is written where nothing can be drawn again.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// The width of a full bar.
const BAR: u32 = 40;

/// The view of one run, on stderr.
pub(super) struct View {
    began: Instant,
    live: bool,
    drawn: usize,
    last: Option<Instant>,
}

impl View {
    /// A view of a run that began then.
    pub(super) fn new(began: Instant) -> View {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        View { began, live: io::stderr().is_terminal() && !dumb, drawn: 0, last: None }
    }

    /// Says something once.
    pub(super) fn say(&mut self, text: &str) {
        self.write(text);
        self.drawn = 0;
    }

    /// Shows the numbers as they are.
    pub(super) fn show(&mut self, funnel: &v1::GetFunnelResponse) {
        let Some(version) = funnel.versions.last() else { return };
        let seconds = self.began.elapsed().as_secs();
        if self.live {
            let text = bars(version, seconds);
            // Up over what stands there, and each line cleared to its end.
            let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
            self.drawn = text.lines().count();
            self.write(&format!("{up}{}", text.replace('\n', "\x1b[K\n")));
        } else if self.last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last = Some(Instant::now());
            self.write(&line(version, seconds));
        }
    }

    /// Shows the last numbers, whatever was shown before.
    pub(super) fn finish(&mut self, funnel: &v1::GetFunnelResponse) {
        self.last = None;
        self.show(funnel);
        self.write("\n");
    }

    fn write(&mut self, text: &str) {
        // A stderr that cannot be written is no reason to stop.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Where the enrollments stand: label and number, in the order in which they end.
fn standings(version: &v1::Funnel) -> [(&'static str, u32); 6] {
    let exited = |reasons: &[&str]| {
        let wanted = version.exited.iter().filter(|exit| reasons.contains(&exit.reason.as_str()));
        wanted.map(|exit| exit.count).sum::<u32>()
    };
    let all: u32 = version.exited.iter().map(|exit| exit.count).sum();
    let known = exited(&["replied"]) + exited(&["goal"]) + exited(&["opted_out"]);
    [
        ("on the way", version.active + version.paused),
        ("completed", version.completed),
        ("replied", exited(&["replied"])),
        ("paid", exited(&["goal"])),
        ("opted out", exited(&["opted_out"])),
        ("other", all - known + version.failed.iter().map(|failed| failed.count).sum::<u32>()),
    ]
}

fn mails(version: &v1::Funnel) -> String {
    let steps = version.steps.iter().map(|step| thousands(step.accepted.into()));
    let all: u32 = version.steps.iter().map(|step| step.accepted).sum();
    format!("{} mails ({})", thousands(all.into()), steps.collect::<Vec<_>>().join(" + "))
}

fn bars(version: &v1::Funnel, seconds: u64) -> String {
    let mut text = String::new();
    for (label, count) in
        standings(version).into_iter().filter(|(label, count)| *count > 0 || *label != "other")
    {
        let width = (count * BAR).div_ceil(version.enrolled.max(1)).min(BAR) as usize;
        text.push_str(&format!("  {label:<10} {:>6}  {}\n", thousands(count.into()), "█".repeat(width)));
    }
    text.push_str(&format!("  {seconds:>3} s      {}\n", mails(version)));
    text
}

fn line(version: &v1::Funnel, seconds: u64) -> String {
    let standings = standings(version).into_iter().filter(|(_, count)| *count > 0);
    let standings: Vec<String> =
        standings.map(|(label, count)| format!("{} {label}", thousands(count.into()))).collect();
    format!("{seconds:>3} s  {}  ·  {}\n", mails(version), standings.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> v1::Funnel {
        let exit =
            |reason: &str, count| v1::ReasonCount { reason: reason.into(), count, ..Default::default() };
        let step = |accepted| v1::StepFunnel { accepted, ..Default::default() };
        v1::Funnel {
            enrolled: 1_000,
            active: 800,
            completed: 20,
            exited: vec![exit("replied", 120), exit("goal", 50), exit("expired", 10)],
            steps: vec![step(1_000), step(400)],
            ..Default::default()
        }
    }

    #[test]
    fn a_line_says_what_happened_and_nothing_that_did_not() {
        let said = line(&version(), 7);
        let expected = "  7 s  1,400 mails (1,000 + 400)  ·  800 on the way, 20 completed, 120 replied, 50 paid, 10 other\n";
        assert_eq!(said, expected);
    }

    #[test]
    fn bars_are_never_wider_than_all_and_never_empty_for_some() {
        let drawn = bars(&version(), 7);
        let widths: Vec<usize> = drawn.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(widths, [32, 1, 5, 2, 0, 1, 0]);
    }
}
