//! What a provider's no comes to for the enrollment it was said to.

use super::outcome::{in_flight, in_flight_by_mail};
use super::{Sample, holds, outcomes, said_no, wakes};
use crate::channel::Kind;
use crate::content::Template;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::samples::{NOON, add_whatsapp, channel};
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SendStatus, SkipReason, State};
use crate::ids::{SendId, StepNo};
use crate::limits;
use crate::reaction::{Blames, Pause, Reaction, Scope, Then, Until};
use crate::render::render;
use crate::time::Span;

#[test]
fn what_is_shared_uses_no_attempt() {
    let after = Span::seconds(1);
    for reaction in [
        Reaction::back_off(Scope::Account, after),
        Reaction::Slow { after },
        Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::hours(6)) },
        Reaction::stop(Scope::Sender),
    ] {
        let mut sample = in_flight();
        let decided = sample.ends(&said_no(reaction));
        assert!(matches!(decided[..], [Decision::BackedOff { .. }]), "{reaction:?}: {decided:?}");
        assert_eq!(sample.enrollment.attempts, 0);
    }
}

#[test]
fn the_pace_of_one_contact_is_its_own_affair() {
    let pause = Pause { at_least: Span::seconds(1), grows: 4 };
    let mut sample = Sample::enrolled();
    for seconds in [1, 4, 16, 64] {
        sample.begin();
        sample.ends(&said_no(Reaction::BackOff { scope: Scope::Contact, pause }));
        assert_eq!(sample.row().due_at, sample.now + Span::seconds(seconds));
    }
    sample.begin();
    let decided = sample.ends(&said_no(Reaction::BackOff { scope: Scope::Contact, pause }));
    assert!(decided.contains(&Decision::StepFailed(SendFailure::Attempts)), "{decided:?}");
}

#[test]
fn what_may_pass_after_a_long_time_is_tried_so_often_and_then_does_what_the_code_says() {
    for (then, last) in [
        (Then::Fail, Decision::StepFailed(SendFailure::Attempts)),
        (Then::Skip, Decision::Skipped(SkipReason::NotDelivered)),
    ] {
        let no = said_no(Reaction::Later { after: Span::hours(4), times: 1, then });
        let mut sample = in_flight();
        assert!(matches!(sample.ends(&no)[..], [Decision::Refused { .. }]));
        assert_eq!(sample.row().due_at, sample.now + Span::hours(4));
        sample.begin();
        assert!(sample.ends(&no).contains(&last));
    }
    let no = said_no(Reaction::Later { after: Span::minutes(1), times: 2, then: Then::HoldStep });
    let mut sample = in_flight();
    for pause in [Span::minutes(1), Span::minutes(1), Span::hours(1), Span::hours(1)] {
        assert!(matches!(sample.ends(&no)[..], [Decision::Refused { .. }]), "its step may be held meanwhile");
        assert_eq!(sample.row().due_at, sample.now + pause);
        sample.begin();
    }
    assert!(sample.ends(&no).contains(&Decision::StepFailed(SendFailure::Attempts)));
}

#[test]
fn what_a_provider_will_not_do_for_this_contact_says_why() {
    for (reaction, status) in [
        (Reaction::Skip, SendStatus::Skipped(SkipReason::NotDelivered)),
        (Reaction::NeedsTemplate, SendStatus::Failed(SendFailure::NeedsTemplate)),
        (Reaction::Unusable, SendStatus::Failed(SendFailure::Unusable)),
    ] {
        let mut sample = in_flight();
        sample.ends(&said_no(reaction));
        assert_eq!(sample.statuses()[0], status, "{reaction:?}");
        assert_eq!(sample.enrollment.state, State::Active);
    }
}

#[test]
fn an_opt_out_told_by_the_provider_ends_what_reaches_the_contact_no_other_way() {
    let mut sample = in_flight();
    sample.ends(&said_no(Reaction::OptOut));
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::OptedOut));
    assert_eq!(sample.statuses()[0], SendStatus::Failed(SendFailure::Suppressed));
}

