//! Which way a channel's messages leave: opened from its settings when first needed, and kept while they stay.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use followupd_domain::channel::{self, Channel, SecretAt};
use followupd_domain::{ChannelNo, TenantNo};
use tokio::time::Instant;

use crate::chatwoot::{self, Chatwoot};
use crate::http::Reach;
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::smtp::{Login, Smtp, TimeOuts};
use crate::tls::Trust;
use crate::twilio::{self, Sender, Twilio};
use crate::webhook::{Network, Webhook};
use crate::whatsapp::{self, WhatsApp};
use crate::{Transport, limits, smtp, webhook};

mod destination;

pub use destination::{Destination, destination};

/// What whoever runs the daemon allows, whatever a tenant sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What this machine calls itself towards mail servers: a full name, or an address in brackets.
    pub helo: String,
    /// Whether mail may go without TLS to another machine.
    pub plain_smtp: bool,
    /// Whether webhooks may be http.
    pub plain_http: bool,
    /// Networks that webhooks may reach besides the open internet.
    pub networks: Vec<Network>,
}

/// What opening a way out needs besides a channel's settings.
pub struct Outside {
    /// Whose certificates count.
    pub trust: Trust,
    /// Where names are looked up.
    pub resolver: Arc<dyn Resolve>,
    /// What opens sealed secrets.
    pub seal: Seal,
    /// What is allowed.
    pub rules: Rules,
}

/// What a provider proves with that it is it who tells something.
#[derive(Clone, Debug)]
pub enum Told {
    /// Meta, by the app's secrets.
    Meta {
        /// What requests are signed with, any of them.
        app_secrets: Vec<Secret>,
        /// What it says when the webhook is set up.
        verify_token: Option<Secret>,
    },
    /// Twilio, by the account's tokens.
    Twilio {
        /// What requests are signed with, any of them.
        auth_tokens: Vec<Secret>,
        /// A URL that Twilio was told of, by which it knows this daemon.
        outside_at: Option<String>,
    },
}

/// A channel of a tenant.
type Place = (TenantNo, ChannelNo);

/// The ways out of one process.
pub struct Transports {
    outbox: Arc<dyn Transport>,
    outside: Option<Outside>,
    opened: Mutex<BTreeMap<Place, Opened>>,
}

struct Opened {
    from: channel::Transport,
    way: Result<Arc<dyn Transport>, Vec<Problem>>,
    at: Instant,
}

impl Opened {
    /// Whether it is still what these settings want; one that could not be opened is tried again after a while.
    fn serves(&self, settings: &channel::Transport) -> bool {
        self.from == *settings && (self.way.is_ok() || self.at.elapsed() < limits::REOPEN_AFTER)
    }
}

impl Transports {
    /// The outbox, and what leads outside.
    #[must_use]
    pub fn new(outbox: Arc<dyn Transport>, outside: Outside) -> Transports {
        Transports { outbox, outside: Some(outside), opened: Mutex::default() }
    }

    /// The outbox alone; whatever leads outside cannot be opened.
    #[must_use]
    pub fn only(outbox: Arc<dyn Transport>) -> Transports {
        Transports { outbox, outside: None, opened: Mutex::default() }
    }

    /// The way out of a channel.
    ///
    /// # Errors
    /// What is wrong with its settings, or with what they name on this machine.
    pub fn of(&self, tenant: TenantNo, channel: &Channel) -> Result<Arc<dyn Transport>, Vec<Problem>> {
        if channel.transport == channel::Transport::Outbox {
            return Ok(Arc::clone(&self.outbox));
        }
        let place = (tenant, channel.no);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(&place).filter(|known| known.serves(&channel.transport)) {
            return known.way.clone();
        }
        let way = self.open(place, &channel.transport);
        let from = channel.transport.clone();
        opened.insert(place, Opened { from, way: way.clone(), at: Instant::now() });
        way
    }

