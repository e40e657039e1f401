//! `SettingsService`.

use buffa::MessageField;
use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_domain::sequence::FieldError;
use followupd_runtime::{Change, Compared, Error, Settings, Wanted};
use tracing::Instrument;

use crate::rpc::asked::Asked;
use crate::rpc::{Service, preview, refusal, scopes, take};
use followupd_proto::v1;

/// Settings against what they are to be.
pub(super) struct Compare(pub(super) Service);

impl v1::SettingsService for Compare {
    async fn compare(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::CompareRequest>,
    ) -> ServiceResult<v1::CompareResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let request = request.to_owned_message();
        let compared = async {
            take::batch_size("wanted", request.wanted.len())?;
            let wanted = request.wanted.into_iter().enumerate().map(|(at, given)| wanted(at, given));
            let wanted = wanted.collect::<Result<Vec<Wanted>, Error>>()?;
            self.0.engine.compare(&caller, &request.tenant, wanted)
        };
        let compared = compared.instrument(span).await;
        let compared = compared.map_err(|error| refusal::of(&error, "", caller.trace))?;
        let compared = compared.into_iter().map(shown).collect();
        Response::ok(v1::CompareResponse { compared, ..Default::default() })
    }
}

/// What one is to be.
///
/// # Errors
/// It says nothing, or what cannot be said.
fn wanted(at: usize, given: v1::Wanted) -> Result<Wanted, Error> {
    use v1::__buffa::oneof::wanted::Settings as Given;
    let settings = match given.settings {
        Some(Given::Tenant(settings)) => Settings::Tenant(scopes::tenant_settings(*settings)),
        Some(Given::Account(settings)) => Settings::Account(scopes::account_settings(*settings)),
        Some(Given::Channel(settings)) => {
            let read = scopes::channel_settings(*settings);
            Settings::Channel(Box::new(read.map_err(|error| under(&format!("wanted[{at}].channel"), error))?))
        }
        Some(Given::Sequence(draft)) => {
            let read = scopes::draft(*draft);
            Settings::Sequence(read.map_err(|error| under(&format!("wanted[{at}].sequence"), error))?)
        }
        None => {
            let field = format!("wanted[{at}]");
            return Err(take::invalid(&field, "says nothing: give tenant, account, channel or sequence"));
        }
    };
    Ok(Wanted { name: given.name, settings })
}

/// The faults of an error, under this field.
fn under(field: &str, error: Error) -> Error {
    let Error::Invalid(faults) = error else { return error };
    let under = |fault: FieldError| FieldError { field: format!("{field}.{}", fault.field), ..fault };
    Error::Invalid(faults.into_iter().map(under).collect())
}

fn shown(compared: Compared) -> v1::Compared {
    let field = |settings: Option<Settings>| {
        settings.map_or_else(MessageField::none, |settings| shown_settings(settings).into())
    };
    v1::Compared {
        name: compared.name,
        change: compared.change.map(Change::word).unwrap_or_default().to_owned(),
        revision: compared.revision,
        now: field(compared.now),
        then: field(compared.then),
        faults: compared.faults.into_iter().map(preview::finding).collect(),
        other_secrets: compared.other_secrets,
        other_draft: compared.other_draft,
        ..Default::default()
    }
}

fn shown_settings(settings: Settings) -> v1::Wanted {
    use v1::__buffa::oneof::wanted::Settings as Shown;
    let settings = match settings {
        Settings::Tenant(settings) => Shown::Tenant(scopes::shown_tenant_settings(settings).into()),
        Settings::Account(settings) => Shown::Account(scopes::shown_account_settings(settings).into()),
        Settings::Channel(settings) => Shown::Channel(scopes::shown_channel_settings(*settings).into()),
        Settings::Sequence(draft) => Shown::Sequence(scopes::shown_draft(draft).into()),
    };
    v1::Wanted { settings: Some(settings), ..Default::default() }
}
