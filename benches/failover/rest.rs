//! What an agent costs while nothing happens.

use super::contender::Agent;
use super::stats::Cost;
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// Looks at several agents for a while.
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
