//! Debian's FRR: zebra and vrrpd.
//!
//! vrrpd opens and closes an interface that has the address, instead of adding and removing the address: a macvlan
//! with the virtual router's hardware address.

use crate::holders::Holders;
use crate::site::{SOON, Settings, ip, tool};
use crate::speech::{Speech, VRID, link_local};
use anyhow::Result;
use nix::sys::signal::Signal;
use outrider::lab::Host;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use std::fs;
use std::path::Path;
use tokio::process::Command;

/// The interface that has the address.
pub const INTERFACE: &str = "vrrp";

/// The two daemons.
pub struct Frr {
    zebra: Process,
    vrrpd: Process,
}

impl Frr {
    pub fn processes(&self) -> [&Process; 2] {
        [&self.zebra, &self.vrrpd]
    }

    pub fn vrrpd(&self) -> &Process {
        &self.vrrpd
    }

    /// Ends it in good order: vrrpd gives the address up, and has zebra close the interface.
    pub async fn stop(&self) -> Result<()> {
        for process in [&self.vrrpd, &self.zebra] {
            process.signal(Signal::SIGTERM)?;
            process.wait(SOON).await?;
        }
        Ok(())
    }

    pub async fn kill9(&self) -> Result<()> {
        for process in self.processes() {
            process.kill9()?;
            process.wait(SOON).await?;
        }
        Ok(())
    }
}

/// What vrrpd says when it looks for its address before zebra has told it, on a busy machine. It then advertises and
/// announces nothing, for good.
pub const BLIND: &str = "Failed to find address to bind on";

/// Closes the interface of a host whose vrrpd was killed.
pub async fn close(namespace: &Namespace) -> Result<()> {
    ip(namespace, &format!("link set {INTERFACE} protodown on")).await.map(drop)
}

pub async fn start(
    host: &Host,
    holders: &Holders,
    speech: &Speech,
    settings: &Settings,
    folder: &Path,
) -> Result<Frr> {
    let namespace = host.namespace();
    if ip(namespace, &format!("link show {INTERFACE}")).await.is_err() {
        holders.watch_link(host.index(), namespace).await?;
        number(namespace, host.index(), speech).await?;
    }
    let zebra = daemon(host, "zebra", "", folder).await?;
    // vrrpd waits for ten seconds if there is no zebra yet.
    zebra.wait_for_line("starting: ", SOON).await?;
    let (family, version) = (if speech.ipv6 { "ipv6" } else { "ip" }, speech.version);
    let configuration = format!(
        "interface eth0\n vrrp {VRID} version {version}\n vrrp {VRID} priority {}\n \
         vrrp {VRID} advertisement-interval {}\n{} vrrp {VRID} {family} {}\n",
        settings.priority,
        speech.interval().as_millis(),
        if settings.preempt { String::new() } else { format!(" no vrrp {VRID} preempt\n") },
        speech.vip()
    );
    let vrrpd = daemon(host, "vrrpd", &configuration, folder).await?;
    Ok(Frr { zebra, vrrpd })
}

/// The interface with the address.
async fn number(namespace: &Namespace, host: usize, speech: &Speech) -> Result<()> {
    let (byte, prefix) = if speech.ipv6 { (2, 128) } else { (1, 32) };
    ip(namespace, &format!("link add {INTERFACE} link eth0 type macvlan mode bridge")).await?;
    ip(namespace, &format!("link set {INTERFACE} address 00:00:5e:00:{byte:02x}:{VRID:02x}")).await?;
    ip(namespace, &format!("link set {INTERFACE} addrgenmode none")).await?;
    if speech.ipv6 {
        // Its adverts come from the interface's first one.
        let source = link_local(host, 2);
        ip(namespace, &format!("address add {source}/64 dev {INTERFACE} nodad")).await?;
    }
    ip(namespace, &format!("address add {}/{prefix} dev {INTERFACE} nodad", speech.vip())).await?;
    // Closed until vrrpd opens it.
    close(namespace).await?;
    ip(namespace, &format!("link set {INTERFACE} up")).await.map(drop)
}

async fn daemon(host: &Host, name: &str, configuration: &str, folder: &Path) -> Result<Process> {
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, configuration)?;
    // The daemons insist that their user, root here, is in the group frrvty. So it is, in a file that only they see.
    let groups = fs::read_to_string("/etc/group")?;
    let others: Vec<&str> = groups.lines().filter(|line| !line.starts_with("frrvty:")).collect();
    fs::write(folder.join("group"), format!("{}\nfrrvty:x:0:root\n", others.join("\n")))?;
    let mut command = Command::new(tool::find("unshare", "util-linux")?);
    command.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc/group && shift && exec \"$@\"", "sh"]);
    command.arg(folder.join("group")).arg(tool::find(name, "frr")?);
    command.args(["--user", "root", "--group", "root", "--vty_port", "0", "--log", "stdout"]);
    command.args(["--log-level", "info"]);
    command.arg("--config_file").arg(file);
    command.arg("--pid_file").arg(folder.join(format!("{name}.pid")));
    command.arg("--vty_socket").arg(folder);
    command.arg("--socket").arg(folder.join("zserv.api"));
    host.start(name, command).await
}
