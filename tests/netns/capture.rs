//! Every packet the agents send, as tshark reads it.

use crate::steady::steady;
use crate::support::{Ear, SOON, Site, run, tool};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use outrider::lab::process::Process;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;
use tokio::process::Command;

const PACKAGE: &str = "tshark";
/// Checksums are verified where the dissector leaves it to a preference.
const VERIFY: &str = "-o ip.check_checksum:TRUE";

/// A capture of everything on the switch that could be an agent's.
struct Capture {
    process: Process,
    file: PathBuf,
}

impl Capture {
    async fn start(site: &Site) -> Result<Capture> {
        let file = site.file("capture.pcapng");
        let mut command = Command::new(tool::find("dumpcap", PACKAGE)?);
        command.args(["-q", "-i", "bridge", "-f", "ip proto 112 or arp", "-w"]).arg(&file);
        let process = Process::start(site.lab.switch().namespace(), "dumpcap", command).await?;
        process.wait_for_line("File: ", SOON).await?;
        Ok(Capture { process, file })
    }

    async fn end(self) -> Result<PathBuf> {
        self.process.signal(Signal::SIGINT)?;
        let status = self.process.wait(SOON).await?;
        ensure!(status.success(), "dumpcap: {status}: {}", self.process.tail(10));
        Ok(self.file)
    }
}

/// Rows of fields of the packets that pass a filter.
async fn packets(
    site: &Site,
    file: &std::path::Path,
    options: &str,
    filter: &str,
    fields: &[&str],
) -> Result<Vec<Vec<String>>> {
    let file = file.to_str().context("a path in UTF-8")?;
    let fields: String = fields.iter().map(|field| format!(" -e {field}")).collect();
    // The filter goes without spaces, the command is split at them.
    let filter = filter.replace(' ', "");
    let command = format!("tshark -n -r {file} {VERIFY} {options} -Y {filter} -T fields{fields}");
    let output = run(site.lab.switch().namespace(), PACKAGE, &command).await?;
    Ok(output.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// An election, a hand-over, a death, a return; then what went over the wire. `options` tell the dissector which
/// checksum is meant.
async fn all_packets_are_sound(variables: &[(&str, &str)], version: &str, options: &str) -> Result<()> {
    let mut site = Site::with_balancers(3).await?;
    let capture = Capture::start(&site).await?;
    site.start_agents(0, variables).await?;
    site.agent(0).signal(Signal::SIGTERM)?;
    ensure!(site.agent(0).wait(SOON).await?.code() == Some(0));
    let second = site.lab.wait_for_successor(0, SOON).await?;
    site.start_agent(0, variables).await?;
    site.agent(0).wait_for_line("-> Backup", SOON).await?;
    site.balancer(second).kill9()?;
    let third = site.lab.wait_for_successor(second, SOON).await?;
    site.agent(third).kill9()?;
    let last = site.lab.wait_for_successor(third, SOON).await?;
    let holders = BTreeSet::from([0, second, third, last]);
    // What is captured goes to the file with a delay of a quarter of a second.
    let ear = Ear::open(site.host(third).namespace()).await?;
    ear.wait_for(3, site.host(last).address(), Instant::now()).await?;
    let file = capture.end().await?;

    let adverts = packets(
        &site,
        &file,
        options,
        "vrrp",
        &[
            "ip.src",
            "vrrp.prio",
            "vrrp.version",
            "vrrp.virt_rtr_id",
            "vrrp.ip_addr",
            "vrrp.checksum.status",
            "ip.checksum.status",
            "ip.ttl",
            "ip.dsfield",
            "ip.flags.df",
            "ip.dst",
        ],
    )
    .await?;
    ensure!(adverts.len() >= 12, "{adverts:?}");
    for advert in &adverts {
        let [_, _, seen, vrid, vip, sum, ip_sum, ttl, tos, df, to] = advert.as_slice() else {
            anyhow::bail!("fields are missing: {advert:?}");
        };
        // 1: good.
        ensure!(sum == "1" && ip_sum == "1", "a bad checksum: {advert:?}");
        ensure!(seen == version && vrid == "2" && vip == "10.10.10.2", "{advert:?}");
        ensure!(ttl == "255" && tos == "0xc0" && matches!(df.as_str(), "0" | "False"), "{advert:?}");
        ensure!(
            site.lab.hosts().iter().any(|host| host.address().to_string() == *to),
            "not unicast: {advert:?}"
        );
    }
    let sent = |from: usize, priority: &dyn Fn(&str) -> bool| {
        let from = site.host(from).address().to_string();
        adverts.iter().any(|advert| advert[0] == from && priority(&advert[1]))
    };
    for holder in &holders {
        ensure!(sent(*holder, &|priority| priority != "0"), "no advert of host {holder}");
    }
    ensure!(sent(0, &|priority| priority == "0"), "a stop is said by priority 0");
    ensure!(sent(second, &|priority| priority == "0"), "a dead load balancer is said by priority 0");

    // All of the IP packets above, and ARP: nothing the dissector finds fault with.
    let everything = packets(&site, &file, options, "frame", &["frame.number"]).await?;
    let malformed =
        packets(&site, &file, options, "_ws.malformed||vrrp.checksum_bad.expert", &["frame.number"]).await?;
    ensure!(everything.len() > adverts.len() && malformed.is_empty(), "malformed: {malformed:?}");

    let announcements = packets(
        &site,
        &file,
        options,
        "arp.src.proto_ipv4==10.10.10.2&&eth.dst==ff:ff:ff:ff:ff:ff&&arp.isgratuitous==1",
        &["eth.src", "arp.src.hw_mac", "arp.dst.proto_ipv4", "arp.opcode"],
    )
    .await?;
    let mut forms = BTreeSet::new();
    for announcement in &announcements {
        let [frame, sender, target, form] = announcement.as_slice() else {
            anyhow::bail!("fields are missing: {announcement:?}");
        };
        ensure!(frame == sender && target == "10.10.10.2", "{announcement:?}");
        forms.insert((sender.clone(), form.clone()));
    }
    // Each holder in both forms: 1 is a request, 2 a reply.
    let senders: BTreeSet<_> = forms.iter().map(|(sender, _)| sender).collect();
    ensure!(senders.len() == holders.len() && forms.len() == 2 * holders.len(), "{forms:?}");
    let probes = packets(
        &site,
        &file,
        options,
        "arp.opcode==1&&arp.src.proto_ipv4==0.0.0.0&&arp.dst.proto_ipv4==10.10.10.2",
        &["eth.dst"],
    )
    .await?;
    ensure!(probes.len() >= 2 && probes.iter().all(|probe| probe[0] == "ff:ff:ff:ff:ff:ff"), "{probes:?}");
    Ok(())
}

#[tokio::test]
async fn version_3_with_the_pseudo_header() -> Result<()> {
    steady(async || all_packets_are_sound(&[], "3", "-o vrrp.v3_checksum_as_in_v2:FALSE").await).await
}

#[tokio::test]
async fn version_3_with_the_checksum_of_the_message_alone() -> Result<()> {
    steady(async || {
        all_packets_are_sound(&[("OUTRIDER_CHECKSUM", "message")], "3", "-o vrrp.v3_checksum_as_in_v2:TRUE")
            .await
    })
    .await
}

#[tokio::test]
async fn version_2() -> Result<()> {
    steady(async || {
        all_packets_are_sound(&[("OUTRIDER_VRRP_VERSION", "2")], "2", "-o vrrp.v3_checksum_as_in_v2:FALSE")
            .await
    })
    .await
}
