use futures_util::FutureExt;
use outrider::net::alarm::{Alarm, now};
use std::time::Duration;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), test).await.expect("an alarm is lost")
    });
}

#[test]
fn rings_in_order_and_never_early() {
    run(async {
        let start = now();
        let (soon, later) = (start + Duration::from_millis(5), start + Duration::from_millis(15));
        let (mut first, mut second) = (Alarm::new().unwrap(), Alarm::new().unwrap());
        first.set(Some(soon)).unwrap();
        second.set(Some(later)).unwrap();
        tokio::select! {
            biased; // On a busy machine both may have rung by now.
            rung = first.rung() => rung.unwrap(),
            _ = second.rung() => panic!("the later one rang first"),
        }
        assert!(now() >= soon);
        second.rung().await.unwrap();
        assert!(now() >= later);
    });
}

#[test]
fn a_time_in_the_past_rings_at_once_even_the_moment_of_boot() {
    run(async {
        let mut alarm = Alarm::new().unwrap();
        for past in [Duration::ZERO, Duration::from_nanos(1), now() - Duration::from_secs(1), now()] {
            alarm.set(Some(past)).unwrap();
            alarm.rung().await.unwrap();
        }
    });
}

#[test]
fn none_turns_it_off_and_forgets_a_ring() {
    run(async {
        let (mut off, mut on) = (Alarm::new().unwrap(), Alarm::new().unwrap());
        off.set(Some(Duration::ZERO)).unwrap();
        off.set(None).unwrap();
        on.set(Some(now() + Duration::from_millis(10))).unwrap();
        tokio::select! {
            biased;
            _ = off.rung() => panic!("it is off"),
            rung = on.rung() => rung.unwrap(),
        }
        // It works again afterwards, and the end of time is no error.
        off.set(Some(Duration::MAX)).unwrap();
        off.set(Some(now())).unwrap();
        off.rung().await.unwrap();
    });
}

#[test]
fn rings_once_for_each_time_set() {
    run(async {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Some(now())).unwrap();
        alarm.rung().await.unwrap();
        let mut other = Alarm::new().unwrap();
        other.set(Some(now() + Duration::from_millis(5))).unwrap();
        tokio::select! {
            biased;
            _ = alarm.rung() => panic!("rang twice"),
            rung = other.rung() => rung.unwrap(),
        }
    });
}

#[test]
fn a_wait_given_up_loses_no_ring() {
    run(async {
        let mut alarm = Alarm::new().unwrap();
        let at = now() + Duration::from_millis(3);
        alarm.set(Some(at)).unwrap();
        // Ever new waits, each given up at once: one of them gets the ring.
        while alarm.rung().now_or_never().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(now() >= at);
    });
}

#[test]
fn put_off_it_rings_at_the_later_time_alone() {
    run(async {
        let mut alarm = Alarm::new().unwrap();
        let start = now();
        let later = start + Duration::from_millis(15);
        alarm.set(Some(start + Duration::from_millis(5))).unwrap();
        alarm.set(Some(later)).unwrap();
        alarm.rung().await.unwrap();
        assert!(now() >= later);
        // Put off when the earlier time is over already, and brought forward again.
        alarm.set(Some(now())).unwrap();
        alarm.set(Some(now() + Duration::from_secs(60))).unwrap();
        assert!(alarm.rung().now_or_never().is_none(), "rang at the earlier time");
        alarm.set(Some(now() + Duration::from_millis(5))).unwrap();
        alarm.rung().await.unwrap();
    });
}
