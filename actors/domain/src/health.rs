//! How the sends of one lane fare: what many answers together say of a step, and of the sender.
//!
//! One answer is one message's affair ([`decide::outcome`](crate::decide::outcome)). Here is what is shared: a provider
//! that says so holds the sender at once; several answers alike hold the step they were about; many failures that blame
//! the sender open its breaker. It is fed with every outcome of the lane, in order, and knows no clock but what it is
//! told. It is lost with a restart, and then learns anew from the next answers.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{SequenceNo, StepNo, VersionNo};
use crate::limits;
use crate::reaction::{Reaction, Scope, Then, Until};
use crate::time::{Moment, Span};

/// A step of a version of a sequence: what goes to many contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepOf {
    /// Of which sequence.
    pub sequence: SequenceNo,
    /// Of which of its versions.
    pub version: VersionNo,
    /// Which.
    pub step: StepNo,
}

/// What came of one call, as far as it says something of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The provider took it.
    Accepted,
    /// It did not.
    Refused {
        /// What it said, as a short code.
        code: String,
        /// What follows.
        reaction: Reaction,
        /// Attempts of this message, with this one.
        tries: u8,
    },
    /// Nobody knows.
    Uncertain {
        /// Attempts of this message, with this one.
        tries: u8,
    },
}

/// What is to be held, or slowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The lane's rate is cut, after a rest.
    Slow {
        /// The rest.
        after: Span,
    },
    /// The sender is held, or what it shares with others.
    HoldSender {
        /// The sender, or what all senders of that scope share.
        scope: Scope,
        /// Until then; `None`: until a person releases it.
        until: Option<Moment>,
        /// Because of this.
        because: String,
    },
    /// What the sender's account shares rests; the sender's own way out does so by itself.
    RestAccount {
        /// Until then.
        until: Moment,
        /// Because of this.
        because: String,
    },
    /// A step is held.
    HoldStep {
        /// Which.
        step: StepOf,
        /// Whether every step that sends the same approved template is, too.
        template: bool,
        /// Until then; `None`: until a person releases it.
        until: Option<Moment>,
        /// Because of this.
        because: String,
    },
}

/// Whether each of the latest outcomes was bad, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
struct Latest(VecDeque<bool>);

impl Latest {
    /// One more; as many as `most` are seen.
    fn add(&mut self, bad: bool, most: usize) {
        self.0.push_back(bad);
        if self.0.len() > most {
            self.0.pop_front();
        }
    }

    fn bad(&self) -> usize {
        self.0.iter().filter(|bad| **bad).count()
    }
}

/// The health of one lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Whether each of the latest outcomes of a step blamed it: more than a few steps at once are seldom at fault.
    alike: BTreeMap<StepOf, Latest>,
    /// Whether each of the latest outcomes blamed the sender.
    blamed: Latest,
    /// How often in a row the breaker has opened; a row ends when messages are taken again. The first alone does not
    /// say so: a provider may take a message, and refuse it after all.
    opened: u32,
    /// When it opened last: what fails soon after, or had begun before, was under way then, and says nothing new.
    opened_at: Option<Moment>,
}

impl Health {
    /// What follows for others from what came of one call, which `took` so long; a failure of one that had begun before
    /// the breaker opened says nothing new.
    pub fn hear(&mut self, step: StepOf, said: &Said, took: Span, now: Moment) -> Option<Act> {
        match said {
            Said::Accepted => {
                if let Some(latest) = self.alike.get_mut(&step) {
                    latest.add(false, limits::STEP_SEES);
                    if latest.bad() == 0 {
                        self.alike.remove(&step);
                    }
                }
                self.note(false, (took, now), "")
            }
            Said::Uncertain { tries } => {
                self.note_try(*tries, (took, now), "nobody knows what became of the calls")
            }
            Said::Refused { code, reaction, tries } => {
                self.refused(step, (code, *reaction, *tries), (took, now))
            }
        }
    }

