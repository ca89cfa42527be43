//! What an established connection goes through while the agent renews the lease.

use crate::support::{SOON, Site, ss};
use anyhow::{Context, Result, ensure};
use outrider::lab::VIP;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test]
async fn a_busy_connection_does_not_notice_the_renewals() -> Result<()> {
    let site = Site::with_agents(1, 0, &[]).await?;
    let listening = site.namespace(0).run(async { TcpListener::bind((VIP, 7)).await });
    let listener = listening.await??;
    let echo = site.namespace(0).spawn(async move {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (mut from, mut to) = stream.into_split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });

    let since = Instant::now();
    let talk = site.lab.client_namespace().run(async move {
        let mut stream = TcpStream::connect((VIP, 7)).await?;
        stream.set_nodelay(true)?;
        let (mut block, mut blocks) = ([0_u8; 4096], 0_u32);
        while since.elapsed() < Duration::from_secs(5) {
            block.fill(blocks as u8);
            stream.write_all(&block).await?;
            let mut answer = [0; 4096];
            timeout(SOON, stream.read_exact(&mut answer)).await.context("the connection is stuck")??;
            ensure!(answer == block, "other data came back");
            blocks += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok((stream, blocks))
    });
    let (_stream, blocks) = talk.await??;
    let renewals = site.wire.renewals(0, since);
    ensure!(blocks > 500 && renewals >= 10, "{blocks} blocks, {renewals} renewals");
    site.assert_undisturbed(0, since).await?;
    for namespace in [site.lab.client_namespace(), site.namespace(0)] {
        let shown = ss(namespace, "-Htin state established ( sport = :7 or dport = :7 )").await?;
        ensure!(shown.contains("bytes_acked:"), "no such connection: {shown}");
        ensure!(!shown.contains("retrans"), "something was sent twice: {shown}");
    }
    echo.abort();
    Ok(())
}
