//! How settings stand to what they are to be: each is made as a put would make it, on the scope as those before it
//! would leave it. Nothing is written.

use std::collections::BTreeMap;

use followupd_domain::VersionNo;
use followupd_domain::channel::{Kind, SecretAt, Transport};
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, FieldError};
use followupd_store::Key;

use super::account::{self, to_account};
use super::{Ground, compile, is_only_begun, not_archived, tenant as of_tenant, to_channel, to_tenant};
use crate::api::{AccountSettings, Caller, ChannelSettings, Error, TenantSettings};
use crate::loaded::Loaded;
use crate::node::Node;
use crate::scopes::{Change, Compared, Settings, Wanted, channel_settings};

/// Compares them in their order: what is wrong with one does not keep the others from being compared.
pub(crate) fn compare(
    node: &Node,
    mut loaded: Loaded,
    caller: &Caller,
    wanted: Vec<Wanted>,
) -> Vec<Compared> {
    let coming = coming(&wanted);
    let mut awaited = BTreeMap::new();
    let one = |Wanted { name, settings }| {
        let compared = match settings {
            Settings::Tenant(settings) => tenant(node, &mut loaded, settings, &coming, &mut awaited),
            Settings::Account(settings) => of_account(&mut loaded, &name, &settings),
            Settings::Channel(settings) => {
                let compared = channel(node, &mut loaded, caller, &name, &settings);
                choose(&mut loaded, &awaited);
                compared
            }
            Settings::Sequence(draft) => sequence(&loaded, &name, &draft),
        };
        match compared {
            Ok(compared) => Compared { name, ..compared },
            Err(error) => Compared { name, faults: faults(error), ..Compared::default() },
        }
    };
    wanted.into_iter().map(one).collect()
}

/// What is wrong, as faults of the one it is about.
fn faults(error: Error) -> Vec<FieldError> {
    match error {
        Error::Invalid(faults) => faults,
        error @ (Error::NotFound { .. }
        | Error::Mismatch { .. }
        | Error::Refused { .. }
        | Error::Overloaded { .. }
        | Error::Unavailable(_)) => {
            vec![FieldError { field: "name".to_owned(), problem: error.to_string() }]
        }
    }
}

fn parsed(name: &str) -> Result<Name, Error> {
    let fault = |problem: String| Error::Invalid(vec![FieldError { field: "name".to_owned(), problem }]);
    Name::parse(name).map_err(|error| fault(error.to_string()))
}

/// What changes, told by what is shown of both.
fn change<T: PartialEq>(now: Option<&T>, then: &T) -> Change {
    match now {
        None => Change::New,
        Some(now) if now == then => Change::Unchanged,
        Some(_) => Change::Changed,
    }
}

/// The channels that are compared, each with what it is to carry: a tenant may choose one that is put after it.
fn coming(wanted: &[Wanted]) -> BTreeMap<String, String> {
    let coming = wanted.iter().filter_map(|Wanted { name, settings }| match settings {
        Settings::Channel(settings) => Some((name.clone(), settings.kind.clone())),
        Settings::Tenant(_) | Settings::Account(_) | Settings::Sequence(_) => None,
    });
    coming.collect()
}

/// Chooses the defaults that were waited for and are there now.
fn choose(loaded: &mut Loaded, awaited: &BTreeMap<Kind, String>) {
    let scope = &mut loaded.scope;
    for (kind, name) in awaited {
        let found = scope.channels.values().find(|channel| channel.name.as_str() == name);
        if let Some(channel) = found.filter(|channel| channel.kind == *kind) {
            scope.tenant.default_channels.insert(*kind, channel.no);
        }
    }
}

fn tenant(
    node: &Node,
    loaded: &mut Loaded,
    mut settings: TenantSettings,
    coming: &BTreeMap<String, String>,
    awaited: &mut BTreeMap<Kind, String>,
) -> Result<Compared, Error> {
    let known = &loaded.scope.tenant;
    let mut later = BTreeMap::new();
    settings.default_channels.retain(|word, name| {
        let is_there = loaded.scope.channels.values().any(|channel| channel.name.as_str() == name);
        match (Kind::parse(word), coming.get(name)) {
            (Some(kind), Some(carries)) if !is_there && kind.word() == carries => {
                awaited.insert(kind, name.clone());
                later.insert(word.clone(), name.clone());
                false
            }
            _ => true,
        }
    });
    let then = to_tenant(&settings, known.clone(), &loaded.scope.channels, node.now())?;
    // One that has only its number is new, unless that is all there is to say.
    let only_begun = is_only_begun(loaded) && then != *known;
    let revision = if only_begun { 0 } else { loaded.revision(&Key::tenant(loaded.shard, known.no)) };
    let channels = &loaded.scope.channels;
    let now = (revision > 0).then(|| of_tenant::shown(known, channels));
    let mut shown = of_tenant::shown(&then, channels);
    shown.default_channels.extend(later);
    loaded.scope.tenant = then;
    Ok(Compared {
        change: Some(change(now.as_ref(), &shown)),
        revision,
        now: now.map(Settings::Tenant),
        then: Some(Settings::Tenant(shown)),
        ..Compared::default()
    })
}

