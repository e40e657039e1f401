//! Scopes: the tenant, account, channel and sequence an intent depends on, read as one.
//!
//! Holding a scope is one write to its row; intents expect that row, so none that was decided before passes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::Account;
use crate::channel::{Channel, Kind};
use crate::content::Template;
use crate::health::StepOf;
use crate::holds::{PastHold, Reacted};
use crate::ids::{AccountNo, ChannelNo, SequenceNo, StepNo, VersionNo};
use crate::lane::Weight;
use crate::sequence::{ChannelRef, Sequence, Step, Version};
use crate::tenant::Tenant;
use crate::time::Moment;

/// Everything current that decisions of one tenant depend on.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The tenant.
    pub tenant: Tenant,
    /// Its accounts at providers.
    pub accounts: BTreeMap<AccountNo, Account>,
    /// Its channels.
    pub channels: BTreeMap<ChannelNo, Channel>,
    /// Its sequences.
    pub sequences: BTreeMap<SequenceNo, Sequence>,
    /// Their versions that are in use.
    pub versions: BTreeMap<(SequenceNo, VersionNo), Arc<Version>>,
}

/// What holds a send back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldBy {
    /// The tenant, held or off.
    Tenant,
    /// The channel.
    Channel,
    /// The sequence, paused.
    Sequence,
    /// The enrollment itself: it kept failing.
    Quarantine,
    /// What the channel's provider said or did.
    Provider,
    /// The step: providers refuse what it says.
    Step,
    /// The account of the channel, by a person or by what its provider said.
    Account,
}

impl HeldBy {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            HeldBy::Tenant => "tenant",
            HeldBy::Account => "account",
            HeldBy::Channel => "channel",
            HeldBy::Sequence => "sequence",
            HeldBy::Quarantine => "quarantine",
            HeldBy::Provider => "provider",
            HeldBy::Step => "step",
        }
    }
}

impl Scope {
    /// The version an enrollment is pinned to.
    #[must_use]
    pub fn version(&self, sequence: SequenceNo, version: VersionNo) -> Option<&Arc<Version>> {
        self.versions.get(&(sequence, version))
    }

    /// How much of a lane a sequence gets beside others of its class.
    #[must_use]
    pub fn weight(&self, sequence: SequenceNo) -> Weight {
        self.sequences.get(&sequence).map(|sequence| sequence.weight).unwrap_or_default()
    }

    /// The channel a step names: by name, or the tenant's default of a kind, else the one of that kind with the lowest
    /// number.
    #[must_use]
    pub fn channel(&self, wanted: &ChannelRef) -> Option<&Channel> {
        match wanted {
            ChannelRef::Named(name) => self.channels.values().find(|channel| channel.name == *name),
            ChannelRef::OfKind(kind) => self.default_channel(*kind),
        }
    }

    fn default_channel(&self, kind: Kind) -> Option<&Channel> {
        let named = self.tenant.default_channels.get(&kind).and_then(|no| self.channels.get(no));
        named.or_else(|| self.channels.values().find(|channel| channel.kind == kind))
    }

    /// Whether a step that names only this channel's kind means this channel.
    #[must_use]
    pub fn is_default(&self, channel: &Channel) -> bool {
        self.default_channel(channel.kind).is_some_and(|default| default.no == channel.no)
    }

    /// This scope as if nothing were held or off: what would be sent if it were not.
    #[must_use]
    pub fn released(&self) -> Scope {
        let mut scope = self.clone();
        (scope.tenant.on, scope.tenant.off_since) = (true, None);
        scope.tenant.holds.current = None;
        for account in scope.accounts.values_mut() {
            (account.holds.current, account.reacted) = (None, None);
        }
        for channel in scope.channels.values_mut() {
            (channel.holds.current, channel.reacted) = (None, None);
        }
        for sequence in scope.sequences.values_mut() {
            sequence.holds.current = None;
            sequence.held_steps.clear();
        }
        scope
    }

