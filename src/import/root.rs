//! What stands outside of every block: who owns which block.

use super::global;
use super::group::{self, Garp, Group};
use super::instance::{self, Instance};
use super::part::Part;
use super::table::{self, Row, Treat};
use super::tracked::{self, Tracked};
use super::tree::Statement;
use Treat::{Block, Map, Without};

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Import {
    pub global: Part,
    pub tracked: Vec<Tracked>,
    pub groups: Vec<Group>,
    pub garps: Vec<Garp>,
    pub instances: Vec<Instance>,
    /// What stands in none of these.
    pub outside: Part,
}

impl AsMut<Part> for Import {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.outside
    }
}

const STATIC: &str = "the network configuration of the host is the place for it: it stays where it is, whoever has the address";
const NAMESPACE: &str = "the agent runs where it is started: ip netns exec, or the container's network";
const LVS: &str = "LVS: the kernel's load balancer is not the agent's subject, it moves the address. Leave LVS to keepalived \
                   without its vrrp_instance (keepalived -C), or put HAProxy or nginx beside the agent, which checks them";
const BFD: &str = "there is no BFD here; with OUTRIDER_VRRP_VERSION=3 adverts can be 10 ms apart (OUTRIDER_ADVERT_INTERVAL)";
const LINKBEAT: &str = "the kernel tells of every change of a link; nothing is polled";

/// What may stand there.
pub(super) static TABLE: &[Row<Import>] = &[
    ("global_defs", Map(|import, it| table::read(global::TABLE, &mut import.global, it.inner()))),
    ("vrrp_script", Map(script)),
    ("vrrp_track_process", Map(process)),
    ("vrrp_sync_group", Map(sync_group)),
    ("garp_group", Map(garp_group)),
    ("vrrp_instance", Map(vrrp_instance)),
    ("track_file", Block(tracked::FILE)),
    ("vrrp_track_file", Block(tracked::FILE)),
    ("virtual_server", Block(LVS)),
    ("virtual_server_group", Without(LVS)),
    ("SSL", Block(LVS)),
    ("bfd_instance", Block(BFD)),
    ("static_ipaddress", Without(STATIC)),
    ("static_routes", Without(STATIC)),
    ("static_rules", Without(STATIC)),
    ("track_group", Block(STATIC)),
    ("linkbeat_interfaces", Without(LINKBEAT)),
    ("linkbeat_use_polling", Without(LINKBEAT)),
    (
        "interface_up_down_delays",
        Without("a link that is down makes a host unfit at once; OUTRIDER_TRACK_LINK=false ignores it"),
    ),
    ("net_namespace", Without(NAMESPACE)),
    ("net_namespace_ipvs", Without(NAMESPACE)),
    ("namespace_with_ipsets", Without(global::FIREWALL)),
    ("instance", Without("any number of agents run side by side, as long as they have different addresses")),
    ("use_pid_dir", Without("there is no pid file")),
    ("child_wait_time", Without("there are no child processes to wait for, except checks by exec:")),
];

fn script(import: &mut Import, it: &Statement) {
    if let Some(tracked) =
        named(import, it, Tracked::new, |import| &mut import.tracked, |tracked| &tracked.name)
    {
        table::read(tracked::SCRIPT, tracked, it.inner());
    }
}

fn process(import: &mut Import, it: &Statement) {
    if let Some(tracked) =
        named(import, it, Tracked::new, |import| &mut import.tracked, |tracked| &tracked.name)
    {
        table::read(tracked::PROCESS, tracked, it.inner());
    }
}

fn sync_group(import: &mut Import, it: &Statement) {
    if let Some(group) = named(import, it, Group::new, |import| &mut import.groups, |group| &group.name) {
        table::read(group::SYNC, group, it.inner());
        if let Some(group) = import.groups.last_mut() {
            tracked::mark(&mut group.uses, &import.tracked);
        }
    }
}

fn garp_group(import: &mut Import, it: &Statement) {
    let mut garp = Garp::new();
    table::read(group::GARP, &mut garp, it.inner());
    import.garps.push(garp);
}

fn vrrp_instance(import: &mut Import, it: &Statement) {
    if let Some(instance) = named(import, it, Instance::new, |import| &mut import.instances, |one| &one.name)
    {
        table::read(instance::TABLE, instance, it.inner());
        if let Some(instance) = import.instances.last_mut() {
            tracked::mark(&mut instance.uses, &import.tracked);
        }
    }
}

/// Adds a block that needs a name of its own.
fn named<'a, T>(
    import: &'a mut Import,
    it: &Statement,
    new: fn(&str, &Statement) -> T,
    list: fn(&mut Import) -> &mut Vec<T>,
    name_of: fn(&T) -> &str,
) -> Option<&'a mut T> {
    let what = match it.words.as_slice() {
        [_] => "has no name; left out, as keepalived does",
        [_, name] if list(import).iter().any(|other| name_of(other) == name) => {
            "there is one of that name already; left out, as keepalived does"
        }
        [_, name] => {
            let new = new(name, it);
            let list = list(import);
            list.push(new);
            return list.last_mut();
        }
        _ => "has more than a name; left out, as keepalived does",
    };
    import.outside.without(it, what);
    None
}
