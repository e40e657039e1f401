//! A wake fires: rows that are gone, holds and what they push back, queues, lateness, and sends in doubt.

use super::{NOON, SCOPES, Sample, wakes};
use crate::calendar::{QuietHours, QuietWindow, Zone};
use crate::channel::Kind;
use crate::contact::Sent;
use crate::decide::leave;
use crate::decide::samples::channel;
use crate::decide::tests::ScopeRef;
use crate::decide::wake::Look;
use crate::decision::Decision;
use crate::enrollment::{ExitReason, FailReason, SendFailure, SendStatus, SkipReason, State};
use crate::gate::Binding;
use crate::ids::{ChannelNo, SequenceNo};
use crate::limits;
use crate::scope::HeldBy;
use crate::time::{Moment, Span};

fn quiet(days: &str, from: &str, to: &str) -> QuietHours {
    let time = |text: &str| crate::calendar::MinuteOfDay::parse(text).unwrap();
    QuietHours { windows: vec![QuietWindow { days: days.parse().unwrap(), from: time(from), to: time(to) }] }
}

/// A sample whose first step waits so.
fn waiting(wait: &str, at: &str) -> Sample {
    Sample::walking(|_, draft| {
        draft.steps[0].wait = wait.into();
        draft.steps[0].at = at.into();
    })
}

#[test]
fn a_due_wake_begins_a_send_with_all_that_an_intent_needs() {
    let mut sample = Sample::enrolled();
    assert!(matches!(sample.look(), Look::Send(channel, "ana@mail.example") if channel.no == ChannelNo(1)));
    let open = sample.begin();
    assert_eq!((open.send, open.channel, open.attempt), (sample.enrollment.send_id(), ChannelNo(1), 1));
    assert_eq!((open.intended_at, open.not_after), (NOON, NOON + limits::INTENT_LIFE));
    assert_eq!(sample.statuses(), [SendStatus::Uncertain]);
}

#[test]
fn a_row_that_is_not_its_wake_any_more_is_gone() {
    let mut sample = Sample::enrolled();
    let first = sample.row();
    let mut later = first;
    later.due_at = later.due_at + Span(1);
    assert_eq!(wakes::look(&sample.view(), &later), Look::Gone);
    sample.sends();
    assert_eq!(wakes::look(&sample.view(), &first), Look::Gone, "the next step has its own");
    sample.exits();
    assert_eq!(wakes::look(&sample.view(), &first), Look::Gone);
}

#[test]
fn what_a_limit_puts_off_is_looked_at_again_within_hours_and_says_so_once() {
    let mut sample = Sample::enrolled();
    let gap = |sample: &mut Sample, gap| {
        sample.scope.channels.get_mut(&ChannelNo(1)).unwrap().limits.recipient_gap = Some(gap);
    };
    sample.contact.sent = vec![Sent { channel: ChannelNo(1), counted_at: NOON }];
    gap(&mut sample, Span::hours(720));
    let told = sample.history.len();
    for _ in 0..4 {
        sample.fire();
        assert_eq!(sample.row().due_at, sample.now + limits::PUT_OFF_MOST);
        sample.now = sample.row().due_at;
    }
    assert_eq!(sample.history.len(), told + 1);
    assert_eq!(sample.history[told].at, NOON, "since when it is put off");
    gap(&mut sample, Span::hours(1));
    assert!(matches!(sample.look(), Look::Send(..)), "the gap that was mistyped is right now");
    // Two limits are two things to tell.
    sample.take(|view| wakes::put_off(view, view.now + Span::days(1)));
    assert_eq!(sample.history.len(), told + 2);
}

#[test]
fn who_waits_for_room_is_looked_at_when_the_step_is_of_no_use_any_more() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].useless_after = "6 hours".into());
    sample.take(|view| wakes::put_off(view, view.now + Span::days(1)));
    assert_eq!(sample.row().due_at, sample.enrollment.step_due_at + Span::hours(6));
}

