//! Our mail against aiosmtpd, made to answer every row of the table of SMTP replies: what each comes to, and that the
//! next mail is taken.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;

use followupd_channel::resolve::System;
use followupd_channel::smtp::{Security, Settings, Smtp, TimeOuts};
use followupd_channel::tls::Trust;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::reaction::{Again, Blames, Reaction, Scope, Until};
use followupd_domain::render::Message;
use followupd_domain::{Moment, Span};

use crate::running::program;
use crate::signatures::call;

/// aiosmtpd as a process. It ends with this.
struct Server {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child = program("smtp.py").stdin(stdin).stdout(stdout).spawn().unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening ").unwrap().parse().unwrap();
        Server { hears: child.stdin.take().unwrap(), child, says, port }
    }

    /// Answers so from now on; how many mails it has taken.
    fn plan(&mut self, plan: &str) -> usize {
        writeln!(self.hears, "{plan}").unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sender(port: u16, security: Security) -> Smtp {
    let settings = Settings {
        host: "127.0.0.1".to_owned(),
        port,
        security,
        login: None,
        from: "team@acme.example".to_owned(),
        from_name: String::new(),
        helo: "[127.0.0.1]".to_owned(),
        time_outs: TimeOuts::default(),
        connections: 1,
        plain: false,
        unsubscribe: None,
    };
    Smtp::open(settings, &Trust::load(), Arc::new(System::default())).unwrap()
}

async fn sends(by: &Smtp) -> Answer {
    let message = Message::of("Aula", "Oi Ana");
    let mail = Call { kind: Kind::Email, address: "ana@mail.example".to_owned(), message, ..call("", NOW) };
    by.call(mail, Slot::default()).await
}

const NOW: Moment = Moment(1_800_000_000_000);

/// Each row of the table: where it is answered, with what, and what it comes to.
fn rows() -> Vec<(&'static str, Answer)> {
    let no = Answer::refused;
    let (rests, slowly) = (Reaction::HOST_RESTS, Reaction::again(Again::Slowly));
    let breaks_off = Reaction::Again { again: Again::Slowly, alike: Some(Scope::Host) };
    let (bounces, fails) = (Reaction::never(Blames::Address), Reaction::never(Blames::Message));
    let many = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) };
    let held = Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::minutes(15)) };
    let tomorrow = Reaction::again(Again::NextDay);
    vec![
        // Cannot connect or speak, 421.
        ("greeting close", Answer::unsent("broken_reply")),
        ("greeting 421 4.3.2 not now", no("421 4.3.2", rests)),
        ("greeting 554 5.7.1 go away", no("554 5.7.1", rests)),
        ("ehlo 421 4.7.0 too many connections", no("421 4.7.0", rests)),
        ("mail 421 4.3.2 shutting down", no("421 4.3.2", rests)),
        // And where the mail may be why, it has so many attempts.
        ("rcpt 421 4.3.2 shutting down", no("421 4.3.2", breaks_off)),
        ("data 421 4.3.2 shutting down", no("421 4.3.2", breaks_off)),
        ("body 421 4.3.2 shutting down", no("421 4.3.2", breaks_off)),
        ("rcpt close", no("broken_reply", breaks_off)),
        // Greylisting.
        ("rcpt 450 4.2.0 greylisted", no("450 4.2.0", slowly)),
        ("rcpt 451 4.7.1 try again later", no("451 4.7.1", slowly)),
        ("data 451 4.3.0 try again later", no("451 4.3.0", slowly)),
        ("body 450 4.2.0 greylisted", no("450 4.2.0", slowly)),
        // Fewer recipients, wait.
        ("rcpt 452 4.5.3 too many recipients", no("452 4.5.3", slowly)),
        // Hard bounces.
        ("rcpt 550 5.1.1 no such user", no("550 5.1.1", bounces)),
        ("rcpt 550 no such user", no("550", many)),
        ("rcpt 551 5.1.6 moved", no("551 5.1.6", bounces)),
        ("rcpt 553 5.1.3 no such address", no("553 5.1.3", bounces)),
        ("body 550 5.1.1 no such user", no("550 5.1.1", bounces)),
        // A full mailbox.
        ("rcpt 552 5.2.2 mailbox full", no("552 5.2.2", tomorrow)),
        ("body 552 5.2.2 mailbox full", no("552 5.2.2", tomorrow)),
        // Policy and spam are the sender's.
        ("rcpt 550 5.7.1 blocked", no("550 5.7.1", Reaction::SOON)),
        ("body 554 5.7.1 spam", no("554 5.7.1", Reaction::SOON)),
        ("mail 550 5.7.1 not you", no("550 5.7.1", held)),
        // 554 alone.
        ("rcpt 554 no", no("554", fails)),
        ("body 554 no", no("554", fails)),
        // In doubt: nothing is said of the mail.
        ("body close", Answer::Uncertain),
    ]
}

#[tokio::test]
async fn every_row_of_the_table_comes_from_a_real_server_and_the_next_mail_is_taken() {
    let mut server = Server::start();
    for (plan, expected) in rows() {
        let taken = server.plan(plan);
        let by = sender(server.port, Security::None);
        assert_eq!(sends(&by).await, expected, "{plan}");
        assert_eq!(server.plan("none"), taken, "{plan}: it took one all the same");
        // A host that rests takes nothing until it has: another that knows nothing of it sends.
        let breaks_off = plan.ends_with("close") || plan.contains(" 421 ");
        let rests = breaks_off || expected == rested(&expected);
        let by = if rests { sender(server.port, Security::None) } else { by };
        assert_eq!(sends(&by).await, Answer::Accepted, "after {plan}");
        assert_eq!(server.plan("none"), taken + 1, "{plan}");
    }
}

/// The same code as an answer after which the host rests.
fn rested(answer: &Answer) -> Answer {
    let Answer::Refused { code, .. } = answer else { return answer.clone() };
    Answer::refused(code.clone(), Reaction::HOST_RESTS)
}

#[tokio::test]
async fn where_nobody_listens_or_speaks_tls_the_host_rests() {
    let mut server = Server::start();
    let unsent = Answer::unsent;
    assert_eq!(sends(&sender(server.port, Security::StartTls)).await, unsent("no_starttls"));
    assert_eq!(sends(&sender(server.port, Security::Tls)).await, unsent("tls"));
    assert_eq!(server.plan("none"), 0);
    let port = server.port;
    drop(server);
    assert_eq!(sends(&sender(port, Security::None)).await, unsent("connect"));
}
