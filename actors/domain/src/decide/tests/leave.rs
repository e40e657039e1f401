//! Leaving: replies and what they are credited to, STOP words, goals and cancellations, and exits at any moment.

use super::{NOON, Sample, event, message, other_charge};
use crate::channel::Kind;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::samples::channel;
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SendStatus, State};
use crate::event::EventKind;
use crate::ids::{ChannelNo, StepNo};
use crate::target::{TargetKind, TargetRef, Terminal};
use crate::time::{Moment, Span};

fn walking(on_reply: &str) -> Sample {
    Sample::walking(|_, draft| draft.exit_on_reply = on_reply.into())
}

/// A sample about a conversation, with these rules.
fn in_conversation(on_reply: &str, stay_on_resolved: bool) -> Sample {
    let mut sample = Sample::walking(|_, draft| {
        draft.target = "conversation".into();
        draft.exit_on_reply = on_reply.into();
        draft.stay_on_resolved = stay_on_resolved;
    });
    let about = Some(TargetRef { kind: TargetKind::Conversation, id: "c-1".into() });
    sample.enrollment.target.clone_from(&about);
    if let Decision::Enrolled(beginning) = &mut sample.history[0].decision {
        beginning.target = about;
    }
    sample
}

/// A sample whose first step goes by e-mail and whose second by SMS, to a contact who has both.
fn by_two_kinds(on_reply: &str) -> Sample {
    let mut sample = Sample::walking(|scope, draft| {
        scope.channels.insert(ChannelNo(2), channel(2, "texts", Kind::Sms));
        draft.steps[1].channel = "sms".into();
        draft.exit_on_reply = on_reply.into();
    });
    sample.contact.phone = Some("+4930123456".into());
    sample
}

fn exited(sample: &Sample) -> Option<ExitReason> {
    match sample.enrollment.state {
        State::Exited(reason) => Some(reason),
        State::Active | State::Paused { .. } | State::Completed | State::Failed(_) => None,
    }
}

#[test]
fn any_reply_ends_it_unless_replies_are_ignored() {
    for (on_reply, reason) in [("any", Some(ExitReason::Replied)), ("ignore", None)] {
        let mut sample = walking(on_reply);
        let reply = message(&sample, "hello");
        sample.hears(&reply);
        assert_eq!(exited(&sample), reason, "{on_reply}");
    }
}

#[test]
fn a_reply_in_the_linked_conversation_ends_it_and_one_elsewhere_does_not() {
    let mut sample = in_conversation("conversation", false);
    let mut reply = message(&sample, "hello");
    sample.hears(&reply);
    assert_eq!(exited(&sample), None, "it is in no conversation");
    reply.target = Some(TargetRef { kind: TargetKind::Conversation, id: "c-2".into() });
    sample.hears(&reply);
    assert_eq!(exited(&sample), None);
    reply.target = sample.enrollment.target.clone();
    sample.hears(&reply);
    assert_eq!(exited(&sample), Some(ExitReason::Replied));
}

#[test]
fn an_automatic_reply_is_not_a_reply() {
    let mut sample = walking("any");
    sample.sends();
    let mut reply = message(&sample, "I am on holiday");
    reply.automatic = true;
    assert_eq!(sample.hears(&reply), []);
}

#[test]
fn a_reply_from_before_the_enrollment_ends_nothing() {
    let mut sample = walking("any");
    let mut reply = message(&sample, "hello");
    reply.occurred_at = NOON - Span(1);
    assert_eq!(sample.hears(&reply), []);
    reply.occurred_at = NOON;
    sample.hears(&reply);
    assert_eq!(exited(&sample), Some(ExitReason::Replied));
}

#[test]
fn a_stop_word_is_the_whole_trimmed_message_in_any_case() {
    let mut sample = Sample::enrolled();
    sample.scope.tenant.stop_words.insert("SAIR".into());
    let stops = |sample: &Sample, text: &str| message(sample, text).opts_out(&sample.scope.tenant);
    for word in ["STOP", "stop", " Stop \n", "stopall", "Unsubscribe", "cancel", "END", "quit", "sair"] {
        assert!(stops(&sample, word), "{word:?}");
    }
    for word in ["", "don't stop", "stop it", "nonstop", "sa ir", "the end"] {
        assert!(!stops(&sample, word), "{word:?}");
    }
}

