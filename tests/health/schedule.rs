//! When looks happen, and when not.

use crate::support::*;
use outrider::config::CheckSettings;
use outrider::core::Outcome;
use outrider::health::{Checker, Pace};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// An HTTP server that takes its time, and keeps count of requests: all, and most at the same time.
async fn slow(answer_after: Duration) -> (Server, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (all, most, current) = (Arc::default(), Arc::default(), Arc::<AtomicUsize>::default());
    let counts: (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::clone(&all), Arc::clone(&most));
    let server = Server::start(move |mut stream, _| {
        let ((all, most), current) = (counts.clone(), current.clone());
        async move {
            if head(&mut stream).await.is_empty() {
                return;
            }
            all.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(current.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(answer_after).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            current.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    (server, all, most)
}

/// A server that tells which connections it has seen open and close.
async fn telling() -> (Server, mpsc::UnboundedReceiver<&'static str>) {
    let (sender, events) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            let _ = sender.send("opened");
            until_closed(&mut stream).await;
            let _ = sender.send("closed");
        }
    })
    .await;
    (server, events)
}

async fn event(events: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    tokio::time::timeout(LIMIT, events.recv()).await.expect("nothing happened").unwrap()
}

#[test]
fn the_handle_goes_to_other_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<Checker>();
}

#[tokio::test]
async fn the_schedule_does_not_drift() {
    let (server, ..) = slow(ms(30)).await;
    let mut run = Run::start(settings(ms(60)), vec![http(server.port)]);
    let first = run.next().await.at;
    let mut last = first;
    for _ in 0..20 {
        last = run.next().await.at;
    }
    // The pause after the look, instead of the time from one to the next, would make it 1800 ms.
    assert!(last - first >= ms(1150) && last - first < ms(1750), "{:?}", last - first);
}

#[tokio::test]
async fn a_stall_is_not_made_up_for() {
    let (server, ..) = slow(ms(0)).await;
    let mut run = Run::start(settings(ms(50)), vec![http(server.port)]);
    run.next().await;
    std::thread::sleep(ms(1000)); // all of this test's tasks stand still
    run.next().await; // the look that is overdue
    let resumed = now();
    let mut ends = Vec::new();
    while ends.len() < 4 {
        ends.push(run.next().await.at);
    }
    assert!(*ends.last().unwrap() - resumed >= ms(120), "a burst: {ends:?} after {resumed:?}");
}

