//! The address itself: added, renewed and removed over rtnetlink, on a thread of its own.
//!
//! Netlink requests run under the kernel's rtnl lock, which somebody else can hold for long (measured: 7.7 ms
//! while 150 interfaces were made), so they must not share a thread with the adverts. Requests go to the thread
//! through a channel and never block; what becomes of them comes back as an [`Event`].
//!
//! **Ours** is an address that carries our mark ([`MARK`], kept by kernels from 5.18 on) and whose
//! [lock](super::lock::Lock::address) this process has: two agents on one host never clean up after each other.
//! On older kernels, which keep no marks, it is an address with exactly our prefix on our interface and a limited
//! lifetime not above the lease. (With an unlimited lease, such a leftover cannot be told from somebody else's, and
//! counts as that.) Nothing that is not ours is ever touched, unless the setting says to adopt it.
//!
//! **What an earlier run left behind** vanishes by itself when its lifetime ends, and until then is better than
//! nothing: nobody else has the address yet if an agent crashed and is there again at once. It is told of, and
//! removed when that is asked for. Only what would stay for ever, or longer than our lease, is removed at once.
//!
//! An address is added as keepalived does it: scope global, no broadcast address, no label of its own; for IPv6
//! without duplicate address detection, which would keep it unusable for a second, and as a /128 deprecated, so
//! that the host does not choose it as the source of its own connections.
//!
//! **One thread serves all virtual routers** of the process, with one socket for requests and one that is told of
//! changes. What the kernel tells unasked only says that something may have changed: whoever is concerned reads
//! what is there now. (It tells late, and for IPv6 not who did it.)

mod kernel;
mod requests;
mod router;
mod worker;

use super::link::Link;
use crate::core::Time;
use anyhow::Context;
use std::net::IpAddr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What our addresses are marked with (`IFA_PROTO`): the letter `v`. The kernel itself uses 1 to 3; the other
/// numbers are free.
pub const MARK: u8 = 0x76;

/// What the thread must know of a virtual router.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the interface the addresses go to. It need not exist yet.
    pub interface: String,
    /// The addresses, of one family or both, and the prefix lengths they are installed with.
    pub vips: Vec<(IpAddr, u8)>,
    /// Lifetime in the kernel, in whole seconds, at least 1; none: without limit.
    pub lease: Option<u32>,
    /// Take over an address that is there already and is not ours.
    pub adopt: bool,
    /// The address the adverts come from: its presence is reported.
    pub source: Option<IpAddr>,
}

/// What the thread is asked to do, for all addresses of a virtual router together.
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

/// What the thread tells of a virtual router. Each request has exactly one answer: `Added`, `Renewed`, `Removed`,
/// `TooLate`, `Late` or `Failed`, in the order of the requests. The others are changes of state, told once each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All addresses are there. For IPv6 told as soon as the kernel takes packets to them, too, which is a little
    /// after the acknowledgement: whoever announced one before would lose the first packets.
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
        address: IpAddr,
        /// The interface it is on.
        interface: String,
        /// What clears it: `ip addr del 10.10.10.2/24 dev eth0`; in words if it is another agent's.
        clear_with: String,
    },
    /// An earlier run left an address behind, whose lifetime ends within a lease from now. `Add` makes it ours,
    /// `Remove` removes it.
    Leftover,
    /// A foreign address is gone from all interfaces.
    ForeignGone {
        /// The address.
        address: IpAddr,
    },
    /// An address we hold was deleted by somebody else, or by the kernel at the end of its lifetime.
    Gone {
        /// The address.
        address: IpAddr,
    },
    /// The state of our interface; told at start, after everything else that was found then.
    Link(Link),
    /// Whether the source address is on this host, and can be sent from; told at start if there is one.
    Source {
        /// It is.
        present: bool,
    },
}

/// The thread's handle. Dropping the last one ends the thread, but removes no address.
///
/// Virtual routers are told apart by a number of the caller's choice. Their requests are carried out one after
/// the other in the order they come in, each as quickly as the kernel allows.
#[derive(Clone, Debug)]
pub struct Addresses {
    orders: UnboundedSender<(usize, Order)>,
}

#[derive(Debug)]
enum Order {
    Serve(Settings),
    Request(Request),
}

impl Addresses {
    /// Starts the thread, in the network namespace of the caller, without a virtual router. Each event comes
    /// with the number of its router; when `events` closes, the thread has died.
    ///
    /// # Errors
    /// When there is no thread or no netlink socket to be had.
    pub fn start(events: UnboundedSender<(usize, Event)>) -> anyhow::Result<Addresses> {
        let (orders, inbox) = unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("address".to_owned())
            .spawn(move || serve(events, inbox, &ready))
            .context("cannot start the thread of the addresses")?;
        is_ready.recv().context("the thread of the addresses died at start")??;
        Ok(Addresses { orders })
    }

    /// Serves one more virtual router, from now on; never blocks. Marked addresses of it that an earlier run left
    /// behind, on whatever interface, are removed first (no others, since those may be another agent's). Call it
    /// once the virtual router's [lock](super::lock::Lock::acquire) is taken, and once for each number.
    pub fn serve(&self, router: usize, settings: Settings) {
        self.order(router, Order::Serve(settings));
    }

    /// Hands over a request; never blocks.
    pub fn request(&self, router: usize, request: Request) {
        self.order(router, Order::Request(request));
    }

    /// [`Request::Add`].
    pub fn add(&self, router: usize, not_after: Time) {
        self.request(router, Request::Add { not_after });
    }

    /// [`Request::Renew`].
    pub fn renew(&self, router: usize, not_after: Time) {
        self.request(router, Request::Renew { not_after });
    }

    /// [`Request::Remove`].
    pub fn remove(&self, router: usize) {
        self.request(router, Request::Remove);
    }

    fn order(&self, router: usize, order: Order) {
        // A dead thread shows by the closed channel of events.
        let _ = self.orders.send((router, order));
    }
}

fn serve(
    events: UnboundedSender<(usize, Event)>,
    orders: UnboundedReceiver<(usize, Order)>,
    ready: &std::sync::mpsc::Sender<anyhow::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error).context("cannot start the runtime of the addresses"));
            return;
        }
    };
    runtime.block_on(async {
        match worker::Worker::new(events) {
            Ok(worker) => {
                let _ = ready.send(Ok(()));
                worker.run(orders).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}
