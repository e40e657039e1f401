//! The gates: their order, what each says by itself, and the due time they go by.

use super::*;
use crate::channel::Kind;
use crate::contact::Sent;
use crate::decide::samples::{NOON, Sample, channel};
use crate::enrollment::{FailReason, SkipReason};
use crate::ids::ChannelNo;
use crate::ledger::Limits;
use crate::target::TerminalFact;
use crate::time::Span;

fn ask(sample: &Sample) -> Option<(Binding, Verdict)> {
    let view = sample.view();
    super::ask(&view, &view.version.steps[usize::from(view.enrollment.step.0)])
}

fn quiet_all_monday(sample: &mut Sample) {
    let time = |text: &str| crate::calendar::MinuteOfDay::parse(text).unwrap();
    let monday = crate::calendar::QuietWindow {
        days: "mon".parse().unwrap(),
        from: time("00:00"),
        to: crate::calendar::MinuteOfDay::END,
    };
    sample.scope.tenant.calendar.quiet.windows = vec![monday];
}

fn limits(sample: &mut Sample) -> &mut Limits {
    &mut sample.scope.channels.get_mut(&ChannelNo(1)).unwrap().limits
}

fn sent_at_noon(sample: &mut Sample) {
    sample.contact.sent = vec![Sent { channel: ChannelNo(1), counted_at: NOON }];
}

/// Something that closes a gate, which gate binds by it, and what that says.
type Closer = (Binding, Verdict, fn(&mut Sample));

/// In the order of the gates. The second step can reach them by webhook, so that an opt-out is no exit.
fn closers() -> [Closer; 11] {
    [
        (Binding::Target, Verdict::Exit(ExitReason::Goal), |sample| {
            sample.target.learn(TerminalFact {
                occurred_at: NOON,
                event: "e".into(),
                terminal: Terminal::Goal,
            });
        }),
        (Binding::Lifetime, Verdict::Exit(ExitReason::Expired), |sample| sample.enrollment.expires_at = NOON),
        (Binding::Channel, Verdict::Broken(FailReason::NoChannel), |sample| {
            sample.scope.channels.remove(&ChannelNo(1));
        }),
        (Binding::Suppression, Verdict::Fail(SendFailure::Suppressed), |sample| {
            sample.contact.suppressed.insert(Kind::Email);
        }),
        (Binding::Address, Verdict::Fail(SendFailure::NoAddress), |sample| sample.contact.email = None),
        (Binding::Hold, Verdict::Held(HeldBy::Tenant), |sample| sample.scope.tenant.on = false),
        (Binding::PushedBack, Verdict::Until(Moment(NOON.0 + 1)), |sample| {
            sample.enrollment.step_due_at = NOON + Span(1);
        }),
        (Binding::Late, Verdict::Skip(SkipReason::Late), |sample| {
            sample.enrollment.step_due_at = NOON - Span::hours(1);
        }),
        (Binding::RecipientGap, Verdict::Until(Moment(NOON.0 + 6_000)), |sample| {
            sent_at_noon(sample);
            limits(sample).recipient_gap = Some(Span::seconds(6));
        }),
        (Binding::ContactCaps, Verdict::Until(Moment(NOON.0 + Span::days(1).0 + 1)), |sample| {
            sent_at_noon(sample);
            sample.scope.tenant.contact_per_day = Some(1);
        }),
        (Binding::Hours, Verdict::Until(Moment(NOON.0 + Span::hours(12).0)), quiet_all_monday),
    ]
}

fn sample() -> Sample {
    Sample::walking(|scope, draft| {
        scope.channels.insert(ChannelNo(2), channel(2, "hook", Kind::Webhook));
        draft.steps[0].useless_after = "1 hour".into();
        draft.steps[1].channel = "webhook".into();
    })
}

#[test]
fn an_address_that_is_unusable_for_a_while_fails_the_step_and_is_used_again_after() {
    let mut sample = sample();
    sample.contact.unusable_until.insert(Kind::Email, sample.now + Span(1));
    assert_eq!(ask(&sample), Some((Binding::Address, Verdict::Fail(SendFailure::Unusable))));
    let mut wrote = Sample { contact: sample.contact.clone(), ..self::sample() };
    wrote.contact.hears(Some(Kind::Email), wrote.now);
    assert_eq!(ask(&wrote), None, "who writes is there");
    sample.now = sample.now + Span(1);
    assert_eq!(ask(&sample), None);
}

#[test]
fn nothing_binds_where_nothing_stands_in_the_way() {
    assert_eq!(ask(&sample()), None);
}

#[test]
fn each_gate_binds_alone() {
    for (binding, verdict, close) in closers() {
        let mut sample = sample();
        close(&mut sample);
        assert_eq!(ask(&sample), Some((binding, verdict)));
    }
}

