//! Putting tenants, accounts, channels and sequences; publishing; holding and releasing. Each is one write to one scope row.

use std::sync::Arc;

use followupd_domain::calendar::{Calendar, Hours, Zone};
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::holds::{Holds, Reacted};
use followupd_domain::lane::Weight;
use followupd_domain::name::{Name, not_one_of};
use followupd_domain::sequence::{Draft, FieldError, Sequence, Status, draft};
use followupd_domain::{ChannelNo, Moment, SequenceNo, VersionNo};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Key, Refused};
use serde::{Deserialize, Serialize};

use crate::addresses;
use crate::api::{AccountSettings, Caller, ChannelSettings, Error, ScopeName, TenantSettings};
use crate::audit::{self, Act};
use crate::loaded::{Loaded, with_cause};
use crate::node::Node;
use crate::once;
use crate::record;
use crate::scopes::{At, Expected};

pub(crate) mod account;
pub(crate) mod compare;
mod pacing;
pub(crate) mod react;
pub(crate) mod tenant;
pub(crate) mod transport;
pub(crate) mod watch;

pub(crate) use tenant::{new_tenant, to_tenant};

/// What a tenant can be asked to write.
pub(crate) enum Put {
    Tenant(TenantSettings),
    Account(Name, AccountSettings),
    Channel(Name, Box<ChannelSettings>),
    Sequence(Name, Draft),
    Publish(Name),
    Hold(ScopeName, String),
    Release(ScopeName),
    Archive(Name),
}

/// What came of a put, as far as it is told; `Unchanged`: what was to be released was not held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum PutAnswer {
    Tenant { on: bool, zone: Zone },
    Channel { kind: Kind },
    Sequence { status: Status, latest: Option<VersionNo> },
    Version(VersionNo),
    Done,
    Unchanged,
}

/// What came of a put, and the revision it gave to what it wrote.
pub(crate) struct Written {
    pub(crate) answer: PutAnswer,
    pub(crate) revision: u64,
}

/// What a put stands on: the scope as it is, and who puts.
pub(crate) struct Ground<'a> {
    pub(crate) node: &'a Node,
    pub(crate) loaded: &'a Loaded,
    pub(crate) caller: &'a Caller,
}

/// One change under way: of which scope, and who makes it.
struct Change<'a> {
    node: &'a Node,
    loaded: &'a Arc<Loaded>,
    caller: &'a Caller,
    act: Act,
    what: String,
}

/// Writes one thing on the scope as it is, if it is as `expected`; a repeat is told what came of it before.
pub(crate) async fn put(
    node: &Node,
    loaded: &Arc<Loaded>,
    caller: &Caller,
    At { value: put, expected }: At<Put>,
) -> Result<Written, Error> {
    if let Some(done) = once::done(node, loaded, caller).await? {
        return Ok(done);
    }
    check(&put, expected, loaded)?;
    let (act, what) = told(&put, &loaded.scope.tenant.name);
    let change = Change { node, loaded, caller, act, what };
    match put {
        Put::Tenant(settings) => {
            let scope = &loaded.scope;
            let tenant = to_tenant(&settings, scope.tenant.clone(), &scope.channels, node.now())?;
            let key = Key::tenant(loaded.shard, tenant.no);
            let answer = PutAnswer::Tenant { on: tenant.on, zone: tenant.calendar.zone };
            change.write(key, Format::Tenant3, &tenant, Class::Event, answer).await
        }
        Put::Account(name, settings) => account::put(&change, name, &settings).await,
        Put::Channel(name, settings) => put_channel(&change, name, &settings).await,
        Put::Sequence(name, draft) => put_sequence(&change, name, draft).await,
        Put::Publish(name) => publish(&change, &name).await,
        Put::Archive(name) => archive(&change, &name).await,
        Put::Hold(scope, reason) => hold(&change, &scope, Some(&reason)).await,
        Put::Release(scope) => hold(&change, &scope, None).await,
    }
}

