//! Outrider beside keepalived: the same hosts, the same haproxy, the same client, the same faults.
//!
//! ```text
//! OUTRIDER_BENCH_RUNS=10       runs of each fault with each contender; 2 for a quick look
//! OUTRIDER_BENCH_ONLY=…        FAULT, CONTENDER or FAULT/CONTENDER, several separated by commas
//! OUTRIDER_BENCH_REST=30       seconds at rest for CPU and memory; 0: not measured
//! OUTRIDER_BENCH_OUT=target/failover   table (.md), picture (.svg), every run (.csv), what was said (.log)
//! OUTRIDER_BENCH_PROGRAM=…     another build of outrider, such as the image's, whose memory is what counts
//! ```
//!
//! Needs haproxy, keepalived, curl and ss, and root or user namespaces.

#[path = "../agent.rs"]
mod agent;
mod bed;
mod contender;
mod fault;
mod load;
mod picture;
mod report;
mod stats;

use anyhow::{Context, Result, bail};
use bed::Bed;
use contender::Contender;
use fault::Fault;
use load::Load;
use outrider::lab::sandbox;
use stats::{Rest, Results};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Runs of one contender in a row: so that whatever else the machine does hits all of them.
const BLOCK: usize = 5;

/// What the environment asks for.
struct Plan {
    runs: usize,
    only: Vec<String>,
    rest: Duration,
    out: PathBuf,
}

fn main() -> Result<()> {
    let plan = Plan::read()?;
    sandbox::enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench(&plan))
}

impl Plan {
    fn read() -> Result<Self> {
        let number = |name: &str, default: usize| match std::env::var(name) {
            Ok(text) if !text.is_empty() => {
                text.parse().with_context(|| format!("{name}={text}: not a number"))
            }
            _ => Ok(default),
        };
        let only = std::env::var("OUTRIDER_BENCH_ONLY").unwrap_or_default();
        let plan = Self {
            runs: number("OUTRIDER_BENCH_RUNS", 10)?,
            only: only.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
            rest: Duration::from_secs(number("OUTRIDER_BENCH_REST", 30)? as u64),
            out: std::env::var_os("OUTRIDER_BENCH_OUT").map_or_else(
                || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/failover")),
                PathBuf::from,
            ),
        };
        let known = |name: &str| {
            name.is_empty()
                || Contender::ALL.iter().any(|c| c.key() == name)
                || Fault::ALL.iter().any(|f| f.key() == name)
        };
        if let Some(unknown) = plan.only.iter().flat_map(|item| item.split('/')).find(|name| !known(name)) {
            let faults = Fault::ALL.map(Fault::key).join(", ");
            let contenders = Contender::ALL.map(Contender::key).join(", ");
            bail!("OUTRIDER_BENCH_ONLY: no {unknown}; faults: {faults}; contenders: {contenders}");
        }
        Ok(plan)
    }

    fn wants(&self, fault: Fault, contender: Contender) -> bool {
        let cuts = [Fault::LinkDown, Fault::LinkUp, Fault::CutOff, Fault::Back];
        // Its interval tells only where silence is what is noticed.
        if contender == Contender::OutriderFast && !cuts.contains(&fault) {
            return false;
        }
        if fault == Fault::Drained && !contender.is_outrider() {
            return false;
        }
        let matches = |item: &String| match item.split_once('/') {
            Some((f, c)) => (f.is_empty() || f == fault.key()) && (c.is_empty() || c == contender.key()),
            None => item == fault.key() || item == contender.key(),
        };
        self.only.is_empty() || self.only.iter().any(matches)
    }

    /// The faults that begin something, in their order.
    fn faults(&self, contender: Contender) -> Vec<Fault> {
        let wanted = |fault: &Fault| {
            fault.begins_with().is_none()
                && Fault::ALL
                    .iter()
                    .any(|f| (f == fault || f.begins_with() == Some(*fault)) && self.wants(*f, contender))
        };
        Fault::ALL.into_iter().filter(wanted).collect()
    }
}

