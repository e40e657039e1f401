//! Callers that hang up: what they began is done or not done, and a second call with the same ids makes it certain.

use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::maildir::Maildir;
use blackbox::seed::Seed;
use serde_json::{Value, json};

const TENANT: &str = "acme";
const SEQUENCES: [&str; 3] = ["one", "two", "three"];
const CONTACTS: usize = 200;

/// A caller hangs up at most this long after its call is on the wire: around the time a commit takes.
const HANG_UP_US: u64 = 4_000;

/// By then what is due at once has gone out.
const SOON: Duration = Duration::from_secs(10);

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - channel: mail\n    subject: Hello\n    body: Dear friend\n  \
               - wait: 10 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

fn enroll(sequence: &str, contact: usize) -> Value {
    let profile = json!({ "email": format!("c{contact}@mail.example") });
    let enroll = json!({ "contact": format!("ct-{contact}"), "profile": profile });
    json!({ "tenant": TENANT, "sequence": sequence, "enroll": enroll })
}

fn start(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder);
    SEQUENCES.iter().for_each(|sequence| daemon.put(TENANT, sequence, &FILES));
    daemon
}

/// After so long a caller hangs up.
fn soon(seed: &mut Seed) -> Duration {
    Duration::from_micros(seed.below(HANG_UP_US))
}

#[test]
fn an_enroll_whose_caller_hung_up_goes_its_way() {
    let mut seed = Seed::of_this_run();
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let mut client = daemon.client();
    for contact in 0..CONTACTS {
        for sequence in SEQUENCES {
            let request = enroll(sequence, contact);
            client.hang_up("EnrollmentService/Enroll", &request, soon(&mut seed)).unwrap();
            client.must("EnrollmentService/Enroll", &request);
        }
    }
    let (mut mails, mut maildir, began) = (0, Maildir::new(daemon.outbox()), Instant::now());
    while mails < CONTACTS * SEQUENCES.len() && began.elapsed() < SOON {
        mails += maildir.more().len();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(mails, CONTACTS * SEQUENCES.len(), "mails {:?} after the last enroll", began.elapsed());
    daemon.stop();
}

#[test]
fn a_reply_whose_caller_hung_up_ends_all_it_concerns_by_the_next_answer() {
    let mut seed = Seed::of_this_run();
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let mut client = daemon.client();
    for contact in 0..CONTACTS {
        let enrolled = SEQUENCES.map(|sequence| {
            let answer = client.must("EnrollmentService/Enroll", &enroll(sequence, contact));
            answer["result"]["enrollmentId"].clone()
        });
        let contact = format!("ct-{contact}");
        let event =
            json!({ "source": "inbox", "id": contact, "type": "message.received", "contact": contact });
        let request = json!({ "tenant": TENANT, "event": event });
        client.hang_up("EventService/Send", &request, soon(&mut seed)).unwrap();
        let answer = client.must("EventService/Send", &request);
        // It is acknowledged now, whichever of the two calls did it.
        for id in enrolled {
            let request = json!({ "tenant": TENANT, "enrollmentId": id });
            let known = client.must("EnrollmentService/GetEnrollment", &request);
            assert_eq!(known["enrollment"]["state"], "exited", "{answer} {known}");
        }
    }
    daemon.stop();
}
