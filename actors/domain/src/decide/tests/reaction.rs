//! What a provider's no comes to for the enrollment it was said to.

use super::outcome::{in_flight, in_flight_by_mail};
use super::{Sample, said_no};
use crate::decide::outcome::{Outcome, Receipt};
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SendStatus, SkipReason, State};
use crate::reaction::{Blames, Pause, Reaction, Scope, Then, Until, Unwanted};
use crate::time::Span;

#[test]
fn what_is_shared_uses_no_attempt() {
    let after = Span::seconds(1);
    for reaction in [
        Reaction::back_off(Scope::Account, after),
        Reaction::Slow { after },
        Reaction::Hold { scope: Scope::Sender, until: Until::NextDay },
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
    assert_eq!(decided[0], Decision::StepFailed(SendFailure::Attempts));
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
        assert_eq!(sample.ends(&no)[0], last);
    }
    let held = said_no(Reaction::Later { after: Span::hours(4), times: 0, then: Then::HoldStep });
    assert!(matches!(in_flight().ends(&held)[..], [Decision::BackedOff { .. }]), "its step is held");
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
    sample.ends(&said_no(Reaction::OptOut(Unwanted::Channel)));
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
    sample.receives(0, Receipt::Failed(Some(Reaction::OptOut(Unwanted::Channel))));
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::OptedOut));
}
