//! A send as an HTTP request: its JSON, its signed headers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use ring::{digest, hmac};
use serde_json::json;
use url::{Position, Url};

use super::sign;
use crate::Call;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("followupd/", env!("CARGO_PKG_VERSION")));

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub(super) struct Post {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    /// The request of a call, or nothing where its key cannot stand in a header.
    pub(super) fn of(call: &Call, url: &Url, keys: &[hmac::Key]) -> Option<Post> {
        let body = body(call);
        let id = HeaderValue::from_str(&call.key).ok()?;
        let timestamp = call.at.0.div_euclid(1_000);
        let signatures = sign::signatures(keys, &call.key, timestamp, &body);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()?);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IDEMPOTENCY_KEY, id.clone());
        headers.insert(ID, id);
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(SIGNATURE, HeaderValue::from_str(&signatures).ok()?);
        if let Some(parent) = trace_parent(call) {
            headers.insert(TRACEPARENT, HeaderValue::from_str(&parent).ok()?);
        }
        let path = url[Position::BeforePath..Position::AfterQuery].to_owned();
        Some(Post { path, headers, body: Bytes::from(body) })
    }

    /// It, ready to leave.
    pub(super) fn request(&self) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(&self.path).body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

fn body(call: &Call) -> Vec<u8> {
    let at = chrono::DateTime::from_timestamp_millis(call.at.0).unwrap_or_default();
    json!({
        "id": call.key,
        "type": "message",
        "tenant": call.tenant.as_str(),
        "channel": call.channel.as_str(),
        "contact": call.contact,
        "enrollment": call.send.enrollment.to_string(),
        "step": call.send.step.0,
        "address": call.address,
        "subject": call.message.subject,
        "body": call.message.body,
        "at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "trace": format!("{:032x}", call.trace.0),
    })
    .to_string()
    .into_bytes()
}

/// The trace this call belongs to (W3C Trace Context), its span named after the send; nothing where there is none.
fn trace_parent(call: &Call) -> Option<String> {
    if call.trace.0 == 0 {
        return None;
    }
    let digest = digest::digest(&digest::SHA256, call.key.as_bytes());
    let span = digest.as_ref().iter().take(8).fold(0, |span: u64, byte| span << 8 | u64::from(*byte));
    // A span is never zero.
    Some(format!("00-{:032x}-{:016x}-01", call.trace.0, span.max(1)))
}
