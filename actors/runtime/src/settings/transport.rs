//! How a channel's messages leave, from what is put: its secrets sealed, its way out tried before it is stored.

use followupd_channel::secret::Secret;
use followupd_domain::ChannelNo;
use followupd_domain::channel::{Channel, Http, SecretAt, Security, Smtp, Transport};

use super::{Faults, Ground, one_of};
use crate::api::{ChannelSettings, HttpSettings, SecretGiven, SmtpSettings};

/// Connections a sender has where nobody says: enough for the rates mail and web servers take without asking.
const CONNECTIONS: u16 = 8;

/// The transport that `settings` describe, for a channel that is perhaps known.
pub(super) fn of(
    ground: &Ground<'_>,
    no: ChannelNo,
    known: Option<&Channel>,
    settings: &ChannelSettings,
    faults: &mut Faults,
) -> Transport {
    let stored = known.into_iter().flat_map(|channel| channel.transport.secrets());
    let sealed = |at: &&SecretAt| matches!(at, SecretAt::Sealed(_));
    let stored: Vec<SecretAt> = stored.filter(sealed).cloned().collect();
    let mut reading = Reading { ground, no, stored, kept: 0, faults };
    for (given, word) in [(settings.smtp.is_some(), "smtp"), (settings.http.is_some(), "http")] {
        let wanted = settings.transport == word;
        let problem = match (given, wanted) {
            (true, false) => Err(format!("is for `transport: {word}`: leave it out")),
            (false, true) => Err(format!("is required with `transport: {word}`")),
            (true, true) | (false, false) => Ok(()),
        };
        reading.faults.take(word, problem);
    }
    let transport = match (settings.transport.as_str(), &settings.smtp, &settings.http) {
        ("outbox", ..) => Transport::Outbox,
        ("smtp", smtp, _) => reading.smtp(smtp.clone().unwrap_or_default()),
        ("http", _, http) => reading.http(http.clone().unwrap_or_default()),
        (other, ..) => {
            reading.faults.take("transport", Err::<(), _>(one_of(other, &Transport::WORDS)));
            Transport::Outbox
        }
    };
    reading.check(&transport);
    transport
}

/// Settings as they are read, with what is wrong so far.
struct Reading<'a> {
    ground: &'a Ground<'a>,
    no: ChannelNo,
    /// The values that are stored: those that are kept are taken in this order.
    stored: Vec<SecretAt>,
    /// How many of these were taken.
    kept: usize,
    faults: &'a mut Faults,
}

impl Reading<'_> {
    fn smtp(&mut self, given: SmtpSettings) -> Transport {
        let security = match given.security.as_str() {
            "" => Ok(Some(Security::StartTls)),
            word => Security::parse(word)
                .map(Some)
                .ok_or_else(|| one_of(word, &Security::ALL.map(Security::word))),
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
            password: given.password.and_then(|secret| self.secret("smtp.password", secret)),
            from: given.from,
            from_name: given.from_name,
            unsubscribe: given.unsubscribe,
            connections: connections(given.connections),
        }))
    }

    fn http(&mut self, given: HttpSettings) -> Transport {
        let secrets = given.secrets.into_iter().enumerate();
        let secrets = secrets.filter_map(|(at, secret)| self.secret(&format!("http.secrets[{at}]"), secret));
        Transport::Http(Box::new(Http {
            secrets: secrets.collect(),
            url: given.url,
            connections: connections(given.connections),
        }))
    }

    fn secret(&mut self, field: &str, given: SecretGiven) -> Option<SecretAt> {
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
                self.kept += 1;
                let stored = self.stored.get(self.kept - 1).cloned();
                stored.ok_or("no value is stored here to be kept: give one")
            }
        };
        self.faults.take(field, secret.map(Some))
    }

    /// A value as it is stored: one that is there already stays as it was sealed, so that putting the same again
    /// changes nothing.
    fn sealed(&self, value: &Secret) -> Result<SecretAt, &'static str> {
        let (transports, tenant) = (&self.ground.node.transports, self.ground.loaded.scope.tenant.no);
        let same = self.stored.iter().find(|stored| transports.is(tenant, self.no, stored, value));
        same.cloned().map_or_else(|| transports.seal(tenant, self.no, value), Ok)
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

fn shown_secret(at: &SecretAt) -> SecretGiven {
    match at {
        SecretAt::Env(variable) => SecretGiven::Env(variable.clone()),
        SecretAt::File(path) => SecretGiven::File(path.clone()),
        SecretAt::Sealed(_) => SecretGiven::Kept,
    }
}

/// As many as there can be, where there are more than any sender may have: the check says how many that is.
fn connections(given: u32) -> u16 {
    if given == 0 { CONNECTIONS } else { u16::try_from(given).unwrap_or(u16::MAX) }
}
