//! The watcher against the stand-in service.

use super::{NODE1, NODE2, Rig, answer, left, local, now, others, run, settings};
use axum::routing::get;
use outrider::core::members::Standing;
use outrider::lab::metadata::{Fault, Host, World};
use outrider::metadata::{Local, Pace, Update, WatcherSettings};
use serde_json::Value;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

fn watcher_settings(base_url: String) -> WatcherSettings {
    let pace = Pace::default();
    WatcherSettings { base_url, settings: settings(), read_services: true, state_file: None, pace }
}

#[tokio::test]
async fn the_real_answers_of_three_hosts() {
    for n in [1, 2, 3] {
        let before = now();
        let mut rig = Rig::new(&World::from_answer(answer(n)), n).await;
        let Update::Snapshot { snapshot, read_at: Some(read_at), .. } = rig.next().await else {
            panic!("no snapshot")
        };
        assert!(before <= read_at && read_at <= now());
        assert_eq!(snapshot.me.name, format!("node{n}"));
        assert_eq!(snapshot.ports_of(&None).len(), 1);
        match n {
            3 => assert_eq!(left(&snapshot), "host label role=load-balancer is missing"),
            _ => assert_eq!(others(&snapshot), [["node2", "node1"][n - 1]]),
        }
    }
}

#[tokio::test]
async fn a_change_is_seen_within_a_second_or_so() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    let started = Instant::now();
    rig.snapshot().await;
    assert!(
        started.elapsed() < Duration::from_millis(800),
        "the first reading waited: {:?}",
        started.elapsed()
    );
    let changed = Instant::now();
    world.put_host(&Host::new("00000009", "node9", "10.0.0.19"));
    assert_eq!(others(&rig.snapshot().await), ["node2", "node9"]);
    assert!(changed.elapsed() < Duration::from_millis(1800), "{:?}", changed.elapsed());
}

#[tokio::test]
async fn leaving_by_each_road() {
    let leave = |change: fn(&World)| async move {
        let world = World::from_answer(answer(1));
        let mut rig = Rig::new(&world, 1).await;
        assert!(matches!(rig.snapshot().await.membership.me, Standing::Member(_)));
        change(&world);
        left(&rig.snapshot().await).to_owned()
    };
    let label = leave(|world| world.change_host(NODE1, |host| host["labels"] = Value::Null)).await;
    assert_eq!(label, "host label role=load-balancer is missing");
    let state = leave(|world| world.change_host(NODE1, |host| host["state"] = "inactive".into())).await;
    assert_eq!(state, "this host is deactivated in Rancher (state inactive)");
}

#[tokio::test]
async fn a_broken_service_changes_nothing() {
    let other = Fault::OtherHost(NODE2.into());
    for (fault, word) in [
        (Fault::NotLoaded, "404"),
        (Fault::Refuse, "refused"),
        (Fault::Hang, "no whole answer within 3 s"),
        (Fault::HalfBody, "broke off"),
        (Fault::Garbage, "not the JSON it should be"),
        (Fault::Empty, "/hosts is empty"),
        (other, "rancher/rancher#8383"),
    ] {
        // While it runs: the first snapshot stays the last word until the service is well.
        let world = World::from_answer(answer(1));
        let mut rig = Rig::new(&world, 1).await;
        let good = rig.snapshot().await;
        rig.server.set_fault(fault.clone());
        world.update(|_| {});
        rig.nudge.notify_one();
        let why = rig.unreachable().await;
        assert!(why.contains(word) && why.contains("http://127.0.0.1:"), "{fault:?}: {why}");
        rig.server.set_fault(Fault::None);
        let update = rig.fresh().await;
        assert!(matches!(update, Update::Confirmed { .. }), "{fault:?}: {update:?}");

        // From the start: nothing at all until then.
        let mut rig = Rig::with(&world, 1, |_| {}, Some(fault.clone())).await;
        let before = now();
        match rig.next().await {
            Update::Unreachable { at, .. } => assert!(at >= before),
            other => panic!("{fault:?}: {other:?}"),
        }
        rig.server.set_fault(Fault::None);
        match rig.fresh().await {
            Update::Snapshot { snapshot, .. } => assert_eq!(*snapshot, good),
            other => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_frozen_service_is_believed_until_it_thaws() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    rig.snapshot().await;
    rig.server.set_fault(Fault::Frozen);
    world.remove_host(NODE2);
    rig.nudge.notify_one();
    assert!(matches!(rig.next().await, Update::Confirmed { .. }));
    rig.server.set_fault(Fault::None);
    assert!(others(&rig.snapshot().await).is_empty());
}

#[tokio::test]
async fn a_restarted_service_is_read_again() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    rig.snapshot().await;
    rig.server.set_fault(Fault::Refuse);
    rig.unreachable().await;
    world.remove_host(NODE2);
    rig.server.set_fault(Fault::None);
    let Update::Snapshot { snapshot, .. } = rig.fresh().await else { panic!("the change was not seen") };
    assert!(others(&snapshot).is_empty());
}

#[tokio::test]
async fn shuffles_and_new_versions_of_the_same_are_no_news() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    rig.snapshot().await;
    for _ in 0..5 {
        world.update(|_| {});
        rig.nudge.notify_one();
        assert!(matches!(rig.next().await, Update::Confirmed { .. }));
    }
}

