//! What providers tell: `GET` and `POST /v1/webhooks/{tenant}/{channel}`, the addresses to give to Meta and Twilio.
//!
//! Nobody has a key here: a request counts by its provider's signature over its bytes as they came. It is answered with
//! success when all of it is durable, so that what cannot be written is told again; repeats change nothing.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Request, Response, StatusCode, Uri};
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use connectrpc::{ConnectError, ErrorCode, RequestContext};
use followupd_channel::inbound::{self, Inbound, meta, twilio};
use followupd_channel::limits::{INBOUND_BYTES, INBOUND_FORM_BYTES};
use followupd_channel::secret::Secret;
use followupd_channel::transports::Told;
use followupd_domain::Moment;
use followupd_domain::decision::TraceId;
use followupd_runtime::{Engine, Error, TakenIn};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::limits;
use crate::rpc::cloud::Way;
use crate::rpc::{Service, asked, guard, refusal};

/// What it is called in metrics.
const METHOD: &str = "provider_webhook";

/// The route.
pub(super) fn router(service: Service, way: Way) -> Router {
    let tells = get(handshake).post(told);
    let room = Arc::new(Semaphore::new(limits::TOLD_BYTES));
    Router::new().route("/v1/webhooks/{tenant}/{channel}", tells).with_state((service, way, room))
}

/// What a request is answered with, and the bytes that all bodies may take that are read and not taken in yet: whoever
/// sends them has not shown who they are.
type With = (Service, Way, Arc<Semaphore>);

/// Whom a request is for.
type For = Path<(String, String)>;

/// Meta asks whether the webhook it is to call is wanted.
async fn handshake(
    State((service, ..)): State<With>,
    Path((tenant, channel)): For,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let keys = service.engine.told_by(&tenant, &channel);
    let challenge = keys.map_err(unknown).and_then(|keys| match keys {
        Told::Meta { verify_token, .. } => {
            let tokens: Vec<Secret> = verify_token.into_iter().collect();
            meta::handshake(&query.unwrap_or_default(), &tokens).map_err(not_theirs)
        }
        Told::Twilio { .. } => Err(not_theirs(inbound::Error::Forged)),
    });
    match challenge {
        Ok(challenge) => text(StatusCode::OK, challenge),
        Err(error) => refused(&error),
    }
}

/// A provider tells something.
async fn told(
    State((service, way, room)): State<With>,
    Path((tenant, channel)): For,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let ctx = RequestContext::new(parts.headers.clone());
    let (trace, mut counted) = (asked::trace(&ctx), way.edge.call(METHOD, true));
    let taken = async {
        let keys = service.engine.told_by(&tenant, &channel).map_err(unknown)?;
        // What is read before its signature can be checked is no longer than it has to be.
        let (most, tells_again, answer) = match &keys {
            // Whatever is answered with another status, Meta tells again, for days.
            Told::Meta { .. } => (INBOUND_BYTES, true, StatusCode::OK),
            // What it is answered with is sent to the contact.
            Told::Twilio { .. } => (INBOUND_FORM_BYTES, false, StatusCode::NO_CONTENT),
        };
        // Nor is anything read of one that does not even say that it is signed.
        is_signed(&keys, &parts.headers).map_err(not_theirs)?;
        let (body, held) = read(body, most, (&room, tells_again)).await?;
        let facts =
            facts(&keys, &parts.uri, &parts.headers, &body, service.env.wall()).map_err(not_theirs)?;
        let taken = take_in(&service.engine, &tenant, &channel, (facts, tells_again), held).await?;
        Ok((taken, answer))
    };
    let taken = async {
        let late = |_| ConnectError::deadline_exceeded(format!("not done within {} s", way.within.as_secs()));
        tokio::time::timeout(way.within, taken).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    };
    match guard::caught(trace, &mut counted, taken).await {
        Ok((TakenIn { taken, unknown, unread }, answer)) => {
            tracing::debug!(tenant, channel, taken, unknown, unread, "a provider told something");
            text(answer, String::new())
        }
        Err(error) => refused(&error),
    }
}

