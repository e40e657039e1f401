//! `StoreService`.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::stream;
use tracing::Instrument;

use crate::rpc::asked::Asked;
use crate::rpc::{Service, refusal};
use followupd_proto::v1;

/// The store's rows, all together.
pub(super) struct Stores(pub(super) Service);

impl v1::StoreService for Stores {
    async fn backup(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, v1::BackupRequest>,
    ) -> ServiceResult<ServiceStream<v1::BackupResponse>> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let begun = self.0.engine.backup(&caller, env!("CARGO_PKG_VERSION")).instrument(span.clone()).await;
        let begun = begun.map_err(|error| refusal::of(&error, "", caller.trace))?;
        // The next part is read when the one before was taken: a slow caller holds back nothing but itself.
        let parts = stream::try_unfold(begun, move |mut backup| {
            let trace = caller.trace;
            let next = async move {
                let part = backup.part().await.map_err(|error| refusal::of(&error, "", trace))?;
                Ok(part.map(|part| (v1::BackupResponse { part: part.into(), ..Default::default() }, backup)))
            };
            next.instrument(span.clone())
        });
        Ok(Response::stream(parts))
    }
}
