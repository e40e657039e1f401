//! How a channel's messages leave, from what is put: its secrets sealed, its way out tried before it is stored.

use followupd_channel::limits as channel_limits;
use followupd_channel::secret::Secret;
use followupd_channel::transports::destination;
use followupd_domain::ChannelNo;
use followupd_domain::channel::{
    Channel, Chatwoot, Http, Meta, SecretAt, SecretPlace, Security, Smtp, Transport, Twilio,
};
use followupd_domain::name::not_one_of;

use super::{Faults, Ground};
use crate::api::{
    ChannelSettings, ChatwootSettings, HttpSettings, MetaSettings, SecretGiven, SmtpSettings, TwilioSettings,
};

/// Connections a sender has where nobody says: enough for the rates mail and web servers take without asking.
const CONNECTIONS: u16 = 8;

/// The same to providers' APIs: enough for the 80 a second of a WhatsApp number whose provider takes 0.4 s for each.
const API_CONNECTIONS: u16 = 32;

/// Why an API key is not enough (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>).
const OWN_TOKEN: &str = "is required with an API key: Twilio signs its webhooks with the account's own token";

/// Why a stored value is not taken.
const ELSEWHERE: &str = "give the value again: the channel would send it elsewhere";

/// The transport that `settings` describe, for a channel that is perhaps known.
pub(super) fn of(
    ground: &Ground<'_>,
    no: ChannelNo,
    known: Option<&Channel>,
    settings: &ChannelSettings,
    faults: &mut Faults,
) -> Transport {
    let stored = known.map(|channel| channel.transport.secrets()).unwrap_or_default().into_iter();
    let sealed = |(_, at): &(SecretPlace, &SecretAt)| matches!(at, SecretAt::Sealed(_));
    let stored = stored.filter(sealed).map(|(place, at)| (place.field, at.clone())).collect();
    let mut reading = Reading { ground, no, stored, kept: Vec::new(), kept_at: Vec::new(), faults };
    let given = [
        (settings.smtp.is_some(), "smtp"),
        (settings.http.is_some(), "http"),
        (settings.meta.is_some(), "meta"),
        (settings.twilio.is_some(), "twilio"),
        (settings.chatwoot.is_some(), "chatwoot"),
    ];
    for (given, word) in given {
        let wanted = settings.transport == word;
        let problem = match (given, wanted) {
            (true, false) => Err(format!("is for `transport: {word}`: leave it out")),
            (false, true) => Err(format!("is required with `transport: {word}`")),
            (true, true) | (false, false) => Ok(()),
        };
        reading.faults.take(word, problem);
    }
    let transport = match settings.transport.as_str() {
        "outbox" => Transport::Outbox,
        "smtp" => reading.smtp(settings.smtp.clone().unwrap_or_default()),
        "http" => reading.http(settings.http.clone().unwrap_or_default()),
        "meta" => reading.meta(settings.meta.clone().unwrap_or_default()),
        "twilio" => reading.twilio(settings.twilio.clone().unwrap_or_default()),
        "chatwoot" => reading.chatwoot(settings.chatwoot.clone().unwrap_or_default()),
        other => {
            reading.faults.take("transport", Err::<(), _>(not_one_of(other, &Transport::WORDS)));
            Transport::Outbox
        }
    };
    reading.check(&transport);
    reading.stays(known.map(|channel| &channel.transport), &transport);
    transport
}

/// Settings as they are read, with what is wrong so far.
struct Reading<'a> {
    ground: &'a Ground<'a>,
    no: ChannelNo,
    /// The values that are stored, by field: those that are kept are taken in this order.
    stored: Vec<(&'static str, SecretAt)>,
    /// The fields of those that were taken.
    kept: Vec<&'static str>,
    /// The same, each with its whole path.
    kept_at: Vec<String>,
    faults: &'a mut Faults,
}