    fn refused(
        &mut self,
        step: StepOf,
        (code, reaction, tries): (&str, Reaction, u8),
        (took, now): (Span, Moment),
    ) -> Option<Act> {
        let because = format!("the provider said {code}");
        match reaction {
            Reaction::Slow { after } => Some(Act::Slow { after }),
            Reaction::Stop { scope } => Some(hold(scope, step, None, because)),
            Reaction::Hold { scope, until } => {
                let until = match until {
                    Until::After(span) => Some(now + span),
                    // Then it is tried: where it is not over, the provider says it again.
                    Until::Told { at_least } => Some(now + at_least),
                    // Whoever makes what is missing lets it go on.
                    Until::Changed => None,
                };
                Some(hold(scope, step, until, because))
            }
            // Once, however often it is tried after that.
            Reaction::Later { times, then: Then::HoldStep, .. } if tries == times.saturating_add(1) => {
                self.count(step, because)
            }
            Reaction::Again { alike, .. } | Reaction::Never { alike, .. } => match alike {
                Some(Scope::Step | Scope::Template) => self.count(step, because),
                Some(Scope::Sender | Scope::Account | Scope::App | Scope::Host) => {
                    self.note_try(tries, (took, now), &because)
                }
                Some(Scope::Contact) | None => None,
            },
            Reaction::Later { .. }
            | Reaction::Skip
            | Reaction::NeedsTemplate
            | Reaction::Unusable
            | Reaction::OptOut => None,
            // One sender's way out rests by itself; others of its account learn it here.
            Reaction::BackOff { scope: Scope::Account | Scope::App, pause } => {
                let until = now + pause.at_least.max(limits::ACCOUNT_RESTS);
                Some(Act::RestAccount { until, because })
            }
            Reaction::BackOff {
                scope: Scope::Contact | Scope::Step | Scope::Template | Scope::Sender | Scope::Host,
                ..
            } => None,
        }
    }

    /// One more refusal of this step; several among its latest outcomes hold it.
    fn count(&mut self, step: StepOf, because: String) -> Option<Act> {
        if self.alike.len() >= limits::STEPS_WATCHED && !self.alike.contains_key(&step) {
            self.alike.pop_first();
        }
        let latest = self.alike.entry(step).or_default();
        latest.add(true, limits::STEP_SEES);
        let held = latest.bad() >= limits::REFUSED_ALIKE;
        if held {
            self.alike.remove(&step);
        }
        held.then_some(Act::HoldStep { step, template: false, until: None, because })
    }

    /// One more failure. Of a message that is tried again and again the first attempt counts, and one that is the first
    /// to go when the breaker's pause is over.
    fn note_try(&mut self, tries: u8, when: (Span, Moment), because: &str) -> Option<Act> {
        let probes = self.opened > 0 && self.blamed.0.is_empty();
        if tries > 1 && !probes { None } else { self.note(true, when, because) }
    }

    /// One more outcome; the breaker opens when too many of the latest blamed the sender, and at once when the first
    /// after a pause does. Each pause is twice the last.
    fn note(&mut self, blamed: bool, (took, now): (Span, Moment), because: &str) -> Option<Act> {
        let under_way = |at: Moment| now >= at && now.since(at) < limits::BREAKER_SETTLES.max(took);
        if blamed && self.opened_at.is_some_and(under_way) {
            return None;
        }
        self.blamed.add(blamed, limits::BREAKER_SEES);
        let (failures, seen) = (self.blamed.bad(), self.blamed.0.len());
        let probed = self.opened > 0 && seen == 1;
        if !(blamed && (failures >= limits::BREAKER_OPENS || probed)) {
            if seen >= limits::BREAKER_OPENS && failures * 4 <= seen {
                self.opened = 0;
            }
            return None;
        }
        let pause = Span(limits::BREAKER_LEAST.0 << self.opened.min(limits::BREAKER_DOUBLES));
        self.opened = self.opened.saturating_add(1);
        self.blamed = Latest::default();
        self.opened_at = Some(now);
        let because = format!("too many failures in a row, the last: {because}");
        Some(Act::HoldSender { scope: Scope::Sender, until: Some(now + pause), because })
    }
}

