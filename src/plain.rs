//! HTTP without TLS: what is on this host, or on the members' own network.

use anyhow::{Context, Result};
use reqwest::{ClientBuilder, redirect};
use rustls::crypto::ring;
use std::sync::Arc;

/// A client that asks whom it is told to ask, and nobody else.
///
/// # Errors
/// TLS cannot be set up, which reqwest wants in any case.
pub fn client() -> Result<ClientBuilder> {
    // reqwest would look for a process-wide provider and the system's certificates.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
    Ok(client.tls_backend_preconfigured(tls))
}
