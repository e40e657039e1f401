//! Contacts by hand: suppressed by address whoever has it, lifted, handed out, and erased for good.

use std::sync::Arc;

use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decide::explain::Next;
use followupd_domain::enrollment::{ExitReason, SendFailure, SendStatus, State};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::invariant;
use followupd_domain::suppression::{Address, Why};
use followupd_runtime::{Act, EnrollAnswer, Error, EventAnswer, EventCall, TenantSettings, Whom};
use followupd_store::Class;
use followupd_store::memory::{Point, Reaction};
use tokio::sync::Notify;

use super::world::{START, TENANT, World, hours, person, world};

fn refused(answer: &EnrollAnswer) -> &'static str {
    match answer {
        EnrollAnswer::Refused { reason, .. } => reason,
        EnrollAnswer::Enrolled { .. } | EnrollAnswer::AlreadyEnrolled { .. } => "enrolled",
    }
}

/// The number that all persons of these tests share, written in another way.
fn number() -> Whom {
    Whom::Address(Address::Phone("+1 555 0100".into()))
}

fn ana() -> Whom {
    Whom::Contact("ana".into())
}

impl World {
    async fn stops(&self, contact: &str, kind: Kind) -> EventAnswer {
        let event = Event {
            key: EventKey { source: "inbox".into(), id: format!("{contact}-{}", kind.word()) },
            kind: EventKind::MessageReceived,
            occurred_at: START,
            contact: Some(contact.into()),
            target: None,
            channel: Some(kind),
            text: " stop ".into(),
            automatic: false,
        };
        let call = EventCall { event, profile: Profile::default() };
        self.engine.event(&self.caller, TENANT, vec![call]).await.unwrap().remove(0)
    }

    async fn suppress(&self, whom: Whom, kind: Option<Kind>) -> Vec<followupd_domain::EnrollmentId> {
        self.engine.suppress(&self.caller, TENANT, whom, kind, "asked us to").await.unwrap().exited
    }

    async fn lift(&self, whom: Whom, kind: Option<Kind>) -> bool {
        self.engine.lift(&self.caller, TENANT, whom, kind).await.unwrap()
    }

