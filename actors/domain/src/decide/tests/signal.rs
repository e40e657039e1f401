//! What transitions count as, of how a channel fares.

use std::collections::BTreeSet;

use super::outcome::{in_flight, in_flight_by_mail};
use super::{Sample, holds, leaves, said_no};
use crate::channel::Kind;
use crate::decide::apply;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decision::Decision;
use crate::enrollment::{Enrollment, ExitReason, SendFailure, SendStatus, SkipReason, State};
use crate::ids::ChannelNo;
use crate::reaction::Reaction;
use crate::signal::{Counted, Signal, counted, opted_out_after};
use crate::time::Span;

fn since(before: &Enrollment, sample: &Sample) -> Vec<Counted> {
    counted(before, &sample.enrollment)
}

fn signals(counted: &[Counted]) -> Vec<Signal> {
    counted.iter().map(|one| one.signal).collect()
}

#[test]
fn what_becomes_of_a_send_counts_in_the_hour_it_was_sent() {
    let mut sample = in_flight();
    let before = sample.enrollment.clone();
    sample.accepted();
    let sent = since(&before, &sample);
    assert_eq!(signals(&sent), [Signal::Sent]);
    sample.pass(Span::hours(5));
    let before = sample.enrollment.clone();
    sample.receives(0, Receipt::Read);
    let read = since(&before, &sample);
    assert_eq!((signals(&read), read[0].hour), (vec![Signal::Delivered], sent[0].hour));
    assert_eq!(since(&sample.enrollment, &sample), []);
    let before = sample.enrollment.clone();
    sample.take(|view| leaves::exit(view, ExitReason::OptedOut));
    assert_eq!(since(&before, &sample), [], "it counted with the event");
}

#[test]
fn what_a_provider_delivers_after_it_refused_it_has_not_failed() {
    let mut sample = in_flight();
    sample.accepted();
    let before = sample.enrollment.clone();
    sample.receives(0, Receipt::Failed(None));
    assert_eq!(signals(&since(&before, &sample)), [Signal::Failed]);
    let before = sample.enrollment.clone();
    sample.receives(0, Receipt::Delivered);
    let arrived = since(&before, &sample);
    let by: Vec<(Signal, i64)> = arrived.iter().map(|one| (one.signal, one.by)).collect();
    assert_eq!(by, [(Signal::Failed, -1), (Signal::Delivered, 1)]);
}

#[test]
fn who_opts_out_counts_once_with_the_last_message_that_reached_them_by_then() {
    let mut sample = in_flight();
    sample.accepted();
    let (first, sent_at) = (sample.enrollment.clone(), sample.now);
    sample.begin();
    sample.accepted();
    assert_eq!(sample.enrollment.state, State::Completed, "over, and it counts all the same");
    let all = [first.clone(), sample.enrollment.clone(), first];
    let of = |kind, at| opted_out_after(&all, &sample.scope, &BTreeSet::from([kind]), at);
    let last = of(Kind::Email, sample.now).unwrap();
    assert_eq!((last.channel, last.signal, last.by), (ChannelNo(1), Signal::OptedOut, 1));
    assert_eq!(last.sent_at, sample.now);
    assert_eq!(of(Kind::Email, sample.now - Span(1)).map(|one| one.sent_at), Some(sent_at), "told late");
    assert_eq!(of(Kind::Email, sent_at - Span(1)), None, "before anything was sent");
    assert_eq!(of(Kind::Sms, sample.now), None, "of another kind");
    let mut refused = sample.enrollment.clone();
    refused.sends.iter_mut().for_each(|send| send.status = SendStatus::Failed(SendFailure::Refused));
    let kinds = BTreeSet::from([Kind::Email]);
    assert_eq!(opted_out_after([&refused], &sample.scope, &kinds, sample.now), None, "nothing reached them");
}

