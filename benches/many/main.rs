//! Two hundred virtual routers at 100 ms on two hosts: outrider beside keepalived.
//!
//! ```text
//! OUTRIDER_BENCH_RUNS=3        runs of each contender, in turns
//! OUTRIDER_BENCH_ONLY=…        outrider, outrider-forever, keepalived; several separated by commas
//! OUTRIDER_BENCH_ROUTERS=200   virtual routers
//! OUTRIDER_BENCH_REST=30       seconds at rest: CPU, memory, when the adverts come
//! OUTRIDER_BENCH_OUT=target/many   table (.md), every run (.csv)
//! OUTRIDER_BENCH_PROGRAM=…     another build of outrider, such as the image's: its CPU and memory are what counts
//! ```
//!
//! Needs keepalived and root.

#[path = "../agent.rs"]
mod agent;
mod capture;
mod contender;
mod report;

use agent::{Agent, Cost};
use anyhow::{Context, Result, bail, ensure};
use capture::{Advert, Capture};
use contender::Contender;
use outrider::lab::watch::Change;
use outrider::lab::{Lab, sandbox};
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

/// Enough for two hundred routers to find their state.
const PATIENCE: Duration = Duration::from_secs(60);
/// After which the second burst of announcements is over.
const CALM: Duration = Duration::from_secs(3);
/// How long a fail-over is looked at.
const LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

struct Plan {
    runs: usize,
    routers: u8,
    rest: Duration,
    contenders: Vec<Contender>,
    out: PathBuf,
}

/// What one run showed.
struct Run {
    contender: Contender,
    holder: Cost,
    backup: Cost,
    /// The holder's, while nothing happened.
    adverts: Vec<Advert>,
    /// From the holder's death until the other host had the first address, and all of them.
    first: Duration,
    last: Duration,
    /// Until the dead holder's host had none any more, if that was seen.
    gone: Option<Duration>,
}

fn main() -> Result<()> {
    let plan = Plan::read()?;
    sandbox::enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench(&plan))
}

impl Plan {
    fn read() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &str, default: usize| match variable(name) {
            Some(text) => text.parse().with_context(|| format!("{name}={text}: not a number")),
            None => Ok(default),
        };
        let only = variable("OUTRIDER_BENCH_ONLY").unwrap_or_default();
        let only: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let known = |name: &&str| Contender::ALL.iter().any(|contender| contender.key() == *name);
        if let Some(unknown) = only.iter().find(|name| !known(name)) {
            bail!("OUTRIDER_BENCH_ONLY: no {unknown}");
        }
        let wanted = |contender: &Contender| only.is_empty() || only.contains(&contender.key());
        Ok(Self {
            runs: number("OUTRIDER_BENCH_RUNS", 3)?,
            routers: number("OUTRIDER_BENCH_ROUTERS", 200)?.try_into().context("at most 255 routers")?,
            rest: Duration::from_secs(number("OUTRIDER_BENCH_REST", 30)?.max(1) as u64),
            contenders: Contender::ALL.into_iter().filter(wanted).collect(),
            out: variable("OUTRIDER_BENCH_OUT")
                .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/many").into(), PathBuf::from),
        })
    }
}

async fn bench(plan: &Plan) -> Result<()> {
    fs::create_dir_all(plan.out.parent().context("OUTRIDER_BENCH_OUT has no folder")?)?;
    let mut runs = Vec::new();
    for number in 0..plan.runs {
        // In turns, so that whatever else the machine does hits all of them; and nobody is always the first.
        for at in 0..plan.contenders.len() {
            let contender = plan.contenders[(at + number) % plan.contenders.len()];
            let run = run(plan, contender).await.with_context(|| contender.name())?;
            println!("{}", report::line(&run));
            runs.push(run);
        }
    }
    let table = report::markdown(plan.routers, plan.rest, &runs);
    println!("\n{table}");
    fs::write(plan.out.with_extension("md"), &table)?;
    fs::write(plan.out.with_extension("csv"), report::csv(&runs))?;
    println!("written to {}.*", plan.out.display());
    Ok(())
}

/// In a lab of its own: nothing is left of the run before.
async fn run(plan: &Plan, contender: Contender) -> Result<Run> {
    let lab = Lab::new(2, agent::outrider()).await?;
    lab.client().stop();
    let [first, second] = lab.hosts() else { bail!("two hosts") };
    let folder = tempfile::tempdir()?;
    // The one that starts first holds all addresses.
    let holder = contender.start(first, second, plan.routers, folder.path()).await?;
    wait_until(|| Ok(held(&lab, 0) == usize::from(plan.routers)), &holder).await?;
    let backup = contender.start(second, first, plan.routers, folder.path()).await?;
    wait_until(|| Ok(contender.backups(&backup) == usize::from(plan.routers)), &backup).await?;
    tokio::time::sleep(CALM).await;
    let (costs, adverts) = look_at_rest(&lab, [&holder, &backup], plan.rest).await?;
    let [holder_cost, backup_cost] = costs[..] else { bail!("two agents have two costs") };
    let settled = held(&lab, 0) == usize::from(plan.routers) && held(&lab, 1) == 0;
    ensure!(settled, "the addresses moved without a fault:\n{}", backup.process().tail(20));

    let begun = Instant::now();
    holder.kill()?;
    let is_over = || Ok(held(&lab, 1) == usize::from(plan.routers));
    wait_until(is_over, &backup).await?;
    while held(&lab, 0) > 0 && begun.elapsed() < LIMIT {
        tokio::time::sleep(LOOK).await;
    }
    let after: Vec<Change> = changes(&lab).into_iter().filter(|change| change.at >= begun).collect();
    let times = |host, held| {
        let wanted = move |change: &&Change| change.host == host && change.held == held;
        after.iter().filter(wanted).map(move |change| change.at - begun)
    };
    Ok(Run {
        contender,
        holder: holder_cost,
        backup: backup_cost,
        adverts,
        first: times(1, true).next().context("nothing was taken")?,
        last: times(1, true).next_back().context("nothing was taken")?,
        gone: times(0, false).next_back().filter(|_| held(&lab, 0) == 0),
    })
}

async fn look_at_rest(lab: &Lab, agents: [&Agent; 2], span: Duration) -> Result<(Vec<Cost>, Vec<Advert>)> {
    let [first, second] = lab.hosts() else { bail!("two hosts") };
    // What arrives where the other host would hear it.
    let mut capture = second.namespace().run(async { Capture::open("eth0") }).await??;
    let mut costs = pin!(agent::costs(&agents, span));
    let costs = loop {
        tokio::select! {
            costs = &mut costs => break costs?,
            // Seldom: whoever reads takes time from those who are measured.
            () = tokio::time::sleep(Duration::from_secs(1)) => capture.read()?,
        }
    };
    capture.read()?;
    Ok((costs, capture.adverts(first.address())?))
}

async fn wait_until(mut condition: impl FnMut() -> Result<bool>, agent: &Agent) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        let tail = || agent.process().tail(20);
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}; it said last:\n{}", tail());
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn changes(lab: &Lab) -> Vec<Change> {
    let ours = |change: &&Change| matches!(change.address, std::net::IpAddr::V4(ip) if contender::is_vip(ip));
    lab.watcher().subscribe().borrow().iter().filter(ours).copied().collect()
}

/// How many of the addresses a host has.
fn held(lab: &Lab, host: usize) -> usize {
    let mine = changes(lab).into_iter().filter(|change| change.host == host);
    mine.fold(0, |count, change| if change.held { count + 1 } else { count - 1 })
}
