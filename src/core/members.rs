//! Who takes part, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A host that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Stable identity: the host's uuid in Rancher, its address in a peer list.
    pub id: String,
    /// How people call it.
    pub name: String,
    /// The address its adverts come from and go to.
    pub address: IpAddr,
    /// Set by the host label `outrider.priority` (1-254).
    pub priority: Option<u8>,
}

/// Whether this host takes part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It does.
    Member(Member),
    /// It does not (any more): why, in words for people ("host label role=load-balancer is gone").
    Left(String),
}

/// Everybody who takes part, as one answer of the metadata (or the peer list) gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// This host.
    pub me: Standing,
    /// The other members, sorted by id.
    pub others: Vec<Member>,
}

impl Membership {
    /// This host as a member, if it is one.
    pub fn me(&self) -> Option<&Member> {
        match &self.me {
            Standing::Member(me) => Some(me),
            Standing::Left(_) => None,
        }
    }

    /// Everybody who takes part, this host included.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.me().into_iter().chain(&self.others)
    }

    /// Place of a member in the order of this virtual router: 0 for the first. `earlier`: the virtual routers of
    /// the agent that come before it.
    pub fn rank(&self, earlier: &[u8], vrid: u8, id: &str) -> usize {
        let order = self.order(earlier, vrid);
        order.iter().position(|member| member.id == id).unwrap_or(order.len())
    }

    /// The first-ranked member other than the one at `address`.
    pub fn first_besides(&self, earlier: &[u8], vrid: u8, address: IpAddr) -> Option<&Member> {
        self.order(earlier, vrid).into_iter().find(|member| member.address != address)
    }

    /// Everybody who takes part, in the order of a virtual router.
    ///
    /// Rendezvous hashing: each member's score depends on nobody else, so the order of two members never
    /// changes because a third comes or goes. With several virtual routers the first place of each goes to the
    /// best of those that are first for the fewest earlier ones, so that the addresses are spread.
    fn order(&self, earlier: &[u8], vrid: u8) -> Vec<&Member> {
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut order: Vec<&Member> = Vec::new();
        for vrid in earlier.iter().copied().chain([vrid]) {
            order = self.all().collect();
            order.sort_by_cached_key(|member| Reverse((score(vrid, &member.id), member.id.clone())));
            let load = |member: &Member| firsts.get(member.id.as_str()).copied().unwrap_or(0);
            // Of equals the first one: the best-hashed.
            if let Some(first) = (0..order.len()).min_by_key(|at| order.get(*at).map(|member| load(member))) {
                order.get_mut(..=first).unwrap_or_default().rotate_right(1);
            }
            if let Some(first) = order.first() {
                *firsts.entry(first.id.as_str()).or_default() += 1;
            }
        }
        order
    }
}

/// Priority of a host that takes part by multicast, without a list of members to be ranked in: any of 1-254, the
/// same after each start.
pub fn lone_priority(vrid: u8, id: &str) -> u8 {
    u8::try_from(score(vrid, id) % 254).unwrap_or(0) + 1
}

/// Priority of a rank among `members` hosts: 254 for the first, in steps wide enough that the Skew_Times of
/// two Backups differ by 6 % of the interval (when there are 16 members or fewer). Always within 1-254.
pub fn priority(rank: usize, members: usize) -> u8 {
    let step = (253 / members.max(1)).clamp(1, 16);
    254u8.saturating_sub(u8::try_from(rank.saturating_mul(step)).unwrap_or(253)).max(1)
}

/// FNV-1a over VRID and id, finished by MurmurHash3's mixer: the same on every host and in every version.
fn score(vrid: u8, id: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = std::iter::once(vrid).chain(id.bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}
