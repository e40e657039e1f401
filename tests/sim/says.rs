//! What a provider can say to a call, and what the engine is told by it.

use followupd_channel::Answer;
use followupd_domain::Span;
use followupd_domain::reaction::{Again, Blames, Reaction, Scope, Then, Until};

use super::coverage::Event;
use super::dice::Dice;

/// What a provider says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// It takes it.
    Accepted,
    /// It is busy.
    Refused,
    /// It cannot be connected to.
    BackedOff,
    /// Nothing of the call left.
    Unsent,
    /// It is down for everybody.
    Down,
    /// There is no such address.
    Rejected,
    /// The text is at fault.
    BadText,
    /// Too fast.
    Throttled,
    /// Maintenance for a minute.
    Rests,
    /// The sender must stop.
    Stops,
    /// The account must wait.
    AccountBusy,
    /// The contact wants no more.
    OptedOut,
    /// Nothing arrives there for now.
    Unusable,
    /// Not now, after a long pause.
    Later,
    /// Nothing, in time.
    Uncertain,
    /// The adapter panics.
    Breaks,
}

/// How long maintenance takes.
pub(crate) const RESTS_FOR: Span = Span::minutes(1);
/// How long an account must wait.
pub(crate) const ACCOUNT_WAITS: Span = Span::minutes(5);
/// The pause of [`Says::Later`].
pub(crate) const LATER: Span = Span::minutes(40);

impl Says {
    /// All of them.
    pub(crate) const ALL: [Says; 16] = [
        Says::Accepted,
        Says::Refused,
        Says::BackedOff,
        Says::Unsent,
        Says::Down,
        Says::Rejected,
        Says::BadText,
        Says::Throttled,
        Says::Rests,
        Says::Stops,
        Says::AccountBusy,
        Says::OptedOut,
        Says::Unusable,
        Says::Later,
        Says::Uncertain,
        Says::Breaks,
    ];

    /// What it says by chance, and whether it has taken the message.
    pub(crate) fn draw(dice: &mut Dice) -> (Says, bool) {
        match dice.below(100) {
            0..=7 => (Says::Refused, false),
            8 => (Says::BackedOff, false),
            9 => (Says::Unsent, false),
            10..=12 => (Says::Rejected, false),
            13 => (Says::OptedOut, false),
            14..=16 => (Says::Uncertain, true),
            17..=19 => (Says::Uncertain, false),
            20 => (Says::Breaks, true),
            21..=24 => (Says::BadText, false),
            25..=26 => (Says::Throttled, false),
            27 => (Says::Rests, false),
            28 if dice.chance(300) => (Says::Stops, false),
            29 => (Says::AccountBusy, false),
            30 => (Says::Unusable, false),
            31 => (Says::Later, false),
            _ => (Says::Accepted, true),
        }
    }

    /// As the engine is answered; nothing where the adapter panics.
    pub(crate) fn answer(self) -> Option<Answer> {
        let refused = |code: &str, reaction| Some(Answer::refused(code, reaction));
        match self {
            Says::Accepted => Some(Answer::Accepted),
            Says::Refused => refused("busy", Reaction::again(Again::SOON)),
            Says::BackedOff => refused("421", Reaction::HOST_RESTS),
            Says::Unsent => Some(Answer::unsent("connect")),
            Says::Down => refused("down", Reaction::SOON),
            Says::BadText => refused("bad_text", Reaction::BAD_STEP),
            Says::Throttled => refused("busy", Reaction::Slow { after: Span::seconds(1) }),
            Says::Rests => refused(
                "maintenance",
                Reaction::Hold { scope: Scope::Sender, until: Until::After(RESTS_FOR) },
            ),
            Says::AccountBusy => refused("80007", Reaction::back_off(Scope::Account, ACCOUNT_WAITS)),
            Says::Stops => refused("spam", Reaction::stop(Scope::Sender)),
            Says::Rejected => refused("unknown_address", Reaction::never(Blames::Address)),
            Says::OptedOut => refused("opted_out", Reaction::OptOut),
            Says::Unusable => refused("unusable", Reaction::Unusable),
            Says::Later => refused("later", Reaction::Later { after: LATER, times: 2, then: Then::Skip }),
            Says::Uncertain => Some(Answer::Uncertain),
            Says::Breaks => None,
        }
    }

    /// Its word in a trace.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Says::Accepted => "accepted",
            Says::Refused => "refused",
            Says::BackedOff => "backed off",
            Says::Unsent => "not reached",
            Says::Down => "down",
            Says::BadText => "bad text",
            Says::Throttled => "throttled",
            Says::Rests => "in maintenance",
            Says::AccountBusy => "told to wait",
            Says::Stops => "stopped",
            Says::Rejected => "rejected",
            Says::OptedOut => "opted out",
            Says::Unusable => "unusable",
            Says::Later => "later",
            Says::Uncertain => "uncertain",
            Says::Breaks => "broke",
        }
    }

    /// What it is for the enrollment.
    pub(crate) fn event(self) -> Event {
        match self {
            Says::Accepted => Event::Accepted,
            Says::Rejected | Says::BadText | Says::OptedOut | Says::Unusable => Event::Rejected,
            Says::Uncertain | Says::Breaks => Event::Uncertain,
            Says::Refused
            | Says::BackedOff
            | Says::Unsent
            | Says::Down
            | Says::Throttled
            | Says::Rests
            | Says::AccountBusy
            | Says::Stops
            | Says::Later => Event::Refused,
        }
    }
}

/// What follows from a provider's code that a receipt brings: one of many, by the number of the question.
pub(crate) fn of_receipt(number: usize) -> Option<Reaction> {
    let all = [
        None,
        Some(Reaction::SOON),
        Some(Reaction::SOON),
        Some(Reaction::Later { after: LATER, times: 2, then: Then::Skip }),
        Some(Reaction::never(Blames::Address)),
        Some(Reaction::OptOut),
        Some(Reaction::Unusable),
        Some(Reaction::Skip),
        Some(Reaction::BAD_STEP),
        Some(Reaction::Slow { after: Span::seconds(1) }),
        Some(Reaction::Hold { scope: Scope::Sender, until: Until::After(RESTS_FOR) }),
        Some(Reaction::back_off(Scope::Account, ACCOUNT_WAITS)),
    ];
    all[number % all.len()]
}
