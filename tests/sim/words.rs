//! What follows from a provider's words: holds that are written down soon and kept, paces that are cut, addresses that
//! get no more. E8 is held over them.

use std::collections::{BTreeMap, VecDeque};

use followupd_domain::channel::Kind;
use followupd_domain::decision::{Decision, Entry};
use followupd_domain::enrollment::{Enrollment, OpenSend, SendFailure, SendStatus};
use followupd_domain::holds::Reacted;
use followupd_domain::limits::{REFUSED_ALIKE, STEP_SEES, UNUSABLE_FOR};
use followupd_domain::{Moment, SendId, SequenceNo, Span, StepNo, VersionNo};
use followupd_runtime::inspect::{self, ScopeRow};
use followupd_store::Key;

use super::deed::Around;
use super::says::{ACCOUNT_WAITS, LATER, RESTS_FOR, Says};
use super::trace::What;
use super::world::{Inner, World};

/// How soon what a provider asks for is written down, in milliseconds: some turns of the tenant's actor, and a store that
/// stalls.
const WRITTEN_WITHIN: i64 = 30_000;

/// A step of a version of a sequence.
pub(crate) type Step = (SequenceNo, VersionNo, StepNo);

/// What a provider's words hold, of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// One of its channels.
    Channel(usize),
    /// The account of all.
    Account,
    /// A step.
    Step(Step),
}

impl Bound {
    /// Whether releasing this releases it.
    fn is_released_by(self, scope: Around) -> bool {
        match (self, scope) {
            (Bound::Channel(place), Around::Channel(released)) => place == released,
            (Bound::Account, Around::Account) => true,
            (Bound::Step((sequence, ..)), Around::Sequence(place)) => sequence.0 as usize == place + 1,
            _ => false,
        }
    }
}

/// A hold that is durable.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Whose.
    pub(crate) tenant: usize,
    /// Of what.
    pub(crate) bound: Bound,
    /// Since when it is durable.
    pub(crate) from: i64,
    /// When its release was asked for.
    pub(crate) until: Option<i64>,
    /// What its row says.
    pub(crate) reacted: Reacted,
}

impl Told {
    /// Whether it holds at a moment, by both clocks.
    pub(crate) fn holds(&self, at: i64, wall: Moment) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until) && self.reacted.is_on(wall)
    }
}

/// A hold that a provider asked for, until a row shows it.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed, field by field")]
struct Wanted {
    tenant: usize,
    bound: Bound,
    says: Says,
    /// When the outcome that asks for it was durable.
    from: i64,
    /// It lasts until then at least; `None`: until a person releases it.
    least: Option<Moment>,
}

/// A lane that was told to slow down.
#[derive(Clone, Debug)]
pub(crate) struct Slowed {
    /// Whose.
    pub(crate) tenant: usize,
    /// Which channel's.
    pub(crate) place: usize,
    /// In which life.
    pub(crate) life: u32,
    /// When that was durable.
    pub(crate) at: i64,
}

/// What providers said.
#[derive(Default)]
pub(crate) struct Words {
    /// Answers to calls whose outcome is not durable yet, and what the wall said then.
    answers: BTreeMap<SendId, (Says, Moment)>,
    wanted: Vec<Wanted>,
    /// Holds that rows have shown.
    pub(crate) told: Vec<Told>,
    /// Releases that are under way: what is shown meanwhile may go by them.
    releasing: Vec<(usize, Around)>,
    /// The latest outcomes of steps in this life, as far as they say something of their text: whether each was bad.
    alike: BTreeMap<(usize, Step), VecDeque<bool>>,
    /// Lanes that were told to slow down.
    pub(crate) slowed: Vec<Slowed>,
    /// Sends that are not to be called again before then.
    pub(crate) not_before: BTreeMap<SendId, Moment>,
}

impl Words {
    /// A process is gone: what it had heard and not written down is.
    pub(crate) fn forget(&mut self) {
        self.answers.clear();
        self.wanted.clear();
        self.releasing.clear();
        self.alike.clear();
    }

