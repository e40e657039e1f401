//! What came of a call, in every state it can come to; and receipts, in every order.

use proptest::prelude::*;

use super::{NOON, Sample, outcomes, refused, rejected, said_no};
use crate::channel::{InDoubt, Kind};
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::samples::{channel, forgetful};
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SendStatus, State};
use crate::ids::StepNo;
use crate::limits;
use crate::reaction::{Again, Blames, Reaction};
use crate::time::{Moment, Span};

const RECEIPTS: [Receipt; 3] = [Receipt::Delivered, Receipt::Read, Receipt::Failed(None)];

/// A sample whose first step is on the wire.
pub(super) fn in_flight() -> Sample {
    let mut sample = Sample::enrolled();
    sample.begin();
    sample
}

/// The same through a channel that recognises no send id.
pub(super) fn in_flight_by_mail() -> Sample {
    let mut sample = in_flight();
    sample.scope.channels.values_mut().for_each(|channel| channel.transport = forgetful());
    sample
}

/// A sample whose first step was accepted.
fn sent() -> Sample {
    let mut sample = in_flight();
    sample.accepted();
    sample
}

#[test]
fn the_next_wait_counts_from_the_acceptance() {
    let mut sample = in_flight();
    let at = NOON + Span(700);
    sample.ends(&Outcome::Accepted { at });
    assert_eq!(sample.enrollment.settled_at, at);
    assert_eq!(sample.row().due_at, at + Span::hours(2));
    assert_eq!(sample.statuses(), [SendStatus::Sent, SendStatus::Pending]);
    assert_eq!(sample.enrollment.open, None);
}

#[test]
fn a_late_send_pushes_the_later_ones_back() {
    let mut sample = Sample::enrolled();
    sample.pass(Span::days(3));
    sample.sends();
    assert!(sample.row().due_at > NOON + Span::days(3) + Span::hours(2));
}

#[test]
fn the_last_step_completes_the_enrollment() {
    let mut sample = sent();
    sample.begin();
    assert_eq!(sample.accepted()[1..], [Decision::Completed]);
    assert_eq!(sample.enrollment.state, State::Completed);
    assert_eq!(sample.statuses(), [SendStatus::Sent; 2]);
}

#[test]
fn a_refused_send_is_tried_again_after_pauses_that_double() {
    let mut sample = Sample::enrolled();
    let send = sample.enrollment.send_id();
    let mut pause = limits::RETRY_AFTER;
    for attempt in 1..limits::ATTEMPTS {
        let open = sample.begin();
        assert_eq!((open.attempt, open.send), (attempt, send), "a retry keeps its id");
        sample.ends(&refused());
        assert_eq!(sample.row().due_at, sample.now + pause);
        assert_eq!(sample.statuses(), [SendStatus::Pending]);
        pause = Span(pause.0 * 2);
    }
    assert_eq!(sample.begin().attempt, limits::ATTEMPTS);
    let code = Decision::Code { step: StepNo(0), code: "no".into() };
    let decided = sample.ends(&refused());
    assert_eq!(decided[..2], [code, Decision::StepFailed(SendFailure::Attempts)]);
    assert_eq!(sample.statuses(), [SendStatus::Failed(SendFailure::Attempts), SendStatus::Pending]);
    assert_eq!(sample.begin().attempt, 1, "the next step starts anew");
}

#[test]
fn jitter_spreads_retries_and_shortens_none() {
    let due = |jitter| {
        let sample = in_flight();
        let send = sample.enrollment.send_id();
        match outcomes::outcome(&sample.view(), send, &refused(), jitter)[..] {
            [Decision::Refused { ref wake, .. }] => wake.due_at.since(sample.now),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(due(0), limits::RETRY_AFTER);
    assert!(due(500) > due(0) && due(1_000) > due(500));
    assert_eq!(due(u16::MAX), due(1_000), "bounded");
}

#[test]
fn a_retry_that_would_be_useless_is_not_made() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].useless_after = "10 seconds".into());
    sample.begin();
    sample.ends(&refused());
    sample.fire();
    assert!(matches!(sample.statuses()[..], [SendStatus::Skipped(_), SendStatus::Pending]));
}

