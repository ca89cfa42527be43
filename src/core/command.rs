//! What the core wants done. Commands are carried out in the order they are given.

use crate::core::Time;
use crate::core::event::Event;
use std::net::IpAddr;

/// A deed for the caller of the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Send an advert of this priority to each of these addresses, at once.
    Advertise {
        /// Priority field of the advert; 0 gives the address up.
        priority: u8,
        /// Receivers, one datagram each.
        to: Vec<IpAddr>,
    },
    /// Add the addresses, unless the clock has passed `not_after` by then. Answer with
    /// [`Kernel`](crate::core::Kernel).
    Add {
        /// Last moment at which the kernel may be asked (none: no limit).
        not_after: Option<Time>,
    },
    /// Renew the lifetime of the addresses, under the same condition.
    Renew {
        /// Last moment at which the kernel may be asked (none: no limit).
        not_after: Option<Time>,
    },
    /// Remove the addresses. Not being there is no error.
    Remove,
    /// Announce each address once (gratuitous ARP, request and reply form).
    Announce,
    /// Ask by an ARP probe who else has the addresses; answers come back through
    /// [`Agent::handle_arp`](crate::core::Agent::handle_arp).
    Probe,
    /// Ask these stations by ARP for a sign of life; answers come back the same way.
    Ask(Vec<IpAddr>),
    /// Read the metadata again, soon.
    Reread,
    /// Look at the load balancer more often (`true`, while unfit) or at the usual interval.
    Hurry(bool),
    /// These take part from now on: keep the way to them open.
    Peers(Vec<IpAddr>),
    /// Tell the person who drains this host how it went.
    Drained(Result<(), String>),
    /// Tell people.
    Tell(Event),
    /// The agent has let go of everything and may end.
    Exit,
}

impl Command {
    /// Whether only a router that still is what it was when it decided so may do it.
    pub fn is_for_an_active(&self) -> bool {
        match self {
            Command::Advertise { .. } | Command::Add { .. } | Command::Renew { .. } | Command::Announce => {
                true
            }
            Command::Remove | Command::Probe | Command::Ask(_) | Command::Reread | Command::Hurry(_) => false,
            Command::Peers(_) | Command::Drained(_) | Command::Tell(_) | Command::Exit => false,
        }
    }
}
