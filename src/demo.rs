//! The demo: three hosts, the real agent on each, and everything that can happen to the one that has the address.

mod report;

use crate::lab::process::{Line, Process};
use crate::lab::{Host, Lab, VIP, sandbox};
use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use report::{Row, Timeline, ms, say};
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Enough for anything that works.
const LIMIT: Duration = Duration::from_secs(10);
/// How long is looked on where nothing should happen.
const CALM: Duration = Duration::from_secs(1);
const STEPS: usize = 7;

/// Runs the demo and prints what it shows.
///
/// Enters namespaces first, so no thread may have been started yet.
///
/// # Errors
/// When the machine forbids namespaces, or a step does not end as it should.
pub fn run() -> Result<()> {
    sandbox::enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        say(format_args!(
            "Three hosts, one address ({VIP}), and a client that asks it for an answer every 2 ms."
        ));
        let mut demo = Demo::build().await?;
        let played = demo.play().await;
        if !demo.rows.is_empty() {
            demo.timeline.table(&demo.rows);
        }
        let faults: Vec<&str> = demo.rows.iter().filter_map(|row| row.fault.as_deref()).collect();
        let failed = match played {
            Ok(()) if faults.is_empty() => {
                say(format_args!("\n  One holder at the end of every step. {} in all.", demo.elapsed()));
                say(format_args!(
                    "  The client asks every 2 ms, so 2 to 3 ms between two answers is no outage."
                ));
                return Ok(());
            }
            Ok(()) => anyhow!("{}", faults.join("; ")),
            Err(error) => error,
        };
        Err(demo.blame(failed))
    })
}

/// How a step should end.
#[derive(Clone, Copy)]
enum End {
    /// The address is on this host now.
    Moved(usize),
    /// This host had it all the time.
    Stays(usize),
}

struct Demo {
    lab: Lab,
    /// One for each host of the lab.
    machines: Vec<Machine>,
    timeline: Timeline,
    /// How many changes of address the timeline has shown.
    shown: Cell<usize>,
    rows: Vec<Row>,
}

/// What runs on a host.
struct Machine {
    balancer: Process,
    agent: Process,
    /// What agents that have ended said.
    past: Vec<Line>,
}

impl Machine {
    async fn start(host: &Host) -> Result<Self> {
        let balancer = host.start_balancer().await?;
        Ok(Self { balancer, agent: start_agent(host).await?, past: Vec::new() })
    }
}

async fn start_agent(host: &Host) -> Result<Process> {
    host.start_agent(&[("OUTRIDER_VIP", &VIP.to_string())]).await
}

