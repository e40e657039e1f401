//! What a mock refuses: a row for each rule, with the status and the code that it says.

use serde_json::{Value, json};

use crate::running::Mock;

const TO: &str = "5511999990000";

/// A message of WhatsApp's that is right, changed.
fn whatsapp(kind: &str, part: Value, change: impl Fn(&mut Value)) -> Value {
    let mut message = json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": TO, "type": kind,
        "biz_opaque_callback_data": "snd_1",
    });
    message[kind] = part;
    change(&mut message);
    message
}

fn without(message: &mut Value, name: &str) {
    message.as_object_mut().unwrap().remove(name);
}

fn text(change: impl Fn(&mut Value)) -> Value {
    whatsapp("text", json!({ "body": "Oi" }), change)
}

fn image(part: Value) -> Value {
    whatsapp("image", part, |_| {})
}

fn buttons(buttons: Value) -> Value {
    let part = json!({ "type": "button", "body": { "text": "Vem?" }, "action": { "buttons": buttons } });
    whatsapp("interactive", part, |_| {})
}

fn reply(id: &str, title: &str) -> Value {
    json!({ "type": "reply", "reply": { "id": id, "title": title } })
}

fn aula(components: Value) -> Value {
    let part = json!({ "name": "aula", "language": { "code": "pt_BR" }, "components": components });
    whatsapp("template", part, |_| {})
}

/// The components that the template wants, one of them changed.
fn filled(place: usize, change: impl Fn(&mut Value)) -> Value {
    let mut components = json!([
        { "type": "header",
          "parameters": [{ "type": "image", "image": { "link": "https://cdn.example/a.png" } }] },
        { "type": "body", "parameters": [{ "type": "text", "text": "Ana" }, { "type": "text", "text": "19h" }] },
        { "type": "button", "sub_type": "quick_reply", "index": "0",
          "parameters": [{ "type": "payload", "payload": "yes" }] },
        { "type": "button", "sub_type": "url", "index": "1", "parameters": [{ "type": "text", "text": "a/7" }] },
    ]);
    change(&mut components[place]);
    aula(components)
}

/// Messages that are wrong, and the code each is refused with.
fn wrong_messages() -> Vec<(Value, u64)> {
    let link = "https://cdn.example/a.png";
    let mut rows = wrong_around();
    rows.extend([
        (text(|m| m["text"]["colour"] = json!("red")), 100),
        (text(|m| m["text"]["preview_url"] = json!("true")), 100),
        (text(|m| without(&mut m["text"], "body")), 131_008),
        (text(|m| m["text"]["body"] = json!("")), 131_009),
        (text(|m| m["text"]["body"] = json!("é".repeat(4_097))), 131_009),
        (image(json!({})), 131_008),
        (image(json!({ "link": link, "id": "1" })), 131_009),
        (image(json!({ "link": "a.png" })), 131_009),
        (image(json!({ "link": link, "filename": "a.png" })), 100),
        (image(json!({ "link": link, "caption": "x".repeat(1_025) })), 131_009),
        (whatsapp("audio", json!({ "link": link, "caption": "x" }), |_| {}), 100),
        (buttons(json!([])), 131_009),
        (buttons(json!([reply("a", "A"), reply("b", "B"), reply("c", "C"), reply("d", "D")])), 131_009),
        (buttons(json!([reply("a", "A"), reply("a", "B")])), 131_009),
        (buttons(json!([reply("a", "A"), reply("b", "A")])), 131_009),
        (buttons(json!([reply("a", &"x".repeat(21))])), 131_009),
        (buttons(json!([reply(&"x".repeat(257), "A")])), 131_009),
        (buttons(json!([{ "type": "reply" }])), 131_008),
        (buttons(json!([{ "type": "url", "url": {} }])), 131_009),
    ]);
    rows.extend(wrong_templates());
    rows
}

