//! A small HTTP service that stands for a load balancer: it says which host it runs on.

use anyhow::{Context, Result};
use axum::Router;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What the process prints as soon as it can be connected to.
pub(super) const LISTENING: &str = "listening";

/// The whole program: answers every request with `name`, keeps idle connections open, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn main(address: SocketAddr, name: String) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        println!("{LISTENING} on {address}");
        let service = Router::new().fallback(move || async move { name });
        axum::serve(listener, service).await.context("serve")
    })
}
