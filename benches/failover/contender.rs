//! Who is measured, with which settings.

pub use super::agent::Agent;
use super::agent::{KEEPALIVED, copy, outrider};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use outrider::lab::{Host, VIP};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A program and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// outrider at its defaults.
    Outrider,
    /// keepalived as Rancher's catalog has it, with its mistakes mended.
    Keepalived,
    /// keepalived tuned as far as its manual allows.
    Tuned,
    /// outrider at keepalived's usual interval.
    OutriderSlow,
    /// outrider at its shortest interval.
    OutriderFast,
}

impl Contender {
    pub const ALL: [Contender; 5] =
        [Self::Outrider, Self::Keepalived, Self::Tuned, Self::OutriderSlow, Self::OutriderFast];

    /// How it is called in filters.
    pub fn key(self) -> &'static str {
        match self {
            Self::Outrider => "outrider",
            Self::Keepalived => "keepalived",
            Self::Tuned => "keepalived-tuned",
            Self::OutriderSlow => "outrider-1s",
            Self::OutriderFast => "outrider-10ms",
        }
    }

    /// How it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outrider => "outrider",
            Self::Keepalived => "keepalived",
            Self::Tuned => "keepalived, tuned",
            Self::OutriderSlow => "outrider, 1 s",
            Self::OutriderFast => "outrider, 10 ms",
        }
    }

    /// The longest period of anything it does: a fault comes at a random moment of it.
    pub fn period(self) -> Duration {
        match self {
            Self::Keepalived => Duration::from_secs(2),
            Self::Outrider | Self::Tuned | Self::OutriderSlow | Self::OutriderFast => Duration::from_secs(1),
        }
    }

    /// Its advertisement interval.
    pub fn interval(self) -> Duration {
        Duration::from_millis(match self {
            Self::Outrider => 200,
            Self::Tuned => 100,
            Self::OutriderFast => 10,
            Self::Keepalived | Self::OutriderSlow => 1000,
        })
    }

    /// Whether it is outrider in any form.
    pub fn is_outrider(self) -> bool {
        !matches!(self, Self::Keepalived | Self::Tuned)
    }

    /// Starts it on a host. `folder` is that host's own.
    pub async fn start(self, host: &Host, peer: &Host, folder: &Path) -> Result<Agent> {
        let process = if self.is_outrider() {
            let mut command = command(folder, "run")?;
            match self {
                Self::OutriderSlow => drop(command.env("OUTRIDER_ADVERT_INTERVAL", "1s")),
                Self::OutriderFast => drop(command.env("OUTRIDER_ADVERT_INTERVAL", "10ms")),
                Self::Outrider | Self::Keepalived | Self::Tuned => {}
            }
            host.start("outrider", command).await?
        } else {
            let config = if self == Self::Tuned { tuned(host, peer) } else { original(host) };
            let file = folder.join("keepalived.conf");
            fs::write(&file, config).context("write keepalived.conf")?;
            // Of one that was killed a moment ago: where that is not quite dead, keepalived does not start.
            for name in ["keepalived.pid", "vrrp.pid"] {
                let _ = fs::remove_file(folder.join(name));
            }
            let mut command = Command::new(copy(Path::new(KEEPALIVED), folder)?);
            command
                .args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog"])
                .arg("--use-file")
                .arg(file);
            command.arg("--pid").arg(folder.join("keepalived.pid"));
            command.arg("--vrrp_pid").arg(folder.join("vrrp.pid"));
            host.start("keepalived", command).await?
        };
        Ok(Agent::new(process, self.is_outrider()))
    }
}

/// A command of outrider, with the settings that have no default.
pub fn command(folder: &Path, word: &str) -> Result<Command> {
    let mut command = Command::new(copy(&outrider(), folder)?);
    command.arg(word).env_clear().env("OUTRIDER_VIP", VIP.to_string());
    Ok(command)
}

/// The configuration of Rancher's catalog entry. Changed so that it works: the pipe of the check runs in a shell
/// and looks for `0.0.0.0:80 ` (not for any 80, nor for the port 80 of the lab's metadata service), the refresh has
/// its number, nobody gets mail.
fn original(host: &Host) -> String {
    format!(
        r#"global_defs {{
    router_id {name}
    vrrp_version 2
    vrrp_garp_master_delay 1
    vrrp_garp_master_refresh 60
    script_user root
}}

vrrp_script chk_haproxy {{
    script       "/bin/sh -c 'ss -ltn | grep \"0.0.0.0:80 \"'"
    timeout 3
    interval 2
    fall 2
    rise 2
}}

vrrp_instance apps-vips {{
    state BACKUP
    interface eth0
    virtual_router_id 1
    priority 100
    advert_int 1
    nopreempt
    dont_track_primary
    track_script {{
        chk_haproxy
    }}
    authentication {{
        auth_type PASS
        auth_pass incommsys-vips
    }}
    virtual_ipaddress {{
        {VIP}/24 dev eth0
    }}
}}
"#,
        name = host.name()
    )
}

/// Version 3 every 100 ms, unicast, the least skew, a check each second that wants an answer and believes the
/// first failure.
fn tuned(host: &Host, peer: &Host) -> String {
    format!(
        r#"global_defs {{
    router_id {name}
    vrrp_version 3
    vrrp_garp_master_delay 1
    vrrp_garp_master_refresh 60
    vrrp_rt_priority 50
    script_user root
}}

vrrp_script chk_haproxy {{
    script       "/usr/bin/curl --silent --output /dev/null --max-time 1 http://127.0.0.1/"
    timeout 1
    interval 1
    fall 1
    rise 1
}}

vrrp_instance apps-vips {{
    state BACKUP
    interface eth0
    virtual_router_id 1
    priority {priority}
    advert_int 0.1
    nopreempt
    unicast_src_ip {own}
    unicast_peer {{
        {peer}
    }}
    track_script {{
        chk_haproxy
    }}
    virtual_ipaddress {{
        {VIP}/24 dev eth0
    }}
}}
"#,
        name = host.name(),
        priority = 254 - host.index(),
        own = host.address(),
        peer = peer.address()
    )
}

/// What an agent last said it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    Backup,
    Other,
}

impl Agent {
    /// What it last said.
    pub fn standing(&self) -> Standing {
        let words = if self.is_outrider() {
            ["-> Active", "-> Backup", "-> Fault"]
        } else {
            ["Entering MASTER STATE", "Entering BACKUP STATE", "Entering FAULT STATE"]
        };
        let lines = self.process().subscribe();
        let lines = lines.borrow();
        let last = lines.iter().rev().find_map(|line| words.iter().position(|word| line.text.contains(word)));
        match last {
            Some(0) => Standing::Active,
            Some(1) => Standing::Backup,
            _ => Standing::Other,
        }
    }

    /// Asks it to end.
    pub fn terminate(&self) -> Result<()> {
        self.process().signal(Signal::SIGTERM)
    }

    /// Freezes all of its processes.
    pub fn freeze(&self) -> Result<()> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Ends [`Agent::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.signal_all(Signal::SIGCONT)
    }
}
