//! Doing one thing through the engine's own API, and holding it to its answer.

use std::sync::Arc;
use std::time::Duration;

use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::event::{self, EventKey, EventKind};
use followupd_domain::name::Name;
use followupd_domain::target::{TargetKind, TargetRef, Terminal};
use followupd_domain::{EnrollmentId, Moment, SendId, TenantNo};
use followupd_runtime::{Caller, Command, Engine, EnrollAnswer, Error, EventCall, ReceiptCall, ScopeName};

use super::coverage::Event;
use super::plan::{ACCOUNT, CHANNELS, SEQUENCES, draft, number, own_zone, target_kind};
use super::trace::What;
use super::world::{World, Wrote};

/// A scope that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Around {
    /// A tenant switched off.
    Switch,
    /// A whole tenant.
    Tenant,
    /// The account of its channels.
    Account,
    /// One of its channels.
    Channel(usize),
    /// One of its sequences.
    Sequence(usize),
}

impl Around {
    /// Every scope of a tenant that can be held.
    pub(crate) fn all() -> Vec<Around> {
        let channels = (0..CHANNELS.len()).map(Around::Channel);
        [Around::Switch, Around::Tenant, Around::Account]
            .into_iter()
            .chain(channels)
            .chain((0..SEQUENCES.len()).map(Around::Sequence))
            .collect()
    }