#[test]
fn a_retry_after_the_longest_life_expires_on_time() {
    let mut sample = Sample::walking(|_, draft| draft.max_lifetime = "10 seconds".into());
    sample.begin();
    sample.ends(&refused());
    assert_eq!(sample.fire(), [Decision::Exited(ExitReason::Expired)]);
    assert_eq!(sample.now, NOON + Span::seconds(10));
}

#[test]
fn a_rejected_send_fails_its_step_and_does_what_the_step_says() {
    for (on_failure, follows) in
        [("continue", State::Active), ("exit", State::Exited(ExitReason::StepFailed))]
    {
        let mut sample = Sample::walking(|_, draft| draft.steps[0].on_failure = on_failure.into());
        sample.begin();
        sample.ends(&rejected());
        assert_eq!(sample.enrollment.state, follows);
        assert_eq!(sample.statuses()[0], SendStatus::Failed(SendFailure::Refused));
    }
}

#[test]
fn a_withdrawn_call_leaves_its_row_and_does_not_count() {
    let mut sample = Sample::enrolled();
    let row = sample.row();
    sample.begin();
    assert_eq!(sample.ends(&Outcome::NotBegun), [Decision::Withdrawn]);
    assert_eq!((sample.row(), sample.enrollment.attempts), (row, 0));
    assert_eq!(sample.statuses(), [SendStatus::Pending]);
    assert_eq!(sample.begin().attempt, 1);
}

#[test]
fn an_uncertain_send_is_not_repeated_and_settled_at_its_intent() {
    let mut sample = in_flight_by_mail();
    sample.pass(Span::minutes(10));
    sample.ends(&Outcome::Uncertain);
    assert_eq!(sample.statuses(), [SendStatus::Uncertain, SendStatus::Pending]);
    assert_eq!(sample.enrollment.settled_at, NOON);
    assert_eq!(sample.row().due_at, NOON + Span::hours(2));
}

#[test]
fn an_uncertain_send_whose_id_is_recognised_is_called_again_so_often_and_stays_uncertain() {
    let mut sample = Sample::enrolled();
    let send = sample.enrollment.send_id();
    for attempt in 1..limits::ATTEMPTS {
        let open = sample.begin();
        assert_eq!((open.attempt, open.send), (attempt, send), "under the same id");
        let decisions = sample.ends(&Outcome::Uncertain);
        assert!(matches!(decisions[..], [Decision::Doubted { .. }]), "{decisions:?}");
        assert_eq!(sample.row().due_at, sample.now + Again::SOON.pause(attempt).unwrap());
        assert_eq!(sample.statuses(), [SendStatus::Uncertain]);
    }
    sample.begin();
    assert_eq!(sample.ends(&Outcome::Uncertain)[0], Decision::LeftUncertain);
    assert_eq!(sample.statuses(), [SendStatus::Uncertain, SendStatus::Pending]);
    assert_eq!(sample.enrollment.settled_at, NOON, "its first intent");
}

/// A sample whose first step was called once, and nobody knows.
fn doubted() -> Sample {
    let mut sample = in_flight();
    sample.ends(&Outcome::Uncertain);
    assert!(sample.enrollment.is_doubted());
    sample
}

#[test]
fn what_may_have_been_sent_is_never_said_to_be_unsent() {
    let mut refused_at_last = doubted();
    for _ in 1..limits::ATTEMPTS {
        refused_at_last.begin();
        assert!(refused_at_last.enrollment.is_doubted(), "also while it is called again");
        refused_at_last.ends(&refused());
    }
    let mut no_address = doubted();
    no_address.contact.email = None;
    no_address.fire();
    let mut late = Sample::walking(|_, draft| draft.steps[0].useless_after = "10 seconds".into());
    late.begin();
    late.ends(&Outcome::Uncertain);
    late.fire();
    for sample in [refused_at_last, no_address, late] {
        assert_eq!(sample.statuses(), [SendStatus::Uncertain, SendStatus::Pending]);
    }
    let over = doubted_and(|sample| {
        sample.begin();
        sample.exits();
        sample.ends(&refused());
    });
    let withdrawn = doubted_and(|sample| {
        sample.begin();
        sample.exits();
        sample.ends(&Outcome::NotBegun);
    });
    let exited = doubted_and(|sample| {
        sample.exits();
    });
    for sample in [over, withdrawn, exited] {
        assert_eq!(sample.statuses(), [SendStatus::Uncertain]);
        assert_eq!((sample.enrollment.wake, sample.enrollment.open), (None, None));
    }
}

