//! `SequenceService`.

use buffa::MessageField;
use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_domain::VersionNo;
use followupd_domain::sequence::{FieldError, Status};
use followupd_runtime::{At, Error};
use tracing::Instrument;

use crate::rpc::asked::Asked;
use crate::rpc::page::Page;
use crate::rpc::{Service, funnel, preview, refusal, scopes, take};
use followupd_proto::v1;

/// Sequences and their funnels.
pub(super) struct Sequences(pub(super) Service);

impl v1::SequenceService for Sequences {
    async fn put_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutSequenceRequest>,
    ) -> ServiceResult<v1::PutSequenceResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let put = async {
            let expected = scopes::expected(request.expected_revision, request.only_new)?;
            let value = scopes::draft(request.sequence.into_option().unwrap_or_default())?;
            let put = At { value, expected };
            self.0.engine.put_sequence(&caller, &request.tenant, &request.name, put).await
        };
        let put = put.instrument(span).await;
        let sequence = put.map_err(|error| refusal::of(&error, "sequence", caller.trace))?;
        Response::ok(v1::PutSequenceResponse {
            name: sequence.name.to_string(),
            status: sequence.status.word().to_owned(),
            latest_version: sequence.latest.map(|version| version.0).unwrap_or_default(),
            revision: sequence.revision,
            ..Default::default()
        })
    }

    async fn publish(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PublishRequest>,
    ) -> ServiceResult<v1::PublishResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let published = async {
            let expected = scopes::expected(request.expected_revision, false)?;
            let sequence = At { value: request.sequence, expected };
            self.0.engine.publish(&caller, request.tenant, sequence).await
        };
        let published = published.instrument(span).await;
        let published = published.map_err(|error| refusal::of(&error, "draft", caller.trace))?;
        let (version, revision) = (published.version.0, published.revision);
        Response::ok(v1::PublishResponse { version, revision, ..Default::default() })
    }

    async fn get_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetSequenceRequest>,
    ) -> ServiceResult<v1::GetSequenceResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let engine = &self.0.engine;
        let found = async {
            let sequence = engine.get_sequence(&caller, request.tenant, request.sequence).await?;
            let wanted = (request.version > 0).then_some(VersionNo(request.version));
            let version = engine.version(&caller, request.tenant, request.sequence, wanted)?;
            Ok((sequence, version))
        };
        let found = found.instrument(span).await;
        let (sequence, version) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let (no, published) = version
            .map_or((0, MessageField::none()), |(no, draft)| (no.0, scopes::shown_draft(draft).into()));
        Response::ok(v1::GetSequenceResponse {
            sequence: scopes::sequence(sequence).into(),
            version: no,
            published,
            ..Default::default()
        })
    }

    async fn list_sequences(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListSequencesRequest>,
    ) -> ServiceResult<v1::ListSequencesResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let engine = &self.0.engine;
        let found = async {
            let status = status(request.status)?;
            let filter = format!("sequences/{}/{}", request.tenant, request.status);
            let page = Page::of(engine, &filter, request.page_size, request.page_token)?;
            let found = engine.sequences(&caller, request.tenant, status, &page.after, page.ask()).await?;
            Ok(page.cut(engine, found, |sequence| sequence.name.as_str()))
        };
        let found = found.instrument(span).await;
        let (sequences, next_page_token) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let in_list = |found| v1::Sequence { draft: MessageField::none(), ..scopes::sequence(found) };
        let sequences = sequences.into_iter().map(in_list).collect();
        Response::ok(v1::ListSequencesResponse { sequences, next_page_token, ..Default::default() })
    }

    async fn validate_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ValidateSequenceRequest>,
    ) -> ServiceResult<v1::ValidateSequenceResponse> {
        let Asked { caller, .. } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let draft = request.draft.into_option().map(scopes::draft).transpose();
        let draft = draft.map_err(|error| refusal::of(&error, "draft", caller.trace))?;
        let found = self.0.engine.validate(&caller, &request.tenant, &request.sequence, draft.as_ref());
        let (faults, warnings) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let shown = |found: Vec<FieldError>| found.into_iter().map(preview::finding).collect();
        Response::ok(v1::ValidateSequenceResponse {
            faults: shown(faults),
            warnings: shown(warnings),
            ..Default::default()
        })
    }

    async fn preview_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PreviewSequenceRequest>,
    ) -> ServiceResult<v1::PreviewSequenceResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let tenant = request.tenant.clone();
        let foreseen = async {
            let trial = preview::trial(request, &caller.by)?;
            let steps = self.0.engine.preview(&caller, &tenant, trial).await?;
            Ok((steps, self.0.engine.names(&caller, &tenant).await?))
        };
        let foreseen = foreseen.instrument(span).await;
        let (steps, names) = foreseen.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let steps = steps.into_iter().map(|step| preview::step(step, &names)).collect();
        Response::ok(v1::PreviewSequenceResponse { steps, ..Default::default() })
    }

    async fn pause_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PauseSequenceRequest>,
    ) -> ServiceResult<v1::PauseSequenceResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let paused = async {
            scopes::reason(request.reason)?;
            let scope = scopes::sequence_scope("sequence", request.sequence)?;
            self.0.engine.hold(&caller, request.tenant, scope, request.reason).await
        };
        paused.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::PauseSequenceResponse::default())
    }

    async fn activate_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ActivateSequenceRequest>,
    ) -> ServiceResult<v1::ActivateSequenceResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let released = async {
            let scope = scopes::sequence_scope("sequence", request.sequence)?;
            self.0.engine.release(&caller, request.tenant, scope).await
        };
        released.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ActivateSequenceResponse::default())
    }

    async fn archive_sequence(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ArchiveSequenceRequest>,
    ) -> ServiceResult<v1::ArchiveSequenceResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let archived = async {
            let expected = scopes::expected(request.expected_revision, false)?;
            let sequence = At { value: request.sequence, expected };
            self.0.engine.archive(&caller, request.tenant, sequence).await
        };
        archived.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ArchiveSequenceResponse::default())
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

fn status(word: &str) -> Result<Option<Status>, Error> {
    if word.is_empty() {
        return Ok(None);
    }
    let known = Status::ALL.map(Status::word).join(", ");
    let unknown = || take::invalid("status", &format!("{word:?} is none of {known}"));
    Status::parse(word).map(Some).ok_or_else(unknown)
}
