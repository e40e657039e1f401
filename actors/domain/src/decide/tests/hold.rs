//! Pause and resume, quarantine and release, in a wait, with an open send, and over each other.

use super::{NOON, Sample, refused};
use crate::calendar::Zone;
use crate::decide::outcome::Outcome;
use crate::decide::samples::forgetful;
use crate::decide::tests::ScopeRef;
use crate::decide::wake::Look;
use crate::decision::Decision;
use crate::enrollment::{ExitReason, FailReason, SendStatus, SkipReason, State};
use crate::ids::ChannelNo;
use crate::lane::HoldGroup;
use crate::scope::HeldBy;
use crate::time::Span;

/// A sample that waits two hours.
fn waiting() -> Sample {
    Sample::walking(|_, draft| {
        draft.steps[0].wait = "2 hours".into();
        draft.steps[0].useless_after = "1 hour".into();
    })
}

fn remaining(sample: &Sample) -> Option<Span> {
    match sample.enrollment.state {
        State::Paused { remaining } => Some(remaining),
        State::Active | State::Completed | State::Exited(_) | State::Failed(_) => None,
    }
}

#[test]
fn a_pause_keeps_the_rest_of_the_wait() {
    let mut sample = waiting();
    sample.pass(Span::minutes(30));
    sample.pauses();
    assert_eq!(remaining(&sample), Some(Span::minutes(90)));
    assert_eq!(sample.enrollment.wake, None);
    assert_eq!(sample.pauses(), [], "a second pause is nothing");
    sample.pass(Span::days(5));
    sample.resumes();
    assert_eq!(sample.resumes(), [], "a second resume is nothing");
    let due_at = sample.now + Span::minutes(90);
    assert_eq!(sample.row().due_at, due_at);
    sample.now = due_at + Span::minutes(59);
    assert!(matches!(sample.look(), Look::Send(..)), "the pause is no lateness");
    assert_eq!(sample.statuses(), [SendStatus::Pending]);
}

#[test]
fn a_step_that_was_due_before_the_pause_is_late_since_then() {
    let mut sample = waiting();
    sample.pass(Span::minutes(130));
    sample.pauses();
    assert_eq!(remaining(&sample), Some(Span::ZERO));
    sample.pass(Span::minutes(60));
    sample.resumes();
    assert_eq!(sample.fire()[0], Decision::Skipped(SkipReason::Late));
}

#[test]
fn a_pause_and_a_hold_push_back_by_what_each_took() {
    let mut sample = waiting();
    let tenant = &ScopeRef::Tenant;
    // Held from 12:30 to 13:00: at 13:10, forty minutes of the two hours have run.
    sample.holds(tenant).hold(NOON + Span::minutes(30), "stop");
    sample.holds(tenant).release(NOON + Span::minutes(60));
    sample.now = NOON + Span::minutes(70);
    sample.pauses();
    assert_eq!(remaining(&sample), Some(Span::minutes(80)));
    sample.now = NOON + Span::minutes(100);
    sample.resumes();
    // The hold from before the pause counts no more, one after it does.
    sample.holds(tenant).hold(NOON + Span::minutes(110), "stop");
    sample.holds(tenant).release(NOON + Span::minutes(115));
    sample.fire();
    sample.begin();
    assert_eq!(sample.now, NOON + Span::minutes(185));
}

#[test]
fn a_pause_during_a_hold_keeps_what_was_left_as_the_hold_began() {
    let mut sample = waiting();
    sample.holds(&ScopeRef::Tenant).hold(NOON + Span::minutes(30), "stop");
    sample.now = NOON + Span::hours(9);
    sample.pauses();
    assert_eq!(remaining(&sample), Some(Span::minutes(90)));
}

#[test]
fn a_pause_while_the_tenant_is_off_keeps_what_was_left_as_it_went_off() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].wait = "10 hours".into());
    sample.scope.tenant.switch(false, NOON + Span::hours(2));
    sample.now = NOON + Span::hours(7);
    sample.pauses();
    assert_eq!(remaining(&sample), Some(Span::hours(8)));
}

