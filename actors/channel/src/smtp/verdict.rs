//! What a server's last word, or its silence, means for a send. The table of it; it touches nothing.

use std::fmt;

use followupd_domain::Span;
use followupd_domain::reaction::{Again, Blames, Reaction, Scope, Until};

use crate::Answer;
use crate::places::Health;

/// How far a conversation had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connecting, TLS, EHLO, AUTH: nothing of a mail was said.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, the command.
    Data,
    /// The mail itself up to the answer to its final dot.
    Body,
}

impl Phase {
    /// Whether the conversation goes on (or, after the body, ends well) with this reply (RFC 5321, 4.3.2).
    pub(super) fn wants(self, code: u16) -> bool {
        match self {
            Phase::Hello | Phase::Body => (200..300).contains(&code),
            Phase::Mail => code == 250,
            Phase::Rcpt => matches!(code, 250..=252),
            Phase::Data => code == 354,
        }
    }
}

/// The three numbers a server may put behind its code (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhanced(u16, u16, u16);

impl Enhanced {
    /// The code a reply's text begins with, if it does.
    pub(super) fn of(text: &str) -> Option<Enhanced> {
        let mut parts = text.split_ascii_whitespace().next()?.split('.');
        let mut number = || parts.next()?.parse().ok().filter(|n| *n < 1000);
        let enhanced = Enhanced(number()?, number()?, number()?);
        (parts.next().is_none() && matches!(enhanced.0, 2 | 4 | 5)).then_some(enhanced)
    }

    /// The recipient's address (X.1.x), which is not the sender's (X.1.7, X.1.8).
    fn is_recipient(self) -> bool {
        self.1 == 1 && !matches!(self.2, 7 | 8)
    }

    /// Security or policy (X.7.x).
    fn is_policy(self) -> bool {
        self.1 == 7
    }

    /// Mailbox full (X.2.2).
    fn is_mailbox_full(self) -> bool {
        (self.1, self.2) == (2, 2)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server answered.
    Reply { code: u16, enhanced: Option<Enhanced> },
    /// It did not, or not in a way we understand: why, in a word.
    Broken(&'static str),
    /// It did not in time.
    TimedOut,
    /// The address needs SMTPUTF8 (RFC 6531), which the server does not offer.
    NeedsUtf8,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For the send.
    pub(super) answer: Answer,
    /// What it shows of the host.
    pub(super) host: Health,
}

/// Before the answer to the final dot nothing is taken over (RFC 5321, 6.1), so only a body without an answer leaves
/// a doubt.
pub(super) fn verdict(phase: Phase, ending: Ending) -> Verdict {
    match ending {
        Ending::Reply { code, enhanced } => replied(phase, code, enhanced),
        Ending::Broken(word) => unanswered(phase, word),
        Ending::TimedOut => unanswered(phase, "time_out"),
        Ending::NeedsUtf8 => {
            let answer = Answer::refused("needs_smtputf8", Reaction::never(Blames::Message));
            Verdict { answer, host: Health::Works }
        }
    }
}

fn unanswered(phase: Phase, word: &str) -> Verdict {
    let answer = match phase {
        Phase::Hello => Answer::unsent(word),
        Phase::Mail | Phase::Rcpt | Phase::Data => Answer::refused(word, broken_off(phase)),
        Phase::Body => Answer::Uncertain,
    };
    Verdict { answer, host: Health::Fails }
}

/// What follows when a server ends the conversation. The host rests; where it was told whom the mail is for, the mail may
/// be why, which would keep all others waiting for ever: it has so many attempts.
fn broken_off(phase: Phase) -> Reaction {
    match phase {
        Phase::Hello | Phase::Mail => Reaction::HOST_RESTS,
        Phase::Rcpt | Phase::Data | Phase::Body => {
            Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) }
        }
    }
}

