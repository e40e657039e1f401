//! Lists of enrollments by every way there is, and what one of them does next.

use followupd_domain::decide::enroll::Request;
use followupd_domain::decide::explain::Next;
use followupd_domain::enrollment::ExitReason;
use followupd_domain::filter::Filter;
use followupd_domain::gate::Binding;
use followupd_domain::scope::HeldBy;
use followupd_domain::{EnrollmentId, Span};
use followupd_runtime::{Command, ScopeName};

use super::world::{START, TENANT, World, hours, person, world};

/// All enrollments of a filter, read in pages of two.
async fn listed(world: &World, sequence: Option<&str>, filter: &Filter) -> Vec<EnrollmentId> {
    let (mut ids, mut from) = (Vec::new(), None);
    loop {
        let page = world
            .engine
            .enrollments(&world.caller, TENANT, sequence, filter.clone(), from.as_deref(), 2)
            .await
            .unwrap();
        assert!(page.enrollments.len() <= 2);
        ids.extend(page.enrollments.iter().map(|enrollment| enrollment.id));
        from = page.next;
        if from.is_none() {
            return ids;
        }
    }
}

/// Ana in two sequences, and three others in one, a minute apart.
async fn five(world: &World) -> Vec<EnrollmentId> {
    let mut ids = Vec::new();
    for contact in ["ana", "bo", "cy", "di"] {
        ids.push(world.enrolled("welcome", person(contact)).await);
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    ids.push(world.enrolled("both", person("ana")).await);
    ids
}

#[tokio::test(start_paused = true)]
async fn every_filter_finds_its_own_page_by_page_and_nothing_twice() {
    let world = world().await;
    let ids = five(&world).await;
    world.engine.command(&world.caller, TENANT, ids[1], Command::Exit).await.unwrap();
    world.engine.command(&world.caller, TENANT, ids[2], Command::Pause).await.unwrap();
    let none = Filter::default;
    for (sequence, filter, wanted) in [
        (None, none(), vec![0, 1, 2, 3, 4]),
        (Some("both"), none(), vec![4]),
        (None, Filter { state: Some("active"), ..none() }, vec![0, 3, 4]),
        (None, Filter { state: Some("paused"), ..none() }, vec![2]),
        (None, Filter { reason: Some(ExitReason::Manual), ..none() }, vec![1]),
        (None, Filter { contact: Some("ana".into()), ..none() }, vec![0, 4]),
        (Some("welcome"), Filter { contact: Some("ana".into()), ..none() }, vec![0]),
        (None, Filter { contact: Some("nobody".into()), ..none() }, vec![]),
    ] {
        let wanted: Vec<EnrollmentId> = wanted.into_iter().map(|place: usize| ids[place]).collect();
        assert_eq!(listed(&world, sequence, &filter).await, wanted, "{sequence:?} {filter:?}");
    }
    let due_at = START + Span::hours(1);
    let later = Filter { due_from: Some(due_at + Span::minutes(1)), ..none() };
    assert_eq!(listed(&world, None, &later).await, [ids[3], ids[4]], "in due order");
    let first = Filter { due_until: Some(due_at + Span::minutes(1)), ..none() };
    assert_eq!(listed(&world, None, &first).await, [ids[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_target_lists_who_is_enrolled_about_it() {
    let world = world().await;
    let target = followupd_domain::target::TargetRef {
        kind: followupd_domain::target::TargetKind::Charge,
        id: "ch-1".into(),
    };
    let mut draft = followupd_domain::sequence::Draft { target: "charge".into(), ..Default::default() };
    draft.steps.push(followupd_domain::sequence::DraftStep {
        channel: "mail".into(),
        wait: "1 hour".into(),
        body: "pay".into(),
        ..Default::default()
    });
    world.engine.put_sequence(&world.caller, TENANT, "remind", draft).await.unwrap();
    world.engine.publish(&world.caller, TENANT, "remind").await.unwrap();
    let about = |contact| Request { target: Some(target.clone()), ..person(contact) };
    let (ana, bo) =
        (world.enrolled("remind", about("ana")).await, world.enrolled("remind", about("bo")).await);
    world.enrolled("welcome", person("cy")).await;
    let filter = Filter { target: Some(target.clone()), ..Filter::default() };
    assert_eq!(listed(&world, None, &filter).await, [ana, bo]);
    world.engine.command(&world.caller, TENANT, ana, Command::Exit).await.unwrap();
    assert_eq!(listed(&world, None, &filter).await, [ana, bo], "also those that are over");
    assert_eq!(listed(&world, None, &Filter { state: Some("active"), ..filter }).await, [bo]);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_foretells_what_happens_and_names_who_holds_it() {
    let world = world().await;
    let id = world.enrolled("welcome", person("ana")).await;
    let explain = async || world.engine.explain(&world.caller, TENANT, id).await.unwrap().explained;
    let said = explain().await;
    assert_eq!((said.at, said.binding), (Some(START + Span::hours(1)), Some(Binding::PushedBack)));
    assert!(matches!(said.next, Next::Send(_)), "{said:?}");
    world.engine.hold(&world.caller, TENANT, ScopeName::Tenant, "audit").await.unwrap();
    assert_eq!(explain().await.next, Next::Held(HeldBy::Tenant));
    world.engine.release(&world.caller, TENANT, ScopeName::Tenant).await.unwrap();
    hours(2).await;
    assert_eq!(world.called().len(), 1, "sent when it was said");
    assert_eq!(explain().await.binding, Some(Binding::PushedBack), "the second step waits now");
    world.engine.command(&world.caller, TENANT, id, Command::Exit).await.unwrap();
    assert_eq!(explain().await.next, Next::Over);
}