    /// The widest scope that holds sends of `sequence` through `channel`.
    #[must_use]
    pub fn held_by(&self, sequence: SequenceNo, channel: ChannelNo, now: Moment) -> Option<HeldBy> {
        if !self.tenant.on || self.tenant.holds.current.is_some() {
            return Some(HeldBy::Tenant);
        }
        if self.sequences.get(&sequence).is_none_or(|sequence| sequence.holds.current.is_some()) {
            return Some(HeldBy::Sequence);
        }
        let channel = self.channels.get(&channel)?;
        if self.held_by_account(channel.no, now) {
            return Some(HeldBy::Account);
        }
        if channel.holds.current.is_some() {
            return Some(HeldBy::Channel);
        }
        channel.reacted.as_ref().is_some_and(|reacted| reacted.is_on(now)).then_some(HeldBy::Provider)
    }

    /// The account that a channel belongs to.
    #[must_use]
    pub fn account_of(&self, channel: ChannelNo) -> Option<&Account> {
        self.accounts.get(&self.channels.get(&channel)?.account?)
    }

    /// Whether the account of a channel is held.
    #[must_use]
    pub fn held_by_account(&self, channel: ChannelNo, now: Moment) -> bool {
        self.account_of(channel).is_some_and(|account| {
            account.holds.current.is_some() || account.reacted.as_ref().is_some_and(|on| on.is_on(now))
        })
    }

    /// Until when what holds a channel's sends keeps them, where that ends by itself.
    #[must_use]
    pub fn holds_until(&self, by: HeldBy, channel: ChannelNo) -> Option<Moment> {
        match by {
            HeldBy::Provider => self.channels.get(&channel)?.reacted.as_ref()?.until,
            HeldBy::Account => {
                let account = self.account_of(channel).filter(|account| account.holds.current.is_none())?;
                account.reacted.as_ref()?.until
            }
            HeldBy::Tenant | HeldBy::Channel | HeldBy::Sequence | HeldBy::Quarantine | HeldBy::Step => None,
        }
    }

    /// When the last hold of what leaves by a channel ended, whoever held it: of the channel, its account or the tenant,
    /// by a provider or for a while by a person, or of a step. What waited is to leave gently; that somebody paused one
    /// sequence is no reason to slow down the others.
    #[must_use]
    pub fn let_go_at(&self, channel: ChannelNo, now: Moment) -> Option<Moment> {
        let own = self.channels.get(&channel)?;
        let account = self.account_of(channel);
        let reacted = [own.reacted.as_ref(), account.and_then(|account| account.reacted.as_ref())];
        let ended = reacted.into_iter().flatten().filter_map(|reacted| ended_at(reacted, now));
        let holds = [Some(&self.tenant.holds), Some(&own.holds), account.map(|account| &account.holds)];
        let released = holds.into_iter().flatten().filter_map(|holds| holds.let_go_at(now));
        ended.chain(released).chain(self.steps_let_go_at(channel, now)).max()
    }

