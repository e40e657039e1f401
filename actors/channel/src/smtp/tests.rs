//! The transport against a strict server on this machine. A script that hangs meets short real time-outs: sockets do
//! not wait for a paused clock.

mod server;

use std::time::{Duration, Instant};

use followupd_domain::channel::Kind;
use followupd_domain::decision::TraceId;
use followupd_domain::name::Name;
use followupd_domain::reaction::{Again, Blames, Reaction, Scope, Until};
use followupd_domain::render::Message;
use followupd_domain::{EnrollmentId, Moment, SendId, Shard, Span, StepNo};

use super::*;
use crate::resolve::System;
use crate::secret::Secret;
use crate::tls::testing;
use server::{KIND, Say, Script, Tls, seen, serve};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

pub(super) fn call() -> Call {
    let enrollment = EnrollmentId::new(Moment(1_800_000_000_000), Shard(1), 1);
    Call {
        send: SendId { enrollment, step: StepNo(2), occurrence: 0, leg: 0 },
        key: "snd_TEST".into(),
        tenant: Name::parse("acme").unwrap(),
        channel: Name::parse("mail").unwrap(),
        kind: Kind::Email,
        address: "ana@mail.example".into(),
        contact: "ct-1".into(),
        message: Message::of("Olá", "Tudo bem?"),
        trace: TraceId(7),
        at: Moment(1_800_000_000_000),
        again: false,
    }
}

pub(super) fn settings(port: u16) -> Settings {
    let time_outs = TimeOuts { connect: LONG, hello: LONG, mail: LONG, rcpt: LONG, data: LONG, body: LONG };
    Settings {
        host: "127.0.0.1".into(),
        port,
        security: Security::None,
        login: None,
        from: "team@acme.example".into(),
        from_name: "Équipe Acme".into(),
        helo: "[127.0.0.1]".into(),
        time_outs,
        connections: 2,
        plain: false,
        unsubscribe: None,
    }
}

fn resolver() -> Arc<System> {
    Arc::new(System::default())
}

fn smtp(port: u16) -> Smtp {
    Smtp::open(settings(port), &testing::distrust(), resolver()).unwrap()
}

async fn called(smtp: &Smtp, call: Call) -> Answer {
    smtp.call(call, Slot::default()).await
}

fn backed_off(code: &str) -> Answer {
    Answer::refused(code, Reaction::HOST_RESTS)
}

/// The server ended the conversation, perhaps because of the mail.
fn broken_off(code: &str) -> Answer {
    Answer::refused(code, Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) })
}

fn slowly(code: &str) -> Answer {
    Answer::refused(code, Reaction::again(Again::Slowly))
}

fn rejected(code: &str, blames: Blames) -> Answer {
    Answer::refused(code, Reaction::never(blames))
}

fn begins(verbs: &[&str], expected: &[&str]) {
    assert_eq!(&verbs[..expected.len().min(verbs.len())], expected);
}

/// The answer of one call to a server with one script, and whether its host rests then.
async fn one(script: Script) -> (Answer, bool) {
    let (port, served) = serve(&[script]).await;
    let smtp = smtp(port);
    let answer = called(&smtp, call()).await;
    let rests = smtp.places.rests().is_some();
    drop(smtp);
    seen(served).await;
    (answer, rests)
}

#[tokio::test]
async fn a_mail_is_handed_over() {
    let (port, served) = serve(&[KIND]).await;
    let sender = smtp(port);
    assert_eq!(called(&sender, call()).await, Answer::Accepted);
    drop(sender);
    let seen = seen(served).await;
    let commands =
        ["EHLO [127.0.0.1]", "MAIL FROM:<team@acme.example>", "RCPT TO:<ana@mail.example>", "DATA"];
    assert_eq!(seen[0].commands, commands);
    let [text] = &seen[0].mails[..] else { panic!("{seen:?}") };
    assert!(text.contains("Message-ID: <snd_TEST@acme.example>\r\n"), "{text}");
    assert!(text.is_ascii());
}

