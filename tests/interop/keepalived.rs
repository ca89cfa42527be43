//! Debian's keepalived.

use crate::site::{Settings, tool};
use crate::speech::{Speech, VRID};
use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrider::lab::Host;
use outrider::lab::process::Process;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use tokio::process::Command;

/// Starts it with files of its own in this folder. `hosts`: how many there are, for the list of peers.
pub async fn start(
    host: &Host,
    hosts: usize,
    speech: &Speech,
    settings: &Settings,
    folder: &Path,
) -> Result<Process> {
    let file = folder.join("keepalived.conf");
    fs::write(&file, configuration(host, hosts, speech, settings))?;
    let mut command = Command::new(tool::find("keepalived", "keepalived")?);
    command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--log-detail"]);
    command.arg("--use-file").arg(file);
    command.arg("--pid").arg(folder.join("keepalived.pid"));
    command.arg("--vrrp_pid").arg(folder.join("vrrp.pid"));
    host.start("keepalived", command).await
}

fn configuration(host: &Host, hosts: usize, speech: &Speech, settings: &Settings) -> String {
    let mut lines = format!(
        "    state BACKUP\n    interface eth0\n    virtual_router_id {VRID}\n    priority {}\n    advert_int {}\n",
        settings.priority,
        speech.interval().as_secs_f64()
    );
    if !settings.preempt {
        lines += "    nopreempt\n";
    }
    if speech.ipv6 {
        lines += "    native_ipv6\n";
    }
    if !speech.multicast {
        let peers: String = (0..hosts)
            .filter(|peer| *peer != host.index())
            .map(|peer| format!("        {}\n", speech.source(peer)))
            .collect();
        let own = speech.source(host.index());
        let _ = write!(lines, "    unicast_src_ip {own}\n    unicast_peer {{\n{peers}    }}\n");
    }
    if let Some(password) = speech.password {
        let _ = write!(
            lines,
            "    authentication {{\n        auth_type PASS\n        auth_pass {password}\n    }}\n"
        );
    }
    let list = |addresses: &[IpAddr]| {
        let prefix = |address: &IpAddr| if address.is_ipv4() { 24 } else { 64 };
        let line = |address| format!("        {address}/{} dev eth0\n", prefix(address));
        addresses.iter().map(line).collect::<String>()
    };
    let parse = |addresses: &[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let addresses = list(&[&[speech.vip()], &parse(settings.more_addresses)[..]].concat());
    let _ = write!(lines, "    virtual_ipaddress {{\n{addresses}    }}\n");
    if !settings.excluded_addresses.is_empty() {
        let excluded = list(&parse(settings.excluded_addresses));
        let _ = write!(lines, "    virtual_ipaddress_excluded {{\n{excluded}    }}\n");
    }
    format!(
        "global_defs {{\n    router_id {name}\n    vrrp_version {version}\n    vrrp_garp_master_delay 1\n    \
         script_user root\n}}\n\nvrrp_instance vips {{\n{lines}}}\n",
        name = host.name(),
        version = speech.version
    )
}

/// Ends all of its processes as a crash would. Stopped first, or the parent would start a new child, or the child end
/// in good order because its parent has died.
pub fn kill9(process: &Process) -> Result<()> {
    ensure!(process.exit_status().is_none(), "keepalived has ended");
    let own = process.pid();
    let program = fs::read_link(format!("/proc/{own}/exe"))?;
    let mut pids = vec![own];
    for child in fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?.split_ascii_whitespace() {
        if fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe == program) {
            pids.push(child.parse()?);
        }
    }
    ensure!(pids.len() == 2, "keepalived should have one child: {pids:?}");
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for pid in &pids {
            kill(Pid::from_raw(*pid), signal)?;
        }
    }
    Ok(())
}
