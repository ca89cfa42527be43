//! The agent does not run for a while: SIGSTOP, `docker pause` (the cgroup freezer). The kernel drops the address by
//! itself, a peer has taken over by then, and the agent does no harm when it wakes up.

use crate::support::{EXPIRY, INTERVAL, OVERLAP, SILENCE, SOON, Site, is_real_root, wait_until};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What keeps a process from running.
trait Pause {
    async fn freeze(&self) -> Result<()>;
    async fn thaw(&self) -> Result<()>;
}

/// Signals.
struct Signals(i32);

impl Pause for Signals {
    async fn freeze(&self) -> Result<()> {
        kill(Pid::from_raw(self.0), Signal::SIGSTOP).context("SIGSTOP")
    }

    async fn thaw(&self) -> Result<()> {
        kill(Pid::from_raw(self.0), Signal::SIGCONT).context("SIGCONT")
    }
}

/// A control group with one process in it, as `docker pause` uses it.
struct Freezer {
    group: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    /// `freezer.state`
    One,
    /// `cgroup.freeze`
    Two,
}

impl Version {
    fn file(self) -> &'static str {
        match self {
            Version::One => "freezer.state",
            Version::Two => "cgroup.freeze",
        }
    }
}

impl Freezer {
    /// In whichever hierarchy of this machine can freeze.
    fn new(process: i32) -> Result<Freezer> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("outrider-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let places = [
            ("/sys/fs/cgroup", Version::Two),
            ("/sys/fs/cgroup/unified", Version::Two),
            ("/sys/fs/cgroup/freezer", Version::One),
        ];
        let mut refusals = Vec::new();
        for (place, version) in places {
            match Freezer::at(Path::new(place), version, &name, process) {
                Ok(freezer) => return Ok(freezer),
                Err(error) => refusals.push(format!("{place}: {error:#}")),
            }
        }
        bail!("no cgroup freezer can be used; it takes root and a writable /sys/fs/cgroup: {refusals:?}")
    }

    fn at(place: &Path, version: Version, name: &str, process: i32) -> Result<Freezer> {
        // Not a directory of a tmpfs that happens to be mounted there.
        ensure!(place.join("cgroup.procs").exists(), "not a control group");
        let group = place.join(name);
        std::fs::create_dir(&group)?;
        let freezer = Freezer { group, version };
        ensure!(freezer.group.join(version.file()).exists(), "no {}", version.file());
        std::fs::write(freezer.group.join("cgroup.procs"), process.to_string())?;
        Ok(freezer)
    }

    async fn set(&self, frozen: bool) -> Result<()> {
        let (value, shown_in, shown) = match (self.version, frozen) {
            (Version::One, true) => ("FROZEN", "freezer.state", "FROZEN"),
            (Version::One, false) => ("THAWED", "freezer.state", "THAWED"),
            (Version::Two, true) => ("1", "cgroup.events", "frozen 1"),
            (Version::Two, false) => ("0", "cgroup.events", "frozen 0"),
        };
        std::fs::write(self.group.join(self.version.file()), value)?;
        let done = async || Ok(std::fs::read_to_string(self.group.join(shown_in))?.contains(shown));
        wait_until("the cgroup freezer has done its work", done).await
    }
}

impl Pause for Freezer {
    async fn freeze(&self) -> Result<()> {
        self.set(true).await
    }

