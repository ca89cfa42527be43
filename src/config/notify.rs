//! Who is told of changes.

pub use lettre::message::Mailbox;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

/// The ways changes are told; any of them, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Mail.
    pub mail: Option<Mail>,
    /// An HTTP POST.
    pub webhook: Option<Webhook>,
    /// A program: its absolute path, and its arguments.
    pub command: Option<Vec<String>>,
}

/// Mail by SMTP (RFC 5321).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Host name or address of the server; an IPv6 address without brackets.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Who it is from; none: `outrider@` and the host name.
    pub from: Option<Mailbox>,
    /// Who gets it; at least one.
    pub to: Vec<Mailbox>,
    /// User and password (RFC 4954).
    pub login: Option<(String, Secret)>,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// Longest time one delivery may take.
    pub timeout: Duration,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all.
    None,
    /// By STARTTLS (RFC 3207); without it no mail is sent.
    Starttls,
    /// By TLS from the start (RFC 8314).
    Tls,
}

/// An HTTP POST for each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// A valid `http://` or `https://` URL. Chats have their secret in it.
    pub url: Secret,
    /// What is posted.
    pub format: WebhookFormat,
    /// Key of the HMAC-SHA256 signature.
    pub key: Option<Secret>,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// Everything, as an object.
    Json,
    /// `{"text": "…"}`, as chats want it.
    Text,
}

/// What nobody may see: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// All of it, for the one who needs it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
