//! How the routers of a group speak to each other, the same for all of them.

use outrider::lab::VIP;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The virtual router: what outrider derives from the last byte of either address.
pub const VRID: u8 = 2;
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    pub version: u8,
    pub ipv6: bool,
    pub multicast: bool,
    /// Of version 2's simple authentication.
    pub password: Option<&'static str>,
}

impl Speech {
    pub const V2: Speech = Speech { version: 2, ipv6: false, multicast: true, password: None };
    pub const V2_UNICAST: Speech = Speech { multicast: false, ..Speech::V2 };
    /// Longer than the eight bytes that go over the wire, as in Rancher's catalog.
    pub const V2_PASS: Speech = Speech { password: Some("incommsys-vips"), ..Speech::V2 };
    pub const V3: Speech = Speech { version: 3, ..Speech::V2 };
    pub const V3_UNICAST: Speech = Speech { multicast: false, ..Speech::V3 };
    pub const IPV6: Speech = Speech { ipv6: true, ..Speech::V3 };
    pub const IPV6_UNICAST: Speech = Speech { multicast: false, ..Speech::IPV6 };

    /// The address to keep alive.
    pub fn vip(&self) -> IpAddr {
        if self.ipv6 { VIP6.into() } else { VIP.into() }
    }

    /// Where a host's adverts come from. Multicast over IPv6 uses the link-local address.
    pub fn source(&self, host: usize) -> IpAddr {
        match (self.ipv6, self.multicast) {
            (false, _) => IpAddr::from([10, 10, 10, 11 + u8::try_from(host).unwrap()]),
            (true, true) => link_local(host, 1).into(),
            (true, false) => global(host).into(),
        }
    }

    pub fn interval(&self) -> Duration {
        Duration::from_millis(if self.version == 2 { 1000 } else { 200 })
    }

    /// Skew_Time at most: at the lowest priority.
    pub fn skew(&self) -> Duration {
        self.interval()
    }

    /// Master_Down_Interval at most.
    pub fn master_down(&self) -> Duration {
        self.interval() * 4
    }

    /// How long the address of an agent that was killed stays: its lease is the next whole second above the longest
    /// Master_Down_Interval, and the kernel looks for what has expired a second and a half late at worst.
    pub fn lease(&self) -> Duration {
        let seconds = if self.version == 2 { 4 } else { 1 };
        Duration::from_secs(seconds) + Duration::from_millis(1500)
    }

    /// outrider's settings for a host of so many.
    pub fn variables(&self, host: usize, hosts: usize) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("OUTRIDER_VIP", self.vip().to_string()),
            ("OUTRIDER_INTERFACE", "eth0".into()),
            ("OUTRIDER_SOURCE", self.source(host).to_string()),
            ("OUTRIDER_VRRP_VERSION", self.version.to_string()),
        ];
        if self.multicast {
            variables.push(("OUTRIDER_TRANSPORT", "multicast".into()));
            variables.push(("OUTRIDER_PEERS", "none".into()));
        } else {
            let peers: Vec<String> = (0..hosts).map(|host| self.source(host).to_string()).collect();
            variables.push(("OUTRIDER_PEERS", peers.join(",")));
        }
        if let Some(password) = self.password {
            variables.push(("OUTRIDER_AUTH_PASS", password.into()));
        }
        variables
    }
}

pub fn global(host: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11 + u16::try_from(host).unwrap())
}

/// A host may have several: vrrpd's adverts come from one of its own. All of one host are above those of the host
/// before it.
pub fn link_local(host: usize, number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x11 + u16::try_from(host).unwrap(), number)
}