    pub(crate) fn name(self) -> ScopeName {
        let name = |text: &str| Name::parse(text).unwrap();
        match self {
            Around::Switch | Around::Tenant => ScopeName::Tenant,
            Around::Account => ScopeName::Account(name(ACCOUNT)),
            Around::Channel(place) => ScopeName::Channel(name(CHANNELS[place])),
            Around::Sequence(place) => ScopeName::Sequence(name(SEQUENCES[place])),
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Enroll a contact.
    Enroll { tenant: usize, sequence: usize, contact: usize },
    /// Report an event; `twice`: two times in one call.
    Event { tenant: usize, event: Box<event::Event>, twice: bool, means: Option<Event> },
    /// A command by hand.
    Command { tenant: usize, id: EnrollmentId, command: Command },
    /// A receipt.
    Receipt { send: SendId, event: Event },
    /// Hold a scope.
    Hold { tenant: usize, scope: Around },
    /// Release it.
    Release { tenant: usize, scope: Around },
    /// Publish another version.
    Publish { tenant: usize, sequence: usize, edition: u32 },
    /// Set the wall clock.
    Jump(i64),
}

/// What makes `event` happen to this enrollment; `None` where it has no such thing.
pub(crate) fn on(world: &World, id: EnrollmentId, event: Event) -> Option<Deed> {
    let mut inner = world.inner();
    let (enrollment, _) = inner.mirror.get(&id)?.clone();
    let tenant = enrollment.tenant.0 as usize - 1;
    let command = |command| Some(Deed::Command { tenant, id, command });
    let number = inner.script.next;
    let dice = &mut inner.script.dice;
    let (contact, target) = (enrollment.contact.clone(), enrollment.target.clone());
    match event {
        Event::Exit => command(Command::Exit),
        Event::Pause => command(Command::Pause),
        Event::Resume => command(Command::Resume),
        Event::Release => command(Command::Release),
        Event::Delivered | Event::Read | Event::Failed => {
            let called = enrollment.sends.iter().rposition(|send| send.status.was_called());
            let place = called.or(enrollment.sends.len().checked_sub(1))?;
            let step = enrollment.sends[place].step;
            let before = enrollment.sends[..place].iter().filter(|send| send.step == step).count();
            let send = SendId { enrollment: id, step, occurrence: before as u16, leg: 0 };
            // Who has not taken an open call sends no receipt for it.
            let open = enrollment.open.is_some_and(|open| open.send == send);
            (!open || inner.taken.contains(&send)).then_some(Deed::Receipt { send, event })
        }
        Event::Hold => {
            let scope = *inner.script.dice.pick(&Around::all());
            Some(Deed::Hold { tenant, scope })
        }
        Event::Reply | Event::Stop | Event::Goal | Event::Cancel => {
            let mut made = event::Event {
                key: EventKey { source: "inbox".into(), id: format!("e{number}-{}", dice.below(1_000)) },
                kind: EventKind::MessageReceived,
                occurred_at: world.env.now(),
                contact: Some(contact),
                target: None,
                channel: Some(*dice.pick(&[Kind::Email, Kind::Whatsapp])),
                text: "yes, please".into(),
                automatic: false,
            };
            match event {
                Event::Stop => stop(dice, &mut made),
                Event::Goal | Event::Cancel => {
                    let target = target.filter(|target| target.kind != TargetKind::Contact)?;
                    made.kind = EventKind::Target(target.kind, terminal(dice, event, target.kind));
                    made.target = Some(target);
                    made.occurred_at = world.env.now() - followupd_domain::Span(dice.span(6 * 3_600_000));
                }
                _ => {}
            }
            let means = if spoil(dice, &mut made, event) { None } else { Some(event) };
            Some(Deed::Event { tenant, event: Box::new(made), twice: dice.chance(150), means })
        }
        Event::Wake | Event::Accepted | Event::Refused | Event::Rejected | Event::Uncertain => None,
    }
}

fn stop(dice: &mut super::dice::Dice, made: &mut event::Event) {
    match dice.below(4) {
        0 => made.text = " stop ".into(),
        1 => made.text = "Parar".into(),
        2 => made.kind = EventKind::ContactOptedOut,
        _ => {
            made.kind = EventKind::ContactOptedOut;
            made.channel = None;
        }
    }
}

fn terminal(dice: &mut super::dice::Dice, event: Event, kind: TargetKind) -> Terminal {
    match event {
        Event::Goal => Terminal::Goal,
        _ if kind == TargetKind::Deal && dice.chance(500) => Terminal::Lost,
        _ => Terminal::Cancelled,
    }
}

/// Now and then an event is one that ends nothing; whether this is one.
fn spoil(dice: &mut super::dice::Dice, made: &mut event::Event, event: Event) -> bool {
    let days = |n: i64| followupd_domain::Span(n * 86_400_000);
    match dice.below(14) {
        0 if event == Event::Reply => made.automatic = true,
        1 => made.occurred_at = made.occurred_at - days(4),
        2 => made.occurred_at = made.occurred_at + days(1),
        3 if event == Event::Reply => made.occurred_at = made.occurred_at - days(2),
        4 if event == Event::Reply => made.kind = EventKind::Custom("visited".into()),
        _ => return false,
    }
    true
}

/// Does it, and goes on asking until it is answered.
pub(crate) async fn perform(world: Arc<World>, number: usize, deed: Deed) {
    let asked = {
        let mut inner = world.inner();
        if inner.dead {
            return;
        }
        count(&world, &mut inner, &deed);
        if let Deed::Event { tenant, event, .. } = &deed {
            let (at, occurred_at, kind) = (world.env.elapsed(), event.occurred_at, event.channel);
            if let Some(contact) = event.contact.clone() {
                inner.wrote.entry((*tenant, contact)).or_default().push(Wrote { at, occurred_at, kind });
            }
        }
        let asked = world.note_in(&mut inner, What::Asked(number, format!("{deed:?}")));
        inner.asked(number, asked, &deed);
        asked
    };
    for attempt in 0.. {
        let Some(engine) = world.inner().engine.clone() else { return };
        let answer = attempt_at(&world, &engine, number, asked, &deed).await;
        if world.inner().dead {
            return;
        }
        match answer {
            Ok(answer) => {
                world.inner().script.pending.remove(&number);
                world.note(What::Answered(number, answer));
                return;
            }
            Err(Error::NotFound { .. }) => {
                world.inner().script.pending.remove(&number);
                world.broken("E13", number, format!("{deed:?}: not found"));
                return;
            }
            Err(error) => {
                world.note(What::Answered(number, format!("{error}")));
                if attempt > 200 {
                    world.inner().script.pending.remove(&number);
                    world.broken("E12", number, format!("{deed:?} is never answered: {error}"));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
    }
}

async fn attempt_at(
    world: &World,
    engine: &Engine,
    number: usize,
    asked: usize,
    deed: &Deed,
) -> Result<String, Error> {
    let trace = followupd_domain::decision::TraceId(number as u128 + 1);
    let caller = Caller { by: "sim".into(), trace, ..Caller::default() };
    let name = |tenant: usize| world.plan.tenants[tenant].name;
    match deed {
        Deed::Enroll { tenant, sequence, contact } => {
            let request = request(world, *sequence, *contact);
            let answers = engine.enroll(&caller, name(*tenant), SEQUENCES[*sequence], vec![request]).await?;
            if let EnrollAnswer::Enrolled { id, .. } | EnrollAnswer::AlreadyEnrolled { id } = &answers[0] {
                world.inner().acknowledged(*id);
            }
            Ok(format!("{answers:?}"))
        }
        Deed::Event { tenant, event, twice, .. } => {
            let call = EventCall { event: (**event).clone(), profile: Profile::default() };
            let calls = vec![call; 1 + usize::from(*twice)];
            let answers = engine.event(&caller, name(*tenant), calls).await?;
            let mut inner = world.inner();
            if !inner.dead {
                inner.event_answered(
                    number,
                    TenantNo(*tenant as u32 + 1),
                    event,
                    &answers,
                    world.env.elapsed(),
                );
            }
            Ok(format!("{answers:?}"))
        }
        Deed::Command { tenant, id, command } => {
            let changed = engine.command(&caller, name(*tenant), *id, *command).await?;
            let mut inner = world.inner();
            if !inner.dead {
                inner.command_answered(*id, *command, asked, &changed);
            }
            Ok(format!("{} {:?}", changed.changed, changed.in_flight))
        }
        Deed::Receipt { send, event } => {
            let tenant = world.inner().mirror.get(&send.enrollment).map(|(e, _)| e.tenant);
            let Some(tenant) = tenant else { return Ok("no enrollment".into()) };
            let receipt = match event {
                Event::Delivered => Receipt::Delivered,
                Event::Read => Receipt::Read,
                _ => Receipt::Failed(super::says::of_receipt(number)),
            };
            let told = ReceiptCall { send: *send, receipt, code: "131000".into(), address: None, at: None };
            let changed = engine.receipts(&caller, name(tenant.0 as usize - 1), vec![told]).await?;
            Ok(format!("{changed:?}"))
        }
        Deed::Hold { tenant, scope } => {
            match scope {
                Around::Switch => {
                    engine
                        .put_tenant(&caller, name(*tenant), world.plan.tenants[*tenant].settings(false))
                        .await
                        .map(drop)?;
                }
                scope => drop(engine.hold(&caller, name(*tenant), scope.name(), "sim").await?),
            }
            let mut inner = world.inner();
            if !inner.dead {
                inner.held(*tenant, *scope, asked, world.env.elapsed());
            }
            Ok("held".into())
        }
        Deed::Release { tenant, scope } => {
            release(world, engine, *tenant, *scope).await.map(|()| "released".into())
        }
        Deed::Publish { tenant, sequence, edition } => {
            let (name, sequence_name) = (name(*tenant), SEQUENCES[*sequence]);
            engine.put_sequence(&caller, name, sequence_name, draft(*sequence, *edition)).await?;
            match engine.publish(&caller, name, sequence_name).await {
                // It was published, and only the answer was lost.
                Err(Error::Refused { reason: "no_draft", .. }) => Ok("published before".into()),
                answer => answer.map(|version| format!("{version:?}")),
            }
        }
        Deed::Jump(by) => {
            world.env.jump(*by);
            world.note(What::Jumped(*by));
            // Whoever asks what the time is finds the jump, as the daemon does within its minute.
            if engine.keep_time().await.is_ok() {
                world.note(What::Kept);
            }
            Ok("jumped".into())
        }
    }
}

/// Releases a scope; from when it is asked, sends may begin.
pub(crate) async fn release(
    world: &World,
    engine: &Engine,
    tenant: usize,
    scope: Around,
) -> Result<(), Error> {
    let (caller, plan) = (Caller::default(), &world.plan.tenants[tenant]);
    {
        let mut inner = world.inner();
        let asked = inner.trace.lines.len();
        inner.released(tenant, scope, asked, world.env.elapsed());
    }
    let answer = match scope {
        Around::Switch => engine.put_tenant(&caller, plan.name, plan.settings(true)).await.map(drop),
        scope => engine.release(&caller, plan.name, scope.name()).await.map(drop),
    };
    world.inner().words.release_ends(tenant, scope);
    answer
}

fn request(world: &World, sequence: usize, contact: usize) -> Request {
    let id = format!("c{contact}");
    let zone = own_zone(contact).map(|zone| followupd_domain::calendar::Zone::parse(zone).unwrap());
    let kind = target_kind(sequence);
    let target = (kind != TargetKind::Contact).then(|| TargetRef { kind, id: format!("t{}", contact / 2) });
    let mut profile = Profile {
        email: (contact != 7).then(|| format!("{id}@mail.example")),
        phone: (contact != 8).then(|| format!("+49301234{}", number(contact))),
        zone,
        ..Profile::default()
    };
    if contact.is_multiple_of(2) {
        profile.attributes.insert("plan".into(), format!("gold {}", world.seed));
    }
    Request { contact: id, profile, target, ..Request::default() }
}

/// Counts whom it happens to.
fn count(world: &World, inner: &mut super::world::Inner, deed: &Deed) {
    let now: Moment = world.env.now();
    match deed {
        Deed::Event { tenant, event, means: Some(means), .. } => {
            let tenant = TenantNo(*tenant as u32 + 1);
            let (contact, target) = (event.contact.clone(), event.target.clone());
            inner.happens(*means, now, |e| {
                let mine = match means {
                    Event::Goal | Event::Cancel => target.is_some() && e.target == target,
                    _ => Some(&e.contact) == contact.as_ref(),
                };
                e.tenant == tenant && mine
            });
        }
        Deed::Command { id, command, .. } => {
            let event = match command {
                Command::Exit => Event::Exit,
                Command::Pause => Event::Pause,
                Command::Resume => Event::Resume,
                Command::Release => Event::Release,
            };
            inner.happens(event, now, |e| e.id == *id);
        }
        Deed::Receipt { send, event } => inner.happens(*event, now, |e| e.id == send.enrollment),
        Deed::Hold { tenant, .. } => inner.happens(Event::Hold, now, |e| e.tenant.0 as usize == tenant + 1),
        Deed::Release { tenant, .. } => {
            inner.happens(Event::Release, now, |e| e.tenant.0 as usize == tenant + 1)
        }
        Deed::Enroll { .. } | Deed::Event { .. } | Deed::Publish { .. } | Deed::Jump(_) => {}
    }
}
