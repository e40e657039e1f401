//! Where a channel's calls go, and its secrets with them: what a stored secret must not leave for without whoever knows
//! it.

use followupd_domain::channel::{Security, Transport};
use url::Url;

use crate::{twilio, whatsapp};

/// Who is called. Two that are alike are one place to send a secret to, whatever the paths below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// How: the way out's word, so that what one protocol keeps to itself is not said in another.
    way: &'static str,
    /// How the call is protected: a URL's scheme, or mail's word.
    protection: String,
    host: String,
    port: u16,
}

/// Where calls with these settings go; `None` for the outbox, which has no secrets, and where no host can be read.
#[must_use]
pub fn destination(settings: &Transport) -> Option<Destination> {
    let url = |text: &str| of_url(settings.word(), text);
    match settings {
        Transport::Outbox => None,
        Transport::Smtp(smtp) => Some(Destination {
            way: settings.word(),
            protection: Security::word(smtp.security).to_owned(),
            host: smtp.host.to_ascii_lowercase(),
            port: smtp.port,
        }),
        Transport::Http(http) => url(&http.url),
        Transport::Meta(meta) if meta.base.is_empty() => url(whatsapp::BASE),
        Transport::Meta(meta) => url(&meta.base),
        Transport::Twilio(twilio) if twilio.base.is_empty() => url(twilio::BASE),
        Transport::Twilio(twilio) => url(&twilio.base),
        Transport::Chatwoot(chatwoot) => url(&chatwoot.base),
    }
}

/// Read as the calls read it: two readings of one URL could mean two hosts.
fn of_url(way: &'static str, text: &str) -> Option<Destination> {
    let url = Url::parse(text).ok()?;
    let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
    Some(Destination { way, protection: url.scheme().to_owned(), host, port })
}

#[cfg(test)]
mod tests {
    use followupd_domain::channel::{Chatwoot, Http, Meta, Smtp, Twilio};

    use super::*;

    fn meta(base: &str) -> Transport {
        Transport::Meta(Box::new(Meta {
            phone_number_id: "7".into(),
            token: None,
            version: String::new(),
            base: base.into(),
            app_secrets: Vec::new(),
            verify_token: None,
            connections: 1,
        }))
    }

    fn twilio(base: &str) -> Transport {
        Transport::Twilio(Box::new(Twilio {
            account: String::new(),
            username: String::new(),
            password: None,
            number: String::new(),
            service: String::new(),
            status_callback: String::new(),
            auth_tokens: Vec::new(),
            base: base.into(),
            connections: 1,
        }))
    }

    fn chatwoot(base: &str) -> Transport {
        Transport::Chatwoot(Box::new(Chatwoot { base: base.into(), account: 1, token: None, connections: 1 }))
    }

    fn http(url: &str) -> Transport {
        Transport::Http(Box::new(Http { url: url.into(), secrets: Vec::new(), connections: 1 }))
    }

    fn smtp(host: &str, port: u16, security: Security) -> Transport {
        Transport::Smtp(Box::new(Smtp {
            host: host.into(),
            port,
            security,
            username: String::new(),
            password: None,
            from: String::new(),
            from_name: String::new(),
            unsubscribe: String::new(),
            connections: 1,
        }))
    }

    #[test]
    fn a_path_is_no_other_destination_and_a_default_is_what_it_stands_for() {
        let alike = [
            (meta(""), meta("https://graph.facebook.com")),
            (meta(""), meta("https://GRAPH.facebook.com:443/v23.0")),
            (twilio(""), twilio("https://api.twilio.com")),
            (http("https://hooks.example/a"), http("https://hooks.example/b?c=d")),
            (chatwoot("https://chat.example"), chatwoot("https://chat.example/sub")),
            (smtp("mx.example", 587, Security::StartTls), smtp("MX.example", 587, Security::StartTls)),
        ];
        for (one, other) in alike {
            assert!(destination(&one).is_some());
            assert_eq!(destination(&one), destination(&other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn another_host_port_protection_or_way_is_another_destination() {
        let other = [
            (meta(""), meta("https://evil.example")),
            (meta(""), meta("https://graph.facebook.com:8443")),
            (meta(""), meta("http://graph.facebook.com")),
            (meta(""), meta("https://graph.facebook.com.evil.example")),
            (meta(""), meta("https://evil.example\\@graph.facebook.com")),
            (meta("https://one.example"), chatwoot("https://one.example")),
            (twilio(""), twilio("https://evil.example")),
            (http("https://hooks.example"), http("https://hooks.example:8443")),
            (smtp("mx.example", 587, Security::StartTls), smtp("evil.example", 587, Security::StartTls)),
            (smtp("mx.example", 587, Security::StartTls), smtp("mx.example", 25, Security::StartTls)),
            (smtp("mx.example", 587, Security::StartTls), smtp("mx.example", 587, Security::None)),
        ];
        for (one, other) in other {
            assert_ne!(destination(&one), destination(&other), "{one:?} {other:?}");
        }
        assert_eq!(destination(&Transport::Outbox), None);
        assert_eq!(destination(&meta("graph.facebook.com")), None);
    }
}
