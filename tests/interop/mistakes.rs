//! Groups that are not set up alike: outrider claims nothing while it hears somebody who has the address, and says
//! whose setting to change.

use crate::site::{BUSY, Kind, OVERLAP, SOON, Settings, Site, count};
use crate::speech::Speech;
use crate::steady::steady;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

const OURS: usize = 0;
const THEIRS: usize = 1;
/// Longer than either side's Master_Down_Interval.
const LONG: Duration = Duration::from_secs(5);
/// How long somebody who cannot be understood is believed to be there after the last advert, and the time of a check
/// of that. Longer than three intervals of keepalived's.
const UNSEEN: Duration = Duration::from_secs(4);

/// keepalived has the address and speaks like this; outrider, which speaks like that, may not claim it, and says so
/// with these words. When keepalived has stopped, it gets its turn.
async fn held_back(theirs: Speech, ours: Speech, said: &[&str]) -> Result<()> {
    let mut site = Site::new(2, theirs).await?;
    site.start_holder(THEIRS, Kind::Keepalived.at(100)).await?;
    let since = Instant::now();
    site.start_speaking(OURS, Kind::Outrider.at(150), ours).await?;
    let named = site.log(OURS).wait_for_line(said[0], SOON).await?;
    for words in said {
        ensure!(named.text.contains(words), "{words:?} is not in: {}", named.text);
    }
    let held_back = "in a way that this host must reject";
    site.log(OURS).wait_for_line(held_back, SOON).await?;
    tokio::time::sleep(LONG).await;
    site.assert_alone(THEIRS, since)?;
    for words in [said[0], held_back] {
        ensure!(count(site.log(OURS), words) == 1, "said more than once: {words:?}");
    }

    let since = site.client_uses(THEIRS).await?;
    site.stop(THEIRS).await?;
    let limit = UNSEEN + ours.master_down() + BUSY;
    site.assert_settles(OURS, since, OVERLAP, limit).await
}

#[tokio::test]
async fn theirs_version_2_ours_version_3() -> Result<()> {
    steady(async || {
        let said = ["10.10.10.12 speaks VRRP V2", "set OUTRIDER_VRRP_VERSION alike"];
        held_back(Speech::V2_UNICAST, Speech::V3_UNICAST, &said).await
    })
    .await
}

#[tokio::test]
async fn theirs_version_3_ours_version_2() -> Result<()> {
    steady(async || {
        let said = ["10.10.10.12 speaks VRRP V3", "set OUTRIDER_VRRP_VERSION alike"];
        held_back(Speech::V3_UNICAST, Speech::V2_UNICAST, &said).await
    })
    .await
}

#[tokio::test]
async fn another_password() -> Result<()> {
    steady(async || {
        let theirs = Speech { password: Some("theirs"), ..Speech::V2 };
        let ours = Speech { password: Some("ours"), ..Speech::V2 };
        let said = ["10.10.10.12 sends another password", "set OUTRIDER_AUTH_PASS alike"];
        held_back(theirs, ours, &said).await
    })
    .await
}

#[tokio::test]
async fn a_password_that_only_they_have() -> Result<()> {
    steady(async || {
        let theirs = Speech { password: Some("theirs"), ..Speech::V2 };
        let said = ["10.10.10.12 sends a password, this host has none", "set OUTRIDER_AUTH_PASS alike"];
        held_back(theirs, Speech::V2, &said).await
    })
    .await
}

#[tokio::test]
async fn a_password_that_only_we_have() -> Result<()> {
    steady(async || {
        let ours = Speech { password: Some("ours"), ..Speech::V2 };
        let said = ["10.10.10.12 sends no password", "set OUTRIDER_AUTH_PASS there, or nowhere"];
        held_back(Speech::V2, ours, &said).await
    })
    .await
}