    /// Closes the ways out of a tenant's channels, and forgets their secrets.
    pub fn forget(&self, tenant: TenantNo) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|(known, _), _| *known != tenant);
    }

    /// Whether a channel with these settings has a way out.
    ///
    /// # Errors
    /// Each setting that cannot be, with what would be right.
    pub fn check(
        &self,
        tenant: TenantNo,
        channel: ChannelNo,
        settings: &channel::Transport,
    ) -> Result<(), Vec<Problem>> {
        let mut problems = self.open((tenant, channel), settings).err().unwrap_or_default();
        // What its provider proves itself with, once: what it logs in with may be that as well.
        let of_told = self.told(tenant, channel, settings).err().unwrap_or_default();
        let is_new = |problem: &Problem| !problems.iter().any(|known| known.field == problem.field);
        let of_told: Vec<Problem> = of_told.into_iter().filter(is_new).collect();
        problems.extend(of_told);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// A secret, sealed for a channel.
    ///
    /// # Errors
    /// Nothing can be sealed here.
    pub fn seal(
        &self,
        tenant: TenantNo,
        channel: ChannelNo,
        value: &Secret,
    ) -> Result<SecretAt, &'static str> {
        let seal = &self.outside.as_ref().ok_or(OUTBOX_ONLY)?.seal;
        let sealed = seal.seal(&name(&(tenant, channel)), value);
        sealed.map(SecretAt::Sealed).ok_or("this machine has no randomness to give")
    }

    /// Whether what is sealed for a channel is this value.
    #[must_use]
    pub fn is(&self, tenant: TenantNo, channel: ChannelNo, sealed: &SecretAt, value: &Secret) -> bool {
        let (Some(outside), SecretAt::Sealed(sealed)) = (&self.outside, sealed) else { return false };
        outside.seal.open(&name(&(tenant, channel)), sealed).is_some_and(|opened| opened == *value)
    }

    /// What a channel's provider proves with that it is it who tells something; nothing where none does.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn told(
        &self,
        tenant: TenantNo,
        channel: ChannelNo,
        settings: &channel::Transport,
    ) -> Result<Option<Told>, Vec<Problem>> {
        let Some(outside) = &self.outside else { return Ok(None) };
        let place = (tenant, channel);
        let all = |secrets: &[SecretAt], field| {
            secrets.iter().map(|at| outside.secret(&place, at, field)).collect::<Result<Vec<Secret>, _>>()
        };
        match settings {
            channel::Transport::Meta(meta) if !meta.app_secrets.is_empty() => {
                let verify_token = meta.verify_token.as_ref();
                let verify_token =
                    verify_token.map(|at| outside.secret(&place, at, "verify_token")).transpose();
                match (all(&meta.app_secrets, "app_secrets"), verify_token) {
                    (Ok(app_secrets), Ok(verify_token)) => Ok(Some(Told::Meta { app_secrets, verify_token })),
                    (secrets, token) => {
                        Err([secrets.err().unwrap_or_default(), token.err().unwrap_or_default()].concat())
                    }
                }
            }
            channel::Transport::Twilio(twilio) => {
                // The account's own token, where nobody says another: what it logs in with.
                let own: Vec<SecretAt> = twilio.password.iter().cloned().collect();
                let given = (&twilio.auth_tokens, "auth_tokens");
                let (tokens, field) = if given.0.is_empty() { (&own, "password") } else { given };
                let outside_at = Some(twilio.status_callback.clone()).filter(|url| !url.is_empty());
                Ok(Some(Told::Twilio { auth_tokens: all(tokens, field)?, outside_at }))
            }
            channel::Transport::Outbox
            | channel::Transport::Smtp(_)
            | channel::Transport::Http(_)
            | channel::Transport::Meta(_)
            | channel::Transport::Chatwoot(_) => Ok(None),
        }
    }

    fn open(&self, place: Place, settings: &channel::Transport) -> Result<Arc<dyn Transport>, Vec<Problem>> {
        let outside = self.outside.as_ref();
        let outside =
            outside.ok_or_else(|| vec![Problem { field: "transport", right: OUTBOX_ONLY.to_owned() }]);
        match settings {
            channel::Transport::Outbox => Ok(Arc::clone(&self.outbox)),
            channel::Transport::Smtp(smtp) => {
                let outside = outside?;
                let settings = outside.mail(&place, smtp)?;
                Ok(Arc::new(Smtp::open(settings, &outside.trust, Arc::clone(&outside.resolver))?))
            }
            channel::Transport::Http(http) => {
                let outside = outside?;
                let settings = outside.post(&place, http)?;
                Ok(Arc::new(Webhook::open(settings, &outside.trust, Arc::clone(&outside.resolver))?))
            }
            channel::Transport::Meta(meta) => {
                let outside = outside?;
                let settings = outside.whatsapp(&place, meta)?;
                Ok(Arc::new(WhatsApp::open(settings, &outside.trust, Arc::clone(&outside.resolver))?))
            }
            channel::Transport::Twilio(twilio) => {
                let outside = outside?;
                let settings = outside.sms(&place, twilio)?;
                Ok(Arc::new(Twilio::open(settings, &outside.trust, Arc::clone(&outside.resolver))?))
            }
            channel::Transport::Chatwoot(chatwoot) => {
                let outside = outside?;
                let settings = outside.inbox(&place, chatwoot)?;
                Ok(Arc::new(Chatwoot::open(settings, &outside.trust, Arc::clone(&outside.resolver))?))
            }
        }
    }
}

const OUTBOX_ONLY: &str = "outbox: nothing here leads outside";

/// What a secret is sealed for.
fn name((tenant, channel): &Place) -> String {
    format!("{}/{}", tenant.0, channel.0)
}