#[tokio::test]
async fn a_refusal_in_any_phase_is_what_the_table_says() {
    let (temporary, permanent) = (Say::Line("451 4.7.1 later"), Say::Line("550 5.7.1 no"));
    let held = Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::minutes(15)) };
    for (script, answer, rests) in [
        (Script { greeting: temporary, ..KIND }, backed_off("451 4.7.1"), true),
        (Script { greeting: permanent, ..KIND }, backed_off("550 5.7.1"), true),
        (Script { ehlo: temporary, ..KIND }, backed_off("451 4.7.1"), true),
        (Script { ehlo: permanent, ..KIND }, backed_off("550 5.7.1"), true),
        (Script { mail: temporary, ..KIND }, slowly("451 4.7.1"), false),
        (Script { mail: permanent, ..KIND }, Answer::refused("550 5.7.1", held), false),
        (Script { rcpt: temporary, ..KIND }, slowly("451 4.7.1"), false),
        (Script { rcpt: permanent, ..KIND }, Answer::refused("550 5.7.1", Reaction::SOON), false),
        (Script { data: temporary, ..KIND }, slowly("451 4.7.1"), false),
        (Script { data: permanent, ..KIND }, Answer::refused("550 5.7.1", Reaction::SOON), false),
        (Script { body: temporary, ..KIND }, slowly("451 4.7.1"), false),
        (Script { body: permanent, ..KIND }, Answer::refused("550 5.7.1", Reaction::SOON), false),
    ] {
        assert_eq!(one(script).await, (answer, rests), "{script:?}");
    }
}

#[tokio::test]
async fn a_reply_of_many_lines_is_read_to_its_end() {
    let rcpt = Say::Line("550-5.1.1 no such\r\n550 5.1.1 user");
    assert_eq!(one(Script { rcpt, ..KIND }).await, (rejected("550 5.1.1", Blames::Address), false));
}

#[tokio::test]
async fn a_reply_without_an_end_is_not_read_for_ever() {
    for flood in [Say::Flood("250-more\r\n"), Say::Flood("250 no end of a line ")] {
        for (script, answer) in [
            (Script { greeting: flood, ..KIND }, Answer::unsent("io")),
            (Script { ehlo: flood, ..KIND }, Answer::unsent("io")),
            (Script { mail: flood, ..KIND }, backed_off("io")),
            (Script { rcpt: flood, ..KIND }, broken_off("io")),
        ] {
            assert_eq!(one(script).await, (answer, true), "{script:?}");
        }
        assert_eq!(one(Script { body: flood, ..KIND }).await, (Answer::Uncertain, true), "{flood:?}");
    }
}

#[tokio::test]
async fn a_421_rests_the_host_in_every_phase() {
    let closing = Say::Line("421 4.3.2 closing");
    for (script, answer) in [
        (Script { greeting: closing, ..KIND }, backed_off("421 4.3.2")),
        (Script { ehlo: closing, ..KIND }, backed_off("421 4.3.2")),
        (Script { mail: closing, ..KIND }, backed_off("421 4.3.2")),
        (Script { rcpt: closing, ..KIND }, broken_off("421 4.3.2")),
        (Script { data: closing, ..KIND }, broken_off("421 4.3.2")),
        (Script { body: closing, ..KIND }, broken_off("421 4.3.2")),
    ] {
        assert_eq!(one(script).await, (answer, true), "{script:?}");
    }
}

