//! Who on this host serves what: locks that vanish with their owner.

use std::io;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Something only one process of this network namespace may do at a time.
///
/// It is the name of an abstract Unix socket: no file, nothing to clean up, free again the moment its owner is
/// gone, however it went. Programs that the owner starts do not inherit it.
#[derive(Debug)]
pub struct Lock {
    _socket: UnixDatagram,
}

impl Lock {
    /// Takes the lock of one virtual router: (interface, address family, VRID). `None`: somebody has it.
    ///
    /// # Errors
    /// When the name does not fit into a socket address, or there is no descriptor left.
    pub fn acquire(interface: &str, family: &str, vrid: u8) -> io::Result<Option<Lock>> {
        Lock::named(&format!("outrider/router/{interface}/{family}/{vrid}"))
    }

    /// Takes the lock of one address, which says whose a marked address is: two agents with different VRIDs
    /// would otherwise clean up after each other. Link-local addresses have one on each interface. `None`:
    /// somebody has it.
    ///
    /// # Errors
    /// As with [`Lock::acquire`].
    pub fn address(address: IpAddr, interface: &str) -> io::Result<Option<Lock>> {
        if super::is_link_local(address) {
            Lock::named(&format!("outrider/address/{address}%{interface}"))
        } else {
            Lock::named(&format!("outrider/address/{address}"))
        }
    }

    fn named(name: &str) -> io::Result<Option<Lock>> {
        match UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?) {
            Ok(socket) => Ok(Some(Lock { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}
