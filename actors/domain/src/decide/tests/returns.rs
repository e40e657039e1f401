//! What comes back: a last message that its provider refuses after all, and what keeps it from being sent once more.

use super::outcome::in_flight;
use super::{Sample, event, holds, leaves, message, other_charge, outcomes};
use crate::contact::{Ended, Membership};
use crate::decide::outcome::Receipt;
use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendFailure, SendStatus, State};
use crate::event::EventKind;
use crate::gate::View;
use crate::ids::{ChannelNo, EnrollmentId, SequenceNo, Shard, StepNo};
use crate::limits;
use crate::reaction::{Blames, Reaction, Scope};
use crate::sequence::Draft;
use crate::target::{TargetKind, TargetRef, Terminal};
use crate::time::{Moment, Span};

const BUSY: Receipt = Receipt::Failed(Some(Reaction::SOON));

/// A sequence of one step, which is under way.
fn last_in_flight(change: impl FnOnce(&mut Draft)) -> Sample {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps.truncate(1);
        change(draft);
    });
    sample.begin();
    sample
}

/// That step was taken, and the enrollment has completed.
fn completed(change: impl FnOnce(&mut Draft)) -> Sample {
    let mut sample = last_in_flight(change);
    sample.accepted();
    assert_eq!(sample.enrollment.state, State::Completed);
    sample.pass(Span::minutes(1));
    sample
}

fn is_reopened(decided: &[Decision]) -> bool {
    matches!(decided, [Decision::Received { .. }, Decision::Reopened { .. }])
}

#[test]
fn a_last_step_that_is_refused_after_all_comes_again_and_completes_once_more() {
    let mut sample = completed(|_| ());
    let decided = sample.receives(0, BUSY);
    assert!(is_reopened(&decided), "{decided:?}");
    assert_eq!(sample.enrollment.state, State::Active);
    assert_eq!(sample.row().due_at, sample.now + Span::seconds(15));
    assert_eq!(sample.contact.open_enrollments().count(), 1);
    assert_eq!(sample.begin().send.occurrence, 1);
    sample.accepted();
    assert_eq!(sample.enrollment.state, State::Completed);
    assert_eq!(sample.statuses(), [SendStatus::Failed(SendFailure::Refused), SendStatus::Sent]);
    assert_eq!((sample.contact.open_enrollments().count(), sample.target.enrollments.len()), (0, 0));
    // The last of several as well.
    let mut sample = in_flight();
    sample.accepted();
    sample.sends();
    assert_eq!(sample.enrollment.state, State::Completed);
    assert!(is_reopened(&sample.receives(1, BUSY)));
    assert_eq!(sample.begin().send.step, StepNo(1));
}

#[test]
fn a_last_step_comes_again_as_often_as_any_other_is_tried() {
    let mut sample = completed(|_| ());
    for _ in 1..limits::ATTEMPTS {
        assert!(is_reopened(&sample.receives(0, BUSY)));
        sample.begin();
        sample.accepted();
    }
    assert!(matches!(sample.receives(0, BUSY)[..], [Decision::Received { .. }]), "often enough");
    assert_eq!(sample.enrollment.state, State::Completed);
}

#[test]
fn a_last_step_that_is_refused_for_good_stays_failed() {
    for reaction in [None, Some(Reaction::never(Blames::Address)), Some(Reaction::Unusable)] {
        let mut sample = completed(|_| ());
        assert!(matches!(sample.receives(0, Receipt::Failed(reaction))[..], [Decision::Received { .. }]));
        assert_eq!(sample.enrollment.state, State::Completed, "{reaction:?}");
    }
}

#[test]
fn what_is_held_for_all_brings_a_last_step_back_behind_the_hold() {
    let mut sample = completed(|_| ());
    sample.scope.tenant.holds.hold(sample.now, "maintenance");
    assert!(is_reopened(&sample.receives(0, Receipt::Failed(Some(Reaction::stop(Scope::Sender))))));
    assert_eq!(sample.fire(), []);
}

/// Another enrollment of the contact in the same sequence begins behind its own.
fn enroll_again(sample: &mut Sample, target: Option<TargetRef>, ended: bool) {
    let at = sample.now;
    let membership = Membership {
        enrollment: EnrollmentId::new(at, Shard(9), 2),
        sequence: SequenceNo(1),
        target,
        ended: ended.then_some(Ended { at, opted_out: false }),
    };
    sample.contact.enrollments.push(membership);
}

#[test]
fn what_would_have_ended_it_since_keeps_a_last_step_from_coming_back() {
    type Change = fn(&mut Sample);
    let table: [(&str, Change); 13] = [
        ("a reply", |sample| {
            sample.contact.hears(None, sample.now);
        }),
        ("an opt-out", |sample| {
            let heard = event(sample, EventKind::ContactOptedOut);
            sample.hears(&heard);
        }),
        ("its address is suppressed", |sample| {
            sample.contact.barred.insert(crate::channel::Kind::Email);
        }),
        ("the goal", |sample| {
            let heard = event(sample, EventKind::Target(TargetKind::Charge, Terminal::Goal));
            sample.hears(&heard);
        }),
        ("cancelled", |sample| {
            let heard = event(sample, EventKind::Target(TargetKind::Charge, Terminal::Cancelled));
            sample.hears(&heard);
        }),
        ("its life is over", |sample| sample.now = sample.enrollment.expires_at - Span::seconds(15)),
        ("its sequence is archived", |sample| {
            let now = sample.now;
            sample.scope.sequences.values_mut().for_each(|sequence| sequence.archived_at = Some(now));
        }),
        ("its channel is gone", |sample| {
            sample.scope.channels.remove(&ChannelNo(1));
        }),
        ("enrolled again", |sample| {
            let target = sample.enrollment.target.clone();
            enroll_again(sample, target, false);
        }),
        ("enrolled again, and that is over", |sample| {
            let target = sample.enrollment.target.clone();
            enroll_again(sample, target, true);
        }),
        ("its contact forgot it, or is erased", |sample| sample.contact.enrollments.clear()),
        ("its target has no room", |sample| {
            let id = |n| EnrollmentId::new(Moment(n), Shard(9), 3);
            sample.target.enrollments = (0..limits::ENROLLMENTS_A_TARGET as i64).map(id).collect();
        }),
        ("a person took it out", |sample| assert_eq!(sample.exits(), [Decision::Closed])),
    ];
    for (why, change) in table {
        let mut sample = completed(|_| ());
        change(&mut sample);
        let decided = sample.receives(0, BUSY);
        assert!(matches!(decided[..], [Decision::Received { .. }]), "{why}: {decided:?}");
        assert_eq!(sample.enrollment.state, State::Completed, "{why}");
    }
}

