//! Taking in receipts.

use std::sync::Arc;

use followupd_domain::SendId;
use futures::StreamExt;

use super::{Engine, to_its_end};
use crate::api::{Caller, Error, ReceiptAnswer, ReceiptCall};
use crate::enrollment::Ask;
use crate::{command, limits};

impl Engine {
    /// Takes in a batch of at most [`BATCH_ITEMS`](followupd_domain::limits::BATCH_ITEMS) receipts for a tenant's sends.
    /// Repeats, late and reordered ones change nothing; those of one send are best given in order.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when more is waiting than is admitted; [`Error::Unavailable`] when the store does not
    /// answer. Some of a batch may then be taken in: the same batch can be sent again.
    pub async fn receipts(
        &self,
        caller: &Caller,
        tenant: &str,
        told: Vec<ReceiptCall>,
    ) -> Result<Vec<ReceiptAnswer>, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let room = self.admit("receipts", &tenant, told.len())?;
        let (node, trace) = (Arc::clone(&self.node), caller.trace);
        to_its_end(async move {
            let _room = room;
            let answers = told.into_iter().map(|told| {
                let (node, id) = (Arc::clone(&node), told.send.enrollment);
                let ask = Ask::Receipt(Arc::new(told), trace);
                async move {
                    match command::ask(&node, tenant.shard, tenant.no, id, ask).await {
                        Ok(changed) => Ok(ReceiptAnswer::Taken { changed: changed.changed }),
                        Err(Error::NotFound { .. }) => Ok(ReceiptAnswer::Unknown),
                        Err(error) => Err(error),
                    }
                }
            });
            let answers: Vec<_> =
                futures::stream::iter(answers).buffered(limits::RECEIPTS_TOGETHER).collect().await;
            answers.into_iter().collect()
        })
        .await
    }

    /// The send whose id is written like this; `None` where it is none of this installation's.
    #[must_use]
    pub fn send_of(&self, text: &str) -> Option<SendId> {
        SendId::parse(text, self.node.key).ok()
    }
}