impl Outside {
    fn mail(&self, place: &Place, smtp: &channel::Smtp) -> Result<smtp::Settings, Vec<Problem>> {
        let password = smtp.password.as_ref().map(|at| self.secret(place, at, "password")).transpose()?;
        let login = match (smtp.username.is_empty(), password) {
            (true, None) => None,
            (_, password) => Some(Login {
                username: smtp.username.clone(),
                password: password.unwrap_or_else(|| Secret::new("")),
            }),
        };
        Ok(smtp::Settings {
            host: smtp.host.clone(),
            port: smtp.port,
            security: smtp.security,
            login,
            from: smtp.from.clone(),
            from_name: smtp.from_name.clone(),
            helo: self.rules.helo.clone(),
            time_outs: TimeOuts::default(),
            connections: usize::from(smtp.connections),
            plain: self.rules.plain_smtp,
            unsubscribe: Some(smtp.unsubscribe.clone()).filter(|url| !url.is_empty()),
        })
    }

    fn post(&self, place: &Place, http: &channel::Http) -> Result<webhook::Settings, Vec<Problem>> {
        let secrets = http.secrets.iter().map(|at| self.secret(place, at, "secrets"));
        Ok(webhook::Settings {
            secrets: secrets.collect::<Result<_, _>>()?,
            connections: usize::from(http.connections),
            plain: self.rules.plain_http,
            networks: self.rules.networks.clone(),
            ..webhook::Settings::new(http.url.clone(), Secret::new(""))
        })
    }

    fn whatsapp(&self, place: &Place, meta: &channel::Meta) -> Result<whatsapp::Settings, Vec<Problem>> {
        let usual = whatsapp::Settings::new(&meta.phone_number_id, self.needed(place, &meta.token, "token")?);
        Ok(whatsapp::Settings {
            version: given_or(&meta.version, usual.version),
            base: given_or(&meta.base, usual.base),
            reach: self.reach(meta.connections),
            ..usual
        })
    }

    fn sms(&self, place: &Place, twilio: &channel::Twilio) -> Result<twilio::Settings, Vec<Problem>> {
        let sender = match twilio.service.is_empty() {
            true => Sender::Number(twilio.number.clone()),
            false => Sender::Service(twilio.service.clone()),
        };
        let password = self.needed(place, &twilio.password, "password")?;
        let usual = twilio::Settings::new(&twilio.account, password, sender);
        Ok(twilio::Settings {
            username: given_or(&twilio.username, usual.username),
            base: given_or(&twilio.base, usual.base),
            status_callback: Some(twilio.status_callback.clone()).filter(|url| !url.is_empty()),
            reach: self.reach(twilio.connections),
            ..usual
        })
    }

    fn inbox(&self, place: &Place, chatwoot: &channel::Chatwoot) -> Result<chatwoot::Settings, Vec<Problem>> {
        let token = self.needed(place, &chatwoot.token, "token")?;
        let usual = chatwoot::Settings::new(&chatwoot.base, chatwoot.account, token);
        Ok(chatwoot::Settings { reach: self.reach(chatwoot.connections), ..usual })
    }

    fn reach(&self, connections: u16) -> Reach {
        Reach {
            connections: usize::from(connections),
            plain: self.rules.plain_http,
            networks: self.rules.networks.clone(),
            ..Reach::default()
        }
    }

    /// A secret that a way out does not open without.
    fn needed(
        &self,
        place: &Place,
        at: &Option<SecretAt>,
        field: &'static str,
    ) -> Result<Secret, Vec<Problem>> {
        let missing = || vec![Problem { field, right: "there: give env, file or value".to_owned() }];
        self.secret(place, at.as_ref().ok_or_else(missing)?, field)
    }

    fn secret(&self, place: &Place, at: &SecretAt, field: &'static str) -> Result<Secret, Vec<Problem>> {
        let wrong = |right: String| vec![Problem { field, right }];
        match at {
            SecretAt::Env(variable) => std::env::var(variable)
                .map(Secret::new)
                .map_err(|_| wrong(format!("a variable {variable} in the daemon's environment, in UTF-8"))),
            SecretAt::File(path) => {
                let read = read(path)
                    .map_err(|error| wrong(format!("a file the daemon can read: {path:?} ({error})")))?;
                Ok(Secret::new(read.trim_end_matches(['\r', '\n'])))
            }
            SecretAt::Sealed(sealed) => self.seal.open(&name(place), sealed).ok_or_else(|| {
                wrong("sealed under this daemon's key: put that key back, or give the value again".to_owned())
            }),
        }
    }
}

fn given_or(given: &str, usual: String) -> String {
    if given.is_empty() { usual } else { given.to_owned() }
}

/// The text of a small file.
fn read(path: &str) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let mut text = String::new();
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no plain file"));
    }
    file.take(limits::SECRET_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::SECRET_FILE_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("it has more than {} bytes", limits::SECRET_FILE_BYTES),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