fn wrong_around() -> Vec<(Value, u64)> {
    vec![
        (json!([]), 100),
        (json!({}), 100),
        (text(|m| m["priority"] = json!(1)), 100),
        (text(|m| m["image"] = json!({ "id": "1" })), 100),
        (text(|m| without(m, "messaging_product")), 100),
        (text(|m| without(m, "to")), 100),
        (text(|m| without(m, "text")), 100),
        (text(|m| m["messaging_product"] = json!("sms")), 131_009),
        (text(|m| m["recipient_type"] = json!("everybody")), 131_009),
        (text(|m| m["to"] = json!(5_511_999_990_000_u64)), 100),
        (text(|m| m["to"] = json!("005511999990000")), 131_009),
        (text(|m| m["to"] = json!("15550783881")), 131_021),
        (text(|m| m["type"] = json!("hologram")), 131_009),
        (text(|m| m["type"] = json!(1)), 100),
        (text(|m| m["text"] = json!("Oi")), 100),
        (text(|m| m["context"] = json!({})), 131_008),
        (text(|m| m["biz_opaque_callback_data"] = json!({ "send": 1 })), 100),
        (text(|m| m["biz_opaque_callback_data"] = json!("é".repeat(257))), 131_009),
        (json!({ "messaging_product": "whatsapp", "status": "read" }), 100),
        (json!({ "messaging_product": "whatsapp", "status": "seen", "message_id": "wamid.1" }), 131_009),
        (
            json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1", "to": TO }),
            100,
        ),
    ]
}

fn wrong_templates() -> Vec<(Value, u64)> {
    vec![
        (filled(0, |c| c["type"] = json!("footer")), 131_009),
        (filled(0, |c| c["parameters"][0] = json!({ "type": "text", "text": "x" })), 132_012),
        (filled(0, |c| without(c, "parameters")), 131_008),
        (filled(1, |c| c["parameters"] = json!([{ "type": "text", "text": "Ana" }])), 132_000),
        (filled(1, |c| c["parameters"][0] = json!({ "type": "text" })), 131_008),
        (filled(1, |c| c["parameters"][0]["bold"] = json!(true)), 100),
        (filled(2, |c| c["index"] = json!("1")), 132_012),
        (filled(2, |c| c["index"] = json!("first")), 131_009),
        (filled(2, |c| c["sub_type"] = json!("url")), 131_009),
        (filled(3, |c| without(c, "sub_type")), 131_008),
        (aula(json!([])), 132_000),
        (whatsapp("template", json!({ "name": "none", "language": { "code": "pt_BR" } }), |_| {}), 132_001),
        (whatsapp("template", json!({ "name": "aula", "language": { "code": "en_US" } }), |_| {}), 132_001),
        (whatsapp("template", json!({ "name": "aula" }), |_| {}), 131_008),
        (whatsapp("template", json!({ "name": "aula", "language": "pt_BR" }), |_| {}), 100),
        (whatsapp("template", json!({ "name": "Aula!", "language": { "code": "pt_BR" } }), |_| {}), 131_009),
    ]
}

#[test]
fn the_mock_of_whatsapp_refuses_each_wrong_message() {
    let mock = Mock::start("whatsapp");
    let path = format!("/v23.0/{}/messages", mock.who("phone_number_id"));
    let token = format!("Bearer {}", mock.who("token"));
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    for (message, code) in wrong_messages() {
        let (status, says) = mock.ask("POST", &path, &headers, &message.to_string());
        assert_eq!(says["error"]["code"], code, "{message}\n{says}");
        let expected = if code == 132_001 { 404 } else { 400 };
        assert_eq!(status, expected, "{message}");
    }
    for body in ["", "{", "{} {}", r#"{"to":1,"to":2}"#, r#"{"to":NaN}"#] {
        assert_eq!(mock.ask("POST", &path, &headers, body).1["error"]["code"], 100, "{body}");
    }
    assert_eq!(mock.sent(), [] as [Value; 0]);
    for right in
        [text(|_| {}), filled(0, |_| {}), buttons(json!([reply("a", "A")])), image(json!({ "id": "1" }))]
    {
        let (status, says) = mock.ask("POST", &path, &headers, &right.to_string());
        assert_eq!((status, says["contacts"][0]["wa_id"].as_str()), (200, Some(TO)), "{right} {says}");
    }
    assert_eq!(mock.sent().len(), 4);
}

