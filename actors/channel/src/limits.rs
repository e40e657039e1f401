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

/// The first rest of a host that failed.
pub const BACK_OFF_LEAST: Duration = Duration::from_secs(5);

/// The longest: a host that is back is found within this.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(5 * 60);

/// Bytes of an e-mail address (RFC 3696, erratum 1690).
pub const ADDRESS_BYTES: usize = 254;

/// Bytes of a subject: it stays readable, and its header far from what servers refuse.
pub const SUBJECT_BYTES: usize = 2_048;

/// Bytes of an unsubscribe URL: with its name it fits the 998 of a header line (RFC 5322, 2.1.1).
pub const UNSUBSCRIBE_BYTES: usize = 900;

/// Bytes of a sender's name: it fits one header line, encoded.
pub const NAME_BYTES: usize = 200;

const _: () = assert!(SMTP_PROBE_AFTER.as_millis() < SMTP_IDLE.as_millis());
const _: () = assert!(BACK_OFF_LEAST.as_millis() < BACK_OFF_MOST.as_millis());