impl Reading<'_> {
    fn smtp(&mut self, given: SmtpSettings) -> Transport {
        let security = match given.security.as_str() {
            "" => Ok(Some(Security::StartTls)),
            word => Security::parse(word)
                .map(Some)
                .ok_or_else(|| not_one_of(word, &Security::ALL.map(Security::word))),
        };
        let security = self.faults.take("smtp.security", security).unwrap_or(Security::StartTls);
        let port = match given.port {
            0 => Ok(security.port()),
            port => u16::try_from(port).map_err(|_| format!("{port} is no port: at most 65535")),
        };
        Transport::Smtp(Box::new(Smtp {
            host: given.host,
            port: self.faults.take("smtp.port", port),
            security,
            username: given.username,
            password: self.one("smtp", "password", given.password),
            from: given.from,
            from_name: given.from_name,
            unsubscribe: given.unsubscribe,
            connections: connections(given.connections, CONNECTIONS),
        }))
    }

    fn http(&mut self, given: HttpSettings) -> Transport {
        Transport::Http(Box::new(Http {
            secrets: self.all("http", "secrets", given.secrets),
            url: given.url,
            connections: connections(given.connections, CONNECTIONS),
        }))
    }

    fn meta(&mut self, given: MetaSettings) -> Transport {
        // Meta sets a webhook up with the one and signs what it tells with the other: neither is of use alone.
        let told = match (given.app_secrets.is_empty(), given.verify_token.is_none()) {
            (true, false) => {
                Err(("meta.app_secrets", "are required with verify_token: Meta signs what it tells"))
            }
            (false, true) => Err((
                "meta.verify_token",
                "is required with app_secrets: Meta asks for it before it tells anything",
            )),
            (true, true) | (false, false) => Ok(()),
        };
        if let Err((field, problem)) = told {
            self.faults.take(field, Err::<(), _>(problem));
        }
        self.few("meta.app_secrets", &given.app_secrets);
        Transport::Meta(Box::new(Meta {
            phone_number_id: given.phone_number_id,
            token: self.one("meta", "token", given.token),
            version: given.version,
            base: given.base,
            app_secrets: self.all("meta", "app_secrets", given.app_secrets),
            verify_token: self.one("meta", "verify_token", given.verify_token),
            connections: connections(given.connections, API_CONNECTIONS),
        }))
    }

    fn twilio(&mut self, given: TwilioSettings) -> Transport {
        let sender = match (given.number.is_empty(), given.service.is_empty()) {
            (true, true) => Err("is empty: who sends? Give a number, or a service"),
            (false, false) => Err("goes without service: leave one of them out"),
            (true, false) | (false, true) => Ok(()),
        };
        self.faults.take("twilio.number", sender);
        let is_key = given.username.starts_with("SK");
        let tokens = if is_key && given.auth_tokens.is_empty() { Err(OWN_TOKEN) } else { Ok(()) };
        self.faults.take("twilio.auth_tokens", tokens);
        self.few("twilio.auth_tokens", &given.auth_tokens);
        Transport::Twilio(Box::new(Twilio {
            account: given.account,
            username: given.username,
            password: self.one("twilio", "password", given.password),
            number: given.number,
            service: given.service,
            status_callback: given.status_callback,
            auth_tokens: self.all("twilio", "auth_tokens", given.auth_tokens),
            base: given.base,
            connections: connections(given.connections, API_CONNECTIONS),
        }))
    }

    fn chatwoot(&mut self, given: ChatwootSettings) -> Transport {
        Transport::Chatwoot(Box::new(Chatwoot {
            base: given.base,
            account: given.account,
            token: self.one("chatwoot", "token", given.token),
            connections: connections(given.connections, CONNECTIONS),
        }))
    }

    fn one(&mut self, word: &str, field: &'static str, given: Option<SecretGiven>) -> Option<SecretAt> {
        given.and_then(|secret| self.secret(word, SecretPlace { field, at: None }, secret))
    }

    /// Of what is exchanged a few stand side by side.
    fn few(&mut self, field: &str, given: &[SecretGiven]) {
        let most = *channel_limits::SECRETS.end();
        let few = if given.len() <= most { Ok(()) } else { Err(format!("at most {most} of them")) };
        self.faults.take(field, few);
    }

    fn all(&mut self, word: &str, field: &'static str, given: Vec<SecretGiven>) -> Vec<SecretAt> {
        let given = given.into_iter().enumerate();
        given
            .filter_map(|(at, secret)| self.secret(word, SecretPlace { field, at: Some(at) }, secret))
            .collect()
    }

    fn secret(&mut self, word: &str, place: SecretPlace, given: SecretGiven) -> Option<SecretAt> {
        let ground = self.ground;
        let of_all = ground.caller.only.is_none();
        let here = |secret: SecretAt| {
            of_all.then_some(secret).ok_or(
                "what lies on the daemon's machine may be named by a key for all tenants only: give a value",
            )
        };
        let secret = match given {
            SecretGiven::Env(variable) => here(SecretAt::Env(variable)),
            SecretGiven::File(path) => here(SecretAt::File(path)),
            SecretGiven::Value(value) => self.sealed(&value),
            SecretGiven::Kept => {
                let taken = self.kept.iter().filter(|field| **field == place.field).count();
                self.kept.push(place.field);
                let mut stored = self.stored.iter().filter(|(field, _)| *field == place.field);
                let stored = stored.nth(taken).map(|(_, secret)| secret.clone());
                self.kept_at.extend(stored.is_some().then(|| format!("{word}.{place}")));
                stored.ok_or("no value is stored here to be kept: give one")
            }
        };
        self.faults.take(&format!("{word}.{place}"), secret.map(Some))
    }

    /// A value as it is stored: one that is there already stays as it was sealed, so that putting the same again
    /// changes nothing.
    fn sealed(&self, value: &Secret) -> Result<SecretAt, &'static str> {
        let (transports, tenant) = (&self.ground.node.transports, self.ground.loaded.scope.tenant.no);
        let same = self.stored.iter().find(|(_, stored)| transports.is(tenant, self.no, stored, value));
        same.map(|(_, same)| same.clone()).map_or_else(|| transports.seal(tenant, self.no, value), Ok)
    }

    /// Whether what is kept of `known` would go where it goes now. Whoever may put a channel need not know its secrets:
    /// sent to a host of their own, it would be told to them.
    fn stays(&mut self, known: Option<&Transport>, transport: &Transport) {
        let (was, is) = (known.and_then(destination), destination(transport));
        if is.is_some() && was == is {
            return;
        }
        for field in std::mem::take(&mut self.kept_at) {
            self.faults.take(&field, Err::<(), _>(ELSEWHERE));
        }
    }

    /// Whether it would work here; only asked when all of it could be read.
    fn check(&mut self, transport: &Transport) {
        if !self.faults.0.is_empty() {
            return;
        }
        let tenant = self.ground.loaded.scope.tenant.no;
        let problems =
            self.ground.node.transports.check(tenant, self.no, transport).err().unwrap_or_default();
        for problem in problems {
            let field = format!("{}.{}", transport.word(), problem.field);
            self.faults.take(&field, Err::<(), _>(format!("has to be {}", problem.right)));
        }
    }
}

