//! Erasing a contact: the person is gone from rows and history, and what must not be written to stays as a hash.
//!
//! Its enrollments leave first, then each is written anew with a pseudonym in place of the contact's id, and last goes
//! the contact's own row, in one commit with the suppression of its addresses. Each part can be repeated: a crash
//! between them leaves a contact that is erased by the same call.

use std::sync::Arc;

use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::decision::{Decision, Entry};
use followupd_domain::suppression::{Address, Why, pseudonym};
use followupd_domain::target::{Target, TargetKind, TargetRef};
use followupd_domain::{EnrollmentId, SendId};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key};

use crate::api::{Caller, Erased, Error};
use crate::audit::{self, Act};
use crate::contact::{Found, find, not_found, submit};
use crate::enrollment::Ask;
use crate::loaded::{TenantHandle, decode, scan_all};
use crate::node::Node;
use crate::record::{self, Record, read_or_default};
use crate::{addresses, command, limits, list};

/// Erases a contact.
pub(crate) async fn erase(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    id: &str,
) -> Result<Erased, Error> {
    let gone = Gone { node, tenant, id, pseudonym: pseudonym(node.key, tenant.no, id) };
    let mut erased = Erased { pseudonym: gone.pseudonym.clone(), ..Erased::default() };
    for _ in 0..limits::LOOKS {
        let found = find(node, tenant, id).await?;
        if found.contact.version.is_none() {
            let known = found.addresses.of(Kind::Conversation);
            let was_erased = known.is_some_and(|(_, suppression)| suppression.why == Why::Erased);
            return if was_erased { Ok(erased) } else { Err(not_found(id)) };
        }
        let in_flight = gone.leave(&found.contact.value, caller).await?;
        erased.in_flight.extend(in_flight);
        erased.enrollments += gone.forget_enrollments(&found.contact.value).await?;
        // The exits have written the contact's row; whoever enrolled it meanwhile makes this go round again.
        let found = find(node, tenant, id).await?;
        let done = found.contact.value.open_enrollments().next().is_none();
        if done && submit(node, gone.last_commit(&found, caller)?).await? {
            return Ok(erased);
        }
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}

/// A contact on its way out.
struct Gone<'a> {
    node: &'a Arc<Node>,
    tenant: &'a TenantHandle,
    id: &'a str,
    pseudonym: String,
}

