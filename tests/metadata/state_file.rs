//! A start while the service is away.

use super::{NODE1, NODE2, Rig, answer, local, others, run, settings};
use outrider::lab::metadata::{Fault, World};
use outrider::metadata::{Update, WatcherSettings};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn keep(path: &Path) -> impl FnOnce(&mut WatcherSettings) {
    move |settings| settings.state_file = Some(path.to_owned())
}

/// Runs a watcher of host `n` until the file is there.
async fn write(path: &Path, n: usize) {
    let mut rig = Rig::with(&World::from_answer(answer(n)), n, keep(path), None).await;
    rig.snapshot().await;
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

/// The first update of a start while nobody answers.
async fn start_alone(path: &Path) -> (Rig, Update) {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::with(&world, 1, keep(path), Some(Fault::NotLoaded)).await;
    let first = rig.next().await;
    (rig, first)
}

#[tokio::test]
async fn it_stands_in_until_the_service_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    write(&path, 1).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "something was left beside it");

    let (mut rig, first) = start_alone(&path).await;
    let Update::Snapshot { snapshot, read_at: None, .. } = first else { panic!("{first:?}") };
    assert_eq!(others(&snapshot), ["node2"]);
    assert_eq!(snapshot.ports_of(&None).len(), 1);
    assert!(matches!(rig.next().await, Update::Unreachable { .. }));
    rig.server.set_fault(Fault::None);
    // The same, but fresh now.
    let Update::Snapshot { snapshot: fresh, read_at: Some(_), .. } = rig.fresh().await else {
        panic!("still not live")
    };
    assert_eq!(fresh, snapshot);
}

#[tokio::test]
async fn it_is_not_read_while_the_service_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    write(&path, 1).await;
    let world = World::from_answer(answer(1));
    world.remove_host(NODE2);
    let mut rig = Rig::with(&world, 1, keep(&path), None).await;
    assert!(others(&rig.snapshot().await).is_empty());
}

#[tokio::test]
async fn it_follows_the_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let world = World::from_answer(answer(1));
    let mut rig = Rig::with(&world, 1, keep(&path), None).await;
    rig.snapshot().await;
    world.change_host(NODE1, |host| host["state"] = "inactive".into());
    rig.snapshot().await;
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"inactive\"")) {
        tokio::task::yield_now().await;
    }
    // Another order, or a service that has no say, is no reason to write.
    let written = path.metadata().unwrap().ino();
    world.update(|document| {
        let services = document["services"].as_array_mut().unwrap();
        services.iter_mut().find(|service| service["name"] == "web").unwrap()["containers"] = Value::Null;
    });
    // The second confirmation comes after everything the first one's reading led to.
    for _ in 0..2 {
        rig.nudge.notify_one();
        assert!(matches!(rig.next().await, Update::Confirmed { .. }));
    }
    assert_eq!(path.metadata().unwrap().ino(), written);
    // A broken answer is not kept.
    let good = std::fs::read(&path).unwrap();
    rig.server.set_fault(Fault::Empty);
    rig.nudge.notify_one();
    world.update(|_| {});
    rig.unreachable().await;
    assert_eq!(std::fs::read(&path).unwrap(), good);
}

#[tokio::test]
async fn another_hosts_file_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    write(&path, 2).await;
    let (mut rig, first) = start_alone(&path).await;
    assert!(matches!(first, Update::Unreachable { .. }), "{first:?}");
    rig.unreachable().await;
}

#[tokio::test]
async fn garbage_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    for garbage in ["", "{", "[]", "\u{0}\u{0}\u{0}", r#"{"self":null,"hosts":[],"services":null}"#] {
        std::fs::write(&path, garbage).unwrap();
        let (_rig, first) = start_alone(&path).await;
        assert!(matches!(first, Update::Unreachable { .. }), "{garbage:?}: {first:?}");
    }
    let (_rig, first) = start_alone(directory.path()).await;
    assert!(matches!(first, Update::Unreachable { .. }), "{first:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_nothing() {
    let world = World::from_answer(answer(1));
    let mut rig = Rig::with(&world, 1, keep(Path::new("/proc/no/such/place")), None).await;
    rig.snapshot().await;
    world.remove_host(NODE2);
    assert!(others(&rig.snapshot().await).is_empty());
}

#[tokio::test]
async fn addresses_that_come_late_make_it_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    write(&path, 1).await;
    let settings = WatcherSettings {
        base_url: "http://127.0.0.1:9/2016-07-29".into(),
        settings: settings(),
        read_services: true,
        state_file: Some(path),
        pace: Default::default(),
    };
    let booted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = booted.clone();
    let (mut updates, _nudge) = run(settings, move || {
        let mut local = local(1);
        if !seen.load(std::sync::atomic::Ordering::Relaxed) {
            local.addresses.clear();
        }
        local
    });
    assert!(matches!(updates.recv().await, Some(Update::Unreachable { .. })));
    booted.store(true, std::sync::atomic::Ordering::Relaxed);
    loop {
        match updates.recv().await.unwrap() {
            Update::Unreachable { .. } => {}
            Update::Snapshot { snapshot, read_at: None, .. } => return assert_eq!(snapshot.me.uuid, NODE1),
            other => panic!("{other:?}"),
        }
    }
}
