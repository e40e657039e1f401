//! Mail over SMTP (RFC 5321): one sender's way to one server.

mod mail;
mod session;
mod settings;
mod start_tls;
#[cfg(test)]
mod tests;
mod verdict;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::idle::Idle;
use crate::places::{Health, Places};
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport, limits};
use mail::Mail;
use session::{Cipher, Ended, Session};
pub use settings::{Login, Security, Settings, TimeOuts, is_helo};
pub use verdict::bounced;
use verdict::{Verdict, verdict};

/// A sender of mail, with its connections.
pub struct Smtp {
    settings: Settings,
    cipher: Cipher,
    resolver: Arc<dyn Resolve>,
    places: Places,
    idle: Arc<Idle<Session>>,
}

impl Smtp {
    /// A sender with these settings, names found by `resolver`. It connects when it has something to send.
    ///
    /// # Errors
    /// What is wrong with them, field by field.
    pub fn open(settings: Settings, trust: &Trust, resolver: Arc<dyn Resolve>) -> Result<Smtp, Vec<Problem>> {
        settings.check()?;
        let cipher =
            cipher(settings.security, trust).map_err(|right| vec![Problem { field: "security", right }])?;
        let places = Places::new(settings.host.as_str(), settings.connections);
        let idle = Idle::new(limits::SMTP_IDLE);
        Ok(Smtp { settings, cipher, resolver, places, idle })
    }

    async fn send(&self, call: &Call) -> Answer {
        if self.places.rests().is_some() {
            return Answer::unsent("host_rests");
        }
        let mail = match Mail::of(call, &self.settings) {
            Ok(mail) => mail,
            Err((code, reaction)) => return Answer::refused(code, reaction),
        };
        let ended = self.deliver(&mail).await;
        let Verdict { answer, host } = match ended {
            Ok(()) => Verdict { answer: Answer::Accepted, host: Health::Works },
            Err(Ended { phase, ending }) => verdict(phase, ending),
        };
        self.places.learn(host);
        if let Err(Ended { phase, ending }) = ended {
            tracing::debug!(send = %call.key, trace = %format_args!("{:032x}", call.trace.0), ?phase, ?ending, "a mail was not taken");
        }
        answer
    }

    /// Over a connection that is open, or a fresh one.
    async fn deliver(&self, mail: &Mail) -> Result<(), Ended> {
        if let Some((mut session, idle)) = self.idle.take()
            && session.is_good(idle).await
        {
            match self.over(session, mail).await {
                // The server closed it meanwhile. It has heard nothing of this mail, so the next may.
                Err(ended) if ended.was_stale() => {}
                done => return done,
            }
        }
        self.over(Session::open(&self.settings, &self.cipher, &*self.resolver).await?, mail).await
    }

    async fn over(&self, mut session: Session, mail: &Mail) -> Result<(), Ended> {
        let done = session.deliver(mail).await;
        if done.is_ok() || done.is_err_and(Ended::leaves_connection) {
            self.idle.keep(session);
        }
        done
    }
}

fn cipher(security: Security, trust: &Trust) -> Result<Cipher, String> {
    Ok(match security {
        Security::Tls => Cipher::Tls(trust.config()?),
        Security::StartTls => Cipher::StartTls(trust.config()?),
        Security::None => Cipher::None,
    })
}

impl Transport for Smtp {
    fn slot(&self, urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        Box::pin(self.places.slot(urgent))
    }

    fn places(&self) -> usize {
        self.places.count()
    }

    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let _slot = slot;
            self.send(&call).await
        })
    }
}
