//! Mocks as processes, their side doors, programs of others, and a listener for what a mock posts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use blackbox::http::{Client, Door};
use blackbox::wire::python;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for what a mock posts, and for the rest of it.
const POSTS: Duration = Duration::from_secs(60);

/// What stands in this crate's folder of mocks.
fn of_mocks(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mocks").join(path)
}

/// Python with a program, that leaves no files beside it.
pub(crate) fn program(path: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-B").arg(of_mocks(path));
    command
}

/// A program of `clients`.
pub(crate) fn client(name: &str) -> Command {
    program(&format!("clients/{name}"))
}

/// Runs a program that must succeed, with this for its input; what it says.
pub(crate) fn must(command: &mut Command, input: &str) -> String {
    let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (says, fails) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{says}{fails}", output.status);
    says.into_owned()
}

/// A mock. It ends with this, or with the test's process.
pub(crate) struct Mock {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Who may call it.
    who: Value,
    _folder: TempDir,
}

impl Mock {
    pub(crate) fn start(name: &str) -> Mock {
        let folder = tempfile::tempdir().unwrap();
        let port_file = folder.path().join("port");
        let mut command = program(&format!("{name}.py"));
        let command = command.arg(&port_file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n", "{name} does not start");
        let port: u16 = fs::read_to_string(&port_file).unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut mock = Mock { child, address, who: Value::Null, _folder: folder };
        mock.who = mock.side("GET", "/_who", "");
        mock
    }

    /// Its port, as programs are told it.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// One of the things that it knows its callers by.
    pub(crate) fn who(&self, name: &str) -> &str {
        self.who[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.who))
    }

    /// One of the numbers it knows its callers by.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.who[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.who))
    }

    /// What is sent to it, and its answer: a status, and JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut client = Client::new(&Door { address: self.address, key: String::new() });
        let (status, says) = client.request(method, path, headers, body).unwrap();
        (status, serde_json::from_str(&says).unwrap_or_else(|_| panic!("no JSON: {says}")))
    }

    /// What its side door says.
    pub(crate) fn side(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, says) = self.ask(method, path, &[], body);
        assert_eq!(status, 200, "{path} {body}: {says}");
        says
    }

    /// What it has accepted.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.side("GET", "/_sent", "").as_array().unwrap().clone()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request that came.
#[derive(Debug)]
pub(crate) struct Came {
    /// Its target: path and query.
    pub(crate) target: String,
    /// Its headers, by names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

/// Takes `count` requests, each on a connection of its own, and answers each with 200 and `says`.
pub(crate) fn listen(count: usize, says: &'static str) -> (SocketAddr, JoinHandle<Vec<Came>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{says}", says.len());
    let taken = std::thread::spawn(move || {
        let mut came = Vec::new();
        for _ in 0..count {
            let mut reader = BufReader::new(accepted(&listener));
            came.push(request(&mut reader));
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        came
    });
    (address, taken)
}

/// The next connection; a mock that does not post within [`POSTS`] fails the test instead of keeping it.
fn accepted(listener: &TcpListener) -> TcpStream {
    let began = Instant::now();
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(POSTS)).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(began.elapsed() < POSTS, "nothing is posted");
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Came {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let target = line().split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<_, _> = std::iter::repeat_with(&mut line)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Came { target, headers, body }
}