#[test]
fn a_receipt_settles_a_send_that_is_in_doubt_and_one_that_was_left_so() {
    let mut sample = in_flight();
    let decided = sample.receives(0, Receipt::Sent);
    assert!(matches!(decided[..], [Decision::Accepted { .. }, Decision::Planned { .. }]), "{decided:?}");
    assert_eq!(sample.receives(0, Receipt::Sent), [], "once");
    let mut sample = in_flight_by_mail();
    sample.ends(&Outcome::Uncertain);
    assert_eq!(sample.statuses()[0], SendStatus::Uncertain);
    sample.receives(0, Receipt::Sent);
    assert_eq!(sample.statuses()[0], SendStatus::Sent);
    assert_eq!(sample.receives(0, Receipt::Sent), []);
}

#[test]
fn what_is_refused_after_all_for_a_cause_that_passes_comes_again_until_the_next_step_is_sent() {
    let busy = Receipt::Failed(Some(Reaction::SOON));
    let mut sample = in_flight();
    sample.accepted();
    let (first, sent_at) = (sample.enrollment.send_id(), sample.now);
    sample.pass(Span::minutes(1));
    let decided = sample.receives(0, busy);
    assert!(matches!(decided[..], [Decision::Received { .. }, Decision::Reopened { .. }]), "{decided:?}");
    let again = sample.enrollment.send_id();
    assert_eq!((again.step, again.occurrence, first.step), (StepNo(0), 1, StepNo(1)));
    assert_eq!(sample.enrollment.step_due_at, sent_at, "how late it is counts from then");
    assert_eq!(sample.row().due_at, sample.now + Span::seconds(15));
    assert_eq!(sample.statuses(), [SendStatus::Failed(SendFailure::Refused), SendStatus::Pending]);
    let old = SendId { occurrence: 0, ..again };
    assert_eq!(sample.take(|view| outcomes::receipt(view, old, busy, 0)), [], "of a send before");
    // It goes out, and the next step's wait begins.
    sample.begin();
    assert_eq!(sample.enrollment.open.unwrap().send, again);
    sample.accepted();
    assert_eq!((sample.enrollment.step, sample.enrollment.attempts), (StepNo(1), 0));
    // Another that does it as often as it is tried.
    for _ in 2..limits::ATTEMPTS {
        sample.receives(0, busy);
        sample.begin();
        sample.accepted();
    }
    assert!(matches!(sample.receives(0, busy)[..], [Decision::Received { .. }]), "often enough");
    // Once the next step is on its way, it is too late.
    let mut sample = in_flight();
    sample.accepted();
    sample.begin();
    assert!(matches!(sample.receives(0, busy)[..], [Decision::Received { .. }]));
}

#[test]
fn what_is_held_for_all_comes_again_behind_the_hold() {
    for reaction in [Reaction::stop(Scope::Sender), Reaction::Slow { after: Span::seconds(1) }] {
        let mut sample = in_flight();
        sample.accepted();
        sample.receives(0, Receipt::Failed(Some(reaction)));
        assert_eq!(sample.enrollment.send_id().occurrence, 1, "{reaction:?}");
    }
}

#[test]
fn who_is_paused_goes_on_with_the_step_that_was_refused() {
    let mut sample = in_flight();
    sample.accepted();
    let sent_at = sample.now;
    sample.take(holds::pause);
    sample.pass(Span::hours(2));
    sample.receives(0, Receipt::Failed(Some(Reaction::stop(Scope::Sender))));
    assert_eq!(sample.enrollment.state, State::Paused { remaining: Span::ZERO });
    assert_eq!((sample.enrollment.step, sample.enrollment.wake), (StepNo(0), None));
    sample.take(holds::resume);
    assert_eq!((sample.enrollment.step_due_at, sample.row().due_at), (sent_at, sample.now));
    assert_eq!(sample.begin().send.occurrence, 1);
}