/// It rejects our adverts, so it takes the address although we have it. We cannot keep it from that, but clients find
/// us all the same, since every announcement is answered by one.
#[tokio::test]
async fn a_password_that_only_they_have_and_they_come_later() -> Result<()> {
    steady(async || {
        let mut site = Site::new(2, Speech::V2).await?;
        site.start_holder(OURS, Kind::Outrider.at(150)).await?;
        site.client_uses(OURS).await?;
        let theirs = Speech { password: Some("theirs"), ..Speech::V2 };
        site.start_speaking(THEIRS, Kind::Keepalived.at(100), theirs).await?;
        site.log(OURS).wait_for_line("10.10.10.12 sends a password, this host has none", SOON).await?;
        site.wait_for_client_to_know(THEIRS).await?;
        // It announces twice, a second apart.
        for _ in 0..2 {
            site.wait_for_client_to_know(OURS).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        site.wait_for_holders(&[OURS, THEIRS]).await?;
        let since = Instant::now();
        site.stop(THEIRS).await?;
        site.assert_settles(OURS, since, BUSY, OVERLAP).await
    })
    .await
}

/// keepalived 2.2 drops the adverts of a router with other addresses, so it would claim the address beside ours: ours
/// may not be the one to claim.
#[tokio::test]
async fn another_list_of_addresses() -> Result<()> {
    steady(async || {
        let speech = Speech::V3_UNICAST;
        let mut site = Site::new(2, speech).await?;
        let more = Settings { more_addresses: &["10.10.10.3"], ..Kind::Keepalived.at(100) };
        site.start_holder(THEIRS, more).await?;
        let since = Instant::now();
        site.start_backup(OURS, Kind::Outrider.at(150)).await?;
        let said = "10.10.10.12 advertises other addresses for our virtual router (10.10.10.2, 10.10.10.3); \
                    set OUTRIDER_VIP alike";
        site.log(OURS).wait_for_line(said, SOON).await?;
        tokio::time::sleep(LONG).await;
        site.assert_alone(THEIRS, since)?;

        let since = site.client_uses(THEIRS).await?;
        site.stop(THEIRS).await?;
        site.assert_settles(OURS, since, OVERLAP, speech.skew() + BUSY).await
    })
    .await
}

/// In version 2 the interval is not learnt: whoever has another one is not heard by keepalived.
#[tokio::test]
async fn another_interval_in_version_2() -> Result<()> {
    steady(async || {
        let speech = Speech::V2_UNICAST;
        let mut site = Site::new(2, speech).await?;
        site.start_holder(THEIRS, Kind::Keepalived.at(100)).await?;
        let since = Instant::now();
        let slow = Settings { variables: &[("OUTRIDER_ADVERT_INTERVAL", "2s")], ..Kind::Outrider.at(150) };
        site.start(OURS, slow).await?;
        let said = "10.10.10.12 advertises every 1s, this host every 2s; set OUTRIDER_ADVERT_INTERVAL alike";
        site.log(OURS).wait_for_line(said, SOON).await?;
        tokio::time::sleep(Duration::from_secs(9)).await;
        site.assert_alone(THEIRS, since)
    })
    .await
}

/// In version 3 it is: outrider waits for three of theirs, and goes back to its own when it is Active.
#[tokio::test]
async fn another_interval_in_version_3_is_learnt() -> Result<()> {
    steady(async || {
        let speech = Speech::V3_UNICAST;
        let mut site = Site::new(2, speech).await?;
        site.start_holder(THEIRS, Kind::Keepalived.at(100)).await?;
        let since = Instant::now();
        let fast = Settings { variables: &[("OUTRIDER_ADVERT_INTERVAL", "50ms")], ..Kind::Outrider.at(150) };
        site.start_backup(OURS, fast).await?;
        site.assert_calm(THEIRS).await?;
        site.assert_alone(THEIRS, since)?;
        let since = site.client_uses(THEIRS).await?;
        site.stop(THEIRS).await?;
        site.assert_settles(OURS, since, OVERLAP, speech.skew() + BUSY).await?;

        // keepalived learns ours, too.
        let since = Instant::now();
        site.start_backup(THEIRS, Kind::Keepalived.at(100)).await?;
        site.assert_calm(OURS).await?;
        site.assert_alone(OURS, since)
    })
    .await
}

/// keepalived accepts only the checksum that covers the pseudo-header. By unicast it gets that from the first moment
/// it was heard with it, whatever is set.
#[tokio::test]
async fn another_checksum_by_unicast_is_put_right() -> Result<()> {
    steady(async || {
        let mut site = Site::new(2, Speech::V3_UNICAST).await?;
        let message = Settings { variables: &[("OUTRIDER_CHECKSUM", "message")], ..Kind::Outrider.at(150) };
        site.start_holder(THEIRS, Kind::Keepalived.at(100)).await?;
        site.start_backup(OURS, message).await?;
        let since = site.client_uses(THEIRS).await?;
        site.stop(THEIRS).await?;
        site.assert_settles(OURS, since, OVERLAP, site.speech.skew() + BUSY).await?;
        let since = Instant::now();
        site.start_backup(THEIRS, Kind::Keepalived.at(100)).await?;
        site.assert_calm(OURS).await?;
        site.assert_alone(OURS, since)?;

        // Not heard yet: it claims the address, and yields to the first advert in its own form.
        site.crash(OURS).await?;
        site.stop(THEIRS).await?;
        site.wait_for_holders(&[]).await?;
        site.start_holder(OURS, message).await?;
        let since = site.client_uses(OURS).await?;
        site.start_backup(THEIRS, Kind::Keepalived.at(100)).await?;
        let claim = site.log(THEIRS).wait_for_line("Entering MASTER STATE", SOON).await?;
        site.log(THEIRS).wait_for_line_since(claim.at, "Entering BACKUP STATE", SOON).await?;
        site.wait_for_spell(THEIRS, since).await?;
        site.assert_settles(OURS, since, site.speech.interval() * 2 + BUSY, OVERLAP).await
    })
    .await
}

/// By multicast everybody gets the same, so somebody has to set it. keepalived says nothing more while it gets what it
/// rejects, so that this is said when it is heard for the first time.
#[tokio::test]
async fn another_checksum_by_multicast_is_named() -> Result<()> {
    steady(async || {
        let mut site = Site::new(2, Speech::V3).await?;
        let message = Settings { variables: &[("OUTRIDER_CHECKSUM", "message")], ..Kind::Outrider.at(150) };
        site.start_holder(OURS, message).await?;
        site.start_backup(THEIRS, Kind::Keepalived.at(100)).await?;
        let said = "10.10.10.12 uses the pseudo-header form of checksum, this host the message form, which it may reject; \
             set OUTRIDER_CHECKSUM";
        site.log(OURS).wait_for_line(said, SOON).await.map(drop)
    })
    .await
}
