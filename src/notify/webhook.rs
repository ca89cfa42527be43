//! An HTTP POST for each change.

use super::Change;
use super::lane::{Failure, Way};
use super::text::rfc3339;
use crate::cause::innermost;
use crate::config::{Webhook, WebhookFormat};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};
use serde::Serialize;
use sha2::Sha256;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// What is posted. Public: fields are only added, with the same version.
#[derive(Serialize)]
struct Payload<'a> {
    version: u32,
    event: &'a str,
    host: &'a str,
    router: &'a str,
    addresses: &'a [String],
    vrid: u8,
    interface: &'a str,
    from: String,
    to: String,
    priority: u8,
    why: &'a str,
    at: String,
}

/// What chats want.
#[derive(Serialize)]
struct Text {
    text: String,
}

/// Where changes are posted.
pub(super) struct Hook {
    settings: Webhook,
    limit: Duration,
    /// Built at the first attempt; where that fails, tried again at the next.
    client: Option<Client>,
}

impl Hook {
    pub fn new(settings: &Webhook, limit: Duration) -> Self {
        Self { settings: settings.clone(), limit, client: None }
    }

    fn body(&self, change: &Change) -> serde_json::Result<Vec<u8>> {
        let Change { host, router, addresses, vrid, interface, from, to, priority, why, at } = change;
        match self.settings.format {
            WebhookFormat::Json => serde_json::to_vec(&Payload {
                version: 1,
                event: "transition",
                host,
                router,
                addresses,
                vrid: *vrid,
                interface,
                from: from.to_string(),
                to: to.to_string(),
                priority: *priority,
                why,
                at: rfc3339(*at),
            }),
            WebhookFormat::Text => {
                serde_json::to_vec(&Text { text: format!("{host}: {router} is now {to}: {why}") })
            }
        }
    }

    async fn post(&mut self, change: &Change) -> Result<(), Failure> {
        let url =
            Url::parse(self.settings.url.as_str()).map_err(|_| Failure::Never("it has no URL".into()))?;
        let body = self.body(change).map_err(|error| Failure::Never(error.to_string()))?;
        let client = match &self.client {
            Some(client) => client,
            None => self.client.insert(client().map_err(Failure::Later)?),
        };
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json").timeout(self.limit);
        if let Some(key) = &self.settings.key {
            request = request.header("X-Outrider-Signature", signature(key.as_str().as_bytes(), &body));
        }
        match request.body(body).send().await {
            Ok(answer) => judge(answer.status()),
            Err(error) if error.is_timeout() => {
                Err(Failure::Later(format!("no answer within {:?}", self.limit)))
            }
            // Only the innermost error: the outer ones tell the URL.
            Err(error) => Err(Failure::Later(innermost(&error.without_url()))),
        }
    }
}

impl Way for Hook {
    const GATHERS: bool = false;

    fn name(&self) -> String {
        let url = Url::parse(self.settings.url.as_str()).ok();
        // The rest may be a secret.
        match url.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?, url.port()))) {
            Some((scheme, host, Some(port))) => format!("webhook at {scheme}://{host}:{port}"),
            Some((scheme, host, None)) => format!("webhook at {scheme}://{host}"),
            None => "webhook".to_owned(),
        }
    }

    async fn deliver(&mut self, changes: &[Arc<Change>]) -> Result<(), Failure> {
        for change in changes {
            self.post(change).await?;
        }
        Ok(())
    }
}

/// Changes are rare: no connection is kept between them.
fn client() -> Result<Client, String> {
    let client = Client::builder()
        // Followed, a POST would become a GET; and the signature is for one place.
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("outrider/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(|error| {
        let why = innermost(&error);
        format!("TLS could not be set up (certificates are read from /etc/ssl/certs or SSL_CERT_FILE): {why}")
    })
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    let why = format!("it answered {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Failure::Later(why)),
        status if status.is_server_error() => Err(Failure::Later(why)),
        _ => Err(Failure::Never(why)),
    }
}

/// `sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits.
fn signature(key: &[u8], body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    // A key may have any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn signatures() {
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn answers() {
        for (status, again) in
            [(200, None), (204, None), (301, Some(false)), (400, Some(false)), (404, Some(false))]
                .into_iter()
                .chain([(408, Some(true)), (429, Some(true)), (500, Some(true)), (503, Some(true))])
        {
            let judged = match judge(StatusCode::from_u16(status).unwrap()) {
                Ok(()) => None,
                Err(Failure::Later(_)) => Some(true),
                Err(Failure::Never(_)) => Some(false),
            };
            assert_eq!(judged, again, "{status}");
        }
    }
}
