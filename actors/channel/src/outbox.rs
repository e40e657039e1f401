//! The outbox: a Maildir on this machine, one file per send id. It serves every kind of channel.
//!
//! Maildir (<https://cr.yp.to/proto/maildir.html>): a message is written under `tmp/`, synced, and moved to `new/`;
//! a reader moves it on to `cur/`. The file is named by the send's key, so a send called twice is one file: that is
//! what makes its in-doubt sends safe to call again.

use followupd_domain::Moment;
use futures::future::BoxFuture;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::places::{Health, Places};
use crate::{Answer, Call, Rest, Slot, Transport};

/// Messages written at once: a thread waits for the disk with each.
pub const WRITERS: usize = 8;

/// A Maildir messages are put in.
#[derive(Clone, Debug)]
pub struct Outbox {
    root: PathBuf,
    writers: Arc<Places>,
}

impl Outbox {
    /// The outbox at `root`, whose three folders are made where they are missing, for this user only: what lies
    /// there names people.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Outbox> {
        let root = root.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for folder in ["tmp", "new", "cur"] {
            builder.create(root.join(folder))?;
        }
        Ok(Outbox { root, writers: Arc::new(Places::new("outbox", WRITERS)) })
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn put(&self, call: &Call) -> Answer {
        let (written, placed) =
            (self.root.join("tmp").join(&call.key), self.root.join("new").join(&call.key));
        let there = match self.holds(call) {
            Ok(true) => Ok(()),
            Ok(false) => write(&written, call).and_then(|()| fs::rename(&written, &placed)),
            Err(error) => Err(error),
        };
        if let Err(error) = there {
            tracing::warn!(send = %call.key, trace = %format_args!("{:032x}", call.trace.0), %error, "the outbox cannot be written");
            self.writers.learn(Health::Fails);
            return Answer::unsent("io");
        }
        self.writers.learn(Health::Works);
        // The name is durable only when its folder is; until then nobody knows.
        match File::open(self.root.join("new")).and_then(|folder| folder.sync_all()) {
            Ok(()) => Answer::Accepted,
            Err(error) => {
                tracing::warn!(send = %call.key, trace = %format_args!("{:032x}", call.trace.0), %error, "the outbox cannot be synced");
                Answer::Uncertain
            }
        }
    }

    /// Whether the message is there already, read or not; a reader adds its flags to the name (`:2,RS`).
    fn holds(&self, call: &Call) -> io::Result<bool> {
        if self.root.join("new").join(&call.key).try_exists()? {
            return Ok(true);
        }
        if !call.again {
            return Ok(false);
        }
        for entry in fs::read_dir(self.root.join("cur"))? {
            let name = entry?.file_name();
            let flags = name.to_str().and_then(|name| name.strip_prefix(&call.key));
            if flags.is_some_and(|flags| flags.is_empty() || flags.starts_with(":2,")) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn write(path: &Path, call: &Call) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(message(call).as_bytes())?;
    file.sync_data()
}

impl Transport for Outbox {
    fn slot(&self, urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        Box::pin(self.writers.slot(urgent))
    }

    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer> {
        let outbox = self.clone();
        Box::pin(async move {
            let put = tokio::task::spawn_blocking(move || {
                let _slot = slot;
                outbox.put(&call)
            });
            put.await.unwrap_or(Answer::Uncertain)
        })
    }
}

/// The message as a mail (RFC 5322), so that any mail reader shows it; what is ours begins with `X-Followup-`.
fn message(call: &Call) -> String {
    let headers = [
        ("Date", date(call.at)),
        ("From", format!("{} <{}@{}.followupd.invalid>", call.tenant, call.channel, call.tenant)),
        ("To", header_text(&call.address)),
        ("Subject", header_text(&call.message.subject)),
        ("Message-ID", format!("<{}@followupd.invalid>", call.key)),
        ("X-Followup-Send", call.key.clone()),
        ("X-Followup-Enrollment", call.send.enrollment.to_string()),
        ("X-Followup-Step", call.send.step.0.to_string()),
        ("X-Followup-Contact", header_text(&call.contact)),
        ("X-Followup-Channel", format!("{} ({})", call.channel, call.kind.word())),
        ("X-Followup-Trace", format!("{:032x}", call.trace.0)),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "8bit".to_owned()),
    ];
    let mut text = String::with_capacity(1024 + call.message.body.len());
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(&value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&call.message.text());
    text.push('\n');
    text
}

/// A value that cannot end its header: line breaks and other controls become spaces.
fn header_text(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn date(at: Moment) -> String {
    chrono::DateTime::from_timestamp_millis(at.0).map(|at| at.to_rfc2822()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::channel::Kind;
    use followupd_domain::decision::TraceId;
    use followupd_domain::name::Name;
    use followupd_domain::render::Message;
    use followupd_domain::{EnrollmentId, SendId, Shard, StepNo};

    fn call() -> Call {
        let enrollment = EnrollmentId::new(Moment(1_800_000_000_000), Shard(1), 1);
        Call {
            send: SendId { enrollment, step: StepNo(2), occurrence: 0, leg: 0 },
            key: "snd_TEST".into(),
            tenant: Name::parse("acme").unwrap(),
            channel: Name::parse("mail").unwrap(),
            kind: Kind::Email,
            address: "zoë@mail.example".into(),
            contact: "ct-1\nBcc: all@mail.example".into(),
            message: Message::of("Olá", "Tudo bem?"),
            trace: TraceId(7),
            at: Moment(1_800_000_000_000),
            again: false,
        }
    }

    fn again() -> Call {
        Call { again: true, ..call() }
    }

    async fn called(outbox: &Outbox, call: Call) -> Answer {
        outbox.call(call, Slot::default()).await
    }

    #[tokio::test]
    async fn a_send_called_twice_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        assert_eq!(called(&outbox, call()).await, Answer::Accepted);
        assert_eq!(called(&outbox, again()).await, Answer::Accepted);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_message_that_was_read_is_not_put_again() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        called(&outbox, call()).await;
        let mut name = "new/snd_TEST".to_owned();
        for read in ["cur/snd_TEST", "cur/snd_TEST:2,", "cur/snd_TEST:2,S", "cur/snd_TEST:2,FRS"] {
            fs::rename(folder.path().join(&name), folder.path().join(read)).unwrap();
            assert_eq!(called(&outbox, again()).await, Answer::Accepted);
            assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0, "{read}");
            name = read.to_owned();
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_a_refusal_that_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        fs::remove_dir_all(folder.path().join("tmp")).unwrap();
        assert_eq!(called(&outbox, call()).await, Answer::unsent("io"));
        fs::create_dir(folder.path().join("tmp")).unwrap();
        assert_eq!(called(&outbox, again()).await, Answer::Accepted);
    }

    #[test]
    fn a_value_cannot_add_a_header() {
        let text = message(&call());
        let (headers, body) = text.split_once("\n\n").unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert_eq!(body, "Tudo bem?\n");
        assert!(headers.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000"));
    }
}
