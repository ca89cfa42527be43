//! What goes wrong, and what is measured then.

use super::bed::Bed;
use anyhow::{Context, Result};
use outrider::lab::VIP;
use std::time::{Duration, Instant};

/// A fault lasts at most this long; what is not mended by then is not noticed at all.
pub const LIMIT: Duration = Duration::from_secs(8);
/// The client is well again when one host has answered everything for this long.
const WELL: Duration = Duration::from_millis(300);
/// How long load balancers are down when they are restarted.
const RESTART: Duration = Duration::from_millis(100);
/// Requests that were under way when the fault came belong to it.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    BalancerKilled,
    BalancerFrozen,
    BalancersRestarted,
    AgentStopped,
    Drained,
    AgentKilled,
    AgentFrozen,
    LinkDown,
    LinkUp,
    CutOff,
    Back,
}

impl Fault {
    pub const ALL: [Fault; 11] = [
        Self::BalancerKilled,
        Self::BalancerFrozen,
        Self::BalancersRestarted,
        Self::AgentStopped,
        Self::Drained,
        Self::AgentKilled,
        Self::AgentFrozen,
        Self::LinkDown,
        Self::LinkUp,
        Self::CutOff,
        Self::Back,
    ];

    /// How it is called in filters.
    pub fn key(self) -> &'static str {
        match self {
            Self::BalancerKilled => "lb-killed",
            Self::BalancerFrozen => "lb-frozen",
            Self::BalancersRestarted => "lb-restarted",
            Self::AgentStopped => "agent-stopped",
            Self::Drained => "drained",
            Self::AgentKilled => "agent-killed",
            Self::AgentFrozen => "agent-frozen",
            Self::LinkDown => "link-down",
            Self::LinkUp => "link-up",
            Self::CutOff => "cut-off",
            Self::Back => "back",
        }
    }

    /// How it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::BalancerKilled => "load balancer killed",
            Self::BalancerFrozen => "load balancer frozen",
            Self::BalancersRestarted => "restarted on all hosts (100 ms)",
            Self::AgentStopped => "agent stopped (SIGTERM)",
            Self::Drained => "host drained",
            Self::AgentKilled => "agent killed (SIGKILL)",
            Self::AgentFrozen => "agent frozen (SIGSTOP)",
            Self::LinkDown => "host cut off, link down",
            Self::LinkUp => "host back, link up",
            Self::CutOff => "host cut off silently",
            Self::Back => "host back from silence",
        }
    }

    /// The fault that ends with this one, if it comes in pairs.
    pub fn begins_with(self) -> Option<Fault> {
        match self {
            Self::LinkUp => Some(Self::LinkDown),
            Self::Back => Some(Self::CutOff),
            _ => None,
        }
    }

    /// Whether the host that held the address should lose it.
    fn moves(self) -> bool {
        !matches!(self, Self::BalancersRestarted | Self::LinkUp | Self::Back)
    }
}

/// A length of time, or that it had not ended.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Span {
    pub lasting: bool,
    pub seconds: f64,
}

impl Span {
    fn new(length: Duration, lasting: bool) -> Span {
        Span { lasting, seconds: length.as_secs_f64() }
    }
}

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Longest time without a successful short request.
    pub outage: Span,
    /// Short requests lost.
    pub lost: usize,
    /// Requests of 50 ms lost.
    pub lost_slow: usize,
    /// Time with two holders.
    pub two: Span,
    /// How long the host that should not have the address has it.
    pub stale: Option<Span>,
}

/// Lets a fault happen to the holder, and says what came of it. At the end the fault is still there.
pub async fn strike(bed: &mut Bed, fault: Fault, holder: usize) -> Result<(Instant, Run)> {
    bed.short.forget(Instant::now() - UNDER_WAY * 3);
    bed.slow.forget(Instant::now() - UNDER_WAY * 3);
    let begun = Instant::now();
    match fault {
        Fault::BalancerKilled => bed.balancer(holder)?.kill9()?,
        Fault::BalancerFrozen => bed.balancer(holder)?.stop()?,
        Fault::BalancersRestarted => restart(bed, begun).await?,
        Fault::AgentStopped => bed.agent(holder)?.terminate()?,
        Fault::Drained => bed.order(holder, "drain").await?,
        Fault::AgentKilled => bed.agent(holder)?.kill()?,
        Fault::AgentFrozen => bed.agent(holder)?.freeze()?,
        Fault::LinkDown => bed.host(holder)?.cut().await?,
        Fault::LinkUp => bed.host(holder)?.restore().await?,
        Fault::CutOff => bed.host(holder)?.isolate().await?,
        Fault::Back => bed.host(holder)?.rejoin().await?,
    }
    while !over(bed, fault, holder, begun)? && begun.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let until = Instant::now();
    let holding = bed.lab.watcher().holding(VIP.into(), begun)?;
    let gone = bed.lab.watcher().lost(holder, VIP.into(), begun)?;
    let short = bed.short.tally(begun - UNDER_WAY, until).await?;
    let slow = bed.slow.tally(begun - UNDER_WAY, until).await?;
    let stale = match gone {
        Some(gone) => Span::new(gone.saturating_duration_since(begun), false),
        None => Span::new(until - begun, true),
    };
    let run = Run {
        outage: Span::new(short.outage, short.lasting),
        lost: short.lost,
        lost_slow: slow.lost,
        two: Span::new(holding.two, holding.now.len() > 1),
        stale: fault.moves().then_some(stale),
    };
    Ok((begun, run))
}

async fn restart(bed: &mut Bed, begun: Instant) -> Result<()> {
    for index in 0..bed.lab.hosts().len() {
        bed.balancer(index)?.kill9()?;
    }
    tokio::time::sleep_until((begun + RESTART).into()).await;
    for index in 0..bed.lab.hosts().len() {
        bed.start_balancer(index).await?;
    }
    Ok(())
}

/// Whether nothing more is to be expected of a fault.
fn over(bed: &Bed, fault: Fault, holder: usize, begun: Instant) -> Result<bool> {
    let holders = bed.lab.watcher().holders(VIP.into())?;
    let by = bed.short.steady(WELL);
    let passed = begun.elapsed();
    Ok(match fault {
        Fault::BalancersRestarted => passed > WELL * 3 && holders.len() == 1 && by == Some(holders[0]),
        Fault::LinkUp | Fault::Back => passed > WELL * 5 && holders.len() == 1 && by == Some(holders[0]),
        // The host that is cut off may keep the address: nobody sees it there.
        Fault::LinkDown | Fault::CutOff => passed > WELL * 3 && by == Some(1 - holder),
        _ => holders == [1 - holder] && by == Some(1 - holder),
    })
}

/// Ends a fault.
pub async fn mend(bed: &mut Bed, fault: Fault, holder: usize) -> Result<()> {
    match fault {
        Fault::BalancerKilled => bed.start_balancer(holder).await,
        Fault::BalancerFrozen => bed.balancer(holder)?.cont(),
        Fault::AgentStopped => {
            bed.agent(holder)?.process().wait(LIMIT).await.context("stopping the agent")?;
            bed.start_agent(holder).await
        }
        Fault::Drained => bed.order(holder, "undrain").await,
        Fault::AgentKilled => bed.start_agent(holder).await,
        Fault::AgentFrozen => bed.agent(holder)?.thaw(),
        Fault::LinkDown => bed.host(holder)?.restore().await,
        Fault::CutOff => bed.host(holder)?.rejoin().await,
        Fault::BalancersRestarted | Fault::LinkUp | Fault::Back => Ok(()),
    }
}
