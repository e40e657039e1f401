//! A send as an HTTP request: its JSON, its signed headers.

use http::{HeaderName, HeaderValue};
use ring::{digest, hmac};
use serde_json::json;
use url::Url;

use super::sign;
use crate::Call;
use crate::http::{JSON, Post};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request of a call, or nothing where its key cannot stand in a header.
pub(super) fn post(call: &Call, url: &Url, keys: &[hmac::Key]) -> Option<Post> {
    let body = body(call);
    let id = HeaderValue::from_str(&call.key).ok()?;
    let timestamp = call.at.0.div_euclid(1_000);
    let signatures = sign::signatures(keys, &call.key, timestamp, &body);
    let post = Post::to(url, JSON, body)?
        .with(IDEMPOTENCY_KEY, id.clone())
        .with(ID, id)
        .with(TIMESTAMP, HeaderValue::from(timestamp))
        .with(SIGNATURE, HeaderValue::from_str(&signatures).ok()?);
    match trace_parent(call) {
        Some(parent) => Some(post.with(TRACEPARENT, HeaderValue::from_str(&parent).ok()?)),
        None => Some(post),
    }
}

fn body(call: &Call) -> Vec<u8> {
    // Nothing that differs from one call of a send to the next: receivers may compare what has the same key.
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