#[test]
fn the_mock_of_whatsapp_refuses_who_and_where() {
    let mock = Mock::start("whatsapp");
    let (id, token) = (mock.who("phone_number_id"), format!("Bearer {}", mock.who("token")));
    let expired = format!("Bearer {}", mock.who("expired_token"));
    let right = format!("/v23.0/{id}/messages");
    let json = "application/json";
    for (method, path, token, kind, status, code) in [
        ("POST", right.as_str(), "Bearer nonsense", json, 401, 190),
        ("POST", &right, &expired, json, 401, 190),
        ("POST", &right, "", json, 401, 104),
        ("POST", &right, &token, "text/plain", 400, 100),
        ("GET", &right, &token, json, 400, 100),
        ("POST", "/v23.0/1/messages", &token, json, 400, 100),
        ("POST", &format!("/v1.0/{id}/messages"), &token, json, 400, 2_500),
        ("POST", &format!("/{id}/messages"), &token, json, 400, 2_500),
        ("POST", &format!("{right}/more"), &token, json, 400, 2_500),
        ("POST", &format!("{right}?access_token=1"), &token, json, 400, 100),
    ] {
        let headers = [("Authorization", token), ("Content-Type", kind)];
        let (said, says) = mock.ask(method, path, &headers, &text(|_| {}).to_string());
        assert_eq!((said, says["error"]["code"].as_u64()), (status, Some(code)), "{method} {path} {token}");
    }
    assert_eq!(mock.sent(), [] as [Value; 0]);
}

// ------------------------------------------------------------------------------------------------------ Twilio

/// A form, its names and values needing no escape but that of `+`.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", value.replace('+', "%2B")));
    pairs.collect::<Vec<_>>().join("&")
}

/// What a form is called.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The header of `user:password`, in base64 by the reference of basic authentication.
pub(crate) fn basic(login: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("Basic ");
    for group in login.as_bytes().chunks(3) {
        let bytes = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let number = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place > group.len() { '=' } else { digit });
        }
    }
    text
}

#[test]
fn the_mock_of_twilio_refuses_each_wrong_form() {
    let mock = Mock::start("twilio");
    let (account, number, service) = (mock.who("account"), mock.who("number"), mock.who("service"));
    let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let login = basic(&format!("{account}:{}", mock.who("token")));
    let (to, from, body) = (("To", "+5511999990000"), ("From", number), ("Body", "Oi"));
    let long = "x".repeat(1_601);
    for (pairs, code) in [
        (vec![], 21_604),
        (vec![("To", ""), from, body], 21_604),
        (vec![("To", "5511999990000"), from, body], 21_211),
        (vec![("To", "+0"), from, body], 21_211),
        (vec![to, body], 21_603),
        (vec![to, ("From", "+15005550001"), body], 21_606),
        (vec![to, ("From", "!"), body], 21_212),
        (vec![("To", number), from, body], 21_266),
        (vec![to, ("MessagingServiceSid", "MG1"), body], 21_701),
        (vec![to, from], 21_602),
        (vec![to, from, ("Body", "")], 21_602),
        (vec![to, from, ("Body", &long)], 21_617),
        (vec![to, from, body, ("StatusCallback", "f.example")], 21_609),
        (vec![to, from, body, ("ValidityPeriod", "soon")], 20_001),
        (vec![to, from, body, ("Colour", "red")], 20_001),
        (vec![to, from, body, ("to", "1")], 20_001),
        (vec![to, from, body, body], 20_001),
    ] {
        let headers = [("Authorization", login.as_str()), ("Content-Type", FORM)];
        let (status, says) = mock.ask("POST", &path, &headers, &form(&pairs));
        assert_eq!((status, says["code"].as_u64()), (400, Some(code)), "{pairs:?} {says}");
    }
    let right = form(&[to, ("MessagingServiceSid", service), body]);
    for (method, at, login, kind, status, code) in [
        ("POST", path.as_str(), "", FORM, 401, 20_003),
        ("POST", &path, "Basic !", FORM, 401, 20_003),
        ("POST", &path, &basic(&format!("{account}:nonsense")), FORM, 401, 20_003),
        ("POST", &path, &login.replace("Basic", "Bearer"), FORM, 401, 20_003),
        ("POST", "/2010-04-01/Accounts/AC1/Messages.json", &login, FORM, 404, 20_404),
        ("POST", "/2010-04-01/Messages.json", &login, FORM, 404, 20_404),
        ("GET", &path.replace(".json", "/SM1.json"), &login, FORM, 404, 20_404),
        ("PUT", &path, &login, FORM, 405, 20_004),
        ("POST", &path, &login, "application/json", 400, 21_604),
    ] {
        let headers = [("Authorization", login), ("Content-Type", kind)];
        let (said, says) = mock.ask(method, at, &headers, &right);
        assert_eq!((said, says["code"].as_u64()), (status, Some(code)), "{method} {at} {says}");
        assert_eq!(says["status"], status);
    }
    assert_eq!(mock.sent(), [] as [Value; 0]);
    let headers = [("Authorization", login.as_str()), ("Content-Type", FORM)];
    assert_eq!(mock.ask("POST", &path, &headers, &right).0, 201);
}

