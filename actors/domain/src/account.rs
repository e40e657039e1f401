//! Accounts: what several channels have at one provider together, and so its limits, and what it is held for.

use serde::{Deserialize, Serialize};

use crate::holds::{Holds, Reacted};
use crate::ids::AccountNo;
use crate::name::Name;

/// A provider account (a WhatsApp portfolio, an SMS account): a scope that every intent through its channels expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its number within the tenant.
    pub no: AccountNo,
    /// Its name.
    pub name: Name,
    /// New recipients in any moving 24 h, of all its channels together. One that two of them write to counts once.
    pub new_recipients: Option<u32>,
    /// What keeps its channels from sending, now and before.
    pub holds: Holds,
    /// What its provider's words keep them from sending for.
    pub reacted: Option<Reacted>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Kind;
    use crate::decide::samples;
    use crate::ids::{ChannelNo, SequenceNo};
    use crate::scope::{HeldBy, Scope};
    use crate::time::Moment;

    const NOW: Moment = Moment(1_000);

    /// Channels 1 and 2 have an account together, 3 has none.
    fn scope(holds: Holds, reacted: Option<Reacted>) -> Scope {
        let mut scope = samples::scope();
        let (no, name) = (AccountNo(4), Name::parse("portfolio").unwrap());
        scope.accounts.insert(no, Account { no, name, new_recipients: None, holds, reacted });
        for no in [2, 3] {
            let channel = samples::channel(no, &format!("mail{no}"), Kind::Email);
            scope.channels.insert(channel.no, channel);
        }
        for no in [1, 2] {
            scope.channels.get_mut(&ChannelNo(no)).unwrap().account = Some(AccountNo(4));
        }
        scope
    }

    fn held_by(scope: &Scope, channel: u32, now: Moment) -> Option<HeldBy> {
        scope.held_by(SequenceNo(1), ChannelNo(channel), now)
    }

    #[test]
    fn what_holds_an_account_holds_all_its_channels_and_no_others() {
        let mut holds = Holds::default();
        holds.hold(Moment(900), "unpaid");
        let by_hand = scope(holds, None);
        let until = Some(Moment(1_500));
        let by_provider = scope(Holds::default(), Some(Reacted { since: NOW, until, to: "80007".into() }));
        for scope in [&by_hand, &by_provider] {
            assert_eq!(
                [1, 2, 3].map(|no| held_by(scope, no, NOW)),
                [Some(HeldBy::Account), Some(HeldBy::Account), None]
            );
            assert_eq!(held_by(&scope.released(), 1, NOW), None);
        }
        let until_of = |scope: &Scope| scope.holds_until(HeldBy::Account, ChannelNo(2));
        assert_eq!((until_of(&by_hand), until_of(&by_provider)), (None, until));
        assert_eq!(held_by(&by_provider, 1, Moment(1_500)), None);
        let let_go = |at| by_provider.let_go_at(ChannelNo(2), at);
        assert_eq!((let_go(NOW), let_go(Moment(1_501))), (None, until));
        let pushed = |no| by_hand.pushed_back(SequenceNo(1), ChannelNo(no), (Moment(0), Moment(950)), NOW);
        assert_eq!((pushed(1), pushed(3)), (Moment(1_050), Moment(950)), "a wait does not run meanwhile");
    }
}
