//! Tests whose times depend on the machine.

use anyhow::Result;
use outrider::lab::namespace::Namespace;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A machine that keeps a thread, or a change of an address, waiting for this long cannot keep the times of the
/// tests.
const STALL: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a test, and again if it fails on a machine that stalled meanwhile: then the failure may be the stall's.
pub async fn steady(test: impl AsyncFn() -> Result<()>) -> Result<()> {
    let mut repeats = 0;
    loop {
        let meter = Meter::start().await?;
        let Err(error) = test().await else { return Ok(()) };
        let worst = meter.worst();
        let told = format!("the machine stalled for {worst:?} at worst");
        if worst < STALL || repeats == 3 {
            return Err(error.context(told));
        }
        println!("{error:#}; but {told}: once more");
        repeats += 1;
    }
}

/// Measures how long it takes to be woken, and to change an address: that waits for the kernel's rtnl lock, which
/// is one for all namespaces and held for long while some are made or taken down.
struct Meter {
    /// The longest delay, and when the measurement that is under way began.
    seen: Arc<Mutex<(Duration, Instant)>>,
    task: JoinHandle<()>,
}

fn delay(begun: Instant) -> Duration {
    begun.elapsed().saturating_sub(PAUSE)
}

impl Meter {
    async fn start() -> Result<Meter> {
        let namespace = Namespace::new("meter").await?;
        let seen = Arc::new(Mutex::new((Duration::ZERO, Instant::now())));
        let measured = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                tokio::time::sleep(PAUSE).await;
                let address = std::net::Ipv4Addr::new(127, 0, 0, 2);
                // Whatever becomes of it: it is the time that counts.
                let _ = namespace.add_address("lo", std::net::IpAddr::from(address).into()).await;
                let _ = namespace.remove_address(address.into()).await;
                let mut seen = measured.lock().unwrap();
                *seen = (seen.0.max(delay(begun)), Instant::now());
            }
        });
        Ok(Meter { seen, task })
    }

    fn worst(&self) -> Duration {
        let (worst, begun) = *self.seen.lock().unwrap();
        worst.max(delay(begun))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