#[test]
fn those_that_wait_for_room_come_back_in_the_order_they_were_due_in() {
    let room = NOON + Span::hours(2);
    let comes_back = |due_at: Moment, looked_at: Moment| {
        let mut sample = Sample::enrolled();
        (sample.enrollment.step_due_at, sample.now) = (due_at, looked_at);
        let [Decision::Moved { wake, .. }] = wakes::put_off(&sample.view(), room)[..] else {
            panic!("it waits for room")
        };
        wake.due_at
    };
    let dues = [Span::days(80), Span::days(30), Span::days(1), Span::hours(3), Span::minutes(1), Span::ZERO];
    // Whoever is looked at later, and not in that order.
    let back = dues
        .iter()
        .enumerate()
        .map(|(n, waited)| comes_back(NOON - *waited, NOON + Span::minutes(7 * (n as i64 * 5 % 6))));
    let back: Vec<Moment> = back.collect();
    assert!(back.is_sorted_by(|a, b| a < b), "{back:?}");
    assert!(back.iter().all(|at| (room..=room + limits::NEW_RECIPIENTS_SPREAD).contains(at)), "{back:?}");
    // Those of one minute are in order after a month, too.
    let month = NOON - Span::days(30);
    assert!(comes_back(month, NOON) <= comes_back(month + Span::minutes(1), NOON));
    assert!(comes_back(month, NOON) < comes_back(month + Span::hours(1), NOON));
}

#[test]
fn whoever_is_in_an_archived_sequence_exits_with_the_next_wake_or_when_asked() {
    let mut sample = Sample::enrolled();
    assert!(leave::outlived(&sample.view()).is_empty());
    sample.scope.sequences.get_mut(&SequenceNo(1)).unwrap().archived_at = Some(NOON);
    assert_eq!(leave::outlived(&sample.view()), [Decision::Exited(ExitReason::Archived)]);
    assert_eq!(sample.fire(), [Decision::Exited(ExitReason::Archived)]);
    assert!(leave::outlived(&sample.view()).is_empty(), "once");
}

#[test]
fn a_wake_that_comes_early_sends_nothing() {
    for (wait, at) in [("2 hours", ""), ("1 day", "09:30")] {
        let mut sample = waiting(wait, at);
        let due_at = sample.row().due_at;
        sample.now = due_at - Span(1);
        assert_eq!(sample.look(), Look::Closed(due_at), "{wait}");
        sample.now = due_at;
        assert!(matches!(sample.look(), Look::Send(..)), "{wait}");
    }
}

#[test]
fn each_hold_keeps_the_row_where_it_stands() {
    let held = [HeldBy::Tenant, HeldBy::Channel, HeldBy::Sequence];
    for (scope, by) in SCOPES.iter().zip(held) {
        let mut sample = Sample::enrolled();
        sample.holds(scope).hold(NOON, "stop");
        let row = sample.row();
        assert_eq!(sample.look(), Look::Held(by));
        assert_eq!(sample.fire(), []);
        assert_eq!(sample.row(), row);
    }
    let mut sample = Sample::enrolled();
    sample.scope.tenant.on = false;
    assert_eq!(sample.look(), Look::Held(HeldBy::Tenant));
}

#[test]
fn the_widest_hold_is_named() {
    let mut sample = Sample::enrolled();
    for (scope, by) in [(1, HeldBy::Channel), (2, HeldBy::Sequence), (0, HeldBy::Tenant)] {
        sample.holds(&SCOPES[scope]).hold(NOON, "stop");
        assert_eq!(sample.look(), Look::Held(by));
    }
}

#[test]
fn a_released_hold_pushes_a_relative_wait_back_by_what_they_shared() {
    for scope in &SCOPES {
        let mut sample = waiting("2 hours", "");
        sample.holds(scope).hold(NOON + Span::hours(1), "stop");
        sample.holds(scope).release(NOON + Span::hours(5));
        let due_at = NOON + Span::hours(6);
        sample.pass(Span::hours(5));
        let moved = sample.fire();
        assert!(
            matches!(moved[..], [Decision::Moved { wake, gate: Binding::PushedBack }] if wake.due_at == due_at)
        );
        sample.begin();
        assert_eq!(sample.now, due_at);
    }
}

