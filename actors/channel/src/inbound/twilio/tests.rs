//! Requests as the reference describes them, whole and broken.

use super::*;

const NOW: Moment = Moment(1_739_321_024_000);
const FORM: &str = "application/x-www-form-urlencoded";

fn form<'a>(url: &'a str, body: &'a str) -> Request<'a> {
    Request { url, content_type: Some(FORM), body: body.as_bytes() }
}

fn told(body: &str) -> Vec<Inbound> {
    form("https://f.example/twilio?for=acme&send=snd_1", body).read(NOW).unwrap()
}

fn tokens(all: &[&str]) -> Vec<Secret> {
    all.iter().map(|token| Secret::new(*token)).collect()
}

const STATUS: &str = "AccountSid=AC1&ApiVersion=2010-04-01&From=%2B15005550006&MessageSid=SM1&MessageStatus=sent\
                      &SmsSid=SM1&SmsStatus=sent&To=%2B5511999990000";

const MESSAGE: &str = "AccountSid=AC1&Body=Quero+sim%21&From=%2B5511999990000&FromCity=&MessageSid=SM2&NumMedia=0\
                       &NumSegments=1&SmsMessageSid=SM2&SmsSid=SM2&SmsStatus=received&To=%2B15005550006";

fn receipt(status: Status) -> Receipt {
    Receipt {
        key: Some("snd_1".into()),
        id: "SM1".into(),
        status,
        at: NOW,
        code: None,
        contact: Some("+5511999990000".into()),
        sender: Some("+15005550006".into()),
    }
}

fn said() -> Said {
    Said {
        contact: "+5511999990000".into(),
        sender: "+15005550006".into(),
        id: "SM2".into(),
        text: Some("Quero sim!".into()),
        button: None,
        answers: None,
        at: NOW,
    }
}

#[test]
fn each_status_is_a_receipt_or_no_news() {
    for (word, expected) in [
        ("accepted", None),
        ("scheduled", None),
        ("queued", None),
        ("sending", None),
        ("partially_delivered", None),
        ("sent", Some(Status::Sent)),
        ("delivered", Some(Status::Delivered)),
        ("read", Some(Status::Read)),
        ("undelivered", Some(Status::Failed)),
        ("failed", Some(Status::Failed)),
        ("canceled", Some(Status::Failed)),
    ] {
        let told = told(&STATUS.replace("MessageStatus=sent", &format!("MessageStatus={word}")));
        let expected: Vec<_> = expected.map(receipt).map(Inbound::Receipt).into_iter().collect();
        assert_eq!(told, expected, "{word}");
    }
}

#[test]
fn a_failure_has_its_code() {
    let failed = STATUS.replace("MessageStatus=sent", "MessageStatus=undelivered&ErrorCode=30005");
    let expected = Receipt { code: Some("30005".into()), ..receipt(Status::Failed) };
    assert_eq!(told(&failed), [Inbound::Receipt(expected)]);
}

#[test]
fn a_callback_without_a_key_is_about_somebody_elses_message() {
    for url in ["https://f.example/twilio", "https://f.example/?send=", "https://f.example/#?send=x"] {
        let told = form(url, STATUS).read(NOW).unwrap();
        let expected = Receipt { key: None, ..receipt(Status::Sent) };
        assert_eq!(told, [Inbound::Receipt(expected)], "{url}");
    }
}

#[test]
fn a_message_is_what_was_said() {
    assert_eq!(told(MESSAGE), [Inbound::Said(said())]);
    let picture = MESSAGE.replace("Body=Quero+sim%21", "Body=").replace("NumMedia=0", "NumMedia=1");
    assert_eq!(told(&picture), [Inbound::Said(Said { text: None, ..said() })]);
}

#[test]
fn an_opt_out_is_said_and_chosen() {
    let choice = |wants| {
        let Said { contact, sender, id, .. } = said();
        Inbound::Choice(Choice { contact, sender, id, wants, at: NOW })
    };
    let with = |word: &str| told(&format!("{MESSAGE}&OptOutType={word}"));
    assert_eq!(with("STOP"), [Inbound::Said(said()), choice(Wants::Out)]);
    assert_eq!(with("START"), [Inbound::Said(said()), choice(Wants::In)]);
    assert_eq!(with("HELP"), [Inbound::Said(said())]);
}

