//! The HTTP check: a status line, within the time-out.

use super::{AT_ONCE, Attempt, tcp};
use crate::cause::{inner, innermost};
use crate::config::CheckSettings;
use anyhow::Context;
use reqwest::header::{CONNECTION, HOST, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect};
use std::error::Error;
use std::io;
use tokio::time::Instant;

/// A request that is made again and again.
pub(super) struct Request {
    url: Url,
    /// The URL without its user part, which is a secret.
    name: String,
    host: String,
    port: u16,
    /// Built at the first attempt; where that fails, tried again at the next.
    client: Option<Client>,
}

impl Request {
    /// # Errors
    /// The URL cannot be used; in words, without the URL, which may hold a password.
    pub(super) fn new(url: &str, settings: &CheckSettings) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the URL of an HTTP check is no URL: {error}"))?;
        let mut public = url.clone();
        // These fail only on URLs that have no user part.
        let _ = public.set_username("");
        let _ = public.set_password(None);
        let name = public.to_string();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{name} is not an http:// or https:// URL"));
        }
        if let Some(host) = &settings.host_header
            && HeaderValue::from_str(host).is_err()
        {
            return Err(format!("{host:?} cannot be sent as a Host header"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(format!("{name} names no host"));
        };
        let (host, port) = (tcp::bare(host), port);
        Ok(Request { url, name, host, port, client: None })
    }

    /// Host and port the request goes to.
    pub(super) fn endpoint(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    /// Asks on a new connection, and reads no further than the head of the answer.
    pub(super) async fn attempt(&mut self, settings: &CheckSettings, deadline: Instant) -> Attempt {
        let begun = Instant::now();
        let client = match &self.client {
            Some(client) => client,
            None => match client(self.url.scheme() == "http" || !settings.tls_verify) {
                Ok(client) => self.client.insert(client),
                Err(error) => return Attempt::Wrong(format!("{}: {error:#}", self.name)),
            },
        };
        let mut request = client
            .get(self.url.clone())
            .header(CONNECTION, "close")
            .timeout(deadline.saturating_duration_since(begun));
        if let Some(host) = &settings.host_header {
            request = request.header(HOST, host);
        }
        match request.send().await {
            Ok(answer) => self.judge(answer.status(), &settings.status),
            Err(error) => self.explain(&error, begun, settings),
        }
    }

    fn judge(&self, status: StatusCode, accepted: &[(u16, u16)]) -> Attempt {
        let code = status.as_u16();
        if accepted.is_empty() || accepted.iter().any(|(first, last)| (*first..=*last).contains(&code)) {
            return Attempt::Served(None);
        }
        let accepted: Vec<String> = accepted.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        Attempt::Wrong(format!("{} answered {code}, not {}", self.name, accepted.join(",")))
    }

    fn explain(&self, error: &reqwest::Error, begun: Instant, settings: &CheckSettings) -> Attempt {
        if error.is_timeout() {
            return Attempt::Wrong(format!("no answer from {} within {:?}", self.name, settings.timeout));
        }
        match cause(error) {
            Cause::Refused => tcp::refused(&self.host, self.port),
            Cause::Closed if begun.elapsed() < AT_ONCE => {
                Attempt::Gone(format!("{} closes connections without an answer", self.name))
            }
            Cause::Closed => {
                Attempt::Broken(format!("{} closed the connection without an answer", self.name))
            }
            Cause::NotHttp => Attempt::Wrong(format!("what {} answers is not HTTP", self.name)),
            Cause::Certificate(why) => Attempt::Wrong(format!(
                "{}: {why}; OUTRIDER_CHECK_TLS_VERIFY=false accepts any certificate",
                self.name
            )),
            Cause::Other(why) => Attempt::Wrong(format!("{}: {why}", self.name)),
        }
    }
}

/// A client for one connection per request.
fn client(accept_any_certificate: bool) -> anyhow::Result<Client> {
    Client::builder()
        // Proxies are for going out; this stays on the host.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("outrider/", env!("CARGO_PKG_VERSION")))
        // Also keeps the certificates of the system from being read where no certificate will be seen.
        .tls_danger_accept_invalid_certs(accept_any_certificate)
        .build()
        .map_err(|error| anyhow::anyhow!("{}", innermost(&error)))
        .context(
            "TLS could not be set up (certificates are read from /etc/ssl/certs or SSL_CERT_FILE; \
             OUTRIDER_CHECK_TLS_VERIFY=false does without)",
        )
}

/// Why a request brought no answer.
enum Cause {
    Refused,
    Closed,
    NotHttp,
    Certificate(String),
    Other(String),
}

/// Looks for the cause that decides, from the outermost error inwards.
fn cause(error: &(dyn Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                return Cause::Closed;
            }
            if error.is_parse() {
                return Cause::NotHttp;
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Cause::Refused,
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => return Cause::Closed,
                _ => {}
            }
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return Cause::Certificate(error.to_string());
        }
        next = inner(error);
    }
    Cause::Other(innermost(error))
}
