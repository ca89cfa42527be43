//! `check-config`: the settings in force, where each came from, and what was derived.

use super::place::{self, NoPlace};
use super::prepare::targets;
use super::{outside, wired};
use crate::config::{self, CheckSetting, Loaded, Peers, Router, Section};
use crate::core::members::{self, Membership, Standing};
use crate::metadata::{self, Snapshot, Update};
use anyhow::Result;
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
    let settings = settings.join("\n");
    let router = match wired(config) {
        Ok(router) => router,
        Err(why) => {
            return Ok(Report { text: format!("{settings}\nDerived: nothing; {why}\n"), wrong: true });
        }
    };
    let mut derived: Vec<(&str, String, &str)> = Vec::new();
    let snapshot = match router.peers {
        Peers::Rancher => first_answer(loaded, router).await?,
        Peers::List(_) | Peers::None => Err(String::new()),
    };
    let place = place::find(router, snapshot.as_ref().ok().map(|snapshot| &snapshot.me));
    let mut wrong = false;
    match &place {
        Ok(place) => {
            derived.push(("interface", place.interface.clone(), "derived"));
            derived.push(("", format!("({})", place.because), ""));
            derived.push(("source", place.source.to_string(), "derived"));
            let vips: Vec<_> = place.vips.iter().map(|(vip, prefix)| format!("{vip}/{prefix}")).collect();
            derived.push(("installed as", vips.join(", "), "derived"));
        }
        Err(why) => {
            wrong = matches!(why, NoPlace::Wrong(_));
            derived.push(("interface", format!("unknown: {}", why.text()), ""));
        }
    }
    let router_id = config.router_id.clone().unwrap_or_else(outside::hostname);
    derived.push(("router id", router_id, if config.router_id.is_some() { "set" } else { "host name" }));
    derived.push(("VRID", router.vrid.to_string(), ""));
    let membership = match (&router.peers, &snapshot, &place) {
        (Peers::List(peers), _, Ok(place)) => Ok(metadata::from_list(peers, place.source.into())),
        (Peers::None, _, Ok(place)) => Ok(metadata::from_list(&[], place.source.into())),
        (Peers::List(_) | Peers::None, _, Err(why)) => Err(why.text().to_owned()),
        (Peers::Rancher, Ok(snapshot), _) => Ok(snapshot.membership.clone()),
        (Peers::Rancher, Err(why), _) => Err(why.clone()),
    };
    match &membership {
        Ok(membership) => describe_members(router.vrid, router.priority, membership, &mut derived),
        Err(why) => derived.push(("members", format!("unknown: {why}"), "metadata")),
    }
    match (targets(router, snapshot.as_ref().ok()), &router.check) {
        (Ok(targets), _) if targets.is_empty() => derived.push(("checks", "none".to_owned(), "set")),
        (Ok(targets), setting) => {
            let origin = if matches!(setting, CheckSetting::Published(_)) { "metadata" } else { "settings" };
            derived.extend(targets.iter().map(|target| ("check", target.to_string(), origin)));
        }
        (Err(why), _) => derived.push(("checks", format!("unknown: {why}"), "metadata")),
    }
    let text = format!("{settings}\nDerived:\n{}", config::table(&derived));
    Ok(Report { text, wrong })
}

fn describe_members(
    vrid: u8,
    by_hand: Option<u8>,
    membership: &Membership,
    derived: &mut Vec<(&str, String, &str)>,
) {
    let all = membership.all().count();
    match &membership.me {
        Standing::Left(why) => derived.push(("this host", format!("does not take part: {why}"), "metadata")),
        Standing::Member(me) => {
            let rank = membership.rank(vrid, &me.id);
            let priority = me.priority.or(by_hand).unwrap_or_else(|| members::priority(rank, all));
            let origin = match (me.priority, by_hand) {
                (Some(_), _) => "host label",
                (None, Some(_)) => "set",
                (None, None) => "rank",
            };
            derived.push(("rank", format!("{} of {all}", rank + 1), "derived"));
            derived.push(("priority", priority.to_string(), origin));
        }
    }
    for other in &membership.others {
        let rank = membership.rank(vrid, &other.id) + 1;
        derived.push(("peer", format!("{} ({}), rank {rank}", other.name, other.address), ""));
    }
}

/// The first answer of the metadata service, or why there is none.
async fn first_answer(loaded: &Loaded, router: &Router) -> Result<Result<Snapshot, String>> {
    let mut outside = outside::start(&loaded.config, router).await?;
    let answer = tokio::time::timeout(PATIENCE, async {
        match outside.updates.recv().await {
            Some(Update::Snapshot { snapshot, .. }) => Ok(*snapshot),
            Some(Update::Unreachable { why, .. }) => Err(why),
            Some(Update::Confirmed { .. }) | None => Err("the metadata service cannot be watched".to_owned()),
        }
    });
    Ok(answer.await.unwrap_or_else(|_| Err("the metadata service did not answer in time".to_owned())))
}