#[tokio::test]
async fn what_breaks_before_the_final_dot_is_surely_not_sent() {
    let rests = Reaction::HOST_RESTS;
    let slowly = Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) };
    for (out_of_step, reaction) in [
        (Script { mail: Say::Line("354 go on"), ..KIND }, rests),
        (Script { rcpt: Say::Line("221 bye"), ..KIND }, slowly),
        (Script { data: Say::Line("250 ok"), ..KIND }, slowly),
    ] {
        let expected = (Answer::refused("out_of_step", reaction), true);
        assert_eq!(one(out_of_step).await, expected, "{out_of_step:?}");
    }
    for fault in [Say::Close, Say::Line("garbage"), Say::Line("999 what"), Say::Line("")] {
        for (script, expected) in [
            (Script { greeting: fault, ..KIND }, None),
            (Script { mail: fault, ..KIND }, Some(rests)),
            (Script { rcpt: fault, ..KIND }, Some(slowly)),
        ] {
            let (answer, host_rests) = one(script).await;
            match &answer {
                Answer::Unsent { .. } => assert_eq!(None, expected, "{script:?}"),
                Answer::Refused { reaction, .. } => assert_eq!(Some(*reaction), expected, "{script:?}"),
                Answer::Accepted | Answer::Uncertain => panic!("{answer:?} from {script:?}"),
            }
            assert!(host_rests, "{script:?}");
        }
    }
}

#[tokio::test]
async fn what_breaks_after_the_final_dot_is_uncertain() {
    for fault in [Say::Close, Say::Line("garbage"), Say::Line("354 go on")] {
        assert_eq!(one(Script { body: fault, ..KIND }).await, (Answer::Uncertain, true), "{fault:?}");
    }
}

