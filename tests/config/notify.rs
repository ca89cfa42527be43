//! Who is told of changes.

use super::{faults_with, file, load_with, origin, row};
use outrider::config::{Mail, MailTls, Origin, WebhookFormat};
use std::time::Duration;

const TO: (&str, &str) = ("OUTRIDER_SMTP_TO", "ops@example.com");

fn mail(variables: &[(&str, &str)]) -> Mail {
    let variables: Vec<_> = [TO].into_iter().chain(variables.iter().copied()).collect();
    let loaded = load_with(&variables).unwrap();
    assert_eq!(loaded.warnings, [""; 0], "{variables:?}");
    loaded.config.notify.mail.unwrap()
}

#[test]
fn server_and_receiver_are_enough() {
    let mail = mail(&[("OUTRIDER_SMTP_SERVER", "mail.example.com")]);
    assert_eq!((mail.host.as_str(), mail.port, mail.tls), ("mail.example.com", 587, MailTls::Starttls));
    assert_eq!((&mail.from, &mail.login, mail.verify), (&None, &None, true));
    assert_eq!(mail.timeout, Duration::from_secs(30));
    assert_eq!(mail.to[0].to_string(), "ops@example.com");
}

#[test]
fn ports_and_tls_follow_from_each_other() {
    use MailTls::{None, Starttls, Tls};
    for (server, tls, expected) in [
        ("mail.example.com", "", ("mail.example.com", 587, Starttls)),
        ("mail.example.com", "starttls", ("mail.example.com", 587, Starttls)),
        ("mail.example.com", "tls", ("mail.example.com", 465, Tls)),
        ("mail.example.com", "none", ("mail.example.com", 25, None)),
        ("mail.example.com:25", "", ("mail.example.com", 25, Starttls)),
        ("mail.example.com:465", "", ("mail.example.com", 465, Tls)),
        ("mail.example.com:465", "starttls", ("mail.example.com", 465, Starttls)),
        ("10.0.0.25:2525", "none", ("10.0.0.25", 2525, None)),
        ("2001:db8::25", "", ("2001:db8::25", 587, Starttls)),
        ("[2001:db8::25]", "tls", ("2001:db8::25", 465, Tls)),
        ("[2001:db8::25]:26", "", ("2001:db8::25", 26, Starttls)),
        ("localhost", "", ("localhost", 25, None)),
        ("127.0.0.1:2525", "", ("127.0.0.1", 2525, None)),
        ("::1", "", ("::1", 25, None)),
        ("localhost", "starttls", ("localhost", 587, Starttls)),
    ] {
        let mail = mail(&[("OUTRIDER_SMTP_SERVER", server), ("OUTRIDER_SMTP_TLS", tls)]);
        assert_eq!((mail.host.as_str(), mail.port, mail.tls), expected, "{server} {tls}");
    }
    let loaded = load_with(&[TO, ("OUTRIDER_SMTP_SERVER", "mail.example.com:465")]).unwrap();
    assert_eq!(row(&loaded, "OUTRIDER_SMTP_TLS"), ("tls".to_owned(), Origin::Derived));
}