#[test]
fn a_pause_moves_a_time_of_day_only_if_it_passes_meanwhile() {
    // From Monday noon until Tuesday 09:30; paused at 22:00.
    let due = |wait: &str, resumed_after: Span| {
        let mut sample = Sample::walking(|_, draft| {
            draft.steps[0].wait = wait.into();
            draft.steps[0].at = "09:30".into();
        });
        sample.now = NOON + Span::hours(10);
        sample.pauses();
        sample.now = NOON + resumed_after;
        sample.resumes();
        assert_eq!(sample.row().due_at, sample.enrollment.step_due_at);
        sample.row().due_at.since(NOON)
    };
    let (tuesday, day) = (Span::minutes(21 * 60 + 30), Span::days(1));
    assert_eq!(due("1 day", Span::hours(13)), tuesday, "01:00 is before it");
    assert_eq!(due("1 day", tuesday), tuesday);
    assert_eq!(due("1 day", tuesday + Span(1)), tuesday + day, "the next such time");
    assert_eq!(due("1 day", Span::days(5)), tuesday + Span::days(4) + day, "a Saturday: Sunday");
    assert_eq!(due("1 business day", Span::days(5)), tuesday + Span::days(6), "a Saturday: Monday");
}

#[test]
fn a_time_of_day_that_passed_in_a_pause_is_the_next_one_where_the_contact_is_by_then() {
    let mut sample = Sample::walking(|scope, draft| {
        scope.tenant.contact_time_zone = true;
        draft.steps[0].wait = "1 day".into();
        draft.steps[0].at = "09:30".into();
    });
    sample.pauses();
    sample.contact.zone = Some(Zone::parse("Asia/Tokyo").unwrap());
    sample.now = NOON + Span::days(1);
    sample.resumes();
    // 12:00 UTC is 21:00 in Tokyo, where it is 09:30 at 00:30 UTC.
    assert_eq!(sample.row().due_at, sample.now + Span::minutes(12 * 60 + 30));
}

#[test]
fn a_time_of_day_that_came_before_the_pause_is_late_since_then() {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[0].wait = "0 days".into();
        draft.steps[0].at = "12:00".into();
        draft.steps[0].useless_after = "1 hour".into();
    });
    sample.pass(Span(1));
    sample.pauses();
    sample.pass(Span::hours(1));
    sample.resumes();
    assert_eq!(sample.fire()[0], Decision::Skipped(SkipReason::Late));
}

#[test]
fn a_call_that_ends_in_a_pause_leaves_the_time_of_day_that_follows_it() {
    for (resumed_after, due_after) in [(20 * 60, 21 * 60 + 30), (22 * 60, 45 * 60 + 30)] {
        let mut sample = Sample::walking(|_, draft| {
            draft.steps[1].wait = "1 day".into();
            draft.steps[1].at = "09:30".into();
        });
        sample.begin();
        sample.pauses();
        sample.accepted();
        sample.now = NOON + Span::minutes(resumed_after);
        sample.resumes();
        assert_eq!(sample.row().due_at, NOON + Span::minutes(due_after));
        assert_eq!(sample.enrollment.step_due_at, sample.row().due_at);
    }
}

#[test]
fn a_resume_past_the_longest_life_ends_expired() {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[0].wait = "2 hours".into();
        draft.max_lifetime = "3 hours".into();
    });
    sample.pauses();
    sample.pass(Span::hours(2));
    sample.resumes();
    assert_eq!(sample.fire(), [Decision::Exited(ExitReason::Expired)]);
    assert_eq!(sample.now, NOON + Span::hours(3));
}

#[test]
fn a_resume_without_a_channel_fails() {
    let mut sample = waiting();
    sample.pauses();
    sample.scope.channels.clear();
    assert_eq!(sample.resumes(), [Decision::Failed(FailReason::NoChannel)]);
}

#[test]
fn pause_and_resume_in_flight_change_neither_the_call_nor_its_row() {
    for outcome in [Outcome::Accepted { at: NOON }, refused(), Outcome::NotBegun, Outcome::Uncertain] {
        let mut undisturbed = Sample::enrolled();
        let mut paused = Sample::enrolled();
        let (open, row) = (paused.begin(), paused.row());
        undisturbed.begin();
        paused.pauses();
        assert_eq!((paused.enrollment.open, paused.row()), (Some(open), row));
        assert_eq!(paused.look(), Look::InDoubt(open));
        paused.resumes();
        assert_eq!((paused.enrollment.open, paused.row()), (Some(open), row));
        paused.pauses();
        paused.resumes();
        paused.ends(&outcome);
        undisturbed.ends(&outcome);
        assert_eq!(paused.row(), undisturbed.row(), "{outcome:?}");
        assert_eq!(paused.statuses(), undisturbed.statuses(), "{outcome:?}");
    }
}

