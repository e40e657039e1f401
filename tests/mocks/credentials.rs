//! Wrong and expired secrets hold who uses them, and nobody fails; what is told under keys that are not a tenant's own
//! changes nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use blackbox::daemon::Daemon;
use blackbox::http::Client;
use blackbox::timeline;
use serde_json::{Value, json};

use crate::refusals::basic;
use crate::running::Mock;
use crate::world::{
    CONFIG, TENANT, daemon, enroll, held, number, number_with, of, put, sequence, sms_with, taken, tells,
    until, until_held, webhook,
};

const PEOPLE: [(&str, &str); 2] = [("ana", "+15550100001"), ("bo", "+15550100002")];

/// Puts the channel anew, as a person would who has found the right secret.
fn put_channel(daemon: &Daemon, folder: &tempfile::TempDir, channel: &str) {
    let path = folder.path().join("channel.yaml");
    std::fs::write(&path, channel).unwrap();
    daemon.cli_must(TENANT, &["channel", "put", "mail", "-f", &path.display().to_string()]);
}

/// Nobody has failed, and nothing was used up.
fn check_waiting(daemon: &Daemon) {
    for (who, _) in PEOPLE {
        let one = of(daemon, who);
        assert_eq!((&*one.state, &*one.statuses), ("active", &["scheduled".to_owned()][..]), "{one:?}");
        for spent in ["refused", "step_failed", "left_uncertain"] {
            assert_eq!(one.of(spent).count(), 0, "{who}: {one:?}");
        }
    }
}

/// A provider that refuses its secret with a code: the channel is held, and goes on with the right one when a person
/// has released it.
fn check_held(daemon: &Daemon, folder: &tempfile::TempDir, mock: &Mock, code: u64, right: &str) {
    let mut client = daemon.client();
    for (who, phone) in PEOPLE {
        enroll(&mut client, who, phone);
    }
    let hold = until_held(&mut client);
    assert_eq!(hold["held"]["reason"], format!("the provider said {code}"), "{hold}");
    assert_eq!(
        (&hold["scope"]["channel"], hold["held"]["until"].is_null()),
        (&json!("mail"), true),
        "{hold}"
    );
    check_waiting(daemon);
    put_channel(daemon, folder, right);
    assert_eq!(held(&mut client).len(), 1, "a person releases it");
    check_waiting(daemon);
    daemon.cli_must(TENANT, &["release", "--channel", "mail"]);
    for (who, phone) in PEOPLE {
        until(daemon, who, |one| one.statuses == ["sent", "pending"]);
        assert_eq!(taken(mock, phone).len(), 1, "{who}");
    }
}

#[test]
fn an_expired_token_of_metas_holds_the_channel_until_it_is_replaced_and_released() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number_with(&mock, mock.who("expired_token")));
    check_held(&daemon, &folder, &mock, 190, &format!("kind: whatsapp\n{}", number(&mock)));
}

#[test]
fn a_wrong_password_of_twilios_holds_the_channel_until_it_is_replaced_and_released() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "sms", |daemon| sms_with(&mock, "wrong", &webhook(daemon, "mail")));
    let right = sms_with(&mock, mock.who("token"), &webhook(&daemon, "mail"));
    check_held(&daemon, &folder, &mock, 20_003, &format!("kind: sms\n{right}"));
}

/// A mail server that takes mails of whoever logs in with the password `right`. It ends with the test's process.
fn mail_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(converse(&mut BufReader::new(stream))));
        }
    });
    address
}

/// One conversation, until the client goes away (RFC 5321; AUTH PLAIN with its initial response, RFC 4954).
fn converse(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let right = basic("\0team\0right").replace("Basic ", "AUTH PLAIN ");
    let mut says = "220 mail.example ESMTP";
    let (mut line, mut in_mail) = (String::new(), false);
    loop {
        if !says.is_empty() {
            stream.get_mut().write_all(format!("{says}\r\n").as_bytes())?;
        }
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let said = line.trim_end();
        says = match said.split(' ').next().unwrap_or_default() {
            "." if in_mail => {
                in_mail = false;
                "250 2.0.0 queued"
            }
            _ if in_mail => "",
            "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" if said == right => "235 2.7.0 ok",
            "AUTH" => "535 5.7.8 wrong",
            "DATA" => {
                in_mail = true;
                "354 go on"
            }
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 ok",
        };
    }
}

