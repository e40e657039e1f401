//! What everything in a run shares: the clocks, the trace, a mirror of what is durable, and what went wrong.
//!
//! A world outlives its processes. Once a process has died nothing it still does is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use followupd_domain::channel::Kind;
use followupd_domain::decision::{Decision, Entry};
use followupd_domain::enrollment::{Enrollment, OpenSend, State};
use followupd_domain::gate::Binding;
use followupd_domain::{EnrollmentId, Moment, SendId, TenantNo, invariant};
use followupd_runtime::plant::Poison;
use followupd_runtime::{Engine, inspect};
use followupd_store::keys::Table;
use followupd_store::memory::Memory;
use followupd_store::{Commit, Key};
use tokio::sync::Notify;

use super::coverage::{Coverage, Event, Standing};
use super::dice::Dice;
use super::env::SimEnv;
use super::faults::Crash;
use super::plan::Plan;
use super::script::Script;
use super::trace::{Line, Trace, What, brief};
use super::words::Words;

/// A broken invariant.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// Which.
    pub(crate) name: &'static str,
    /// What was seen.
    pub(crate) what: String,
    /// What to look for in the trace.
    pub(crate) about: String,
}

/// A run's surroundings.
pub(crate) struct World {
    /// Its seed.
    pub(crate) seed: u64,
    /// Its tenants.
    pub(crate) plan: Plan,
    /// Its clocks.
    pub(crate) env: Arc<SimEnv>,
    /// Makes the rendering for one contact of each tenant panic, while it is on.
    pub(crate) poison: &'static Poison,
    /// Wakes the life when its process dies.
    pub(crate) death: Notify,
    inner: Mutex<Inner>,
}

/// What changes.
pub(crate) struct Inner {
    /// What was observed.
    pub(crate) trace: Trace,
    /// What was broken.
    pub(crate) violations: Vec<Violation>,
    /// What was come by.
    pub(crate) coverage: Coverage,
    /// Which life it is.
    pub(crate) life: u32,
    /// Whether its process has died.
    pub(crate) dead: bool,
    /// Whether anything may go wrong.
    pub(crate) armed: bool,
    /// Where this process dies.
    pub(crate) crash: Option<Crash>,
    /// Chance of the store and of the provider.
    pub(crate) faults: Dice,
    /// What the script still does, and what it remembers.
    pub(crate) script: Script,
    /// The engine of this life.
    pub(crate) engine: Option<Engine>,
    /// Enrollments as they are durable, with the length of their history.
    pub(crate) mirror: BTreeMap<EnrollmentId, (Enrollment, usize)>,
    /// Intents that became durable in this life, and calls that began, by send.
    pub(crate) intents: BTreeMap<SendId, u32>,
    /// Calls that began in this life.
    pub(crate) begun: BTreeMap<SendId, u32>,
    /// Sends that were open when this life began.
    pub(crate) doubtful: BTreeSet<SendId>,
    /// Sends that were to be called again because nobody knew.
    pub(crate) doubted: BTreeSet<SendId>,
    /// Sends the provider has taken.
    pub(crate) taken: BTreeSet<SendId>,
    /// Contacts of tenants who may have written.
    pub(crate) wrote: BTreeMap<(usize, String), Vec<Wrote>>,
    /// What providers said.
    pub(crate) words: Words,
    /// The first intent of each lane, by tenant and place of the channel.
    pub(crate) intended: BTreeMap<(u32, usize), Moment>,
}