/// The first of three steps was sent, the second came too late.
fn with_a_step_that_came_too_late() -> Sample {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[1].useless_after = "1 hour".into();
        draft.steps.push(draft.steps[0].clone());
    });
    sample.begin();
    sample.accepted();
    sample.pass(Span::days(9));
    sample.fire();
    assert_eq!(sample.statuses()[1], SendStatus::Skipped(SkipReason::Late));
    sample
}

#[test]
fn a_step_that_came_too_late_is_planned_anew_for_who_was_paused_as_the_one_before_was_sent_again() {
    let mut sample = with_a_step_that_came_too_late();
    sample.receives(0, Receipt::Failed(Some(Reaction::stop(Scope::Sender))));
    sample.begin();
    sample.take(holds::pause);
    sample.accepted();
    let before = sample.enrollment.clone();
    sample.take(holds::resume);
    assert!(crate::invariant::status_moves_forward(&before, &sample.enrollment));
    let before = sample.enrollment.clone();
    sample.begin();
    assert!(crate::invariant::status_moves_forward(&before, &sample.enrollment), "{before:?}");
    assert_eq!(sample.enrollment.send_id().occurrence, 1);
}

#[test]
fn a_step_that_came_too_late_meanwhile_comes_again_behind_the_one_that_was_refused() {
    let mut sample = with_a_step_that_came_too_late();
    sample.receives(0, Receipt::Failed(Some(Reaction::stop(Scope::Sender))));
    assert_eq!(sample.enrollment.send_id().occurrence, 1);
    sample.begin();
    sample.accepted();
    assert_eq!(sample.begin().send.step, StepNo(1));
    sample.accepted();
    let again = SendId { occurrence: 1, ..SendId { step: StepNo(1), ..sample.enrollment.send_id() } };
    assert_eq!(sample.enrollment.sent(again).map(|send| send.status), Some(SendStatus::Sent));
    // Behind a step that was called nothing comes again.
    assert!(matches!(
        sample.receives(0, Receipt::Failed(Some(Reaction::stop(Scope::Sender))))[..],
        [Decision::Received { .. }]
    ));
}

#[test]
fn a_step_that_could_not_be_made_meanwhile_comes_again_behind_the_one_that_was_refused() {
    type Spoils = fn(&mut Sample);
    let spoilt: [(SendFailure, Spoils); 3] = [
        (SendFailure::NoAddress, |sample| sample.contact.phone = None),
        (SendFailure::Suppressed, |sample| _ = sample.contact.suppressed.insert(Kind::Sms)),
        (SendFailure::MissingVariable, |sample| sample.contact.name = None),
    ];
    for (failure, spoil) in spoilt {
        let mut sample = Sample::walking(|scope, draft| {
            let text = channel(2, "sms", Kind::Sms);
            scope.channels.insert(text.no, text);
            (draft.steps[1].channel, draft.steps[1].subject) = ("sms".into(), String::new());
            draft.steps[1].body = "{{ contact.name }}".into();
            draft.steps.push(draft.steps[0].clone());
            draft.steps[2].wait = "1 day".into();
        });
        let sample = &mut sample;
        (sample.contact.phone, sample.contact.name) = (Some("+15550100".into()), Some("Ana".into()));
        sample.begin();
        sample.accepted();
        spoil(sample);
        sample.now = sample.row().due_at;
        if failure == SendFailure::MissingVariable {
            sample.take(|view| wakes::fail(view, failure));
        } else {
            sample.fire();
        }
        assert_eq!(sample.statuses()[1..], [SendStatus::Failed(failure), SendStatus::Pending]);
        let decided = sample.receives(0, Receipt::Failed(Some(Reaction::SOON)));
        assert!(matches!(decided[..], [.., Decision::Reopened { .. }]), "{failure:?}: {decided:?}");
        (sample.contact.phone, sample.contact.name) = (Some("+15550100".into()), Some("Ana".into()));
        sample.contact.suppressed.clear();
        sample.begin();
        sample.accepted();
        let open = sample.begin();
        assert_eq!((open.send.step, open.send.occurrence, open.attempt), (StepNo(1), 1, 1), "{failure:?}");
        sample.accepted();
        assert_eq!(sample.begin().send, SendId { step: StepNo(2), occurrence: 0, ..open.send });
    }
}

