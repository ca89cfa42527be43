//! Mail: one for each burst of changes, to each who gets it.
//!
//! Everybody gets a mail of their own (which names the others), so that one whose mailbox is full or refused holds
//! up nobody else.

use super::lane::{Failure, Way};
use super::text::{body, one_line, subject};
use super::{Change, Describe};
use crate::cause::innermost;
use crate::config::{Mail, MailTls, Mailbox};
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::timeout;

/// How long the state of the group may take to be told.
const DESCRIBED: Duration = Duration::from_secs(1);
/// What is kept of a server's answer.
const TOLD: usize = 200;

/// One who gets mail.
pub(super) struct Recipient {
    settings: Mail,
    from: Mailbox,
    pub to: Address,
    describe: Describe,
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

impl Recipient {
    pub fn all(settings: &Mail, describe: &Describe) -> Vec<Self> {
        let from = settings.from.clone().unwrap_or_else(default_sender);
        let recipient = |to: &Mailbox| Self {
            settings: settings.clone(),
            from: from.clone(),
            to: to.email.clone(),
            describe: describe.clone(),
            transport: None,
        };
        settings.to.iter().map(recipient).collect()
    }

    async fn send(&mut self, changes: &[Arc<Change>]) -> Result<(), Failure> {
        let state = timeout(DESCRIBED, (self.describe)()).await;
        let state = state.unwrap_or_else(|_| "unknown: the agent did not answer in time".to_owned());
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![self.to.clone()]);
        let never = |error: &dyn std::error::Error| Failure::Never(error.to_string());
        let message =
            message(&self.from, &self.settings.to, changes, &state).map_err(|error| never(&error))?;
        let envelope = envelope.map_err(|error| never(&error))?;
        let transport = match &self.transport {
            Some(transport) => transport,
            None => self.transport.insert(transport(&self.settings)?),
        };
        match timeout(self.settings.timeout, transport.send_raw(&envelope, &message.formatted())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(explain(&error, &self.settings)),
            Err(_) => Err(Failure::Later(format!("not taken within {:?}", self.settings.timeout))),
        }
    }
}

impl Way for Recipient {
    const GATHERS: bool = true;

    fn name(&self) -> String {
        format!("mail to {} by {}:{}", self.to, self.settings.host, self.settings.port)
    }

    async fn deliver(&mut self, changes: &[Arc<Change>]) -> Result<(), Failure> {
        self.send(changes).await
    }
}

fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `outrider@` and the host name, if it can stand there.
fn default_sender() -> Mailbox {
    let at = |host: &str| Address::new("outrider", host).ok();
    let address = at(&hostname()).or_else(|| at("localhost"));
    match address {
        Some(address) => Mailbox::new(None, address),
        // Literals that are known to be good.
        None => Mailbox::new(None, Address::new_dangerous("outrider", "localhost")),
    }
}

fn transport(settings: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let Mail { host, port, login, tls, verify, timeout, .. } = settings;
    let parameters = || {
        let parameters = TlsParameters::builder(host.clone()).dangerous_accept_invalid_certs(!verify);
        parameters.build().map_err(|error| {
            let why = innermost(&error);
            Failure::Later(format!(
                "TLS could not be set up (certificates are read from /etc/ssl/certs or SSL_CERT_FILE): {why}"
            ))
        })
    };
    let tls = match tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(parameters()?),
        MailTls::Tls => Tls::Wrapper(parameters()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone());
    builder = builder.port(*port).tls(tls).timeout(Some(*timeout));
    let name = hostname();
    if Address::new("outrider", &name).is_ok() {
        builder = builder.hello_name(ClientId::Domain(name));
    }
    if let Some((user, password)) = login {
        builder = builder.credentials(Credentials::new(user.clone(), password.as_str().to_owned()));
    }
    Ok(builder.build())
}

fn explain(error: &lettre::transport::smtp::Error, settings: &Mail) -> Failure {
    if error.is_timeout() {
        return Failure::Later(format!("not taken within {:?}", settings.timeout));
    }
    let mut words: String = one_line(&innermost(error)).chars().take(TOLD).collect();
    if let Some(code) = error.status() {
        words = format!("it answered {code} {words}");
    } else if settings.verify && words.contains("certificate") {
        words += "; OUTRIDER_SMTP_TLS_VERIFY=false accepts any certificate";
    }
    // A permanent negative answer (RFC 5321, 4.2.1): the same mail would get it again.
    if error.is_permanent() { Failure::Never(words) } else { Failure::Later(words) }
}

fn message(
    from: &Mailbox,
    to: &[Mailbox],
    changes: &[Arc<Change>],
    state: &str,
) -> Result<Message, lettre::error::Error> {
    let first = changes.first().map_or(UNIX_EPOCH, |change| change.at);
    let moment = first.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The same in another attempt, so that who gets a mail twice can tell.
    let id = format!("<{moment:x}.{}.{:x}@{}>", changes.len(), std::process::id(), from.email.domain());
    let builder = to.iter().fold(Message::builder().from(from.clone()), |builder, to| builder.to(to.clone()));
    // Keeps those who are away from answering (RFC 3834).
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    builder
        .subject(subject(changes))
        .date_now()
        .message_id(Some(id))
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        .body(body(changes, state))
}
