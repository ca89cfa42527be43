//! What two routers go through, one of them outrider, whatever the other one is and however they speak.
//!
//! The bounds, for each kind of change, are the protocol's own times, and what a busy machine adds ([`BUSY`]):
//!
//! | what happens | two holders | no holder |
//! |---|---|---|
//! | they stop | never: they remove the address first | Skew_Time |
//! | we stop | until the address is removed, 20 ms after theirs is announced | never |
//! | they die, machine and all | never | Master_Down_Interval |
//! | our process dies | from their claim until the lease ends | Master_Down_Interval |
//! | one preempts the other | until the other one has heard of it | never |
//! | a split heals | until both have been heard, an interval | never |
//!
//! "Never" is [`OVERLAP`] here: what one kernel does is noticed a moment before or after what the other one does.

use crate::site::{BUSY, Kind, OVERLAP, Settings, Site};
use crate::speech::Speech;
use anyhow::Result;
use std::time::Instant;

const OURS: usize = 0;
const THEIRS: usize = 1;

fn ours(priority: u8) -> Settings {
    Kind::Outrider.at(priority)
}

/// Both routers run, and this one has the address.
async fn pair(speech: Speech, holder: (usize, Settings), backup: (usize, Settings)) -> Result<Site> {
    let mut site = Site::new(2, speech).await?;
    site.start_holder(holder.0, holder.1).await?;
    let since = Instant::now();
    site.start_backup(backup.0, backup.1).await?;
    site.assert_alone(holder.0, since)?;
    Ok(site)
}

/// Each stops in good order, and comes back as a Backup.
pub async fn stops(speech: Speech, kind: Kind) -> Result<()> {
    let mut site = pair(speech, (THEIRS, kind.at(100)), (OURS, ours(150))).await?;
    let since = site.client_uses(THEIRS).await?;
    site.stop(THEIRS).await?;
    site.assert_settles(OURS, since, OVERLAP, speech.skew() + BUSY).await?;

    let since = Instant::now();
    site.start_backup(THEIRS, kind.at(100)).await?;
    site.assert_alone(OURS, since)?;

    let since = site.client_uses(OURS).await?;
    site.stop(OURS).await?;
    site.assert_settles(THEIRS, since, OVERLAP, OVERLAP).await?;

    let since = Instant::now();
    site.start_backup(OURS, ours(150)).await?;
    site.assert_alone(THEIRS, since)
}

/// Each dies, and comes back as a Backup.
pub async fn dies(speech: Speech, kind: Kind) -> Result<()> {
    let mut site = pair(speech, (THEIRS, kind.at(100)), (OURS, ours(150))).await?;
    let since = site.client_uses(THEIRS).await?;
    site.crash(THEIRS).await?;
    site.assert_settles(OURS, since, OVERLAP, speech.master_down() + BUSY).await?;

    let since = Instant::now();
    site.start_backup(THEIRS, kind.at(100)).await?;
    site.assert_alone(OURS, since)?;

    let since = site.client_uses(OURS).await?;
    site.crash(OURS).await?;
    site.assert_settles(THEIRS, since, speech.lease(), speech.master_down() + BUSY).await?;

    let since = Instant::now();
    site.start_backup(OURS, ours(150)).await?;
    site.assert_alone(THEIRS, since)
}

/// Both have the address while they do not hear each other. As soon as they do, one wins, and clients are told.
async fn split(speech: Speech, hosts: [(usize, Settings); 2], winner: usize) -> Result<()> {
    let mut site = pair(speech, hosts[0], hosts[1]).await?;
    site.split().await?;
    site.wait_for_holders(&[0, 1]).await?;
    let since = site.client_uses(1 - winner).await?;
    site.heal().await?;
    site.assert_held(winner, since, speech.interval() * 2 + BUSY, OVERLAP).await?;
    // vrrpd does not announce the address again when it hears of another holder.
    if site.kind(winner) != Some(Kind::Frr) {
        site.wait_for_client_to_know(winner).await?;
    }

    // They know each other again.
    let since = site.client_uses(winner).await?;
    site.stop(winner).await?;
    site.assert_settles(1 - winner, since, OVERLAP, speech.skew() + BUSY).await
}

