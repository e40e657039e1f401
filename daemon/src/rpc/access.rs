//! Who may make which call: a key is looked for before a message is decoded, and its role before anything is done.
//!
//! Which tenants a key finds is the engine's business; the caller it is told of says so.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::HeaderMap;
use connectrpc::interceptor::{
    Interceptor, Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
};
use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, async_trait};
use followupd_domain::Span;
use followupd_domain::access::{AccessKey, Denied, Draw, Role};
use followupd_runtime::{Audited, Engine, Error, KeyWish};
use tracing::Instrument;

use crate::limits;
use crate::rpc::asked::{self, Asked};
use crate::rpc::pace::Pace;
use crate::rpc::{Service, page, refusal, show, take};
use followupd_proto::v1;

/// What each call needs. One that is not here is for operators only, until somebody has thought of it.
const NEEDS: &[(Role, &[&str])] = &[
    (
        Role::Reader,
        &[
            "ContactService/GetContact",
            "EnrollmentService/Explain",
            "EnrollmentService/GetEnrollment",
            "EnrollmentService/GetTimeline",
            "EnrollmentService/ListByContact",
            "EnrollmentService/ListEnrollments",
            "EnrollmentService/ListQuarantined",
            "SequenceService/GetFunnel",
            "SequenceService/GetSequence",
            "SequenceService/ListSequences",
            "SequenceService/PreviewSequence",
            "SequenceService/ValidateSequence",
            "TenantService/GetChannel",
            "TenantService/GetTenant",
            "TenantService/GetAccount",
            "TenantService/ListAccounts",
            "TenantService/ListChannels",
            "TenantService/ListHolds",
            "TenantService/ListTenants",
            "TenantService/PreviewRelease",
        ],
    ),
    (
        Role::Sender,
        &[
            "ContactService/Suppress",
            "EnrollmentService/Enroll",
            "EnrollmentService/EnrollBatch",
            "EnrollmentService/EnrollStream",
            "EnrollmentService/Exit",
            "EventService/Send",
            "EventService/SendBatch",
            "EventService/SendReceipts",
            "EventService/SendStream",
        ],
    ),
    (
        Role::Operator,
        &[
            "AccessService/CreateKey",
            "AccessService/ListAudit",
            "AccessService/ListKeys",
            "AccessService/RevokeKey",
            "ContactService/Erase",
            "ContactService/ExportContact",
            "ContactService/Lift",
            "EnrollmentService/Pause",
            "EnrollmentService/Resume",
            "EnrollmentService/ReleaseQuarantine",
            "SequenceService/ActivateSequence",
            "SequenceService/ArchiveSequence",
            "SequenceService/PauseSequence",
            "SequenceService/Publish",
            "SequenceService/PutSequence",
            "SettingsService/Compare",
            "StoreService/Backup",
            "TenantService/DeleteTenant",
            "TenantService/Hold",
            "TenantService/PutAccount",
            "TenantService/PutChannel",
            "TenantService/PutTenant",
            "TenantService/Release",
            "TenantService/ResumeSending",
            "TenantService/StopSending",
        ],
    ),
];

/// The role a call needs, by its path.
fn needed(path: &str) -> Option<Role> {
    let call = path.strip_prefix("/followupd.v1.")?;
    NEEDS.iter().find(|(_, calls)| calls.contains(&call)).map(|(role, _)| *role)
}

/// Whether anybody may make a call: what balances load asks for health, and has no key.
fn is_open(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/")
}

/// Whether any key will do: what calls there are is no secret, and nobody's data.
fn needs_any_key(path: &str) -> bool {
    path.starts_with("/grpc.reflection.")
}

/// Lets in whoever has a key and the role, and does not call too often.
#[derive(Clone)]
pub(crate) struct Gatekeeper {
    engine: Engine,
    pace: Arc<Pace>,
}

impl Gatekeeper {
    /// Lets each key call so often a second.
    pub(crate) fn new(engine: Engine, calls_a_key: NonZeroU32) -> Gatekeeper {
        Gatekeeper { engine, pace: Arc::new(Pace::new(calls_a_key)) }
    }