    /// A call was answered.
    pub(crate) fn answered(&mut self, send: SendId, says: Says, wall: Moment) {
        self.answers.insert(send, (says, wall));
    }

    /// A release is asked for.
    pub(crate) fn release_begins(&mut self, tenant: usize, scope: Around, now: i64) {
        self.releasing.push((tenant, scope));
        let released = |whose: usize, bound: Bound| whose == tenant && bound.is_released_by(scope);
        self.wanted.retain(|wanted| !released(wanted.tenant, wanted.bound));
        for told in self.told.iter_mut().filter(|told| released(told.tenant, told.bound)) {
            told.until.get_or_insert(now);
        }
    }

    /// It was answered.
    pub(crate) fn release_ends(&mut self, tenant: usize, scope: Around) {
        let place = self.releasing.iter().position(|known| *known == (tenant, scope));
        place.map(|place| self.releasing.swap_remove(place));
    }

    fn is_releasing(&self, tenant: usize, bound: Bound) -> bool {
        self.releasing.iter().any(|(whose, scope)| *whose == tenant && bound.is_released_by(*scope))
    }

    /// Whether it is held until `least`, as far as rows have shown.
    fn is_held(&self, wanted: &Wanted, at: i64, now: Moment) -> bool {
        let lasts = |reacted: &Reacted| match (reacted.until, wanted.least) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(until), Some(least)) => until >= least,
        };
        let like = |told: &&Told| told.tenant == wanted.tenant && told.bound == wanted.bound;
        self.told.iter().filter(like).any(|told| told.holds(at, now) && lasts(&told.reacted))
    }
}

impl World {
    /// The outcome of a call is durable: what its provider said is to be followed from now on.
    pub(crate) fn heard(&self, inner: &mut Inner, (before, open): (&Enrollment, &OpenSend), new: &[&Entry]) {
        let Some((says, wall)) = inner.words.answers.remove(&open.send) else { return };
        let (tenant, place) = (before.tenant.0 as usize - 1, open.channel.0 as usize - 1);
        let half = |span: Span| Some(wall + Span(span.0 / 2));
        let want = |inner: &mut Inner, bound, least| {
            let from = self.env.elapsed();
            inner.words.wanted.push(Wanted { tenant, bound, says, from, least });
            self.look_for_holds(inner);
        };
        match says {
            Says::Stops => want(inner, Bound::Channel(place), None),
            // One that is held for a good part of it already is not held longer.
            Says::Rests => want(inner, Bound::Channel(place), half(RESTS_FOR)),
            Says::AccountBusy => want(inner, Bound::Account, half(ACCOUNT_WAITS)),
            Says::BadText | Says::Accepted => {
                let step = (before.sequence, before.version, open.send.step);
                let bad = says == Says::BadText;
                let latest = inner.words.alike.entry((place + 2 * tenant, step)).or_default();
                latest.push_back(bad);
                if latest.len() > STEP_SEES {
                    latest.pop_front();
                }
                if bad && latest.iter().filter(|bad| **bad).count() >= REFUSED_ALIKE {
                    latest.clear();
                    want(inner, Bound::Step(step), None);
                }
            }
            Says::Throttled => {
                let slowed = Slowed { tenant, place, life: inner.life, at: self.env.elapsed() };
                inner.words.slowed.push(slowed);
            }
            Says::Rejected | Says::OptedOut | Says::Unusable => {
                let ends_at = (says == Says::Unusable).then(|| wall + UNUSABLE_FOR);
                inner.address_stops(says.word(), before, kind_of(place), ends_at);
            }
            Says::Later => {
                let again = new.iter().find(|entry| matches!(entry.decision, Decision::Refused { .. }));
                let not_before = again.map(|entry| (open.send, entry.at + LATER));
                inner.words.not_before.extend(not_before);
            }
            Says::Refused | Says::BackedOff | Says::Unsent | Says::Down | Says::Uncertain | Says::Breaks => {}
        }
    }

