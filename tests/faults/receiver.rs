//! A receiver of webhooks that is broken in one way until it comes back. It knows a key again, as receivers should.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use blackbox::wire;
use serde_json::Value;

/// In which way it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Nobody listens.
    Gone,
    /// It takes the message and says nothing.
    Hangs,
    /// It takes the message and says what is no HTTP.
    Garbage,
    /// It takes the message and closes within the head of its answer.
    ClosesInHead,
    /// It takes the message and closes within the body of its answer, its yes being said.
    ClosesInBody,
}

/// The messages it has taken, by key, each as often as it came.
pub(crate) type Taken = BTreeMap<String, Vec<Value>>;

/// A receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    broken: Broken,
    is_back: Arc<AtomicBool>,
}

impl Receiver {
    /// One at `address` that is broken so.
    pub(crate) fn start(address: SocketAddr, broken: Broken) -> Receiver {
        let (taken, is_back) = (Arc::default(), Arc::default());
        let mut receiver = Receiver { address, taken, broken, is_back };
        if broken != Broken::Gone {
            receiver.listen();
        }
        receiver
    }

    /// From now on it is well.
    pub(crate) fn come_back(&mut self) {
        self.is_back.store(true, Ordering::SeqCst);
        if self.broken == Broken::Gone {
            self.listen();
        }
    }

    /// What it has taken so far.
    pub(crate) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let (broken, taken, is_back) = (self.broken, Arc::clone(&self.taken), Arc::clone(&self.is_back));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (taken, is_back) = (Arc::clone(&taken), Arc::clone(&is_back));
                std::thread::spawn(move || receive(stream, broken, &taken, &is_back));
            }
        });
    }
}

fn receive(stream: TcpStream, broken: Broken, taken: &Mutex<Taken>, is_back: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    while let Some((key, body)) = wire::request(&mut reader) {
        taken.lock().unwrap().entry(key).or_default().push(body);
        let says: &[u8] = match broken {
            _ if is_back.load(Ordering::SeqCst) => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Broken::Gone => return,
            Broken::Hangs => {
                // Until the client goes away.
                let _ = reader.read(&mut [0]);
                return;
            }
            Broken::Garbage => b"\x00\xff no such thing as HTTP\r\n\r\n",
            Broken::ClosesInHead => b"HTTP/1.1 200 OK\r\ncontent-le",
            Broken::ClosesInBody => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthank y",
        };
        if reader.get_mut().write_all(says).is_err() || !is_back.load(Ordering::SeqCst) {
            return;
        }
    }
}