#[test]
fn a_second_hold_during_the_pushed_back_wait_pushes_it_on() {
    let mut sample = waiting("2 hours", "");
    let tenant = &ScopeRef::Tenant;
    sample.holds(tenant).hold(NOON + Span::hours(1), "stop");
    sample.holds(tenant).release(NOON + Span::hours(2));
    sample.fire();
    sample.holds(tenant).hold(NOON + Span::minutes(150), "stop");
    sample.holds(tenant).release(NOON + Span::minutes(170));
    sample.fire();
    sample.begin();
    assert_eq!(sample.now, NOON + Span::minutes(200));
}

#[test]
fn a_released_hold_does_not_push_back_a_time_of_day() {
    let mut sample = waiting("1 day", "09:30");
    sample.holds(&ScopeRef::Tenant).hold(NOON + Span::hours(1), "stop");
    sample.holds(&ScopeRef::Tenant).release(NOON + Span::hours(5));
    let due_at = sample.row().due_at;
    sample.begin();
    assert_eq!(sample.now, due_at);
}

#[test]
fn a_push_past_the_longest_life_ends_expired_on_time() {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[0].wait = "2 hours".into();
        draft.max_lifetime = "3 hours".into();
    });
    sample.holds(&ScopeRef::Tenant).hold(NOON, "stop");
    sample.pass(Span::minutes(150));
    let now = sample.now;
    sample.holds(&ScopeRef::Tenant).release(now);
    sample.fire();
    assert_eq!(sample.row().lane.channel, ChannelNo::CONTROL);
    assert_eq!(sample.fire(), [Decision::Exited(ExitReason::Expired)]);
    assert_eq!(sample.now, NOON + Span::hours(3));
}

#[test]
fn quiet_hours_close_the_queue_until_their_exclusive_end() {
    let mut sample = waiting("1 hour", "");
    sample.scope.tenant.calendar.quiet = quiet("mon", "13:00", "15:00");
    let (begins, ends) = (NOON + Span::hours(1), NOON + Span::hours(3));
    sample.now = begins;
    assert_eq!(sample.look(), Look::Closed(ends), "the first instant is quiet");
    sample.now = Moment(ends.0 - 1);
    assert_eq!(sample.look(), Look::Closed(ends));
    sample.now = ends;
    assert!(matches!(sample.look(), Look::Send(..)), "the end is not");
}

#[test]
fn a_channel_may_ignore_quiet_hours() {
    let mut sample = Sample::enrolled();
    sample.scope.tenant.calendar.quiet = quiet("mon", "11:00", "15:00");
    sample.scope.channels.get_mut(&ChannelNo(1)).unwrap().ignores_quiet_hours = true;
    assert!(matches!(sample.look(), Look::Send(..)));
}

#[test]
fn a_contact_whose_zone_changes_moves_to_the_queue_of_that_zone_once() {
    let mut sample = Sample::enrolled();
    sample.scope.tenant.contact_time_zone = true;
    sample.scope.tenant.calendar.quiet = quiet("mon-sun", "20:00", "08:00");
    let (before, tokyo) = (sample.row(), Zone::parse("Asia/Tokyo").unwrap());
    sample.contact.zone = Some(tokyo);
    // 12:00 UTC is 21:00 in Tokyo.
    let moved = sample.fire();
    assert!(matches!(moved[..], [Decision::Moved { gate: Binding::Queue, .. }]));
    assert_eq!(sample.row().queue.zone, tokyo.code());
    assert_eq!(sample.row().due_at, before.due_at, "its place in line stays");
    assert_eq!(sample.look(), Look::Closed(NOON + Span::hours(11)), "now its queue is closed");
    sample.contact.zone = None;
    sample.fire();
    assert_eq!(sample.row(), before);
    assert!(matches!(sample.look(), Look::Send(..)));
}

#[test]
fn a_step_with_business_days_stands_in_a_queue_of_its_own() {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[0].wait = "5 days".into();
        draft.steps[0].business_days_only = true;
    });
    assert!(sample.row().queue.narrowed.is_some());
    sample.pass(Span::days(5));
    assert_eq!(sample.look(), Look::Closed(NOON + Span::hours(156)), "a Saturday: until Monday midnight");
}