#[test]
fn who_opts_out_of_all_exits_whatever_the_rules_say() {
    for kind in [EventKind::MessageReceived, EventKind::ContactOptedOut] {
        let mut sample = by_two_kinds("ignore");
        sample.sends();
        let mut stop = event(&sample, kind);
        stop.text = "STOP".into();
        assert_eq!(
            sample.hears(&stop),
            [Decision::Exited(ExitReason::OptedOut)],
            "nor is it credited as a reply"
        );
        assert!(sample.enrollment.wake.is_none());
    }
}

#[test]
fn an_opt_out_of_one_kind_fails_its_steps_and_leaves_the_others() {
    let mut sample = by_two_kinds("ignore");
    let mut stop = event(&sample, EventKind::ContactOptedOut);
    stop.channel = Some(Kind::Email);
    assert_eq!(sample.hears(&stop), []);
    assert_eq!(sample.fire()[0], Decision::StepFailed(SendFailure::Suppressed));
    sample.sends();
    assert_eq!(sample.enrollment.state, State::Completed);
    assert_eq!(sample.enrollment.sends[1].channel, ChannelNo(2));
}

#[test]
fn an_opt_out_of_the_only_kind_that_is_left_exits() {
    let opted_out_of = |kind, sample: &mut Sample| {
        let mut stop = event(sample, EventKind::ContactOptedOut);
        stop.channel = Some(kind);
        sample.hears(&stop);
        exited(sample)
    };
    let mut later = by_two_kinds("ignore");
    later.sends();
    assert_eq!(opted_out_of(Kind::Email, &mut later), None, "the e-mail is behind it");
    assert_eq!(opted_out_of(Kind::Sms, &mut later), Some(ExitReason::OptedOut));
    let mut unreachable = by_two_kinds("ignore");
    unreachable.contact.phone = None;
    assert_eq!(
        opted_out_of(Kind::Email, &mut unreachable),
        Some(ExitReason::OptedOut),
        "no number to text to"
    );
}

#[test]
fn a_stop_that_another_kind_outlives_is_still_an_inbound_message() {
    let mut sample = by_two_kinds("any");
    let mut stop = message(&sample, "stop");
    stop.channel = Some(Kind::Email);
    sample.hears(&stop);
    assert_eq!(exited(&sample), Some(ExitReason::Replied));
}

#[test]
fn an_opt_out_stops_a_send_that_was_due() {
    let mut sample = Sample::enrolled();
    sample.contact.suppressed.insert(Kind::Email);
    assert_eq!(
        sample.fire(),
        [Decision::Exited(ExitReason::OptedOut)],
        "should the event itself have been missed"
    );
}

#[test]
fn a_goal_ends_it_unless_the_rules_say_to_stay() {
    for (stay, reason) in [(false, Some(ExitReason::Goal)), (true, None)] {
        let mut sample = Sample::walking(|_, draft| draft.stay_on_goal = stay);
        let paid = event(&sample, EventKind::Target(TargetKind::Charge, Terminal::Goal));
        sample.hears(&paid);
        assert_eq!(exited(&sample), reason);
        if stay {
            sample.begin();
        }
    }
}

#[test]
fn a_resolved_conversation_ends_it_unless_the_rules_say_to_stay() {
    for (stay, reason) in [(false, Some(ExitReason::Resolved)), (true, None)] {
        let mut sample = in_conversation("any", stay);
        let resolved = event(&sample, EventKind::Target(TargetKind::Conversation, Terminal::Resolved));
        sample.hears(&resolved);
        assert_eq!(exited(&sample), reason);
        if stay {
            sample.begin();
        }
    }
}

#[test]
fn a_cancelled_or_lost_target_always_ends_it_and_another_s_does_not() {
    for terminal in [Terminal::Cancelled, Terminal::Lost] {
        let mut sample = Sample::walking(|_, draft| draft.stay_on_goal = true);
        let mut gone = event(&sample, EventKind::Target(TargetKind::Charge, terminal));
        sample.hears(&gone);
        assert_eq!(exited(&sample), Some(ExitReason::TargetCancelled));
        let mut sample = Sample::enrolled();
        gone.target = Some(other_charge());
        assert_eq!(sample.take(|view| super::leaves::event(view, &gone, false)), []);
    }
}

#[test]
fn what_counts_is_the_latest_fact_in_whatever_order_they_come() {
    let mut sample = Sample::walking(|_, draft| draft.stay_on_goal = true);
    let at = |sample: &Sample, terminal, ago| {
        let mut event = event(sample, EventKind::Target(TargetKind::Charge, terminal));
        event.occurred_at = NOON - ago;
        event
    };
    let paid = at(&sample, Terminal::Goal, Span::ZERO);
    sample.hears(&paid);
    let cancelled_before = at(&sample, Terminal::Cancelled, Span::seconds(1));
    assert_eq!(sample.hears(&cancelled_before), [], "it was paid after that");
    let mut other_way_round = Sample::walking(|_, draft| draft.stay_on_goal = true);
    other_way_round.hears(&cancelled_before);
    assert_eq!(exited(&other_way_round), Some(ExitReason::TargetCancelled), "an exit is for good");
}

