//! A receiver of webhooks that is never the bottleneck: a thread for each connection, which reads no more of a request
//! than its key and says yes.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What came in.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

type Seen = Mutex<HashMap<Box<[u8]>, Arrival>>;

/// One message, by its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When it came first, in milliseconds since 1970.
    pub(crate) at: f64,
    /// How often it came.
    pub(crate) times: u32,
    /// Which of the sink's words stands in it.
    pub(crate) word: Option<usize>,
}

/// Words that tell messages apart.
type Words = &'static [&'static str];

impl Sink {
    /// Starts one.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn start() -> io::Result<Sink> {
        Sink::start_with(&[])
    }

    /// Starts one that looks for words in what comes.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn start_with(words: Words) -> io::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, seen) = (listener.local_addr()?, Arc::new(Seen::default()));
        let shared = Arc::clone(&seen);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &seen, words));
            }
        });
        Ok(Sink { address, seen })
    }

    /// How many keys came.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What came, in the order of its first arrival.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arrival> = seen.values().copied().collect();
        all.sort_by(|a, b| a.at.total_cmp(&b.at));
        all
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// One connection, until it ends or says something that is no request.
fn serve(mut stream: TcpStream, seen: &Seen, words: Words) {
    // Where that cannot be set answers are only later.
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut filled) = (vec![0; 64 * 1024], 0);
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        while let Some((whole, key)) = request(&buffer[..filled]) {
            {
                let request = &buffer[..whole];
                let stands = |word: &&str| request.windows(word.len()).any(|part| part == word.as_bytes());
                let word = words.iter().position(stands);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let arrival = seen.entry(key).or_insert_with(|| Arrival { at: now_ms(), times: 0, word });
                arrival.times += 1;
            }
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

/// A whole request at the beginning: its length, and its key.
fn request(bytes: &[u8]) -> Option<(usize, Box<[u8]>)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let value = |name: &[u8]| {
        let line = bytes[..head]
            .split(|byte| *byte == b'\n')
            .find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))?;
        Some(line[name.len()..].trim_ascii())
    };
    let length: usize = std::str::from_utf8(value(b"content-length:")?).ok()?.parse().ok()?;
    let key = value(b"idempotency-key:")?.into();
    (bytes.len() >= head + length).then_some((head + length, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        let text = b"POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: snd_1\r\nContent-Length: 2\r\n\r\n{}POST";
        let (length, key) = request(text).unwrap();
        assert_eq!((&text[length..], &*key), (&b"POST"[..], &b"snd_1"[..]));
        assert!(request(&text[..length - 1]).is_none());
    }
}
