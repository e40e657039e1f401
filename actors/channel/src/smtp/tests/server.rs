//! A strict mail server on this machine that follows a script. What a client may not say ends the test.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tls::testing;

/// What the server says next, or does instead.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    /// This, as it stands, with its line end.
    Line(&'static str),
    /// This, over and over, until the client goes away.
    Flood(&'static str),
    /// Nothing, until the client goes away.
    Hang,
    /// It closes the connection.
    Close,
}

/// When a conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    Never,
    FromTheStart,
    /// After STARTTLS, to which this is the answer.
    Asked(&'static str),
}

/// What the server does at each point of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) tls: Tls,
    pub(super) greeting: Say,
    pub(super) ehlo: Say,
    pub(super) auth: Say,
    pub(super) mail: Say,
    pub(super) rcpt: Say,
    pub(super) data: Say,
    pub(super) body: Say,
    pub(super) rset: Say,
    /// Mails after which it closes the connection.
    pub(super) mails: usize,
    /// What it says before that.
    pub(super) farewell: &'static str,
}

/// A server that takes everything.
pub(super) const KIND: Script = Script {
    tls: Tls::Never,
    greeting: Say::Line("220 mail.example ESMTP"),
    ehlo: Say::Line("250-mail.example\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 1000000"),
    auth: Say::Line("235 2.7.0 welcome"),
    mail: Say::Line("250 2.1.0 ok"),
    rcpt: Say::Line("250 2.1.5 ok"),
    data: Say::Line("354 go on"),
    body: Say::Line("250 2.0.0 queued"),
    rset: Say::Line("250 2.0.0 ok"),
    mails: usize::MAX,
    farewell: "",
};

/// One connection as the server saw it: the commands, and each mail's text.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) commands: Vec<String>,
    pub(super) mails: Vec<String>,
}

impl Seen {
    /// The first word of each command.
    pub(super) fn verbs(&self) -> Vec<&str> {
        self.commands.iter().map(|command| command.split([' ', ':']).next().unwrap()).collect()
    }
}

/// Serves one connection by each script, one after the other; the port, and what was seen.
pub(super) async fn serve(scripts: &[Script]) -> (u16, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, scripts) = (listener.local_addr().unwrap().port(), scripts.to_vec());
    let served = tokio::spawn(async move {
        let mut seen = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream: Box<dyn Stream> = Box::new(stream);
            if script.tls == Tls::FromTheStart {
                // A client that does not like what it is shown is gone.
                let Ok(encrypted) = testing::server().accept(stream).await else { continue };
                stream = Box::new(encrypted);
            }
            let conversation =
                Conversation { stream: Some(BufReader::new(stream)), script, seen: Seen::default() };
            seen.push(conversation.hold().await);
        }
        seen
    });
    (port, served)
}

/// What the server saw, once every client has gone.
pub(super) async fn seen(served: JoinHandle<Vec<Seen>>) -> Vec<Seen> {
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("the client never left").unwrap()
}

/// Where a client stands, and so what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connected,
    Greeted,
    Mail,
    Rcpt,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Conversation {
    /// Nothing while it is being encrypted, and when that failed.
    stream: Option<BufReader<Box<dyn Stream>>>,
    script: Script,
    seen: Seen,
}

impl Conversation {
    async fn hold(mut self) -> Seen {
        let mut state = State::Connected;
        if !self.say(self.script.greeting).await {
            return self.seen;
        }
        while let Some(line) = self.line().await {
            self.seen.commands.push(line.clone());
            let Some(next) = self.answer(&line, state).await else { break };
            state = next;
            if self.seen.mails.len() >= self.script.mails && state == State::Greeted {
                if !self.script.farewell.is_empty() {
                    self.say(Say::Line(self.script.farewell)).await;
                }
                break;
            }
        }
        self.seen
    }