#[test]
fn an_event_of_the_tenant_s_own_is_nothing() {
    let mut sample = Sample::enrolled();
    let custom = event(&sample, EventKind::Custom("visited".into()));
    assert_eq!(sample.hears(&custom), []);
}

/// To which step a reply is credited that occurred then.
fn credited(sample: &mut Sample, occurred_at: Moment) -> Option<StepNo> {
    let mut reply = message(sample, "hello");
    reply.occurred_at = occurred_at;
    let decisions = sample.hears(&reply);
    let Some(Decision::Received { step, status: SendStatus::Replied }) = decisions.first() else {
        return None;
    };
    Some(*step)
}

#[test]
fn a_reply_is_credited_to_the_last_send_before_it() {
    let twice = || {
        let mut sample = walking("ignore");
        sample.sends();
        let between = sample.now + Span::minutes(5);
        sample.sends();
        (sample, between)
    };
    let (mut sample, between) = twice();
    assert_eq!(credited(&mut sample, between), Some(StepNo(0)), "it came late");
    let now = sample.now;
    assert_eq!(credited(&mut sample, now), Some(StepNo(1)), "at the moment of the acceptance");
    assert_eq!(credited(&mut sample, now), None, "credited once");
    assert_eq!(sample.statuses(), [SendStatus::Replied; 2]);
    let (mut sample, _) = twice();
    assert_eq!(credited(&mut sample, NOON), None, "before any send");
}

#[test]
fn a_receipt_that_comes_after_the_reply_takes_no_credit_away() {
    let mut sample = walking("ignore");
    sample.sends();
    let replied_at = sample.now + Span::minutes(1);
    sample.pass(Span::minutes(10));
    sample.receives(0, Receipt::Delivered);
    assert_eq!(credited(&mut sample, replied_at), Some(StepNo(0)));
    assert_eq!(sample.receives(0, Receipt::Read), [], "nor is it moved back");
}

#[test]
fn a_reply_after_the_last_step_is_credited_too() {
    let mut sample = walking("any");
    sample.sends();
    sample.sends();
    let now = sample.now;
    assert_eq!(credited(&mut sample, now), Some(StepNo(1)));
    assert_eq!(sample.enrollment.state, State::Completed);
}

#[test]
fn what_surely_or_perhaps_never_went_out_is_not_credited() {
    for outcome in [Outcome::Uncertain, super::rejected()] {
        let mut sample = walking("ignore");
        sample.begin();
        sample.ends(&outcome);
        let now = sample.now;
        assert_eq!(credited(&mut sample, now), None, "{outcome:?}");
    }
}

#[test]
fn an_exit_acts_at_once_whatever_the_enrollment_is_doing() {
    type Doing = fn(&mut Sample);
    let doings: [(&str, bool, Doing); 8] = [
        ("waiting", false, |sample| sample.sends()),
        ("due", false, |_| ()),
        ("in flight", true, |sample| {
            sample.begin();
        }),
        ("paused", false, |sample| {
            sample.pauses();
        }),
        ("paused in flight", true, |sample| {
            sample.begin();
            sample.pauses();
        }),
        ("quarantined", false, |sample| {
            sample.is_set_apart();
        }),
        ("quarantined in flight", true, |sample| {
            sample.begin();
            sample.is_set_apart();
        }),
        ("held", false, |sample| sample.scope.tenant.on = false),
    ];
    for (what, in_flight, doing) in doings {
        let mut sample = Sample::enrolled();
        doing(&mut sample);
        assert_eq!(sample.exits(), [Decision::Exited(ExitReason::Manual)], "{what}");
        assert_eq!(exited(&sample), Some(ExitReason::Manual), "{what}");
        assert_eq!(sample.enrollment.open.is_some(), in_flight, "{what}");
        assert_eq!(sample.enrollment.wake.is_some(), in_flight, "{what}: E1 and E2");
        assert_eq!(sample.enrollment.quarantine, None, "{what}");
        assert!(!sample.statuses().contains(&SendStatus::Pending), "{what}: it never came to that step");
        assert_eq!(sample.exits(), [], "{what}: a second exit is nothing");
        let reply = message(&sample, "hello");
        assert!(!sample.hears(&reply).iter().any(|decision| matches!(decision, Decision::Exited(_))));
    }
}
