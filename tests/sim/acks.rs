//! What was acknowledged, and what follows from it: who must be over, which calls may not begin any more.

use std::collections::{BTreeMap, BTreeSet};

use followupd_domain::channel::Kind;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::event::{Event, EventKind};
use followupd_domain::target::{TargetRef, TerminalFact};
use followupd_domain::{EnrollmentId, Moment, SendId, TenantNo};
use followupd_runtime::{Changed, Command, EventAnswer};

use super::deed::{Around, Deed};
use super::plan::{CONTACTS, exits_on_reply, number};
use super::trace::{Stop, Whom};
use super::world::Inner;

/// A scope that was held, from when that was acknowledged until its release was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Whose scope.
    pub(crate) tenant: usize,
    /// Which.
    pub(crate) scope: Around,
    /// From.
    pub(crate) from: i64,
    /// Until.
    pub(crate) until: Option<i64>,
}

/// What was acknowledged.
#[derive(Default)]
pub(crate) struct Remembered {
    /// Enrollments that exist.
    pub(crate) enrolled: BTreeSet<EnrollmentId>,
    /// Enrollments that are over.
    pub(crate) over: BTreeSet<EnrollmentId>,
    /// Events that were accepted, and when that was answered.
    pub(crate) events: BTreeMap<(TenantNo, String), i64>,
    /// Terminal facts that were accepted.
    pub(crate) facts: BTreeMap<(TenantNo, TargetRef), Vec<TerminalFact>>,
    /// Holds.
    pub(crate) held: Vec<Held>,
    /// Whom an event that was asked about must end, by question.
    ends: BTreeMap<usize, Vec<EnrollmentId>>,
    /// Terminal facts that were asked about.
    asked: BTreeMap<(TenantNo, TargetRef), Vec<TerminalFact>>,
    /// When a resume of an enrollment was asked last.
    resumed: BTreeMap<EnrollmentId, usize>,
    /// When a release of a scope was asked last.
    released: BTreeMap<(usize, Around), usize>,
}

/// The kinds an event opts its contact out of.
fn suppressed(event: &Event) -> Vec<Kind> {
    let stops = ["STOP", "PARAR"].contains(&event.text.trim().to_uppercase().as_str());
    match (&event.kind, event.channel) {
        (EventKind::ContactOptedOut, None) => Kind::ALL.to_vec(),
        (EventKind::MessageReceived, None) if stops => Kind::ALL.to_vec(),
        (EventKind::ContactOptedOut, Some(kind)) => vec![kind],
        (EventKind::MessageReceived, Some(kind)) if stops => vec![kind],
        _ => Vec::new(),
    }
}

fn fact_of(event: &Event) -> Option<(TargetRef, TerminalFact)> {
    let EventKind::Target(_, terminal) = event.kind else { return None };
    let fact = TerminalFact { occurred_at: event.occurred_at, event: event.key.id.clone(), terminal };
    event.target.clone().map(|target| (target, fact))
}