#[tokio::test]
async fn a_nudge_cuts_the_long_poll_short() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    rig.snapshot().await;
    let nudged = (now(), Instant::now());
    rig.nudge.notify_one();
    match rig.next().await {
        Update::Confirmed { read_at, .. } => assert!(read_at >= nudged.0),
        other => panic!("{other:?}"),
    }
    assert!(nudged.1.elapsed() < Duration::from_secs(1), "{:?}", nudged.1.elapsed());
}

#[tokio::test]
async fn a_nudge_cuts_the_back_off_short() {
    let world = World::from_answer(answer(1));
    let patient = |settings: &mut WatcherSettings| {
        settings.pace.first_retry = Duration::from_secs(600);
        settings.pace.last_retry = Duration::from_secs(600);
    };
    let mut rig = Rig::with(&world, 1, patient, Some(Fault::NotLoaded)).await;
    rig.unreachable().await;
    rig.server.set_fault(Fault::None);
    rig.nudge.notify_one();
    rig.snapshot().await;
}

#[tokio::test]
async fn many_nudges_are_few_requests() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::new(&world, 1).await;
    rig.snapshot().await;
    let before: u64 = rig.server.requests().values().sum();
    let started = Instant::now();
    let mut confirmed = 0;
    while started.elapsed() < Duration::from_secs(1) {
        rig.nudge.notify_one();
        if let Ok(update) = rig.updates.try_recv() {
            assert!(matches!(update, Update::Confirmed { .. }));
            confirmed += 1;
        }
        tokio::task::yield_now().await;
    }
    let asked = rig.server.requests().values().sum::<u64>() - before;
    assert!((2..=4).contains(&confirmed), "{confirmed} confirmations a second");
    // Each is one small request, and the long poll after it.
    assert!(asked <= 10, "{asked} requests a second");
}