    /// When steps that leave by a channel went on.
    fn steps_let_go_at(&self, channel: ChannelNo, now: Moment) -> impl Iterator<Item = Moment> + '_ {
        let steps = self.sequences.values().flat_map(|sequence| {
            sequence
                .held_steps
                .iter()
                .map(move |((version, step), held)| ((sequence.no, *version), *step, held))
        });
        steps.filter_map(move |(version, step, held)| {
            let at = ended_at(held, now)?;
            let leaves_by = self.channel(&self.versions.get(&version)?.step(step)?.channel)?;
            (leaves_by.no == channel).then_some(at)
        })
    }

    /// What holds a step by itself.
    #[must_use]
    pub fn held_step(
        &self,
        sequence: SequenceNo,
        (version, step): (VersionNo, StepNo),
        now: Moment,
    ) -> Option<&Reacted> {
        let held = self.sequences.get(&sequence)?.held_steps.get(&(version, step))?;
        Some(held).filter(|reacted| reacted.is_on(now))
    }

    /// The steps that send the same approved template of an account as this one by `channel`, itself among them; where it
    /// sends none, it alone.
    #[must_use]
    pub fn like(&self, step: StepOf, channel: ChannelNo) -> Vec<StepOf> {
        let template = |step: &StepOf| {
            let version = self.version(step.sequence, step.version)?;
            let template = version.step(step.step)?.template()?;
            Some((template.name.clone(), template.language.clone()))
        };
        template(&step).map_or_else(|| vec![step], |(name, language)| self.sending(&name, &language, channel))
    }

    /// The steps that send this approved template by `channel`, or another of its account, those of one sequence beside
    /// each other: other accounts have templates of their own under the same name.
    #[must_use]
    pub fn sending(&self, name: &str, language: &str, channel: ChannelNo) -> Vec<StepOf> {
        let account = self.channels.get(&channel).and_then(|channel| channel.account);
        let shares = |step: &Step| {
            self.channel(&step.channel)
                .is_some_and(|one| one.no == channel || (account.is_some() && one.account == account))
        };
        let all = self.versions.iter().flat_map(|((sequence, version), known)| {
            let steps = (0_u16..).map(StepNo).zip(&known.steps);
            steps.map(|(step, sends)| (StepOf { sequence: *sequence, version: *version, step }, sends))
        });
        let sends = all.filter(|(_, step)| {
            let is_it = |template: &Template| template.name == name && template.language == language;
            step.template().is_some_and(is_it) && shares(step)
        });
        sends.map(|(step, _)| step).collect()
    }

    /// When a wait that began at `from` and was to end at `due` ends, pushed back by the holds it ran through until
    /// `now`; one that is on counts as far as it has come.
    #[must_use]
    pub fn pushed_back(
        &self,
        sequence: SequenceNo,
        channel: ChannelNo,
        (from, due): (Moment, Moment),
        now: Moment,
    ) -> Moment {
        let sequence = self.sequences.get(&sequence).map(|sequence| &sequence.holds);
        let account = self.account_of(channel).map(|account| &account.holds);
        let channel = self.channels.get(&channel).map(|channel| &channel.holds);
        let scopes = [sequence, account, channel].into_iter().flatten().flat_map(|holds| holds.until(now));
        let mut holds: Vec<PastHold> = self.tenant.held_until(now).chain(scopes).collect();
        holds.sort_by_key(|hold| hold.since);
        let (mut end, mut counted_to) = (due, from);
        for hold in holds {
            // Holds can overlap one another: what is counted once does not count again.
            let start = hold.since.max(counted_to);
            if start >= end {
                break;
            }
            end = end + hold.until.since(start);
            counted_to = counted_to.max(hold.until);
        }
        end
    }
}

