//! However many ask, adverts do not wait for them.

use crate::site::Site;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 500;

/// `OUTRIDER_FLOOD_SECONDS` sets how long.
#[tokio::test]
async fn five_hundred_connections_do_not_delay_an_advert() {
    let seconds = std::env::var("OUTRIDER_FLOOD_SECONDS").map_or(8, |text| text.parse().unwrap());
    let (site, holder) = Site::running(2, &[]).await;
    let before = site.status(holder).await.unwrap().routers[0].clone();
    let address = (site.lab.hosts()[holder].address(), 9112);
    let until = Instant::now() + Duration::from_secs(seconds);
    let client = site.lab.client_namespace();
    for number in 0..CONNECTIONS {
        client.spawn(async move {
            while Instant::now() < until {
                let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                // A third asks for the longest answers, a third says half a word, a third nothing.
                let request: &[u8] = match number % 3 {
                    0 => b"GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                    1 => b"GET /sta",
                    _ => b"",
                };
                let _ = stream.write_all(request).await;
                let mut answer = [0; 4096];
                let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer));
                let _ = read.await;
            }
        });
    }
    tokio::time::sleep_until(until.into()).await;
    let after = site.wait_for(holder, "it answers after the flood", |_| true).await.routers[0].clone();
    let sent = after.counters.adverts_sent - before.counters.adverts_sent;
    let late = after.counters.adverts_late - before.counters.adverts_late;
    println!("{sent} adverts, {late} of them later than a tenth of the interval");
    assert!(sent >= seconds * 4, "{sent} adverts in {seconds} s");
    // The flood itself takes a core and a half of this machine, so one or the other may be late for want of one.
    assert!(late * 20 <= sent, "{late} of {sent} adverts were late");
    assert_eq!(site.lab.holders().await.unwrap(), [holder]);
    assert_eq!(before.counters.became_active, after.counters.became_active);
}