#[test]
fn a_refused_login_at_a_mail_server_holds_the_channel_until_it_is_replaced_and_released() {
    let (server, folder) = (mail_server(), tempfile::tempdir().unwrap());
    let daemon = Daemon::start_with(folder.path(), "[smtp]\nhelo = \"[127.0.0.1]\"\n");
    let channel = |password: &str| {
        format!(
            "kind: email\ntransport: smtp\nsmtp:\n  host: 127.0.0.1\n  port: {}\n  security: none\n  from: \
             team@acme.example\n  username: team\n  password: {{ value: {password} }}\n",
            server.port()
        )
    };
    put(&daemon, TENANT, &channel("wrong"), &sequence("email", "  subject: \"hi\"\n  body: \"hi\"\n"));
    let mut client = daemon.client();
    for (who, _) in PEOPLE {
        let enroll = json!({ "contact": who, "profile": { "email": format!("{who}@mail.example") } });
        let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll });
        client.must("EnrollmentService/Enroll", &wish);
    }
    let hold = until_held(&mut client);
    assert_eq!(hold["held"]["reason"], "the provider said 535 5.7.8", "{hold}");
    assert_eq!(
        (&hold["scope"]["channel"], hold["held"]["until"].is_null()),
        (&json!("mail"), true),
        "{hold}"
    );
    check_waiting(&daemon);
    put_channel(&daemon, &folder, &channel("right"));
    daemon.cli_must(TENANT, &["release", "--channel", "mail"]);
    for (who, _) in PEOPLE {
        until(&daemon, who, |one| one.statuses == ["sent", "pending"]);
    }
}

/// All that a receipt could change, of these tenants and contacts.
fn everything(daemon: &Daemon, people: &[(&str, &str)]) -> String {
    let client = &mut daemon.client();
    let tenants: std::collections::BTreeSet<&str> = people.iter().map(|(tenant, _)| *tenant).collect();
    let mut seen = Vec::new();
    for tenant in tenants {
        let of = json!({ "tenant": tenant });
        let all = client.must("EnrollmentService/ListEnrollments", &of);
        for one in all["enrollments"].as_array().unwrap() {
            let asked = json!({ "tenant": tenant, "enrollmentId": one["id"] });
            seen.push(client.must("EnrollmentService/GetTimeline", &asked));
        }
        seen.push(client.must("TenantService/ListHolds", &of));
        let asked = json!({ "tenant": tenant, "sequence": "welcome" });
        seen.push(client.must("SequenceService/GetFunnel", &asked));
    }
    for (tenant, contact) in people {
        let asked = json!({ "tenant": tenant, "contact": contact });
        seen.push(client.must("ContactService/GetContact", &asked));
    }
    Value::Array(seen).to_string()
}

