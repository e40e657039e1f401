//! The engine: the handle that the daemon, the simulator and the tests hold.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use followupd_channel::Transport;
use followupd_domain::channel::Channel;
use followupd_domain::decide::enroll::Request;
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::ledger::Ledger;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, FieldError, Sequence};
use followupd_domain::tenant::Tenant;
use followupd_domain::{
    EnrollmentId, IdKey, SendId, Shard, TenantNo, VersionNo, limits as domain_limits, route,
};
use followupd_store::codec::Format;
use followupd_store::keys::SYSTEM;
use followupd_store::{Class, Commit, Expect, Key, Store};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::api::{
    Caller, Changed, ChannelSettings, Command, EnrollAnswer, Error, EventAnswer, EventCall, Funnel, Names,
    ScopeName, TenantSettings, Timeline,
};
use crate::enrollment::Ask;
use crate::env::Env;
use crate::loaded::{self, Loaded, TenantHandle, decode, scan_all};
use crate::node::Node;
use crate::plant::Planted;
use crate::root::{self, RootActor, RootMsg};
use crate::settings::{self, Put, PutAnswer};
use crate::shard::ShardMsg;
use crate::tenant::{TenantActor, TenantArguments, TenantMsg};
use crate::{command, enroll, event, read, record};

/// What an engine is started with besides its surroundings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// A bug to plant, in tests.
    pub planted: Planted,
}

/// The store's own row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoreRow {
    /// The key under which send ids are checked.
    pub(crate) key: IdKey,
    /// The number of the next tenant.
    pub(crate) next_tenant: u32,
}