/// Checks what the caller expects of what is there.
fn check(put: &Put, expected: Expected, loaded: &Loaded) -> Result<(), Error> {
    let (shard, tenant) = (loaded.shard, loaded.scope.tenant.no);
    let sequence =
        |name: &Name| loaded.sequence(name.as_str()).ok().map(|known| Key::sequence(shard, tenant, known.no));
    let key = match put {
        Put::Tenant(_) if is_only_begun(loaded) => None,
        Put::Tenant(_) => Some(Key::tenant(shard, tenant)),
        Put::Account(name, _) => loaded.account(name).ok().map(|known| Key::account(shard, tenant, known.no)),
        Put::Channel(name, _) => loaded.channel(name).ok().map(|known| Key::channel(shard, tenant, known.no)),
        Put::Sequence(name, _) | Put::Publish(name) | Put::Archive(name) => sequence(name),
        Put::Hold(..) | Put::Release(_) => return Ok(()),
    };
    let found = key.map(|key| loaded.revision(&key));
    match expected {
        Expected::Any => Ok(()),
        Expected::Absent if found.is_none() => Ok(()),
        Expected::Revision(revision) if found == Some(revision) => Ok(()),
        Expected::Absent | Expected::Revision(_) => Err(Error::Mismatch { expected, found }),
    }
}

/// What the audit log says of a put.
fn told(put: &Put, tenant: &Name) -> (Act, String) {
    let scope = |scope: &ScopeName| scope.told(tenant);
    match put {
        Put::Tenant(_) => (Act::PutTenant, format!("tenant {tenant}")),
        Put::Account(name, _) => (Act::PutAccount, format!("account {name}")),
        Put::Channel(name, _) => (Act::PutChannel, format!("channel {name}")),
        Put::Sequence(name, _) => (Act::PutSequence, format!("sequence {name}")),
        Put::Publish(name) => (Act::Publish, format!("sequence {name}")),
        Put::Hold(held, reason) if reason.is_empty() => (Act::Hold, scope(held)),
        Put::Hold(held, reason) => (Act::Hold, format!("{}: {reason}", scope(held))),
        Put::Release(held) => (Act::Release, scope(held)),
        Put::Archive(name) => (Act::Archive, format!("sequence {name}")),
    }
}

impl Change<'_> {
    async fn write<T: Serialize>(
        &self,
        key: Key,
        format: Format,
        value: &T,
        class: Class,
        answer: PutAnswer,
    ) -> Result<Written, Error> {
        let commit = self.commit(key, format, value, class)?;
        self.submit(commit, answer).await
    }

    fn commit<T: Serialize>(
        &self,
        key: Key,
        format: Format,
        value: &T,
        class: Class,
    ) -> Result<Commit, Error> {
        let mut commit = Commit::new(class, self.loaded.scope.tenant.no, self.loaded.shard);
        commit.expects.push(self.loaded.expectation(key.clone()));
        record::put(&mut commit, key, format, value)?;
        Ok(commit)
    }

    /// Commits the change, with its line in the audit log, and its answer for those who ask again.
    async fn submit(&self, mut commit: Commit, answer: PutAnswer) -> Result<Written, Error> {
        let tenant = self.loaded.scope.tenant.no;
        audit::add(&mut commit, self.node, tenant, self.caller, self.act, &self.what)?;
        once::add(&mut commit, self.node, self.loaded, self.caller, &answer)?;
        let revision = submit(self.node, commit).await?;
        Ok(Written { answer, revision })
    }
}

/// Commits a setting, and tells its revision; one that somebody else changed at the same time is refused, to be read
/// and put again.
pub(crate) async fn submit(node: &Node, commit: Commit) -> Result<u64, Error> {
    match node.store.commit(commit).await {
        Ok(applied) => Ok(applied.version.0),
        Err(Refused::Stale(_)) => Err(Error::Refused {
            reason: "changed_meanwhile",
            problem: "it was changed at the same time: read it and put it again".to_owned(),
        }),
        Err(error) => Err(refused(error)),
    }
}

/// What a caller is told when the store refuses a write that no second look can save.
pub(crate) fn refused(error: Refused) -> Error {
    Error::Unavailable(with_cause(&error))
}

/// Whether a tenant has only its number: for those who put it, it is not there.
fn is_only_begun(loaded: &Loaded) -> bool {
    let tenant = &loaded.scope.tenant;
    *tenant == new_tenant(tenant.no, tenant.name.clone())
}