#[test]
fn a_send_that_was_refused_counts_as_one_that_failed_and_one_nobody_called_as_none() {
    let mut sample = in_flight();
    let before = sample.enrollment.clone();
    sample.ends(&said_no(Reaction::BAD_STEP));
    assert_eq!(signals(&since(&before, &sample)), [Signal::Sent, Signal::Failed]);
    let mut sample = in_flight();
    let before = sample.enrollment.clone();
    sample.accepted();
    let sent = since(&before, &sample);
    let before = sample.enrollment.clone();
    sample.pass(Span::hours(2));
    sample.receives(0, Receipt::Failed(Some(Reaction::SOON)));
    assert_eq!(
        since(&before, &sample),
        [Counted { by: -1, ..sent[0] }],
        "it comes again: one was sent, not two"
    );
    let before = sample.enrollment.clone();
    sample.take(holds::pause);
    assert_eq!(since(&before, &sample), [], "once");
    sample.take(holds::resume);
    let before = sample.enrollment.clone();
    sample.begin();
    sample.accepted();
    assert_eq!(signals(&since(&before, &sample)), [Signal::Sent]);
    let before = sample.enrollment.clone();
    sample.receives(0, Receipt::Failed(None));
    assert_eq!(signals(&since(&before, &sample)), [Signal::Failed]);
    let before = sample.enrollment.clone();
    sample.take(|view| leaves::exit(view, ExitReason::Manual));
    assert_eq!(since(&before, &sample), []);
}

#[test]
fn one_refused_after_all_whose_step_is_never_sent_again_has_failed() {
    let mut sample = in_flight();
    let before = sample.enrollment.clone();
    sample.accepted();
    let sent = since(&before, &sample)[0];
    sample.pass(Span::hours(2));
    sample.receives(0, Receipt::Failed(Some(Reaction::SOON)));
    let comes_again = sample.enrollment.clone();
    let then = |decision| counted(&comes_again, &apply(comes_again.clone(), &[decision], sample.now));
    let failed = [sent, Counted { signal: Signal::Failed, ..sent }];
    assert_eq!(then(Decision::Exited(ExitReason::Manual)), failed, "taken out");
    assert_eq!(then(Decision::Skipped(SkipReason::Late)), failed, "too late");
    assert_eq!(then(Decision::StepFailed(SendFailure::NoAddress)), failed, "to nobody");
    assert_eq!(then(Decision::Skipped(SkipReason::NotDelivered)), [], "its provider chose so");
}

#[test]
fn a_send_in_doubt_counts_as_uncertain_until_it_is_settled() {
    let by = |counted: &[Counted]| -> Vec<(Signal, i64)> {
        counted.iter().map(|one| (one.signal, one.by)).collect()
    };
    let mut sample = in_flight_by_mail();
    let called = sample.enrollment.clone();
    sample.ends(&Outcome::Uncertain);
    let doubt = since(&called, &sample);
    assert_eq!(by(&doubt), [(Signal::Uncertain, 1)]);
    sample.pass(Span::hours(2));
    let before = sample.enrollment.clone();
    sample.receives(0, Receipt::Delivered);
    let settled = since(&before, &sample);
    assert_eq!(by(&settled), [(Signal::Sent, 1), (Signal::Delivered, 1), (Signal::Uncertain, -1)]);
    assert!(settled.iter().all(|one| one.hour == doubt[0].hour), "{settled:?}");
}

#[test]
fn one_in_doubt_that_is_called_again_is_not_uncertain_while_it_is_called() {
    let mut sample = Sample::enrolled();
    let planned = sample.enrollment.clone();
    sample.begin();
    assert_eq!(since(&planned, &sample), []);
    let called = sample.enrollment.clone();
    sample.ends(&Outcome::Uncertain);
    let doubt = since(&called, &sample)[0];
    assert_eq!((doubt.signal, doubt.by), (Signal::Uncertain, 1));
    let doubted = sample.enrollment.clone();
    sample.begin();
    assert_eq!(since(&doubted, &sample), [Counted { by: -1, ..doubt }]);
    let called = sample.enrollment.clone();
    sample.accepted();
    assert_eq!(signals(&since(&called, &sample)), [Signal::Sent]);
}
