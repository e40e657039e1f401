//! How a channel's messages leave, as messages, both ways. What comes out holds no secret.

use buffa::MessageField;
use followupd_channel::secret::Secret;
use followupd_runtime::{
    ChatwootSettings, Error, HttpSettings, MetaSettings, SecretGiven, SmtpSettings, TwilioSettings,
};

use crate::rpc::take;
use followupd_proto::v1;

/// How mail leaves, as the engine takes it.
///
/// # Errors
/// A secret that is none.
pub(super) fn smtp(given: v1::Smtp) -> Result<SmtpSettings, Error> {
    Ok(SmtpSettings {
        host: given.host,
        port: given.port,
        security: given.security,
        username: given.username,
        password: one("smtp.password", given.password.into_option())?,
        from: given.from,
        from_name: given.from_name,
        unsubscribe: given.unsubscribe,
        connections: given.connections,
    })
}

/// Where messages are posted, as the engine takes it.
///
/// # Errors
/// A secret that is none.
pub(super) fn http(given: v1::Http) -> Result<HttpSettings, Error> {
    Ok(HttpSettings {
        url: given.url,
        secrets: all("http.secrets", given.secrets)?,
        connections: given.connections,
    })
}

/// The number of WhatsApp, as the engine takes it.
///
/// # Errors
/// A secret that is none.
pub(super) fn meta(given: v1::Meta) -> Result<MetaSettings, Error> {
    Ok(MetaSettings {
        phone_number_id: given.phone_number_id,
        token: one("meta.token", given.token.into_option())?,
        version: given.version,
        base: given.base,
        app_secrets: all("meta.app_secrets", given.app_secrets)?,
        verify_token: one("meta.verify_token", given.verify_token.into_option())?,
        connections: given.connections,
    })
}

/// The sender of SMS, as the engine takes it.
///
/// # Errors
/// A secret that is none.
pub(super) fn twilio(given: v1::Twilio) -> Result<TwilioSettings, Error> {
    Ok(TwilioSettings {
        account: given.account,
        username: given.username,
        password: one("twilio.password", given.password.into_option())?,
        number: given.number,
        service: given.service,
        status_callback: given.status_callback,
        auth_tokens: all("twilio.auth_tokens", given.auth_tokens)?,
        base: given.base,
        connections: given.connections,
    })
}

/// The agent inbox, as the engine takes it.
///
/// # Errors
/// A secret that is none.
pub(super) fn chatwoot(given: v1::Chatwoot) -> Result<ChatwootSettings, Error> {
    Ok(ChatwootSettings {
        base: given.base,
        account: given.account,
        token: one("chatwoot.token", given.token.into_option())?,
        connections: given.connections,
    })
}

fn one(field: &str, given: Option<v1::Secret>) -> Result<Option<SecretGiven>, Error> {
    given.map(|given| secret(field, given)).transpose()
}

