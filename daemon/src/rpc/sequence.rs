//! `SequenceService`.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_domain::sequence::{Draft, DraftStep};
use tracing::Instrument;

use crate::proto::v1;
use crate::rpc::asked::Asked;
use crate::rpc::{Service, funnel, refusal};

/// Sequences and their funnels.
pub(super) struct Sequences(pub(super) Service);

impl v1::SequenceService for Sequences {
    async fn put_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutSequenceRequest>,
    ) -> ServiceResult<v1::PutSequenceResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let draft = draft(request.sequence.into_option().unwrap_or_default());
        let put = self.0.engine.put_sequence(&caller, &request.tenant, &request.name, draft);
        let put = put.instrument(span).await;
        let sequence = put.map_err(|error| refusal::of(&error, "sequence", caller.trace))?;
        Response::ok(v1::PutSequenceResponse {
            name: sequence.name.to_string(),
            status: sequence.status().to_owned(),
            latest_version: sequence.latest.map(|version| version.0).unwrap_or_default(),
            ..Default::default()
        })
    }

    async fn publish(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PublishRequest>,
    ) -> ServiceResult<v1::PublishResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let published = self.0.engine.publish(&caller, request.tenant, request.sequence);
        let published = published.instrument(span).await;
        let version = published.map_err(|error| refusal::of(&error, "draft", caller.trace))?;
        Response::ok(v1::PublishResponse { version: version.0, ..Default::default() })
    }

    async fn get_funnel(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetFunnelRequest>,
    ) -> ServiceResult<v1::GetFunnelResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let counted = self.0.engine.funnel(&caller, request.tenant, request.sequence).instrument(span).await;
        let counted = counted.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetFunnelResponse {
            sequence: request.sequence.to_owned(),
            versions: counted.iter().map(funnel::show).collect(),
            ..Default::default()
        })
    }
}

fn draft(given: v1::Draft) -> Draft {
    Draft {
        target: given.target,
        class: given.class,
        unique_per: given.unique_per,
        reentry: given.reentry,
        exit_on_reply: given.exit_on_reply,
        stay_on_resolved: given.stay_on_resolved,
        stay_on_goal: given.stay_on_goal,
        max_lifetime: given.max_lifetime,
        steps: given.steps.into_iter().map(step).collect(),
    }
}

fn step(given: v1::Step) -> DraftStep {
    DraftStep {
        wait: given.wait,
        at: given.at,
        channel: given.channel,
        subject: given.subject,
        body: given.body,
        useless_after: given.useless_after,
        late: given.late,
        on_failure: given.on_failure,
        business_days_only: given.business_days_only,
    }
}