/// Somebody may have written.
#[derive(Clone, Debug)]
pub(crate) struct Wrote {
    /// From when on that may be known.
    pub(crate) at: i64,
    /// When they say they did.
    pub(crate) occurred_at: Moment,
    /// By what kind of channel; `None`: perhaps by any.
    pub(crate) kind: Option<Kind>,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64) -> Arc<World> {
        let mut dice = Dice::new(seed, 1);
        let plan = Plan::new(&mut dice);
        let env = Arc::new(SimEnv::new(plan.start, Dice::new(seed, 2)));
        let inner = Inner {
            trace: Trace::default(),
            violations: Vec::new(),
            coverage: Coverage::default(),
            life: 0,
            dead: false,
            armed: false,
            crash: None,
            faults: Dice::new(seed, 3),
            script: Script::new(Dice::new(seed, 4), &plan),
            engine: None,
            mirror: BTreeMap::new(),
            intents: BTreeMap::new(),
            begun: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            doubted: BTreeSet::new(),
            taken: BTreeSet::new(),
            wrote: BTreeMap::new(),
            words: Words::default(),
            intended: BTreeMap::new(),
        };
        // One small leak for each seed: what is planted is copied freely.
        let poison =
            Box::leak(Box::new(Poison { contact: "c4".into(), on: AtomicBool::new(seed.is_multiple_of(2)) }));
        Arc::new(World { seed, plan, env, poison, death: Notify::new(), inner: Mutex::new(inner) })
    }

    /// What changes.
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Writes a line, unless the process is dead; its place in the trace.
    pub(crate) fn note(&self, what: What) -> usize {
        self.note_in(&mut self.inner(), what)
    }

    /// Writes a line.
    pub(crate) fn note_in(&self, inner: &mut Inner, what: What) -> usize {
        if !inner.dead {
            let line = Line { at: self.env.elapsed(), wall: self.env.now(), life: inner.life, what };
            inner.trace.lines.push(line);
        }
        inner.trace.lines.len()
    }

    /// Whether the provider of a channel recognises no send.
    pub(crate) fn forgets(&self, tenant: TenantNo, channel: usize) -> bool {
        self.plan.tenants[tenant.0 as usize - 1].pace[channel].forgets
    }

    /// An invariant is broken.
    pub(crate) fn broken(&self, name: &'static str, about: impl ToString, what: impl Into<String>) {
        self.inner().broken(name, about, what);
    }

    /// The process dies.
    pub(crate) fn die(&self, inner: &mut Inner, place: &str) {
        inner.coverage.died(place);
        self.note_in(inner, What::Died(place.to_owned()));
        inner.dead = true;
        inner.crash = None;
        self.death.notify_one();
    }

    /// A new process comes up on `store`.
    pub(crate) fn begin_life(&self, store: &Memory) {
        let mut inner = self.inner();
        inner.life += 1;
        inner.dead = false;
        inner.mirror.clear();
        for (key, row) in store.dump() {
            if key.as_bytes()[0] == Table::Enrollment as u8 {
                let (enrollment, history) = read(&row.body);
                inner.mirror.insert(enrollment.id, (enrollment, history.0 + history.1.len()));
            }
        }
        inner.intents.clear();
        inner.begun.clear();
        inner.words.forget();
        // What was durable as the process died, nobody saw.
        let doubted = inner.mirror.values().filter(|(enrollment, _)| enrollment.is_doubted());
        let doubted: Vec<SendId> = doubted.map(|(enrollment, _)| enrollment.send_id()).collect();
        inner.doubted.extend(doubted);
        let open = inner.mirror.values();
        let open = open.filter_map(|(enrollment, _)| Some((enrollment.tenant, enrollment.open?)));
        let open: Vec<(TenantNo, OpenSend)> = open.collect();
        inner.doubtful = open.iter().map(|(_, open)| open.send).collect();
        for (tenant, open) in open {
            inner.intended.entry(lane(tenant, &open)).or_insert(open.intended_at);
        }
        self.note_in(&mut inner, What::Started);
    }

    /// A commit is durable.
    pub(crate) fn durable(&self, commit: &Commit) {
        let mut inner = self.inner();
        if inner.dead {
            return;
        }
        for (key, body) in &commit.puts {
            match key.kind() {
                Some(Table::Enrollment) => self.transition(&mut inner, key, body),
                Some(Table::Scope) => self.scope_row(&mut inner, key, body),
                _ => {}
            }
        }
        self.look_for_holds(&mut inner);
    }

    fn transition(&self, inner: &mut Inner, key: &Key, body: &[u8]) {
        let (after, (spilled, history)) = read(body);
        let total = spilled + history.len();
        if Key::enrollment(after.id) != *key {
            inner.broken("E9", after.id, "an enrollment stands under another's key");
        }
        let before = inner.mirror.insert(after.id, (after.clone(), total));
        let known = before.as_ref().map_or(0, |(_, known)| *known);
        let new: Vec<&Entry> = history.iter().skip(known.saturating_sub(spilled)).collect();
        let words: Vec<&str> = new.iter().map(|entry| entry.decision.word()).collect();
        self.note_in(inner, What::Durable(after.id, format!("{} -> {}", words.join(" "), brief(&after))));
        if !invariant::e1_one_wake(&after) {
            inner.broken("E1", after.id, format!("{after:?}"));
        }
        if let Some((before, _)) = &before {
            if !invariant::e2_open_send_keeps_row(before, &after) {
                inner.broken("E2", after.id, format!("{before:?} {after:?}"));
            }
            if !invariant::status_moves_forward(before, &after) {
                inner.broken(
                    "E9",
                    after.id,
                    format!("a status moved back: {:?} {:?}", before.sends, after.sends),
                );
            }
            if before.state.is_over() && !after.state.is_over() {
                comes_back(inner, before);
            }
            self.pulled(inner, before, &new);
            let is_open =
                |open: &OpenSend| after.open.is_some_and(|after| after.intended_at == open.intended_at);
            if let Some(open) = before.open.filter(|open| !is_open(open)) {
                self.heard(inner, (before, &open), &new);
            }
        }
        self.received(inner, &after, &new);
        self.count(inner, before.as_ref().map(|(before, _)| before), &new);
        for entry in &new {
            // Who lets one go on by hand has it go on at once.
            if let Decision::Resumed { .. } = &entry.decision {
                inner.words.not_before.remove(&after.send_id());
            }
            if let Decision::Intended(open) = &entry.decision {
                *inner.intents.entry(open.send).or_default() += 1;
                inner.intended.entry(lane(after.tenant, open)).or_insert(open.intended_at);
                // Its provider knows it, and nobody else does.
                let doubted = inner.doubted.contains(&open.send);
                if inner.taken.contains(&open.send) && !doubted {
                    inner.broken(
                        "E3",
                        after.id,
                        format!("{:?} is to be sent again though it was taken", open.send),
                    );
                }
            }
            if let Decision::Doubted { wake } = &entry.decision {
                inner.doubted.insert(after.send_id());
                if self.forgets(after.tenant, wake.channel.0 as usize - 1) {
                    let what = format!("{:?} is called again, and its provider forgets", after.send_id());
                    inner.broken("E3", after.id, what);
                }
            }
        }
    }

    /// Counts what gates and doubts came to.
    fn count(&self, inner: &mut Inner, before: Option<&Enrollment>, new: &[&Entry]) {
        let doubtful = before.and_then(|before| Some((before, before.open?)));
        let doubtful = doubtful
            .filter(|(_, open)| inner.doubtful.contains(&open.send) && !inner.begun.contains_key(&open.send));
        for entry in new {
            let what = match (&entry.decision, doubtful) {
                (Decision::Moved { gate: Binding::RecipientGap, .. }, _) => "bound recipient_gap",
                (Decision::Moved { gate: Binding::ContactCaps, .. }, _) => "bound contact caps",
                (Decision::Moved { gate: Binding::NewRecipients, .. }, _) => "bound new_recipients",
                (Decision::LeftUncertain, Some((before, open)))
                    if self.forgets(before.tenant, open.channel.0 as usize - 1) =>
                {
                    "a forgetful doubt"
                }
                (Decision::Doubted { .. }, Some(_)) => "a doubt that waits in line",
                _ => continue,
            };
            inner.coverage.count(what);
        }
    }

    /// Counts what a pulled wake led to.
    fn pulled(&self, inner: &mut Inner, before: &Enrollment, new: &[&Entry]) {
        let led = |entry: &&Entry| match entry.decision {
            Decision::Intended(_) | Decision::Moved { .. } | Decision::Skipped(_) => before.open.is_none(),
            Decision::LeftUncertain | Decision::Doubted { .. } => before.open.is_some_and(|open| {
                inner.doubtful.contains(&open.send) && !inner.begun.contains_key(&open.send)
            }),
            _ => false,
        };
        if new.iter().any(led) {
            // The wall may have jumped since it was pulled.
            let standing = match Standing::of(before, self.env.now()) {
                Standing::Waiting => Standing::Due,
                standing => standing,
            };
            inner.coverage.hit(standing, Event::Wake);
        }
    }
}

