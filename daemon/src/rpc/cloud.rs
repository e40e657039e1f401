//! CloudEvents over HTTP: `POST /v1/tenants/{tenant}/events`, the way in of `EventService` for senders that speak no
//! RPC (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>).
//!
//! Keys, roles, checks, answers and errors are those of `Send` for one event and of `SendBatch` for a batch.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use connectrpc::{ConnectError, ErrorCode, RequestContext};
use followupd_domain::sequence::FieldError;
use followupd_runtime::{Caller, Error, EventAnswer, EventCall};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tracing::Instrument;

use crate::limits;
use crate::metrics::Edge;
use crate::rpc::access::Gatekeeper;
use crate::rpc::asked::Asked;
use crate::rpc::cloud::envelope::Envelope;
use crate::rpc::{Service, asked, batch, guard, refusal, take};
use followupd_proto::v1;

mod envelope;

/// One event as one object.
const STRUCTURED: &str = "application/cloudevents+json";

/// Events as a list of objects.
const BATCHED: &str = "application/cloudevents-batch+json";

/// The call this is another form of, for keys and log lines.
const CALL: &str = "/followupd.v1.EventService/Send";

/// What it is called in metrics.
const METHOD: &str = "cloud_events";

/// What stands in the way of every request.
#[derive(Clone)]
pub(crate) struct Way {
    /// Who lets in.
    pub(crate) gatekeeper: Gatekeeper,
    /// What counts.
    pub(crate) edge: Arc<Edge>,
    /// How long one may take, its body included.
    pub(crate) within: Duration,
}

/// The route.
pub(super) fn router(service: Service, way: Way) -> Router {
    Router::new().route("/v1/tenants/{tenant}/events", post(events)).with_state((service, way))
}

async fn events(
    State((service, way)): State<(Service, Way)>,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let ctx = RequestContext::new(parts.headers.clone()).with_path(CALL);
    let (trace, mut counted) = (asked::trace(&ctx), way.edge.call(METHOD, true));
    let answer = answer(&service, &way.gatekeeper, &tenant, ctx, &parts, body);
    let answer = async {
        let late = |_| ConnectError::deadline_exceeded(format!("not done within {} s", way.within.as_secs()));
        tokio::time::timeout(way.within, answer).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    };
    match guard::caught(trace, &mut counted, answer).await {
        Ok(text) => json(StatusCode::OK, text.into()),
        Err(error) => json(error.http_status(), error.to_json()),
    }
}