#[tokio::test]
async fn never_two_looks_at_the_same_time() {
    let (server, all, most) = slow(ms(100)).await;
    let mut run = Run::start(settings(ms(20)), vec![http(server.port)]);
    for _ in 0..30 {
        run.checker.check_now();
        run.checker.set_pace(Pace::Eager);
        run.checker.set_pace(Pace::Normal);
        sleep(ms(10)).await;
    }
    run.next().await;
    assert!(all.load(Ordering::SeqCst) >= 2);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn check_now_and_the_pace_wake_the_schedule_from_another_thread() {
    let (server, all, _) = slow(ms(0)).await;
    let mut run = Run::start(settings(NEVER), vec![http(server.port)]);
    run.next().await; // the first look is at once
    run.silent_for(ms(150)).await;

    let Run { checker, .. } = &run;
    std::thread::scope(|scope| {
        scope.spawn(|| checker.check_now());
    });
    run.next().await;
    run.silent_for(ms(150)).await;

    std::thread::scope(|scope| {
        scope.spawn(|| run.checker.set_pace(Pace::Eager));
    });
    let begun = Instant::now();
    for _ in 0..4 {
        run.next().await; // at once, then every 100 ms
    }
    let took = begun.elapsed();
    assert!(took >= ms(250) && took < ms(1500), "{took:?}");

    run.checker.set_pace(Pace::Normal);
    sleep(ms(50)).await; // a look may have been under way
    run.drain();
    run.silent_for(ms(300)).await;
    assert!(all.load(Ordering::SeqCst) < 12);
}

#[tokio::test]
async fn eager_is_never_slower_than_normal() {
    let (server, ..) = slow(ms(0)).await;
    let mut run = Run::start(settings(ms(20)), vec![http(server.port)]);
    run.checker.set_pace(Pace::Eager);
    run.next().await;
    let begun = Instant::now();
    for _ in 0..20 {
        run.next().await;
    }
    assert!(begun.elapsed() < ms(1500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_interval_of_zero_does_no_harm() {
    let (server, ..) = slow(ms(0)).await;
    let mut run = Run::start(settings(Duration::ZERO), vec![http(server.port)]);
    for _ in 0..5 {
        assert_eq!(run.next().await.outcome, Outcome::Pass);
    }
}

#[tokio::test]
async fn new_targets_disturb_no_unchanged_one() {
    let (gone, mut gone_events) = telling().await;
    let (stays, mut stays_events) = telling().await;
    let (new, mut new_events) = telling().await;
    let mut run = Run::start(settings(NEVER), vec![tcp(gone.port), tcp(stays.port), tcp(stays.port)]);
    let mut passed = [run.next().await, run.next().await].map(|report| report.target);
    passed.sort();
    let mut expected = [tcp(gone.port), tcp(stays.port)];
    expected.sort();
    assert_eq!(passed, expected);

    run.checker.set_targets(vec![tcp(stays.port), tcp(new.port)]);
    let report = run.next().await;
    assert_eq!((report.target, report.outcome), (tcp(new.port), Outcome::Pass));
    // A TCP look's own connection is the one that is held.
    assert_eq!(event(&mut gone_events).await, "opened");
    assert_eq!(event(&mut gone_events).await, "closed");
    assert_eq!(event(&mut stays_events).await, "opened");
    assert_eq!(event(&mut new_events).await, "opened");
    assert!(stays_events.try_recv().is_err(), "the unchanged one's connection was touched");
    assert!(new_events.try_recv().is_err());
    run.silent_for(ms(100)).await;

    drop(run.checker);
    assert_eq!(event(&mut stays_events).await, "closed");
    assert_eq!(event(&mut new_events).await, "closed");
}

#[tokio::test]
async fn targets_on_one_port_share_one_connection() {
    let server = Server::start(|mut stream, _| async move {
        while !head(&mut stream).await.is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let url =
        |path| outrider::config::Target::Http { url: format!("http://127.0.0.1:{}{path}", server.port) };
    let mut run = Run::start(settings(NEVER), vec![url("/a"), url("/b")]);
    run.next().await;
    run.next().await;
    until_held(server.port).await;
    assert_eq!(server.accepted(), 3, "two looks, one held connection");

    // It is shared still after one of them has gone, and its end is a sign for all that are there.
    run.checker.set_targets(vec![url("/b"), url("/c")]);
    assert_eq!(run.next().await.target, url("/c"));
    until_held(server.port).await;
    assert_eq!(server.accepted(), 4);
    drop(server);
    for _ in 0..2 {
        assert!(matches!(run.next().await.outcome, Outcome::Dead(_)));
    }
}

/// Held again as soon as it is old enough, so that a load balancer's time-out for idle clients is not reached.
#[tokio::test]
async fn the_held_connection_is_renewed_and_never_missing() {
    let (server, mut events) = telling().await;
    let mut run = Run::start(settings(ms(100)), vec![tcp(server.port)]);
    run.until_pass().await;
    let begun = Instant::now();
    while begun.elapsed() < ms(1500) {
        assert!(connections_to(server.port) >= 1, "nothing is held after {:?}", begun.elapsed());
        sleep(ms(5)).await;
    }
    assert!(run.drain().iter().all(|report| report.outcome == Outcome::Pass));
    let mut open: usize = 0;
    while let Ok(event) = events.try_recv() {
        open = if event == "opened" { open + 1 } else { open - 1 };
        assert!(open <= 3, "a look's, the old one and the new one at most");
    }
}

#[tokio::test]
async fn a_load_balancer_that_bears_no_idle_connection_is_noticed_and_left_alone() {
    let idle = Arc::new(AtomicUsize::new(0));
    let count = idle.clone();
    let server = Server::start(move |mut stream, _| {
        let count = count.clone();
        async move {
            match tokio::time::timeout(ms(60), head(&mut stream)).await {
                Ok(head) if !head.is_empty() => {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                }
                // A look at whether anybody listens closes its connection itself.
                Ok(_) => {}
                Err(_) => drop(count.fetch_add(1, Ordering::SeqCst)),
            }
        }
    })
    .await;
    let (log, _guard) = capture_log();
    let settings = CheckSettings { interval: ms(100), ..settings(ms(100)) };
    let mut run = Run::start(settings, vec![http(server.port)]);
    let begun = Instant::now();
    while begun.elapsed() < ms(1500) {
        assert_eq!(run.next().await.outcome, Outcome::Pass);
    }
    assert_eq!(idle.load(Ordering::SeqCst), 3, "three tries, then none for a minute");
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("closes idle connections").count(), 1, "{log}");
    assert!(log.contains(&format!(" INFO outrider::health::held: 127.0.0.1:{}", server.port)), "{log}");
}
