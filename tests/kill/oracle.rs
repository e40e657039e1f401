//! The oracle: what each contact must hold, from the CSV, the sequence and the answers that were given.

use std::collections::BTreeMap;

use blackbox::maildir::Mail;
use serde_json::{Value, json};

use crate::kill::contacts::{Contact, STEPS, WAIT_MS};
use crate::kill::load::Reply;
use blackbox::timeline::{Entry, Send, Timeline};

/// A send counts as nearly due this long before it is.
const NEAR_MS: i64 = 1_000;

/// One contact, and all that is known of it.
pub(crate) struct Case<'a> {
    /// Its row.
    pub(crate) contact: &'a Contact,
    /// Its mails.
    pub(crate) mails: Vec<&'a Mail>,
    /// Its reply, if it replied.
    pub(crate) reply: Option<&'a Reply>,
    /// Its enrollments: one.
    pub(crate) timelines: &'a [Timeline],
}

/// What the oracle makes of a contact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// What is wrong.
    pub(crate) findings: Vec<String>,
    /// `completed` or `exited`.
    pub(crate) state: &'static str,
    /// What the funnel must count each of its steps for.
    pub(crate) statuses: Vec<&'static str>,
    /// Whether it replied while a send was due within the second.
    pub(crate) near_due: bool,
    /// Whether the answer to its reply named a send in flight.
    pub(crate) in_flight: bool,
    /// Its mails.
    pub(crate) mails: usize,
    /// Of them, more than one of a step.
    pub(crate) twice: usize,
    /// Mails it should have and has not.
    pub(crate) lost: usize,
}

impl Verdict {
    /// Sends that may have gone out or not.
    pub(crate) fn uncertain(&self) -> usize {
        self.statuses.iter().filter(|status| **status == "uncertain").count()
    }

    fn find(&mut self, case: &Case<'_>, what: &str) {
        let replied = case.reply.map(|reply| format!("{reply:?}")).unwrap_or_default();
        let mails: Vec<_> = case.mails.iter().map(|mail| (mail.step(), mail.written_at)).collect();
        let lines = |timeline: &Timeline| {
            let line = |entry: &Entry| format!("{} {}", entry.at, entry.kind);
            timeline.entries.iter().map(line).collect::<Vec<_>>()
        };
        let entries: Vec<_> = case.timelines.iter().map(lines).collect();
        self.findings.push(format!("{}: {what}; mails {mails:?}; {replied}; {entries:?}", case.contact.id));
    }
}

/// Judges one contact.
pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict { mails: case.mails.len(), ..Verdict::default() };
    let [timeline] = case.timelines else {
        verdict.find(case, "it is not enrolled exactly once");
        return verdict;
    };
    contents(case, timeline, &mut verdict);
    verdict.state = state(case, timeline, &mut verdict);
    if timeline.state != verdict.state {
        verdict.find(case, &format!("it must be {}, and is {}", verdict.state, timeline.state));
        return verdict;
    }
    statuses(case, timeline, &mut verdict);
    after_the_reply(case, timeline, &mut verdict);
    walk(case, timeline, &mut verdict);
    let due = |reply: &&Reply| {
        let planned = timeline.of("planned").filter_map(|entry| entry.due_at);
        let mut ahead = planned.map(|due_at| due_at - reply.occurred_at);
        ahead.any(|ahead| (0..=NEAR_MS).contains(&ahead))
    };
    verdict.near_due = case.reply.as_ref().is_some_and(due);
    verdict.in_flight = case.reply.is_some_and(|reply| !reply.in_flight.is_empty());
    verdict
}

/// Every mail is one of its steps, once, addressed and rendered for this contact.
fn contents(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) {
    let mut steps: BTreeMap<usize, usize> = BTreeMap::new();
    for mail in &case.mails {
        let step = mail.step();
        *steps.entry(step).or_default() += 1;
        let contact = case.contact;
        let wanted = step < STEPS
            && mail.header("X-Followup-Send") == mail.file
            && mail.header("X-Followup-Enrollment") == timeline.id
            && mail.header("To") == contact.email
            && mail.header("Subject") == contact.subject(step)
            && mail.body.trim_end() == contact.body(step);
        if !wanted {
            verdict.find(case, &format!("a mail is not what it should be: {mail:?}"));
        }
    }
    verdict.twice = steps.values().map(|count| count - 1).sum();
    if verdict.twice > 0 {
        verdict.find(case, "a step was sent twice");
    }
}