    async fn acts(&self) -> Vec<(Act, String)> {
        let page = self.engine.audit(&self.caller, Some(TENANT), None, 100).await.unwrap();
        page.entries.into_iter().map(|line| (line.act, line.what)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_is_of_every_kind_where_the_tenant_has_it_so_and_by_hand_of_the_one_that_is_named() {
    let world = world().await;
    let tenant = TenantSettings {
        on: true,
        time_zone: "UTC".into(),
        opt_out_of_all: true,
        ..TenantSettings::default()
    };
    world.engine.put_tenant(&world.caller, TENANT, tenant).await.unwrap();
    let bo = world.enrolled("both", person("bo")).await;
    let EventAnswer::Accepted { exited, .. } = world.stops("bo", Kind::Sms).await else { panic!("refused") };
    assert_eq!(exited, [(bo, ExitReason::OptedOut)], "the mail goes with it");
    let known = world.engine.contact(&world.caller, TENANT, "bo").await.unwrap().suppressions;
    assert_eq!(known.iter().map(|known| known.kind).collect::<Vec<_>>(), Kind::ALL);
    world.lift(Whom::Contact("bo".into()), None).await;
    world.enrolled("both", person("ana")).await;
    assert!(world.suppress(ana(), Some(Kind::Sms)).await.is_empty(), "a mail still reaches them");
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_stops_everybody_who_has_the_address_for_that_kind_alone() {
    let world = world().await;
    let (bo, cy) = (world.enrolled("ring", person("bo")).await, world.enrolled("ring", person("cy")).await);
    let by_mail = world.enrolled("welcome", person("cy")).await;
    let EventAnswer::Accepted { exited, .. } = world.stops("bo", Kind::Sms).await else { panic!("refused") };
    assert_eq!(exited, [(bo, ExitReason::OptedOut)]);
    let explained = world.engine.explain(&world.caller, TENANT, cy).await.unwrap().explained;
    assert_eq!(
        explained.next,
        Next::Exit(ExitReason::OptedOut),
        "it has the number of somebody who opted out"
    );
    assert_eq!(refused(&world.enroll("ring", person("di")).await), "suppressed");
    assert_eq!(refused(&world.enroll("both", person("di")).await), "enrolled", "a mail still reaches them");
    hours(2).await;
    assert_eq!(world.enrollment(cy).await.state, State::Exited(ExitReason::OptedOut));
    assert_eq!(world.enrollment(by_mail).await.state, State::Active);
    assert!(world.called().iter().all(|(_, address)| address.contains('@')), "{:?}", world.called());
    let known = world.engine.contact(&world.caller, TENANT, "cy").await.unwrap().suppressions;
    assert_eq!((known.len(), known[0].kind, known[0].by_address), (1, Kind::Sms, true));
    assert_eq!(known[0].suppression.as_ref().map(|one| one.why), Some(Why::OptedOut));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_bounced_gets_nothing_more_whoever_has_it() {
    let world = world().await;
    let gone = |contact: &str| {
        let mut request = person(contact);
        request.profile.email = Some("gone@mail.example".into());
        request
    };
    let ana = world.enrolled("both", gone("ana")).await;
    hours(2).await;
    let sent = world.enrollment(ana).await;
    assert_eq!(sent.sends[0].status, SendStatus::Failed(SendFailure::BadAddress));
    assert_eq!(sent.state, State::Active, "an SMS still reaches them");
    assert_eq!(refused(&world.enroll("welcome", gone("bo")).await), "suppressed");
    let known = world.engine.contact(&world.caller, TENANT, "ana").await.unwrap().suppressions;
    let why = known[0].suppression.as_ref().unwrap();
    assert_eq!((known[0].kind, why.why, why.reason.as_str()), (Kind::Email, Why::Bounced, "550 5.1.1"));
    assert_eq!(world.called().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_intent_does_not_pass_a_suppression_of_its_address_that_was_answered_before() {
    let world = world().await;
    let id = world.enrolled("ring", person("ana")).await;
    let (looked, answered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (sees, mut first) = (Arc::clone(&looked), true);
    world.faults.set(move |point, commit| {
        if commit.class == Class::Intent && point == Point::Submitted && std::mem::take(&mut first) {
            sees.notify_one();
            // Its look saw nothing of the suppression that is committed now.
            return Reaction::Yield(200);
        }
        Reaction::Go
    });
    let suppressing = async {
        looked.notified().await;
        world.suppress(number(), Some(Kind::Sms)).await;
        answered.notify_one();
    };
    tokio::join!(suppressing, answered.notified(), hours(2));
    assert_eq!(world.called(), []);
    assert_eq!(world.enrollment(id).await.state, State::Exited(ExitReason::OptedOut));
}

#[tokio::test(start_paused = true)]
async fn who_is_suppressed_by_hand_leaves_at_once_and_may_enter_when_it_is_lifted() {
    let world = world().await;
    let id = world.enrolled("welcome", person("ana")).await;
    assert_eq!(world.suppress(ana(), None).await, [id]);
    assert_eq!(world.enrollment(id).await.state, State::Exited(ExitReason::OptedOut));
    let known = world.engine.contact(&world.caller, TENANT, "ana").await.unwrap();
    assert_eq!(known.suppressions.len(), Kind::ALL.len());
    let why = known.suppressions[0].suppression.as_ref().unwrap();
    assert_eq!(
        (why.since, why.why, why.by.as_str(), why.reason.as_str()),
        (START, Why::ByHand, "desk", "asked us to")
    );
    assert_eq!(refused(&world.enroll("welcome", person("ana")).await), "opted_out");
    assert_eq!(refused(&world.enroll("ring", person("bo")).await), "suppressed", "bo has the number");
    assert!(world.lift(ana(), None).await && !world.lift(ana(), None).await);
    hours(25).await;
    assert_eq!(refused(&world.enroll("welcome", person("ana")).await), "enrolled");
    assert_eq!(refused(&world.enroll("ring", person("bo")).await), "enrolled");
    let acts = world.acts().await;
    let who = format!("{}, all", known.pseudonym);
    assert!(acts.contains(&(Act::Suppress, who.clone())) && acts.contains(&(Act::Lift, who)), "{acts:?}");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_is_not_known_yet_can_be_suppressed() {
    let world = world().await;
    world.suppress(ana(), Some(Kind::Email)).await;
    assert_eq!(refused(&world.enroll("welcome", person("ana")).await), "suppressed");
    let mailbox = Whom::Address(Address::Email("BO@mail.example".into()));
    world.suppress(mailbox.clone(), None).await;
    assert_eq!(refused(&world.enroll("welcome", person("bo")).await), "suppressed");
    let sms = world.engine.suppress(&world.caller, TENANT, mailbox.clone(), Some(Kind::Sms), "").await;
    assert!(matches!(sms, Err(Error::Invalid(_))), "{sms:?}");
    assert!(world.lift(mailbox, Some(Kind::Email)).await);
    assert_eq!(refused(&world.enroll("welcome", person("bo")).await), "enrolled");
    let nobody = world.engine.lift(&world.caller, TENANT, Whom::Contact("nobody".into()), None).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_is_gone_from_every_row_and_does_not_come_back() {
    let world = world().await;
    let named = Request {
        profile: Profile {
            attributes: [("plan".into(), "gold of ana".into())].into(),
            ..person("ana-7").profile
        },
        ..person("ana-7")
    };
    let (open, over) =
        (world.enrolled("welcome", named).await, world.enrolled("ring", person("ana-7")).await);
    hours(2).await;
    world.stops("ana-7", Kind::Whatsapp).await;
    let whom = Whom::Contact("ana-7".into());
    world.engine.suppress(&world.caller, TENANT, whom, Some(Kind::Sms), "ana-7 called").await.unwrap();
    let erased = world.engine.erase(&world.caller, TENANT, "ana-7").await.unwrap();
    assert_eq!((erased.enrollments, erased.in_flight.len()), (2, 0));
    for (key, row) in world.store.dump() {
        let bytes = [key.as_bytes(), &row.body].concat();
        for part in ["ana-7", "somewhere", "gold of", "5550100"] {
            let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
            // What events are known by is the sender's, and swept when it is old.
            assert!(!found || key.as_bytes()[0] == b'd', "{part} stands in {key:?}");
        }
    }
    for id in [open, over] {
        let timeline = world.engine.get(&world.caller, TENANT, id).await.unwrap();
        assert_eq!(timeline.enrollment.contact, erased.pseudonym);
        assert!(invariant::e9_state_is_fold(&timeline.enrollment, &timeline.history));
    }
    assert_eq!(world.enrollment(over).await.state, State::Completed);
    let gone = world.engine.contact(&world.caller, TENANT, "ana-7").await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let again = world.engine.erase(&world.caller, TENANT, "ana-7").await.unwrap();
    assert_eq!((again.pseudonym, again.enrollments), (erased.pseudonym.clone(), 0));
    assert_eq!(refused(&world.enroll("welcome", person("ana-7")).await), "suppressed");
    let same_mailbox = Request { contact: "other".into(), ..person("ana-7") };
    assert_eq!(refused(&world.enroll("welcome", same_mailbox).await), "suppressed", "by its hash");
    assert_eq!(refused(&world.enroll("welcome", person("bo")).await), "enrolled");
    assert!(world.acts().await.contains(&(Act::Erase, erased.pseudonym)));
}

#[tokio::test(start_paused = true)]
async fn an_erased_contact_leaves_what_it_was_in_first() {
    let world = world().await;
    let id = world.enrolled("welcome", person("ana")).await;
    world.engine.erase(&world.caller, TENANT, "ana").await.unwrap();
    assert_eq!(world.enrollment(id).await.state, State::Exited(ExitReason::Erased));
    hours(48).await;
    assert_eq!(world.called(), []);
    let nobody = world.engine.erase(&world.caller, TENANT, "nobody").await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
}

#[tokio::test(start_paused = true)]
async fn an_export_holds_every_enrollment_with_its_timeline_page_by_page() {
    let world = world().await;
    let mut ids = vec![world.enrolled("welcome", person("ana")).await];
    hours(1).await;
    ids.push(world.enrolled("both", person("ana")).await);
    world.enrolled("both", person("bo")).await;
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page =
            world.engine.export_contact(&world.caller, TENANT, "ana", from.as_deref(), 1).await.unwrap();
        assert_eq!(page.person.contact.email.as_deref(), Some("ana@mail.example"));
        assert!(page.timelines.iter().all(|timeline| !timeline.history.is_empty()));
        found.extend(page.timelines.iter().map(|timeline| timeline.enrollment.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
    let exports = world.acts().await.into_iter().filter(|(act, _)| *act == Act::Export).count();
    assert_eq!(exports, 1, "a page that goes on is the same export");
}
