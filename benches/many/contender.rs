//! Who is measured, with which settings: the same routers, priorities and intervals for all.

use super::agent::{Agent, KEEPALIVED, copy, outrider};
use anyhow::{Context, Result};
use outrider::lab::Host;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use tokio::process::Command;

/// A program and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Outrider,
    /// outrider with addresses that outlive it, as keepalived's do.
    Forever,
    Keepalived,
}

impl Contender {
    pub const ALL: [Contender; 3] = [Self::Outrider, Self::Forever, Self::Keepalived];

    /// How it is called in filters.
    pub fn key(self) -> &'static str {
        match self {
            Self::Outrider => "outrider",
            Self::Forever => "outrider-forever",
            Self::Keepalived => "keepalived",
        }
    }

    /// How it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outrider => "outrider",
            Self::Forever => "outrider, no lease",
            Self::Keepalived => "keepalived",
        }
    }

    /// Starts it on a host.
    pub async fn start(self, host: &Host, peer: &Host, routers: u8, folder: &Path) -> Result<Agent> {
        let folder = folder.join(host.name());
        fs::create_dir(&folder)?;
        // As outrider would rank them.
        let priority = 254 - 16 * host.index();
        if self == Self::Keepalived {
            let file = folder.join("keepalived.conf");
            fs::write(&file, keepalived(host, peer, routers, priority)).context("write keepalived.conf")?;
            let mut command = Command::new(copy(Path::new(KEEPALIVED), &folder)?);
            command
                .args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog"])
                .arg("--use-file")
                .arg(file);
            command.arg("--pid").arg(folder.join("keepalived.pid"));
            command.arg("--vrrp_pid").arg(folder.join("vrrp.pid"));
            return Ok(Agent::new(host.start("keepalived", command).await?, false));
        }
        let vips: Vec<String> = (1..=routers).map(|vrid| format!("{}/32", vip(vrid))).collect();
        let mut command = Command::new(copy(&outrider(), &folder)?);
        command.arg("run").env_clear().envs([
            ("OUTRIDER_VIP", vips.join(";").as_str()),
            ("OUTRIDER_INTERFACE", "eth0"),
            ("OUTRIDER_PEERS", &peer.address().to_string()),
            ("OUTRIDER_SOURCE", &host.address().to_string()),
            ("OUTRIDER_PRIORITY", &priority.to_string()),
            ("OUTRIDER_ADVERT_INTERVAL", "100ms"),
            ("OUTRIDER_CHECK", "none"),
            ("OUTRIDER_LEASE", if self == Self::Forever { "forever" } else { "auto" }),
        ]);
        Ok(Agent::new(host.start("outrider", command).await?, true))
    }

    /// How many of its routers have become Backup.
    pub fn backups(self, agent: &Agent) -> usize {
        let words = if agent.is_outrider() { "Initialize -> Backup" } else { "Entering BACKUP STATE" };
        let lines = agent.process().subscribe();
        lines.borrow().iter().filter(|line| line.text.contains(words)).count()
    }
}

/// The address of a virtual router.
pub fn vip(vrid: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 20, vrid)
}

/// Whether it is one of them.
pub fn is_vip(address: Ipv4Addr) -> bool {
    address.octets()[..3] == [10, 10, 20]
}

/// As fast as outrider is set: version 3, 100 ms, real-time priority, the same announcements. At its usual limit of
/// 10 ms without a pause, the kernel would kill it while it starts so many, or takes them over.
fn keepalived(host: &Host, peer: &Host, routers: u8, priority: usize) -> String {
    let mut text = format!(
        "global_defs {{
    router_id {}
    vrrp_version 3
    vrrp_garp_master_delay 1
    vrrp_garp_master_refresh 60
    vrrp_rt_priority 50
    vrrp_rlimit_rttime 5000000
}}
",
        host.name()
    );
    for vrid in 1..=routers {
        let (vip, own, peer) = (vip(vrid), host.address(), peer.address());
        let _ = write!(
            text,
            "
vrrp_instance v{vrid} {{
    state BACKUP
    interface eth0
    virtual_router_id {vrid}
    priority {priority}
    advert_int 0.1
    nopreempt
    unicast_src_ip {own}
    unicast_peer {{
        {peer}
    }}
    virtual_ipaddress {{
        {vip}/32 dev eth0
    }}
}}
"
        );
    }
    text
}