impl Demo {
    async fn build() -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        Ok(Self {
            lab: Lab::new(3, program).await?,
            machines: Vec::new(),
            timeline: Timeline::start(),
            shown: Cell::new(0),
            rows: Vec::new(),
        })
    }

    async fn play(&mut self) -> Result<()> {
        let first = self.election().await?;
        let second = self.balancer_killed(first).await?;
        let third = self.agent_stopped(second).await?;
        let fourth = self.agent_killed(third).await?;
        let fifth = self.cable_cut(fourth).await?;
        self.cable_restored(fourth, fifth).await?;
        self.host_joins(fifth).await
    }

    async fn election(&mut self) -> Result<usize> {
        let since = self.begin("three agents start: election");
        for host in self.lab.hosts() {
            self.machines.push(Machine::start(host).await?);
        }
        let holder = self.successor(None, since).await?;
        self.end("election", since, End::Moved(holder)).await?;
        Ok(holder)
    }

    async fn balancer_killed(&mut self, former: usize) -> Result<usize> {
        let since = self.begin(&format!("{}: load balancer killed", self.name(former)));
        self.machine(former)?.balancer.kill9()?;
        let holder = self.successor(Some(former), since).await?;
        let back = Instant::now();
        let balancer = self.host(former)?.start_balancer().await?;
        self.machine_mut(former)?.balancer = balancer;
        self.backup(former, back, "its load balancer is back").await?;
        self.end("load balancer killed", since, End::Moved(holder)).await?;
        Ok(holder)
    }

    async fn agent_stopped(&mut self, former: usize) -> Result<usize> {
        let since = self.begin(&format!("{}: agent stopped (SIGTERM)", self.name(former)));
        self.machine(former)?.agent.signal(Signal::SIGTERM)?;
        let holder = self.successor(Some(former), since).await?;
        let agent = &self.machine(former)?.agent;
        let status = self.look_on(since, agent.wait(LIMIT)).await?;
        ensure!(status.success(), "{} ended with {status}", agent.name());
        self.timeline
            .note(Instant::now(), &format!("the agent ended with code 0 (+{})", ms(since.elapsed())));
        self.restart_agent(former).await?;
        self.end("agent stopped (SIGTERM)", since, End::Moved(holder)).await?;
        Ok(holder)
    }

    async fn agent_killed(&mut self, former: usize) -> Result<usize> {
        let since = self.begin(&format!("{}: agent killed (SIGKILL)", self.name(former)));
        self.machine(former)?.agent.kill9()?;
        let holder = self.successor(Some(former), since).await?;
        let dropped = self.lab.watcher().lost(former, VIP.into(), since)?.context("the address stayed")?;
        let stayed = ms(dropped.saturating_duration_since(since));
        self.timeline
            .note(Instant::now(), &format!("the kernel took the address from the dead host after {stayed}"));
        self.restart_agent(former).await?;
        self.end(&format!("agent killed (SIGKILL), address gone after {stayed}"), since, End::Moved(holder))
            .await?;
        Ok(holder)
    }

    async fn cable_cut(&mut self, former: usize) -> Result<usize> {
        let since = self.begin(&format!("{}: cable cut", self.name(former)));
        self.host(former)?.cut().await?;
        let holder = self.successor(Some(former), since).await?;
        self.end("cable cut", since, End::Moved(holder)).await?;
        Ok(holder)
    }

    async fn cable_restored(&mut self, former: usize, holder: usize) -> Result<()> {
        let since = self.begin(&format!("{}: cable back in", self.name(former)));
        self.host(former)?.restore().await?;
        self.backup(former, since, "it is back").await?;
        self.look_on(since, tokio::time::sleep(CALM)).await;
        self.end("cable back in", since, End::Stays(holder)).await
    }

    async fn host_joins(&mut self, holder: usize) -> Result<()> {
        let since = self.begin("a fourth host joins");
        let joiner = self.lab.add_host().await?;
        let machine = Machine::start(self.host(joiner)?).await?;
        self.machines.push(machine);
        let labelled = Instant::now();
        self.lab.join(joiner);
        self.timeline.note(labelled, &format!("{} gets the label role=load-balancer", self.name(joiner)));
        self.backup(joiner, labelled, "the metadata told it").await?;
        self.look_on(since, tokio::time::sleep(CALM)).await;
        self.end("fourth host joins", since, End::Stays(holder)).await
    }

    fn begin(&self, text: &str) -> Instant {
        self.timeline.step(&format!("[{}/{STEPS}] {text}", self.rows.len() + 1));
        Instant::now()
    }

    /// Waits for a holder other than the former one, and for its answers.
    async fn successor(&self, former: Option<usize>, since: Instant) -> Result<usize> {
        let settled = async {
            match former {
                Some(former) => self.lab.wait_for_successor(former, LIMIT).await,
                None => self.lab.wait_for_holder(LIMIT).await,
            }
        };
        let holder = self.look_on(since, settled).await?;
        self.timeline.note(Instant::now(), &format!("{} answers the client", self.name(holder)));
        Ok(holder)
    }

    /// Shows where the address goes until `future` ends.
    async fn look_on<T>(&self, since: Instant, future: impl Future<Output = T>) -> T {
        let mut changes = self.lab.watcher().subscribe();
        let mut future = std::pin::pin!(future);
        loop {
            let done = tokio::select! {
                done = &mut future => Some(done),
                _ = changes.changed() => None,
            };
            let changes = changes.borrow_and_update().clone();
            for change in changes.iter().skip(self.shown.get()).filter(|change| change.address == VIP) {
                let deed = if change.held { "has" } else { "has no longer" };
                let after = ms(change.at.saturating_duration_since(since));
                self.timeline
                    .note(change.at, &format!("{} {deed} the address (+{after})", self.name(change.host)));
            }
            self.shown.set(changes.len());
            if let Some(done) = done {
                return done;
            }
        }
    }

    async fn restart_agent(&mut self, host: usize) -> Result<()> {
        let since = Instant::now();
        let agent = start_agent(self.host(host)?).await?;
        let machine = self.machine_mut(host)?;
        machine.past.extend(machine.agent.lines());
        machine.agent = agent;
        self.backup(host, since, "its agent is back").await
    }

    /// Waits until a host's agent is ready to take over.
    async fn backup(&self, host: usize, since: Instant, why: &str) -> Result<()> {
        let agent = &self.machine(host)?.agent;
        let ready = self.look_on(since, agent.wait_for_line_since(since, "-> Backup", LIMIT)).await?.at;
        let after = ms(ready.saturating_duration_since(since));
        self.timeline.note(ready, &format!("{}: {why}, ready to take over (+{after})", self.name(host)));
        Ok(())
    }

    /// Takes down what the step showed.
    async fn end(&mut self, step: &str, since: Instant, end: End) -> Result<()> {
        let outage = self.lab.client().outage(since).await?;
        let holding = self.lab.watcher().holding(VIP.into(), since)?;
        let holders = self.lab.holders().await?;
        let (holder, stays) = match end {
            End::Moved(holder) => (holder, ""),
            End::Stays(holder) => (holder, " (stays)"),
        };
        let mut row = Row {
            step: step.into(),
            holder: self.name(holder) + stays,
            without: outage.longest,
            lost: outage.lost,
            two: holding.two,
            fault: None,
        };
        let told = format!("{} without an answer, {} requests lost", ms(row.without), row.lost);
        if holders != [holder] || outage.by != Some(self.name(holder)) {
            let names: Vec<String> = holders.iter().map(|holder| self.name(*holder)).collect();
            let by = outage.by.unwrap_or_else(|| "nobody".into());
            row.fault = Some(format!(
                "{step}: {} should hold it alone; it is on [{}], {by} answers",
                row.holder,
                names.join(", ")
            ));
        } else if matches!(end, End::Stays(_)) && (row.lost, holding.two, holding.none) != Default::default()
        {
            row.fault = Some(format!(
                "{step}: nothing should have happened; {} requests lost, two holders for {}, none for {}",
                row.lost,
                ms(holding.two),
                ms(holding.none)
            ));
        }
        match &row.fault {
            None => self.timeline.good(&format!("{} holds it alone: {told}", self.name(holder))),
            Some(fault) => self.timeline.bad(&format!("{fault} ({told})")),
        }
        self.rows.push(row);
        Ok(())
    }

    fn host(&self, host: usize) -> Result<&Host> {
        self.lab.hosts().get(host).context("no such host")
    }

    fn machine(&self, host: usize) -> Result<&Machine> {
        self.machines.get(host).context("no such machine")
    }

    fn machine_mut(&mut self, host: usize) -> Result<&mut Machine> {
        self.machines.get_mut(host).context("no such machine")
    }

    fn name(&self, host: usize) -> String {
        self.lab.hosts().get(host).map_or_else(|| format!("host {host}"), |host| host.name().into())
    }

    /// Shows what the agents said last, and keeps everything they said in files.
    fn blame(&self, failed: anyhow::Error) -> anyhow::Error {
        for (index, machine) in self.machines.iter().enumerate() {
            let (name, lines) = (self.name(index), machine.agent.tail(15));
            let _ = writeln!(std::io::stderr(), "\n{name}'s agent, last lines:\n{lines}");
        }
        match self.keep_logs() {
            Ok(directory) => anyhow!("{failed:#}\nAll the agents said: {}", directory.display()),
            Err(error) => anyhow!("{failed:#}\nTheir logs could not be kept: {error:#}"),
        }
    }

    fn keep_logs(&self) -> Result<PathBuf> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let directory = std::env::temp_dir().join(format!("outrider-demo-{seconds}"));
        std::fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        for (index, machine) in self.machines.iter().enumerate() {
            let mut text = String::new();
            for line in machine.past.iter().chain(&machine.agent.lines()) {
                let seconds = self.timeline.since_start(line.at).as_secs_f64();
                writeln!(text, "{seconds:9.3} {}", line.text)?;
            }
            std::fs::write(directory.join(format!("{}.log", self.name(index))), text)?;
        }
        Ok(directory)
    }

    fn elapsed(&self) -> String {
        format!("{:.1} s", self.timeline.since_start(Instant::now()).as_secs_f64())
    }
}
