//! Looking: lists of enrollments, by page, and what one of them does next.

use followupd_domain::EnrollmentId;
use followupd_domain::filter::Filter;

use super::Engine;
use crate::api::{Caller, EnrollmentPage, Error, Explanation, IdPage};
use crate::{explain, list};

impl Engine {
    /// A page of a tenant's enrollments that pass a filter; `sequence` is the filter's by name. In due order where the
    /// wakes serve the filter, else in the order they began.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant or sequence.
    pub async fn enrollments(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: Option<&str>,
        filter: Filter,
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<EnrollmentPage, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let loaded = tenant.loaded();
        let sequence = sequence.map(|name| loaded.sequence(name)).transpose()?.map(|sequence| sequence.no);
        list::page(&self.node, &tenant, &Filter { sequence, ..filter }, from, limit).await
    }

    /// A page of the enrollments that kept failing and wait for a person.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn quarantined(
        &self,
        caller: &Caller,
        tenant: &str,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<IdPage, Error> {
        list::quarantined(&self.node, &self.tenant(caller, tenant)?, from, limit).await
    }

    /// What an enrollment does next, when, and what each gate says of it; on things as they are now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has no such enrollment.
    pub async fn explain(
        &self,
        caller: &Caller,
        tenant: &str,
        id: EnrollmentId,
    ) -> Result<Explanation, Error> {
        explain::explain(&self.node, &self.tenant(caller, tenant)?, id).await
    }
}