/// When a hold ended, if it has.
fn ended_at(reacted: &Reacted, now: Moment) -> Option<Moment> {
    reacted.until.filter(|at| *at <= now && !reacted.is_on(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holds::{Holds, tests::held};
    use crate::limits;

    #[test]
    fn a_tenant_that_is_off_pushes_back_as_far_as_it_has_come() {
        let mut scope = scope(held(&[(10, 20)]), held(&[(985, 992)]));
        scope.tenant.switch(false, Moment(990));
        assert_eq!(pushed(&scope, 900, 995), Moment(1_010), "from 985 on without a break");
        scope.tenant.switch(true, Moment(996));
        assert_eq!(pushed(&scope, 900, 995), Moment(1_006));
    }

    #[test]
    fn what_waited_for_a_person_or_a_step_is_let_go_as_what_waited_for_a_provider() {
        let let_go = |scope: &Scope, now| scope.let_go_at(ChannelNo(1), Moment(now));
        let long = limits::EASED_IN_AFTER.0;
        let holds = || held(&[(10, 10 + long), (20_000, 20_000 + long), (30_000, 30_000 + long - 1)]);
        let none = || Holds::default();
        let mut by_channel = scope(none(), none());
        by_channel.channels.get_mut(&ChannelNo(1)).unwrap().holds = holds();
        for scope in [scope(holds(), none()), by_channel] {
            assert_eq!(let_go(&scope, 90_000), Some(Moment(20_000 + long)), "a short one kept nobody");
            assert_eq!(let_go(&scope, 20_000), Some(Moment(10 + long)), "seen from before its end");
            assert_eq!(scope.let_go_at(ChannelNo::CONTROL, Moment(90_000)), None);
        }
        assert_eq!(let_go(&scope(none(), holds()), 90_000), None, "others go on meanwhile");
        let mut scope = scope(none(), none());
        let sequence = scope.sequences.get_mut(&SequenceNo(1)).unwrap();
        let (step, reacted) =
            ((VersionNo(1), StepNo(1)), |until| Reacted { since: Moment(1), until, to: "no".into() });
        sequence.held_steps.insert(step, reacted(None));
        assert_eq!(let_go(&scope, 90_000), None);
        let sequence = scope.sequences.get_mut(&SequenceNo(1)).unwrap();
        assert!(!sequence.let_steps_go(|one, _| one != step, Moment(400)));
        assert!(sequence.let_steps_go(|one, _| one == step, Moment(400)));
        assert!(!sequence.let_steps_go(|_, _| true, Moment(500)), "it is held no more");
        assert_eq!(let_go(&scope, 90_000), Some(Moment(400)));
        assert_eq!(scope.held_step(SequenceNo(1), step, Moment(400)), None);
        let sequence = scope.sequences.get_mut(&SequenceNo(1)).unwrap();
        sequence.let_steps_go(|_, _| true, Moment(400) + limits::EASED_IN_WITHIN);
        assert_eq!(sequence.held_steps.len(), 0, "and forgotten in the end");
    }

    #[test]
    fn a_kind_means_the_tenant_s_default_or_the_lowest_channel_of_it() {
        let mut scope = scope(Holds::default(), Holds::default());
        for no in [3, 2] {
            let channel = crate::decide::samples::channel(no, &format!("mail{no}"), Kind::Email);
            scope.channels.insert(channel.no, channel);
        }
        let named = |scope: &Scope| scope.channel(&ChannelRef::OfKind(Kind::Email)).map(|channel| channel.no);
        assert_eq!(named(&scope), Some(ChannelNo(1)));
        scope.tenant.default_channels.insert(Kind::Email, ChannelNo(3));
        assert_eq!(named(&scope), Some(ChannelNo(3)));
        scope.channels.remove(&ChannelNo(3));
        assert_eq!(named(&scope), Some(ChannelNo(1)), "a default that is gone is none");
    }

    fn scope(tenant: Holds, sequence: Holds) -> Scope {
        let mut scope = crate::decide::samples::scope();
        scope.tenant.holds = tenant;
        if let Some(known) = scope.sequences.get_mut(&SequenceNo(1)) {
            known.holds = sequence;
        }
        scope
    }

    fn pushed(scope: &Scope, from: i64, due: i64) -> Moment {
        scope.pushed_back(SequenceNo(1), ChannelNo(1), (Moment(from), Moment(due)), Moment(1_000))
    }

    #[test]
    fn a_wait_is_pushed_back_by_what_it_was_held() {
        let scope = scope(held(&[(10, 20), (100, 150)]), held(&[(15, 30)]));
        assert_eq!(pushed(&scope, 0, 50), Moment(70), "10 to 30 once, though two holds cover part of it");
        assert_eq!(pushed(&scope, 0, 90), Moment(160), "pushed into the next hold, and over it");
        assert_eq!(pushed(&scope, 25, 50), Moment(55));
        assert_eq!(pushed(&scope, 30, 100), Moment(100), "due as a hold began");
    }

    #[test]
    fn a_hold_that_is_on_pushes_back_as_far_as_it_has_come() {
        let mut tenant = Holds::default();
        tenant.hold(Moment(990), "test");
        let scope = scope(tenant, Holds::default());
        assert_eq!(pushed(&scope, 0, 995), Moment(1_005));
        assert_eq!(pushed(&scope, 0, 990), Moment(990), "due as it began");
    }
}
