//! Explanations: what comes next, when, and which gate decides it.

use super::super::explain::{Explained, Next, Outlook, Said, explain};
use crate::calendar::{MinuteOfDay, QuietWindow};
use crate::channel::Kind;
use crate::decide::hold;
use crate::decide::samples::{self, NOON, Sample};
use crate::decide::tests::said_no;
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SkipReason, Wake};
use crate::gate::{Binding, Verdict};
use crate::ids::ChannelNo;
use crate::ledger::{Earliest, LimitName};
use crate::reaction::Reaction;
use crate::scope::HeldBy;
use crate::time::{Moment, Span};

fn free() -> Outlook {
    Outlook { earliest: Earliest::Now, ahead: Vec::new(), days_room_at: None, rests_until: None }
}

fn of(sample: &Sample) -> Explained {
    explain(&sample.view(), &sample.history, &free())
}

/// `ana`, whose first step is due in an hour and useless two hours later.
fn waiting() -> Sample {
    Sample::walking(|_, draft| {
        draft.steps[0].wait = "1 hour".into();
        draft.steps[0].useless_after = "2 hours".into();
    })
}

/// No send on a Monday from noon until `to`.
fn quiet(sample: &mut Sample, to: &str) {
    let time = |text: &str| MinuteOfDay::parse(text).unwrap();
    let window = QuietWindow { days: "mon".parse().unwrap(), from: time("12:00"), to: time(to) };
    sample.scope.tenant.calendar.quiet.windows = vec![window];
}

#[test]
fn what_a_window_lets_through_is_asked_of_the_moment_it_leaves() {
    let next = |wait: &str| {
        let mut sample = Sample::walking(|scope, draft| {
            samples::add_whatsapp(scope);
            draft.steps[0].channel = "whatsapp".into();
            draft.steps[0].wait = wait.into();
        });
        sample.contact.phone = Some("+15550100".into());
        sample.contact.hears(Some(Kind::Whatsapp), sample.now);
        of(&sample).next
    };
    assert_eq!(next("23 hours"), Next::Send(ChannelNo(7)));
    assert_eq!(next("25 hours"), Next::Fail(SendFailure::NeedsTemplate));
}

#[test]
fn a_wait_decides_until_it_has_run() {
    let explained = of(&waiting());
    assert_eq!(explained.next, Next::Send(ChannelNo(1)));
    assert_eq!(explained.at, Some(NOON + Span::hours(1)));
    assert_eq!((explained.binding, explained.estimated), (Some(Binding::PushedBack), false));
    let due = (Binding::PushedBack, Said::Exactly(Verdict::Until(NOON + Span::hours(1))));
    assert!(explained.gates.contains(&due), "{explained:?}");
    assert_eq!(explained.gates.len(), 15, "all gates are shown");
}

#[test]
fn what_is_due_goes_at_once_and_no_gate_decides() {
    let explained = of(&Sample::enrolled());
    assert_eq!((explained.next, explained.at), (Next::Send(ChannelNo(1)), Some(NOON)));
    assert_eq!(explained.binding, None);
}

#[test]
fn hours_decide_over_a_wait_that_ends_in_them_and_can_make_a_step_too_late() {
    let mut sample = waiting();
    quiet(&mut sample, "14:30");
    let explained = of(&sample);
    assert_eq!(explained.at, Some(NOON + Span::minutes(150)));
    assert_eq!(explained.binding, Some(Binding::Hours));
    quiet(&mut sample, "15:30");
    let explained = of(&sample);
    assert_eq!(explained.next, Next::Skip(SkipReason::Late), "{explained:?}");
    assert_eq!((explained.at, explained.binding), (Some(NOON + Span::minutes(210)), Some(Binding::Late)));
}

#[test]
fn a_hold_waits_for_whoever_releases_it() {
    let mut sample = waiting();
    sample.scope.tenant.on = false;
    let explained = of(&sample);
    assert_eq!((explained.next, explained.at), (Next::Held(HeldBy::Tenant), None));
    assert_eq!(explained.binding, Some(Binding::Hold));
    sample.scope.tenant.on = true;
    sample.take(hold::pause);
    assert_eq!((of(&sample).next, of(&sample).at), (Next::Paused, None));
}