    async fn thaw(&self) -> Result<()> {
        self.set(false).await
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let thawed = if self.version == Version::One { "THAWED" } else { "0" };
        let _ = std::fs::write(self.group.join(self.version.file()), thawed);
        let processes = std::fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        if let Some(parent) = self.group.parent() {
            for process in processes.lines() {
                let _ = std::fs::write(parent.join("cgroup.procs"), process);
            }
        }
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// The holder is frozen until long after its lease, and wakes up.
async fn the_kernel_holds_the_leash(site: &Site, pause: &impl Pause) -> Result<()> {
    let frozen = Instant::now();
    pause.freeze().await?;
    let taken = site.wait_for_change(1, true, frozen).await?.duration_since(frozen);
    let lost = site.wait_for_loss(0, frozen).await?.duration_since(frozen);
    ensure!(taken < SILENCE, "the peer took over after {taken:?} only");
    ensure!(lost < EXPIRY, "the kernel left the address on a frozen host for {lost:?}");
    site.wire.wait_for_adverts(1, 8, frozen).await?;
    site.assert_held(1, frozen, EXPIRY, SILENCE).await?;

    let woken = Instant::now();
    pause.thaw().await?;
    wakes_up_harmlessly(site, 0, 1, woken).await?;
    let outage = site.lab.client().outage(woken).await?;
    ensure!(outage.longest < SILENCE && outage.by.as_deref() == Some("lb2"), "{outage:?}");
    site.assert_held(1, woken, Duration::ZERO, Duration::ZERO).await
}

/// A host that was paused past its Master_Down says nothing, and follows the one that has taken over.
async fn wakes_up_harmlessly(site: &Site, sleeper: usize, holder: usize, woken: Instant) -> Result<()> {
    let agent = site.agent(sleeper);
    let line = agent.wait_for_line_since(woken, "Active -> Backup: this host slept for ", SOON).await?;
    let text = format!("{} holds the address with priority", site.host(holder).address());
    agent.wait_for_line_since(woken, &text, SOON).await?;
    // As long as it would take to do something wrong.
    site.wire.wait_for_adverts(holder, 8, line.at).await?;
    site.wire.assert_mute(sleeper, woken)?;
    site.assert_states(sleeper, woken, &["Active -> Backup"]).await?;
    site.assert_states(holder, woken, &[]).await
}

#[tokio::test]
async fn a_stopped_process_loses_the_address_and_wakes_up_as_backup() -> Result<()> {
    // The sleeper ranks first, so that it is the rule and not its priority that keeps it down.
    let site = Site::with_agents(2, 0, &[]).await?;
    the_kernel_holds_the_leash(&site, &Signals(site.agent(0).pid())).await
}

#[tokio::test]
async fn a_frozen_container_loses_the_address_and_wakes_up_as_backup() -> Result<()> {
    if !is_real_root() {
        println!("not tested: a user namespace has no cgroup freezer of its own");
        return Ok(());
    }
    let site = Site::with_agents(2, 0, &[]).await?;
    let freezer = Freezer::new(site.agent(0).pid())?;
    the_kernel_holds_the_leash(&site, &freezer).await
}

/// Pauses that are over before the lease is: the address is still there, and may not be used or renewed.
#[tokio::test]
async fn a_pause_just_past_master_down_is_noticed_at_any_phase() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let mut holder = 0;
    for turn in 0..6 {
        let other = 1 - holder;
        // From adverts and renewals that are due at other moments each time.
        tokio::time::sleep(INTERVAL * turn / 5).await;
        let frozen = Instant::now();
        site.agent(holder).stop()?;
        site.assert_states(other, frozen, &["Backup -> Active"]).await?;
        // The longest Master_Down of the two; less, and the sleeper could not know.
        tokio::time::sleep_until((frozen + INTERVAL * 4 + INTERVAL / 10).into()).await;
        let woken = Instant::now();
        site.agent(holder).cont()?;
        wakes_up_harmlessly(&site, holder, other, woken).await?;
        site.assert_held(other, woken, OVERLAP, Duration::ZERO).await?;
        holder = other;
    }
    Ok(())
}

/// More adverts wait after such a pause than are usually heard between two looks at the time.
#[tokio::test]
async fn a_backup_of_many_routers_hears_all_of_them_before_it_claims_any() -> Result<()> {
    const ROUTERS: usize = 200;
    // None of the hosts' and the client's.
    let free = (2..).filter(|last| !(10..20).contains(last) && *last != 100);
    let addresses: Vec<String> = free.take(ROUTERS).map(|last| format!("10.10.10.{last}")).collect();
    let variables = [("OUTRIDER_VIP", &*addresses.join(";")), ("OUTRIDER_CHECK", "none")];
    let mut site = Site::new(2).await?;
    for (host, states) in [(0, "Backup -> Active"), (1, "Initialize -> Backup")] {
        let begun = Instant::now();
        site.start_agent(host, &variables).await?;
        let there = |site: &Site| {
            let all = site.transitions(host, begun);
            all.iter().filter(|change| change.states == states).count()
        };
        while there(&site) < ROUTERS {
            ensure!(begun.elapsed() < SOON, "{states} on host {host}: {}", site.agent(host).tail(5));
            tokio::time::sleep(INTERVAL).await;
        }
    }
    for _ in 0..5 {
        let since = Instant::now();
        site.agent(1).stop()?;
        // Less than Master_Down: more, and it would know that it slept.
        tokio::time::sleep_until((since + INTERVAL * 11 / 4).into()).await;
        site.agent(1).cont()?;
        site.wire.wait_for_adverts(0, 3 * ROUTERS, Instant::now()).await?;
        site.assert_states(1, since, &[]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_paused_backup_does_not_take_its_own_sleep_for_silence() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    for millis in [700, 1500] {
        site.agent(1).stop()?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let woken = Instant::now();
        site.agent(1).cont()?;
        site.wire.wait_for_adverts(0, 8, woken).await?;
        site.wire.assert_mute(1, woken)?;
    }
    site.assert_undisturbed(0, since).await
}

#[tokio::test]
async fn a_lone_host_that_slept_begins_anew() -> Result<()> {
    let site = Site::with_agents(1, 0, &[]).await?;
    let frozen = Instant::now();
    site.agent(0).stop()?;
    site.wait_for_loss(0, frozen).await?;
    let woken = Instant::now();
    site.agent(0).cont()?;
    let slept = "Active -> Backup: this host slept for ";
    let down = site.agent(0).wait_for_line_since(woken, slept, SOON).await?;
    let up = site.agent(0).wait_for_line_since(woken, "Backup -> Active", SOON).await?;
    let waited = up.at.duration_since(down.at);
    ensure!(waited > INTERVAL * 2, "it claimed after {waited:?}, without having listened");
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    Ok(())
}