#[test]
fn what_belongs_together_is_wanted_together() {
    const SERVER: (&str, &str) = ("OUTRIDER_SMTP_SERVER", "mail.example.com");
    const URL: (&str, &str) = ("OUTRIDER_WEBHOOK_URL", "https://chat.example.com/x");
    let secret = "0123456789abcdef";
    for (variables, expected) in [
        (
            &[SERVER][..],
            "OUTRIDER_SMTP_SERVER has nobody to send mail to; set OUTRIDER_SMTP_TO, for example to ops@example.com",
        ),
        (
            &[TO],
            "OUTRIDER_SMTP_TO needs a server that takes the mail; set OUTRIDER_SMTP_SERVER, for example to \
             mail.example.com",
        ),
        (
            &[SERVER, TO, ("OUTRIDER_SMTP_USER", "lb")],
            "OUTRIDER_SMTP_USER is set without OUTRIDER_SMTP_PASSWORD; set both, or neither",
        ),
        (
            &[SERVER, TO, ("OUTRIDER_SMTP_PASSWORD", "hunter2")],
            "OUTRIDER_SMTP_PASSWORD is set without OUTRIDER_SMTP_USER; set both, or neither",
        ),
        (
            &[("OUTRIDER_WEBHOOK_KEY", secret)],
            "OUTRIDER_WEBHOOK_KEY has nothing to sign; set OUTRIDER_WEBHOOK_URL, or leave it out",
        ),
        (
            &[URL, ("OUTRIDER_WEBHOOK_KEY", "short")],
            "OUTRIDER_WEBHOOK_KEY has 5 bytes, not 16 or more; write for example $(openssl rand -hex 32)",
        ),
        (
            &[URL, ("OUTRIDER_WEBHOOK_FORMAT", "xml")],
            "OUTRIDER_WEBHOOK_FORMAT: \"xml\" is neither json nor text; write for example text",
        ),
        (
            &[("OUTRIDER_WEBHOOK_URL", "chat.example.com")],
            "OUTRIDER_WEBHOOK_URL does not begin with http:// or https://; write for example \
             https://hooks.example.com/outrider",
        ),
        (
            &[SERVER, TO, ("OUTRIDER_SMTP_TLS", "ssl")],
            "OUTRIDER_SMTP_TLS: \"ssl\" is none of starttls, tls and none; write for example starttls",
        ),
        (
            &[SERVER, TO, ("OUTRIDER_SMTP_TIMEOUT", "0s")],
            "OUTRIDER_SMTP_TIMEOUT: \"0s\" is not from 1s to 1h; write for example 30s",
        ),
        (
            &[SERVER, ("OUTRIDER_SMTP_TO", "a@b.example,nobody")],
            "OUTRIDER_SMTP_TO: \"nobody\" is not a mail address; write for example ops@example.com",
        ),
        (
            &[SERVER, TO, ("OUTRIDER_SMTP_FROM", "a@b.example\nBcc: c@d.example")],
            "OUTRIDER_SMTP_FROM: \"a@b.example\\nBcc: c@d.example\" is not a mail address; write for example \
             outrider@example.com",
        ),
        (
            &[("OUTRIDER_SMTP_SERVER", "mail.example.com:0"), TO],
            "OUTRIDER_SMTP_SERVER: \"mail.example.com:0\" has no port from 1 to 65535; write for example \
             mail.example.com",
        ),
        (
            &[("OUTRIDER_SMTP_SERVER", "smtp://mail.example.com"), TO],
            "OUTRIDER_SMTP_SERVER: \"smtp://mail.example.com\" has no port from 1 to 65535; write for example \
             mail.example.com",
        ),
        (
            &[("OUTRIDER_SMTP_SERVER", "[::1]25"), TO],
            "OUTRIDER_SMTP_SERVER: \"[::1]25\" has no port from 1 to 65535; write for example mail.example.com",
        ),
        (
            &[("OUTRIDER_NOTIFY_COMMAND", "notify.sh")],
            "OUTRIDER_NOTIFY_COMMAND: \"notify.sh\" does not name its program by an absolute path; write for example \
             /usr/local/bin/notify --quick",
        ),
        (
            &[("OUTRIDER_NOTIFY_COMMAND", "/bin/sh -c 'x")],
            "OUTRIDER_NOTIFY_COMMAND: \"/bin/sh -c 'x\" has a quote that is not closed; write for example \
             /usr/local/bin/notify --quick",
        ),
    ] {
        assert_eq!(faults_with(variables), [expected], "{variables:?}");
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let server = ("OUTRIDER_SMTP_SERVER", "mail.example.com");
    for (variables, expected) in [
        (
            &[("OUTRIDER_SMTP_FROM", "a@b.example")][..],
            "OUTRIDER_SMTP_FROM has no effect without OUTRIDER_SMTP_SERVER",
        ),
        (
            &[("OUTRIDER_WEBHOOK_FORMAT", "text")],
            "OUTRIDER_WEBHOOK_FORMAT has no effect without OUTRIDER_WEBHOOK_URL",
        ),
        (
            &[server, TO, ("OUTRIDER_SMTP_TLS", "none"), ("OUTRIDER_SMTP_TLS_VERIFY", "false")],
            "OUTRIDER_SMTP_TLS_VERIFY has no effect without TLS (OUTRIDER_SMTP_TLS)",
        ),
        (
            &[
                server,
                TO,
                ("OUTRIDER_SMTP_TLS", "none"),
                ("OUTRIDER_SMTP_USER", "lb"),
                ("OUTRIDER_SMTP_PASSWORD", "hunter2"),
            ],
            "OUTRIDER_SMTP_PASSWORD is sent in clear to mail.example.com: set OUTRIDER_SMTP_TLS to starttls or tls",
        ),
    ] {
        let loaded = load_with(variables).unwrap();
        assert_eq!(loaded.warnings, [expected], "{variables:?}");
    }
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let password = file(folder.path(), "password", "hunter2\n");
    let url = file(folder.path(), "url", "https://chat.example.com/hunter2\n");
    let key = file(folder.path(), "key", "hunter2hunter2hunter2\n");
    let loaded = load_with(&[
        ("OUTRIDER_SMTP_SERVER", "mail.example.com"),
        TO,
        ("OUTRIDER_SMTP_USER", "lb"),
        ("OUTRIDER_SMTP_PASSWORD_FILE", &password),
        ("OUTRIDER_WEBHOOK_URL_FILE", &url),
        ("OUTRIDER_WEBHOOK_KEY_FILE", &key),
    ])
    .unwrap();
    let notify = &loaded.config.notify;
    assert_eq!(notify.mail.as_ref().unwrap().login.as_ref().unwrap().1.as_str(), "hunter2");
    let webhook = notify.webhook.as_ref().unwrap();
    assert_eq!(webhook.url.as_str(), "https://chat.example.com/hunter2");
    assert_eq!(webhook.key.as_ref().unwrap().as_str(), "hunter2hunter2hunter2");
    assert_eq!(webhook.format, WebhookFormat::Json);
    assert_eq!(origin(&loaded, "OUTRIDER_WEBHOOK_URL"), &Origin::SecretFile(url.into()));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

/// They are the process's: a table of one virtual router has no place for them.
#[test]
fn the_file_has_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = "vip = '10.10.10.2'\nsmtp_server = 'mail.example.com'\nsmtp_to = ['a@b.example', 'c@d.example']\n\
                notify_command = '/bin/notify'\n";
    let path = file(folder.path(), "o.toml", text);
    let loaded = super::load(&[("OUTRIDER_CONFIG", &path)]).unwrap();
    assert_eq!(loaded.config.notify.mail.unwrap().to.len(), 2);
    assert_eq!(loaded.config.notify.command.unwrap(), ["/bin/notify"]);
}
