//! The engine: the handle that the daemon, the simulator and the tests hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use followupd_channel::transports::Transports;
use followupd_domain::access::{AccessKey, Denied, Draw, KeyId};
use followupd_domain::decide::enroll::Request;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, FieldError};
use followupd_domain::{EnrollmentId, SendId, TenantNo, limits as domain_limits};
use followupd_store::Store;
use followupd_store::keys::SYSTEM;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef};
use tracing::Instrument;

use crate::access::{self, Access, KeyWish};
use crate::api::{
    AccountSettings, Caller, Changed, ChannelSettings, Command, EnrollAnswer, Error, EventAnswer, EventCall,
    Funnel, Names, ScopeName, TenantSettings, Timeline,
};
use crate::audit::{self, AuditPage};
use crate::enrollment::Ask;
use crate::env::Env;
use crate::loaded::TenantHandle;
use crate::node::Node;
use crate::plant::Planted;
use crate::root::{RootActor, RootMsg};
use crate::scopes::{AccountPut, At, ChannelPut, Expected, Published, SequencePut, TenantPut};
use crate::settings::{self, Put, PutAnswer, Written};
use crate::stop::Gate;
use crate::tenant::TenantMsg;
use crate::{command, enroll, event, read};

pub(crate) mod backlog;
pub(crate) mod backup;
mod contacts;
mod delete;
pub(crate) mod forecast;
mod inbound;
mod lists;
pub(crate) mod opening;
mod receipts;
mod scopes;
mod seen;
mod trials;

pub use inbound::TakenIn;

use opening::own_row;

/// What an engine is started with besides its surroundings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// A bug to plant, in tests.
    pub planted: Planted,
}