    /// Finds who asks; what is done for them reads it in the context.
    ///
    /// # Errors
    /// The refusal of a call without a key, or whose key has not the role or has called too often.
    pub(super) fn admit(&self, ctx: &mut RequestContext) -> Result<(), ConnectError> {
        if is_open(ctx.path().unwrap_or_default()) {
            return Ok(());
        }
        let key = self.key(ctx).map_err(|denied| refusal::denied(denied, asked::trace(ctx)))?;
        self.pace.take(&key.name).map_err(|after| refusal::too_often(after, asked::trace(ctx)))?;
        ctx.extensions_mut().insert(key);
        Ok(())
    }

    /// Lets in whoever may read the metrics from afar: they are of all tenants together, so a key for one will not do.
    ///
    /// # Errors
    /// The refusal of a caller with another key, or none.
    pub(crate) fn admit_to_metrics(&self, headers: HeaderMap) -> Result<(), ConnectError> {
        let ctx = RequestContext::new(headers);
        let holder = self.holder(&ctx).and_then(|key| {
            key.may(Role::Reader)?;
            if key.tenant.is_some() { Err(Denied::Role(Role::Reader)) } else { Ok(()) }
        });
        holder.map_err(|denied| refusal::denied(denied, asked::trace(&ctx)))
    }

    fn key(&self, ctx: &RequestContext) -> Result<AccessKey, Denied> {
        let key = self.holder(ctx)?;
        let path = ctx.path().unwrap_or_default();
        if !needs_any_key(path) {
            key.may(needed(path).unwrap_or(Role::Operator))?;
        }
        Ok(key)
    }

    fn holder(&self, ctx: &RequestContext) -> Result<AccessKey, Denied> {
        let header = ctx.header("authorization").ok_or(Denied::Missing)?;
        let header = header.to_str().map_err(|_| Denied::Unknown)?;
        let (scheme, text) = header.split_once(' ').ok_or(Denied::Unknown)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Missing);
        }
        self.engine.holder(text.trim())
    }
}

#[async_trait]
impl Interceptor for Gatekeeper {
    async fn intercept_unary(
        &self,
        mut request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        self.admit(&mut request.ctx)?;
        next.run(request).await
    }

    async fn intercept_streaming(
        &self,
        mut request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        self.admit(&mut request.ctx)?;
        next.run(request, inbound).await
    }
}

/// The service of access keys.
pub(super) struct Keys(pub(super) Service);

impl v1::AccessService for Keys {
    async fn create_key(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::CreateKeyRequest>,
    ) -> ServiceResult<v1::CreateKeyResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let made = async {
            let wish = wish(request)?;
            let mut draw: Draw = [0; size_of::<Draw>()];
            getrandom::fill(&mut draw)
                .map_err(|error| Error::Unavailable(format!("this machine has no randomness: {error}")))?;
            self.0.engine.make_key(&caller, wish, draw).await
        };
        let made = made.instrument(span).await;
        let (key, text) = made.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::CreateKeyResponse { key: shown(&key).into(), text, ..Default::default() })
    }

    async fn list_keys(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, v1::ListKeysRequest>,
    ) -> ServiceResult<v1::ListKeysResponse> {
        let Asked { caller, .. } = Asked::of(&ctx)?;
        let keys = self.0.engine.keys(&caller).iter().map(shown).collect();
        Response::ok(v1::ListKeysResponse { keys, ..Default::default() })
    }

    async fn revoke_key(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::RevokeKeyRequest>,
    ) -> ServiceResult<v1::RevokeKeyResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let revoked = self.0.engine.revoke_key(&caller, request.name).instrument(span).await;
        revoked.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::RevokeKeyResponse::default())
    }

    async fn list_audit(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListAuditRequest>,
    ) -> ServiceResult<v1::ListAuditResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let engine = &self.0.engine;
        let filter = format!("audit/{}", request.tenant);
        let found = async {
            let size = page::size(request.page_size)?;
            let from = page::place(engine, &filter, &request.page_token)?;
            let tenant = Some(request.tenant.as_str()).filter(|tenant| !tenant.is_empty());
            engine.audit(&caller, tenant, from, size).await
        };
        let found = found.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ListAuditResponse {
            entries: found.entries.iter().map(line).collect(),
            next_page_token: found.next.map(|next| page::token(engine, &filter, &next)).unwrap_or_default(),
            ..Default::default()
        })
    }
}