/// Enrolls a contact of a tenant; the key of the first send once it was taken.
fn key(client: &mut Client, daemon: &Daemon, (tenant, contact): (&str, &str), phone: &str) -> String {
    let enroll = json!({ "contact": contact, "profile": { "phone": phone } });
    let wish = json!({ "tenant": tenant, "sequence": "welcome", "enroll": enroll });
    client.must("EnrollmentService/Enroll", &wish);
    let began = std::time::Instant::now();
    loop {
        let one = timeline::read_all(daemon, tenant, &[contact]).remove(0).remove(0);
        if one.statuses == ["sent", "pending"] {
            return one.sends().remove(0).id;
        }
        assert!(began.elapsed() < crate::world::PATIENCE, "{one:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The number of somebody who is erased.
const GONE: &str = "+15550100003";

/// Keys that are not to count at a tenant's webhook, each with what it is; and the key of somebody who is erased.
fn keys(daemon: &Daemon) -> (Vec<(&'static str, String)>, String) {
    let client = &mut daemon.client();
    let own = key(client, daemon, (TENANT, "ana"), "+15550100001");
    let theirs = key(client, daemon, ("globex", "bo"), "+15550100002");
    let gone = key(client, daemon, (TENANT, "cy"), GONE);
    client.must("ContactService/Erase", &json!({ "tenant": TENANT, "contact": "cy" }));
    let (rest, last) = own.split_at(own.len() - 1);
    let forged = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    let keys = vec![
        ("forged", forged),
        ("another tenant's", theirs),
        ("cut short", rest.to_owned()),
        ("no key", "order-77".to_owned()),
    ];
    (keys, gone)
}

/// Tells receipts under each key: `tells` one that the message came so far, or failed with the provider's code for
/// whoever wants no more.
fn check_keys(daemon: &Daemon, tells: impl Fn(&str, &str, bool)) {
    let (keys, gone) = keys(daemon);
    let before = everything(daemon, &KNOWN);
    for (what, key) in &keys {
        for came in [true, false] {
            tells(what, key, came);
            assert_eq!(everything(daemon, &KNOWN), before, "{what}");
        }
    }
    // That a message came still counts when whoever got it is erased; nothing of the person comes back with it.
    tells("of somebody erased", &gone, true);
    let after = everything(daemon, &KNOWN);
    for _ in 0..2 {
        tells("of somebody erased", &gone, false);
        tells("of somebody erased", &gone, true);
        assert_eq!(everything(daemon, &KNOWN), after);
    }
    assert!(after.contains("person-") && !after.contains("\"cy\"") && !after.contains(&GONE[1..]), "{after}");
    let asked = json!({ "tenant": TENANT, "contact": "cy" });
    assert!(
        daemon.client().call("ContactService/GetContact", &asked).is_err(),
        "nobody of that name is known"
    );
}

const KNOWN: [(&str, &str); 2] = [(TENANT, "ana"), ("globex", "bo")];

#[test]
fn a_receipt_of_metas_under_a_key_that_is_not_the_tenants_changes_nothing() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    let file = std::fs::read_to_string(folder.path().join("sequence.yaml")).unwrap();
    put(&daemon, "globex", &format!("kind: whatsapp\n{}", number(&mock)), &file);
    let url = webhook(&daemon, "mail");
    check_keys(&daemon, |what, key, came| {
        let status = if came { "delivered" } else { "failed" };
        let errors = if came { json!([]) } else { json!([{ "code": 131_050, "title": "stopped" }]) };
        let told = json!({ "id": "wamid.other", "status": status, "timestamp": "1900000000",
            "recipient_id": &GONE[1..], "biz_opaque_callback_data": key, "errors": errors });
        assert_eq!(tells(&mock, json!({ "value": { "statuses": [told] } }), &url), 200, "{what}");
    });
}

#[test]
fn a_receipt_of_twilios_under_a_key_that_is_not_the_tenants_changes_nothing() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = Daemon::start_with(folder.path(), CONFIG);
    let steps = sequence("sms", "  body: \"hi\"\n");
    for tenant in [TENANT, "globex"] {
        let callback = webhook(&daemon, "mail").replace(TENANT, tenant);
        put(
            &daemon,
            tenant,
            &format!("kind: sms\n{}", sms_with(&mock, mock.who("token"), &callback)),
            &steps,
        );
    }
    let url = webhook(&daemon, "mail");
    check_keys(&daemon, |what, key, came| {
        let (status, code) = if came { ("delivered", "") } else { ("undelivered", "30004") };
        let form = json!({ "MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code, "To": GONE,
            "From": mock.who("number") });
        assert_eq!(tells(&mock, json!({ "form": form }), &format!("{url}?send={key}")), 204, "{what}");
    });
}
