//! `EventService`.

use connectrpc::{
    ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use followupd_runtime::{Caller, Error, EventAnswer};
use futures::StreamExt;
use tracing::Instrument;

use crate::rpc::asked::Asked;
use crate::rpc::stream::Standing;
use crate::rpc::{Service, batch, refusal, stream, take};
use followupd_proto::v1;

/// Events.
pub(super) struct Events(pub(super) Service);

impl v1::EventService for Events {
    async fn send(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::SendRequest>,
    ) -> ServiceResult<v1::SendResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let event = request.event.into_option().unwrap_or_default();
        let answered = async {
            let event = take::event(event, self.0.env.wall()).map_err(Error::Invalid)?;
            let mut answers = self.0.engine.event(&caller, &request.tenant, vec![event]).await?;
            match answers.pop() {
                Some(EventAnswer::Refused { reason, problem }) => Err(Error::Refused { reason, problem }),
                Some(answer) => Ok(answer),
                None => Err(Error::Unavailable("no answer to an event".to_owned())),
            }
        };
        let answered = answered.instrument(span).await;
        let answer = answered.map_err(|error| refusal::of(&error, "event", caller.trace))?;
        let result = batch::event_result(Ok(answer), |send| self.0.engine.send_text(send));
        Response::ok(v1::SendResponse { result: result.into(), ..Default::default() })
    }

    async fn send_batch(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::SendBatchRequest>,
    ) -> ServiceResult<v1::SendBatchResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let results = self.0.events(&caller, &request.tenant, request.events).instrument(span).await;
        let results = results.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::SendBatchResponse { results, ..Default::default() })
    }

    async fn send_receipts(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::SendReceiptsRequest>,
    ) -> ServiceResult<v1::SendReceiptsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let results = self.0.receipts(&caller, request.to_owned_message()).instrument(span).await;
        let results = results.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::SendReceiptsResponse { results, ..Default::default() })
    }

    async fn send_stream(
        &self,
        ctx: RequestContext,
        requests: InboundStream<v1::SendStreamRequest>,
    ) -> ServiceResult<ServiceStream<v1::SendStreamResponse>> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let standing = Standing::of(&ctx, &self.0.engine, caller.trace);
        let state = (requests, self.0.clone(), String::new());
        // One batch after the other: what a stream says first happened first.
        let answers = futures::stream::try_unfold(state, move |(mut requests, service, mut tenant)| {
            let (caller, span, standing) = (caller.clone(), span.clone(), standing.clone());
            async move {
                let Some(request) = requests.next().await.transpose()? else {
                    return Ok::<_, ConnectError>(None);
                };
                standing.check()?;
                let request = request.to_owned_message();
                let results = async {
                    stream::keep("tenant", &mut tenant, &request.tenant)?;
                    stream::patiently(|| service.events(&caller, &tenant, request.events.clone())).await
                };
                let results = results.instrument(span).await;
                let results = results.map_err(|error| refusal::of(&error, "", caller.trace))?;
                let answer = v1::SendStreamResponse { results, ..Default::default() };
                Ok(Some((answer, (requests, service, tenant))))
            }
        });
        Ok(Response::stream(answers))
    }
}

impl Service {
    async fn receipts(
        &self,
        caller: &Caller,
        request: v1::SendReceiptsRequest,
    ) -> Result<Vec<v1::ReceiptResult>, Error> {
        take::batch_size("receipts", request.receipts.len())?;
        let receipts =
            request.receipts.into_iter().map(|one| take::receipt(one, |id| self.engine.send_of(id)));
        let receipts = receipts.collect();
        let ask = |receipts| self.engine.receipts(caller, &request.tenant, receipts);
        Ok(batch::ask(receipts, ask).await?.into_iter().map(batch::receipt_result).collect())
    }

    async fn events(
        &self,
        caller: &Caller,
        tenant: &str,
        events: Vec<v1::Event>,
    ) -> Result<Vec<v1::EventResult>, Error> {
        take::batch_size("events", events.len())?;
        let now = self.env.wall();
        let events = events.into_iter().map(|event| take::event(event, now)).collect();
        let answers = batch::ask(events, |events| self.engine.event(caller, tenant, events)).await?;
        let result = |answered| batch::event_result(answered, |send| self.engine.send_text(send));
        Ok(answers.into_iter().map(result).collect())
    }
}
