//! The oracle on made-up contacts: silent on those that are right, and not on those with one thing wrong.

use blackbox::maildir::Mail;
use blackbox::seed::Seed;
use serde_json::{Value, json};

use crate::kill::contacts::{self, Contact, WAIT_MS};
use crate::kill::load::Reply;
use crate::kill::oracle::{self, Case, Verdict};
use blackbox::timeline::{Entry, Timeline};

const ID: &str = "enr_1";

/// All that is known of one contact.
#[derive(Clone)]
struct Known {
    contact: Contact,
    mails: Vec<Mail>,
    reply: Option<Reply>,
    timeline: Timeline,
}

fn mail(contact: &Contact, step: usize, written_at: i64) -> Mail {
    let file = format!("snd_{step}");
    let headers = [
        ("X-Followup-Send", file.clone()),
        ("X-Followup-Enrollment", ID.to_owned()),
        ("X-Followup-Step", step.to_string()),
        ("To", contact.email.clone()),
        ("Subject", contact.subject(step)),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    Mail { file, written_at, headers, body: contact.body(step) + "\n" }
}

fn entry(kind: &str, at: i64, step: Option<usize>, due_at: Option<i64>) -> Entry {
    let send_id = step.map(|step| format!("snd_{step}")).unwrap_or_default();
    Entry { kind: kind.to_owned(), at, step, due_at, send_id, status: String::new() }
}

/// Enrolled at 0, each step sent 10 ms after it is due; so many of them.
fn walked(steps: usize) -> Known {
    let contact = contacts::generate(1, &mut Seed::new(7)).remove(0);
    let (mut entries, mut mails, mut due) = (vec![entry("enrolled", 0, None, None)], Vec::new(), 0);
    for step in 0..contacts::STEPS {
        entries.push(entry("planned", due, Some(step), Some(due)));
        if step == steps {
            break;
        }
        entries.push(entry("intended", due + 5, Some(step), None));
        entries.push(entry("sent", due + 10, None, None));
        mails.push(mail(&contact, step, due + 8));
        due += 10 + WAIT_MS;
    }
    if steps == contacts::STEPS {
        entries.push(entry("completed", due, None, None));
    }
    let statuses = vec!["sent".to_owned(); steps];
    let (state, reason) = ("completed".to_owned(), String::new());
    let timeline = Timeline { id: ID.to_owned(), state, reason, enrolled_at: 0, statuses, entries };
    Known { contact, mails, reply: None, timeline }
}

/// Has left by a reply after its first mail.
fn left() -> Known {
    let mut known = walked(1);
    let at = 5_000;
    let mut received = entry("received", at, Some(0), None);
    received.status = "replied".to_owned();
    known.timeline.entries.extend([received, entry("exited", at, None, None)]);
    (known.timeline.state, known.timeline.reason) = ("exited".to_owned(), "replied".to_owned());
    known.timeline.statuses = vec!["replied".to_owned()];
    let exited = vec![ID.to_owned()];
    let answered =
        Reply { occurred_at: at, acked_at: at + 5, tries: 1, duplicate: false, exited, in_flight: vec![] };
    known.reply = Some(answered);
    known
}

/// Has left by a reply after its first mail, which took two attempts: the first was cut off by a crash.
fn left_after_a_doubt() -> Known {
    let mut known = left();
    known.timeline.entries.insert(2, entry("intended", 1, Some(0), None));
    known.timeline.entries.insert(3, entry("doubted", 2, Some(0), None));
    known
}

/// Has left by a reply before its second mail was called again after a crash, and is told so.
fn left_in_doubt() -> Known {
    let mut known = left();
    let at = known.timeline.entries.len() - 2;
    known.timeline.entries.insert(at, entry("doubted", 4_500, Some(1), None));
    known.timeline.entries.insert(at, entry("intended", 4_400, Some(1), None));
    known.timeline.statuses.push("uncertain".to_owned());
    known.reply.iter_mut().for_each(|reply| reply.in_flight = vec!["snd_1".to_owned()]);
    known
}

fn judge(known: &Known) -> Verdict {
    let timelines = std::slice::from_ref(&known.timeline);
    let mails = known.mails.iter().collect();
    oracle::judge(&Case { contact: &known.contact, mails, reply: known.reply.as_ref(), timelines })
}

fn funnel(steps: [usize; 3]) -> Value {
    let step = |(step, sent)| json!({ "step": step, "entered": sent, "sent": sent, "accepted": sent });
    let steps: Vec<Value> = steps.into_iter().enumerate().map(step).collect();
    json!({ "versions": [{ "enrolled": 1, "completed": 1, "exited": [{ "reason": "replied", "count": 0 }], "steps": steps }] })
}

#[test]
fn the_oracle_is_silent_on_what_is_right() {
    for known in [walked(3), left(), left_after_a_doubt(), left_in_doubt()] {
        let verdict = judge(&known);
        assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    }
    let verdicts = [judge(&walked(3))];
    assert_eq!(oracle::funnel(&verdicts, &funnel([1, 1, 1])), Vec::<String>::new());
    assert_ne!(oracle::funnel(&verdicts, &funnel([1, 1, 0])), Vec::<String>::new());
}

/// What is wrong, and with whom.
type Planted = (&'static str, Known, fn(&mut Known));

#[test]
fn the_oracle_finds_each_thing_that_is_wrong() {
    let planted: [Planted; 10] = [
        ("a mail is lost", walked(3), |known| drop(known.mails.remove(1))),
        ("a mail is there twice", walked(3), |known| known.mails.push(known.mails[0].clone())),
        ("a mail is another's", walked(3), |known| known.mails[2].body = "Dear somebody else".into()),
        ("a step is due too soon", walked(3), |known| {
            known.timeline.entries.iter_mut().filter(|entry| entry.step == Some(2)).for_each(|entry| {
                entry.due_at = entry.due_at.map(|at| at - 1);
            });
        }),
        ("it has not ended", walked(3), |known| known.timeline.state = "active".into()),
        ("a reply did not end it", left(), |known| known.reply.as_mut().unwrap().exited.clear()),
        ("a send in doubt is not named", left_in_doubt(), |known| {
            known.reply.as_mut().unwrap().in_flight.clear();
        }),
        ("a mail follows the reply", left(), |known| known.mails[0].written_at = 6_000),
        ("a send is decided after the reply", left(), |known| {
            known.timeline.entries.push(entry("intended", 7_000, Some(1), None));
        }),
        ("the reply is credited to another step", left(), |known| {
            known.timeline.entries.iter_mut().filter(|entry| entry.kind == "received").for_each(|entry| {
                entry.step = Some(1);
            });
        }),
    ];
    for (what, mut known, plant) in planted {
        plant(&mut known);
        assert!(!judge(&known).findings.is_empty(), "the oracle does not see that {what}");
    }
}