    /// Answers one command; where the client stands then, or nothing if the connection ends.
    async fn answer(&mut self, line: &str, state: State) -> Option<State> {
        let script = self.script;
        let (says, ok, next) = match line {
            "DATA" if state == State::Rcpt => return self.data().await,
            "RSET" if state != State::Connected => (script.rset, "250", State::Greeted),
            "QUIT" => {
                self.say(Say::Line("221 bye")).await;
                return None;
            }
            "STARTTLS" if state == State::Greeted => return self.start_tls().await,
            "EHLO [127.0.0.1]" if state == State::Connected => (script.ehlo, "250", State::Greeted),
            _ if line.starts_with("AUTH PLAIN ") && state == State::Greeted => {
                (script.auth, "235", State::Greeted)
            }
            _ if is_path(line, "MAIL FROM:<") && state == State::Greeted => (script.mail, "250", State::Mail),
            _ if is_path(line, "RCPT TO:<") && state == State::Mail => (script.rcpt, "250", State::Rcpt),
            _ => panic!("{line:?} may not be said in {state:?}, after {:?}", self.seen.commands),
        };
        let went_on = self.say(says).await;
        went_on.then(|| if says.begins(ok) { next } else { state })
    }

    async fn start_tls(&mut self) -> Option<State> {
        let Tls::Asked(answer) = self.script.tls else { panic!("STARTTLS was not offered") };
        if !self.say(Say::Line(answer)).await || !answer.starts_with("220") {
            return Some(State::Greeted);
        }
        let stream = self.stream.take()?;
        assert_eq!(stream.buffer(), b"", "nothing is said between STARTTLS and its answer");
        let encrypted = testing::server().accept(stream.into_inner()).await.ok()?;
        self.script.tls = Tls::Never;
        self.stream = Some(BufReader::new(Box::new(encrypted)));
        Some(State::Connected)
    }

    async fn data(&mut self) -> Option<State> {
        if !self.say(self.script.data).await {
            return None;
        }
        if !self.script.data.begins("354") {
            return Some(State::Rcpt);
        }
        let mut text = String::new();
        loop {
            let line = self.line().await?;
            match line.strip_prefix('.') {
                Some("") => break,
                Some(stuffed) => {
                    assert!(stuffed.starts_with('.'), "a line that begins with a dot is stuffed: {line:?}");
                    text.push_str(stuffed);
                }
                None => text.push_str(&line),
            }
            text.push_str("\r\n");
        }
        self.seen.mails.push(text);
        self.say(self.script.body).await.then_some(State::Greeted)
    }

    /// One line, ended as lines are; nothing once the client is gone.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        if self.stream.as_mut()?.read_line(&mut line).await.unwrap_or(0) == 0 || !line.ends_with('\n') {
            return None;
        }
        let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a line ends with CRLF: {line:?}"));
        assert!(!line.contains('\r') && line.len() <= 998, "{line:?}");
        Some(line.to_owned())
    }

    /// Says it; whether the conversation goes on.
    async fn say(&mut self, says: Say) -> bool {
        match says {
            Say::Line(line) => {
                let Some(stream) = &mut self.stream else { return false };
                let line = format!("{line}\r\n");
                stream.write_all(line.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
            }
            Say::Flood(text) => {
                let Some(stream) = &mut self.stream else { return false };
                while stream.write_all(text.as_bytes()).await.is_ok() {}
                false
            }
            Say::Hang => {
                // Only when the client leaves is there an end to this.
                while self.line().await.is_some() {}
                false
            }
            Say::Close => false,
        }
    }
}

impl Say {
    fn begins(self, code: &str) -> bool {
        matches!(self, Say::Line(line) if line.starts_with(code))
    }
}

/// `MAIL FROM:<a@b>` or `RCPT TO:<a@b>` with nothing beside what SMTPUTF8 adds.
fn is_path(line: &str, verb: &str) -> bool {
    let Some((path, rest)) = line.strip_prefix(verb).and_then(|path| path.split_once('>')) else {
        return false;
    };
    let plain = path.contains('@') && !path.contains(['<', ' ']);
    plain && (rest.is_empty() || rest == " SMTPUTF8 BODY=8BITMIME")
}