impl Gone<'_> {
    /// Has all its open enrollments leave; says which sends are on the wire.
    async fn leave(&self, contact: &Contact, caller: &Caller) -> Result<Vec<SendId>, Error> {
        let mut in_flight = Vec::new();
        for membership in contact.open_enrollments() {
            let ask = Ask::Erase(caller.trace);
            let asked =
                command::ask(self.node, self.tenant.shard, self.tenant.no, membership.enrollment, ask).await;
            match asked {
                Ok(changed) => in_flight.extend(changed.in_flight),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(in_flight)
    }

    /// Writes its enrollments anew, those its row indexes no more among them; how many there were.
    async fn forget_enrollments(&self, contact: &Contact) -> Result<usize, Error> {
        let (mut from, mut forgotten) = (None, 0);
        loop {
            let page = list::of_contact(
                self.node,
                self.tenant,
                self.id,
                contact,
                from.as_deref(),
                limits::LIST_LOOKS,
            );
            let page = page.await?;
            for enrollment in &page.enrollments {
                self.forget_enrollment(enrollment.id).await?;
                forgotten += 1;
            }
            from = page.next;
            if from.is_none() {
                return Ok(forgotten);
            }
        }
    }

    async fn forget_enrollment(&self, id: EnrollmentId) -> Result<(), Error> {
        for _ in 0..limits::LOOKS {
            let key = Key::enrollment(id);
            let Some(row) = self.node.store.get(vec![key.clone()]).await?.pop().flatten() else {
                return Ok(());
            };
            let mut record: Record = decode(Format::Enrollment, &row.body)?;
            // One that began meanwhile has to leave first.
            if record.enrollment.contact != self.id || !record.enrollment.state.is_over() {
                return Ok(());
            }
            let mut commit = Commit::new(Class::Event, self.tenant.no, self.tenant.shard);
            commit.expects.push(Expect { key: key.clone(), version: Some(row.version) });
            self.forget_target(record.enrollment.target.as_ref(), &mut commit).await?;
            record.enrollment.contact.clone_from(&self.pseudonym);
            self.rename(record.enrollment.target.as_mut());
            self.rename_in(&mut record.history);
            record::put(&mut commit, key, Format::Enrollment, &record)?;
            self.forget_history(id, &mut commit).await?;
            if submit(self.node, commit).await? {
                return Ok(());
            }
        }
        Err(Error::Overloaded { retry_after: limits::COME_BACK })
    }

    /// Writes the history rows anew that name the contact: the one with the beginning.
    async fn forget_history(&self, id: EnrollmentId, commit: &mut Commit) -> Result<(), Error> {
        let prefix = Key::histories(id);
        for (key, row) in scan_all(&*self.node.store, prefix.clone(), prefix.after_prefix()).await? {
            let mut entries: Vec<Entry> = decode(Format::History, &row.body)?;
            if self.rename_in(&mut entries) {
                commit.expects.push(Expect { key: key.clone(), version: Some(row.version) });
                record::put(commit, key, Format::History, &entries)?;
            }
        }
        Ok(())
    }

    /// Drops what enrolls of the contact said about a target that nobody else is enrolled about; its terminal fact
    /// stays, under an id that is the platform's, unless the target is the contact itself.
    async fn forget_target(&self, target: Option<&TargetRef>, commit: &mut Commit) -> Result<(), Error> {
        let Some(target) = target else { return Ok(()) };
        let key = Key::target(self.tenant.shard, self.tenant.no, target);
        let row = self.node.store.get(vec![key.clone()]).await?.pop().flatten();
        let mut read = read_or_default::<Target>(Format::Target, key, row)?;
        if read.version.is_none() || !read.value.enrollments.is_empty() {
            return Ok(());
        }
        if self.is_contact(target) {
            commit.expects.push(read.expectation());
            commit.deletes.push(read.key);
        } else if !read.value.attributes.is_empty() {
            commit.expects.push(read.expectation());
            read.value.attributes.clear();
            record::put(commit, read.key, Format::Target, &read.value)?;
        }
        Ok(())
    }

    fn is_contact(&self, target: &TargetRef) -> bool {
        target.kind == TargetKind::Contact && target.id == self.id
    }

    fn rename(&self, target: Option<&mut TargetRef>) {
        if let Some(target) = target.filter(|target| self.is_contact(target)) {
            target.id.clone_from(&self.pseudonym);
        }
    }

    /// Replaces the contact in the entry that began the enrollment; whether it stands among these.
    fn rename_in(&self, history: &mut [Entry]) -> bool {
        let mut found = false;
        for entry in history {
            if let Decision::Enrolled(beginning) = &mut entry.decision {
                found = true;
                beginning.contact.clone_from(&self.pseudonym);
                self.rename(beginning.target.as_mut());
            }
        }
        found
    }

    /// Removes the contact's row, and suppresses its addresses.
    fn last_commit(&self, found: &Found, caller: &Caller) -> Result<Commit, Error> {
        let mut commit = Commit::new(Class::Exit, self.tenant.no, self.tenant.shard);
        commit.expects.push(found.contact.expectation());
        commit.deletes.push(found.contact.key.clone());
        let place = self.node.place(&self.tenant.loaded());
        addresses::forget(place, self.id, &found.contact.value, &mut commit);
        let now = self.node.now();
        found.addresses.change(&mut commit, |address, known| match address {
            Address::Contact(_) => known.erase(Kind::ALL, now),
            Address::Email(_) | Address::Phone(_) => known.erase(address.kinds().iter().copied(), now),
        })?;
        audit::add(&mut commit, self.node, self.tenant.no, caller, Act::Erase, &self.pseudonym)?;
        Ok(commit)
    }
}
