//! What the seeds have come by: states and what happened in them, and the points at which processes died.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use followupd_domain::Moment;
use followupd_domain::enrollment::{Enrollment, State};

use super::says::Says;

/// Where an enrollment stands, as far as what happens to it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Its wait runs.
    Waiting,
    /// Its step is due, and held by hours, limits or a scope.
    Due,
    /// Its call is out.
    Open,
    /// Paused.
    Paused,
    /// Paused while its call is out.
    PausedOpen,
    /// Set apart.
    Quarantined,
    /// Over.
    Ended,
    /// Over while its call is out.
    EndedOpen,
}

impl Standing {
    /// All of them.
    pub(crate) const ALL: [Standing; 8] = [
        Standing::Waiting,
        Standing::Due,
        Standing::Open,
        Standing::Paused,
        Standing::PausedOpen,
        Standing::Quarantined,
        Standing::Ended,
        Standing::EndedOpen,
    ];

    /// Where this one stands at `now`.
    pub(crate) fn of(enrollment: &Enrollment, now: Moment) -> Standing {
        match (enrollment.state, enrollment.open.is_some()) {
            (State::Active, true) => Standing::Open,
            (State::Active, false) if enrollment.quarantine.is_some() => Standing::Quarantined,
            (State::Active, false) if enrollment.wake.is_some_and(|wake| wake.due_at > now) => {
                Standing::Waiting
            }
            (State::Active, false) => Standing::Due,
            (State::Paused { .. }, true) => Standing::PausedOpen,
            (State::Paused { .. }, false) => Standing::Paused,
            (State::Completed | State::Exited(_) | State::Failed(_), true) => Standing::EndedOpen,
            (State::Completed | State::Exited(_) | State::Failed(_), false) => Standing::Ended,
        }
    }
}

/// What happens to an enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// Its wake is pulled.
    Wake,
    /// Its call is accepted.
    Accepted,
    /// It is refused.
    Refused,
    /// It is refused for good.
    Rejected,
    /// Nobody knows.
    Uncertain,
    /// A receipt: delivered.
    Delivered,
    /// A receipt: read.
    Read,
    /// A receipt: failed.
    Failed,
    /// The contact replies.
    Reply,
    /// The contact opts out.
    Stop,
    /// Its target reaches the goal.
    Goal,
    /// Its target is cancelled.
    Cancel,
    /// It is taken out.
    Exit,
    /// It is paused.
    Pause,
    /// It is resumed.
    Resume,
    /// A scope around it is held.
    Hold,
    /// A scope around it, or itself, is released.
    Release,
}

impl Event {
    /// All of them.
    pub(crate) const ALL: [Event; 17] = [
        Event::Wake,
        Event::Accepted,
        Event::Refused,
        Event::Rejected,
        Event::Uncertain,
        Event::Delivered,
        Event::Read,
        Event::Failed,
        Event::Reply,
        Event::Stop,
        Event::Goal,
        Event::Cancel,
        Event::Exit,
        Event::Pause,
        Event::Resume,
        Event::Hold,
        Event::Release,
    ];
}

/// Pairs that cannot happen, and why.
pub(crate) fn impossible(standing: Standing, event: Event) -> Option<&'static str> {
    use Standing as S;
    match (standing, event) {
        (S::Waiting, Event::Wake) => Some("a row is pulled when it is due"),
        (S::Paused | S::Ended, Event::Wake) => Some("it has no row (E1)"),
        (S::Quarantined, Event::Wake) => Some("its row stands in a queue that only a release empties"),
        (S::Waiting | S::Due | S::Paused | S::Quarantined | S::Ended, Event::Refused | Event::Rejected) => {
            Some("only a receipt settles a send before its call ends, and who refuses gives none")
        }
        (S::Due | S::Quarantined, Event::Accepted | Event::Uncertain) => {
            Some("the step after a receipt would have to be due within the call")
        }
        _ => None,
    }
}