#[test]
fn a_target_of_which_nothing_is_known_any_more_keeps_a_last_step_from_coming_back() {
    let mut sample = completed(|_| ());
    let send = sample.enrollment.send_id();
    let send = crate::ids::SendId { step: StepNo(0), ..send };
    let decided = sample.take(|view| outcomes::receipt(&View { target: None, ..*view }, send, BUSY, 0));
    assert!(matches!(decided[..], [Decision::Received { .. }]), "{decided:?}");
}

#[test]
fn what_would_not_have_ended_it_does_not_keep_a_last_step_back() {
    type Change = fn(&mut Sample);
    let ignores = |draft: &mut Draft| draft.exit_on_reply = "ignore".into();
    let mut sample = completed(ignores);
    sample.contact.hears(None, sample.now);
    assert!(is_reopened(&sample.receives(0, BUSY)), "replies end nothing there");
    let table: [(&str, Change); 3] = [
        ("a reply before it began", |sample| {
            sample.contact.hears(None, sample.enrollment.enrolled_at - Span(1))
        }),
        ("enrolled about something else", |sample| enroll_again(sample, Some(other_charge()), false)),
        ("an earlier one", |sample| {
            enroll_again(sample, sample.enrollment.target.clone(), true);
            sample.contact.enrollments.rotate_right(1);
        }),
    ];
    for (why, change) in table {
        let mut sample = completed(|_| ());
        change(&mut sample);
        assert!(is_reopened(&sample.receives(0, BUSY)), "{why}");
    }
    let mut sample = completed(|draft| draft.unique_per = "contact".into());
    enroll_again(&mut sample, Some(other_charge()), false);
    assert!(!is_reopened(&sample.receives(0, BUSY)), "one at a time, whatever they are about");
}

#[test]
fn what_has_completed_is_closed_once_and_stays_so_when_the_clock_is_set_back() {
    for act in [|sample: &mut Sample| sample.exits(), |sample: &mut Sample| sample.pauses()] {
        let mut sample = completed(|_| ());
        assert_eq!(act(&mut sample), [Decision::Closed]);
        assert!(sample.enrollment.is_closed());
        assert_eq!((act(&mut sample), sample.resumes()), (vec![], vec![]), "once");
        sample.now = sample.enrollment.enrolled_at - Span::hours(2);
        assert!(!is_reopened(&sample.receives(0, BUSY)));
    }
    let mut sample = completed(|_| ());
    sample.now = sample.enrollment.expires_at;
    assert_eq!(sample.take(leaves::outlived), [], "what is over by itself needs no closing");
    let mut sample = in_flight();
    sample.exits();
    assert_eq!(sample.exits(), [], "nor does what has exited");
}

#[test]
fn who_was_paused_as_the_last_call_ended_is_not_sent_to() {
    let mut sample = last_in_flight(|_| ());
    sample.pauses();
    let decided = sample.accepted();
    assert!(matches!(decided[..], [Decision::Accepted { .. }, Decision::Completed, Decision::Closed]));
    assert!(!is_reopened(&sample.receives(0, BUSY)));
}

#[test]
fn a_last_step_that_is_refused_before_its_call_ends_has_completed_nothing() {
    let mut sample = last_in_flight(|_| ());
    let decided = sample.receives(0, BUSY);
    assert!(
        matches!(
            decided[..],
            [Decision::Accepted { .. }, Decision::Received { .. }, Decision::Reopened { .. }]
        ),
        "{decided:?}"
    );
    assert_eq!((sample.enrollment.state, sample.enrollment.open), (State::Active, None));
    let mut sample = last_in_flight(|_| ());
    sample.take(holds::pause);
    sample.receives(0, BUSY);
    assert_eq!(sample.enrollment.state, State::Paused { remaining: Span::ZERO }, "it is paused still");
    sample.take(holds::resume);
    assert_eq!(sample.begin().send.occurrence, 1);
    let mut sample = last_in_flight(|_| ());
    sample.receives(0, Receipt::Failed(None));
    assert_eq!(sample.enrollment.state, State::Completed, "refused for good");
}

#[test]
fn what_left_early_does_not_come_back() {
    let mut sample = last_in_flight(|_| ());
    sample.exits();
    sample.accepted();
    assert!(matches!(sample.receives(0, BUSY)[..], [Decision::Received { .. }]));
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::Manual));
}

#[test]
fn what_came_back_leaves_as_any_other() {
    let mut sample = completed(|_| ());
    sample.receives(0, BUSY);
    let reply = message(&sample, "yes");
    sample.hears(&reply);
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::Replied));
    assert_eq!(sample.contact.open_enrollments().count(), 0);
}
