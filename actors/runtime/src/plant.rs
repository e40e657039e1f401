//! Bugs that tests plant, to see that the invariants find them. Without the feature `plant` none can be.
//!
//! Each is one decision of the engine turned wrong at the place where somebody could get it wrong.

/// A bug to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The call begins before its intent is durable (E7).
    CallBeforeCommit,
    /// The last look acts on the state it was activated with (E8).
    NoExitCheck,
    /// An exit forgets to remove the wake row (E1, E9).
    WakeForgottenOnExit,
    /// An exit forgets that its wake counts no more (E9).
    WakeStillCounted,
    /// An ended enrollment still counts as the contact's only one (E9).
    UniqueKeyKept,
    /// The minute in which the hours end counts as open (E5).
    HoursEndInclusive,
    /// A lane that starts grants a permit its limits do not have (E6).
    PermitAfterRestart,
    /// A late receipt moves a status back (E9).
    ReceiptMovesBack,
    /// An intent expects neither its contact nor the address it goes to (E8).
    NoContactExpectation,
    /// An intent notes nothing of what its contact was sent (E6).
    SendNotNoted,
    /// A send in doubt is called again though its provider knows no keys (E3).
    DoubtCalledAgain,
    /// An intent does not count among the new recipients of its account (E6).
    AccountNotCharged,
    /// The gap between two sends to one contact is not looked at (E6).
    RecipientGapIgnored,
    /// What a provider asks to be held is not (E8).
    ProviderHoldIgnored,
    /// A lane that is told to slow down does not (E6).
    ThrottleIgnored,
    /// An address that is told to be none is not suppressed (E8).
    BounceForgotten,
    /// Limits count by the wall (E6).
    EngineTimeIsWall,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 17] = [
        Bug::CallBeforeCommit,
        Bug::NoExitCheck,
        Bug::WakeForgottenOnExit,
        Bug::WakeStillCounted,
        Bug::UniqueKeyKept,
        Bug::HoursEndInclusive,
        Bug::PermitAfterRestart,
        Bug::ReceiptMovesBack,
        Bug::NoContactExpectation,
        Bug::SendNotNoted,
        Bug::DoubtCalledAgain,
        Bug::AccountNotCharged,
        Bug::RecipientGapIgnored,
        Bug::ProviderHoldIgnored,
        Bug::ThrottleIgnored,
        Bug::BounceForgotten,
        Bug::EngineTimeIsWall,
    ];
}

/// A contact whose messages cannot be rendered: whoever tries panics, while it is on.
#[cfg(feature = "plant")]
#[derive(Debug)]
pub struct Poison {
    /// The platform's id.
    pub contact: String,
    /// Whether it acts.
    pub on: std::sync::atomic::AtomicBool,
}

/// What such a panic carries, so that a test's panic hook can tell it from others.
#[cfg(feature = "plant")]
#[derive(Clone, Copy, Debug)]
pub struct Poisoned;

/// What is planted, if anything is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "plant")]
    bug: Option<Bug>,
    #[cfg(feature = "plant")]
    poison: Option<&'static Poison>,
}

impl Planted {
    /// Plants a bug.
    #[cfg(feature = "plant")]
    #[must_use]
    pub fn bug(bug: Bug) -> Planted {
        Planted { bug: Some(bug), poison: None }
    }

    /// Plants a poison besides.
    #[cfg(feature = "plant")]
    #[must_use]
    pub fn poisoning(self, poison: &'static Poison) -> Planted {
        Planted { poison: Some(poison), ..self }
    }

    /// Rendering for this contact panics where it is poisoned.
    #[cfg(feature = "plant")]
    #[expect(clippy::panic, reason = "that is what is planted")]
    pub(crate) fn render(self, contact: &str) {
        let on = |poison: &&Poison| poison.on.load(std::sync::atomic::Ordering::Relaxed);
        if self.poison.filter(on).is_some_and(|poison| poison.contact == contact) {
            std::panic::panic_any(Poisoned);
        }
    }

    /// Rendering for this contact panics where it is poisoned: never.
    #[cfg(not(feature = "plant"))]
    pub(crate) fn render(self, _contact: &str) {}

    /// Whether this bug is planted.
    #[cfg(feature = "plant")]
    pub(crate) fn is(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this bug is planted: never.
    #[cfg(not(feature = "plant"))]
    pub(crate) fn is(self, _bug: Bug) -> bool {
        false
    }
}
