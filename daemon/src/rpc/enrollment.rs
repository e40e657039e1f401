//! `EnrollmentService`.

use connectrpc::{
    ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use followupd_domain::decision::Source;
use followupd_runtime::{Caller, Command, EnrollAnswer, Error};
use futures::{StreamExt, TryStreamExt};
use tracing::Instrument;

use crate::limits;
use crate::rpc::asked::Asked;
use crate::rpc::stream::Standing;
use crate::rpc::{Service, batch, refusal, show, stream, take, timeline};
use followupd_proto::v1;

/// Enrollments.
pub(super) struct Enrollments(pub(super) Service);

impl v1::EnrollmentService for Enrollments {
    async fn enroll(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::EnrollRequest>,
    ) -> ServiceResult<v1::EnrollResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let wish = request.enroll.into_option().unwrap_or_default();
        let answered = async {
            let source = take::source(request.source)?;
            let wish = take::enroll(wish, source, &caller.by).map_err(Error::Invalid)?;
            let mut answers =
                self.0.engine.enroll(&caller, &request.tenant, &request.sequence, vec![wish]).await?;
            match answers.pop() {
                Some(EnrollAnswer::Refused { reason, problem }) => Err(Error::Refused { reason, problem }),
                Some(answer) => Ok(answer),
                None => Err(Error::Unavailable("no answer to an enroll".to_owned())),
            }
        };
        let answered = answered.instrument(span).await;
        let answer = answered.map_err(|error| refusal::of(&error, "enroll", caller.trace))?;
        Response::ok(v1::EnrollResponse {
            result: batch::enroll_result(Ok(answer)).into(),
            ..Default::default()
        })
    }

    async fn enroll_batch(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::EnrollBatchRequest>,
    ) -> ServiceResult<v1::EnrollBatchResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let answered = async {
            let source = take::source(request.source)?;
            let into = Into { tenant: request.tenant, sequence: request.sequence, source };
            self.0.enrolls(&caller, &into, request.enrolls).await
        };
        let results = answered.instrument(span).await;
        let results = results.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::EnrollBatchResponse { results, ..Default::default() })
    }

    async fn enroll_stream(
        &self,
        ctx: RequestContext,
        requests: InboundStream<v1::EnrollStreamRequest>,
    ) -> ServiceResult<ServiceStream<v1::EnrollStreamResponse>> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let standing = Standing::of(&ctx, &self.0.engine, caller.trace);
        let (service, mut into) = (self.0.clone(), None);
        let batches = requests.map(move |request| named(&mut into, request?.to_owned_message()));
        let answers = batches
            .map(move |batch| {
                let (service, caller, span) = (service.clone(), caller.clone(), span.clone());
                let standing = standing.clone();
                async move {
                    let answered = async {
                        let (into, enrolls) = batch?;
                        standing.check()?;
                        let results =
                            stream::patiently(|| service.enrolls(&caller, &into, enrolls.clone())).await;
                        results.map_err(Ended::Refused)
                    };
                    let results = answered.instrument(span).await.map_err(|ended| ended.error(&caller))?;
                    Ok::<_, ConnectError>(v1::EnrollStreamResponse { results, ..Default::default() })
                }
            })
            .buffered(limits::ENROLL_BATCHES_AHEAD);
        Ok(Response::stream(answers.into_stream()))
    }

    async fn get_enrollment(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetEnrollmentRequest>,
    ) -> ServiceResult<v1::GetEnrollmentResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.timeline(&caller, request.tenant, request.enrollment_id).instrument(span).await;
        let (enrollment, _) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetEnrollmentResponse { enrollment: enrollment.into(), ..Default::default() })
    }

    async fn get_timeline(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetTimelineRequest>,
    ) -> ServiceResult<v1::GetTimelineResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.timeline(&caller, request.tenant, request.enrollment_id).instrument(span).await;
        let (enrollment, entries) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetTimelineResponse { enrollment: enrollment.into(), entries, ..Default::default() })
    }

    async fn list_by_contact(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListByContactRequest>,
    ) -> ServiceResult<v1::ListByContactResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self
            .0
            .engine
            .contact_enrollments(&caller, request.tenant, request.contact)
            .instrument(span)
            .await;
        let found = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let enrollment_ids = found.iter().map(ToString::to_string).collect();
        Response::ok(v1::ListByContactResponse { enrollment_ids, ..Default::default() })
    }

    async fn list_quarantined(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListQuarantinedRequest>,
    ) -> ServiceResult<v1::ListQuarantinedResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.quarantined(&caller, request.to_owned_message()).instrument(span).await;
        Response::ok(found.map_err(|error| refusal::of(&error, "", caller.trace))?)
    }

    async fn list_enrollments(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListEnrollmentsRequest>,
    ) -> ServiceResult<v1::ListEnrollmentsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.enrollments(&caller, request.to_owned_message()).instrument(span).await;
        Response::ok(found.map_err(|error| refusal::of(&error, "", caller.trace))?)
    }

    async fn explain(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ExplainRequest>,
    ) -> ServiceResult<v1::ExplainResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let explained = self.0.explain(&caller, request.tenant, request.enrollment_id).instrument(span).await;
        Response::ok(explained.map_err(|error| refusal::of(&error, "", caller.trace))?)
    }

    async fn exit(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ExitRequest>,
    ) -> ServiceResult<v1::ExitResponse> {
        let change = self.0.command(&ctx, request.tenant, request.enrollment_id, Command::Exit).await?;
        Response::ok(v1::ExitResponse { change: change.into(), ..Default::default() })
    }

    async fn pause(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PauseRequest>,
    ) -> ServiceResult<v1::PauseResponse> {
        let change = self.0.command(&ctx, request.tenant, request.enrollment_id, Command::Pause).await?;
        Response::ok(v1::PauseResponse { change: change.into(), ..Default::default() })
    }

    async fn resume(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ResumeRequest>,
    ) -> ServiceResult<v1::ResumeResponse> {
        let change = self.0.command(&ctx, request.tenant, request.enrollment_id, Command::Resume).await?;
        Response::ok(v1::ResumeResponse { change: change.into(), ..Default::default() })
    }

    async fn release_quarantine(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ReleaseQuarantineRequest>,
    ) -> ServiceResult<v1::ReleaseQuarantineResponse> {
        let change = self.0.command(&ctx, request.tenant, request.enrollment_id, Command::Release).await?;
        Response::ok(v1::ReleaseQuarantineResponse { change: change.into(), ..Default::default() })
    }
}