async fn bench(plan: &Plan) -> Result<()> {
    let begun = Instant::now();
    let mut results = Results::default();
    fs::create_dir_all(plan.out.parent().context("OUTRIDER_BENCH_OUT has no folder")?)?;
    let mut log = File::create(plan.out.with_extension("log"))?;
    let ran = run(plan, &mut results, &mut log).await;
    // Also after a failure: hours of measuring are not thrown away.
    let table = report::markdown(&results);
    println!("\n{table}");
    fs::write(plan.out.with_extension("md"), &table)?;
    fs::write(plan.out.with_extension("csv"), report::csv(&results))?;
    fs::write(plan.out.with_extension("svg"), picture::svg(&results))?;
    println!("{:.0} s in all; written to {}.*", begun.elapsed().as_secs_f64(), plan.out.display());
    ran
}

async fn run(plan: &Plan, results: &mut Results, log: &mut File) -> Result<()> {
    let mut bed = Bed::new().await?;
    let mut done = 0;
    while done < plan.runs {
        let block = BLOCK.min(plan.runs - done);
        for contender in Contender::ALL.into_iter().filter(|c| !plan.faults(*c).is_empty()) {
            bed.enter(contender).await.with_context(|| format!("start {}", contender.name()))?;
            if done == 0 && !plan.rest.is_zero() && contender != Contender::OutriderFast {
                results.rests.push(look_at_rest(&mut bed, plan.rest).await?);
            }
            for _ in 0..block {
                for fault in plan.faults(contender) {
                    play(&mut bed, fault, results, log).await?;
                }
            }
        }
        done += block;
    }
    Ok(())
}

/// One fault, and the one that ends it. What fails is told, counted and cleared up.
async fn play(bed: &mut Bed, fault: Fault, results: &mut Results, log: &mut File) -> Result<()> {
    let contender = bed.contender;
    let mut faults = vec![fault];
    faults.extend(Fault::ALL.into_iter().filter(|other| other.begins_with() == Some(fault)));
    if let Err(error) = try_play(bed, &faults, results, log).await {
        eprintln!("{} {}: {error:#}", contender.name(), fault.key());
        writeln!(log, "FAILED {} {}: {error:#}", contender.name(), fault.key())?;
        results.add(fault, contender, None);
        bed.enter(contender).await.with_context(|| format!("start {} again", contender.name()))?;
    }
    Ok(())
}

async fn try_play(bed: &mut Bed, faults: &[Fault], results: &mut Results, log: &mut File) -> Result<()> {
    let contender = bed.contender;
    let holder = undisturbed(bed, results, log).await?;
    let mut mended = true;
    for fault in faults {
        let (begun, run) = fault::strike(bed, *fault, holder).await?;
        let line = report::line(*fault, contender, &run);
        println!("{line}");
        writeln!(log, "{line}; lb{} held it\n{}", holder + 1, bed.trace(begun))?;
        results.add(*fault, contender, Some(run));
        mended = fault.begins_with().is_some();
    }
    if !mended && let [fault] = faults {
        fault::mend(bed, *fault, holder).await?;
    }
    Ok(())
}

/// Waits for a settled group, for an advert (a Backup that has just started has heard none), and then for a random
/// moment, until which nothing may have happened.
async fn undisturbed(bed: &Bed, results: &mut Results, log: &mut File) -> Result<usize> {
    loop {
        let holder = bed.settle().await?;
        let settled = Instant::now();
        let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
        tokio::time::sleep(bed.contender.interval() + bed.contender.period().mul_f64(random)).await;
        if bed.lab.watcher().holding(outrider::lab::VIP.into(), settled)?.now == [holder]
            && bed.short.steady(Duration::from_millis(50)) == Some(holder)
        {
            return Ok(holder);
        }
        results.note_unprovoked(bed.contender);
        let line = format!("{}: something happened without a fault", bed.contender.name());
        eprintln!("{line}");
        writeln!(log, "{line}\n{}", bed.trace(settled))?;
    }
}

async fn look_at_rest(bed: &mut Bed, span: Duration) -> Result<Rest> {
    let holder = bed.settle().await?;
    for load in [&bed.short, &bed.slow] {
        load.stop();
    }
    let agents = [bed.agent(holder)?, bed.agent(1 - holder)?];
    let costs = agent::costs(&agents, span).await?;
    let client = bed.lab.client_namespace();
    (bed.short, bed.slow) = (Load::start(client, load::SHORT), Load::start(client, load::SLOW));
    let [holder, backup] = costs[..] else { bail!("two agents have two costs") };
    Ok(Rest { contender: bed.contender, holder, backup })
}