fn replied(phase: Phase, code: u16, enhanced: Option<Enhanced>) -> Verdict {
    let said = match enhanced {
        Some(enhanced) => format!("{code} {enhanced}"),
        None => code.to_string(),
    };
    let backed_off =
        |code| Verdict { answer: Answer::refused(code, Reaction::HOST_RESTS), host: Health::Fails };
    let refused =
        |code: String, reaction| Verdict { answer: Answer::refused(code, reaction), host: Health::Works };
    match (phase, code) {
        (Phase::Body, 200..300) => Verdict { answer: Answer::Accepted, host: Health::Works },
        // The server shuts down, whatever it was asked.
        (_, 421) => Verdict { answer: Answer::refused(said, broken_off(phase)), host: Health::Fails },
        // A name or password that is wrong, or that it wants one, or TLS, stays so until a person gives another (RFC
        // 4954): asked again and again, a server closes the account.
        (_, 530 | 534 | 535 | 538) => refused(said, Reaction::stop(Scope::Sender)),
        (Phase::Hello, 400..600) => backed_off(said),
        (_, 400..500) => refused(said, Reaction::again(Again::Slowly)),
        // A 5xx to MAIL is about the sender, unless the mail is too large (RFC 1870) or wants what the server cannot do
        // (RFC 5321, 4.1.1.11): the contact must not pay for it, and a person sees what holds the sender.
        (Phase::Mail, 552 | 555) => refused(said, Reaction::never(Blames::Message)),
        (Phase::Mail, 500..600) => {
            refused(said, Reaction::Hold { scope: Scope::Sender, until: Until::After(SENDER_RESTS) })
        }
        (_, 500..600) if is_full(code, enhanced) => refused(said, Reaction::again(Again::NextDay)),
        (_, 500..600) => refused(said, rejected(phase, code, enhanced)),
        // A yes to something else than was asked: the conversation is out of step.
        _ => unanswered(phase, "out_of_step"),
    }
}

/// How long a sender rests whom a server refuses to take mail from, before that is tried again.
const SENDER_RESTS: Span = Span::minutes(15);

/// What follows from the status of a mail that came back (RFC 3464, 2.3.4), such as `5.1.1`; nothing for one that is no
/// failure. A server that gives up after days does so with 4.x.x: it is not tried again.
#[must_use]
pub fn bounced(status: &str) -> Option<Reaction> {
    let status = Enhanced::of(status)?;
    match status.0 {
        5 if status.is_mailbox_full() => Some(Reaction::again(Again::NextDay)),
        5 => Some(rejected(Phase::Body, 550, Some(status))),
        4 => Some(Reaction::never(Blames::Message)),
        _ => None,
    }
}

/// A full mailbox may have room tomorrow. A bare 552 is taken for one.
fn is_full(code: u16, enhanced: Option<Enhanced>) -> bool {
    enhanced.map_or(code == 552, Enhanced::is_mailbox_full)
}