/// How mail leaves, as it can be put again.
pub(crate) fn shown_smtp(transport: &Transport) -> Option<SmtpSettings> {
    let Transport::Smtp(smtp) = transport else { return None };
    Some(SmtpSettings {
        host: smtp.host.clone(),
        port: u32::from(smtp.port),
        security: smtp.security.word().to_owned(),
        username: smtp.username.clone(),
        password: smtp.password.as_ref().map(shown_secret),
        from: smtp.from.clone(),
        from_name: smtp.from_name.clone(),
        unsubscribe: smtp.unsubscribe.clone(),
        connections: u32::from(smtp.connections),
    })
}

/// Where messages are posted, as it can be put again.
pub(crate) fn shown_http(transport: &Transport) -> Option<HttpSettings> {
    let Transport::Http(http) = transport else { return None };
    Some(HttpSettings {
        url: http.url.clone(),
        secrets: http.secrets.iter().map(shown_secret).collect(),
        connections: u32::from(http.connections),
    })
}

/// The number of WhatsApp, as it can be put again.
pub(crate) fn shown_meta(transport: &Transport) -> Option<MetaSettings> {
    let Transport::Meta(meta) = transport else { return None };
    Some(MetaSettings {
        phone_number_id: meta.phone_number_id.clone(),
        token: meta.token.as_ref().map(shown_secret),
        version: meta.version.clone(),
        base: meta.base.clone(),
        app_secrets: meta.app_secrets.iter().map(shown_secret).collect(),
        verify_token: meta.verify_token.as_ref().map(shown_secret),
        connections: u32::from(meta.connections),
    })
}

/// The sender of SMS, as it can be put again.
pub(crate) fn shown_twilio(transport: &Transport) -> Option<TwilioSettings> {
    let Transport::Twilio(twilio) = transport else { return None };
    Some(TwilioSettings {
        account: twilio.account.clone(),
        username: twilio.username.clone(),
        password: twilio.password.as_ref().map(shown_secret),
        number: twilio.number.clone(),
        service: twilio.service.clone(),
        status_callback: twilio.status_callback.clone(),
        auth_tokens: twilio.auth_tokens.iter().map(shown_secret).collect(),
        base: twilio.base.clone(),
        connections: u32::from(twilio.connections),
    })
}

/// The agent inbox, as it can be put again.
pub(crate) fn shown_chatwoot(transport: &Transport) -> Option<ChatwootSettings> {
    let Transport::Chatwoot(chatwoot) = transport else { return None };
    Some(ChatwootSettings {
        base: chatwoot.base.clone(),
        account: chatwoot.account,
        token: chatwoot.token.as_ref().map(shown_secret),
        connections: u32::from(chatwoot.connections),
    })
}

fn shown_secret(at: &SecretAt) -> SecretGiven {
    match at {
        SecretAt::Env(variable) => SecretGiven::Env(variable.clone()),
        SecretAt::File(path) => SecretGiven::File(path.clone()),
        SecretAt::Sealed(_) => SecretGiven::Kept,
    }
}

/// As many as there can be, where there are more than any sender may have: the check says how many that is.
fn connections(given: u32, usual: u16) -> u16 {
    if given == 0 { usual } else { u16::try_from(given).unwrap_or(u16::MAX) }
}
