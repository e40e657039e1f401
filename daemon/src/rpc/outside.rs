//! How a channel's messages leave, as messages, both ways. What comes out holds no secret.

use buffa::MessageField;
use followupd_channel::secret::Secret;
use followupd_runtime::{Error, HttpSettings, SecretGiven, SmtpSettings};

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
        password: given.password.into_option().map(|given| secret("smtp.password", given)).transpose()?,
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

/// How mail leaves, as it is shown.
pub(super) fn shown_smtp(smtp: SmtpSettings) -> v1::Smtp {
    let password = smtp.password.map(shown_secret);
    v1::Smtp {
        host: smtp.host,
        port: smtp.port,
        security: smtp.security,
        username: smtp.username,
        password: password.map_or_else(MessageField::none, Into::into),
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
        secrets: http.secrets.into_iter().map(shown_secret).collect(),
        connections: http.connections,
        ..Default::default()
    }
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
    }

    #[test]
    fn a_secret_of_nothing_is_named() {
        let given = v1::Http { secrets: vec![v1::Secret::default()], ..Default::default() };
        assert!(http(given).unwrap_err().to_string().contains("http.secrets[0]"));
    }
}