fn all(field: &str, given: Vec<v1::Secret>) -> Result<Vec<SecretGiven>, Error> {
    let given = given.into_iter().enumerate();
    given.map(|(at, given)| secret(&format!("{field}[{at}]"), given)).collect()
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

/// How mail leaves, as it is shown.
pub(super) fn shown_smtp(smtp: SmtpSettings) -> v1::Smtp {
    v1::Smtp {
        host: smtp.host,
        port: smtp.port,
        security: smtp.security,
        username: smtp.username,
        password: smtp.password.map(shown_secret).map_or_else(MessageField::none, Into::into),
        from: smtp.from,
        from_name: smtp.from_name,
        unsubscribe: smtp.unsubscribe,
        connections: smtp.connections,
        ..Default::default()
    }
}

/// Where messages are posted, as it is shown.
pub(super) fn shown_http(http: HttpSettings) -> v1::Http {
    v1::Http {
        url: http.url,
        secrets: shown_all(http.secrets),
        connections: http.connections,
        ..Default::default()
    }
}

/// The number of WhatsApp, as it is shown.
pub(super) fn shown_meta(meta: MetaSettings) -> v1::Meta {
    v1::Meta {
        phone_number_id: meta.phone_number_id,
        token: meta.token.map(shown_secret).map_or_else(MessageField::none, Into::into),
        version: meta.version,
        base: meta.base,
        app_secrets: shown_all(meta.app_secrets),
        verify_token: meta.verify_token.map(shown_secret).map_or_else(MessageField::none, Into::into),
        connections: meta.connections,
        ..Default::default()
    }
}

/// The sender of SMS, as it is shown.
pub(super) fn shown_twilio(twilio: TwilioSettings) -> v1::Twilio {
    v1::Twilio {
        account: twilio.account,
        username: twilio.username,
        password: twilio.password.map(shown_secret).map_or_else(MessageField::none, Into::into),
        number: twilio.number,
        service: twilio.service,
        status_callback: twilio.status_callback,
        auth_tokens: shown_all(twilio.auth_tokens),
        base: twilio.base,
        connections: twilio.connections,
        ..Default::default()
    }
}

/// The agent inbox, as it is shown.
pub(super) fn shown_chatwoot(chatwoot: ChatwootSettings) -> v1::Chatwoot {
    v1::Chatwoot {
        base: chatwoot.base,
        account: chatwoot.account,
        token: chatwoot.token.map(shown_secret).map_or_else(MessageField::none, Into::into),
        connections: chatwoot.connections,
        ..Default::default()
    }
}

fn shown_all(secrets: Vec<SecretGiven>) -> Vec<v1::Secret> {
    secrets.into_iter().map(shown_secret).collect()
}

fn shown_secret(secret: SecretGiven) -> v1::Secret {
    use v1::__buffa::oneof::secret::Secret as Shown;
    let shown = match secret {
        SecretGiven::Env(variable) => Shown::Env(variable),
        SecretGiven::File(path) => Shown::File(path),
        // A value is never shown, whatever brought it here.
        SecretGiven::Value(_) | SecretGiven::Kept => Shown::Kept(true),
    };
    v1::Secret { secret: Some(shown), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_put_again_and_holds_no_value() {
        let password = Some(SecretGiven::Value(Secret::new("hunter2")));
        let settings = SmtpSettings { host: "mail.example".into(), password, ..SmtpSettings::default() };
        let again = smtp(shown_smtp(settings.clone())).unwrap();
        assert_eq!(again, SmtpSettings { password: Some(SecretGiven::Kept), ..settings });
        let secrets = vec![SecretGiven::Env("A".into()), SecretGiven::File("/b".into()), SecretGiven::Kept];
        let settings = HttpSettings { url: "https://a.example".into(), secrets, connections: 2 };
        assert_eq!(http(shown_http(settings.clone())).unwrap(), settings);
        let token = || Some(SecretGiven::Env("A".into()));
        let keys = || vec![SecretGiven::Kept, SecretGiven::File("/b".into())];
        let settings = MetaSettings {
            phone_number_id: "7".into(),
            token: token(),
            version: "v23.0".into(),
            base: "https://a.example".into(),
            app_secrets: keys(),
            verify_token: Some(SecretGiven::Kept),
            connections: 3,
        };
        assert_eq!(meta(shown_meta(settings.clone())).unwrap(), settings);
        let settings = TwilioSettings {
            account: "AC".into(),
            username: "SK".into(),
            password: token(),
            number: "+1".into(),
            service: "MG".into(),
            status_callback: "https://a.example/t".into(),
            auth_tokens: keys(),
            base: "https://b.example".into(),
            connections: 4,
        };
        assert_eq!(twilio(shown_twilio(settings.clone())).unwrap(), settings);
        let settings = ChatwootSettings { base: "b".into(), account: 5, token: token(), connections: 6 };
        assert_eq!(chatwoot(shown_chatwoot(settings.clone())).unwrap(), settings);
    }

    #[test]
    fn a_secret_of_nothing_is_named() {
        let given = v1::Http { secrets: vec![v1::Secret::default()], ..Default::default() };
        assert!(http(given).unwrap_err().to_string().contains("http.secrets[0]"));
    }
}