#[tokio::test]
async fn each_phase_has_a_time_out_of_its_own() {
    let time_outs = settings(25).time_outs;
    for (script, time_outs, expected) in [
        (
            Script { greeting: Say::Hang, ..KIND },
            TimeOuts { hello: SHORT, ..time_outs },
            Answer::unsent("time_out"),
        ),
        (
            Script { ehlo: Say::Hang, ..KIND },
            TimeOuts { hello: SHORT, ..time_outs },
            Answer::unsent("time_out"),
        ),
        (Script { mail: Say::Hang, ..KIND }, TimeOuts { mail: SHORT, ..time_outs }, backed_off("time_out")),
        (Script { rcpt: Say::Hang, ..KIND }, TimeOuts { rcpt: SHORT, ..time_outs }, broken_off("time_out")),
        (Script { data: Say::Hang, ..KIND }, TimeOuts { data: SHORT, ..time_outs }, broken_off("time_out")),
        (Script { body: Say::Hang, ..KIND }, TimeOuts { body: SHORT, ..time_outs }, Answer::Uncertain),
    ] {
        let (port, served) = serve(&[script]).await;
        let smtp =
            Smtp::open(Settings { time_outs, ..settings(port) }, &testing::distrust(), resolver()).unwrap();
        let began = Instant::now();
        assert_eq!(called(&smtp, call()).await, expected, "{script:?}");
        assert!(began.elapsed() >= SHORT && began.elapsed() < LONG, "{script:?}");
        assert!(smtp.places.rests().is_some());
        seen(served).await;
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_rests_and_the_next_call_does_not_try() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let smtp = smtp(port);
    assert_eq!(called(&smtp, call()).await, Answer::unsent("connect"));
    assert!(smtp.slot(false).await.is_err());
    let _listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(called(&smtp, call()).await, Answer::unsent("host_rests"));
}

#[tokio::test]
async fn two_mails_go_over_one_connection() {
    let (port, served) = serve(&[KIND]).await;
    let smtp = smtp(port);
    for _ in 0..2 {
        assert_eq!(called(&smtp, call()).await, Answer::Accepted);
    }
    drop(smtp);
    let seen = seen(served).await;
    assert_eq!(seen[0].verbs(), ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA"]);
    assert_eq!(seen[0].mails.len(), 2);
}

#[tokio::test]
async fn a_refused_mail_is_taken_back_before_the_next() {
    let (port, served) = serve(&[Script { rcpt: Say::Line("550 5.1.1 no"), ..KIND }]).await;
    let smtp = smtp(port);
    for _ in 0..2 {
        assert_eq!(called(&smtp, call()).await, rejected("550 5.1.1", Blames::Address));
    }
    drop(smtp);
    assert_eq!(seen(served).await[0].verbs(), ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT"]);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_a_mail_nothing() {
    let closed = Script { mails: 1, ..KIND };
    let farewell = Script { farewell: "421 4.4.2 idle for too long", ..closed };
    for first in [closed, farewell] {
        let (port, served) = serve(&[first, KIND]).await;
        let smtp = smtp(port);
        for _ in 0..2 {
            assert_eq!(called(&smtp, call()).await, Answer::Accepted);
        }
        assert!(smtp.places.rests().is_none());
        drop(smtp);
        let seen = seen(served).await;
        assert_eq!([seen[0].mails.len(), seen[1].mails.len()], [1, 1]);
    }
}

#[tokio::test]
async fn a_connection_in_doubt_is_asked_before_it_is_trusted() {
    let refusing = Script { rcpt: Say::Line("450 later"), rset: Say::Close, ..KIND };
    let (port, served) = serve(&[refusing, KIND]).await;
    let smtp = smtp(port);
    assert_eq!(called(&smtp, call()).await, slowly("450"));
    assert_eq!(called(&smtp, call()).await, Answer::Accepted);
    drop(smtp);
    begins(&seen(served).await[0].verbs(), &["EHLO", "MAIL", "RCPT", "RSET"]);
}

#[tokio::test]
async fn a_connection_idle_for_long_is_asked_and_one_idle_for_a_moment_is_not() {
    let (port, served) = serve(&[KIND]).await;
    let smtp = smtp(port);
    called(&smtp, call()).await;
    let (mut session, _) = smtp.idle.take().unwrap();
    assert!(session.is_good(Duration::ZERO).await);
    assert!(session.is_good(limits::SMTP_PROBE_AFTER).await);
    drop(session);
    assert_eq!(seen(served).await[0].verbs(), ["EHLO", "MAIL", "RCPT", "DATA", "RSET"]);
}

#[tokio::test]
async fn a_connection_that_carried_its_share_makes_way_for_a_fresh_one() {
    let (port, served) = serve(&[KIND, KIND]).await;
    let smtp = smtp(port);
    for _ in 0..=limits::SMTP_MAILS {
        assert_eq!(called(&smtp, call()).await, Answer::Accepted);
    }
    drop(smtp);
    let seen = seen(served).await;
    assert_eq!([seen[0].mails.len(), seen[1].mails.len()], [limits::SMTP_MAILS as usize, 1]);
}

#[tokio::test]
async fn a_login_is_used_and_its_refusal_stops_the_sender() {
    let login = Login { username: "team".into(), password: Secret::new("hunter2") };
    let denying = Script { auth: Say::Line("535 5.7.8 wrong"), ..KIND };
    let without = Script { ehlo: Say::Line("250 mail.example"), ..KIND };
    let stopped = Answer::refused("535 5.7.8", Reaction::stop(Scope::Sender));
    for (script, expected, rests) in [
        (KIND, Answer::Accepted, false),
        (denying, stopped, false),
        (without, Answer::unsent("no_auth"), true),
    ] {
        let (port, served) = serve(&[script]).await;
        let smtp = Smtp::open(
            Settings { login: Some(login.clone()), ..settings(port) },
            &testing::distrust(),
            resolver(),
        )
        .unwrap();
        assert_eq!(called(&smtp, call()).await, expected);
        assert_eq!(smtp.places.rests().is_some(), rests);
        drop(smtp);
        seen(served).await;
    }
}

#[tokio::test]
async fn a_name_beyond_ascii_needs_a_server_that_can_write_it() {
    let call = || Call { address: "zoë@mail.example".into(), ..call() };
    let (port, served) = serve(&[KIND]).await;
    let plain = smtp(port);
    assert_eq!(called(&plain, call()).await, rejected("needs_smtputf8", Blames::Message));
    drop(plain);
    begins(&seen(served).await[0].verbs(), &["EHLO"]);

    let ehlo = Say::Line("250-mail.example\r\n250-8BITMIME\r\n250 SMTPUTF8");
    let (port, served) = serve(&[Script { ehlo, ..KIND }]).await;
    let able = smtp(port);
    assert_eq!(called(&able, call()).await, Answer::Accepted);
    drop(able);
    let seen = seen(served).await;
    assert_eq!(seen[0].commands[1], "MAIL FROM:<team@acme.example> SMTPUTF8 BODY=8BITMIME");
    assert_eq!(seen[0].commands[2], "RCPT TO:<zoë@mail.example>");
}

#[tokio::test]
async fn nothing_in_a_call_is_a_command() {
    let evil = "x\r\n.\r\nMAIL FROM:<a@b.example>\r\n\n.\nRSET\n\r.\rQUIT\r\n.\r\n";
    let (port, served) = serve(&[KIND]).await;
    let smtp = smtp(port);
    let mut call = call();
    call.message = Message::of(evil, evil);
    call.key = evil.into();
    assert_eq!(called(&smtp, call.clone()).await, Answer::Accepted);
    call.address = format!("ana@mail.example>{evil}");
    assert_eq!(called(&smtp, call).await, rejected("bad_address", Blames::Address));
    drop(smtp);
    let seen = seen(served).await;
    assert_eq!(seen[0].verbs(), ["EHLO", "MAIL", "RCPT", "DATA"]);
    assert_eq!(seen[0].mails.len(), 1);
}

#[tokio::test]
async fn a_server_without_tls_gets_no_mail_from_a_sender_that_wants_it() {
    for (security, code) in [(Security::StartTls, "no_starttls"), (Security::Tls, "tls")] {
        let (port, served) = serve(&[Script { greeting: Say::Line("220 plain"), ..KIND }]).await;
        assert_eq!(called(&secure(port, security, &testing::trust()), call()).await, Answer::unsent(code));
        served.abort();
    }
}

#[tokio::test]
async fn a_mail_goes_over_tls_from_the_start_or_when_asked() {
    let login = Login { username: "team".into(), password: Secret::new("hunter2") };
    for (security, script) in [(Security::Tls, FROM_THE_START), (Security::StartTls, WHEN_ASKED)] {
        let (port, served) = serve(&[script]).await;
        let mut smtp = secure(port, security, &testing::trust());
        smtp.settings.login = Some(login.clone());
        for _ in 0..2 {
            assert_eq!(called(&smtp, call()).await, Answer::Accepted, "{security:?}");
        }
        drop(smtp);
        let seen = seen(served).await;
        assert_eq!(seen[0].mails.len(), 2);
        let verbs = seen[0].verbs();
        let login = verbs.iter().position(|verb| *verb == "AUTH").unwrap();
        let started = verbs.iter().position(|verb| *verb == "STARTTLS");
        assert_eq!(started.is_some(), security == Security::StartTls);
        assert!(
            started.is_none_or(|started| started < login),
            "a password is never said in the open: {verbs:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_gets_nothing() {
    for (security, script) in [(Security::Tls, FROM_THE_START), (Security::StartTls, WHEN_ASKED)] {
        let (port, served) = serve(&[script]).await;
        let smtp = secure(port, security, &testing::distrust());
        assert_eq!(called(&smtp, call()).await, Answer::unsent("tls"), "{security:?}");
        assert!(smtp.places.rests().is_some());
        assert!(seen(served).await.iter().all(|seen| !seen.verbs().contains(&"MAIL")));
    }
}

#[tokio::test]
async fn what_is_slipped_in_before_tls_is_not_taken_for_an_answer() {
    let replies = "220 go\r\n250 hi\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 queued";
    let (port, served) = serve(&[Script { tls: Tls::Asked(replies), ..WHEN_ASKED }]).await;
    assert_eq!(
        called(&secure(port, Security::StartTls, &testing::trust()), call()).await,
        Answer::unsent("tls")
    );
    assert_eq!(seen(served).await[0].mails.len(), 0);
}

const FROM_THE_START: Script = Script { tls: Tls::FromTheStart, ..KIND };
const WHEN_ASKED: Script = Script {
    tls: Tls::Asked("220 go"),
    ehlo: Say::Line("250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN"),
    ..KIND
};

/// A sender that encrypts.
fn secure(port: u16, security: Security, trust: &Trust) -> Smtp {
    Smtp::open(Settings { security, ..settings(port) }, trust, resolver()).unwrap()
}