// ---------------------------------------------------------------------------------------------------- Chatwoot

#[test]
fn the_mock_of_chatwoot_refuses_each_wrong_message() {
    let mock = Mock::start("chatwoot");
    let right = json!({ "content": "Oi", "message_type": "outgoing", "private": false });
    let path = "/api/v1/accounts/1/conversations/42/messages";
    let (token, json_kind) = (mock.who("token"), "application/json");
    let changed = |name: &str, value: Value| {
        let mut message = right.clone();
        message[name] = value;
        message.to_string()
    };
    for (body, status) in [
        (String::new(), 400),
        ("{".to_owned(), 400),
        (r#"{"content":"Oi","content":"Oi"}"#.to_owned(), 400),
        ("[]".to_owned(), 422),
        ("{}".to_owned(), 422),
        (changed("content", json!("")), 422),
        (changed("content", json!(7)), 422),
        (changed("content", json!("x".repeat(150_001))), 422),
        (changed("message_type", json!("incoming")), 422),
        (changed("message_type", json!(1)), 422),
        (changed("private", json!("false")), 422),
        (changed("content_type", json!("hologram")), 422),
        (changed("content_attributes", json!("{}")), 422),
        (changed("template_params", json!({ "colour": "red" })), 422),
        (changed("echo_id", json!("1")), 422),
    ] {
        let headers = [("api_access_token", token), ("Content-Type", json_kind)];
        let (said, says) = mock.ask("POST", path, &headers, &body);
        assert!(said == status && says["error"].is_string(), "{body:.80}: {said} {says}");
    }
    for (method, path, token, kind, status) in [
        ("POST", path, "nonsense", json_kind, 401),
        ("POST", path, "", json_kind, 401),
        ("POST", path, mock.who("other_token"), json_kind, 401),
        ("POST", path, token, FORM, 422),
        ("PUT", path, token, json_kind, 404),
        ("POST", "/api/v1/accounts/2/conversations/42/messages", token, json_kind, 404),
        ("POST", "/api/v1/accounts/1/conversations/43/messages", token, json_kind, 404),
        ("POST", "/api/v1/accounts/1/conversations/42", token, json_kind, 404),
        ("GET", "/api/v1/accounts/1/conversations/42/messages?page=2", token, json_kind, 422),
    ] {
        let headers = [("api_access_token", token), ("Content-Type", kind)];
        let (said, says) = mock.ask(method, path, &headers, &right.to_string());
        assert!(said == status && says["error"].is_string(), "{method} {path} {token}: {said} {says}");
    }
    let (status, says) = mock.ask("POST", path, &[("Content-Type", json_kind)], &right.to_string());
    assert!(status == 401 && says["errors"].is_array(), "{says}");
    assert_eq!(mock.sent(), [] as [Value; 0]);
    let headers = [("api_access_token", token), ("Content-Type", json_kind)];
    assert_eq!(mock.ask("POST", path, &headers, &right.to_string()).0, 200);
}