/// Without an enhanced code, what is said to RCPT is about the recipient and what is said of the text about the text. A
/// bare 550 may be either, or policy (RFC 5321, 4.2.3): nobody is suppressed for it, and many say something of the sender.
fn rejected(phase: Phase, code: u16, enhanced: Option<Enhanced>) -> Reaction {
    match enhanced {
        Some(enhanced) if enhanced.is_recipient() => Reaction::never(Blames::Address),
        // The sender's fault: the contact stays, and many of these open the sender's breaker.
        Some(enhanced) if enhanced.is_policy() => Reaction::SOON,
        None if phase == Phase::Rcpt && matches!(code, 551 | 553) => Reaction::never(Blames::Address),
        None if phase == Phase::Rcpt && code == 550 => {
            Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) }
        }
        Some(_) | None => Reaction::never(Blames::Message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Body, Data, Hello, Mail, Rcpt};

    fn reply(text: &str) -> Ending {
        let (code, rest) = text.split_at(3);
        Ending::Reply { code: code.parse().unwrap(), enhanced: Enhanced::of(rest) }
    }

    fn of(phase: Phase, text: &str) -> (Answer, Health) {
        let Verdict { answer, host } = verdict(phase, reply(text));
        (answer, host)
    }

    fn backed_off(code: &str) -> (Answer, Health) {
        (Answer::refused(code, Reaction::HOST_RESTS), Health::Fails)
    }

    fn refused(code: &str, again: Again) -> (Answer, Health) {
        (Answer::refused(code, Reaction::again(again)), Health::Works)
    }

    fn rejected(code: &str, blames: Blames) -> (Answer, Health) {
        (Answer::refused(code, Reaction::never(blames)), Health::Works)
    }

    #[test]
    fn a_yes_to_the_final_dot_is_accepted() {
        for text in ["250 2.0.0 queued", "250 ok", "251 forwarded"] {
            assert_eq!(of(Body, text), (Answer::Accepted, Health::Works));
        }
    }

    #[test]
    fn no_connection_or_no_tls_backs_off_the_host() {
        for word in ["io", "tls", "no_starttls", "broken_reply"] {
            let Verdict { answer, host } = verdict(Hello, Ending::Broken(word));
            assert_eq!((answer, host), (Answer::unsent(word), Health::Fails));
        }
        for text in ["450 4.3.2", "554 5.7.1", "454 4.7.0", "450", "554"] {
            assert_eq!(of(Hello, text), backed_off(text), "{text}");
        }
    }

    #[test]
    fn a_refused_login_or_the_want_of_one_stops_the_sender() {
        for phase in [Hello, Mail, Rcpt, Data, Body] {
            for text in ["530 5.7.0", "534 5.7.9", "535 5.7.8", "538 5.7.11"] {
                let expected = Answer::refused(text, Reaction::stop(Scope::Sender));
                assert_eq!(of(phase, text), (expected, Health::Works), "{text}");
            }
        }
    }

    #[test]
    fn a_mail_that_comes_back_says_whose_fault_it_is() {
        for (status, reaction) in [
            ("5.1.1", Some(Reaction::never(Blames::Address))),
            ("5.2.2", Some(Reaction::again(Again::NextDay))),
            ("5.7.1", Some(Reaction::SOON)),
            ("5.6.0", Some(Reaction::never(Blames::Message))),
            ("4.4.7", Some(Reaction::never(Blames::Message))),
            ("2.0.0", None),
            ("550", None),
            ("", None),
        ] {
            assert_eq!(bounced(status), reaction, "{status}");
        }
    }

    #[test]
    fn a_421_backs_off_the_host_in_every_phase_and_counts_as_an_attempt_where_the_mail_may_be_why() {
        for phase in [Hello, Mail] {
            assert_eq!(of(phase, "421 4.3.2 shutting down"), backed_off("421 4.3.2"));
        }
        let slowly = Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) };
        for phase in [Rcpt, Data, Body] {
            let expected = (Answer::refused("421 4.3.2", slowly), Health::Fails);
            assert_eq!(of(phase, "421 4.3.2 shutting down"), expected);
        }
    }

    #[test]
    fn greylisting_and_too_many_recipients_come_again_slowly_and_the_host_goes_on() {
        for phase in [Mail, Rcpt, Data, Body] {
            for code in ["450", "451", "452", "432"] {
                assert_eq!(of(phase, code), refused(code, Again::Slowly));
            }
        }
        assert_eq!(of(Rcpt, "451 4.7.1 greylisted"), refused("451 4.7.1", Again::Slowly));
    }

    #[test]
    fn a_hard_bounce_blames_the_address() {
        for phase in [Rcpt, Data, Body] {
            for text in ["550 5.1.1", "551 5.1.6", "553 5.1.3", "550 5.1.10"] {
                assert_eq!(of(phase, text), rejected(text, Blames::Address));
            }
        }
        for text in ["551", "553"] {
            assert_eq!(of(Rcpt, text), rejected(text, Blames::Address));
            assert_eq!(of(Body, text), rejected(text, Blames::Message), "the text was refused");
        }
        let many = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) };
        assert_eq!(of(Rcpt, "550"), (Answer::refused("550", many), Health::Works), "it may be policy");
        assert_eq!(of(Body, "550"), rejected("550", Blames::Message));
        assert_eq!(of(Rcpt, "550 5.1.8"), rejected("550 5.1.8", Blames::Message), "the sender's address");
    }

    #[test]
    fn a_full_mailbox_may_have_room_tomorrow() {
        for phase in [Rcpt, Data, Body] {
            for text in ["552 5.2.2", "550 5.2.2", "552"] {
                assert_eq!(of(phase, text), refused(text, Again::NextDay));
            }
        }
        assert_eq!(of(Body, "552 5.3.4 too big"), rejected("552 5.3.4", Blames::Message));
        assert_eq!(of(Mail, "552 5.3.4 too big"), rejected("552 5.3.4", Blames::Message));
    }

    #[test]
    fn policy_and_spam_are_the_senders_affair() {
        for phase in [Rcpt, Data, Body] {
            for text in ["550 5.7.1", "554 5.7.26"] {
                assert_eq!(of(phase, text), (Answer::refused(text, Reaction::SOON), Health::Works));
            }
        }
    }

    #[test]
    fn a_554_alone_fails_this_message() {
        for phase in [Rcpt, Data, Body] {
            assert_eq!(of(phase, "554"), rejected("554", Blames::Message));
        }
    }

    #[test]
    fn what_is_said_to_mail_does_not_cost_the_contact_its_step() {
        let rests = Reaction::Hold { scope: Scope::Sender, until: Until::After(SENDER_RESTS) };
        for text in ["550 5.7.1", "553 5.1.8", "501"] {
            assert_eq!(of(Mail, text), (Answer::refused(text, rests), Health::Works));
        }
        assert_eq!(of(Mail, "555"), rejected("555", Blames::Message), "another mail may want less");
    }

    #[test]
    fn silence_backs_off_the_host_counts_as_an_attempt_after_mail_and_is_uncertain_after_the_dot() {
        for (ending, word) in [(Ending::TimedOut, "time_out"), (Ending::Broken("io"), "io")] {
            let slowly = Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) };
            let slowly = Answer::refused(word, slowly);
            for (phase, answer) in [
                (Hello, Answer::unsent(word)),
                (Mail, Answer::refused(word, Reaction::HOST_RESTS)),
                (Rcpt, slowly.clone()),
                (Data, slowly),
                (Body, Answer::Uncertain),
            ] {
                assert_eq!(verdict(phase, ending), Verdict { answer, host: Health::Fails });
            }
        }
    }

    #[test]
    fn a_yes_to_something_else_is_out_of_step() {
        for (phase, text) in [(Mail, "354 go"), (Rcpt, "354 go"), (Data, "250 ok"), (Mail, "220 hi")] {
            assert!(!phase.wants(text[..3].parse().unwrap()));
            assert_eq!(of(phase, text).1, Health::Fails);
            assert!(matches!(of(phase, text).0, Answer::Refused { code, .. } if code == "out_of_step"));
        }
        assert_eq!(of(Body, "354 go"), (Answer::Uncertain, Health::Fails));
    }

    #[test]
    fn an_address_the_server_cannot_write_is_rejected() {
        let (answer, host) = rejected("needs_smtputf8", Blames::Message);
        assert_eq!(verdict(Rcpt, Ending::NeedsUtf8), Verdict { answer, host });
    }

    #[test]
    fn an_enhanced_code_is_three_numbers_at_the_start() {
        assert_eq!(Enhanced::of("5.1.1 no such user"), Some(Enhanced(5, 1, 1)));
        assert_eq!(Enhanced::of("4.7.650"), Some(Enhanced(4, 7, 650)));
        for text in ["", "no 5.1.1", "5.1", "5.1.1.1", "3.0.0", "5.1.x", "5.1.1000", "10.0.0.1"] {
            assert_eq!(Enhanced::of(text), None, "{text}");
        }
    }
}
