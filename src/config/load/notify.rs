//! Who is told of changes.

use crate::config::reader::Reader;
use crate::config::values::{self, Wrong};
use crate::config::{Mail, MailTls, Notify, Origin, Secret, Url, Webhook, WebhookFormat, argv};
use std::net::IpAddr;
use std::time::Duration;

const SERVER: &str = "OUTRIDER_SMTP_SERVER";
const TO: &str = "OUTRIDER_SMTP_TO";
const USER: &str = "OUTRIDER_SMTP_USER";
const PASSWORD: &str = "OUTRIDER_SMTP_PASSWORD";
const TLS: &str = "OUTRIDER_SMTP_TLS";
const VERIFY: &str = "OUTRIDER_SMTP_TLS_VERIFY";
const URL: &str = "OUTRIDER_WEBHOOK_URL";
const KEY: &str = "OUTRIDER_WEBHOOK_KEY";

/// Reads all ways. `None`: a fault was noted.
pub(super) fn read(reader: &mut Reader) -> Option<Notify> {
    let faults = reader.faults.len();
    let mail = mail(reader);
    let webhook = webhook(reader);
    let command = reader.one("OUTRIDER_NOTIFY_COMMAND", |text| {
        argv::split(text).map_err(|wrong| wrong.remedy("write for example /usr/local/bin/notify --quick"))
    });
    (reader.faults.len() == faults).then_some(Notify { mail, webhook, command })
}

fn mail(reader: &mut Reader) -> Option<Mail> {
    const FROM: &str = "OUTRIDER_SMTP_FROM";
    const TIMEOUT: &str = "OUTRIDER_SMTP_TIMEOUT";
    let server = reader.one(SERVER, values::server);
    let from = reader.one(FROM, values::mailbox);
    let to = reader.list(TO, values::mailbox);
    let user = reader.one(USER, |text| Ok(text.to_owned()));
    let password = reader.one(PASSWORD, |text| Ok(Secret::from(text.to_owned())));
    let tls = reader.one(TLS, str::parse::<MailTls>);
    let verify = reader.one(VERIFY, values::boolean);
    let limits = Duration::from_secs(1)..=Duration::from_secs(3600);
    let timeout = reader.one(TIMEOUT, |text| values::duration(text, limits));

    for (name, other) in [(USER, PASSWORD), (PASSWORD, USER)] {
        if reader.is_set(name) && !reader.is_set(other) {
            let half = Wrong::from(format!("is set without {other}"));
            reader.complain(name, half.remedy("set both, or neither"));
        }
    }
    if !reader.is_set(SERVER) {
        if reader.is_set(TO) {
            let nobody = Wrong::from("needs a server that takes the mail");
            reader.complain(TO, nobody.remedy("set OUTRIDER_SMTP_SERVER, for example to mail.example.com"));
        }
        for name in [FROM, USER, PASSWORD, TLS, VERIFY, TIMEOUT] {
            if reader.is_set(name) && !reader.is_set(TO) {
                reader.warn(format!("{name} has no effect without {SERVER}"));
            }
        }
        return None;
    }
    if !reader.is_set(TO) {
        let nobody = Wrong::from("has nobody to send mail to");
        reader.complain(SERVER, nobody.remedy("set OUTRIDER_SMTP_TO, for example to ops@example.com"));
    }
    let (host, port) = server?;
    let local = is_local(&host);
    let tls = tls.unwrap_or(match port {
        // Nothing leaves the machine, and a relay on it hardly has a certificate that holds.
        _ if local => MailTls::None,
        // A server there says nothing before the handshake: with STARTTLS both sides would wait for the other.
        Some(465) => MailTls::Tls,
        // Mail names hosts and addresses, and may come with a password: not in clear unless asked for.
        _ => MailTls::Starttls,
    });
    if !reader.is_set(TLS) {
        let text = match tls {
            MailTls::None => "none",
            MailTls::Starttls => "starttls",
            MailTls::Tls => "tls",
        };
        reader.settle(TLS, text, Origin::Derived);
    }
    if tls == MailTls::None {
        if reader.is_set(VERIFY) {
            reader.warn(format!("{VERIFY} has no effect without TLS ({TLS})"));
        }
        if password.is_some() && !local {
            reader.warn(format!("{PASSWORD} is sent in clear to {host}: set {TLS} to starttls or tls"));
        }
    }
    let port = port.unwrap_or(match tls {
        MailTls::None => 25,
        MailTls::Starttls => 587,
        MailTls::Tls => 465,
    });
    Some(Mail {
        host,
        port,
        from,
        to: to?,
        login: user.zip(password),
        tls,
        verify: verify?,
        timeout: timeout?,
    })
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn webhook(reader: &mut Reader) -> Option<Webhook> {
    const FORMAT: &str = "OUTRIDER_WEBHOOK_FORMAT";
    let url = reader.one(URL, |text| text.parse::<Url>().map(|url| Secret::from(url.as_str().to_owned())));
    let format = reader.one(FORMAT, str::parse::<WebhookFormat>);
    let key = reader.one(KEY, values::key);
    if !reader.is_set(URL) {
        if reader.is_set(KEY) {
            let nothing = Wrong::from("has nothing to sign");
            reader.complain(KEY, nothing.remedy("set OUTRIDER_WEBHOOK_URL, or leave it out"));
        }
        if reader.is_set(FORMAT) {
            reader.warn(format!("{FORMAT} has no effect without {URL}"));
        }
        return None;
    }
    Some(Webhook { url: url?, format: format?, key })
}