/// A step by WhatsApp, within its window as far as is known, with a template to go instead, is under way.
fn in_flight_by_whatsapp(fallback: bool) -> Sample {
    let mut sample = Sample::walking(|scope, draft| {
        add_whatsapp(scope);
        draft.steps[0].channel = "whatsapp".into();
        let template = Template { name: "aula".into(), language: "en".into(), ..Template::default() };
        draft.steps[0].fallback = Some(template).filter(|_| fallback);
    });
    sample.contact.phone = Some("+15550100".into());
    sample.contact.hears(Some(Kind::Whatsapp), NOON);
    sample.begin();
    sample
}

#[test]
fn a_window_that_only_the_provider_knows_to_be_closed_sends_the_fallback_once() {
    let no = Reaction::NeedsTemplate;
    let text = |sample: &Sample| render(&sample.view(), &sample.version().steps[0]).map(|sent| sent.text());
    for told_later in [false, true] {
        let tell = |sample: &mut Sample| {
            if told_later {
                sample.accepted();
                sample.receives(0, Receipt::Failed(Some(no)))
            } else {
                sample.ends(&said_no(no))
            }
        };
        let mut sample = in_flight_by_whatsapp(true);
        let due_at = sample.enrollment.step_due_at;
        assert_eq!(text(&sample).as_deref(), Ok("about ch-1"), "as far as is known");
        let decided = tell(&mut sample);
        assert!(matches!(decided[..], [.., Decision::Reopened { .. }]), "{decided:?}");
        let failed = SendStatus::Failed(SendFailure::NeedsTemplate);
        assert_eq!(sample.statuses(), [failed, SendStatus::Pending]);
        assert!(told_later || sample.enrollment.step_due_at == due_at, "how late it is goes on");
        assert_eq!(text(&sample).as_deref(), Ok("[template aula en]"));
        assert_eq!(sample.begin().send.occurrence, 1);
        tell(&mut sample);
        assert_eq!(sample.statuses()[..2], [failed, failed]);
        assert_eq!(sample.enrollment.step, StepNo(1), "a template is the last that is tried");
        let mut refused = in_flight_by_whatsapp(true);
        tell(&mut refused);
        refused.begin();
        let later = said_no(Reaction::Later { after: Span::hours(24), times: 1, then: Then::Skip });
        assert!(
            matches!(refused.ends(&later)[..], [Decision::Refused { .. }]),
            "the text's no is not the template's"
        );
        let mut paused = in_flight_by_whatsapp(true);
        paused.take(holds::pause);
        tell(&mut paused);
        assert_eq!((paused.enrollment.step, paused.enrollment.wake), (StepNo(0), None), "{told_later}");
        paused.take(holds::resume);
        assert_eq!(paused.begin().send.occurrence, 1);
        let mut sample = in_flight_by_whatsapp(false);
        tell(&mut sample);
        assert_eq!((sample.statuses()[0], sample.enrollment.step), (failed, StepNo(1)));
    }
}

#[test]
fn a_refusal_after_all_says_why_and_an_opt_out_ends_it() {
    for (reaction, failure) in [
        (Reaction::never(Blames::Address), SendFailure::BadAddress),
        (Reaction::NeedsTemplate, SendFailure::NeedsTemplate),
        (Reaction::Unusable, SendFailure::Unusable),
        (Reaction::BAD_STEP, SendFailure::Refused),
    ] {
        let mut sample = in_flight();
        sample.accepted();
        sample.receives(0, Receipt::Failed(Some(reaction)));
        assert_eq!(sample.statuses()[0], SendStatus::Failed(failure));
        assert_eq!(sample.enrollment.state, State::Active);
    }
    let mut sample = in_flight();
    sample.accepted();
    sample.receives(0, Receipt::Failed(Some(Reaction::OptOut)));
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::OptedOut));
}