#[test]
fn a_changed_default_channel_moves_the_wake_to_its_lane() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.insert(ChannelNo(2), channel(2, "mail2", Kind::Email));
    sample.scope.tenant.default_channels.insert(Kind::Email, ChannelNo(2));
    sample.fire();
    assert_eq!(sample.row().lane.channel, ChannelNo(2));
    sample.sends();
    assert_eq!(sample.enrollment.sends[0].channel, ChannelNo(2), "the record says where it left from");
}

#[test]
fn a_wake_in_another_lane_than_the_held_channel_s_moves_there_and_waits() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.insert(ChannelNo(2), channel(2, "mail2", Kind::Email));
    sample.scope.tenant.default_channels.insert(Kind::Email, ChannelNo(2));
    sample.holds(&ScopeRef::Channel(ChannelNo(2))).hold(NOON, "stop");
    assert!(matches!(sample.fire()[..], [Decision::Moved { gate: Binding::Hold, .. }]));
    assert_eq!(sample.row().lane.channel, ChannelNo(2));
    assert_eq!(sample.look(), Look::Held(HeldBy::Channel), "once, and no more");
    // A hold of the channel it left holds it no more.
    sample.holds(&ScopeRef::Channel(ChannelNo(1))).hold(NOON, "stop");
    sample.holds(&ScopeRef::Channel(ChannelNo(2))).release(NOON);
    sample.begin();
}

#[test]
fn a_wake_in_the_lane_of_a_channel_that_is_gone_moves_to_a_lane_that_can_be_held() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.insert(ChannelNo(2), channel(2, "mail2", Kind::Email));
    sample.scope.channels.remove(&ChannelNo(1));
    sample.holds(&ScopeRef::Tenant).hold(NOON, "stop");
    assert!(matches!(sample.fire()[..], [Decision::Moved { gate: Binding::Hold, .. }]));
    assert_eq!(sample.look(), Look::Held(HeldBy::Tenant));
}

#[test]
fn a_step_is_useless_from_the_exact_end_of_its_span() {
    for (late, decision) in
        [("skip", Decision::Skipped(SkipReason::Late)), ("exit", Decision::Exited(ExitReason::Late))]
    {
        let mut sample = Sample::walking(|_, draft| {
            draft.steps[0].useless_after = "1 hour".into();
            draft.steps[0].late = late.into();
        });
        sample.now = NOON + Span(Span::hours(1).0 - 1);
        assert!(matches!(sample.look(), Look::Send(..)), "{late}");
        sample.now = NOON + Span::hours(1);
        assert_eq!(sample.fire()[0], decision);
    }
}

#[test]
fn a_skipped_step_is_followed_by_the_next_from_then_on() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].useless_after = "1 hour".into());
    sample.pass(Span::hours(9));
    sample.fire();
    assert_eq!(sample.statuses(), [SendStatus::Skipped(SkipReason::Late), SendStatus::Pending]);
    assert_eq!(sample.row().due_at, NOON + Span::hours(11));
}

#[test]
fn lateness_counts_from_the_pushed_back_due_time() {
    let mut sample = Sample::walking(|_, draft| {
        draft.steps[0].wait = "2 hours".into();
        draft.steps[0].useless_after = "1 hour".into();
    });
    // Held for half of its wait and a day: the other half is still to come, so it is not late by that.
    sample.holds(&ScopeRef::Tenant).hold(NOON + Span::hours(1), "stop");
    sample.holds(&ScopeRef::Tenant).release(NOON + Span::hours(25));
    sample.pass(Span::hours(25));
    sample.fire();
    let due_at = NOON + Span::hours(26);
    assert_eq!(sample.row().due_at, due_at);
    sample.now = due_at + Span::minutes(59);
    assert!(matches!(sample.look(), Look::Send(..)));
    sample.now = due_at + Span::hours(1);
    assert_eq!(sample.fire()[0], Decision::Skipped(SkipReason::Late));
}

#[test]
fn a_hold_after_the_due_time_is_lateness() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].useless_after = "1 hour".into());
    sample.holds(&ScopeRef::Tenant).hold(NOON, "stop");
    sample.holds(&ScopeRef::Tenant).release(NOON + Span::hours(2));
    sample.pass(Span::hours(2));
    assert_eq!(sample.fire()[0], Decision::Skipped(SkipReason::Late));
}

