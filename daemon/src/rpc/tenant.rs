//! `TenantService`.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_channel::secret::Secret;
use followupd_domain::name::Name;
use followupd_domain::sequence::FieldError;
use followupd_runtime::{
    ChannelSettings, Error, HttpSettings, ScopeName, SecretGiven, SmtpSettings, TenantSettings,
};
use tracing::Instrument;

use crate::limits;
use crate::proto::v1;
use crate::rpc::asked::Asked;
use crate::rpc::{Service, refusal, take};

/// Tenants, channels and holds.
pub(super) struct Tenants(pub(super) Service);

impl v1::TenantService for Tenants {
    async fn put_tenant(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutTenantRequest>,
    ) -> ServiceResult<v1::PutTenantResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let settings = tenant_settings(request.settings.into_option().unwrap_or_default());
        let put = self.0.engine.put_tenant(&caller, &request.name, settings).instrument(span).await;
        let tenant = put.map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        Response::ok(v1::PutTenantResponse {
            name: tenant.name.to_string(),
            on: tenant.on,
            time_zone: tenant.calendar.zone.name().to_owned(),
            ..Default::default()
        })
    }

    async fn put_channel(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::PutChannelRequest>,
    ) -> ServiceResult<v1::PutChannelResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let settings = request.settings.into_option().unwrap_or_default();
        let settings =
            channel_settings(settings).map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        let put = self.0.engine.put_channel(&caller, &request.tenant, &request.name, settings);
        let put = put.instrument(span).await;
        let channel = put.map_err(|error| refusal::of(&error, "settings", caller.trace))?;
        Response::ok(v1::PutChannelResponse {
            name: channel.name.to_string(),
            kind: channel.kind.word().to_owned(),
            ..Default::default()
        })
    }

    async fn hold(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::HoldRequest>,
    ) -> ServiceResult<v1::HoldResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let held = async {
            let scope = scope(request.scope.into_option())?;
            reason(&request.reason)?;
            self.0.engine.hold(&caller, &request.tenant, scope, &request.reason).await
        };
        held.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::HoldResponse::default())
    }

    async fn release(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ReleaseRequest>,
    ) -> ServiceResult<v1::ReleaseResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let released = async {
            let scope = scope(request.scope.into_option())?;
            self.0.engine.release(&caller, &request.tenant, scope).await
        };
        released.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::ReleaseResponse::default())
    }
}

fn tenant_settings(given: v1::TenantSettings) -> TenantSettings {
    let quiet = given.quiet_hours.into_iter().map(|quiet| (quiet.days, quiet.from, quiet.to));
    TenantSettings {
        on: given.on,
        time_zone: given.time_zone,
        contact_time_zone: given.contact_time_zone,
        quiet_hours: quiet.collect(),
        business_days: given.business_days,
        holidays: given.holidays,
        stop_words: given.stop_words,
    }
}

fn channel_settings(given: v1::ChannelSettings) -> Result<ChannelSettings, Error> {
    let rate = given.rate.into_option();
    if rate.as_ref().is_some_and(|rate| rate.count == 0) {
        return Err(take::invalid("rate.count", "is 0: give 1 or more, or leave the rate out"));
    }
    let rate = rate.unwrap_or_default();
    Ok(ChannelSettings {
        kind: given.kind,
        transport: given.transport,
        smtp: given.smtp.into_option().map(smtp).transpose()?,
        http: given.http.into_option().map(http).transpose()?,
        rate_count: rate.count,
        rate_per: rate.per,
        rate_burst: rate.burst,
        gap: given.gap,
        per_minute: given.per_minute,
        per_hour: given.per_hour,
        per_day: given.per_day,
        ignores_quiet_hours: given.ignores_quiet_hours,
    })
}

fn smtp(given: v1::Smtp) -> Result<SmtpSettings, Error> {
    Ok(SmtpSettings {
        host: given.host,
        port: given.port,
        security: given.security,
        username: given.username,
        password: given.password.into_option().map(|given| secret("smtp.password", given)).transpose()?,
        from: given.from,
        from_name: given.from_name,
        unsubscribe: given.unsubscribe,
        connections: given.connections,
    })
}

fn http(given: v1::Http) -> Result<HttpSettings, Error> {
    let secrets = given.secrets.into_iter().enumerate();
    let secrets = secrets.map(|(at, given)| secret(&format!("http.secrets[{at}]"), given));
    Ok(HttpSettings {
        url: given.url,
        secrets: secrets.collect::<Result<_, _>>()?,
        connections: given.connections,
    })
}

fn secret(field: &str, given: v1::Secret) -> Result<SecretGiven, Error> {
    use v1::__buffa::oneof::secret::Secret as Given;
    match given.secret {
        Some(Given::Env(variable)) => Ok(SecretGiven::Env(variable)),
        Some(Given::File(path)) => Ok(SecretGiven::File(path)),
        Some(Given::Value(value)) => Ok(SecretGiven::Value(Secret::new(value))),
        Some(Given::Kept(true)) => Ok(SecretGiven::Kept),
        Some(Given::Kept(false)) | None => {
            Err(take::invalid(field, "is empty: give env, file or value, or leave it out"))
        }
    }
}

fn scope(given: Option<v1::Scope>) -> Result<ScopeName, Error> {
    use v1::__buffa::oneof::scope::Scope;
    let name = |field: &str, text: &str| {
        Name::parse(text).map_err(|error| {
            Error::Invalid(vec![FieldError { field: field.to_owned(), problem: error.to_string() }])
        })
    };
    match given.and_then(|scope| scope.scope) {
        Some(Scope::WholeTenant(true)) => Ok(ScopeName::Tenant),
        Some(Scope::Channel(channel)) => name("scope.channel", &channel).map(ScopeName::Channel),
        Some(Scope::Sequence(sequence)) => name("scope.sequence", &sequence).map(ScopeName::Sequence),
        Some(Scope::WholeTenant(false)) | None => {
            Err(take::invalid("scope", "is missing: give whole_tenant, channel or sequence"))
        }
    }
}

fn reason(text: &str) -> Result<(), Error> {
    if text.chars().count() > limits::HOLD_REASON_CHARS || text.chars().any(char::is_control) {
        let problem = format!("has to be one line of at most {} characters", limits::HOLD_REASON_CHARS);
        return Err(take::invalid("reason", &problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_exactly_one_thing() {
        assert!(scope(None).is_err());
        assert!(scope(Some(v1::Scope::default())).is_err());
        let one = v1::__buffa::oneof::scope::Scope::Channel("mail".into());
        let mail = v1::Scope { scope: Some(one), ..Default::default() };
        assert_eq!(scope(Some(mail)).unwrap(), ScopeName::Channel(Name::parse("mail").unwrap()));
    }

    #[test]
    fn a_rate_of_zero_is_refused_and_no_rate_is_not() {
        assert_eq!(channel_settings(v1::ChannelSettings::default()).unwrap().rate_count, 0);
        let zero = v1::ChannelSettings { rate: v1::Rate::default().into(), ..Default::default() };
        assert!(channel_settings(zero).unwrap_err().to_string().contains("rate.count"));
    }
}