/// A running engine.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
    root: ActorRef<RootMsg>,
    /// Held while a tenant is brought up or taken away, so that none is brought up twice (E15).
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl Engine {
    /// Starts the tree on a store: every tenant is loaded, and every lane that has work near. Where the clock is
    /// before what it said last, or more than 6 h after it, all sending is stopped; see [`Engine::keep_time`].
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn start(
        config: Config,
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        transports: Transports,
    ) -> Result<Engine, Error> {
        let key = own_row(&*store, &*env).await?.key;
        let (access, stop) = (Access::load(&*store).await?, Gate::load(&*store).await?);
        let node = Arc::new(Node::new(store, env, transports, key, access, stop, config.planted));
        let (root, _) = Actor::spawn(None, RootActor, Arc::clone(&node)).await.map_err(unstarted)?;
        let engine = Engine { node, root, opening: Arc::default() };
        match engine.open_tenants().await {
            Ok(()) => Ok(engine),
            Err(error) => {
                // What is up already must not work on beside the next attempt (E15).
                engine.node.draining.store(true, Ordering::SeqCst);
                // One that cannot be stopped has stopped.
                let _ = engine.root.stop_and_wait(None, None).await;
                Err(error)
            }
        }
    }

    /// A tenant, for whom it is there: another's is not found.
    fn tenant(&self, caller: &Caller, name: &str) -> Result<TenantHandle, Error> {
        let there = caller.only.as_ref().is_none_or(|only| only.as_str() == name);
        let found = self.node.tenants().get(name).filter(|_| there).cloned();
        found.ok_or_else(|| Error::NotFound { what: "tenant", name: name.to_owned() })
    }

    /// Puts a tenant's settings; a tenant that is not there begins.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the settings; [`Error::Mismatch`] when it is not as expected.
    pub async fn put_tenant(
        &self,
        caller: &Caller,
        name: &str,
        settings: impl Into<At<TenantSettings>>,
    ) -> Result<TenantPut, Error> {
        let (parsed, settings) = (named("name", name)?, settings.into());
        let handle = match self.tenant(caller, name) {
            Ok(handle) => handle,
            // One that is there for all keys is made by a key for all.
            Err(error) if caller.only.is_some() => return Err(error),
            Err(_) => {
                // Its settings are checked before it takes a number.
                if let expected @ Expected::Revision(_) = settings.expected {
                    return Err(Error::Mismatch { expected, found: None });
                }
                let tenant = settings::new_tenant(TenantNo(0), parsed.clone());
                let none = settings::tenant::Channels::new();
                settings::to_tenant(&settings.value, tenant, &none, self.node.now())?;
                let (engine, parsed) = (self.clone(), parsed.clone());
                to_its_end(async move { engine.begin_tenant(parsed).await }).await?
            }
        };
        let put = At { value: Put::Tenant(settings.value), expected: settings.expected };
        let Written { answer, revision } = self.put(caller, &handle, put).await?;
        let PutAnswer::Tenant { on, zone } = answer else { return Err(unexpected()) };
        Ok(TenantPut { name: parsed, on, zone, revision })
    }

    async fn put(&self, caller: &Caller, tenant: &TenantHandle, put: At<Put>) -> Result<Written, Error> {
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let (actor, caller) = (tenant.actor.clone(), caller.clone());
        to_its_end(async move {
            let _room = room;
            match actor.call(|reply| TenantMsg::Put(caller, Box::new(put), reply), None).await {
                Ok(CallResult::Success(answer)) => answer,
                _ => Err(Error::Unavailable("the tenant is stopping".to_owned())),
            }
        })
        .await
    }

    /// Puts an account.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name is none.
    pub async fn put_account(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
        settings: impl Into<At<AccountSettings>>,
    ) -> Result<AccountPut, Error> {
        let (name, settings) = (named("name", name)?, settings.into());
        let put = At { value: Put::Account(name.clone(), settings.value), expected: settings.expected };
        let Written { revision, .. } = self.put(caller, &self.tenant(caller, tenant)?, put).await?;
        Ok(AccountPut { name, revision })
    }

    /// Puts a channel.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the settings.
    pub async fn put_channel(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
        settings: impl Into<At<ChannelSettings>>,
    ) -> Result<ChannelPut, Error> {
        let (name, settings) = (named("name", name)?, settings.into());
        let put =
            At { value: Put::Channel(name.clone(), Box::new(settings.value)), expected: settings.expected };
        let Written { answer, revision } = self.put(caller, &self.tenant(caller, tenant)?, put).await?;
        let PutAnswer::Channel { kind } = answer else { return Err(unexpected()) };
        Ok(ChannelPut { name, kind, revision })
    }

    /// Puts the draft of a sequence.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the draft.
    pub async fn put_sequence(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
        draft: impl Into<At<Draft>>,
    ) -> Result<SequencePut, Error> {
        let (name, draft) = (named("name", name)?, draft.into());
        let put = At { value: Put::Sequence(name.clone(), draft.value), expected: draft.expected };
        let Written { answer, revision } = self.put(caller, &self.tenant(caller, tenant)?, put).await?;
        let PutAnswer::Sequence { status, latest } = answer else { return Err(unexpected()) };
        Ok(SequencePut { name, status, latest, revision })
    }

    /// Publishes the draft of a sequence as its next version.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no draft.
    pub async fn publish<'a>(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: impl Into<At<&'a str>>,
    ) -> Result<Published, Error> {
        let At { value: sequence, expected } = sequence.into();
        let put = At { value: Put::Publish(named("sequence", sequence)?), expected };
        let Written { answer, revision } = self.put(caller, &self.tenant(caller, tenant)?, put).await?;
        let PutAnswer::Version(version) = answer else { return Err(unexpected()) };
        Ok(Published { version, revision })
    }

    /// Holds a scope: nothing under it is sent until it is released; exits still act. Whether no person held it before.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such scope.
    pub async fn hold(
        &self,
        caller: &Caller,
        tenant: &str,
        scope: ScopeName,
        reason: &str,
    ) -> Result<bool, Error> {
        let put = Put::Hold(scope, reason.to_owned());
        let held = self.put(caller, &self.tenant(caller, tenant)?, put.into()).await?;
        Ok(held.answer != PutAnswer::Unchanged)
    }

    /// Releases a scope; one that is not held stays as it is. Whether it was held.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such scope.
    pub async fn release(&self, caller: &Caller, tenant: &str, scope: ScopeName) -> Result<bool, Error> {
        let released = self.put(caller, &self.tenant(caller, tenant)?, Put::Release(scope).into()).await?;
        Ok(released.answer != PutAnswer::Unchanged)
    }

    /// Enrolls a batch of at most [`domain_limits::BATCH_ITEMS`]; the answers stand in the order of the requests.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when more is waiting than is admitted; [`Error::Unavailable`] when the store does not
    /// answer. Some of a batch may then be enrolled: the same batch can be sent again.
    pub async fn enroll(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: &str,
        requests: Vec<Request>,
    ) -> Result<Vec<EnrollAnswer>, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.admit("requests", &tenant, requests.len())?;
        let (node, caller, sequence) = (Arc::clone(&self.node), caller.clone(), sequence.to_owned());
        to_its_end(async move {
            let _room = room;
            let answers = enroll::enroll(&node, &tenant, &caller, &sequence, &requests).await;
            answers.inspect(|answers| node.stats.enrolled(answers))
        })
        .await
    }

    /// Takes in a batch of at most [`domain_limits::BATCH_ITEMS`] events, in their order for each contact and target.
    ///
    /// # Errors
    /// As [`Engine::enroll`].
    pub async fn event(
        &self,
        caller: &Caller,
        tenant: &str,
        events: Vec<EventCall>,
    ) -> Result<Vec<EventAnswer>, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.admit("events", &tenant, events.len())?;
        let (node, caller) = (Arc::clone(&self.node), caller.clone());
        to_its_end(async move {
            let _room = room;
            event::accept(&node, &tenant, &caller, &events).await
        })
        .await
    }

    fn admit(
        &self,
        field: &str,
        tenant: &TenantHandle,
        items: usize,
    ) -> Result<crate::admission::Room, Error> {
        if items > domain_limits::BATCH_ITEMS {
            let problem = format!("has {items} items: at most {} are allowed", domain_limits::BATCH_ITEMS);
            return Err(Error::Invalid(vec![FieldError { field: field.to_owned(), problem }]));
        }
        self.node.admission.admit(&tenant.waiting, items)
    }

    /// Does something to one enrollment by hand.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has no such enrollment.
    pub async fn command(
        &self,
        caller: &Caller,
        tenant: &str,
        id: EnrollmentId,
        command: Command,
    ) -> Result<Changed, Error> {
        self.ask(caller, tenant, id, Ask::Command(command, caller.trace)).await
    }

    async fn ask(&self, caller: &Caller, tenant: &str, id: EnrollmentId, ask: Ask) -> Result<Changed, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let node = Arc::clone(&self.node);
        to_its_end(async move {
            let _room = room;
            command::ask(&node, tenant.shard, tenant.no, id, ask).await
        })
        .await
    }

    /// An enrollment and everything that happened to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has no such enrollment.
    pub async fn get(&self, caller: &Caller, tenant: &str, id: EnrollmentId) -> Result<Timeline, Error> {
        read::timeline(&self.node, &self.tenant(caller, tenant)?, id).await
    }

    /// The enrollments of a contact that have not ended, and the latest that have.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact.
    pub async fn contact_enrollments(
        &self,
        caller: &Caller,
        tenant: &str,
        contact: &str,
    ) -> Result<Vec<EnrollmentId>, Error> {
        read::contact_enrollments(&self.node, &self.tenant(caller, tenant)?, contact).await
    }

    /// The funnels of a sequence's versions.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence.
    pub async fn funnel(&self, caller: &Caller, tenant: &str, sequence: &str) -> Result<Vec<Funnel>, Error> {
        read::funnel(&self.node, &self.tenant(caller, tenant)?, sequence).await
    }

    /// The names of a tenant's sequences and channels.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn names(&self, caller: &Caller, tenant: &str) -> Result<Names, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let scope = &loaded.scope;
        Ok(Names {
            sequences: scope
                .sequences
                .values()
                .map(|sequence| (sequence.no, sequence.name.clone()))
                .collect(),
            channels: scope.channels.values().map(|channel| (channel.no, channel.name.clone())).collect(),
        })
    }

    /// The key a caller presents.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn holder(&self, key: &str) -> Result<AccessKey, Denied> {
        self.node.access.check(key, self.node.now())
    }

    /// Whether a key that a call was let in by still stands: for calls that go on for long.
    ///
    /// # Errors
    /// It was taken away, or its time is over.
    pub fn key_stands(&self, id: KeyId) -> Result<(), Denied> {
        self.node.access.stands(id, self.node.now())
    }

    /// Whether nobody has a key yet.
    #[must_use]
    pub fn has_no_keys(&self) -> bool {
        self.node.access.is_empty()
    }

    /// Makes an access key of what was drawn from the system's randomness; its text is told once.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault; [`Error::Refused`] when its name is taken.
    pub async fn make_key(
        &self,
        caller: &Caller,
        wish: KeyWish,
        draw: Draw,
    ) -> Result<(AccessKey, String), Error> {
        let (node, caller) = (Arc::clone(&self.node), caller.clone());
        to_its_end(async move { access::make(&node, &caller, wish, &draw).await }).await
    }

    /// The keys this caller may know of, by name.
    #[must_use]
    pub fn keys(&self, caller: &Caller) -> Vec<AccessKey> {
        self.node.access.seen_by(caller)
    }

    /// Takes a key away; the next call with it is not let in.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; [`Error::Refused`] for the last operator's.
    pub async fn revoke_key(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let (node, caller, name) = (Arc::clone(&self.node), caller.clone(), name.to_owned());
        to_its_end(async move { access::revoke(&node, &caller, &name).await }).await
    }

    /// A page of what was changed in a tenant and by whom, newest first; without a tenant what is no tenant's.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn audit(
        &self,
        caller: &Caller,
        tenant: Option<&str>,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<AuditPage, Error> {
        let (shard, no) = match tenant {
            Some(tenant) => {
                let tenant = self.tenant(caller, tenant)?;
                (tenant.shard, tenant.no)
            }
            None if caller.only.is_some() => {
                return Err(Error::NotFound { what: "tenant", name: String::new() });
            }
            None => (SYSTEM, TenantNo(0)),
        };
        audit::page(&self.node, shard, no, from, limit).await
    }

    /// A check under a key of this store's own, for what is given out and has to come back as it was.
    #[must_use]
    pub fn check(&self, bytes: &[u8]) -> u64 {
        self.node.key.check(bytes)
    }

    /// The text of a send's id.
    #[must_use]
    pub fn send_text(&self, send: SendId) -> String {
        send.to_text(self.node.key)
    }

    /// Stops pulling wakes, and returns when the sends under way have ended and are recorded. Everything else goes on.
    pub async fn drain(&self) {
        self.node.drained().await;
    }

    /// Stops the tree, for good; what is under way is in doubt then.
    pub fn stop(&self) {
        self.node.draining.store(true, Ordering::SeqCst);
        self.root.stop(None);
    }
}

/// Runs what a caller asked for to its end, whether or not the caller stays: a call that hangs up drops its future,
/// and between a commit and what follows from it (the lane is told, the event is consumed) nothing may be dropped.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let ended = tokio::spawn(work.in_current_span()).await;
    ended.unwrap_or_else(|_| Err(Error::Unavailable("the call ended early".to_owned())))
}

fn unstarted(error: ractor::SpawnErr) -> Error {
    Error::Unavailable(format!("an actor cannot start: {error}"))
}

fn unexpected() -> Error {
    Error::Unavailable("the tenant answered something else".to_owned())
}

fn named(field: &str, text: &str) -> Result<Name, Error> {
    let fault = |error: followupd_domain::name::Error| FieldError {
        field: field.to_owned(),
        problem: error.to_string(),
    };
    Name::parse(text).map_err(|error| Error::Invalid(vec![fault(error)]))
}