fn json(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// What came in one request.
enum Arrived {
    One(Box<Envelope>),
    Many(Vec<Envelope>),
}

async fn answer(
    service: &Service,
    gatekeeper: &Gatekeeper,
    tenant: &str,
    mut ctx: RequestContext,
    parts: &Parts,
    body: Body,
) -> Result<String, ConnectError> {
    gatekeeper.admit(&mut ctx)?;
    let Asked { caller, span } = Asked::of(&ctx)?;
    let arrived = arrived(parts, read(body).await?);
    let arrived = arrived.map_err(|refused| refused.into_error(&caller))?;
    let answered = match arrived {
        Arrived::One(event) => service.one(&caller, tenant, *event).instrument(span).await,
        Arrived::Many(events) => service.many(&caller, tenant, events).instrument(span).await,
    };
    answered.map_err(|error| refusal::of(&error, "", caller.trace))
}

async fn read(body: Body) -> Result<Bytes, ConnectError> {
    match Limited::new(body, limits::MESSAGE_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let says =
                format!("the body has more than {} bytes: send smaller batches", limits::MESSAGE_BYTES);
            Err(ConnectError::resource_exhausted(says).with_http_status(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Err(error) => Err(ConnectError::invalid_argument(format!("the body ended early: {error}"))),
    }
}

/// Why a request is not read.
enum Unread {
    /// It is of a kind that is not known.
    Kind(String),
    /// It does not say what its kind says.
    Faults(FieldError),
}

impl Unread {
    fn into_error(self, caller: &Caller) -> ConnectError {
        match self {
            Unread::Kind(says) => ConnectError::new(ErrorCode::InvalidArgument, says)
                .with_http_status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Unread::Faults(fault) => refusal::of(&Error::Invalid(vec![fault]), "", caller.trace),
        }
    }
}

/// The events of a request, by its mode.
fn arrived(parts: &Parts, body: Bytes) -> Result<Arrived, Unread> {
    let header = |name: &str| parts.headers.get(name).map(http::HeaderValue::as_bytes);
    if header(CONTENT_ENCODING.as_str()).is_some_and(|encoding| encoding != b"identity") {
        return Err(Unread::Kind("content-encoding: send the events uncompressed".to_owned()));
    }
    let kind = header(CONTENT_TYPE.as_str()).and_then(|kind| str::from_utf8(kind).ok()).unwrap_or_default();
    let bare = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let broken = |error: serde_json::Error| {
        Unread::Faults(FieldError { field: "body".to_owned(), problem: format!("is no JSON: {error}") })
    };
    if bare == STRUCTURED {
        let event = serde_json::from_slice(&body).map_err(broken)?;
        return Ok(Arrived::One(Box::new(Envelope::of_object(event))));
    }
    if bare == BATCHED {
        let events: Vec<Value> = serde_json::from_slice(&body).map_err(broken)?;
        return Ok(Arrived::Many(events.into_iter().map(Envelope::of_object).collect()));
    }
    let is_data = envelope::is_json(kind) || (kind.is_empty() && body.is_empty());
    if header("ce-specversion").is_some() && is_data {
        return Ok(Arrived::One(Box::new(Envelope::of_headers(header, &body))));
    }
    Err(Unread::Kind(format!(
        "content-type {kind:?} is no CloudEvent: write {STRUCTURED}, {BATCHED}, or application/json with the \
         attributes in ce- headers"
    )))
}

impl Service {
    /// Takes in one event; the answer is that of `Send`.
    async fn one(&self, caller: &Caller, tenant: &str, event: Envelope) -> Result<String, Error> {
        let event = self.call_of(event).map_err(Error::Invalid)?;
        let answer = match self.engine.event(caller, tenant, vec![event]).await?.pop() {
            Some(EventAnswer::Refused { reason, problem }) => {
                return Err(Error::Refused { reason, problem });
            }
            Some(answer) => answer,
            None => return Err(Error::Unavailable("no answer to an event".to_owned())),
        };
        let result = batch::event_result(Ok(answer), |send| self.engine.send_text(send));
        written(&v1::SendResponse { result: result.into(), ..Default::default() })
    }

    /// Takes in a batch; the answer is that of `SendBatch`.
    async fn many(&self, caller: &Caller, tenant: &str, events: Vec<Envelope>) -> Result<String, Error> {
        take::batch_size("body", events.len())?;
        let events = events.into_iter().map(|event| self.call_of(event)).collect();
        let answers = batch::ask(events, |events| self.engine.event(caller, tenant, events)).await?;
        let result = |answered| batch::event_result(answered, |send| self.engine.send_text(send));
        let results = answers.into_iter().map(result).collect();
        written(&v1::SendBatchResponse { results, ..Default::default() })
    }

    fn call_of(&self, event: Envelope) -> Result<EventCall, Vec<FieldError>> {
        let called = take::event(event.event()?, self.env.wall());
        called.map_err(|faults| faults.into_iter().map(as_sent).collect())
    }
}

/// A wrong field under the name its sender knows.
fn as_sent(fault: FieldError) -> FieldError {
    let field = match fault.field.as_str() {
        "id" | "source" | "type" => fault.field,
        "occurred_at" => "time".to_owned(),
        "contact" | "target" | "target.id" | "target.kind" => "subject".to_owned(),
        other => format!("data.{other}"),
    };
    FieldError { field, problem: fault.problem }
}

fn written(answer: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(answer)
        .map_err(|error| Error::Unavailable(format!("the answer is no JSON: {error}")))
}
