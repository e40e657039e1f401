//! The memory store against the suite, and its faults.

use super::*;
use crate::commit::Class;
use crate::conformance::{self, Fixture, Opened};
use bytes::Bytes;
use followupd_domain::{Shard, TenantNo};
use std::collections::VecDeque;
use std::future::Future;

/// Stores with the same hooks.
struct Kept {
    hooks: Arc<dyn Hooks>,
    open: Option<Memory>,
}

impl Fixture for Kept {
    fn fresh(&mut self) -> BoxFuture<'_, Opened> {
        let store = Memory::new(Arc::clone(&self.hooks));
        self.open = Some(store.clone());
        Box::pin(future::ready(Arc::new(store) as Opened))
    }

    fn reopen(&mut self, _: Opened) -> BoxFuture<'_, Opened> {
        let store = self.open.take().unwrap().crash();
        self.open = Some(store.clone());
        Box::pin(future::ready(Arc::new(store) as Opened))
    }
}

/// Lets others run at every point, differently each time.
struct Uneven(Mutex<u64>);

impl Uneven {
    fn next(&self) -> Reaction {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Reaction::Yield((*state >> 61) as u32)
    }
}

impl Hooks for Uneven {
    fn at(&self, _: Point, _: &Commit) -> Reaction {
        self.next()
    }
    fn read(&self) -> Reaction {
        self.next()
    }
}

/// What happens, in order, to the commits that write a row named `bad`, at one point.
struct Script(Point, Mutex<VecDeque<Reaction>>);

impl Script {
    fn store(point: Point, reactions: impl IntoIterator<Item = Reaction>) -> Memory {
        Memory::new(Arc::new(Script(point, Mutex::new(reactions.into_iter().collect()))))
    }
}

impl Hooks for Script {
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        let concerned = point == self.0 && commit.puts.iter().any(|(written, _)| *written == key("bad"));
        concerned.then(|| self.1.lock().unwrap().pop_front()).flatten().unwrap_or(Reaction::Go)
    }
}

fn key(name: &str) -> Key {
    Key::contact(Shard(0), TenantNo(1), name)
}

fn put(name: &str) -> Commit {
    let mut commit = Commit::new(Class::Event, TenantNo(1), Shard(0));
    commit.puts.push((key(name), Bytes::from_static(b"body")));
    commit
}

fn has(store: &Memory, name: &str) -> bool {
    store.dump().iter().any(|(found, _)| *found == key(name))
}

/// Whether a call has come back after everyone else had ample turns.
async fn returns<T>(call: impl Future<Output = T>) -> bool {
    let turns = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    matches!(future::select(std::pin::pin!(call), std::pin::pin!(turns)).await, future::Either::Left(_))
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract() {
    conformance::run(&mut Kept { hooks: Arc::new(Fair), open: None }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract_whatever_the_order_of_turns() {
    for seed in 0..50 {
        let outcome =
            conformance::run(&mut Kept { hooks: Arc::new(Uneven(Mutex::new(seed))), open: None }).await;
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_reaction_does_what_it_says() {
    use Reaction::{Lose, Refuse, Unanswered};
    for (point, reaction, unknown, there) in [
        (Point::Submitted, Refuse, false, false),
        (Point::Submitted, Lose, true, false),
        (Point::Submitted, Unanswered, true, true),
        (Point::Applied, Refuse, false, false),
        (Point::Applied, Lose, true, false),
        (Point::Applied, Unanswered, true, true),
        (Point::Synced, Refuse, true, true),
        (Point::Synced, Unanswered, true, true),
        (Point::Answering, Lose, true, true),
    ] {
        let store = Script::store(point, [reaction]);
        let outcome = store.commit(put("bad")).await;
        let fits = match &outcome {
            Err(Refused::Unknown) => unknown,
            Err(Refused::Unavailable(_)) => !unknown,
            _ => false,
        };
        assert!(fits, "{reaction:?} at {point:?}: {outcome:?}");
        assert_eq!(has(&store, "bad"), there, "{reaction:?} at {point:?}");
        assert!(store.commit(put("next")).await.is_ok(), "only one was hit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_written_takes_all_its_commits_with_it() {
    let store = Script::store(Point::Applied, [Reaction::Lose]);
    let (one, bad) = future::join(store.commit(put("one")), store.commit(put("bad"))).await;
    assert!(matches!((one, bad), (Err(Refused::Unknown), Err(Refused::Unknown))));
    assert_eq!(store.dump(), []);
}

#[tokio::test(start_paused = true)]
async fn a_crash_keeps_what_was_synced_and_nothing_else() {
    for (point, there) in
        [(Point::Submitted, false), (Point::Applied, false), (Point::Synced, true), (Point::Answering, true)]
    {
        let store = Script::store(point, [Reaction::Die]);
        let before = store.commit(put("before")).await.unwrap();
        assert!(!returns(store.commit(put("bad"))).await, "the dead do not answer");
        assert!(store.is_dead() && !returns(store.get(vec![key("before")])).await);
        let store = store.crash();
        assert!(has(&store, "before"));
        assert_eq!(has(&store, "bad"), there, "killed at {point:?}");
        assert!(store.commit(put("after")).await.unwrap().version > before.version);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_sees_the_one_before_it_in_its_group() {
    let store = Memory::default();
    let mut second = put("second");
    second.expects.push(crate::Expect { key: key("first"), version: Some(Version(1)) });
    let (first, second) = future::join(store.commit(put("first")), store.commit(second)).await;
    assert_eq!((first.unwrap().version, second.unwrap().version), (Version(1), Version(2)));
    assert_eq!(store.stats().groups, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_synced_is_not_seen() {
    let store = Script::store(Point::Applied, [Reaction::Yield(50)]);
    let handle = tokio::spawn({
        let store = store.clone();
        async move { store.commit(put("bad")).await.is_ok() }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
        assert!(store.get(vec![key("bad")]).await.unwrap()[0].is_none());
    }
    assert!(handle.await.unwrap() && has(&store, "bad"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_no_group_with_it() {
    let store = Script::store(Point::Applied, [Reaction::Yield(10)]);
    let leaver = tokio::spawn({
        let store = store.clone();
        async move { store.commit(put("bad")).await.is_ok() }
    });
    tokio::task::yield_now().await;
    leaver.abort();
    assert!(store.commit(put("other")).await.is_ok());
    assert!(has(&store, "bad"));
}