#[test]
fn what_is_missing_is_named() {
    for (body, name) in [
        (STATUS.replace("MessageSid=SM1&", ""), "MessageSid"),
        (MESSAGE.replace("MessageSid=SM2&", "MessageSid=&").replace("SmsMessageSid=&", ""), "MessageSid"),
        (MESSAGE.replace("From=%2B5511999990000&", ""), "From"),
        (MESSAGE.replace("&To=%2B15005550006", ""), "To"),
        (String::new(), "MessageSid"),
        ("\u{0}&&==&=".to_owned(), "MessageSid"),
    ] {
        match form("https://f.example/", &body).read(NOW) {
            Err(Error::Body(wrong)) => assert_eq!(wrong.at, name, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let json = Request { content_type: Some("application/json"), ..form("https://f.example/", "{}") };
    assert_eq!(json.read(NOW), Err(wrong("body", "a form")));
}

// The examples of the reference on security, with their token and signatures.
const TOKEN: &str = "12345";
const EXAMPLE: (&str, &str) = (
    "https://mycompany.com/myapp.php?foo=1&bar=2",
    "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE",
);
const SIGNED: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

#[test]
fn the_published_example_is_signed_as_published() {
    let request = form(EXAMPLE.0, EXAMPLE.1);
    assert_eq!(request.check(Some(SIGNED), &tokens(&[TOKEN])), Ok(()));
    assert_eq!(request.check(Some(SIGNED), &tokens(&["54321", TOKEN])), Ok(()), "while rotating");
    assert_eq!(request.check(Some(SIGNED), &tokens(&["54321"])), Err(Error::Forged));
}

#[test]
fn what_is_changed_is_forged() {
    let forged = |url: &str, body: &str| {
        assert_eq!(
            form(url, body).check(Some(SIGNED), &tokens(&[TOKEN])),
            Err(Error::Forged),
            "{url} {body}"
        );
    };
    forged(&EXAMPLE.0.replace("https", "http"), EXAMPLE.1);
    forged(&EXAMPLE.0.replace("bar=2", "bar=3"), EXAMPLE.1);
    forged(&EXAMPLE.0.replace("my", "your"), EXAMPLE.1);
    forged(EXAMPLE.0, &EXAMPLE.1.replace("1234&", "1235&"));
    forged(EXAMPLE.0, &format!("{}&More=1", EXAMPLE.1));
    forged(EXAMPLE.0, "");
    for signature in [None, Some(""), Some("?"), Some("RSOYDt4T1cUTdK1PDd93/VVr8B")] {
        let refused = form(EXAMPLE.0, EXAMPLE.1).check(signature, &tokens(&[TOKEN]));
        assert!(refused.is_err(), "{signature:?}");
    }
}

#[test]
fn the_port_may_be_in_what_was_signed_or_not() {
    let known = |url: &str| form(url, EXAMPLE.1).check(Some(SIGNED), &tokens(&[TOKEN])).is_ok();
    assert!(known("https://mycompany.com:443/myapp.php?foo=1&bar=2"));
    assert!(known("https://mycompany.com:8443/myapp.php?foo=1&bar=2"));
    assert!(!known("https://mycompany.com:x/myapp.php?foo=1&bar=2"));
    for (url, without, with) in [
        ("https://a.example", "https://a.example", "https://a.example:443"),
        ("http://a.example:8080/b:1?c=:2", "http://a.example/b:1?c=:2", "http://a.example:80/b:1?c=:2"),
        ("https://u:p@[::1]:8443/", "https://u:p@[::1]/", "https://u:p@[::1]:443/"),
    ] {
        assert_eq!(ports(url), [url, without, with]);
    }
}

#[test]
fn a_body_that_is_no_form_is_signed_by_its_hash() {
    let body = br#"{"property": "value", "boolean": true}"#;
    let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let url = format!("https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256={hash}");
    let signature = "a9nBmqA0ju/hNViExpshrM61xv4=";
    let check = |request: Request<'_>| request.check(Some(signature), &tokens(&[TOKEN]));
    let request = Request { url: &url, content_type: Some("application/json"), body };
    assert_eq!(check(request), Ok(()));
    assert_eq!(check(Request { content_type: None, ..request }), Ok(()));
    assert_eq!(check(Request { body: b"{}", ..request }), Err(Error::Forged));
    assert_eq!(check(Request { content_type: Some(FORM), ..request }), Err(Error::Forged));
    let unhashed = Request { url: "https://mycompany.com/myapp.php", ..request };
    assert!(matches!(check(unhashed), Err(Error::Unsigned(_))));
}