#[test]
fn of_two_closed_gates_the_first_binds() {
    let closers = closers();
    for (first, (binding, _, close)) in closers.iter().enumerate() {
        for (later, _, close_later) in &closers[first + 1..] {
            // A step cannot be both too early and too late.
            if (*binding, *later) == (Binding::PushedBack, Binding::Late) {
                continue;
            }
            let mut sample = sample();
            close_later(&mut sample);
            close(&mut sample);
            assert_eq!(ask(&sample).map(|(bound, _)| bound), Some(*binding), "{binding:?} before {later:?}");
        }
    }
}

#[test]
fn gates_are_listed_in_the_order_in_which_closers_are() {
    let order: Vec<Binding> = GATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(order, closers().map(|(binding, ..)| binding));
}

#[test]
fn hours_that_never_open_wait_for_the_end_of_its_life() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].business_days_only = true);
    sample.scope.tenant.calendar.business_days = crate::calendar::WeekdaySet::NONE;
    assert_eq!(ask(&sample), Some((Binding::Hours, Verdict::Until(sample.enrollment.expires_at))));
}

#[test]
fn a_target_of_another_end_is_no_reason_to_leave() {
    let mut sample = sample();
    sample.target.learn(TerminalFact { occurred_at: NOON, event: "e".into(), terminal: Terminal::Resolved });
    assert_eq!(ask(&sample), None, "only a conversation is resolved");
}

#[test]
fn the_contact_s_own_zone_counts_only_where_the_tenant_says_so() {
    let mut sample = sample();
    let tokyo = crate::calendar::Zone::parse("Asia/Tokyo").unwrap();
    sample.contact.zone = Some(tokyo);
    assert_eq!(sample.view().calendar().zone, crate::calendar::Zone::UTC);
    sample.scope.tenant.contact_time_zone = true;
    assert_eq!(sample.view().calendar().zone, tokyo);
    sample.contact.zone = None;
    assert_eq!(
        sample.view().calendar().zone,
        crate::calendar::Zone::UTC,
        "unknown: the tenant's, never none"
    );
}

#[test]
fn a_queue_has_the_hours_of_its_step_and_channel() {
    let mut sample = Sample::walking(|_, draft| draft.steps[0].business_days_only = true);
    let hours = |sample: &Sample| {
        let view = sample.view();
        let queue = view.queue(&view.version.steps[0]);
        open_hours(&sample.scope, &sample.scope.channels[&ChannelNo(1)], &queue)
    };
    assert!(hours(&sample).business_days_only && !hours(&sample).ignore_quiet);
    sample.scope.channels.get_mut(&ChannelNo(1)).unwrap().ignores_quiet_hours = true;
    assert!(hours(&sample).business_days_only && hours(&sample).ignore_quiet);
}

#[test]
fn a_gap_to_one_contact_is_the_channel_s_own_and_counted_in_engine_time() {
    let mut sample = sample();
    sent_at_noon(&mut sample);
    limits(&mut sample).recipient_gap = Some(Span::minutes(10));
    let until = |sample: &Sample, engine_ahead| {
        let view = View { engine_ahead, ..sample.view() };
        recipient_gap(&view, &view.version.steps[0])
    };
    // The wall has jumped ahead of engine time by an hour: nothing opens earlier by that.
    sample.now = NOON + Span::hours(1);
    assert_eq!(until(&sample, Span::hours(-1)), Verdict::Until(sample.now + Span::minutes(10)));
    assert_eq!(until(&sample, Span::ZERO), Verdict::Open);
    sample.now = NOON;
    sample.contact.sent[0].channel = ChannelNo(2);
    assert_eq!(until(&sample, Span::ZERO), Verdict::Open);
}

#[test]
fn frequency_caps_count_all_channels_but_webhooks() {
    let mut sample = sample();
    sample.scope.tenant.contact_per_week = Some(2);
    let at = |channel, hour| Sent { channel: ChannelNo(channel), counted_at: NOON + Span::hours(hour) };
    // A channel that is gone reached them too; 2 is a webhook.
    sample.contact.sent = vec![at(7, -3), at(2, -2), at(1, -1)];
    let closed =
        Some((Binding::ContactCaps, Verdict::Until(NOON - Span::hours(3) + Span::days(7) + Span(1))));
    assert_eq!(ask(&sample), closed);
    sample.contact.sent[0].channel = ChannelNo(2);
    assert_eq!(ask(&sample), None);
}

#[test]
fn who_can_be_reached_has_an_address_on_a_kind_that_is_left() {
    let mut sample = sample();
    assert!(can_reach(&sample.view()));
    sample.contact.email = None;
    assert!(can_reach(&sample.view()), "by webhook");
    sample.contact.barred.insert(Kind::Webhook);
    assert!(!can_reach(&sample.view()));
}