#[test]
fn a_call_that_ends_between_pause_and_resume_leaves_the_whole_next_wait() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.values_mut().for_each(|channel| channel.transport = forgetful());
    sample.begin();
    sample.pauses();
    // Nobody knows for three hours; the wait of two counts from the intent, but does not run in a pause.
    sample.pass(Span::hours(3));
    sample.ends(&Outcome::Uncertain);
    assert_eq!(remaining(&sample), Some(Span::hours(2)));
    sample.resumes();
    assert_eq!(sample.row().due_at, sample.now + Span::hours(2));
    assert_eq!(sample.enrollment.step_due_at, sample.row().due_at);
    assert_eq!(sample.statuses(), [SendStatus::Uncertain, SendStatus::Pending]);
}

#[test]
fn an_enrollment_set_apart_waits_for_a_person() {
    let mut sample = waiting();
    sample.is_set_apart();
    assert_eq!(sample.enrollment.quarantine.as_deref(), Some("it panics"));
    let row = sample.row();
    assert_eq!((row.lane.channel, row.queue.hold), (ChannelNo::CONTROL, HoldGroup::Quarantine));
    assert_eq!(sample.is_set_apart(), [], "a second time is nothing");
    sample.now = sample.now + Span::hours(2);
    assert_eq!(sample.look(), Look::Held(HeldBy::Quarantine));
    assert_eq!(sample.fire(), []);
}

#[test]
fn a_release_goes_on_with_the_wait_or_at_once_if_it_is_over() {
    for (minutes, due) in [(30, 120), (180, 180)] {
        let mut sample = waiting();
        sample.is_set_apart();
        sample.pass(Span::minutes(minutes));
        sample.is_released();
        assert_eq!(sample.enrollment.quarantine, None);
        assert_eq!(
            (sample.row().lane.channel, sample.row().due_at),
            (ChannelNo(1), NOON + Span::minutes(due))
        );
        assert_eq!(sample.is_released(), [], "a second release is nothing");
    }
}

#[test]
fn a_release_without_a_channel_fails() {
    let mut sample = waiting();
    sample.is_set_apart();
    sample.scope.channels.clear();
    assert_eq!(sample.is_released(), [Decision::Failed(FailReason::NoChannel)]);
}

#[test]
fn an_enrollment_set_apart_in_flight_keeps_the_row_and_then_waits_apart() {
    for outcome in [Outcome::Accepted { at: NOON }, refused(), Outcome::NotBegun, Outcome::Uncertain] {
        let mut sample = Sample::enrolled();
        let (open, row) = (sample.begin(), sample.row());
        sample.is_set_apart();
        assert_eq!((sample.enrollment.open, sample.row()), (Some(open), row), "E2");
        sample.ends(&outcome);
        // A withdrawn call leaves its row in the lane: it moves when it fires, and sends nothing.
        if outcome == Outcome::NotBegun {
            assert!(matches!(sample.fire()[..], [Decision::Moved { .. }]));
        }
        assert_eq!(sample.row().queue.hold, HoldGroup::Quarantine, "{outcome:?}");
        assert!(sample.enrollment.quarantine.is_some());
        sample.is_released();
        assert_eq!(sample.row().lane.channel, ChannelNo(1), "{outcome:?}");
        sample.begin();
    }
}

#[test]
fn a_release_in_flight_keeps_the_row() {
    let mut sample = Sample::enrolled();
    let (open, row) = (sample.begin(), sample.row());
    sample.is_set_apart();
    sample.pass(Span::seconds(1));
    sample.is_released();
    assert_eq!((sample.enrollment.open, sample.row()), (Some(open), row));
    sample.accepted();
    assert_eq!(sample.statuses(), [SendStatus::Sent, SendStatus::Pending]);
}

#[test]
fn a_pause_takes_the_place_of_a_quarantine() {
    let mut sample = waiting();
    sample.is_set_apart();
    sample.pauses();
    assert_eq!((sample.enrollment.wake, sample.enrollment.quarantine.as_ref()), (None, None));
    assert_eq!(sample.is_set_apart(), [], "nothing runs that could fail");
    assert_eq!(sample.is_released(), []);
    sample.resumes();
    assert_eq!(sample.row().lane.channel, ChannelNo(1));
}

#[test]
fn who_is_over_is_neither_paused_nor_set_apart() {
    let mut sample = waiting();
    sample.exits();
    assert_eq!(sample.pauses(), []);
    assert_eq!(sample.resumes(), []);
    assert_eq!(sample.is_set_apart(), []);
    assert_eq!(sample.is_released(), []);
}
