//! outrider and Debian's keepalived.

use crate::scenarios;
use crate::site::{BUSY, Kind, OVERLAP, Site, ip};
use crate::speech::Speech;
use crate::steady::steady;
use anyhow::Result;

scenarios::tests! { Keepalived:
    v2 = Speech::V2;
    v2_pass = Speech::V2_PASS;
    v3_unicast = Speech::V3_UNICAST;
    v3_multicast = Speech::V3;
    ipv6_multicast = Speech::IPV6;
    ipv6_unicast = Speech::IPV6_UNICAST;
}

/// Version 2 by unicast, which is keepalived's own, differs from multicast only in where packets go.
mod v2_unicast {
    use super::*;

    #[tokio::test]
    async fn stops() -> Result<()> {
        steady(async || scenarios::stops(Speech::V2_UNICAST, Kind::Keepalived).await).await
    }

    #[tokio::test]
    async fn dies() -> Result<()> {
        steady(async || scenarios::dies(Speech::V2_UNICAST, Kind::Keepalived).await).await
    }
}

/// A host that is our default gateway and has the address cannot vouch for the network once it is dead.
#[tokio::test]
async fn our_gateway_dies() -> Result<()> {
    steady(async || {
        let speech = Speech::V3_UNICAST;
        let mut site = Site::new(2, speech).await?;
        ip(site.namespace(0), &format!("route add default via {} dev eth0", speech.source(1))).await?;
        site.start_holder(1, Kind::Keepalived.at(100)).await?;
        site.start_backup(0, Kind::Outrider.at(150)).await?;
        let since = site.client_uses(1).await?;
        site.crash(1).await?;
        site.assert_settles(0, since, OVERLAP, speech.master_down() + BUSY).await
    })
    .await
}
