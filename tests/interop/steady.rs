//! Tests whose times depend on the machine.

use crate::frr;
use anyhow::Result;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A machine that does nothing for this long may keep a router from sending for so long that it is replaced: at 200 ms
/// it is after 600 ms.
const STALL: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(20);

/// When the machine stalled, and for how long, since the first test.
static STALLS: OnceLock<Mutex<Vec<(Instant, Duration)>>> = OnceLock::new();

/// Runs a test, and again if it fails on a machine that stalled meanwhile: then the failure may be the stall's. So may
/// that of FRR where it does not find its own address.
pub async fn steady(test: impl AsyncFn() -> Result<()>) -> Result<()> {
    let stalls = STALLS.get_or_init(|| {
        std::thread::spawn(measure);
        Mutex::default()
    });
    let mut repeats = 0;
    loop {
        let since = Instant::now();
        let Err(error) = test().await else { return Ok(()) };
        let during =
            stalls.lock().unwrap().iter().filter(|(at, _)| *at >= since).map(|(_, stall)| *stall).max();
        let blind = error.chain().any(|cause| cause.to_string() == frr::BLIND);
        match during {
            Some(stall) if repeats < 3 => {
                println!("{error:#}; but the machine stalled for {stall:?}: once more")
            }
            None if blind && repeats < 3 => {
                println!("{error:#}: FRR did not find its own address: once more")
            }
            _ => return Err(error),
        }
        repeats += 1;
    }
}

fn measure() {
    loop {
        let begun = Instant::now();
        std::thread::sleep(PAUSE);
        let stall = begun.elapsed().saturating_sub(PAUSE);
        if stall >= STALL
            && let Some(stalls) = STALLS.get()
        {
            stalls.lock().unwrap().push((Instant::now(), stall));
        }
    }
}
