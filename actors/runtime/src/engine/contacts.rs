//! What can be asked of contacts.

use std::sync::Arc;

use followupd_domain::channel::Kind;

use super::{Engine, to_its_end};
use crate::api::{Caller, Erased, Error, Export, Person, Stopped, Whom};
use crate::{contact, erase};

impl Engine {
    /// One contact, and what is suppressed of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact.
    pub async fn contact(&self, caller: &Caller, tenant: &str, id: &str) -> Result<Person, Error> {
        contact::person(&self.node, &self.tenant(caller, tenant)?, id).await
    }

    /// Suppresses a contact or an address for one kind of channel, or for all that reach it: when it is answered no send
    /// begins any more that goes there. A contact's enrollments that cannot reach it otherwise leave at once; those of
    /// others with the same address leave at their next look.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the kind does not reach the address.
    pub async fn suppress(
        &self,
        caller: &Caller,
        tenant: &str,
        whom: Whom,
        kind: Option<Kind>,
        reason: &str,
    ) -> Result<Stopped, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let (node, caller, reason) = (Arc::clone(&self.node), caller.clone(), reason.to_owned());
        to_its_end(async move {
            let _room = room;
            contact::suppress(&node, &tenant, &caller, &whom, kind, &reason).await
        })
        .await
    }

    /// Lifts the suppression of a contact with its addresses, or of an address; whether there was any.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact.
    pub async fn lift(
        &self,
        caller: &Caller,
        tenant: &str,
        whom: Whom,
        kind: Option<Kind>,
    ) -> Result<bool, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let (node, caller) = (Arc::clone(&self.node), caller.clone());
        to_its_end(async move {
            let _room = room;
            contact::lift(&node, &tenant, &caller, &whom, kind).await
        })
        .await
    }

    /// A page of everything that is known of a contact: its enrollments with their timelines, a page at a time.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact.
    pub async fn export_contact(
        &self,
        caller: &Caller,
        tenant: &str,
        id: &str,
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Export, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let (node, caller, id) = (Arc::clone(&self.node), caller.clone(), id.to_owned());
        let from = from.map(<[u8]>::to_vec);
        to_its_end(async move {
            let _room = room;
            contact::export(&node, &tenant, &caller, &id, from.as_deref(), limit).await
        })
        .await
    }

    /// Erases a contact: its enrollments leave, its rows go, its id in history becomes a pseudonym, and its addresses
    /// stay suppressed by their hashes. Erasing again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is known of the contact and none of that id was erased.
    pub async fn erase(&self, caller: &Caller, tenant: &str, id: &str) -> Result<Erased, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.node.admission.admit(&tenant.waiting, 1)?;
        let (node, caller, id) = (Arc::clone(&self.node), caller.clone(), id.to_owned());
        to_its_end(async move {
            let _room = room;
            erase::erase(&node, &tenant, &caller, &id).await
        })
        .await
    }
}
