//! A program under test on one host: how it is ended, and what it costs. Shared by the benches.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrider::lab::process::Process;
use outrider::lab::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Debian's.
pub const KEEPALIVED: &str = "/usr/sbin/keepalived";

/// Cargo's outrider, or another build of it, such as the image's.
pub fn outrider() -> PathBuf {
    let other = std::env::var_os("OUTRIDER_BENCH_PROGRAM").filter(|path| !path.is_empty());
    other.map_or_else(|| env!("CARGO_BIN_EXE_outrider").into(), PathBuf::from)
}

/// A copy of a program in a host's own folder: the hosts must not share memory that two machines would not share.
pub fn copy(program: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().context("a program has a name")?);
    if !copy.exists() {
        tool::install(program, &copy)
            .with_context(|| format!("copy {}; apt-get install keepalived?", program.display()))?;
    }
    Ok(copy)
}

/// A running program, with its children.
pub struct Agent {
    process: Process,
    outrider: bool,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Left alone, keepalived's child would tidy up after its parent while the next contender starts.
        if let Err(error) = self.kill() {
            eprintln!("cannot end {}: {error:#}", self.process.name());
        }
    }
}

impl Agent {
    /// It was just started.
    pub fn new(process: Process, outrider: bool) -> Self {
        Self { process, outrider }
    }

    /// Its own process, the one that was started.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it is outrider in any form.
    pub fn is_outrider(&self) -> bool {
        self.outrider
    }

    /// Ends all of its processes as a crash would.
    pub fn kill(&self) -> Result<()> {
        // One that was just started gets its child first: that one would outlive it.
        let begun = Instant::now();
        while self.pids().is_err() && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Stopped first, or keepalived's parent would start a new child, or its child end in good order because
        // its parent has died.
        self.signal_all(Signal::SIGSTOP)?;
        self.signal_all(Signal::SIGKILL)
    }

    /// Sends a signal to all of its processes.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        for pid in self.pids()? {
            kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {pid}"))?;
        }
        Ok(())
    }

    /// Its process and that one's descendants, parents first; not the scripts, which come and go.
    fn pids(&self) -> Result<Vec<i32>> {
        if self.process.exit_status().is_some() {
            return Ok(Vec::new());
        }
        let own = self.process.pid();
        let program = fs::read_link(format!("/proc/{own}/exe"))?;
        let mut pids = vec![own];
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        for child in children.split_ascii_whitespace() {
            if fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe == program) {
                pids.push(child.parse()?);
            }
        }
        ensure!(
            self.outrider || pids.len() > 1,
            "keepalived has no child; it said last:\n{}",
            self.process.tail(10)
        );
        Ok(pids)
    }
}

/// What an agent costs on one host.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Share of one CPU.
    pub cpu: f64,
    /// Proportional set size of all its processes, in bytes.
    pub pss: u64,
}

/// Looks at several agents for a while in which nothing happens.
pub async fn costs(agents: &[&Agent], span: Duration) -> Result<Vec<Cost>> {
    let before = agents.iter().map(|agent| cpu(agent)).collect::<Result<Vec<f64>>>()?;
    tokio::time::sleep(span).await;
    let cost = |(agent, before): (&&Agent, f64)| {
        Ok(Cost { cpu: (cpu(agent)? - before) / span.as_secs_f64(), pss: pss(agent)? })
    };
    agents.iter().zip(before).map(cost).collect()
}

/// Seconds of CPU so far, those of scripts that have ended among them.
fn cpu(agent: &Agent) -> Result<f64> {
    let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("CLK_TCK")?;
    let mut ticks = 0;
    for pid in agent.pids()? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name in brackets: fields 3 and on of proc_pid_stat(5); 14 to 17 are utime, stime, cutime, cstime.
        let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
        for field in fields.split_ascii_whitespace().skip(11).take(4) {
            ticks += field.parse::<i64>()?;
        }
    }
    Ok(ticks as f64 / ticks_per_second as f64)
}

fn pss(agent: &Agent) -> Result<u64> {
    let mut bytes = 0;
    for pid in agent.pids()? {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        bytes += kilobytes * 1024;
    }
    Ok(bytes)
}
