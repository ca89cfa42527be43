//! A small HTTP service that stands for a load balancer: it says which host it runs on.

use anyhow::{Context, Result};
use axum::Router;
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What the process prints as soon as it can be connected to.
pub(super) const LISTENING: &str = "listening";

/// Listens with SO_REUSEPORT, so that port 80 can be had while the lab's metadata service listens on its own
/// address. Call it inside a tokio runtime.
///
/// # Errors
/// When the port is taken by a listener without SO_REUSEPORT.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    bind().with_context(|| format!("listen on {address}"))
}

/// The whole program: answers every request with `name`, keeps idle connections open, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn main(address: SocketAddr, name: String) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = listen(address)?;
        println!("{LISTENING} on {address}");
        let service = Router::new().fallback(move || async move { name });
        axum::serve(listener, service).await.context("serve")
    })
}