/// The lane of an open send, by tenant and place of the channel.
fn lane(tenant: TenantNo, open: &OpenSend) -> (u32, usize) {
    (tenant.0, open.channel.0 as usize - 1)
}

/// What has completed may come back, unless it was closed or somebody goes in its place. What left early, or could not
/// go on, may not.
fn comes_back(inner: &mut Inner, before: &Enrollment) {
    inner.coverage.returns += 1;
    if before.state != State::Completed || before.is_closed() {
        inner.broken("E8", before.id, format!("it came back: {before:?}"));
    }
    let place = |e: &Enrollment| (e.tenant, e.sequence, e.contact.clone(), e.target.clone());
    let live = inner.mirror.values().map(|(e, _)| e).filter(|e| !e.state.is_over());
    if live.filter(|e| place(e) == place(before)).count() > 1 {
        inner.broken("E9", before.id, "it came back beside another in its place");
    }
}

impl Inner {
    /// An invariant is broken.
    pub(crate) fn broken(&mut self, name: &'static str, about: impl ToString, what: impl Into<String>) {
        if self.violations.len() < 20 {
            self.violations.push(Violation { name, what: what.into(), about: about.to_string() });
        }
    }

    /// Something happens to these enrollments.
    pub(crate) fn happens(&mut self, event: Event, now: Moment, concerned: impl Fn(&Enrollment) -> bool) {
        for (enrollment, _) in self.mirror.values().filter(|(enrollment, _)| concerned(enrollment)) {
            self.coverage.hit(Standing::of(enrollment, now), event);
        }
    }
}

/// A stored enrollment: its state, how much of its history lies elsewhere, and the rest.
pub(crate) fn read(body: &[u8]) -> (Enrollment, (usize, Vec<Entry>)) {
    let record = inspect::enrollment(body).unwrap();
    (record.enrollment, (record.spilled as usize, record.history))
}