/// A running engine.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
    root: ActorRef<RootMsg>,
    /// Held while a tenant is brought up, so that none is brought up twice (E15).
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl Engine {
    /// Starts the tree on a store: every tenant is loaded, and every lane that has work near.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn start(
        config: Config,
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        transport: Arc<dyn Transport>,
    ) -> Result<Engine, Error> {
        let key = own_row(&*store, &*env).await?.key;
        let node = Arc::new(Node::new(store, env, transport, key, config.planted));
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

    async fn open_tenants(&self) -> Result<(), Error> {
        let prefix = Key::table(followupd_store::keys::Table::Name, SYSTEM);
        let rows = scan_all(&*self.node.store, prefix.clone(), prefix.after_prefix()).await?;
        let numbers = rows.iter().map(|(_, row)| decode(Format::Name, &row.body));
        let tenants: Vec<TenantNo> = numbers.collect::<Result<_, Error>>()?;
        for shard in tenants.iter().map(|no| route(*no, "")).collect::<BTreeSet<Shard>>() {
            self.go_on_from(shard).await?;
        }
        for no in tenants {
            let shard = route(no, "");
            if let Some(loaded) = loaded::load(&*self.node.store, shard, no).await? {
                let tenant = self.open_tenant(loaded).await?;
                event::resume(&self.node, &tenant).await?;
            }
        }
        Ok(())
    }

    /// Limits of a shard that were charged later than the wall now says: engine time goes on from there (E6).
    async fn go_on_from(&self, shard: Shard) -> Result<(), Error> {
        let prefix = Key::table(followupd_store::keys::Table::Ledger, shard);
        for (_, row) in scan_all(&*self.node.store, prefix.clone(), prefix.after_prefix()).await? {
            let ledger = Ledger::decode(&row.body).map_err(|error| Error::Unavailable(error.to_string()))?;
            self.node.clock.has_been_at(ledger.mark());
        }
        Ok(())
    }

    /// Brings a tenant's actors up.
    async fn open_tenant(&self, loaded: Loaded) -> Result<TenantHandle, Error> {
        let (no, shard, name) = (loaded.scope.tenant.no, loaded.shard, loaded.scope.tenant.name.to_string());
        let lanes = loaded::lanes(&*self.node.store, shard, no).await?;
        let loaded = Arc::new(RwLock::new(Arc::new(loaded)));
        let arguments =
            TenantArguments { node: Arc::clone(&self.node), no, shard, loaded: Arc::clone(&loaded) };
        let spawned = Actor::spawn_linked(None, TenantActor, arguments, self.root.get_cell()).await;
        let handle = TenantHandle::new(shard, spawned.map_err(unstarted)?.0, loaded);
        root::open_shard(&self.node, shard, &self.root).await.map_err(unstarted)?;
        self.node.tenants().insert(name, handle.clone());
        self.node.tell(shard, ShardMsg::Tenant(handle.clone(), lanes));
        Ok(handle)
    }

    fn tenant(&self, name: &str) -> Result<TenantHandle, Error> {
        let found = self.node.tenants().get(name).cloned();
        found.ok_or_else(|| Error::NotFound { what: "tenant", name: name.to_owned() })
    }

    /// Puts a tenant's settings; a tenant that is not there begins.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the settings.
    pub async fn put_tenant(
        &self,
        _caller: &Caller,
        name: &str,
        settings: TenantSettings,
    ) -> Result<Tenant, Error> {
        let parsed = named("name", name)?;
        let handle = match self.tenant(name) {
            Ok(handle) => handle,
            Err(_) => {
                // Its settings are checked before it takes a number.
                let tenant = settings::new_tenant(TenantNo(0), parsed.clone());
                settings::to_tenant(&settings, tenant, self.node.now())?;
                let engine = self.clone();
                to_its_end(async move { engine.begin_tenant(parsed).await }).await?
            }
        };
        let PutAnswer::Tenant(tenant) = self.put(&handle, Put::Tenant(settings)).await? else {
            return Err(unexpected());
        };
        Ok(tenant)
    }

    /// Gives a tenant its number and its row.
    async fn begin_tenant(&self, name: Name) -> Result<TenantHandle, Error> {
        let _opening = self.opening.lock().await;
        if let Ok(begun) = self.tenant(name.as_str()) {
            return Ok(begun);
        }
        let node = &self.node;
        let name_key = Key::tenant_name(name.as_str());
        let mut rows = node.store.get(vec![Key::store(), name_key.clone()]).await?.into_iter();
        let (own, taken) = (rows.next().flatten(), rows.next().flatten());
        let no = match taken {
            Some(row) => decode(Format::Name, &row.body)?,
            None => {
                let own =
                    own.ok_or_else(|| Error::Unavailable("the store's own row is missing".to_owned()))?;
                let mut row: StoreRow = decode(Format::Store, &own.body)?;
                let no = TenantNo(row.next_tenant);
                row.next_tenant += 1;
                let mut commit = Commit::new(Class::Event, no, SYSTEM);
                commit.expects.push(Expect { key: Key::store(), version: Some(own.version) });
                commit.expects.push(Expect { key: name_key.clone(), version: None });
                record::put(&mut commit, Key::store(), Format::Store, &row)?;
                record::put(&mut commit, name_key, Format::Name, &no)?;
                settings::submit(node, commit).await?;
                no
            }
        };
        let shard = route(no, "");
        if loaded::load(&*node.store, shard, no).await?.is_none() {
            let mut commit = Commit::new(Class::Event, no, shard);
            let key = Key::tenant(shard, no);
            commit.expects.push(Expect { key: key.clone(), version: None });
            record::put(&mut commit, key, Format::Tenant, &settings::new_tenant(no, name))?;
            settings::submit(node, commit).await?;
        }
        let loaded = loaded::load(&*node.store, shard, no).await?;
        self.open_tenant(loaded.ok_or_else(unexpected)?).await
    }

    async fn put(&self, tenant: &TenantHandle, put: Put) -> Result<PutAnswer, Error> {
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let actor = tenant.actor.clone();
        to_its_end(async move {
            let _room = room;
            match actor.call(|reply| TenantMsg::Put(Box::new(put), reply), None).await {
                Ok(CallResult::Success(answer)) => answer,
                _ => Err(Error::Unavailable("the tenant is stopping".to_owned())),
            }
        })
        .await
    }

    /// Puts a channel.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the settings.
    pub async fn put_channel(
        &self,
        _caller: &Caller,
        tenant: &str,
        name: &str,
        settings: ChannelSettings,
    ) -> Result<Channel, Error> {
        let put = Put::Channel(named("name", name)?, settings);
        let PutAnswer::Channel(channel) = self.put(&self.tenant(tenant)?, put).await? else {
            return Err(unexpected());
        };
        Ok(channel)
    }

    /// Puts the draft of a sequence.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the draft.
    pub async fn put_sequence(
        &self,
        _caller: &Caller,
        tenant: &str,
        name: &str,
        draft: Draft,
    ) -> Result<Sequence, Error> {
        let put = Put::Sequence(named("name", name)?, draft);
        let PutAnswer::Sequence(sequence) = self.put(&self.tenant(tenant)?, put).await? else {
            return Err(unexpected());
        };
        Ok(sequence)
    }

    /// Publishes the draft of a sequence as its next version.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no draft.
    pub async fn publish(&self, _caller: &Caller, tenant: &str, sequence: &str) -> Result<VersionNo, Error> {
        let put = Put::Publish(named("sequence", sequence)?);
        let PutAnswer::Version(version) = self.put(&self.tenant(tenant)?, put).await? else {
            return Err(unexpected());
        };
        Ok(version)
    }

    /// Holds a scope: nothing under it is sent until it is released; exits still act.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such scope.
    pub async fn hold(
        &self,
        _caller: &Caller,
        tenant: &str,
        scope: ScopeName,
        reason: &str,
    ) -> Result<(), Error> {
        let put = Put::Hold(scope, reason.to_owned());
        self.put(&self.tenant(tenant)?, put).await.map(drop)
    }

    /// Releases a scope; one that is not held stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such scope.
    pub async fn release(&self, _caller: &Caller, tenant: &str, scope: ScopeName) -> Result<(), Error> {
        self.put(&self.tenant(tenant)?, Put::Release(scope)).await.map(drop)
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
        let tenant = self.tenant(tenant)?;
        let room = self.admit("requests", &tenant, requests.len())?;
        let (node, caller, sequence) = (Arc::clone(&self.node), caller.clone(), sequence.to_owned());
        to_its_end(async move {
            let _room = room;
            enroll::enroll(&node, &tenant, &caller, &sequence, &requests).await
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
        let tenant = self.tenant(tenant)?;
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
        self.ask(tenant, id, Ask::Command(command, caller.trace)).await
    }

    async fn ask(&self, tenant: &str, id: EnrollmentId, ask: Ask) -> Result<Changed, Error> {
        let tenant = self.tenant(tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let node = Arc::clone(&self.node);
        to_its_end(async move {
            let _room = room;
            command::ask(&node, tenant.shard, tenant.no, id, ask).await
        })
        .await
    }

    /// Takes in a receipt for one of a tenant's sends.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such send of this tenant.
    pub async fn receipt(
        &self,
        caller: &Caller,
        tenant: &str,
        send: SendId,
        receipt: Receipt,
    ) -> Result<Changed, Error> {
        self.ask(tenant, send.enrollment, Ask::Receipt(send, receipt, caller.trace)).await
    }

    /// An enrollment and everything that happened to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has no such enrollment.
    pub async fn get(&self, tenant: &str, id: EnrollmentId) -> Result<Timeline, Error> {
        read::timeline(&self.node, &self.tenant(tenant)?, id).await
    }

    /// The enrollments of a contact that have not ended, and the latest that have.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact.
    pub async fn contact_enrollments(&self, tenant: &str, contact: &str) -> Result<Vec<EnrollmentId>, Error> {
        read::contact_enrollments(&self.node, &self.tenant(tenant)?, contact).await
    }

    /// The enrollments that kept failing and wait for a person.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn quarantined(&self, tenant: &str) -> Result<Vec<EnrollmentId>, Error> {
        read::quarantined(&self.node, &self.tenant(tenant)?).await
    }

    /// The funnels of a sequence's versions.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence.
    pub async fn funnel(&self, tenant: &str, sequence: &str) -> Result<Vec<Funnel>, Error> {
        read::funnel(&self.node, &self.tenant(tenant)?, sequence).await
    }

    /// The names of a tenant's sequences and channels.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn names(&self, tenant: &str) -> Result<Names, Error> {
        let loaded = self.tenant(tenant)?.loaded();
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

/// The store's own row; a new store gets one.
async fn own_row(store: &dyn Store, env: &dyn Env) -> Result<StoreRow, Error> {
    let key = Key::store();
    if let Some(row) = store.get(vec![key.clone()]).await?.pop().flatten() {
        return decode(Format::Store, &row.body);
    }
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&env.random().to_le_bytes());
    secret[8..].copy_from_slice(&env.random().to_le_bytes());
    let row = StoreRow { key: IdKey(secret), next_tenant: 1 };
    let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
    commit.expects.push(Expect { key: key.clone(), version: None });
    record::put(&mut commit, key, Format::Store, &row)?;
    store.commit(commit).await.map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(row)
}
