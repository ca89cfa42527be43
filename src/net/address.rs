//! The address itself: added, renewed and removed over rtnetlink, on a thread of its own.
//!
//! Netlink requests run under the kernel's rtnl lock, which somebody else can hold for long (measured: 7.7 ms
//! while 150 interfaces were made), so they must not share a thread with the adverts. Requests go to the thread
//! through a channel and never block; what becomes of them comes back as an [`Event`].
//!
//! **Ours** is an address that carries our mark ([`MARK`], kept by kernels from 5.18 on) and whose
//! [lock](super::lock::Lock::address) this process has: two agents on one host never clean up after each other.
//! On older kernels, which keep no marks, it is an address with exactly our prefix on our interface and a limited
//! lifetime not above the lease; what an earlier run left behind then vanishes by itself. (With an unlimited
//! lease, such a leftover cannot be told from somebody else's, and counts as that.) Nothing that is not ours is
//! ever touched, unless the setting says to adopt it.
//!
//! An address is added as keepalived does it: scope global, no broadcast address, no label of its own.

mod kernel;
mod view;
mod worker;

use super::link::Link;
use crate::core::Time;
use anyhow::Context;
use std::net::Ipv4Addr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What our addresses are marked with (`IFA_PROTO`): the letter `v`. The kernel itself uses 1 to 3; the other
/// numbers are free.
pub const MARK: u8 = 0x76;

/// What the thread must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the interface the addresses go to. It need not exist yet.
    pub interface: String,
    /// The addresses and the prefix lengths they are installed with.
    pub vips: Vec<(Ipv4Addr, u8)>,
    /// Lifetime in the kernel, in whole seconds, at least 1; none: without limit.
    pub lease: Option<u32>,
    /// Take over an address that is there already and is not ours.
    pub adopt: bool,
    /// The address the adverts come from: its presence is reported.
    pub source: Option<Ipv4Addr>,
}

/// What the thread is asked to do, for all addresses together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Add the addresses, or renew those that are there and ours.
    Add {
        /// Past this moment nothing is touched: whoever slept that long may have lost the address to another.
        not_after: Time,
    },
    /// Start their lifetime anew. One that somebody deleted meanwhile is put back.
    Renew {
        /// As with `Add`.
        not_after: Time,
    },
    /// Remove those that are ours. Nothing to remove is no error.
    Remove,
}

/// What the thread tells. Each request has exactly one answer: `Added`, `Renewed`, `Removed`, `TooLate`, `Late`
/// or `Failed`, in the order of the requests. The others are changes of state, told once each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All addresses are there.
    Added {
        /// Taken before the request went to the kernel: the lifetime began no earlier.
        sent_at: Time,
        /// Taken after the kernel acknowledged it: the lifetime began no later.
        acked_at: Time,
    },
    /// All lifetimes began anew.
    Renewed {
        /// As with `Added`.
        sent_at: Time,
        /// As with `Added`.
        acked_at: Time,
    },
    /// None of ours is there.
    Removed,
    /// The request was handled after its `not_after`: nothing was touched.
    TooLate(Request),
    /// The kernel acknowledged the request after its `not_after` only: the addresses were removed again at once.
    Late(Request),
    /// The kernel, or a check before, refused it. What a failed `Add` had added already was removed again.
    Failed {
        /// The request.
        request: Request,
        /// Why, and what to do about it.
        error: String,
    },
    /// An address of the virtual router is on this host, and it is not ours. Until it is gone, `Add` fails.
    Foreign {
        /// The address.
        address: Ipv4Addr,
        /// The interface it is on.
        interface: String,
        /// What clears it: `ip addr del 10.10.10.2/24 dev eth0`; in words if it is another agent's.
        clear_with: String,
    },
    /// A foreign address is gone from all interfaces.
    ForeignGone {
        /// The address.
        address: Ipv4Addr,
    },
    /// An address we hold was deleted by somebody else, or by the kernel at the end of its lifetime.
    Gone {
        /// The address.
        address: Ipv4Addr,
    },
    /// The state of our interface; told at start, after everything else that was found then.
    Link(Link),
    /// Whether the source address is on this host; told at start if there is one.
    Source {
        /// It is.
        present: bool,
    },
}

/// The thread's handle. Dropping it ends the thread, but removes no address.
#[derive(Clone, Debug)]
pub struct Addresses {
    requests: UnboundedSender<Request>,
}

impl Addresses {
    /// Starts the thread. Marked addresses that an earlier run left behind, on whatever interface, are removed
    /// first: only those of this virtual router, since others may be another agent's. Call it once the virtual
    /// router's [lock](super::lock::Lock::acquire) is taken.
    ///
    /// The thread works in the network namespace of the caller. When `events` closes, it has died.
    ///
    /// # Errors
    /// When there is no thread or no netlink socket to be had.
    pub fn start(settings: Settings, events: UnboundedSender<Event>) -> anyhow::Result<Addresses> {
        let (requests, inbox) = unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("address".to_owned())
            .spawn(move || serve(settings, events, inbox, &ready))
            .context("cannot start the thread of the address")?;
        is_ready.recv().context("the thread of the address died at start")??;
        Ok(Addresses { requests })
    }

    /// Hands over a request; never blocks.
    pub fn request(&self, request: Request) {
        // A dead thread shows by the closed channel of events.
        let _ = self.requests.send(request);
    }

    /// [`Request::Add`].
    pub fn add(&self, not_after: Time) {
        self.request(Request::Add { not_after });
    }

    /// [`Request::Renew`].
    pub fn renew(&self, not_after: Time) {
        self.request(Request::Renew { not_after });
    }

    /// [`Request::Remove`].
    pub fn remove(&self) {
        self.request(Request::Remove);
    }
}

fn serve(
    settings: Settings,
    events: UnboundedSender<Event>,
    requests: UnboundedReceiver<Request>,
    ready: &std::sync::mpsc::Sender<anyhow::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error).context("cannot start the runtime of the address"));
            return;
        }
    };
    runtime.block_on(async {
        match worker::Worker::new(settings, events) {
            Ok(worker) => {
                let _ = ready.send(Ok(()));
                worker.run(requests).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}
