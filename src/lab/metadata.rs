//! A stand-in for Rancher's metadata service that speaks its wire contract, quirks and faults included.
//!
//! One [`World`] holds the data of an environment; each host has a [`Server`] of its own on it, which resolves
//! `/self/host` to that host, has its own order of arrays and can be made to fail.

mod http;
mod world;

pub use world::{Host, Service, World};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{io, iter};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Its data is not there yet: 404 to everything.
    NotLoaded,
    /// Nobody listens: connections are refused, open ones end.
    Refuse,
    /// Requests are taken and not answered.
    Hang,
    /// Answers break off in the middle.
    HalfBody,
    /// Answers are no JSON.
    Garbage,
    /// The Rancher server is down: old data is served for ever.
    Frozen,
    /// docker0 addresses collide: `/self/host` is the host with this uuid.
    OtherHost(String),
    /// Every list is `null`.
    Empty,
}

/// The metadata service of one host. It ends when this is dropped.
pub struct Server {
    manner: watch::Sender<Manner>,
    address: SocketAddr,
    host: Arc<http::HostView>,
}

/// How a server behaves.
#[derive(Clone, Debug)]
struct Manner {
    fault: Fault,
    slack: Duration,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL with the API version, as an agent wants it.
    pub fn url(&self) -> String {
        format!("http://{}/2016-07-29", self.address)
    }

    /// From now on it fails in this way.
    pub fn set_fault(&self, fault: Fault) {
        if fault == Fault::Frozen {
            // The real service loads on a change, not on a request.
            self.host.load(false);
        }
        self.manner.send_modify(|manner| manner.fault = fault);
    }

    /// How much later than `maxWait` an unchanged long poll is answered, at most. The real service: 5 s, the
    /// default.
    pub fn set_slack(&self, slack: Duration) {
        self.manner.send_modify(|manner| manner.slack = slack);
    }

    /// How often each path (without its query) was asked for. Nothing is counted while connections are refused.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.host.requests()
    }
}

/// Serves `world` as seen from the host `self_uuid`. Needs a running tokio runtime; the listener is bound again
/// on the same thread after [`Fault::Refuse`], so in a network namespace that is the namespace's own runtime.
pub fn serve(listener: TcpListener, world: World, self_uuid: &str) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (manner, seen) = watch::channel(Manner { fault: Fault::None, slack: Duration::from_secs(5) });
    let host = Arc::new(http::HostView::new(world, self_uuid, seen.clone()));
    tokio::spawn(listen(Some(listener), address, Arc::clone(&host), seen));
    Ok(Server { manner, address, host })
}

/// Listens except while the fault is to refuse, until the [`Server`] is dropped.
async fn listen(
    mut listener: Option<TcpListener>,
    address: SocketAddr,
    host: Arc<http::HostView>,
    mut seen: watch::Receiver<Manner>,
) {
    loop {
        if seen.borrow().fault == Fault::Refuse {
            listener = None;
        }
        if seen.wait_for(|manner| manner.fault != Fault::Refuse).await.is_err() {
            return;
        }
        let listener = match listener.take() {
            Some(listener) => listener,
            None => match TcpListener::bind(address).await {
                Ok(listener) => listener,
                // Somebody has the port for a moment, e.g. as the local one of a connection.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let mut closing = seen.clone();
        let closed = async move {
            // An error means that the server was dropped, which closes it as well.
            let _ = closing.wait_for(|manner| manner.fault == Fault::Refuse).await;
        };
        // Ends when the last connection has; its only errors would be those of accept, which it retries.
        let _ = axum::serve(listener, http::router(Arc::clone(&host))).with_graceful_shutdown(closed).await;
        if seen.has_changed().is_err() {
            return;
        }
    }
}

/// A random number, from the seeds the standard library gives its hash maps.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}

/// Fisher and Yates.
fn shuffle<T>(list: &mut [T]) {
    for (last, seed) in (1..list.len()).rev().zip(iter::repeat_with(random)) {
        list.swap(last, (seed % (last as u64 + 1)) as usize);
    }
}
