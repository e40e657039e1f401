//! What is said in the open before TLS (RFC 3207): the greeting, EHLO, STARTTLS.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::verdict::{Ending, Enhanced};
use crate::limits;

/// Agrees with the server to begin TLS now; the stream as it is then.
pub(super) async fn agree(stream: TcpStream, helo: &str) -> Result<TcpStream, Ending> {
    let mut stream = BufReader::new(stream);
    Reply::read(&mut stream).await?.wanted(220)?;
    let offers = ask(&mut stream, &format!("EHLO {helo}\r\n")).await?.wanted(250)?;
    if !offers.lines.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
        return Err(Ending::Broken("no_starttls"));
    }
    ask(&mut stream, "STARTTLS\r\n").await?.wanted(220)?;
    // Somebody in between may have added replies for us to take for the encrypted server's.
    if !stream.buffer().is_empty() {
        return Err(Ending::Broken("tls"));
    }
    Ok(stream.into_inner())
}

async fn ask(stream: &mut BufReader<TcpStream>, command: &str) -> Result<Reply, Ending> {
    stream.write_all(command.as_bytes()).await.map_err(|_| Ending::Broken("io"))?;
    Reply::read(stream).await
}

struct Reply {
    code: u16,
    /// What stands behind the code of each line.
    lines: Vec<String>,
}

impl Reply {
    async fn read(stream: &mut BufReader<TcpStream>) -> Result<Reply, Ending> {
        let mut stream = stream.take(limits::REPLY_BYTES);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.map_err(|_| Ending::Broken("io"))?;
            let (code, is_last, text) = parts(&line).ok_or(Ending::Broken("broken_reply"))?;
            lines.push(text.to_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
    }

    fn wanted(self, code: u16) -> Result<Reply, Ending> {
        if self.code == code {
            return Ok(self);
        }
        let enhanced = self.lines.first().and_then(|text| Enhanced::of(text));
        Err(Ending::Reply { code: self.code, enhanced })
    }
}

/// A line's code, whether it is the last of its reply, and its text (RFC 5321, 4.2.1).
fn parts(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.strip_suffix("\r\n")?.split_at_checked(3)?;
    let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
    match rest.strip_prefix('-') {
        Some(text) => Some((code, false, text)),
        None => Some((code, true, rest.strip_prefix(' ').unwrap_or(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_code_a_mark_and_a_text() {
        assert_eq!(parts("220 mail.example\r\n"), Some((220, true, "mail.example")));
        assert_eq!(parts("250-SIZE 10\r\n"), Some((250, false, "SIZE 10")));
        assert_eq!(parts("250\r\n"), Some((250, true, "")));
        for line in ["", "\r\n", "25\r\n", "220 cut", "220 bare\n", "abc no\r\n", "999 no\r\n", "é20 no\r\n"]
        {
            assert_eq!(parts(line), None, "{line:?}");
        }
    }
}