#[test]
fn what_ends_it_does_so_at_its_next_look() {
    let mut sample = waiting();
    sample.contact.suppressed.insert(Kind::Email);
    let explained = of(&sample);
    assert_eq!(explained.next, Next::Exit(ExitReason::OptedOut));
    assert_eq!(explained.at, Some(NOON + Span::hours(1)));
    let mut sample = waiting();
    sample.contact.email = None;
    assert_eq!(of(&sample).next, Next::Fail(SendFailure::NoAddress));
    let mut sample = Sample::walking(|_, draft| draft.steps[0].body = "{{ attributes.amount }}".into());
    assert_eq!(of(&sample).next, Next::Fail(SendFailure::MissingVariable));
    sample.enrollment.expires_at = NOON;
    let explained = of(&sample);
    assert_eq!((explained.next, explained.at), (Next::Exit(ExitReason::Expired), Some(NOON)));
}

#[test]
fn limits_and_the_line_give_estimates() {
    let mut sample = waiting();
    let due = NOON + Span::hours(1);
    let used_up = Earliest::At(due + Span::minutes(5), LimitName::PerHour);
    let explained = explain(&sample.view(), &sample.history, &Outlook { earliest: used_up, ..free() });
    assert_eq!((explained.at, explained.estimated), (Some(due + Span::minutes(5)), true));
    assert_eq!(explained.binding, Some(Binding::Limits));
    let lane = sample.scope.channels.get_mut(&ChannelNo(1)).unwrap();
    lane.limits.gap = Some(Span::seconds(1));
    let ahead: Vec<Moment> = vec![due; 600];
    let explained = explain(&sample.view(), &sample.history, &Outlook { ahead, ..free() });
    assert_eq!((explained.at, explained.estimated), (Some(due + Span::minutes(10)), true));
    assert_eq!(explained.binding, Some(Binding::Line));
    let ahead: Vec<Moment> = vec![NOON; 600];
    let explained = explain(&sample.view(), &sample.history, &Outlook { ahead, ..free() });
    assert_eq!(explained.at, Some(due), "those due now are gone by then");
    let days_room_at = Some(due + Span::minutes(20));
    let bounded = Outlook { ahead: vec![due; 600], days_room_at, ..free() };
    let explained = explain(&sample.view(), &sample.history, &bounded);
    assert_eq!(
        (explained.binding, explained.at),
        (Some(Binding::Line), days_room_at),
        "others use up its days"
    );
}

#[test]
fn who_stands_in_line_until_hours_are_closed_waits_for_them_too() {
    let mut sample = Sample::enrolled();
    quiet(&mut sample, "18:00");
    let days_room_at = Some(NOON + Span::hours(7 * 24));
    let bounded = Outlook { ahead: vec![NOON], days_room_at, ..free() };
    let explained = explain(&sample.view(), &sample.history, &bounded);
    let opens_at = NOON + Span::hours(7 * 24 + 6);
    assert_eq!((explained.binding, explained.at), (Some(Binding::Line), Some(opens_at)));
}

#[test]
fn an_attempt_that_came_to_nothing_decides_when_the_next_is_made_and_no_cap() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.get_mut(&ChannelNo(1)).unwrap().limits.new_recipients = Some(250);
    sample.begin();
    sample.ends(&said_no(Reaction::HOST_RESTS));
    assert_eq!(sample.enrollment.attempts, 0, "it is nobody's fault");
    let explained = of(&sample);
    let wake = sample.enrollment.wake.unwrap().due_at;
    assert_eq!((explained.binding, explained.at), (Some(Binding::Retry), Some(wake)));
    assert_eq!(explained.code.as_deref(), Some("no"));
    sample.now = wake;
    let rests_until = Some(wake + Span::minutes(2));
    let explained = explain(&sample.view(), &sample.history, &Outlook { rests_until, ..free() });
    assert_eq!((explained.binding, explained.at), (Some(Binding::Retry), rests_until), "its host rests");
    let gate = Binding::NewRecipients;
    let later = Wake { due_at: wake + Span::hours(5), ..sample.enrollment.wake.unwrap() };
    sample.take(|_| vec![Decision::Moved { wake: later, gate }]);
    let explained = of(&sample);
    assert_eq!((explained.binding, explained.at), (Some(gate), Some(later.due_at)));
}