/// What must have become of it, by what was acknowledged.
fn state(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) -> &'static str {
    let Some(reply) = case.reply else { return "completed" };
    let completed_at = timeline.of("completed").next().map(|entry| entry.at);
    if !reply.exited.is_empty() {
        if reply.exited != [timeline.id.clone()] {
            verdict.find(case, "the reply ended another enrollment");
        }
        return "exited";
    }
    if reply.occurred_at < timeline.enrolled_at {
        return "completed";
    }
    let over_by_then = completed_at.is_some_and(|at| at <= reply.acked_at);
    if reply.duplicate && !over_by_then {
        // The answer that said so is lost; what was not over by the second one must have ended by the first.
        return "exited";
    }
    if reply.duplicate {
        return if timeline.state == "exited" { "exited" } else { "completed" };
    }
    if !over_by_then {
        verdict.find(case, "an acknowledged reply did not end it");
    }
    "completed"
}

/// What the funnel must count each step for; and the mails that there must be.
fn statuses(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) {
    let there = |step: usize| case.mails.iter().any(|mail| mail.step() == step);
    let whole = if verdict.state == "completed" { STEPS } else { sent_before_exit(timeline) };
    let missing = (0..whole).filter(|step| !there(*step)).count();
    if missing > 0 {
        verdict.lost = missing;
        verdict.find(case, &format!("{missing} of the first {whole} mails are not there"));
    }
    verdict.statuses = vec!["sent"; whole];
    // Whoever leaves during a wait never came to the step it was for.
    if let Some(send) = open_at_exit(timeline).filter(|_| verdict.state == "exited") {
        open_send(case, &send, there(send.step), verdict);
    }
    let known = verdict.statuses.len();
    if case.mails.iter().any(|mail| mail.step() >= known) {
        verdict.find(case, "there is a mail of a step that was never begun");
    }
    credit(case, timeline, verdict);
    if timeline.statuses != verdict.statuses {
        let what = format!("its steps must be {:?}, and are {:?}", verdict.statuses, timeline.statuses);
        verdict.find(case, &what);
    }
}

/// The send whose end was not known when it exited: the last one begun. A doubt is no end, but the next attempt's is.
fn open_at_exit(timeline: &Timeline) -> Option<Send> {
    let exited = timeline.entries.iter().position(|entry| entry.kind == "exited")?;
    let (begun, open) = timeline.entries[..exited].iter().fold((0_usize, false), |(begun, open), entry| {
        match entry.kind.as_str() {
            "intended" => (begun + 1, true),
            "sent" | "withdrawn" => (begun, false),
            _ => (begun, open),
        }
    });
    let last = begun.checked_sub(1).filter(|_| open)?;
    timeline.sends().into_iter().nth(last)
}

/// Steps that were accepted before it exited.
fn sent_before_exit(timeline: &Timeline) -> usize {
    timeline
        .entries
        .iter()
        .take_while(|entry| entry.kind != "exited")
        .filter(|entry| entry.kind == "sent")
        .count()
}

/// A send that was on the wire when the reply was taken in: the answer named it, and it may be there.
fn open_send(case: &Case<'_>, send: &Send, there: bool, verdict: &mut Verdict) {
    let named = case.reply.is_some_and(|reply| reply.duplicate || reply.in_flight == [send.id.clone()]);
    if !named {
        verdict.find(case, "the answer to its reply does not name the send in flight");
    }
    match send.outcome.as_str() {
        "sent" if !there => {
            verdict.lost += 1;
            verdict.find(case, "the mail on the wire was accepted and is not there");
        }
        "sent" => verdict.statuses.push("sent"),
        // Where its process died during the call it stood in line to be called again, and the exit leaves it uncertain.
        "left_uncertain" | "doubted" => verdict.statuses.push("uncertain"),
        // It surely never left, and there is no next attempt.
        "withdrawn" if !there => {}
        _ => verdict.find(case, "the send in flight has no end"),
    }
}

/// A reply is credited to the last send that was accepted before it.
fn credit(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) {
    let credited: Vec<_> = timeline.of("received").map(|entry| (entry.step, entry.status.as_str())).collect();
    let Some(reply) = case.reply else {
        if !credited.is_empty() {
            verdict.find(case, "a reply is credited that never was");
        }
        return;
    };
    let sends = timeline.sends();
    let before = sends.iter().filter(|send| send.outcome == "sent");
    let mut before = before.filter(|send| send.ended_at.is_some_and(|at| at <= reply.occurred_at));
    // What was on the wire when the reply was taken in could not be credited yet.
    let last = before.rfind(|send| !reply.in_flight.contains(&send.id)).map(|send| send.step);
    match (credited.as_slice(), last) {
        ([(Some(step), "replied")], Some(last)) if *step == last => {
            if let Some(status) = verdict.statuses.get_mut(last) {
                *status = "replied";
            }
        }
        // Whoever has completed has left what replies are credited to.
        ([], None) => {}
        ([], Some(_)) if verdict.state == "completed" => {}
        _ => verdict.find(case, &format!("its reply is credited {credited:?}, not to step {last:?}")),
    }
}

