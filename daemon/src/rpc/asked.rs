//! Who asks, and under which trace: read from a call's metadata.

use std::hash::{BuildHasher, Hasher, RandomState};

use connectrpc::{ConnectError, RequestContext};
use followupd_domain::access::{self, AccessKey, Denied};
use followupd_domain::decision::TraceId;
use followupd_domain::sequence::FieldError;
use followupd_runtime::{Caller, Error, Once};
use tracing::Span;

use crate::limits;
use crate::rpc::refusal;
use crate::traces::{self, Parent};

/// The metadata that names who makes the call.
const ON_BEHALF_OF: &str = "on-behalf-of";

/// The metadata that has a change made once, however often the call is sent.
const REQUEST_ID: &str = "request-id";

/// A call: its caller, and the span its log lines stand in.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What the engine is told.
    pub(super) caller: Caller,
    /// What log lines are told.
    pub(super) span: Span,
}

impl Asked {
    /// Reads the metadata of a call.
    ///
    /// # Errors
    /// `on-behalf-of` is not what timelines can show. A `traceparent` that makes no sense is replaced, as W3C Trace
    /// Context (§3.2) asks for.
    pub(super) fn of(ctx: &RequestContext) -> Result<Asked, ConnectError> {
        let given = parent(ctx);
        let trace = given.map_or_else(begin, |given| given.trace);
        let Some(key) = ctx.extensions().get::<AccessKey>() else {
            return Err(refusal::denied(Denied::Missing, trace));
        };
        let by = match ctx.header(ON_BEHALF_OF).map(|value| value.to_str()) {
            None => key.name.to_string(),
            Some(Ok(who)) if !who.is_empty() && who.len() <= limits::BEHALF_BYTES => {
                format!("{} for {who}", key.name)
            }
            Some(_) => {
                let problem = format!("give 1 to {} visible ASCII characters", limits::BEHALF_BYTES);
                let fault = FieldError { field: ON_BEHALF_OF.to_owned(), problem };
                return Err(refusal::of(&Error::Invalid(vec![fault]), "", trace));
            }
        };
        let method = ctx.path().unwrap_or_default();
        let span =
            tracing::info_span!("call", otel.kind = "server", method, trace = tracing::field::Empty, by);
        let trace = match given {
            Some(given) => {
                traces::join(&span, given);
                trace
            }
            None => traces::begun(&span).unwrap_or(trace),
        };
        span.record("trace", tracing::field::display(hex(trace)));
        let caller = Caller { by, trace, only: key.tenant.clone(), once: None };
        Ok(Asked { caller, span })
    }

    /// Reads the metadata of a call that changes something, whose message is `body`: it may say that it is made once.
    ///
    /// # Errors
    /// As [`Asked::of`]; or the `request-id` is none.
    pub(super) fn to_change(ctx: &RequestContext, body: &[u8]) -> Result<Asked, ConnectError> {
        let mut asked = Asked::of(ctx)?;
        let (Some(id), Some(key)) = (ctx.header(REQUEST_ID), ctx.extensions().get::<AccessKey>()) else {
            return Ok(asked);
        };
        let visible = |id: &&str| (1..=limits::REQUEST_ID_BYTES).contains(&id.len());
        let Some(id) = id.to_str().ok().filter(visible) else {
            let problem = format!("give 1 to {} visible ASCII characters", limits::REQUEST_ID_BYTES);
            let fault = FieldError { field: REQUEST_ID.to_owned(), problem };
            return Err(refusal::of(&Error::Invalid(vec![fault]), "", asked.caller.trace));
        };
        let digest = access::call_digest(ctx.path().unwrap_or_default(), body);
        asked.caller.once = Some(Once { key: key.id, id: id.to_owned(), digest });
        Ok(asked)
    }
}

/// The trace a call belongs to; a `traceparent` that makes no sense is replaced.
pub(super) fn trace(ctx: &RequestContext) -> TraceId {
    parent(ctx).map_or_else(begin, |given| given.trace)
}

fn parent(ctx: &RequestContext) -> Option<Parent> {
    ctx.header("traceparent").and_then(|value| parse(value.to_str().ok()?))
}

/// A trace id as it is written.
pub(super) fn hex(trace: TraceId) -> String {
    format!("{:032x}", trace.0)
}

/// What a `traceparent` says: `00-<32 hex>-<16 hex>-<2 hex>`, not all zero (W3C Trace Context, §3.2.2).
fn parse(text: &str) -> Option<Parent> {
    let mut parts = text.trim().split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    // Versions after 00 may append parts; ff is no version.
    let known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(known && hex(trace, 32) && hex(parent, 16) && hex(flags, 2)) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0).map(TraceId)?;
    let span = u64::from_str_radix(parent, 16).ok().filter(|span| *span != 0)?;
    Some(Parent { trace, span, flags: u8::from_str_radix(flags, 16).ok()? })
}

/// A new trace id. Each `RandomState` is keyed from the system's randomness.
fn begin() -> TraceId {
    let draw = |half: u64| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(half);
        u128::from(hasher.finish())
    };
    TraceId((draw(0) << 64 | draw(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;
    use followupd_domain::Moment;
    use followupd_domain::access::Role;
    use followupd_domain::name::Name;

    fn asked(headers: &[(&'static str, &'static str)]) -> Result<Asked, ConnectError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let mut ctx = RequestContext::new(map);
        let name = Name::parse("inbox").unwrap();
        let (key, _) = AccessKey::make(&[7; 42], name, None, [Role::Sender].into(), Moment(0), None);
        ctx.extensions_mut().insert(key);
        Asked::of(&ctx)
    }

    #[test]
    fn a_call_that_no_key_was_found_for_is_refused() {
        let error = Asked::of(&RequestContext::new(HeaderMap::new())).unwrap_err();
        assert_eq!(error.code, connectrpc::ErrorCode::Unauthenticated);
    }

    #[test]
    fn the_trace_of_the_caller_is_kept() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let asked = asked(&[("traceparent", parent)]).unwrap();
        assert_eq!(hex(asked.caller.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(asked.caller.by, "inbox");
    }

    #[test]
    fn a_trace_that_makes_no_sense_is_replaced() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let (one, other) = (asked(&[]).unwrap(), asked(&[("traceparent", "nonsense")]).unwrap());
        assert_ne!(one.caller.trace, other.caller.trace);
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later").is_some());
    }

    #[test]
    fn a_request_id_is_bound_to_its_key_and_its_call() {
        let mut map = HeaderMap::new();
        map.insert("request-id", "r-1".parse().unwrap());
        let mut ctx = RequestContext::new(map);
        let name = Name::parse("crm").unwrap();
        let (key, _) = AccessKey::make(&[7; 42], name, None, [Role::Operator].into(), Moment(0), None);
        ctx.extensions_mut().insert(key.clone());
        let once = |body| Asked::to_change(&ctx, body).unwrap().caller.once.unwrap();
        assert_eq!((once(b"a").key, once(b"a").id.as_str()), (key.id, "r-1"));
        assert_eq!(once(b"a"), once(b"a"));
        assert_ne!(once(b"a").digest, once(b"b").digest);
        ctx.headers_mut().insert("request-id", "x".repeat(129).parse().unwrap());
        assert!(Asked::to_change(&ctx, b"a").is_err());
    }

    #[test]
    fn who_asks_is_shown_on_timelines_and_bounded() {
        assert_eq!(asked(&[("on-behalf-of", "ana@crm")]).unwrap().caller.by, "inbox for ana@crm");
        assert!(asked(&[("on-behalf-of", "")]).is_err());
    }
}
