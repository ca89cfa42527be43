//! The TCP check: a connection that opens, and stays open.

use super::{AT_ONCE, Attempt};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Connects by `deadline` and watches the connection for [`AT_ONCE`].
pub(super) async fn attempt(host: &str, port: u16, limit: Duration, deadline: Instant) -> Attempt {
    let place = place(host, port);
    let mut stream = match timeout_at(deadline, connect(host, port)).await {
        Err(_) => return Attempt::Wrong(format!("no connection to {place} within {limit:?}")),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            return refused(host, port);
        }
        Ok(Err(error)) => return Attempt::Wrong(format!("no connection to {place}: {error}")),
        Ok(Ok(stream)) => stream,
    };
    match timeout(AT_ONCE, end(&mut stream)).await {
        Ok(()) => Attempt::Gone(format!("{place} accepts connections and closes them at once")),
        Err(_) => Attempt::Served(Some(stream)),
    }
}

/// Opens a connection. All addresses of a name are tried in turn; the last one's error is told.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // With nobody listening on a port of the ephemeral range, the kernel may pick that very port as ours and
    // connect the socket to itself (TCP's simultaneous open): a load balancer that is us.
    if stream.local_addr()? == stream.peer_addr()? {
        // Gone without TIME_WAIT, which could keep the load balancer from binding its port.
        stream.set_zero_linger()?;
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

pub(super) fn refused(host: &str, port: u16) -> Attempt {
    Attempt::Refused(format!("connection to {} refused", place(host, port)))
}

/// Whether nobody listens on the port.
pub(super) async fn is_refused(host: &str, port: u16, deadline: Instant) -> bool {
    let connection = timeout_at(deadline, connect(host, port)).await;
    matches!(connection, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Reads, and throws away, until the far end closes or resets the connection. Cancel-safe.
pub(super) async fn end(stream: &mut TcpStream) {
    let mut thrown_away = [0; 512];
    while matches!(stream.read(&mut thrown_away).await, Ok(1..)) {}
}

/// A host as the resolver wants it: an IPv6 address without the brackets of a URL.
pub(super) fn bare(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}

/// A host and port as people read them.
pub(super) fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