async fn take_in(
    engine: &Engine,
    tenant: &str,
    channel: &str,
    (facts, tells_again): (Vec<Inbound>, bool),
    held: Option<OwnedSemaphorePermit>,
) -> Result<TakenIn, ConnectError> {
    let (engine, tenant, channel) = (engine.clone(), tenant.to_owned(), channel.to_owned());
    // A provider that hangs up has told it all the same.
    let taken = tokio::spawn(async move {
        let _held = held;
        let mut pause = limits::TOLD_AGAIN;
        loop {
            let taken = engine.take_in(&tenant, &channel, facts.clone()).await;
            let passes = matches!(taken, Err(Error::Overloaded { .. } | Error::Unavailable(_)));
            if tells_again || !passes || pause > limits::TOLD_AGAIN_MOST {
                return taken;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    });
    let taken = taken.await.unwrap_or_else(|_| Err(Error::Unavailable("it ended early".to_owned())));
    taken.map_err(|error| match &error {
        Error::NotFound { .. } => unknown(error),
        Error::Invalid(_)
        | Error::Mismatch { .. }
        | Error::Refused { .. }
        | Error::Overloaded { .. }
        | Error::Unavailable(_) => refusal::of(&error, "", TraceId::default()),
    })
}

/// Whether a request says that its provider signed it: whether that is so, its body shows.
fn is_signed(keys: &Told, headers: &HeaderMap) -> Result<(), inbound::Error> {
    let header = match keys {
        Told::Meta { .. } => meta::SIGNATURE,
        Told::Twilio { .. } => twilio::SIGNATURE,
    };
    let missing = inbound::Wrong { at: header.to_owned(), right: "the provider's signature" };
    if headers.contains_key(header) { Ok(()) } else { Err(inbound::Error::Unsigned(missing)) }
}

/// The facts of a request, when it is its provider's.
fn facts(
    keys: &Told,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    now: Moment,
) -> Result<Vec<Inbound>, inbound::Error> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match keys {
        Told::Meta { app_secrets, .. } => {
            meta::check(header(meta::SIGNATURE), body, app_secrets)?;
            meta::read(body)
        }
        Told::Twilio { auth_tokens, outside_at } => {
            let url = outside(outside_at.as_deref(), header(HOST.as_str()), uri);
            let request = twilio::Request { url: &url, content_type: header(CONTENT_TYPE.as_str()), body };
            request.check(header(twilio::SIGNATURE), auth_tokens)?;
            request.read(now)
        }
    }
}

/// The URL by which a request was called outside, before any proxy: where the channel's own callback says that this
/// daemon is, with a path in front of ours where a proxy takes one away; else the host that was asked for, over TLS.
fn outside(told: Option<&str>, host: Option<&str>, uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // Normalized, as it was given to the provider.
    match told.and_then(|url| Url::parse(url).ok()) {
        Some(url) => {
            let before = url.path().strip_suffix(uri.path()).unwrap_or_default();
            format!("{}{before}{path}", url.origin().ascii_serialization())
        }
        None => format!("https://{}{path}", host.unwrap_or_default()),
    }
}

/// Reads a body of so many bytes at most, and takes the room for them as they come. What is told once waits for all the
/// room it may take before it is read; anything else is refused where there is none.
async fn read(
    body: Body,
    most: usize,
    (room, tells_again): (&Arc<Semaphore>, bool),
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ConnectError> {
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    // It is never closed.
    let held = if tells_again { None } else { Arc::clone(room).acquire_many_owned(all).await.ok() };
    let read = read_in_time(body, most, Some(room).filter(|_| tells_again), held);
    let within = limits::TOLD_BODY;
    tokio::time::timeout(within, read).await.unwrap_or_else(|_| {
        let says = format!("the body did not come within {} s", within.as_secs());
        Err(ConnectError::deadline_exceeded(says))
    })
}

async fn read_in_time(
    mut body: Body,
    most: usize,
    room: Option<&Arc<Semaphore>>,
    mut held: Option<OwnedSemaphorePermit>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ConnectError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ConnectError::invalid_argument(format!("the body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            let says = format!("the body has more than {most} bytes");
            let error = ConnectError::resource_exhausted(says);
            return Err(error.with_http_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        if let Some(room) = room {
            let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let taken = Arc::clone(room).try_acquire_many_owned(more);
            let says = "too many bodies are under way: tell it again later";
            let taken = taken.map_err(|_| ConnectError::unavailable(says))?;
            match &mut held {
                Some(held) => held.merge(taken),
                None => held = Some(taken),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), held))
}

/// There is no such webhook; which part of the path is wrong is nobody's business.
fn unknown(_: Error) -> ConnectError {
    ConnectError::new(ErrorCode::NotFound, "no such webhook")
}

/// The request is not one of the channel's provider.
fn not_theirs(error: inbound::Error) -> ConnectError {
    let code = match &error {
        inbound::Error::Unsigned(_) => ErrorCode::Unauthenticated,
        inbound::Error::Forged => ErrorCode::PermissionDenied,
        inbound::Error::Body(_) => ErrorCode::InvalidArgument,
    };
    ConnectError::new(code, error.to_string())
}

fn refused(error: &ConnectError) -> Response<Body> {
    text(error.http_status(), format!("{}\n", error.message.as_deref().unwrap_or_default()))
}

fn text(status: StatusCode, says: String) -> Response<Body> {
    let mut response = Response::new(Body::from(says));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_that_are_under_way_together_have_a_bound() {
        let room = Arc::new(Semaphore::new(100));
        let send = |length: usize| read(Body::from(vec![b'x'; length]), 80, (&room, true));
        let (first, held) = send(60).await.unwrap();
        assert_eq!(first.len(), 60);
        let refused = send(60).await.unwrap_err();
        assert_eq!(refused.http_status(), StatusCode::SERVICE_UNAVAILABLE, "{refused}");
        assert_eq!(send(40).await.unwrap().0.len(), 40);
        let waits = read(Body::from(vec![b'x'; 6]), 80, (&room, false));
        let mut waits = std::pin::pin!(waits);
        assert!(futures::poll!(waits.as_mut()).is_pending(), "it is told once");
        drop(held);
        assert!(waits.await.is_ok());
        assert!(send(60).await.is_ok());
        let long = send(81).await.unwrap_err();
        assert_eq!(long.http_status(), StatusCode::PAYLOAD_TOO_LARGE, "{long}");
        assert_eq!(room.available_permits(), 100);
    }

    #[test]
    fn the_url_outside_is_the_callbacks_where_there_is_one() {
        let uri: Uri = "/v1/webhooks/acme/sms?send=snd_1".parse().unwrap();
        let told = |told| outside(told, Some("10.0.0.7:7878"), &uri);
        let expected = "https://hooks.example.com/v1/webhooks/acme/sms?send=snd_1";
        assert_eq!(told(Some("https://hooks.example.com/v1/webhooks/acme/sms")), expected);
        assert_eq!(told(Some("https://Hooks.Example.com:443/v1/webhooks/acme/other#rc=5")), expected);
        let behind = told(Some("https://hooks.example.com/followup/v1/webhooks/acme/sms"));
        assert_eq!(behind, "https://hooks.example.com/followup/v1/webhooks/acme/sms?send=snd_1");
        assert_eq!(told(None), "https://10.0.0.7:7878/v1/webhooks/acme/sms?send=snd_1");
    }
}