fn line(entry: &Audited) -> v1::AuditEntry {
    v1::AuditEntry {
        at: show::moment(entry.at),
        by: entry.by.clone(),
        act: entry.act.word().to_owned(),
        what: entry.what.clone(),
        trace_id: asked::hex(entry.trace),
        ..Default::default()
    }
}

fn wish(request: v1::CreateKeyRequest) -> Result<KeyWish, Error> {
    let roles = request.roles.iter().enumerate().map(|(place, role)| match role.as_known() {
        Some(v1::Role::Reader) => Ok(Role::Reader),
        Some(v1::Role::Sender) => Ok(Role::Sender),
        Some(v1::Role::Reviewer) => Ok(Role::Reviewer),
        Some(v1::Role::Operator) => Ok(Role::Operator),
        Some(v1::Role::Unspecified) | None => Err(take::invalid(
            &format!("roles[{place}]"),
            "is none this version knows: ROLE_READER and so on",
        )),
    });
    let expires_after = request.expires_after.into_option().map(|after| {
        let millis = after.seconds.saturating_mul(1_000).saturating_add(i64::from(after.nanos) / 1_000_000);
        match millis {
            ..1 => Err(take::invalid("expires_after", "is over at once: leave it out for no end")),
            _ if Span(millis) > Span::days(limits::KEY_DAYS) => {
                let most = limits::KEY_DAYS;
                let problem = format!("is more than {most} days: leave it out for no end");
                Err(take::invalid("expires_after", &problem))
            }
            _ => Ok(Span(millis)),
        }
    });
    Ok(KeyWish {
        name: request.name,
        tenant: Some(request.key_tenant).filter(|tenant| !tenant.is_empty()),
        roles: roles.collect::<Result<_, Error>>()?,
        expires_after: expires_after.transpose()?,
    })
}

fn shown(key: &AccessKey) -> v1::AccessKey {
    let role = |role: &Role| match role {
        Role::Reader => v1::Role::Reader,
        Role::Sender => v1::Role::Sender,
        Role::Reviewer => v1::Role::Reviewer,
        Role::Operator => v1::Role::Operator,
    };
    v1::AccessKey {
        name: key.name.to_string(),
        key_tenant: key.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
        roles: key.roles.iter().map(|known| role(known).into()).collect(),
        made_at: show::moment(key.made_at),
        expires_at: key.expires_at.map_or_else(buffa::MessageField::none, show::moment),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The paths of all calls in the protos.
    fn calls() -> BTreeSet<String> {
        let protos = [
            include_str!("../../proto/followupd/v1/access.proto"),
            include_str!("../../proto/followupd/v1/contact.proto"),
            include_str!("../../proto/followupd/v1/enrollment.proto"),
            include_str!("../../proto/followupd/v1/event.proto"),
            include_str!("../../proto/followupd/v1/sequence.proto"),
            include_str!("../../proto/followupd/v1/settings.proto"),
            include_str!("../../proto/followupd/v1/store.proto"),
            include_str!("../../proto/followupd/v1/tenant.proto"),
        ];
        let (mut calls, mut service) = (BTreeSet::new(), "");
        for line in protos.iter().flat_map(|proto| proto.lines()) {
            if let Some(named) = line.strip_prefix("service ") {
                service = named.trim_end_matches(" {");
            }
            if let Some((method, _)) = line.trim().strip_prefix("rpc ").and_then(|call| call.split_once('('))
            {
                calls.insert(format!("{service}/{method}"));
            }
        }
        calls
    }

    #[test]
    fn every_call_needs_a_role_and_no_role_is_for_a_call_that_is_not_there() {
        let listed: BTreeSet<String> =
            NEEDS.iter().flat_map(|(_, calls)| calls.iter().map(|call| (*call).to_owned())).collect();
        assert_eq!(listed, calls());
        assert_eq!(needed("/followupd.v1.EventService/Send"), Some(Role::Sender));
        assert_eq!(needed("/followupd.v1.EventService/Other"), None);
    }
}