#[test]
fn a_doubted_send_is_left_where_its_channel_knows_it_no_more_or_its_step_means_another() {
    let mut another_way_out = doubted();
    another_way_out.scope.channels.values_mut().for_each(|channel| channel.transport = forgetful());
    let mut told_to_leave = doubted();
    let leave = Some(InDoubt::Leave);
    told_to_leave.scope.channels.values_mut().for_each(|channel| channel.in_doubt = leave);
    let mut another_channel = doubted();
    let other = channel(2, "mail2", Kind::Email);
    another_channel.scope.tenant.default_channels.insert(Kind::Email, other.no);
    another_channel.scope.channels.insert(other.no, other);
    for mut sample in [another_way_out, told_to_leave, another_channel] {
        assert_eq!(sample.fire()[0], Decision::LeftUncertain);
        assert_eq!(sample.statuses(), [SendStatus::Uncertain, SendStatus::Pending]);
        assert_eq!(sample.enrollment.settled_at, NOON, "its first intent");
    }
    // What holds it is asked first: until then the operator may think better of it.
    let mut held = doubted();
    held.scope.channels.values_mut().for_each(|channel| channel.in_doubt = leave);
    held.scope.tenant.on = false;
    assert_eq!((held.fire(), held.statuses()), (vec![], vec![SendStatus::Uncertain]));
}

fn doubted_and(happens: impl FnOnce(&mut Sample)) -> Sample {
    let mut sample = doubted();
    happens(&mut sample);
    sample
}

#[test]
fn a_provider_that_knows_its_id_has_the_last_word() {
    let mut sample = doubted();
    sample.begin();
    sample.accepted();
    assert_eq!(sample.statuses(), [SendStatus::Sent, SendStatus::Pending]);
    let mut sample = doubted();
    sample.begin();
    sample.ends(&rejected());
    assert_eq!(sample.statuses()[0], SendStatus::Failed(SendFailure::Refused));
    let mut sample = doubted();
    sample.receives(0, Receipt::Delivered);
    assert_eq!(
        sample.statuses(),
        [SendStatus::Delivered, SendStatus::Pending],
        "a receipt says it was taken"
    );
}

#[test]
fn a_pause_holds_a_send_that_is_to_be_called_again() {
    let mut sample = in_flight();
    sample.pauses();
    sample.ends(&Outcome::Uncertain);
    assert_eq!((sample.enrollment.wake, sample.statuses()), (None, vec![SendStatus::Uncertain]));
    sample.resumes();
    assert_eq!(sample.begin().attempt, 2);
}

#[test]
fn backing_off_uses_no_attempt_however_often_it_happens() {
    let mut sample = Sample::enrolled();
    for _ in 0..20 {
        assert_eq!(sample.begin().attempt, 1);
        sample.ends(&said_no(Reaction::HOST_RESTS));
        assert_eq!(sample.row().due_at, sample.now + limits::RETRY_AFTER);
        assert_eq!(sample.statuses(), [SendStatus::Pending]);
    }
    sample.begin();
    sample.exits();
    assert_eq!(sample.ends(&said_no(Reaction::HOST_RESTS)), [Decision::Withdrawn]);
    assert_eq!(sample.statuses(), [], "nothing of it was sent");
}

#[test]
fn a_greylisted_mail_is_tried_for_days_and_a_full_mailbox_three_times() {
    let pauses = |again| {
        let outcome = said_no(Reaction::again(again));
        let mut sample = Sample::enrolled();
        let mut pauses = Vec::new();
        loop {
            sample.begin();
            if sample.ends(&outcome).contains(&Decision::StepFailed(SendFailure::Attempts)) {
                return pauses;
            }
            pauses.push(sample.row().due_at.since(sample.now));
        }
    };
    assert_eq!(pauses(Again::Slowly), limits::RETRY_SLOWLY);
    let all: i64 = limits::RETRY_SLOWLY.iter().map(|pause| pause.0).sum();
    assert!((Span::days(4).0..=Span::days(5).0).contains(&all), "RFC 5321, 4.5.4.1");
    assert_eq!(pauses(Again::NextDay), [Span::days(1); 3]);
}

