//! What a server's last word, or its silence, means for a send. The table of it; it touches nothing.

use std::fmt;

use crate::Answer;

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
    /// Whether the host is to rest.
    pub(super) host_failed: bool,
}

/// Before the answer to the final dot nothing is taken over (RFC 5321, 6.1), so only a body without an answer leaves
/// a doubt.
pub(super) fn verdict(phase: Phase, ending: Ending) -> Verdict {
    match ending {
        Ending::Reply { code, enhanced } => replied(phase, code, enhanced),
        Ending::Broken(word) => unanswered(phase, word),
        Ending::TimedOut => unanswered(phase, "time_out"),
        Ending::NeedsUtf8 => {
            Verdict { answer: Answer::Rejected { code: "needs_smtputf8".to_owned() }, host_failed: false }
        }
    }
}

fn unanswered(phase: Phase, word: &str) -> Verdict {
    let answer = match phase {
        Phase::Body => Answer::Uncertain,
        Phase::Hello | Phase::Mail | Phase::Rcpt | Phase::Data => Answer::Refused { code: word.to_owned() },
    };
    Verdict { answer, host_failed: true }
}

fn replied(phase: Phase, code: u16, enhanced: Option<Enhanced>) -> Verdict {
    let said = match enhanced {
        Some(enhanced) => format!("{code} {enhanced}"),
        None => code.to_string(),
    };
    let refused = |host_failed| Verdict { answer: Answer::Refused { code: said.clone() }, host_failed };
    match (phase, code) {
        (Phase::Body, 200..300) => Verdict { answer: Answer::Accepted, host_failed: false },
        // The server shuts down, whatever it was asked.
        (_, 421) => refused(true),
        (Phase::Hello, 400..600) => refused(true),
        // A 5xx to MAIL is about the sender: the contact must not pay for it.
        (_, 400..500) | (Phase::Mail, 500..600) => refused(false),
        // We are not logged in, or not well enough (RFC 4954): the sender's too.
        (_, 530 | 534 | 535 | 538) => refused(true),
        (_, 500..600) if is_full(code, enhanced) => refused(false),
        (_, 500..600) => Verdict { answer: Answer::Rejected { code: said }, host_failed: false },
        // A yes to something else than was asked: the conversation is out of step.
        _ => unanswered(phase, "out_of_step"),
    }
}

/// A full mailbox may have room tomorrow. A bare 552 is taken for one.
fn is_full(code: u16, enhanced: Option<Enhanced>) -> bool {
    enhanced.map_or(code == 552, Enhanced::is_mailbox_full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Body, Data, Hello, Mail, Rcpt};

    const BEFORE_THE_DOT: [Phase; 4] = [Hello, Mail, Rcpt, Data];

    fn reply(text: &str) -> Ending {
        let (code, rest) = text.split_at(3);
        Ending::Reply { code: code.parse().unwrap(), enhanced: Enhanced::of(rest) }
    }

    fn of(phase: Phase, text: &str) -> (Answer, bool) {
        let Verdict { answer, host_failed } = verdict(phase, reply(text));
        (answer, host_failed)
    }

    fn refused(code: &str) -> Answer {
        Answer::Refused { code: code.into() }
    }

    fn rejected(code: &str) -> Answer {
        Answer::Rejected { code: code.into() }
    }

    #[test]
    fn a_yes_to_the_final_dot_is_accepted() {
        for text in ["250 2.0.0 queued", "250 ok", "251 forwarded"] {
            assert_eq!(of(Body, text), (Answer::Accepted, false));
        }
    }

    #[test]
    fn no_connection_or_no_tls_or_no_login_rests_the_host() {
        for word in ["io", "tls", "no_starttls", "broken_reply"] {
            let Verdict { answer, host_failed } = verdict(Hello, Ending::Broken(word));
            assert_eq!((answer, host_failed), (refused(word), true));
        }
        for text in ["450 4.3.2", "554 5.7.1", "535 5.7.8", "454 4.7.0", "450", "554"] {
            assert_eq!(of(Hello, text), (refused(text), true), "{text}");
        }
    }

    #[test]
    fn a_421_rests_the_host_in_every_phase() {
        for phase in [Hello, Mail, Rcpt, Data, Body] {
            assert_eq!(of(phase, "421 4.3.2 shutting down"), (refused("421 4.3.2"), true));
        }
    }

    #[test]
    fn greylisting_and_too_many_recipients_are_refused_and_the_host_goes_on() {
        for phase in [Mail, Rcpt, Data, Body] {
            for code in ["450", "451", "452", "432"] {
                assert_eq!(of(phase, code), (refused(code), false));
            }
        }
        assert_eq!(of(Rcpt, "451 4.7.1 greylisted"), (refused("451 4.7.1"), false));
    }

    #[test]
    fn a_hard_bounce_is_rejected() {
        for phase in [Rcpt, Data, Body] {
            for text in ["550 5.1.1", "551 5.1.6", "553 5.1.3", "550", "551", "553"] {
                assert_eq!(of(phase, text), (rejected(text), false));
            }
        }
    }

    #[test]
    fn a_full_mailbox_may_have_room_later() {
        for phase in [Rcpt, Data, Body] {
            for text in ["552 5.2.2", "550 5.2.2", "552"] {
                assert_eq!(of(phase, text), (refused(text), false));
            }
        }
        assert_eq!(of(Body, "552 5.3.4 too big"), (rejected("552 5.3.4"), false));
    }

    #[test]
    fn policy_and_spam_are_rejected_with_their_code() {
        for phase in [Rcpt, Data, Body] {
            for text in ["550 5.7.1", "554 5.7.26", "554"] {
                assert_eq!(of(phase, text), (rejected(text), false));
            }
        }
    }

    #[test]
    fn what_is_the_senders_fault_does_not_reject_the_contact() {
        assert_eq!(of(Mail, "550 5.7.1"), (refused("550 5.7.1"), false));
        assert_eq!(of(Mail, "553 5.1.8"), (refused("553 5.1.8"), false));
        for phase in [Rcpt, Data, Body] {
            assert_eq!(of(phase, "530 5.7.0"), (refused("530 5.7.0"), true));
        }
    }

    #[test]
    fn silence_before_the_dot_is_refused_and_after_it_uncertain() {
        for (ending, word) in [(Ending::TimedOut, "time_out"), (Ending::Broken("io"), "io")] {
            for phase in BEFORE_THE_DOT {
                let expected = Verdict { answer: refused(word), host_failed: true };
                assert_eq!(verdict(phase, ending), expected);
            }
            let expected = Verdict { answer: Answer::Uncertain, host_failed: true };
            assert_eq!(verdict(Body, ending), expected);
        }
    }

    #[test]
    fn a_yes_to_something_else_is_out_of_step() {
        for (phase, text) in [(Mail, "354 go"), (Rcpt, "354 go"), (Data, "250 ok"), (Mail, "220 hi")] {
            assert!(!phase.wants(text[..3].parse().unwrap()));
            assert_eq!(of(phase, text), (refused("out_of_step"), true));
        }
        assert_eq!(of(Body, "354 go"), (Answer::Uncertain, true));
    }

    #[test]
    fn an_address_the_server_cannot_write_is_rejected() {
        let expected = Verdict { answer: rejected("needs_smtputf8"), host_failed: false };
        assert_eq!(verdict(Rcpt, Ending::NeedsUtf8), expected);
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