fn of_account(loaded: &mut Loaded, name: &str, settings: &AccountSettings) -> Result<Compared, Error> {
    let name = parsed(name)?;
    let then = to_account(loaded, name.clone(), settings);
    let (now, shown) = (loaded.account(&name).ok().map(account::shown), account::shown(&then));
    let revision = loaded.revision(&Key::account(loaded.shard, loaded.scope.tenant.no, then.no));
    loaded.scope.accounts.insert(then.no, then);
    Ok(Compared {
        change: Some(change(now.as_ref(), &shown)),
        revision,
        now: now.map(Settings::Account),
        then: Some(Settings::Account(shown)),
        ..Compared::default()
    })
}

fn channel(
    node: &Node,
    loaded: &mut Loaded,
    caller: &Caller,
    name: &str,
    settings: &ChannelSettings,
) -> Result<Compared, Error> {
    let name = parsed(name)?;
    let then = to_channel(&Ground { node, loaded, caller }, name.clone(), settings)?;
    let known = loaded.channel(&name).ok();
    let now = known.map(|known| channel_settings(loaded, known));
    let shown = channel_settings(loaded, &then);
    let other_secrets = known.map(|known| other_secrets(&known.transport, &then.transport));
    let other_secrets = other_secrets.unwrap_or_default();
    let change = if other_secrets.is_empty() { change(now.as_ref(), &shown) } else { Change::Changed };
    let revision = loaded.revision(&Key::channel(loaded.shard, loaded.scope.tenant.no, then.no));
    loaded.scope.channels.insert(then.no, then);
    Ok(Compared {
        change: Some(change),
        revision,
        now: now.map(Box::new).map(Settings::Channel),
        then: Some(Settings::Channel(Box::new(shown))),
        other_secrets,
        ..Compared::default()
    })
}

/// The fields of secrets that are stored and would be stored as another value: nothing shows these.
fn other_secrets(now: &Transport, then: &Transport) -> Vec<String> {
    let sealed = |at: &SecretAt| matches!(at, SecretAt::Sealed(_));
    let now = now.secrets();
    let then_at = then.secrets().into_iter();
    let other = then_at.filter(|(place, secret)| {
        let before = now.iter().find(|(known, _)| known == place);
        sealed(secret) && before.is_some_and(|(_, before)| sealed(before) && before != secret)
    });
    other.map(|(place, _)| format!("{}.{place}", then.word())).collect()
}

fn sequence(loaded: &Loaded, name: &str, draft: &Draft) -> Result<Compared, Error> {
    let name = parsed(name)?;
    let known = loaded.sequence(name.as_str()).ok();
    known.map(not_archived).transpose()?;
    let as_published = |draft: &Draft| {
        let version = compile(draft, VersionNo(1), loaded)?;
        Ok::<_, Error>(version.written(draft.weight().unwrap_or_default()))
    };
    let then = as_published(draft)?;
    let published = known.and_then(|known| Some(loaded.latest(known)?.written(known.weight)));
    // A draft as it would be published, else as somebody wrote it.
    let drafted = known.and_then(|known| known.draft.as_ref());
    let drafted = drafted.map(|draft| as_published(draft).unwrap_or_else(|_| draft.clone()));
    let is_drafted = drafted.as_ref() == Some(&then);
    let other_draft = drafted.is_some() && !is_drafted;
    let change = match (&published, is_drafted) {
        (Some(published), _) if *published == then => Change::Unchanged,
        (_, true) => Change::Unpublished,
        (None, false) if drafted.is_none() => Change::New,
        (Some(_) | None, false) => Change::Changed,
    };
    let key = known.map(|known| Key::sequence(loaded.shard, loaded.scope.tenant.no, known.no));
    Ok(Compared {
        change: Some(change),
        revision: key.map(|key| loaded.revision(&key)).unwrap_or_default(),
        now: published.or(drafted).map(Settings::Sequence),
        then: Some(Settings::Sequence(then)),
        other_draft,
        ..Compared::default()
    })
}
