//! One conversation with a server, phase by phase, each under its own time-out.

use std::error::Error as _;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{self, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::mail::Mail;
use super::settings::{Settings, TimeOuts};
use super::start_tls;
use super::verdict::{Ending, Enhanced, Phase};
use super::wire::{self, Bounded, Encrypted};
use crate::limits;
use crate::resolve::Resolve;

/// How the conversation becomes encrypted.
pub(super) enum Cipher {
    Tls(Arc<ClientConfig>),
    StartTls(Arc<ClientConfig>),
    None,
}

/// A conversation that did not come to its end, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) phase: Phase,
    pub(super) ending: Ending,
}

impl Ended {
    /// Whether the connection was no longer good before this mail was mentioned.
    pub(super) fn was_stale(self) -> bool {
        self.phase == Phase::Mail
            && matches!(self.ending, Ending::Broken(_) | Ending::Reply { code: 421, .. })
    }

    /// Whether another mail can be tried over the same connection.
    pub(super) fn leaves_connection(self) -> bool {
        matches!(self.ending, Ending::Reply { code: 400..600, .. } if !self.closes())
            || self.ending == Ending::NeedsUtf8
    }

    fn closes(self) -> bool {
        matches!(self.ending, Ending::Reply { code: 421 | 530 | 534 | 535 | 538, .. })
    }
}

/// An open conversation.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    time_outs: TimeOuts,
    mails: u32,
    /// A mail was begun and not ended: the server still waits for it.
    begun: bool,
}

impl Session {
    /// Connects, encrypts, greets and logs in.
    pub(super) async fn open(
        settings: &Settings,
        cipher: &Cipher,
        resolver: &dyn Resolve,
    ) -> Result<Session, Ended> {
        let connect = async {
            let connected = wire::connect(&settings.host, settings.port, resolver).await;
            connected.map_err(|_| Ending::Broken("connect"))
        };
        let opened = match within(settings.time_outs.connect, connect).await {
            Ok(stream) => {
                let hello = greet(stream, settings, cipher);
                within(settings.time_outs.hello, hello).await
            }
            Err(ending) => Err(ending),
        };
        let connection = opened.map_err(|ending| Ended { phase: Phase::Hello, ending })?;
        Ok(Session { connection, time_outs: settings.time_outs, mails: 0, begun: false })
    }

    /// Whether it can carry one more mail: not worn out, and, idle for a while or in the midst of a mail, still
    /// answering.
    pub(super) async fn is_good(&mut self, idle: Duration) -> bool {
        if self.mails >= limits::SMTP_MAILS {
            return false;
        }
        if !self.begun && idle < limits::SMTP_PROBE_AFTER {
            return true;
        }
        self.begun = false;
        let reset = async { self.connection.command(Rset).await.map_err(|error| ending(&error)) };
        within(limits::SMTP_PROBE, reset).await.is_ok()
    }

    /// Hands one mail over.
    pub(super) async fn deliver(&mut self, mail: &Mail) -> Result<(), Ended> {
        self.mails += 1;
        let mut parameters = Vec::new();
        if mail.needs_utf8() {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Ended { phase: Phase::Mail, ending: Ending::NeedsUtf8 });
            }
            parameters =
                vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)];
        }
        self.begun = true;
        self.say(Phase::Mail, commands::Mail::new(Some(mail.from.clone()), parameters)).await?;
        self.say(Phase::Rcpt, Rcpt::new(mail.to.clone(), Vec::new())).await?;
        self.say(Phase::Data, commands::Data).await?;
        let message = async { self.connection.message(&mail.text).await.map_err(|error| ending(&error)) };
        let code = within(self.time_outs.body, message).await.map(|reply| reply.code().into());
        wanted(Phase::Body, code)?;
        self.begun = false;
        Ok(())
    }

    async fn say(&mut self, phase: Phase, command: impl Display) -> Result<(), Ended> {
        let limit = match phase {
            Phase::Hello => self.time_outs.hello,
            Phase::Mail => self.time_outs.mail,
            Phase::Rcpt => self.time_outs.rcpt,
            Phase::Data => self.time_outs.data,
            Phase::Body => self.time_outs.body,
        };
        let said = async { self.connection.command(command).await.map_err(|error| ending(&error)) };
        wanted(phase, within(limit, said).await.map(|reply| reply.code().into()))
    }
}

fn wanted(phase: Phase, code: Result<u16, Ending>) -> Result<(), Ended> {
    match code {
        Ok(code) if phase.wants(code) => Ok(()),
        Ok(code) => Err(Ended { phase, ending: Ending::Reply { code, enhanced: None } }),
        Err(ending) => Err(Ended { phase, ending }),
    }
}

async fn greet(
    stream: TcpStream,
    settings: &Settings,
    cipher: &Cipher,
) -> Result<AsyncSmtpConnection, Ending> {
    let helo = ClientId::Domain(settings.helo.clone());
    let stream = match cipher {
        Cipher::Tls(config) => Bounded::new(encrypt(stream, settings, config, "").await?),
        Cipher::StartTls(config) => {
            let stream = start_tls::agree(stream, &settings.helo).await?;
            Bounded::new(encrypt(stream, settings, config, "220 greeted before TLS\r\n").await?)
        }
        Cipher::None => Bounded::new(stream),
    };
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &helo).await;
    let mut connection = connected.map_err(|error| ending(&error))?;
    if let Some(login) = &settings.login {
        let known = [Mechanism::Plain, Mechanism::Login];
        if connection.server_info().get_auth_mechanism(&known).is_none() {
            return Err(Ending::Broken("no_auth"));
        }
        let credentials = Credentials::new(login.username.clone(), login.password.reveal().to_owned());
        connection.auth(&known, &credentials).await.map_err(|error| ending(&error))?;
    }
    Ok(connection)
}

async fn encrypt(
    stream: TcpStream,
    settings: &Settings,
    config: &Arc<ClientConfig>,
    greeting: &'static str,
) -> Result<Encrypted, Ending> {
    let encrypted = wire::encrypt(stream, &settings.host, Arc::clone(config), greeting).await;
    encrypted.map_err(|_| Ending::Broken("tls"))
}

async fn within<T>(limit: Duration, part: impl Future<Output = Result<T, Ending>>) -> Result<T, Ending> {
    tokio::time::timeout(limit, part).await.unwrap_or(Err(Ending::TimedOut))
}

/// What lettre's error says of the server: the reply's text is its source.
fn ending(error: &Error) -> Ending {
    if let Some(code) = error.status() {
        let enhanced = error.source().and_then(|text| Enhanced::of(&text.to_string()));
        return Ending::Reply { code: code.into(), enhanced };
    }
    // A connection closed between replies counts as half a reply for lettre.
    Ending::Broken(if error.is_response() { "broken_reply" } else { "io" })
}