#[tokio::test]
async fn retries_begin_fast_and_never_end() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::with(&world, 1, |_| {}, Some(Fault::Refuse)).await;
    let started = Instant::now();
    for _ in 0..4 {
        rig.unreachable().await;
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    rig.server.set_fault(Fault::None);
    rig.fresh().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn only_what_is_needed_is_read_and_all_of_it_now_and_then() {
    let often = |settings: &mut WatcherSettings| {
        settings.pace = Pace { max_wait: Duration::from_secs(1), reread: Duration::ZERO, ..settings.pace };
        settings.read_services = false;
        settings.base_url.push('/');
    };
    let mut rig = Rig::with(&World::from_answer(answer(1)), 1, often, None).await;
    assert!(rig.snapshot().await.ports_of(&None).is_empty());
    while rig.server.requests()["/2016-07-29/hosts"] < 3 {
        assert!(matches!(rig.next().await, Update::Confirmed { .. }));
    }
    let requests = rig.server.requests();
    let paths: Vec<&str> = requests.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/2016-07-29/hosts", "/2016-07-29/self/host", "/2016-07-29/version"]);
}

#[tokio::test]
async fn what_changes_while_it_is_read_is_read_again() {
    let (old, mut new) = (answer(1), answer(1));
    new["hosts"].as_array_mut().unwrap().retain(|host| host["uuid"] != NODE2);
    // The data changes right after the hosts were read for the first time.
    let reads = Arc::new(AtomicUsize::new(0));
    let version = |reads: Arc<AtomicUsize>| {
        get(
            move || async move { if reads.load(Ordering::Relaxed) == 0 { "\"before\"" } else { "\"after\"" } },
        )
    };
    let own = old["self"]["host"].to_string();
    let services = old["services"].to_string();
    let counted = Arc::clone(&reads);
    let hosts = get(move || async move {
        let document = if counted.fetch_add(1, Ordering::Relaxed) == 0 { &old } else { &new };
        document["hosts"].to_string()
    });
    let app = axum::Router::new()
        .route("/m/version", version(Arc::clone(&reads)))
        .route("/m/self/host", get(async || own))
        .route("/m/services", get(async || services))
        .route("/m/hosts", hosts);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/m", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let (mut updates, _nudge) = run(watcher_settings(url), || local(1));
    let Some(Update::Snapshot { snapshot, .. }) = updates.recv().await else { panic!("no snapshot") };
    assert!(others(&snapshot).is_empty());
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    // This service answers long polls at once; it must not be asked without end.
    let started = Instant::now();
    for _ in 0..3 {
        assert!(matches!(updates.recv().await, Some(Update::Confirmed { .. })));
    }
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn addresses_that_come_late() {
    let world = World::from_answer(answer(1));
    let rig = Rig::with(&world, 1, |_| {}, None).await;
    let mine = Arc::new(Mutex::new(Local::default()));
    let seen = Arc::clone(&mine);
    let (mut updates, nudge) = run(watcher_settings(rig.server.url()), move || seen.lock().unwrap().clone());
    match updates.recv().await.unwrap() {
        Update::Unreachable { why, .. } => assert!(why.contains("8383"), "{why}"),
        other => panic!("{other:?}"),
    }
    *mine.lock().unwrap() = local(1);
    nudge.notify_one();
    let Some(Update::Snapshot { snapshot, .. }) = updates.recv().await else { panic!("no snapshot") };
    assert_eq!(others(&snapshot), ["node2"]);
    // And if they go, what was known stays.
    mine.lock().unwrap().addresses.clear();
    nudge.notify_one();
    assert!(matches!(updates.recv().await, Some(Update::Unreachable { .. })));
}

#[tokio::test]
async fn the_watcher_ends_with_its_listener_and_refuses_a_base_that_is_no_url() {
    let world = World::from_answer(answer(1));
    let rig = Rig::new(&world, 1).await;
    let (sender, updates) = tokio::sync::mpsc::channel(1);
    drop(updates);
    let url = rig.server.url();
    let nudge = Arc::default();
    outrider::metadata::watch(watcher_settings(url), || local(1), now, sender, nudge).await.unwrap();
    let (sender, _updates) = tokio::sync::mpsc::channel(1);
    let wrong = watcher_settings("me:secret@nowhere".into());
    let error = outrider::metadata::watch(wrong, || local(1), now, sender, Arc::default()).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("OUTRIDER_METADATA_URL") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn errors_name_the_place_and_hide_the_password() {
    let world = World::from_answer(answer(1));
    let user = |settings: &mut WatcherSettings| {
        settings.base_url = settings.base_url.replace("http://", "http://me:secret@");
    };
    for fault in [Fault::NotLoaded, Fault::Refuse, Fault::Garbage, Fault::HalfBody, Fault::Empty] {
        let mut rig = Rig::with(&world, 1, user, Some(fault)).await;
        let why = rig.unreachable().await;
        assert!(why.contains(&rig.server.url()) && !why.contains("secret"), "{why}");
    }
    let doubled = |settings: &mut WatcherSettings| {
        settings.base_url = settings.base_url.replace("/2016", "//2016");
    };
    let mut rig = Rig::with(&world, 1, doubled, None).await;
    let why = rig.unreachable().await;
    assert!(why.contains("301") && why.contains("OUTRIDER_METADATA_URL"), "{why}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let endless = || async {
        let chunk = || Ok::<_, std::io::Error>(vec![b' '; 65536]);
        axum::body::Body::from_stream(futures_util::stream::repeat_with(chunk))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/version", get(endless));
    tokio::spawn(async { axum::serve(listener, app).await });
    let (mut updates, _nudge) = run(watcher_settings(url), || local(1));
    match updates.recv().await.unwrap() {
        Update::Unreachable { why, .. } => assert!(why.contains("larger than 1 MiB"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// Runs one of these tests in a process of its own, and expects it to pass.
fn alone(test: &str, change: impl FnOnce(&mut Command) -> &mut Command) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = change(again.args(["--exact", test])).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn proxies_are_for_others() {
    alone("watcher::the_real_answers_of_three_hosts", |again| {
        for variable in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
            again.env(variable, "http://127.0.0.1:9");
        }
        again.env_remove("NO_PROXY").env_remove("no_proxy")
    });
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Lines {
    /// What was logged since the last time.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn one_line_for_each_change_of_state() {
    // Whether a log line is wanted is remembered for the whole process, tests that log nowhere included.
    const ALONE: &str = "METADATA_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        return alone("watcher::one_line_for_each_change_of_state", |again| again.env(ALONE, "yes"));
    }
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::INFO);
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let world = World::from_answer(answer(1));
    world.change_host(NODE2, |host| host["labels"]["outrider.priority"] = "high".into());
    let mut rig = Rig::with(&world, 1, |_| {}, Some(Fault::NotLoaded)).await;
    for _ in 0..4 {
        rig.unreachable().await;
    }
    let said = lines.take();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains("waiting for the metadata service, nothing is claimed before it answers"),
        "{said:#?}"
    );

    rig.server.set_fault(Fault::None);
    rig.fresh().await;
    rig.nudge.notify_one();
    rig.fresh().await;
    let said = lines.take();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains("outrider.priority=\"high\" is not a number"), "{said:#?}");
    assert!(said[1].contains("node1 (10.0.0.11) takes part; other members: node2"), "{said:#?}");
    assert!(said[2].contains("answers again after"), "{said:#?}");

    rig.server.set_fault(Fault::Refuse);
    for _ in 0..3 {
        rig.unreachable().await;
    }
    let said = lines.take();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("does not answer, the last members stay"), "{said:#?}");
    rig.server.set_fault(Fault::None);
    rig.fresh().await;
    rig.nudge.notify_one();
    rig.fresh().await;
    let said = lines.take();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("answers again after"), "{said:#?}");
}
