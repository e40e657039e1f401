//! What goes wrong with the store: it takes turns, refuses, loses, does not answer, stalls, and dies with its process.

use std::sync::Arc;

use followupd_store::memory::{Hooks, Point, Reaction};
use followupd_store::{Class, Commit};

use super::dice::Dice;
use super::script;
use super::trace::What;
use super::world::{Inner, World};

/// A place where a process can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At a point of a commit.
    Commit(Point, Class),
    /// At a read.
    Read,
    /// As a call begins.
    CallBegins,
    /// While it is out.
    CallUnderWay,
    /// When it has been answered.
    CallAnswered,
}

const POINTS: [Point; 4] = [Point::Submitted, Point::Applied, Point::Synced, Point::Answering];

impl Place {
    /// All of them.
    pub(crate) fn all() -> Vec<Place> {
        let mut all = vec![Place::Read, Place::CallBegins, Place::CallUnderWay, Place::CallAnswered];
        all.extend(POINTS.iter().flat_map(|point| Class::ALL.map(|class| Place::Commit(*point, class))));
        all
    }

    /// Its name in a table.
    pub(crate) fn word(self) -> String {
        match self {
            Place::Commit(point, class) => format!("{class:?}/{point:?}").to_lowercase(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// How often at most a process comes by it before it dies there.
    fn often(self) -> u64 {
        match self {
            Place::Commit(_, Class::Intent | Class::Outcome) => 25,
            Place::Read => 300,
            _ => 6,
        }
    }
}

/// Where a process dies, and after how many passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    place: Place,
    left: u64,
}

impl Crash {
    /// A crash by chance.
    pub(crate) fn draw(dice: &mut Dice) -> Crash {
        let place = *dice.pick(&Place::all());
        Crash { place, left: dice.below(place.often()) }
    }
}

impl Inner {
    /// Whether the process dies here, now.
    pub(crate) fn dies_at(&mut self, place: Place) -> bool {
        let Some(crash) = self.crash.as_mut().filter(|crash| self.armed && crash.place == place) else {
            return false;
        };
        let now = crash.left == 0;
        crash.left = crash.left.saturating_sub(1);
        now && !self.dead
    }
}

/// The store's faults.
pub(crate) struct Faults(pub(crate) Arc<World>);

impl Hooks for Faults {
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        let world = &self.0;
        if point == Point::Synced {
            world.durable(commit);
        }
        if point == Point::Submitted && commit.class == Class::Intent && script::race(world, commit) {
            return Reaction::Yield(40);
        }
        let mut inner = world.inner();
        let place = Place::Commit(point, commit.class);
        if inner.dies_at(place) {
            world.die(&mut inner, &place.word());
            return Reaction::Die;
        }
        let armed = inner.armed;
        let fails = |inner: &mut Inner, reaction: Reaction| {
            world.note_in(inner, What::Store(format!("{reaction:?} at {}", place.word())));
            reaction
        };
        match inner.faults.below(1_000) {
            0..=3 if armed => fails(&mut inner, Reaction::Refuse),
            4..=7 if armed => fails(&mut inner, Reaction::Lose),
            8..=13 if armed => fails(&mut inner, Reaction::Unanswered),
            14..=16 if armed => {
                let span = inner.faults.span(6_000);
                world.env.stall(span);
                Reaction::Go
            }
            17..=250 => Reaction::Yield(1 + inner.faults.below(4) as u32),
            _ => Reaction::Go,
        }
    }

    fn read(&self) -> Reaction {
        let world = &self.0;
        let mut inner = world.inner();
        if inner.dies_at(Place::Read) {
            world.die(&mut inner, &Place::Read.word());
            return Reaction::Die;
        }
        let armed = inner.armed;
        match inner.faults.below(1_000) {
            0..=2 if armed => Reaction::Refuse,
            3..=150 => Reaction::Yield(1 + inner.faults.below(3) as u32),
            _ => Reaction::Go,
        }
    }
}