pub async fn split_ours_higher(speech: Speech, kind: Kind) -> Result<()> {
    split(speech, [(THEIRS, kind.at(100)), (OURS, ours(150))], OURS).await
}

pub async fn split_theirs_higher(speech: Speech, kind: Kind) -> Result<()> {
    split(speech, [(THEIRS, kind.at(150)), (OURS, ours(100))], THEIRS).await
}

/// Of equal priorities the higher address wins.
pub async fn split_equal_priority_ours_higher_address(speech: Speech, kind: Kind) -> Result<()> {
    split(speech, [(0, kind.at(120)), (1, ours(120))], 1).await
}

pub async fn split_equal_priority_theirs_higher_address(speech: Speech, kind: Kind) -> Result<()> {
    split(speech, [(1, kind.at(120)), (0, ours(120))], 1).await
}

/// A higher priority takes the address from a lower one, where it is told to.
async fn preempts(speech: Speech, lower: (usize, Settings), higher: (usize, Settings)) -> Result<()> {
    let mut site = Site::new(2, speech).await?;
    site.start_holder(lower.0, lower.1).await?;
    let since = site.client_uses(lower.0).await?;
    site.start(higher.0, higher.1).await?;
    site.assert_settles(higher.0, since, OVERLAP, OVERLAP).await
}

pub async fn ours_preempts(speech: Speech, kind: Kind) -> Result<()> {
    preempts(speech, (THEIRS, kind.at(100)), (OURS, ours(150).preempting())).await
}

/// Our second burst of announcements is left out, a second after the first: vrrpd's first advert over IPv6 is lost, so
/// that it could come after vrrpd's only announcement.
pub async fn theirs_preempts(speech: Speech, kind: Kind) -> Result<()> {
    let ours = Settings { variables: &[("OUTRIDER_GARP_DELAY", "0s")], ..ours(100) };
    preempts(speech, (OURS, ours), (THEIRS, kind.at(150).preempting())).await
}

/// A higher priority that is told to leave the address where it is, does; so does an equal one in any case.
async fn waits(speech: Speech, holder: (usize, Settings), backup: (usize, Settings)) -> Result<()> {
    let site = pair(speech, holder, backup).await?;
    site.assert_calm(holder.0).await
}

pub async fn ours_waits(speech: Speech, kind: Kind) -> Result<()> {
    waits(speech, (THEIRS, kind.at(100)), (OURS, ours(150))).await
}

pub async fn theirs_waits(speech: Speech, kind: Kind) -> Result<()> {
    waits(speech, (OURS, ours(100)), (THEIRS, kind.at(150))).await
}

/// Though its address is higher.
pub async fn ours_does_not_preempt_an_equal(speech: Speech, kind: Kind) -> Result<()> {
    waits(speech, (0, kind.at(120).preempting()), (1, ours(120).preempting())).await
}

pub async fn theirs_does_not_preempt_an_equal(speech: Speech, kind: Kind) -> Result<()> {
    waits(speech, (0, ours(120).preempting()), (1, kind.at(120).preempting())).await
}

/// A module of tests: what two routers go through if they speak like this.
macro_rules! tests {
    ($kind:ident: $($module:ident = $which:expr;)*) => {
        $(mod $module {
            use crate::scenarios;
            use crate::site::Kind;
            use crate::speech::Speech;
            use crate::steady::steady;
            use anyhow::Result;

            $crate::scenarios::tests! { @each $which, Kind::$kind;
                stops dies
                split_ours_higher split_theirs_higher
                split_equal_priority_ours_higher_address split_equal_priority_theirs_higher_address
                ours_preempts theirs_preempts ours_waits theirs_waits
                ours_does_not_preempt_an_equal theirs_does_not_preempt_an_equal
            }
        })*
    };
    (@each $which:expr, $kind:expr; $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() -> Result<()> {
            steady(async || scenarios::$name($which, $kind).await).await
        })*
    };
}
pub(crate) use tests;