/// What is held of a scope.
fn hold(scope: Scope, step: StepOf, until: Option<Moment>, because: String) -> Act {
    match scope {
        Scope::Template => Act::HoldStep { step, template: true, until, because },
        Scope::Step | Scope::Contact => Act::HoldStep { step, template: false, until, because },
        Scope::Sender | Scope::Account | Scope::App | Scope::Host => {
            Act::HoldSender { scope, until, because }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reaction::Blames;

    const NOW: Moment = Moment(1_000_000);

    fn step(no: u16) -> StepOf {
        StepOf { sequence: SequenceNo(1), version: VersionNo(1), step: StepNo(no) }
    }

    fn refused(reaction: Reaction) -> Said {
        Said::Refused { code: "7".into(), reaction, tries: 1 }
    }

    fn hear(health: &mut Health, said: &Said) -> Option<Act> {
        health.hear(step(0), said, Span::ZERO, NOW)
    }

    fn held(scope: Scope, until: Option<Moment>) -> Option<Act> {
        Some(Act::HoldSender { scope, until, because: "the provider said 7".into() })
    }

    fn rests(until: Moment) -> Option<Act> {
        Some(Act::RestAccount { until, because: "the provider said 7".into() })
    }

    #[test]
    fn a_provider_that_says_so_holds_the_sender_at_once() {
        for (reaction, act) in [
            (Reaction::stop(Scope::Sender), held(Scope::Sender, None)),
            (Reaction::stop(Scope::Account), held(Scope::Account, None)),
            (
                Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::hours(6)) },
                held(Scope::Sender, Some(NOW + Span::hours(6))),
            ),
            (Reaction::back_off(Scope::App, Span::ZERO), rests(NOW + limits::ACCOUNT_RESTS)),
            (Reaction::back_off(Scope::Account, Span::hours(1)), rests(NOW + Span::hours(1))),
            (Reaction::back_off(Scope::Sender, Span::hours(1)), None),
            (
                Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::seconds(60)) },
                held(Scope::Sender, Some(NOW + Span::seconds(60))),
            ),
            (Reaction::Slow { after: Span::seconds(1) }, Some(Act::Slow { after: Span::seconds(1) })),
            (
                Reaction::Hold { scope: Scope::Template, until: Until::Changed },
                Some(Act::HoldStep {
                    step: step(0),
                    template: true,
                    until: None,
                    because: "the provider said 7".into(),
                }),
            ),
            (Reaction::HOST_RESTS, None),
            (Reaction::never(Blames::Message), None),
        ] {
            assert_eq!(hear(&mut Health::default(), &refused(reaction)), act, "{reaction:?}");
        }
    }

    #[test]
    fn several_refusals_alike_among_the_latest_hold_their_step() {
        let mut health = Health::default();
        let no = refused(Reaction::BAD_STEP);
        for _ in 0..3 {
            for _ in 1..limits::REFUSED_ALIKE {
                assert_eq!(hear(&mut health, &no), None);
                assert_eq!(health.hear(step(1), &Said::Accepted, Span::ZERO, NOW), None, "another step");
            }
            (0..limits::STEP_SEES).for_each(|_| assert_eq!(hear(&mut health, &Said::Accepted), None));
        }
        assert_eq!(health.alike.len(), 0, "what fares well is not watched");
        // Each is taken first, as of a provider that refuses them after all.
        for _ in 1..limits::REFUSED_ALIKE {
            hear(&mut health, &Said::Accepted);
            hear(&mut health, &no);
        }
        let because = "the provider said 7".to_owned();
        let held = Act::HoldStep { step: step(0), template: false, until: None, because };
        assert_eq!(hear(&mut health, &no), Some(held));
        assert_eq!(hear(&mut health, &no), None, "released, it is tried as often again");
    }

    #[test]
    fn media_that_fail_again_and_again_hold_their_step() {
        let reaction = Reaction::Later { after: Span::minutes(1), times: 2, then: Then::HoldStep };
        let mut health = Health::default();
        let mut after = |tries| hear(&mut health, &Said::Refused { code: "131052".into(), reaction, tries });
        for _ in 0..2 * limits::REFUSED_ALIKE {
            assert_eq!((after(1), after(2), after(4)), (None, None, None), "a message counts once");
        }
        (1..limits::REFUSED_ALIKE).for_each(|_| assert_eq!(after(3), None, "it may be one contact's"));
        assert!(matches!(after(3), Some(Act::HoldStep { .. })));
    }

    #[test]
    fn the_breaker_opens_on_many_failures_and_for_longer_each_time_until_one_is_taken() {
        let mut health = Health::default();
        let no = refused(Reaction::SOON);
        let mut now = NOW;
        // One that fails, each as soon as the breaker lets it.
        let mut fails = |health: &mut Health| {
            let act = health.hear(step(0), &no, Span::ZERO, now)?;
            let Act::HoldSender { until: Some(until), .. } = act else { panic!("{act:?}") };
            assert_eq!(health.hear(step(0), &no, Span::ZERO, now), None, "under way as it opened");
            let pause = until.since(now);
            now = until;
            Some(pause)
        };
        assert!((1..limits::BREAKER_OPENS).all(|_| fails(&mut health).is_none()));
        for doubled in 0..limits::BREAKER_DOUBLES + 3 {
            let pause = Span(limits::BREAKER_LEAST.0 << doubled.min(limits::BREAKER_DOUBLES));
            assert_eq!(fails(&mut health), Some(pause), "a probe that fails opens it again");
        }
        let mut taken = || assert_eq!(health.hear(step(0), &Said::Accepted, Span::ZERO, NOW), None);
        (0..limits::BREAKER_SEES).for_each(|_| taken());
        assert!((1..limits::BREAKER_OPENS).all(|_| fails(&mut health).is_none()), "closed");
        assert_eq!(fails(&mut health), Some(limits::BREAKER_LEAST), "and opens as at first");
    }

    #[test]
    fn calls_that_were_under_way_as_the_breaker_opened_open_it_no_further() {
        let (mut health, hangs) = (Health::default(), Said::Uncertain { tries: 1 });
        let took = Span::seconds(30);
        let mut ends = |at| health.hear(step(0), &hangs, took, at).is_some();
        let opened = (1..60).find(|n| ends(NOW + Span::seconds(*n)));
        assert_eq!(opened, Some(limits::BREAKER_OPENS as i64));
        let opened_at = NOW + Span::seconds(limits::BREAKER_OPENS as i64);
        assert!((1..30).all(|n| !ends(opened_at + Span::seconds(n))), "all of them had begun before");
        assert!(ends(opened_at + Span::seconds(31)), "this one begins after it");
    }

    #[test]
    fn a_clock_that_is_set_back_blinds_no_breaker() {
        let (mut health, no) = (Health::default(), refused(Reaction::SOON));
        let mut opens =
            |now| (0..limits::BREAKER_OPENS).any(|_| health.hear(step(0), &no, Span::ZERO, now).is_some());
        assert!(opens(NOW + Span::hours(1)));
        assert!(opens(NOW), "what opened it lies ahead, and says nothing of now");
    }

    #[test]
    fn one_failure_in_three_opens_no_breaker() {
        let mut health = Health::default();
        for n in 0..1_000 {
            let said = if n % 3 == 0 { Said::Uncertain { tries: 1 } } else { Said::Accepted };
            assert_eq!(hear(&mut health, &said), None, "{n}");
        }
    }

    #[test]
    fn a_message_that_is_tried_again_and_again_counts_once() {
        let mut health = Health::default();
        for tries in 2..100 {
            let said = Said::Refused { code: "7".into(), reaction: Reaction::SOON, tries };
            assert_eq!(hear(&mut health, &said), None);
            assert_eq!(hear(&mut health, &Said::Uncertain { tries }), None);
        }
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let mut health = Health::default();
        for no in 0..10_000 {
            health.hear(step(no), &refused(Reaction::BAD_STEP), Span::ZERO, NOW);
            hear(&mut health, &refused(Reaction::SOON));
        }
        assert!(health.alike.len() <= limits::STEPS_WATCHED && health.blamed.0.len() <= limits::BREAKER_SEES);
        assert!(health.alike.values().all(|latest| latest.0.len() <= limits::STEP_SEES));
    }
}