/// Nothing begins after a reply that ended it was acknowledged.
fn after_the_reply(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) {
    let Some(reply) = case.reply.filter(|_| verdict.state == "exited") else { return };
    if timeline.reason != "replied" {
        verdict.find(case, &format!("it left for {:?}", timeline.reason));
    }
    if timeline.of("intended").any(|entry| entry.at > reply.acked_at) {
        verdict.find(case, "a send was decided after the reply was acknowledged");
    }
    let late = |mail: &&&Mail| mail.written_at > reply.acked_at;
    let named = |mail: &Mail| reply.duplicate || reply.in_flight.contains(&mail.file);
    if case.mails.iter().filter(late).any(|mail| !named(mail)) {
        verdict.find(
            case,
            "a mail was written after the reply was acknowledged, and the answer did not name it",
        );
    }
    let exited = timeline.entries.iter().position(|entry| entry.kind == "exited");
    let begun = timeline.entries.iter().rposition(|entry| entry.kind == "intended");
    if exited < begun {
        verdict.find(case, "its timeline has an intent after its exit");
    }
}

/// Each step is due its wait after the one before it was settled, and begins no sooner.
fn walk(case: &Case<'_>, timeline: &Timeline, verdict: &mut Verdict) {
    let (mut settled_at, mut due_at) = (timeline.enrolled_at, i64::MAX);
    for entry in &timeline.entries {
        match entry.kind.as_str() {
            "planned" => {
                let wait = if entry.step == Some(0) { 0 } else { WAIT_MS };
                due_at = entry.due_at.unwrap_or(i64::MAX);
                if due_at != settled_at + wait {
                    verdict.find(case, &format!("step {:?} is not due its wait after the last", entry.step));
                }
            }
            "intended" if entry.at < due_at => verdict.find(case, "a send begins before it is due"),
            "sent" => settled_at = entry.at,
            _ => {}
        }
    }
}

/// Compares the daemon's funnel with the sum of the verdicts.
pub(crate) fn funnel(verdicts: &[Verdict], answer: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let count = |is: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    let versions = answer["versions"].as_array().cloned().unwrap_or_default();
    let [version] = versions.as_slice() else { return vec![format!("not one version: {answer}")] };
    let number = |value: &Value| value.as_u64().unwrap_or(0) as usize;
    let mut same = |what: String, wanted: usize, is: usize| {
        if wanted != is {
            findings.push(format!("the funnel counts {is} {what}, and there are {wanted}"));
        }
    };
    same("enrolled".into(), verdicts.len(), number(&version["enrolled"]));
    same("active".into(), 0, number(&version["active"]));
    same("paused".into(), 0, number(&version["paused"]));
    let completed = count(&|verdict| verdict.state == "completed");
    same("completed".into(), completed, number(&version["completed"]));
    let replied = count(&|verdict| verdict.state == "exited");
    if version["exited"] != json!([{ "reason": "replied", "count": replied }]) {
        findings.push(format!("the funnel's exits are {}, and {replied} replied", version["exited"]));
    }
    if version["failed"].as_array().is_some_and(|failed| !failed.is_empty()) {
        findings.push(format!("the funnel has failures: {version}"));
    }
    let mut same = |what: String, wanted: usize, is: usize| {
        if wanted != is {
            findings.push(format!("the funnel counts {is} {what}, and there are {wanted}"));
        }
    };
    for step in 0..STEPS {
        let counted = &version["steps"][step];
        same(format!("places of step {step}"), step, number(&counted["step"]));
        let of = |status: &str| count(&|verdict| verdict.statuses.get(step).is_some_and(|is| *is == status));
        for status in ["pending", "uncertain", "sent", "replied"] {
            same(format!("{status} at step {step}"), of(status), number(&counted[status]));
        }
        let entered = count(&|verdict| verdict.statuses.len() > step);
        same(format!("entered at step {step}"), entered, number(&counted["entered"]));
        same(format!("accepted at step {step}"), of("sent") + of("replied"), number(&counted["accepted"]));
    }
    findings
}
