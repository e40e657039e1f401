//! Our signatures and our checks of them against the vendors' own code.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use followupd_channel::inbound::{meta, twilio};
use followupd_channel::resolve::System;
use followupd_channel::secret::Secret;
use followupd_channel::tls::Trust;
use followupd_channel::webhook::{Settings, Webhook};
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::decision::TraceId;
use followupd_domain::name::Name;
use followupd_domain::render::Message;
use followupd_domain::{EnrollmentId, Moment, SendId, Shard, StepNo};
use serde_json::{Value, json};

use crate::running::{client, listen, must};

const SEED: u64 = 7;
const VECTORS: u64 = 300;

/// A request that a vendor's code has signed.
struct Vector {
    is_meta: bool,
    url: String,
    content_type: String,
    body: Vec<u8>,
    secret: String,
    signature: String,
}

impl Vector {
    fn read(line: &str) -> Vector {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        Vector {
            is_meta: text("by") == "meta",
            url: text("url"),
            content_type: text("content_type"),
            body: text("body").into_bytes(),
            secret: text("secret"),
            signature: text("signature"),
        }
    }

    fn is_taken(&self) -> bool {
        self.is_taken_with(&self.url, &self.body, &self.secret, &self.signature)
    }

    fn is_taken_with(&self, url: &str, body: &[u8], secret: &str, signature: &str) -> bool {
        let secrets = [Secret::new(secret)];
        if self.is_meta {
            return meta::check(Some(signature), body, &secrets).is_ok();
        }
        let request = twilio::Request { url, content_type: Some(&self.content_type), body };
        request.check(Some(signature), &secrets).is_ok()
    }

    /// What a body says: another that says the same is signed alike.
    fn says(&self, body: &[u8]) -> Vec<(String, String)> {
        let is_form = self.content_type.starts_with("application/x-www-form-urlencoded");
        if self.is_meta || !is_form {
            return vec![(String::from_utf8_lossy(body).into_owned(), format!("{body:?}"))];
        }
        let mut pairs: Vec<_> = url::form_urlencoded::parse(body).into_owned().collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }
}

/// `bytes`, one of them changed.
fn changed(bytes: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= bit;
    changed
}

/// `text`, one of its characters changed to another of the same kind.
fn changed_text(text: &str, at: usize) -> String {
    let other = |c: char| if c == 'x' { 'y' } else { 'x' };
    text.chars().enumerate().map(|(place, c)| if place == at { other(c) } else { c }).collect()
}

#[test]
fn what_the_vendors_sign_is_taken_and_nothing_else() {
    let lines = must(client("vectors.py").args([SEED.to_string(), VECTORS.to_string()]), "");
    let vectors: Vec<_> = lines.lines().map(Vector::read).collect();
    assert_eq!(vectors.len() as u64, VECTORS);
    for (place, vector) in vectors.iter().enumerate() {
        let Vector { url, body, secret, signature, .. } = vector;
        let which = format!("seed {SEED}, vector {place}: {url} {:?}", String::from_utf8_lossy(body));
        assert!(vector.is_taken(), "{which}");
        for at in 0..body.len() {
            for bit in [1, 0x20] {
                let other = changed(body, at, bit);
                let is_same = vector.says(&other) == vector.says(body);
                let is_taken = vector.is_taken_with(url, &other, secret, signature);
                assert!(!is_taken || is_same, "{which} taken as {:?}", String::from_utf8_lossy(&other));
            }
        }
        for at in 0..secret.chars().count() {
            let other = changed_text(secret, at);
            assert!(!vector.is_taken_with(url, body, &other, signature), "{which} by {other:?}");
        }
        for at in 0..signature.len() {
            let other = changed_text(signature, at);
            assert!(!vector.is_taken_with(url, body, secret, &other), "{which} signed {other}");
        }
        if !vector.is_meta {
            // Any port is taken, as what is signed may be without one.
            let port = url.rfind(":8443").or(url.rfind(":443")).or(url.rfind(":80"));
            for at in (0..url.chars().count()).filter(|at| port.is_none_or(|port| *at < port)) {
                let other = changed_text(url, at);
                assert!(!vector.is_taken_with(&other, body, secret, signature), "{which} at {other}");
            }
        }
    }
}

#[tokio::test]
async fn standard_webhooks_own_code_takes_what_we_sign() {
    let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"];
    let bodies = ["Olá, \"Ana\" 👍", "", "a\u{0}b\n"];
    let (address, came) = listen(bodies.len(), "");
    let settings = Settings {
        secrets: secrets.map(Secret::new).to_vec(),
        plain: true,
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::new(format!("http://{address}/hook"), Secret::new(""))
    };
    let webhook = Webhook::open(settings, &Trust::load(), Arc::new(System::default())).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    for body in bodies {
        let call = call(body, Moment(i64::try_from(now).unwrap()));
        assert_eq!(webhook.call(call, Slot::default()).await, Answer::Accepted);
    }
    let lines = came.join().unwrap().into_iter().map(|came| {
        let body = String::from_utf8(came.body).unwrap();
        json!({ "secrets": secrets, "headers": came.headers, "body": body }).to_string() + "\n"
    });
    let says = must(&mut client("verify.py"), &lines.collect::<String>());
    assert_eq!(says, "standardwebhooks: 3 taken\n");
}

/// A call with this body, made at `at`.
pub(crate) fn call(body: &str, at: Moment) -> Call {
    let enrollment = EnrollmentId::new(Moment(1_800_000_000_000), Shard(1), 1);
    Call {
        send: SendId { enrollment, step: StepNo(2), occurrence: 0, leg: 0 },
        key: "snd_TEST7".into(),
        tenant: Name::parse("acme").unwrap(),
        channel: Name::parse("hook").unwrap(),
        kind: Kind::Webhook,
        address: "ana".into(),
        contact: "ct-1".into(),
        message: Message::of("", body),
        trace: TraceId(7),
        at,
        again: false,
    }
}