#[test]
fn a_step_without_an_address_fails_and_the_enrollment_goes_on_unless_it_says_exit() {
    for (on_failure, over) in [("continue", false), ("exit", true)] {
        let mut sample = Sample::walking(|_, draft| draft.steps[0].on_failure = on_failure.into());
        sample.contact.email = None;
        assert_eq!(sample.fire()[0], Decision::StepFailed(SendFailure::NoAddress));
        assert_eq!(sample.enrollment.state == State::Exited(ExitReason::StepFailed), over);
        assert_eq!(sample.statuses()[0], SendStatus::Failed(SendFailure::NoAddress));
    }
}

#[test]
fn a_channel_that_is_gone_fails_the_enrollment() {
    let mut sample = Sample::enrolled();
    sample.scope.channels.clear();
    assert_eq!(sample.fire(), [Decision::Failed(FailReason::NoChannel)]);
    let mut sample = Sample::enrolled();
    sample.begin();
    sample.scope.channels.clear();
    assert_eq!(sample.accepted()[1..], [Decision::Failed(FailReason::NoChannel)]);
    assert_eq!(sample.statuses(), [SendStatus::Sent], "what was sent was sent");
}

#[test]
fn a_send_in_doubt_stands_in_line_where_it_is_recognised_and_is_left_where_it_could_never_go() {
    type Change = fn(&mut Sample);
    let disturbances: [(&str, Change); 9] = [
        ("exit", |s| {
            s.exits();
        }),
        ("pause", |s| {
            s.pauses();
        }),
        ("quarantine", |s| {
            s.is_set_apart();
        }),
        ("opt-out that another kind outlives", |s| {
            s.contact.suppressed.insert(Kind::Email);
        }),
        ("held tenant", |s| s.scope.tenant.holds.hold(s.now, "stop-sending")),
        ("tenant off", |s| s.scope.tenant.on = false),
        ("quiet hours", |s| s.scope.tenant.calendar.quiet = quiet("mon", "11:00", "13:00")),
        ("expired", |s| s.now = s.enrollment.expires_at),
        ("channel gone", |s| {
            s.scope.channels.remove(&ChannelNo(1));
        }),
    ];
    let sample = || {
        Sample::walking(|scope, draft| {
            scope.channels.insert(ChannelNo(2), channel(2, "hook", Kind::Webhook));
            draft.steps[1].channel = "webhook".into();
        })
    };
    let mut undisturbed = sample();
    let open = undisturbed.begin();
    assert_eq!(undisturbed.look(), Look::InDoubt(open));
    let [Decision::Doubted { wake }] = wakes::in_doubt(&undisturbed.view(), &open)[..] else {
        panic!("its provider recognises it")
    };
    assert_eq!(wake, undisturbed.enrollment.wake.unwrap(), "it keeps its place in line");
    for _ in 0..limits::ATTEMPTS {
        let decisions = wakes::in_doubt(&undisturbed.view(), &undisturbed.enrollment.open.unwrap());
        let left = decisions[0] == Decision::LeftUncertain;
        assert_eq!(left, undisturbed.enrollment.attempts + 1 >= limits::ATTEMPTS);
        undisturbed.take(|_| decisions);
        if !left {
            undisturbed.begin();
        }
    }
    for (what, disturb) in disturbances {
        let mut sample = sample();
        let open = sample.begin();
        disturb(&mut sample);
        assert_eq!(sample.look(), Look::InDoubt(open), "{what}");
        let decisions = wakes::in_doubt(&sample.view(), &open);
        // It waits in line where a gate may open again: in the end it is called once more, or never.
        let waits = matches!(decisions[0], Decision::Doubted { .. });
        assert_eq!(waits, !["exit", "quarantine", "channel gone"].contains(&what), "{what}: {decisions:?}");
        assert!(waits || decisions[0] == Decision::LeftUncertain, "{what}: {decisions:?}");
        sample.take(|_| decisions);
        assert_eq!(sample.statuses()[0], SendStatus::Uncertain, "{what}");
    }
}