impl Inner {
    /// A question is about to be asked.
    pub(crate) fn asked(&mut self, number: usize, at: usize, deed: &Deed) {
        match deed {
            Deed::Event { tenant, event, .. } => {
                let tenant = TenantNo(*tenant as u32 + 1);
                let ends = self.ended_by(tenant, event);
                let known = &mut self.script.remembered;
                known.ends.entry(number).or_insert(ends);
                if let Some((target, fact)) = fact_of(event) {
                    known.asked.entry((tenant, target)).or_default().push(fact);
                }
            }
            Deed::Command { id, command: Command::Resume | Command::Release, .. } => {
                self.script.remembered.resumed.insert(*id, at);
                let stops = self.script.stops.iter_mut().filter(|stop| stop.what == "pause");
                for stop in stops.filter(|stop| stop.whom == Whom::Enrollment(*id)) {
                    stop.until.get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    /// Who is on their way and must be over once this event was taken in.
    fn ended_by(&self, tenant: TenantNo, event: &Event) -> Vec<EnrollmentId> {
        let out_of = suppressed(event);
        let reply = event.kind == EventKind::MessageReceived && !event.automatic;
        let target = fact_of(event).map(|(target, _)| target);
        let live = self.mirror.values().map(|(e, _)| e).filter(|e| e.tenant == tenant && !e.state.is_over());
        live.filter(|e| {
            let sequence = e.sequence.0 as usize - 1;
            let mine = event.contact.as_ref() == Some(&e.contact);
            let unreachable = match sequence {
                0 => out_of.contains(&Kind::Email),
                1 => out_of.contains(&Kind::Whatsapp),
                _ => out_of.len() == Kind::ALL.len(),
            };
            let replied = reply && exits_on_reply(sequence) && event.occurred_at >= e.enrolled_at;
            mine && (unreachable || replied) && target.is_none() || target.is_some() && e.target == target
        })
        .map(|e| e.id)
        .collect()
    }

    /// An enroll was acknowledged.
    pub(crate) fn acknowledged(&mut self, id: EnrollmentId) {
        if self.dead {
            return;
        }
        self.script.remembered.enrolled.insert(id);
        if !self.mirror.contains_key(&id) {
            self.broken("E13", id, "it was answered before it was durable");
        }
    }

    /// An event was answered.
    pub(crate) fn event_answered(
        &mut self,
        number: usize,
        tenant: TenantNo,
        event: &Event,
        answers: &[EventAnswer],
        at: i64,
    ) {
        if answers.iter().all(|answer| matches!(answer, EventAnswer::Refused { .. })) {
            return;
        }
        let known = &mut self.script.remembered;
        let key = (tenant, event.key.id.clone());
        let repeated = known.events.insert(key, at).is_some();
        let mut last = true;
        if let Some((target, fact)) = fact_of(event) {
            let place = (tenant, target);
            last = known.asked.get(&place).is_none_or(|asked| asked.iter().all(|other| *other <= fact));
            known.facts.entry(place).or_default().push(fact);
        }
        let ends = known.ends.get(&number).cloned().unwrap_or_default();
        let accepted: Vec<&Vec<SendId>> = answers
            .iter()
            .filter_map(|answer| match answer {
                EventAnswer::Accepted { in_flight, .. } => Some(in_flight),
                EventAnswer::Duplicate | EventAnswer::Refused { .. } => None,
            })
            .collect();
        if accepted.len() > 1 || (repeated && !accepted.is_empty()) {
            self.broken("E16", number, format!("{:?} was accepted twice", event.key));
        }
        for id in ends.iter().filter(|_| last) {
            self.script.remembered.over.insert(*id);
            let over = self.mirror.get(id).is_some_and(|(e, _)| e.state.is_over());
            if !over && !accepted.is_empty() {
                self.broken(
                    "E16",
                    id,
                    format!("it goes on after {:?} was acknowledged ({number})", event.key),
                );
            }
        }
        let Some(in_flight) = accepted.first() else { return };
        let mut whom: Vec<Whom> = ends.iter().filter(|_| last).map(|id| Whom::Enrollment(*id)).collect();
        let contact = event.contact.clone().unwrap_or_default();
        whom.extend(suppressed(event).into_iter().map(|kind| Whom::Contact(tenant, contact.clone(), kind)));
        for whom in whom {
            self.stop("event", whom, in_flight);
        }
        if suppressed(event).contains(&Kind::Whatsapp) {
            self.number_stops(tenant, &contact);
        }
    }

    /// Who has the number of somebody who opted out gets nothing there either; what was on its way is not named.
    fn number_stops(&mut self, tenant: TenantNo, contact: &str) {
        let of = |e: &Enrollment| e.contact[1..].parse().map(number).unwrap_or(usize::MAX);
        let live = || self.mirror.values().map(|(e, _)| e).filter(|e| e.tenant == tenant);
        // Whose number is known was enrolled once.
        let Some(stopped) = live().find(|e| e.contact == contact).map(of) else { return };
        let in_flight = live().filter(|e| of(e) == stopped).filter_map(|e| e.open).map(|open| open.send);
        let in_flight: Vec<SendId> = in_flight.collect();
        let shares = (0..CONTACTS).filter(|other| number(*other) == stopped).map(|other| format!("c{other}"));
        for other in shares.filter(|other| other != contact) {
            self.stop("number", Whom::Contact(tenant, other, Kind::Whatsapp), &in_flight);
        }
    }

    /// A command was answered.
    pub(crate) fn command_answered(
        &mut self,
        id: EnrollmentId,
        command: Command,
        asked: usize,
        changed: &Changed,
    ) {
        let in_flight: Vec<SendId> = changed.in_flight.into_iter().collect();
        match command {
            Command::Exit => {
                self.script.remembered.over.insert(id);
                if !self.mirror.get(&id).is_some_and(|(e, _)| e.state.is_over()) {
                    self.broken("E13", id, "its exit was answered before it was durable");
                }
                self.stop("exit", Whom::Enrollment(id), &in_flight);
            }
            Command::Pause => {
                let since = self.script.remembered.resumed.get(&id);
                if since.is_none_or(|resumed| *resumed < asked) {
                    self.stop("pause", Whom::Enrollment(id), &in_flight);
                }
            }
            Command::Resume | Command::Release => {}
        }
    }

    fn stop(&mut self, what: &str, whom: Whom, in_flight: &[SendId]) {
        self.stop_until(what, whom, in_flight, None);
    }

    fn stop_until(&mut self, what: &str, whom: Whom, in_flight: &[SendId], ends_at: Option<Moment>) {
        let (after, what, in_flight) = (self.trace.lines.len(), what.to_owned(), in_flight.to_vec());
        self.script.stops.push(Stop { after, until: None, ends_at, what, whom, in_flight });
    }

    /// What reaches a contact by a kind of channel gets nothing any more, whoever else has it; what is open goes on.
    pub(crate) fn address_stops(&mut self, what: &str, of: &Enrollment, kind: Kind, ends_at: Option<Moment>) {
        let number_of = |contact: &str| contact[1..].parse().map(number).unwrap_or(usize::MAX);
        let shares = |contact: &str| {
            contact == of.contact || kind == Kind::Whatsapp && number_of(contact) == number_of(&of.contact)
        };
        let live = self.mirror.values().map(|(e, _)| e).filter(|e| e.tenant == of.tenant);
        let open = live.filter(|e| shares(&e.contact)).filter_map(|e| e.open).map(|open| open.send);
        let in_flight: Vec<SendId> = open.collect();
        let contacts: Vec<String> = (0..CONTACTS).map(|contact| format!("c{contact}")).collect();
        for contact in contacts.into_iter().filter(|contact| shares(contact)) {
            self.stop_until(what, Whom::Contact(of.tenant, contact, kind), &in_flight, ends_at);
        }
    }

    /// A hold was acknowledged.
    pub(crate) fn held(&mut self, tenant: usize, scope: Around, asked: usize, now: i64) {
        let known = &mut self.script.remembered;
        if known.released.get(&(tenant, scope)).is_none_or(|released| *released < asked) {
            known.held.push(Held { tenant, scope, from: now, until: None });
        }
    }

    /// A release is asked for.
    pub(crate) fn released(&mut self, tenant: usize, scope: Around, asked: usize, now: i64) {
        self.words.release_begins(tenant, scope, now);
        let known = &mut self.script.remembered;
        known.released.insert((tenant, scope), asked);
        for held in known.held.iter_mut().filter(|held| held.tenant == tenant && held.scope == scope) {
            held.until.get_or_insert(now);
        }
    }
}