/// Where a batch enrolls.
#[derive(Clone, Debug, PartialEq)]
struct Into {
    tenant: String,
    sequence: String,
    source: Source,
}

/// Why a stream ends early.
enum Ended {
    /// The call cannot be done.
    Refused(Error),
    /// The connection or a message is broken.
    Broken(ConnectError),
}

impl Ended {
    fn error(self, caller: &Caller) -> ConnectError {
        match self {
            Ended::Refused(error) => refusal::of(&error, "", caller.trace),
            Ended::Broken(error) => error,
        }
    }
}

impl From<ConnectError> for Ended {
    fn from(error: ConnectError) -> Ended {
        Ended::Broken(error)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Refused(error)
    }
}

/// A batch of a stream, with what the first message said.
fn named(
    into: &mut Option<Into>,
    request: v1::EnrollStreamRequest,
) -> Result<(Into, Vec<v1::Enroll>), Ended> {
    let into = match into {
        Some(into) => into,
        None => {
            let source = take::source(request.source)?;
            into.insert(Into { tenant: String::new(), sequence: String::new(), source })
        }
    };
    stream::keep("tenant", &mut into.tenant, &request.tenant)?;
    stream::keep("sequence", &mut into.sequence, &request.sequence)?;
    Ok((into.clone(), request.enrolls))
}

impl Service {
    async fn enrolls(
        &self,
        caller: &Caller,
        into: &Into,
        enrolls: Vec<v1::Enroll>,
    ) -> Result<Vec<v1::EnrollResult>, Error> {
        take::batch_size("enrolls", enrolls.len())?;
        let wishes = enrolls.into_iter().map(|wish| take::enroll(wish, into.source, &caller.by)).collect();
        let call = |wishes| self.engine.enroll(caller, &into.tenant, &into.sequence, wishes);
        let answers = batch::ask(wishes, call).await?;
        Ok(answers.into_iter().map(batch::enroll_result).collect())
    }

    async fn timeline(
        &self,
        caller: &Caller,
        tenant: &str,
        id: &str,
    ) -> Result<(v1::Enrollment, Vec<v1::TimelineEntry>), Error> {
        let id = take::enrollment_id(id)?;
        let timeline = self.engine.get(caller, tenant, id).await?;
        let show = show::Show {
            engine: &self.engine,
            names: self.engine.names(caller, tenant).await?,
            now: self.env.wall(),
        };
        let entries = timeline::entries(&show, &timeline.history);
        Ok((show.enrollment(&timeline.enrollment), entries))
    }

    async fn command(
        &self,
        ctx: &RequestContext,
        tenant: &str,
        id: &str,
        command: Command,
    ) -> Result<v1::Change, ConnectError> {
        let Asked { caller, span } = Asked::of(ctx)?;
        let changed = async {
            let id = take::enrollment_id(id)?;
            let changed = self.engine.command(&caller, tenant, id, command).await?;
            let show = show::Show {
                engine: &self.engine,
                names: self.engine.names(&caller, tenant).await?,
                now: self.env.wall(),
            };
            Ok(v1::Change {
                enrollment: show.enrollment(&changed.enrollment).into(),
                changed: changed.changed,
                in_flight_send_id: changed
                    .in_flight
                    .map(|send| self.engine.send_text(send))
                    .unwrap_or_default(),
                ..Default::default()
            })
        };
        changed.instrument(span).await.map_err(|error: Error| refusal::of(&error, "", caller.trace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tenant: &str, sequence: &str) -> v1::EnrollStreamRequest {
        let source = v1::Source::Manual.into();
        v1::EnrollStreamRequest {
            tenant: tenant.into(),
            sequence: sequence.into(),
            source,
            ..Default::default()
        }
    }

    #[test]
    fn a_stream_is_named_by_its_first_message() {
        let mut into = None;
        let (first, _) = named(&mut into, message("acme", "welcome")).ok().unwrap();
        let later = v1::EnrollStreamRequest { source: v1::Source::Api.into(), ..message("", "") };
        let (second, _) = named(&mut into, later).ok().unwrap();
        assert_eq!(first, second);
        assert_eq!(second.source, Source::Manual);
        assert!(named(&mut into, message("acme", "other")).is_err());
        assert!(named(&mut None, message("acme", "")).is_err());
    }
}