#[test]
fn a_provider_that_asks_for_a_pause_gets_it_up_to_a_day() {
    let asked = |at_least| Again::Soon { at_least }.pause(1).unwrap();
    assert_eq!(asked(Span::ZERO), limits::RETRY_AFTER);
    assert_eq!(asked(Span::minutes(3)), Span::minutes(3));
    assert_eq!(asked(Span::days(30)), limits::RETRY_AFTER_MOST);
}

#[test]
fn an_address_that_is_to_blame_is_named_so() {
    let mut sample = in_flight();
    sample.ends(&said_no(Reaction::never(Blames::Address)));
    assert_eq!(sample.statuses()[0], SendStatus::Failed(SendFailure::BadAddress));
}

#[test]
fn an_outcome_of_another_send_or_a_repeat_is_nothing() {
    let mut sample = in_flight();
    let mut other = sample.enrollment.send_id();
    other.occurrence = 1;
    let accepted = Outcome::Accepted { at: NOON };
    assert_eq!(outcomes::outcome(&sample.view(), other, &accepted, 0), []);
    let send = sample.enrollment.send_id();
    sample.accepted();
    for late in [accepted, refused(), rejected(), Outcome::NotBegun, Outcome::Uncertain] {
        assert_eq!(outcomes::outcome(&sample.view(), send, &late, 0), []);
    }
}

/// What each outcome leaves of the step's record when no other attempt follows.
fn ends() -> [(Outcome, Option<SendStatus>); 5] {
    let failed = Some(SendStatus::Failed(SendFailure::Refused));
    [
        (Outcome::Accepted { at: NOON }, Some(SendStatus::Sent)),
        (refused(), failed),
        (rejected(), failed),
        (Outcome::NotBegun, None),
        (Outcome::Uncertain, Some(SendStatus::Uncertain)),
    ]
}

#[test]
fn after_an_exit_in_flight_each_outcome_is_recorded_and_nothing_follows() {
    for (outcome, status) in ends() {
        let mut sample = in_flight();
        sample.exits();
        assert!(sample.enrollment.wake.is_some(), "E2: the open send keeps its row");
        sample.ends(&outcome);
        assert_eq!(sample.enrollment.state, State::Exited(ExitReason::Manual), "{outcome:?}");
        assert_eq!((sample.enrollment.wake, sample.enrollment.open), (None, None), "{outcome:?}");
        assert_eq!(sample.statuses(), Vec::from_iter(status), "{outcome:?}");
    }
}

#[test]
fn after_a_pause_in_flight_each_outcome_is_recorded_and_the_rest_waits_for_the_resume() {
    for (outcome, status) in ends() {
        let mut sample = in_flight_by_mail();
        sample.pauses();
        sample.ends(&outcome);
        assert!(matches!(sample.enrollment.state, State::Paused { .. }), "{outcome:?}");
        assert_eq!((sample.enrollment.wake, sample.enrollment.open), (None, None), "{outcome:?}");
        let again = outcome == refused() || outcome == Outcome::NotBegun;
        assert_eq!(
            sample.statuses(),
            [status.filter(|_| !again).unwrap_or(SendStatus::Pending)],
            "{outcome:?}"
        );
        sample.pass(Span::days(1));
        sample.resumes();
        // What was not settled was due before the pause; else the whole wait of the next step is left.
        let wait = if again { Span::ZERO } else { Span::hours(2) };
        assert_eq!(sample.row().due_at, sample.now + wait, "{outcome:?}");
        sample.begin();
    }
}

#[test]
fn a_pause_in_flight_of_the_last_step_completes_with_its_outcome() {
    let mut sample = sent();
    sample.begin();
    sample.pauses();
    sample.accepted();
    assert_eq!(sample.enrollment.state, State::Completed);
}

#[test]
fn a_step_that_fails_while_paused_still_does_what_it_says() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].on_failure = "exit".into());
    sample.begin();
    sample.pauses();
    sample.ends(&rejected());
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::StepFailed));
}

#[test]
fn attempts_refused_around_a_pause_are_counted_together() {
    let mut sample = in_flight();
    for attempt in 2..=limits::ATTEMPTS {
        sample.pauses();
        sample.ends(&refused());
        sample.resumes();
        assert_eq!(sample.begin().attempt, attempt);
    }
    sample.pauses();
    assert!(sample.ends(&refused()).contains(&Decision::StepFailed(SendFailure::Attempts)));
}

