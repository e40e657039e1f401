//! Every bound of the transports, each with its reason.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Connections one sender may hold: more than this and a provider takes it for an attack.
pub const CONNECTIONS: RangeInclusive<usize> = 1..=64;

/// The least a time-out may be: under it a healthy machine that is busy looks dead.
pub const TIME_OUT_LEAST: Duration = Duration::from_millis(10);

/// The most a time-out may be: after DATA a server may take 10 minutes (RFC 5321, 4.5.3.2.6), and no other wait is
/// longer.
pub const TIME_OUT_MOST: Duration = Duration::from_secs(10 * 60);

/// How long an idle SMTP connection is kept: servers must wait 5 minutes (RFC 5321, 4.5.3.2.7), many close sooner.
pub const SMTP_IDLE: Duration = Duration::from_secs(30);

/// An SMTP connection idle for longer than this is asked whether it lives before a mail is trusted to it.
pub const SMTP_PROBE_AFTER: Duration = Duration::from_secs(2);

/// How long that question may take: a server that lives answers RSET at once.
pub const SMTP_PROBE: Duration = Duration::from_secs(5);

/// Mails one SMTP connection carries: many servers close it after a hundred.
pub const SMTP_MAILS: u32 = 100;

/// Bytes of one reply, before TLS and in it: an EHLO's answer has a dozen short lines, a refusal a few.
pub const REPLY_BYTES: u64 = 16 * 1024;

/// The first rest of a host that failed.
pub const BACK_OFF_LEAST: Duration = Duration::from_secs(5);

/// The longest: a host that is back is found within this.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(5 * 60);

/// Calls in a row that a host may leave without an answer before it rests: one in many says nothing of the next.
pub const STUMBLES: u32 = 5;

/// The longest rest a host gets because it asked for one (`Retry-After`): a mistaken year must not stop a channel.
pub const ASKED_REST_MOST: Duration = Duration::from_secs(60 * 60);

/// Bytes of an e-mail address (RFC 3696, erratum 1690).
pub const ADDRESS_BYTES: usize = 254;

/// Bytes of a subject: it stays readable, and its header far from what servers refuse.
pub const SUBJECT_BYTES: usize = 2_048;

/// Bytes of an unsubscribe URL: with its name it fits the 998 of a header line (RFC 5322, 2.1.1).
pub const UNSUBSCRIBE_BYTES: usize = 900;

/// Bytes of a sender's name: it fits one header line, encoded.
pub const NAME_BYTES: usize = 200;

/// Bytes of a webhook's URL.
pub const URL_BYTES: usize = 2_048;

/// How long an idle HTTP connection is kept: shorter than the 5 s after which common servers close theirs, so that
/// a request seldom meets a connection that is just being closed.
pub const HTTP_IDLE: Duration = Duration::from_secs(3);

/// Bytes read of a webhook's answer: only its status counts, the rest is read to use the connection again.
pub const ANSWER_BYTES: usize = 64 * 1024;

/// Names looked up at once. One whose servers are silent keeps its thread for tens of seconds.
pub const LOOKUPS: usize = 64;

/// Addresses tried of a name that has many.
pub const ADDRESSES: usize = 4;

/// Secrets that something is signed with at once: one, and the next ones while they are exchanged.
pub const SECRETS: RangeInclusive<usize> = 1..=4;

/// Bytes of a secret (Standard Webhooks, symmetric signatures).
pub const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// How long after a way out could not be opened that is tried again: a file that was missing is found soon, and a
/// lane that waits for it does not ask the disk at each send.
pub const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// Bytes of a file that holds one secret.
pub const SECRET_FILE_BYTES: u64 = 16 * 1024;

/// Bytes of a provider's id of something: Meta's have 15 to 17 digits, Twilio's 34 letters.
pub const PROVIDER_ID_BYTES: usize = 64;

/// Bytes of an access token: Meta's have some 200, and it fits a header.
pub const TOKEN_BYTES: usize = 2_048;

/// Bytes of `biz_opaque_callback_data` (Meta, message API).
pub const CALLBACK_BYTES: usize = 512;

/// Characters of a WhatsApp text (Meta, text messages).
pub const WHATSAPP_TEXT: usize = 4_096;

/// Characters of a caption, and of the text over buttons (Meta, media and interactive messages).
pub const WHATSAPP_CAPTION: usize = 1_024;

/// Characters of what fills a template's header (Meta, "Messages": the text of a parameter object).
pub const TEMPLATE_HEADER: usize = 60;

/// Characters of what fills a template's body, where it fills a header or buttons too (the same page).
pub const TEMPLATE_BODY: usize = 1_024;

/// Characters of what fills a template's body, where it fills nothing else (the same page).
pub const TEMPLATE_BODY_ALONE: usize = 32_768;

/// Characters of a template's name (Meta, message templates).
pub const TEMPLATE_NAME: usize = 512;

/// Characters of a template's language, like `pt_BR`.
pub const LANGUAGE: usize = 16;

pub use followupd_domain::limits::{BUTTON_ID, BUTTON_TITLE, REPLY_BUTTONS};

/// Characters of an SMS over all its segments (Twilio, message resource).
pub const SMS_TEXT: usize = 1_600;

/// Characters of a message in an agent inbox (Chatwoot, message model).
pub const CONVERSATION_TEXT: usize = 150_000;

/// One place in so many, and at least one, is kept for urgent calls: enough for what people wait for, little of what
/// the others have.
pub const URGENT_PART: usize = 8;

/// Bytes of what a provider posts to us: Meta's webhooks have at most 3 MB, Twilio's a few KiB.
pub const INBOUND_BYTES: usize = 3 * 1024 * 1024;

/// The same of Twilio, whose forms tell of one message: its text has at most 1,600 characters, of up to twelve bytes each.
/// A form is read before its signature can be checked, so that it is no longer than it has to be.
pub const INBOUND_FORM_BYTES: usize = 64 * 1024;

const _: () = assert!(INBOUND_FORM_BYTES < INBOUND_BYTES);

/// Bytes of the challenge that Meta gets back: a number has at most 20 digits, and no more is sent back than may be one.
pub const CHALLENGE_BYTES: usize = 64;

const _: () = assert!(SMTP_PROBE_AFTER.as_millis() < SMTP_IDLE.as_millis());
const _: () = assert!(BACK_OFF_LEAST.as_millis() < BACK_OFF_MOST.as_millis());
