//! A strict receiver on this machine that follows a script. A request that is not as it should be ends the test.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use followupd_domain::channel::Kind;
use followupd_domain::decision::TraceId;
use followupd_domain::name::Name;
use followupd_domain::render::Message;
use followupd_domain::{EnrollmentId, Moment, SendId, Shard, StepNo};

use super::Reach;
use crate::Call;
use crate::tls::testing;

/// A call of `kind` to `address`.
pub(crate) fn call(kind: Kind, address: &str) -> Call {
    let enrollment = EnrollmentId::new(Moment(1_800_000_000_000), Shard(1), 1);
    Call {
        send: SendId { enrollment, step: StepNo(2), occurrence: 0, leg: 0 },
        key: "snd_TEST".into(),
        tenant: Name::parse("acme").unwrap(),
        channel: Name::parse("way").unwrap(),
        kind,
        address: address.into(),
        contact: "ct-1".into(),
        message: Message::of("", "Tudo \"bem\"?"),
        trace: TraceId(7),
        at: Moment(1_800_000_000_123),
        again: false,
    }
}

/// How a server on this machine is reached, whose answers take at most so long.
pub(crate) fn reach(answer: Duration) -> Reach {
    Reach { plain: true, networks: vec!["127.0.0.0/8".parse().unwrap()], answer, ..Reach::default() }
}

/// What a server says after a request and breaks nothing but this answer: each leaves a doubt.
pub(crate) fn doubts() -> Vec<Say> {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"messages\"";
    let mut says = vec![Say::Close, Say::Hang, Say::Raw("garbage\r\n\r\n".into()), Say::Raw(short.into())];
    says.extend(["", "{}", "[]", "<html>", "{\"messages\":", "\"ok\""].map(|body| status(200, "", body)));
    says.extend([500, 502, 503, 504].map(|code| status(code, "", "oh")));
    says
}

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// It answers this, as it stands.
    Raw(String),
    /// It reads it and then says nothing.
    Hang,
    /// It reads it and closes the connection.
    Close,
}

/// An answer with a status and a body.
pub(crate) fn status(status: u16, headers: &str, body: &str) -> Say {
    Say::Raw(format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Over which connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Serves each connection by its script, request by request; the port, and what came.
pub(crate) async fn serve(scripts: Vec<Vec<Say>>) -> (u16, JoinHandle<Vec<Seen>>) {
    serve_over(false, scripts).await
}

/// The same, over TLS.
pub(crate) async fn serve_tls(scripts: Vec<Vec<Say>>) -> (u16, JoinHandle<Vec<Seen>>) {
    serve_over(true, scripts).await
}

async fn serve_over(tls: bool, scripts: Vec<Vec<Say>>) -> (u16, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let mut seen = Vec::new();
        for (connection, script) in scripts.into_iter().enumerate() {
            let (stream, _) = listener.accept().await.unwrap();
            if !tls {
                hold(stream, connection, script, &mut seen).await;
            } else if let Ok(stream) = testing::server().accept(stream).await {
                hold(stream, connection, script, &mut seen).await;
            }
        }
        seen
    });
    (port, served)
}

/// What came, once every script is at its end.
pub(crate) async fn seen(served: JoinHandle<Vec<Seen>>) -> Vec<Seen> {
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("a script is not at its end").unwrap()
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn hold(stream: impl Stream, connection: usize, script: Vec<Say>, seen: &mut Vec<Seen>) {
    let mut stream = BufReader::new(stream);
    for says in script {
        let Some(request) = read(&mut stream, connection).await else { return };
        seen.push(request);
        match says {
            Say::Raw(answer) => {
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            Say::Hang => {
                // Until the client gives up.
                drop(stream.read(&mut [0; 16]).await);
                return;
            }
            Say::Close => return,
        }
    }
}

async fn read(stream: &mut BufReader<impl Stream>, connection: usize) -> Option<Seen> {
    let first = line(stream).await?;
    let path = first.strip_prefix("POST ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let path = path.unwrap_or_else(|| panic!("a POST: {first:?}")).to_owned();
    assert!(path.starts_with('/') && !path.contains(' '), "{path:?}");
    let mut headers = BTreeMap::new();
    loop {
        let line = line(stream).await.expect("a header ends");
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("a header: {line:?}"));
        let twice = headers.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(twice, None, "{name} is said once");
    }
    let length = headers.get("content-length").expect("a body has a length").parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Some(Seen { connection, path, headers, body: String::from_utf8(body).unwrap() })
}

async fn line(stream: &mut BufReader<impl Stream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    Some(line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a line ends with CRLF: {line:?}")).to_owned())
}
