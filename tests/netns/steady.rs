//! Tests whose times depend on the machine.

use anyhow::Result;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A machine that does not run a thread that is due for this long cannot keep the times of the tests.
const STALL: Duration = Duration::from_millis(150);

/// Runs a test, and again if it fails on a machine that stalled meanwhile: then the failure may be the stall's.
pub async fn steady(test: impl AsyncFn() -> Result<()>) -> Result<()> {
    let mut repeats = 0;
    loop {
        let meter = Meter::start();
        let result = test().await;
        let worst = meter.worst();
        let Err(error) = result else { return Ok(()) };
        let told = format!("the machine stalled for {worst:?} at worst");
        if worst < STALL || repeats == 2 {
            return Err(error.context(told));
        }
        println!("{error:#}; but {told}: once more");
        repeats += 1;
    }
}

/// Measures how late a thread is woken.
struct Meter {
    worst: Arc<Mutex<Duration>>,
}

impl Meter {
    fn start() -> Meter {
        let worst = Arc::new(Mutex::new(Duration::ZERO));
        let weak = Arc::downgrade(&worst);
        std::thread::spawn(move || {
            let pause = Duration::from_millis(5);
            let mut before = Instant::now();
            while let Some(worst) = weak.upgrade() {
                std::thread::sleep(pause);
                let late = before.elapsed().saturating_sub(pause);
                before = Instant::now();
                let mut worst = worst.lock().unwrap();
                *worst = late.max(*worst);
            }
        });
        Meter { worst }
    }

    fn worst(&self) -> Duration {
        *self.worst.lock().unwrap()
    }
}