    /// A receipt is durable that says of an address what a call's answer can say.
    pub(crate) fn received(&self, inner: &mut Inner, after: &Enrollment, new: &[&Entry]) {
        for entry in new {
            let Decision::Received { step, status: SendStatus::Failed(failure) } = &entry.decision else {
                continue;
            };
            let ends_at = match failure {
                SendFailure::BadAddress => None,
                SendFailure::Unusable => Some(entry.at + UNUSABLE_FOR),
                _ => continue,
            };
            let sent = after.sends.iter().rfind(|send| send.step == *step);
            let Some(sent) = sent else { continue };
            let kind = kind_of(sent.channel.0 as usize - 1);
            inner.address_stops("receipt", after, kind, ends_at);
        }
    }

    /// The row of a scope is durable: what it shows to be held is held from now on, whatever is written later.
    pub(crate) fn scope_row(&self, inner: &mut Inner, key: &Key, body: &[u8]) {
        let tenant = key.tenant_no().unwrap().0 as usize - 1;
        let shown: Vec<(Bound, Reacted)> = match inspect::scope(key, body).unwrap() {
            ScopeRow::Tenant => Vec::new(),
            ScopeRow::Channel(channel) => {
                let bound = Bound::Channel(channel.no.0 as usize - 1);
                channel.reacted.into_iter().map(|reacted| (bound, reacted)).collect()
            }
            ScopeRow::Account(account) => {
                account.reacted.into_iter().map(|reacted| (Bound::Account, reacted)).collect()
            }
            ScopeRow::Sequence(sequence) => {
                let step = |(version, step)| Bound::Step((sequence.no, version, step));
                sequence.held_steps.into_iter().map(|(at, reacted)| (step(at), reacted)).collect()
            }
        };
        let (at, now) = (self.env.elapsed(), self.env.now());
        for (bound, reacted) in shown.into_iter().filter(|(_, reacted)| reacted.is_on(now)) {
            let like = |told: &Told| (told.tenant, told.bound) == (tenant, bound) && told.reacted == reacted;
            if inner.words.told.iter().any(like) {
                continue;
            }
            if let Bound::Step(step) = bound {
                inner.words.alike.retain(|(_, known), _| *known != step);
            }
            let what = match bound {
                _ if reacted.to.starts_with("kill switch") => "held by a kill switch",
                _ if reacted.to.starts_with("too many") => "held by a breaker",
                Bound::Channel(_) => "held channel",
                Bound::Account => "held account",
                Bound::Step(_) => "held step",
            };
            inner.coverage.count(what);
            let name = self.plan.tenants[tenant].name;
            self.note_in(inner, What::Held(format!("{name} {bound:?} {reacted:?}")));
            let until = inner.words.is_releasing(tenant, bound).then_some(at);
            inner.words.told.push(Told { tenant, bound, from: at, until, reacted });
        }
        self.look_for_holds(inner);
    }

    /// What was asked for is written down soon.
    pub(crate) fn look_for_holds(&self, inner: &mut Inner) {
        let (at, now) = (self.env.elapsed(), self.env.now());
        for wanted in std::mem::take(&mut inner.words.wanted) {
            let over = wanted.least.is_some_and(|least| least <= now);
            let releasing = inner.words.is_releasing(wanted.tenant, wanted.bound);
            if inner.words.is_held(&wanted, at, now) || over || releasing {
                continue;
            }
            if at - wanted.from > WRITTEN_WITHIN {
                let about = self.plan.tenants[wanted.tenant].name;
                inner.broken("E8", about, format!("a hold is never written down: {wanted:?}"));
            } else {
                inner.words.wanted.push(wanted);
            }
        }
    }
}

/// The kind of a channel, by its place.
fn kind_of(place: usize) -> Kind {
    [Kind::Email, Kind::Whatsapp][place]
}
