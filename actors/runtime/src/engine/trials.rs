//! Trying what could be put: what is wrong with a sequence, what one contact would get of it, and how settings stand to
//! what they are to be. Nothing here writes anything.

use std::sync::Arc;

use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll;
use followupd_domain::decision::Beginning;
use followupd_domain::holds::Holds;
use followupd_domain::lane::Weight;
use followupd_domain::name;
use followupd_domain::name::Name;
use followupd_domain::preview::{self, Foreseen, Walk};
use followupd_domain::scope::Scope;
use followupd_domain::sequence::{Draft, FieldError, Sequence, Version, advice};
use followupd_domain::target::Target;
use followupd_domain::{SequenceNo, TenantNo, VersionNo};
use followupd_store::Key;
use followupd_store::codec::Format;

use super::{Engine, named};
use crate::api::{Caller, Error};
use crate::loaded::Loaded;
use crate::record::{read_contact, read_or_default};
use crate::scopes::{Compared, Settings, Trial, TrialOf, Wanted};
use crate::settings;

impl Engine {
    /// What is wrong with a draft, and beside that what is probably not meant; without a draft of the one put last.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant, or no such sequence where no draft is given;
    /// [`Error::Refused`] when that has none.
    pub fn validate(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: &str,
        draft: Option<&Draft>,
    ) -> Result<(Vec<FieldError>, Vec<FieldError>), Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let draft = match draft {
            Some(draft) => draft,
            None => loaded.sequence(sequence)?.draft.as_ref().ok_or_else(no_draft)?,
        };
        match settings::compile(draft, VersionNo(1), &loaded) {
            Ok(version) => Ok((Vec::new(), advice::advice(&version, &loaded.scope))),
            Err(Error::Invalid(faults)) => Ok((faults, Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// How a tenant, its channels and sequences stand to what they are to be, each as if those before it were put.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller, and none is to be made, or it could not make
    /// one; [`Error::Invalid`] when the tenant's name is none. What is wrong with one of them stands with it.
    pub fn compare(
        &self,
        caller: &Caller,
        tenant: &str,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Compared>, Error> {
        let name = named("tenant", tenant)?;
        let makes_it = wanted.iter().any(|one| matches!(one.settings, Settings::Tenant(_)));
        let loaded = match self.tenant(caller, tenant) {
            Ok(handle) => Loaded::clone(&handle.loaded()),
            Err(error) if caller.only.is_some() || !makes_it => return Err(error),
            Err(_) => Loaded::of_new(settings::new_tenant(TenantNo(0), name)),
        };
        Ok(settings::compare::compare(&self.node, loaded, caller, wanted))
    }

    /// What a contact would get of a sequence that began now, if every lane were free.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence or version; [`Error::Invalid`] when the draft or the request
    /// is wrong; [`Error::Refused`] when there is nothing to try, or the contact would have too many attributes.
    pub async fn preview(&self, caller: &Caller, tenant: &str, trial: Trial) -> Result<Vec<Foreseen>, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let loaded = tenant.loaded();
        let (scope, sequence, version) = to_try(&loaded, &trial)?;
        let request = trial.request;
        check_id("contact", &request.contact)?;
        if let Some(target) = &request.target {
            check_id("target.id", &target.id)?;
        }
        if request.target.as_ref().map(|target| target.kind).unwrap_or_default() != version.target {
            let problem = format!("has to be a {}: the sequence is about one", version.target.word());
            return Err(Error::Invalid(vec![FieldError { field: "target.kind".to_owned(), problem }]));
        }
        let (contact, target) = self.facts(&loaded, &request).await?;
        let now = self.node.now();
        let beginning = Beginning {
            id: self.node.new_enrollment_id(loaded.shard),
            tenant: loaded.scope.tenant.no,
            sequence,
            version: version.no,
            contact: request.contact,
            target: request.target,
            expires_at: now + version.max_lifetime,
            source: request.source,
            by: caller.by.clone(),
        };
        let walk = Walk { contact: &contact, target: target.as_ref(), scope: &scope, version: &version };
        Ok(preview::foresee(&beginning, &walk, now))
    }

    /// The contact and the target as they would be known after the enroll.
    async fn facts(
        &self,
        loaded: &Loaded,
        request: &enroll::Request,
    ) -> Result<(Contact, Option<Target>), Error> {
        let (shard, tenant) = (loaded.shard, loaded.scope.tenant.no);
        let mut keys = vec![Key::contact(shard, tenant, &request.contact)];
        keys.extend(request.target.as_ref().map(|target| Key::target(shard, tenant, target)));
        let mut rows = self.node.store.get(keys.clone()).await?.into_iter().zip(keys);
        let mut contact = match rows.next() {
            Some((row, key)) => read_contact(key, row)?.value,
            None => Contact::default(),
        };
        enroll::know(&mut contact, &request.profile)
            .map_err(|refusal| Error::Refused { reason: refusal.word(), problem: refusal.to_string() })?;
        let target = match rows.next() {
            Some((row, key)) => {
                let mut target = read_or_default::<Target>(Format::Target, key, row)?.value;
                target.attributes.extend(request.target_attributes.clone());
                Some(target)
            }
            None => None,
        };
        Ok((contact, target))
    }
}

fn check_id(field: &str, id: &str) -> Result<(), Error> {
    let fault = |error: name::Error| FieldError { field: field.to_owned(), problem: error.to_string() };
    name::check_id(id).map_err(|error| Error::Invalid(vec![fault(error)]))
}

fn no_draft() -> Error {
    let problem = "there is no draft and no version of it: put one first".to_owned();
    Error::Refused { reason: "no_draft", problem }
}

/// The version to try, and the scope as if it were published.
fn to_try(loaded: &Loaded, trial: &Trial) -> Result<(Scope, SequenceNo, Arc<Version>), Error> {
    let name: Name = named("sequence", &trial.sequence)?;
    let known = loaded.sequence(name.as_str());
    let next = loaded.scope.sequences.keys().next_back().map_or(1, |last| last.0 + 1);
    let no = known.as_ref().map_or(SequenceNo(next), |known| known.no);
    let mut scope = loaded.scope.clone();
    let draft = match &trial.of {
        TrialOf::Draft(draft) => Some(draft.clone()),
        TrialOf::Newest => known?.draft.clone(),
        TrialOf::Version(_) => None,
    };
    let known = scope.sequences.entry(no).or_insert_with(|| Sequence {
        no,
        name,
        draft: None,
        latest: None,
        weight: Weight::default(),
        holds: Holds::default(),
        archived_at: None,
        held_steps: std::collections::BTreeMap::new(),
    });
    let latest = known.latest;
    let version = match (draft, &trial.of) {
        (Some(draft), _) => {
            let next = latest.map_or(1, |latest| latest.0 + 1);
            Arc::new(settings::compile(&draft, VersionNo(next), loaded)?)
        }
        (None, TrialOf::Version(version)) => {
            let not_found = || Error::NotFound { what: "version", name: version.0.to_string() };
            Arc::clone(loaded.scope.version(no, *version).ok_or_else(not_found)?)
        }
        (None, TrialOf::Newest | TrialOf::Draft(_)) => {
            let latest = latest.and_then(|latest| loaded.scope.version(no, latest));
            Arc::clone(latest.ok_or_else(no_draft)?)
        }
    };
    scope.versions.insert((no, version.no), Arc::clone(&version));
    Ok((scope, no, version))
}
