//! A mail server that follows a script: what it says at each point of a conversation, or does instead. It is strict:
//! what a client may not say it writes down as wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it says next, or does instead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// This, as it stands, with its line end.
    Line(&'static str),
    /// This, over and over, until the client goes away.
    Flood(&'static str),
    /// Nothing, until the client goes away.
    Hang,
    /// It closes the connection.
    Close,
}

/// What it does in one conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) greeting: Say,
    pub(crate) ehlo: Say,
    pub(crate) mail: Say,
    pub(crate) rcpt: Say,
    pub(crate) data: Say,
    /// What follows the final dot.
    pub(crate) body: Say,
    /// Whether it stays for the mail itself; else it closes at its first line.
    pub(crate) stays: bool,
}

/// It takes everything.
pub(crate) const KIND: Script = Script {
    greeting: Say::Line("220 mail.example ESMTP"),
    ehlo: Say::Line("250-mail.example\r\n250 8BITMIME"),
    mail: Say::Line("250 2.1.0 ok"),
    rcpt: Say::Line("250 2.1.5 ok"),
    data: Say::Line("354 go on"),
    body: Say::Line("250 2.0.0 queued"),
    stays: true,
};

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Conversations begun.
    pub(crate) conversations: usize,
    /// Mails that came to their final dot, and were answered however.
    pub(crate) mails: Vec<String>,
    /// Mails it said yes to.
    pub(crate) taken: usize,
    /// Connections that went away while it was silent.
    pub(crate) left: usize,
    /// What may not be said where it was said.
    pub(crate) wrong: Vec<String>,
}

/// A server.
#[derive(Debug)]
pub(crate) struct MailServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl MailServer {
    /// Listens at `address`: the first conversation follows `first`, all others are kind.
    pub(crate) fn start(address: SocketAddr, first: Script) -> MailServer {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let script = if number == 0 { first } else { KIND };
                let stream = BufReader::new(stream);
                let talk = Conversation { stream, script, at: At::Connected, seen: Arc::clone(&shared) };
                std::thread::spawn(move || talk.hold());
            }
        });
        MailServer { address, seen }
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

/// Where a client stands, and so what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Connected,
    Greeted,
    Mail,
    Rcpt,
}

struct Conversation {
    stream: BufReader<TcpStream>,
    script: Script,
    at: At,
    seen: Arc<Mutex<Seen>>,
}

impl Conversation {
    fn hold(mut self) {
        self.note(|seen| seen.conversations += 1);
        let mut goes_on = self.say(self.script.greeting);
        while goes_on {
            let Some(line) = self.line() else { return };
            goes_on = self.answer(&line);
        }
    }

    /// Answers one command; whether the conversation goes on.
    fn answer(&mut self, line: &str) -> bool {
        let script = self.script;
        let (says, code, next) = match line {
            "DATA" if self.at == At::Rcpt => return self.data(),
            "RSET" if self.at != At::Connected => (Say::Line("250 2.0.0 ok"), "250", At::Greeted),
            "QUIT" => return false,
            "EHLO [127.0.0.1]" if self.at == At::Connected => (script.ehlo, "250", At::Greeted),
            "MAIL FROM:<team@acme.example>" if self.at == At::Greeted => (script.mail, "250", At::Mail),
            _ if line.starts_with("RCPT TO:<") && line.ends_with("@mail.example>") && self.at == At::Mail => {
                (script.rcpt, "250", At::Rcpt)
            }
            _ => {
                let at = self.at;
                self.note(|seen| seen.wrong.push(format!("{line:?} at {at:?}")));
                return false;
            }
        };
        if matches!(says, Say::Line(line) if line.starts_with(code)) {
            self.at = next;
        }
        self.say(says)
    }

    fn data(&mut self) -> bool {
        if !self.say(self.script.data) {
            return false;
        }
        if !matches!(self.script.data, Say::Line(line) if line.starts_with("354")) {
            return true;
        }
        let mut text = String::new();
        loop {
            let Some(line) = self.line() else { return false };
            if !self.script.stays {
                return false;
            }
            if line == "." {
                break;
            }
            text.push_str(&line);
            text.push('\n');
        }
        let is_yes = matches!(self.script.body, Say::Line(line) if line.starts_with("250 "));
        self.note(|seen| {
            seen.mails.push(text);
            seen.taken += usize::from(is_yes);
        });
        self.at = At::Greeted;
        self.say(self.script.body)
    }

    /// One line without its end; nothing once the client is gone.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let Some(whole) = line.strip_suffix("\r\n") else {
            self.note(|seen| seen.wrong.push(format!("{line:?} does not end as lines do")));
            return None;
        };
        Some(whole.to_owned())
    }

    /// Says it; whether the conversation goes on.
    fn say(&mut self, says: Say) -> bool {
        match says {
            Say::Line(line) => self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).is_ok(),
            Say::Flood(text) => {
                let text = text.repeat(64);
                while self.stream.get_mut().write_all(text.as_bytes()).is_ok() {}
                self.note(|seen| seen.left += 1);
                false
            }
            Say::Hang => {
                let mut line = String::new();
                while self.stream.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                    line.clear();
                }
                self.note(|seen| seen.left += 1);
                false
            }
            Say::Close => false,
        }
    }

    fn note(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.seen.lock().unwrap());
    }
}
