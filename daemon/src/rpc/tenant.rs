//! `TenantService`.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_runtime::{At, Error};
use tracing::Instrument;

use crate::rpc::asked::Asked;
use crate::rpc::page::Page;
use crate::rpc::{Service, backlog, refusal, scopes};
use followupd_proto::v1;

/// Tenants, accounts, channels and holds.
pub(super) struct Tenants(pub(super) Service);

impl v1::TenantService for Tenants {
    async fn put_tenant(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutTenantRequest>,
    ) -> ServiceResult<v1::PutTenantResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let put = async {
            let expected = scopes::expected(request.expected_revision, request.only_new)?;
            let value = scopes::tenant_settings(request.settings.into_option().unwrap_or_default());
            self.0.engine.put_tenant(&caller, &request.name, At { value, expected }).await
        };
        let put = put.instrument(span).await;
        let tenant = put.map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        Response::ok(v1::PutTenantResponse {
            name: tenant.name.to_string(),
            on: tenant.on,
            time_zone: tenant.zone.name().to_owned(),
            revision: tenant.revision,
            ..Default::default()
        })
    }

    async fn get_tenant(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetTenantRequest>,
    ) -> ServiceResult<v1::GetTenantResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.engine.get_tenant(&caller, request.tenant).instrument(span).await;
        let tenant = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetTenantResponse { tenant: scopes::tenant(tenant).into(), ..Default::default() })
    }

    async fn list_tenants(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListTenantsRequest>,
    ) -> ServiceResult<v1::ListTenantsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let engine = &self.0.engine;
        let found = async {
            let page = Page::of(engine, "tenants", request.page_size, request.page_token)?;
            let names = engine.tenant_names(&caller, &page.after, page.ask());
            let mut tenants = Vec::new();
            for name in names {
                match engine.get_tenant(&caller, &name).await {
                    Ok(tenant) => tenants.push(tenant),
                    // Deleted since its name was read.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(page.cut(engine, tenants, |tenant| tenant.name.as_str()))
        };
        let found = found.instrument(span).await;
        let (tenants, next_page_token) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let tenants = tenants.into_iter().map(scopes::tenant).collect();
        Response::ok(v1::ListTenantsResponse { tenants, next_page_token, ..Default::default() })
    }

    async fn delete_tenant(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::DeleteTenantRequest>,
    ) -> ServiceResult<v1::DeleteTenantResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let deleted = async {
            let expected = scopes::expected(request.expected_revision, false)?;
            self.0.engine.delete_tenant(&caller, request.tenant, expected).await
        };
        deleted.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::DeleteTenantResponse::default())
    }

    async fn put_account(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutAccountRequest>,
    ) -> ServiceResult<v1::PutAccountResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let put = async {
            let expected = scopes::expected(request.expected_revision, request.only_new)?;
            let value = scopes::account_settings(request.settings.into_option().unwrap_or_default());
            let put = At { value, expected };
            self.0.engine.put_account(&caller, &request.tenant, &request.name, put).await
        };
        let put = put.instrument(span).await;
        let account = put.map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        let (name, revision) = (account.name.to_string(), account.revision);
        Response::ok(v1::PutAccountResponse { name, revision, ..Default::default() })
    }

    async fn get_account(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetAccountRequest>,
    ) -> ServiceResult<v1::GetAccountResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.engine.get_account(&caller, request.tenant, request.account);
        let found = found.instrument(span).await;
        let account = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetAccountResponse {
            account: scopes::account(account).into(),
            ..Default::default()
        })
    }

    async fn list_accounts(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListAccountsRequest>,
    ) -> ServiceResult<v1::ListAccountsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let engine = &self.0.engine;
        let found = async {
            let filter = format!("accounts/{}", request.tenant);
            let page = Page::of(engine, &filter, request.page_size, request.page_token)?;
            let accounts = engine.accounts(&caller, request.tenant, &page.after, page.ask()).await?;
            Ok(page.cut(engine, accounts, |account| account.name.as_str()))
        };
        let found = found.instrument(span).await;
        let (accounts, next_page_token) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let accounts = accounts.into_iter().map(scopes::account).collect();
        Response::ok(v1::ListAccountsResponse { accounts, next_page_token, ..Default::default() })
    }

    async fn put_channel(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutChannelRequest>,
    ) -> ServiceResult<v1::PutChannelResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let put = async {
            let expected = scopes::expected(request.expected_revision, request.only_new)?;
            let value = scopes::channel_settings(request.settings.into_option().unwrap_or_default())?;
            let put = At { value, expected };
            self.0.engine.put_channel(&caller, &request.tenant, &request.name, put).await
        };
        let put = put.instrument(span).await;
        let channel = put.map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        Response::ok(v1::PutChannelResponse {
            name: channel.name.to_string(),
            kind: channel.kind.word().to_owned(),
            revision: channel.revision,
            ..Default::default()
        })
    }

    async fn get_channel(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetChannelRequest>,
    ) -> ServiceResult<v1::GetChannelResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = async {
            let engine = &self.0.engine;
            let channel = engine.get_channel(&caller, request.tenant, request.channel).await?;
            Ok::<_, Error>((channel, engine.backlog(&caller, request.tenant, request.channel).await?))
        };
        let found = found.instrument(span).await;
        let (channel, waiting) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetChannelResponse {
            channel: scopes::channel(channel).into(),
            backlog: backlog::backlog(waiting).into(),
            ..Default::default()
        })
    }

    async fn list_channels(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListChannelsRequest>,
    ) -> ServiceResult<v1::ListChannelsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let engine = &self.0.engine;
        let found = async {
            let filter = format!("channels/{}", request.tenant);
            let page = Page::of(engine, &filter, request.page_size, request.page_token)?;
            let channels = engine.channels(&caller, request.tenant, &page.after, page.ask()).await?;
            Ok(page.cut(engine, channels, |channel| channel.name.as_str()))
        };
        let found = found.instrument(span).await;
        let (channels, next_page_token) = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let channels = channels.into_iter().map(scopes::channel).collect();
        Response::ok(v1::ListChannelsResponse { channels, next_page_token, ..Default::default() })
    }

    async fn hold(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::HoldRequest>,
    ) -> ServiceResult<v1::HoldResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let held = async {
            let scope = scopes::scope(request.scope.into_option())?;
            scopes::reason(&request.reason)?;
            self.0.engine.hold(&caller, &request.tenant, scope, &request.reason).await
        };
        let changed = held.instrument(span).await;
        let changed = changed.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::HoldResponse { changed, ..Default::default() })
    }

    async fn release(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ReleaseRequest>,
    ) -> ServiceResult<v1::ReleaseResponse> {
        let Asked { caller, span } = Asked::to_change(&ctx, request.bytes())?;
        let request = request.to_owned_message();
        let released = async {
            let scope = scopes::scope(request.scope.into_option())?;
            self.0.engine.release(&caller, &request.tenant, scope).await
        };
        let changed = released.instrument(span).await;
        let changed = changed.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ReleaseResponse { changed, ..Default::default() })
    }

    async fn list_holds(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ListHoldsRequest>,
    ) -> ServiceResult<v1::ListHoldsResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.engine.holds(&caller, request.tenant).instrument(span).await;
        let holds = found.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let holds = holds.into_iter().map(scopes::held_scope).collect();
        let all_sending = self.0.engine.stopped().map(scopes::stop).into();
        Response::ok(v1::ListHoldsResponse { holds, all_sending, ..Default::default() })
    }

    async fn preview_release(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PreviewReleaseRequest>,
    ) -> ServiceResult<v1::PreviewReleaseResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let found = async {
            let scope = scopes::scope(request.scope.into_option())?;
            self.0.engine.forecast(&caller, &request.tenant, &scope).await
        };
        let lanes = found.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let lanes = lanes.into_iter().map(scopes::forecast).collect();
        Response::ok(v1::PreviewReleaseResponse { lanes, ..Default::default() })
    }

    async fn stop_sending(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::StopSendingRequest>,
    ) -> ServiceResult<v1::StopSendingResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let stopped = async {
            scopes::reason(request.reason)?;
            self.0.engine.stop_sending(&caller, request.reason).await
        };
        stopped.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::StopSendingResponse::default())
    }

    async fn resume_sending(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, v1::ResumeSendingRequest>,
    ) -> ServiceResult<v1::ResumeSendingResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let resumed = self.0.engine.resume_sending(&caller).instrument(span).await;
        let changed = resumed.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ResumeSendingResponse { changed, ..Default::default() })
    }
}
