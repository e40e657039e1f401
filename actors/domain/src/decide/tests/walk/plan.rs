//! What a walk begins with: a small version, a tenant with or without quiet hours, and what happens then.

use proptest::prelude::*;
use proptest::sample::select;

use super::inputs::Input;
use super::{Sample, channels};
use crate::calendar::{MinuteOfDay, QuietHours, QuietWindow, WeekdaySet};
use crate::sequence::DraftStep;

/// A small version and the tenant around it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    steps: Vec<DraftStep>,
    class: &'static str,
    exit_on_reply: &'static str,
    stay_on_goal: bool,
    max_lifetime: &'static str,
    quiet: bool,
    contact_time_zone: bool,
}

impl Plan {
    /// `ana`, who has an e-mail address and a phone, is enrolled.
    pub(super) fn enrolls(&self) -> Sample {
        let time = |text| MinuteOfDay::parse(text).unwrap();
        let mut sample = Sample::walking(|scope, draft| {
            channels(scope);
            if self.quiet {
                let night = QuietWindow { days: WeekdaySet::ALL, from: time("20:00"), to: time("08:00") };
                scope.tenant.calendar.quiet = QuietHours { windows: vec![night] };
            }
            scope.tenant.contact_time_zone = self.contact_time_zone;
            draft.steps.clone_from(&self.steps);
            draft.class = self.class.into();
            draft.exit_on_reply = self.exit_on_reply.into();
            if self.exit_on_reply == "conversation" {
                draft.target = "conversation".into();
            }
            draft.stay_on_goal = self.stay_on_goal;
            draft.max_lifetime = self.max_lifetime.into();
        });
        sample.contact.phone = Some("+4930123456".into());
        sample
    }
}

const WAITS: [(&str, &str); 6] =
    [("", ""), ("5 minutes", ""), ("2 hours", ""), ("1 day", ""), ("1 day", "09:30"), ("1 business day", "")];

fn step() -> impl Strategy<Value = DraftStep> {
    let when = (select(&WAITS[..]), any::<bool>());
    let late = (select(&["", "", "1 hour", "2 days"][..]), select(&["skip", "exit"][..]));
    let channel = select(&["email", "email", "sms", "webhook"][..]);
    let on_failure = select(&["continue", "continue", "exit"][..]);
    (when, late, channel, on_failure).prop_map(
        |((wait, business), (useless_after, late), channel, on_failure)| DraftStep {
            wait: wait.0.into(),
            at: wait.1.into(),
            channel: channel.into(),
            subject: String::new(),
            body: "hello".into(),
            rich: None,
            fallback: None,
            useless_after: useless_after.into(),
            late: late.into(),
            on_failure: on_failure.into(),
            business_days_only: business,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let steps = proptest::collection::vec(step(), 1..=4);
    let words = (
        select(&["transactional", "normal", "bulk"][..]),
        select(&["any", "conversation", "ignore"][..]),
        select(&["", "", "1 day", "30 minutes"][..]),
    );
    (steps, words, any::<[bool; 3]>()).prop_map(|(steps, words, [stay_on_goal, quiet, contact_time_zone])| {
        let (class, exit_on_reply, max_lifetime) = words;
        Plan { steps, class, exit_on_reply, stay_on_goal, max_lifetime, quiet, contact_time_zone }
    })
}

/// Plans, and what happens to their enrollment.
pub(super) fn walks() -> impl Strategy<Value = (Plan, Vec<Input>)> {
    let input = (0..Input::weight(), any::<u8>()).prop_map(|(at, n)| Input::pick(at, n));
    (plan(), proptest::collection::vec(input, 0..80))
}
