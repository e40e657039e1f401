//! Holds: no sends of a scope until a person releases it, and what holds leave behind; holds that a provider's words
//! have caused.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::time::Moment;

/// No sends until a person releases it; rows stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Moment,
    /// Why, in the words of who held it.
    pub reason: String,
}

/// No sends because of what a provider said, or did: until then, or until a person releases it. Whoever waits has
/// been in line already, so that no wait is pushed back by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reacted {
    /// Since when; once a person has ended it, as `until`.
    pub since: Moment,
    /// Until when; `None`: a person has to release it.
    pub until: Option<Moment>,
    /// To what, in a few words.
    pub to: String,
}

impl Reacted {
    /// How the reason of a hold begins that is of a step's approved template. Reasons are ours alone, and what a provider
    /// says stands behind our own words: none begins so by chance.
    const OF_TEMPLATE: &str = "its template: ";

    /// The reason of a hold of steps whose approved template they are held for.
    #[must_use]
    pub fn to_template(because: &str) -> String {
        format!("{}{because}", Reacted::OF_TEMPLATE)
    }

    /// Whether a step is held for its approved template, so that its provider may let it go on.
    #[must_use]
    pub fn is_of_template(&self) -> bool {
        self.to.starts_with(Reacted::OF_TEMPLATE)
    }

    /// Whether it holds still.
    #[must_use]
    pub fn is_on(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until && self.since < until)
    }

    /// Ends it, if it holds still; for good, also where the clock is set back afterwards.
    pub fn end(&mut self, now: Moment) {
        if self.is_on(now) {
            (self.since, self.until) = (now, Some(now));
        }
    }
}

/// A hold that has ended: waits that ran during it are pushed back by their overlap with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastHold {
    /// From.
    pub since: Moment,
    /// Until, exclusive.
    pub until: Moment,
}

/// The holds of one scope, now and before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// What holds it now.
    pub current: Option<Hold>,
    /// Holds that have ended, the latest last.
    pub past: Vec<PastHold>,
}

impl Holds {
    /// Holds the scope; one that is held stays as it is.
    pub fn hold(&mut self, now: Moment, reason: &str) {
        self.current.get_or_insert_with(|| Hold { since: now, reason: reason.to_owned() });
    }

    /// Releases the scope; whether it was held.
    pub fn release(&mut self, now: Moment) -> bool {
        let Some(hold) = self.current.take() else { return false };
        self.remember(hold.since, now);
        true
    }

    /// Notes that the scope was held from `since` until now, and forgets what is too old or too many.
    pub(crate) fn remember(&mut self, since: Moment, now: Moment) {
        self.past.push(PastHold { since, until: now.max(since) });
        // No wait is longer than this, so no open one overlaps an older hold.
        self.past.retain(|past| past.until + limits::LONGEST_WAIT > now);
        let surplus = self.past.len().saturating_sub(limits::PAST_HOLDS);
        self.past.drain(..surplus);
    }

    /// When the last of those that have ended and were long enough for much to gather behind them was released.
    pub(crate) fn let_go_at(&self, now: Moment) -> Option<Moment> {
        let gathered =
            |past: &&PastHold| past.until <= now && past.until.since(past.since) >= limits::EASED_IN_AFTER;
        self.past.iter().rev().find(gathered).map(|past| past.until)
    }

    /// The holds there were, the current one as if it ended now.
    pub(crate) fn until(&self, now: Moment) -> impl Iterator<Item = PastHold> + '_ {
        let current = self.current.iter().map(move |hold| PastHold { since: hold.since, until: now });
        self.past.iter().copied().chain(current)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::time::Span;

    /// Holds from and until these moments, all ended.
    pub(crate) fn held(spans: &[(i64, i64)]) -> Holds {
        let mut holds = Holds::default();
        for (since, until) in spans {
            holds.hold(Moment(*since), "test");
            assert!(holds.release(Moment(*until)));
        }
        holds
    }

    #[test]
    fn what_a_person_ends_is_over_whatever_the_clock_says_afterwards() {
        let mut reacted = Reacted { since: Moment(10), until: None, to: "7".into() };
        reacted.end(Moment(20));
        assert!(!reacted.is_on(Moment(20)) && !reacted.is_on(Moment(15)) && !reacted.is_on(Moment(5)));
        let mut timed = Reacted { since: Moment(10), until: Some(Moment(30)), to: "7".into() };
        assert!(timed.is_on(Moment(5)) && timed.is_on(Moment(29)) && !timed.is_on(Moment(30)));
        timed.end(Moment(20));
        assert!(!timed.is_on(Moment(19)));
    }

    #[test]
    fn a_hold_that_is_on_is_not_held_again() {
        let mut holds = held(&[]);
        holds.hold(Moment(1), "first");
        holds.hold(Moment(5), "second");
        assert_eq!(holds.current.as_ref().map(|hold| hold.since), Some(Moment(1)));
        assert!(holds.release(Moment(9)));
        assert!(!holds.release(Moment(10)));
        assert_eq!(holds.past, [PastHold { since: Moment(1), until: Moment(9) }]);
    }

    #[test]
    fn past_holds_are_bounded() {
        let spans: Vec<(i64, i64)> = (0..200).map(|n| (n * 10, n * 10 + 5)).collect();
        assert_eq!(held(&spans).past.len(), limits::PAST_HOLDS);
        let mut holds = held(&[(0, 5)]);
        holds.hold(Moment(10), "later");
        holds.release(Moment(6) + limits::LONGEST_WAIT + Span(1));
        assert_eq!(holds.past.len(), 1, "a hold no open wait can overlap is forgotten");
    }
}