#[test]
fn a_receipt_on_an_open_send_settles_it() {
    for receipt in RECEIPTS {
        let mut sample = in_flight();
        let decisions = sample.receives(0, receipt);
        assert_eq!(decisions[0], Decision::Accepted { at: NOON });
        assert_eq!(sample.enrollment.open, None);
        assert_eq!(sample.statuses()[1], SendStatus::Pending, "{receipt:?}");
        let send = Sample::enrolled().enrollment.send_id();
        let outcome = Outcome::Uncertain;
        assert_eq!(sample.take(|view| outcomes::outcome(view, send, &outcome, 0)), [], "the call ends later");
    }
}

#[test]
fn a_receipt_on_an_open_send_settles_it_after_an_exit_and_a_pause_too() {
    for disturb in [Sample::exits, Sample::pauses] {
        let mut sample = in_flight();
        disturb(&mut sample);
        sample.receives(0, Receipt::Read);
        assert_eq!(sample.statuses(), [SendStatus::Read]);
        assert_eq!((sample.enrollment.wake, sample.enrollment.open), (None, None));
    }
}

#[test]
fn a_receipt_settles_an_uncertain_send() {
    for (receipt, status) in RECEIPTS.into_iter().zip([
        SendStatus::Delivered,
        SendStatus::Read,
        SendStatus::Failed(SendFailure::Refused),
    ]) {
        let mut sample = in_flight_by_mail();
        sample.ends(&Outcome::Uncertain);
        let row = sample.row();
        sample.receives(0, receipt);
        assert_eq!(sample.statuses(), [status, SendStatus::Pending]);
        assert_eq!(sample.row(), row, "the next step stays planned");
    }
}

#[test]
fn a_receipt_for_what_was_never_called_is_nothing() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].useless_after = "1 hour".into());
    let nothing =
        |sample: &mut Sample| RECEIPTS.iter().all(|receipt| sample.receives(0, *receipt).is_empty());
    assert!(nothing(&mut sample), "pending");
    sample.pass(Span::hours(2));
    sample.fire();
    assert!(nothing(&mut sample), "skipped");
    assert_eq!(sample.receives(7, Receipt::Read), [], "no such step");
    let mut sample = Sample::enrolled();
    sample.contact.email = None;
    sample.fire();
    assert!(nothing(&mut sample), "failed before any call");
}

#[test]
fn an_asynchronous_refusal_ends_an_enrollment_whose_step_says_so_until_the_next_is_sent() {
    let walking = || Sample::walking(|_, draft| draft.steps[0].on_failure = "exit".into());
    let mut sample = walking();
    sample.sends();
    sample.receives(0, Receipt::Failed(None));
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::StepFailed));
    let mut sample = walking();
    sample.sends();
    sample.begin();
    assert_eq!(sample.receives(0, Receipt::Failed(None)).len(), 1);
    assert_eq!(sample.enrollment.state, State::Active);
    let mut sample = walking();
    sample.begin();
    sample.receives(0, Receipt::Failed(None));
    assert_eq!(
        sample.enrollment.state,
        State::Exited(ExitReason::StepFailed),
        "also as it settles an open one"
    );
}

proptest! {
    #[test]
    fn receipts_in_every_order_leave_the_same_status(
        order in proptest::collection::vec(0..RECEIPTS.len(), 0..9), uncertain: bool, over: bool,
    ) {
        let mut sample = in_flight_by_mail();
        let outcome = if uncertain { Outcome::Uncertain } else { Outcome::Accepted { at: Moment(NOON.0) } };
        sample.ends(&outcome);
        if over {
            sample.exits();
        }
        let mut ranks = vec![sample.statuses()[0].rank()];
        for receipt in &order {
            sample.receives(0, RECEIPTS[*receipt]);
            ranks.push(sample.statuses()[0].rank());
        }
        prop_assert!(ranks.is_sorted(), "status moved back: {ranks:?}");
        let told = |receipt| order.iter().any(|at| RECEIPTS[*at] == receipt);
        let expected = match (told(Receipt::Read), told(Receipt::Delivered), told(Receipt::Failed(None))) {
            (true, _, _) => SendStatus::Read,
            (_, true, _) => SendStatus::Delivered,
            (_, _, true) => SendStatus::Failed(SendFailure::Refused),
            (false, false, false) if uncertain => SendStatus::Uncertain,
            (false, false, false) => SendStatus::Sent,
        };
        prop_assert_eq!(sample.statuses()[0], expected);
    }
}
