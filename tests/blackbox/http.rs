//! A client of the JSON side of the wire: HTTP/1.1 over one kept connection, one call at a time.
//!
//! Connect's unary protocol (<https://connectrpc.com/docs/protocol>): POST to /<service>/<method>; an error is
//! another status than 200 with a JSON body of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for one answer: the daemon answers within it or is stuck.
const ANSWER: Duration = Duration::from_secs(60);

/// Pause before a call that was not answered is made again.
const AGAIN: Duration = Duration::from_millis(50);

/// A connection that rested longer is not used again: the daemon closes it soon.
const KEPT: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failed {
    /// The connection was refused or broke: nothing is known of what the daemon did.
    Broken(io::Error),
    /// The daemon answered that it did not do it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        says: Value,
    },
}

/// The way into a daemon: where it listens, and a key.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// An access key, `fup_…`.
    pub key: String,
}

/// One message of a stream as it is sent: flags, length, text.
#[must_use]
pub fn frame(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[flags][..], &length.to_be_bytes(), message].concat()
}

/// A client.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    key: String,
    /// Lines of further headers.
    headers: String,
    stream: Option<BufReader<TcpStream>>,
    used: Instant,
}

impl Client {
    /// A client that comes in by this door. It connects with its first call.
    #[must_use]
    pub fn new(door: &Door) -> Client {
        Client {
            address: door.address,
            key: door.key.clone(),
            headers: String::new(),
            stream: None,
            used: Instant::now(),
        }
    }

    /// A client like this one, on a connection of its own, whose calls carry this header too.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Client {
        let headers = format!(
            "{}{name}: {value}
",
            self.headers
        );
        let (address, key) = (self.address, self.key.clone());
        Client { address, key, headers, stream: None, used: Instant::now() }
    }

    /// The local port of the connection, once there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.stream.as_ref()?.get_ref().local_addr().ok().map(|address| address.port())
    }

    /// Makes one call, `Service/Method`.
    ///
    /// # Errors
    /// It was not answered, or refused.
    pub fn call(&mut self, method: &str, request: &Value) -> Result<Value, Failed> {
        let request = self.post(method, request);
        let (status, body) = self.exchange(request.as_bytes()).map_err(Failed::Broken)?;
        let says: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == 200 { Ok(says) } else { Err(Failed::Refused { status, says }) }
    }

    /// Makes one call until it is answered: a broken connection and a refusal for a while are tried again. The calls
    /// count their tries, so that a test knows whether an answer may be the second to the same request.
    ///
    /// # Panics
    /// The daemon refuses the call for good, or answers nothing for `patience`.
    pub fn until_answered(&mut self, method: &str, request: &Value, patience: Duration) -> (Value, u32) {
        let began = Instant::now();
        for tries in 1.. {
            match self.call(method, request) {
                Ok(answer) => return (answer, tries),
                Err(failed) if began.elapsed() > patience => panic!("{method} is not answered: {failed:?}"),
                Err(Failed::Broken(_)) => {}
                // Too many requests, and unavailable for now.
                Err(Failed::Refused { status: 429 | 503, .. }) => {}
                Err(refused) => panic!("{method} is refused: {refused:?} {request}"),
            }
            std::thread::sleep(AGAIN);
        }
        unreachable!("it is tried until it is answered")
    }

    /// Makes one call that must be answered at once.
    ///
    /// # Panics
    /// It is not.
    pub fn must(&mut self, method: &str, request: &Value) -> Value {
        self.call(method, request).unwrap_or_else(|failed| panic!("{method} {request}: {failed:?}"))
    }

    /// Makes a call on a connection of its own and closes that after `patience`, whether it is answered or not.
    ///
    /// # Errors
    /// The connection is refused or breaks before.
    pub fn hang_up(&self, method: &str, request: &Value, patience: Duration) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.write_all(self.post(method, request).as_bytes())?;
        std::thread::sleep(patience);
        Ok(())
    }

    /// Makes one request that is no call of the RPC, with the key unless it is empty; answers with status and body.
    ///
    /// # Errors
    /// It was not answered.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<(u16, String)> {
        let (status, body) = self.ask(method, path, headers, body.as_bytes())?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Makes one call that is a stream, `Service/Method`, with these bytes as what is streamed; answers with the status
    /// and, where that is 200, each message and the end (Connect's streaming protocol, one way after the other).
    ///
    /// # Errors
    /// It was not answered, or not so.
    pub fn stream(&mut self, method: &str, frames: &[u8]) -> io::Result<(u16, Vec<Value>)> {
        let headers = [("Content-Type", "application/connect+json"), ("Connect-Protocol-Version", "1")];
        let (status, body) = self.ask("POST", &format!("/followupd.v1.{method}"), &headers, frames)?;
        let (mut answers, mut rest) = (Vec::new(), body.as_slice());
        while let Some(([_flags, length @ ..], more)) =
            rest.split_first_chunk::<5>().filter(|_| status == 200)
        {
            let length = u32::from_be_bytes(*length) as usize;
            let (message, more) = more.split_at_checked(length).ok_or_else(|| odd("half a message"))?;
            answers.push(serde_json::from_slice(message).map_err(io::Error::other)?);
            rest = more;
        }
        Ok((status, answers))
    }

    /// [`Client::request`] with bytes for a body and for an answer.
    ///
    /// # Errors
    /// It was not answered.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: followupd\r\n");
        let key = format!("Bearer {}", self.key);
        let key = [("Authorization", key.as_str())].into_iter().filter(|_| !self.key.is_empty());
        for (name, value) in key.chain(headers.iter().copied()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.exchange(&[request.as_bytes(), body].concat())
    }

    /// Whether the daemon says that it takes calls.
    #[must_use]
    pub fn is_ready(&mut self) -> bool {
        self.exchange(b"GET /readyz HTTP/1.1\r\nHost: followupd\r\n\r\n")
            .is_ok_and(|(status, _)| status == 200)
    }

    fn post(&self, method: &str, request: &Value) -> String {
        let (key, headers, body) = (&self.key, &self.headers, request.to_string());
        format!(
            "POST /followupd.v1.{method} HTTP/1.1\r\nHost: followupd\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {key}\r\nConnect-Protocol-Version: 1\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let kept = self.stream.take().filter(|_| self.used.elapsed() < KEPT);
        self.used = Instant::now();
        let mut stream = match kept {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                BufReader::new(stream)
            }
        };
        // Who refuses a request before its end has answered it, and reads no more of it.
        let written = stream.get_mut().write_all(request);
        let answer = read_answer(&mut stream).map_err(|error| written.as_ref().err().map_or(error, again))?;
        self.stream = Some(stream).filter(|_| written.is_ok());
        Ok(answer)
    }
}

/// An error that somebody else has too.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<(u16, Vec<u8>)> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| odd(&status_line))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().map_err(|_| odd(&header))?,
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        return Ok((status, body));
    }
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16).map_err(|_| odd(&size))?;
        let begin = body.len();
        body.resize(begin + size, 0);
        stream.read_exact(&mut body[begin..])?;
        line(stream)?;
        if size == 0 {
            return Ok((status, body));
        }
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn odd(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {line:?}"))
}