/// What the seeds have come by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    /// How often what happened where.
    pub(crate) pairs: BTreeMap<(Standing, Event), u64>,
    /// How often a process died where.
    pub(crate) deaths: BTreeMap<String, u64>,
    /// How often a start held all sending.
    pub(crate) held_starts: u64,
    /// How often other things happened, by name.
    pub(crate) others: BTreeMap<String, u64>,
    /// How often an enrollment that had completed came back.
    pub(crate) returns: u64,
}

/// Other things that have to happen: what limits, doubts and holds did, besides what providers can say.
const OTHERS: [&str; 18] = [
    "bound rate",
    "bound gap",
    "bound per_minute",
    "bound per_hour",
    "bound per_day",
    "bound rest",
    "bound warm_up",
    "bound recipient_gap",
    "bound contact caps",
    "bound new_recipients",
    "a forgetful doubt",
    "a doubt that waits in line",
    "held channel",
    "held account",
    "held step",
    "held by a breaker",
    "held by a kill switch",
    "a pace that was cut",
];

impl Coverage {
    /// Something happened.
    pub(crate) fn hit(&mut self, standing: Standing, event: Event) {
        *self.pairs.entry((standing, event)).or_default() += 1;
    }

    /// Something else happened.
    pub(crate) fn count(&mut self, what: &str) {
        *self.others.entry(what.to_owned()).or_default() += 1;
    }

    /// A process died.
    pub(crate) fn died(&mut self, place: &str) {
        *self.deaths.entry(place.to_owned()).or_default() += 1;
    }

    /// Takes in what another seed came by.
    pub(crate) fn add(&mut self, other: &Coverage) {
        for (pair, n) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += n;
        }
        for (place, n) in &other.deaths {
            *self.deaths.entry(place.clone()).or_default() += n;
        }
        self.held_starts += other.held_starts;
        for (what, n) in &other.others {
            *self.others.entry(what.clone()).or_default() += n;
        }
        self.returns += other.returns;
    }

    /// Pairs and places that were hit less than `least` times.
    pub(crate) fn missed(&self, least: u64, places: &[String]) -> Vec<String> {
        let pairs = Standing::ALL.iter().flat_map(|s| Event::ALL.iter().map(move |e| (*s, *e)));
        let pairs = pairs.filter(|(s, e)| impossible(*s, *e).is_none());
        let pairs = pairs.map(|pair| (format!("{pair:?}"), self.pairs.get(&pair).copied().unwrap_or(0)));
        let places = places.iter().map(|place| (place.clone(), self.deaths.get(place).copied().unwrap_or(0)));
        let counted = [
            ("starts that held all sending".to_owned(), self.held_starts),
            ("enrollments that came back".to_owned(), self.returns),
        ];
        let said = Says::ALL.into_iter().map(|says| format!("said {}", says.word()));
        let others = OTHERS.iter().map(|what| (*what).to_owned()).chain(said);
        let others = others.map(|what| {
            let n = self.others.get(&what).copied().unwrap_or(0);
            (what, n)
        });
        let few = pairs.chain(places).chain(counted).chain(others).filter(|(_, n)| *n < least);
        few.map(|(name, n)| format!("{name}: {n}")).collect()
    }

    /// The tables, for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<12}", "");
        for event in Event::ALL {
            let _ = write!(text, "{:>10}", format!("{event:?}").to_lowercase());
        }
        for standing in Standing::ALL {
            let _ = write!(text, "\n{:<12}", format!("{standing:?}").to_lowercase());
            for event in Event::ALL {
                let n = self.pairs.get(&(standing, event)).copied().unwrap_or(0);
                let cell = if impossible(standing, event).is_some() && n == 0 {
                    "-".to_owned()
                } else {
                    n.to_string()
                };
                let _ = write!(text, "{cell:>10}");
            }
        }
        text.push_str("\n\ndied at\n");
        for (place, n) in &self.deaths {
            let _ = writeln!(text, "{place:<24}{n:>8}");
        }
        let _ = writeln!(text, "\nstarts that held all sending {}", self.held_starts);
        let _ = writeln!(text, "enrollments that came back {}\n", self.returns);
        for (what, n) in &self.others {
            let _ = writeln!(text, "{what:<28}{n:>8}");
        }
        text
    }
}
