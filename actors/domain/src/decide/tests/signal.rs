//! What transitions count as, of how a channel fares.

use super::outcome::in_flight;
use super::{Sample, holds, leaves, said_no};
use crate::decide::outcome::Receipt;
use crate::enrollment::{Enrollment, ExitReason};
use crate::reaction::Reaction;
use crate::signal::{Counted, Signal, counted};
use crate::time::Span;

fn since(before: &Enrollment, sample: &Sample) -> Vec<Counted> {
    counted(before, &sample.enrollment, sample.now)
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
    assert_eq!(since(&before, &sample), [Counted { signal: Signal::OptedOut, ..sent[0] }]);
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
