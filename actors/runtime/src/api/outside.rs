//! How a channel's messages leave, as put and as shown: one set of settings for each transport.

use followupd_channel::secret::Secret;

/// How mail leaves, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmtpSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port; 0: the one that goes with `security`.
    pub port: u32,
    /// `tls`, `starttls` (the default) or `none`.
    pub security: String,
    /// As whom to log in; empty: not at all.
    pub username: String,
    /// The password that goes with it.
    pub password: Option<SecretGiven>,
    /// The address mail comes from.
    pub from: String,
    /// The name beside it.
    pub from_name: String,
    /// The one-click unsubscribe URL, `{send}` standing for the send's key.
    pub unsubscribe: String,
    /// Connections at most; 0: the default.
    pub connections: u32,
}

/// Where messages are posted, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpSettings {
    /// Where to.
    pub url: String,
    /// What requests are signed with, the current secret first.
    pub secrets: Vec<SecretGiven>,
    /// Connections at most; 0: the default.
    pub connections: u32,
}

/// One number of WhatsApp's Cloud API, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetaSettings {
    /// The id of the phone number, not the number.
    pub phone_number_id: String,
    /// The access token.
    pub token: Option<SecretGiven>,
    /// The API's version; empty: the default.
    pub version: String,
    /// Where the API is; empty: Meta's own.
    pub base: String,
    /// What Meta signs its webhooks with, the current one first.
    pub app_secrets: Vec<SecretGiven>,
    /// What Meta says when a webhook is set up.
    pub verify_token: Option<SecretGiven>,
    /// Connections at most; 0: the default.
    pub connections: u32,
}

/// One sender of Twilio's API, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TwilioSettings {
    /// The account: its id, `AC…`.
    pub account: String,
    /// Who logs in; empty: the account itself.
    pub username: String,
    /// The account's token, or the API key's secret.
    pub password: Option<SecretGiven>,
    /// Who sends: a number, a short code or a name.
    pub number: String,
    /// Who sends instead: a messaging service, `MG…`.
    pub service: String,
    /// Where receipts are posted; empty: nowhere.
    pub status_callback: String,
    /// What Twilio signs its webhooks with, the current one first.
    pub auth_tokens: Vec<SecretGiven>,
    /// Where the API is; empty: Twilio's own.
    pub base: String,
    /// Connections at most; 0: the default.
    pub connections: u32,
}

/// One account of Chatwoot, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatwootSettings {
    /// Where it runs.
    pub base: String,
    /// The account's number.
    pub account: u64,
    /// The access token of the agent or bot that writes.
    pub token: Option<SecretGiven>,
    /// Connections at most; 0: the default.
    pub connections: u32,
}

/// A secret, as put.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretGiven {
    /// In this variable of the daemon's environment.
    Env(String),
    /// In this file on the daemon's machine.
    File(String),
    /// This; it is sealed before it is stored.
    Value(Secret),
    /// The one that is stored at this place.
    Kept,
}