/// Faults gathered while the rest is read on.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn take<T: Default, E: ToString>(&mut self, field: &str, read: Result<T, E>) -> T {
        read.unwrap_or_else(|error| {
            self.0.push(FieldError { field: field.to_owned(), problem: error.to_string() });
            T::default()
        })
    }

    fn none(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

async fn put_channel(change: &Change<'_>, name: Name, settings: &ChannelSettings) -> Result<Written, Error> {
    let loaded = change.loaded;
    let channel = to_channel(&Ground { node: change.node, loaded, caller: change.caller }, name, settings)?;
    let key = Key::channel(loaded.shard, loaded.scope.tenant.no, channel.no);
    let mut commit = change.commit(key, Format::Channel4, &channel, Class::Event)?;
    addresses::turn(change.node.place(loaded), &loaded.scope, &channel, &mut commit);
    change.submit(commit, PutAnswer::Channel { kind: channel.kind }).await
}

/// The channel that `settings` make of the one of this name, or of a new one.
fn to_channel(ground: &Ground<'_>, name: Name, settings: &ChannelSettings) -> Result<Channel, Error> {
    let loaded = ground.loaded;
    let known = loaded.scope.channels.values().find(|channel| channel.name == name);
    let next = loaded.scope.channels.keys().next_back().map_or(1, |last| last.0 + 1);
    let no = known.map_or(ChannelNo(next), |channel| channel.no);
    let mut faults = Faults::default();
    let kind =
        Kind::parse(&settings.kind).ok_or_else(|| not_one_of(&settings.kind, &Kind::ALL.map(Kind::word)));
    let kind = faults.take("kind", kind.map(Some));
    if let (Some(kind), Some(known)) = (kind, known) {
        faults.take("kind", tenant::may_carry(&loaded.scope, known, kind));
    }
    let transport = transport::of(ground, no, known, settings, &mut faults);
    if let (Some(kind), Some(serves)) = (kind, transport.serves()) {
        let problem = format!("{} is for {}, not for {}", transport.word(), serves.word(), kind.word());
        faults.take("transport", if kind == serves { Ok(()) } else { Err(problem) });
    }
    let limits = pacing::limits(settings, kind, &mut faults);
    let in_doubt = faults.take("in_doubt", watch::in_doubt(&settings.in_doubt));
    let kill_switches = watch::kill_switches(settings, kind, &mut faults);
    let account = faults.take("account", account::of_channel(loaded, &settings.account));
    faults.none()?;
    let kind = kind.unwrap_or(Kind::Email);
    Ok(Channel {
        no,
        name,
        kind,
        transport,
        limits,
        ignores_quiet_hours: settings.ignores_quiet_hours.unwrap_or(kind == Kind::Webhook),
        holds: known.map(|channel| channel.holds.clone()).unwrap_or_default(),
        reacted: known.and_then(|channel| channel.reacted.clone()),
        in_doubt,
        kill_switches,
        watched_from: known.map(|channel| channel.watched_from).unwrap_or_default(),
        counted_before: known.map(|channel| channel.counted_before.clone()).unwrap_or_default(),
        account,
    })
}

async fn put_sequence(change: &Change<'_>, name: Name, draft: Draft) -> Result<Written, Error> {
    let loaded = change.loaded;
    // A draft is checked when it is put, so that publishing it holds no surprise.
    let known = loaded.scope.sequences.values().find(|sequence| sequence.name == name);
    compile(&draft, VersionNo(1), loaded)?;
    let next = loaded.scope.sequences.keys().next_back().map_or(1, |last| last.0 + 1);
    let sequence = match known {
        Some(known) => Sequence { draft: Some(draft), ..not_archived(known)?.clone() },
        None => Sequence {
            no: SequenceNo(next),
            name,
            draft: Some(draft),
            latest: None,
            weight: Weight::default(),
            holds: Holds::default(),
            archived_at: None,
            held_steps: std::collections::BTreeMap::new(),
        },
    };
    let key = Key::sequence(loaded.shard, loaded.scope.tenant.no, sequence.no);
    let answer = PutAnswer::Sequence { status: sequence.status(), latest: sequence.latest };
    change.write(key, Format::Sequence5, &sequence, Class::Event, answer).await
}

fn not_archived(sequence: &Sequence) -> Result<&Sequence, Error> {
    if sequence.archived_at.is_none() {
        return Ok(sequence);
    }
    let problem = format!("the sequence {} is archived, for good: put it under another name", sequence.name);
    Err(Error::Refused { reason: "sequence_archived", problem })
}

/// Ends a sequence: whoever is enrolled exits, at once or with the next sweep, and no send begins meanwhile.
async fn archive(change: &Change<'_>, name: &Name) -> Result<Written, Error> {
    let loaded = change.loaded;
    let mut sequence = loaded.sequence(name.as_str())?.clone();
    sequence.archived_at.get_or_insert(change.node.now());
    let key = Key::sequence(loaded.shard, loaded.scope.tenant.no, sequence.no);
    change.write(key, Format::Sequence5, &sequence, Class::Exit, PutAnswer::Done).await
}

pub(crate) fn compile(
    draft: &Draft,
    no: VersionNo,
    loaded: &Loaded,
) -> Result<followupd_domain::sequence::Version, Error> {
    let version = draft::compile(draft, no, &loaded.scope).map_err(Error::Invalid)?;
    let mut faults = Faults::default();
    for (i, step) in version.steps.iter().enumerate() {
        let hours = Hours { ignore_quiet: true, ..step.hours.clone() };
        let calendar =
            Calendar { holidays: std::collections::BTreeSet::new(), ..loaded.scope.tenant.calendar.clone() };
        let opens = calendar.next_open(Moment(0), &hours).is_some();
        let never = "these hours never open: name business days, or give the tenant some";
        faults.take(&format!("steps[{i}].business_days_only"), if opens { Ok(()) } else { Err(never) });
    }
    faults.none().map(|()| version)
}

async fn publish(change: &Change<'_>, name: &Name) -> Result<Written, Error> {
    let loaded = change.loaded;
    let known = not_archived(loaded.sequence(name.as_str())?)?;
    let Some(draft) = &known.draft else {
        let problem = "there is no draft to publish: put one first".to_owned();
        return Err(Error::Refused { reason: "no_draft", problem });
    };
    let no = VersionNo(known.latest.map_or(1, |latest| latest.0 + 1));
    let version = compile(draft, no, loaded)?;
    let weight = draft.weight().unwrap_or(known.weight);
    let sequence = Sequence { draft: None, latest: Some(no), weight, ..known.clone() };
    let tenant = loaded.scope.tenant.no;
    let mut commit = Commit::new(Class::Event, tenant, loaded.shard);
    let key = Key::sequence(loaded.shard, tenant, sequence.no);
    commit.expects.push(loaded.expectation(key.clone()));
    record::put(&mut commit, key, Format::Sequence5, &sequence)?;
    record::put(
        &mut commit,
        Key::version(loaded.shard, tenant, sequence.no, no),
        Format::Version2,
        &version,
    )?;
    change.submit(commit, PutAnswer::Version(no)).await
}

/// Holds a scope for a reason; without one releases it, and what holds it by itself.
async fn hold(change: &Change<'_>, scope: &ScopeName, reason: Option<&str>) -> Result<Written, Error> {
    let (loaded, now) = (change.loaded, change.node.now());
    let (shard, no) = (loaded.shard, loaded.scope.tenant.no);
    let turn = |holds: &mut Holds| match reason {
        Some(reason) => holds.hold(now, reason),
        None => _ = holds.release(now),
    };
    // One that a person holds stays as it is; what holds it by itself ends with a person's release alone.
    let answer = |by_person: bool, by_itself: bool| match reason {
        Some(_) if by_person => PutAnswer::Unchanged,
        None if !by_person && !by_itself => PutAnswer::Unchanged,
        Some(_) | None => PutAnswer::Done,
    };
    let is_on = |reacted: &Option<Reacted>| reacted.as_ref().is_some_and(|reacted| reacted.is_on(now));
    match scope {
        ScopeName::Tenant => {
            let mut tenant = loaded.scope.tenant.clone();
            let answer = answer(tenant.holds.current.is_some(), false);
            turn(&mut tenant.holds);
            change.write(Key::tenant(shard, no), Format::Tenant3, &tenant, Class::Exit, answer).await
        }
        ScopeName::Channel(name) => {
            let mut channel = loaded.channel(name)?.clone();
            let (by_person, by_itself) = (channel.holds.current.is_some(), is_on(&channel.reacted));
            turn(&mut channel.holds);
            if reason.is_none() && (by_person || by_itself) {
                channel.reacted.iter_mut().for_each(|reacted| reacted.end(now));
                watch::begin_anew(change.node, loaded, &mut channel).await?;
            }
            let key = Key::channel(shard, no, channel.no);
            change.write(key, Format::Channel4, &channel, Class::Exit, answer(by_person, by_itself)).await
        }
        ScopeName::Account(name) => {
            let mut account = loaded.account(name)?.clone();
            let answer = answer(account.holds.current.is_some(), is_on(&account.reacted));
            turn(&mut account.holds);
            if reason.is_none() {
                account.reacted.iter_mut().for_each(|reacted| reacted.end(now));
            }
            account::write(change, &account, Class::Exit, answer).await
        }
        ScopeName::Sequence(name) => {
            let mut sequence = loaded.sequence(name.as_str())?.clone();
            let by_person = sequence.holds.current.is_some();
            turn(&mut sequence.holds);
            let steps_were = reason.is_none() && sequence.let_steps_go(|_, _| true, now);
            let key = Key::sequence(shard, no, sequence.no);
            let answer = answer(by_person, steps_were);
            change.write(key, Format::Sequence5, &sequence, Class::Exit, answer).await
        }
    }
}
