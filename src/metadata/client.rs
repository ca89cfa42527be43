//! One request to the metadata service at a time, with errors for people.

use crate::plain;
use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::header::ACCEPT;
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Right after boot the route to the service may be missing: connects then time out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For an answer of a few bytes.
const SHORT: Limits = Limits { time: Duration::from_secs(3), size: 1 << 20 };
/// For a list; the service has half a core for everybody.
const LONG: Limits = Limits { time: Duration::from_secs(10), size: 64 << 20 };
/// The service answers an unchanged version up to 5 s after `maxWait`.
const POLL_SLACK: Duration = Duration::from_secs(8);

/// What one answer may cost.
#[derive(Clone, Copy)]
struct Limits {
    /// From the request to the last byte.
    time: Duration,
    /// Bytes of the body, far above any honest answer.
    size: usize,
}

/// A client for one base URL.
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at its end: the service answers a double slash with a redirect.
    base: String,
    /// The same without its user part.
    shown: String,
}

impl Client {
    /// `base` is the URL with the API version (`http://169.254.169.250/2016-07-29`).
    pub fn new(base: &str) -> Result<Self> {
        let base = base.trim().trim_end_matches('/').to_owned();
        // The text itself is not shown: it may hold a password.
        let mut shown = Url::parse(&base).context("OUTRIDER_METADATA_URL is not a URL")?;
        ensure!(
            shown.scheme() == "http" && shown.has_host(),
            "OUTRIDER_METADATA_URL does not begin with http:// and a host"
        );
        // Both fail only for URLs that cannot have a user part.
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        let http = plain::client()?.connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.context("cannot set up the HTTP client")?;
        Ok(Client { http, base, shown: shown.as_str().trim_end_matches('/').to_owned() })
    }

    /// The base URL, fit to be shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// A small answer, such as `/self/host`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.fetch(path, &[], SHORT).await
    }

    /// A long answer, such as `/services`.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.fetch(path, &[], LONG).await
    }

    /// The version of the data. Opaque: fit to be compared with another one of the same server.
    pub async fn version(&self) -> Result<String> {
        self.fetch_version(&[], SHORT).await
    }

    /// The version, as soon as it is not `known` any more, or after `max_wait` (whole seconds, at least one).
    pub async fn version_after(&self, known: &str, max_wait: Duration) -> Result<String> {
        let seconds = max_wait.as_secs().clamp(1, 120);
        let query = [("wait", "true"), ("value", known), ("maxWait", &seconds.to_string())];
        let time = Duration::from_secs(seconds) + POLL_SLACK;
        self.fetch_version(&query, Limits { time, ..SHORT }).await
    }

    async fn fetch_version(&self, query: &[(&str, &str)], limits: Limits) -> Result<String> {
        match self.fetch("/version", query, limits).await? {
            serde_json::Value::String(version) if !version.is_empty() => Ok(version),
            serde_json::Value::Number(version) => Ok(version.to_string()),
            _ => bail!("GET {}/version: the answer is not a version", self.shown),
        }
    }

    /// `path` begins with a slash.
    async fn fetch<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limits: Limits,
    ) -> Result<T> {
        let body =
            self.body(path, query, limits).await.with_context(|| format!("GET {}{path}", self.shown))?;
        serde_json::from_slice(&body).map_err(|error| {
            anyhow!("GET {}{path}: the answer is not the JSON it should be: {error}", self.shown)
        })
    }

    async fn body(&self, path: &str, query: &[(&str, &str)], limits: Limits) -> Result<Vec<u8>> {
        let mut url = Url::parse(&format!("{}{path}", self.base)).context("not a URL")?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        // Anything beside application/json, even */*, is answered with plain text.
        let request = self.http.get(url).header(ACCEPT, "application/json").timeout(limits.time);
        let explain = |error: reqwest::Error| explain(error, limits.time);
        let again = request.try_clone();
        let mut sent = request.send().await;
        if let (Err(error), Some(again), true) = (&sent, again, query.is_empty()) {
            // A connection kept open may end just as it is used again. Not for a long poll: it may be another
            // server that answers then, with nothing to compare its version to.
            if !error.is_timeout() && !error.is_connect() {
                sent = again.send().await;
            }
        }
        let mut response = sent.map_err(explain)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                bail!("404 Not Found: the service has not loaded its data yet, or does not know this path")
            }
            status if status.is_redirection() => {
                bail!(
                    "{status}: a redirect; is OUTRIDER_METADATA_URL written as http://169.254.169.250/2016-07-29?"
                )
            }
            status => bail!("{status}"),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            ensure!(
                body.len() + chunk.len() <= limits.size,
                "the answer is larger than {} MiB",
                limits.size >> 20
            );
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// reqwest's own words are layers of "error sending request", and name the URL with its user part.
fn explain(error: reqwest::Error, timeout: Duration) -> anyhow::Error {
    if error.is_timeout() {
        return match error.is_connect() {
            true => anyhow!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
            false => anyhow!("no whole answer within {} s", timeout.as_secs()),
        };
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match error.is_decode() || error.is_body() {
        true => anyhow!("the answer broke off: {cause}"),
        false => anyhow!("{cause}"),
    }
}
