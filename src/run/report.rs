//! `check-config`: the settings in force, where each came from, and what was derived.

use super::interpret::{membership, targets};
use super::outside;
use super::place::{self, NoPlace};
use crate::config::{self, CheckSetting, Config, Loaded, Peers, Router, Section};
use crate::core::members::{self, Membership, Standing};
use crate::metadata::{Snapshot, Update};
use anyhow::Result;
use std::net::IpAddr;
use std::time::Duration;

/// How long the metadata service may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The report, and whether a person must change something.
pub struct Report {
    /// For people, ending with a line break.
    pub text: String,
    /// Something derived is ambiguous.
    pub wrong: bool,
}

/// Prints everything that can be known; touches nothing. Asks the metadata service once.
///
/// # Errors
/// When not even a runtime can be had.
pub fn check_config(loaded: &Loaded) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(report(loaded));
    runtime.shutdown_background();
    report
}

async fn report(loaded: &Loaded) -> Result<Report> {
    let config = &loaded.config;
    let settings: Vec<String> = config::describe(loaded).iter().map(Section::to_string).collect();
    let mut text = settings.join("\n");
    let asks = config.routers.iter().any(|router| router.peers == Peers::Rancher);
    let snapshot = if asks { first_answer(config).await? } else { Err(String::new()) };
    let mut wrong = false;
    let mut earlier: Vec<u8> = Vec::new();
    for router in &config.routers {
        let mut rows: Vec<Row> = Vec::new();
        wrong |= derive(config, router, &earlier, &snapshot, &mut rows);
        earlier.push(router.vrid);
        let of = if config.routers.len() > 1 { format!(" for {}", router.name) } else { String::new() };
        text.push_str(&format!("\nDerived{of}:\n{}", config::table(&rows)));
    }
    Ok(Report { text, wrong })
}

/// What was derived, its value, and where from.
type Row = (&'static str, String, &'static str);

/// Everything that is derived for one virtual router. Tells whether a person must change something.
fn derive(
    config: &Config,
    router: &Router,
    earlier: &[u8],
    answer: &Result<Snapshot, String>,
    rows: &mut Vec<Row>,
) -> bool {
    let snapshot = answer.as_ref().ok();
    let place = match (&router.peers, answer) {
        (Peers::Rancher, Err(why)) => Err(NoPlace::Wait(why.clone())),
        _ => place::find(router, snapshot.map(|snapshot| &snapshot.me)),
    };
    let mut wrong = matches!(place, Err(NoPlace::Wrong(_)));
    match &place {
        Ok(place) => {
            rows.push(("interface", place.interface.clone(), "derived"));
            rows.push(("", format!("({})", place.because), ""));
            rows.push(("source", place.source.to_string(), "derived"));
            let vips: Vec<_> = place.vips.iter().map(|(vip, prefix)| format!("{vip}/{prefix}")).collect();
            rows.push(("installed as", vips.join(", "), "derived"));
        }
        Err(why) => rows.push(("interface", format!("unknown: {}", why.text()), "")),
    }
    let router_id = config.router_id.clone().unwrap_or_else(outside::hostname);
    rows.push(("router id", router_id, if config.router_id.is_some() { "set" } else { "host name" }));
    rows.push(("VRID", router.vrid.to_string(), ""));
    match place {
        Ok(place) => match membership(router, place.source, snapshot) {
            Ok(members) => describe_members(router, earlier, place.source, &members, rows),
            Err(why) => {
                wrong = true;
                rows.push(("members", format!("unknown: {why}"), "metadata"));
            }
        },
        Err(why) => rows.push(("members", format!("unknown: {}", why.text()), "")),
    }
    match (targets(router, snapshot), &router.check) {
        (Ok(targets), _) if targets.is_empty() => rows.push(("checks", "none".to_owned(), "set")),
        (Ok(targets), setting) => {
            let origin = if matches!(setting, CheckSetting::Published(_)) { "metadata" } else { "settings" };
            rows.extend(targets.iter().map(|target| ("check", target.to_string(), origin)));
        }
        (Err(why), _) => rows.push(("checks", format!("unknown: {why}"), "metadata")),
    }
    wrong
}

fn describe_members(
    router: &Router,
    earlier: &[u8],
    source: IpAddr,
    membership: &Membership,
    rows: &mut Vec<Row>,
) {
    let all = membership.all().count();
    let rank = |id: &str| membership.rank(earlier, router.vrid, id);
    match &membership.me {
        Standing::Left(why) => rows.push(("this host", format!("does not take part: {why}"), "metadata")),
        Standing::Member(_) if router.peers == Peers::None => {
            let lone = members::lone_priority(router.vrid, &source.to_string());
            let origin = if router.priority.is_some() { "set" } else { "by the source address" };
            rows.push(("priority", router.priority.unwrap_or(lone).to_string(), origin));
            rows.push(("peers", "whoever is in the multicast group".to_owned(), ""));
        }
        Standing::Member(me) => {
            let by_rank = || members::priority(rank(&me.id), all);
            let priority = me.priority.or(router.priority).unwrap_or_else(by_rank);
            let origin = match (me.priority, router.priority) {
                (Some(_), _) => "host label",
                (None, Some(_)) => "set",
                (None, None) => "rank",
            };
            rows.push(("rank", format!("{} of {all}", rank(&me.id) + 1), "derived"));
            rows.push(("priority", priority.to_string(), origin));
        }
    }
    for other in &membership.others {
        let (name, address, rank) = (&other.name, other.address, rank(&other.id) + 1);
        rows.push(("peer", format!("{name} ({address}), rank {rank}"), ""));
    }
}

/// The first answer of the metadata service, or why there is none.
async fn first_answer(config: &Config) -> Result<Result<Snapshot, String>> {
    let mut outside = outside::start(config).await?;
    let answer = tokio::time::timeout(PATIENCE, async {
        match outside.updates.recv().await {
            Some(Update::Snapshot { snapshot, .. }) => Ok(*snapshot),
            Some(Update::Unreachable { why, .. }) => Err(why),
            Some(Update::Confirmed { .. }) | None => Err("the metadata service cannot be watched".to_owned()),
        }
    });
    Ok(answer.await.unwrap_or_else(|_| Err("the metadata service did not answer in time".to_owned())))
}
