//! The metadata: what an answer means, the stand-in service's wire contract, and the watcher on top of it.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "metadata/interpret.rs"]
mod interpret;
#[path = "metadata/service.rs"]
mod service;
#[path = "metadata/state_file.rs"]
mod state_file;
#[path = "metadata/watcher.rs"]
mod watcher;

use outrider::core::Time;
use outrider::core::members::Standing;
use outrider::lab::metadata::{Server, World, serve};
use outrider::metadata::{Local, Pace, Settings, Snapshot, Update, WatcherSettings, watch};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

const NODE1: &str = "00000001-aaaa-4bbb-8ccc-000000000001";
const NODE2: &str = "00000002-aaaa-4bbb-8ccc-000000000002";
const NODE3: &str = "00000003-aaaa-4bbb-8ccc-000000000003";

/// A whole answer of a real service (Rancher 1.6.30), as host 1, 2 or 3 got it.
fn answer(host: usize) -> Value {
    let text = [
        include_str!("metadata/host1.json"),
        include_str!("metadata/host2.json"),
        include_str!("metadata/host3.json"),
    ];
    serde_json::from_str(text[host - 1]).unwrap()
}

fn settings() -> Settings {
    Settings { host_label: vec![("role".into(), "load-balancer".into())], balancers: [None].into() }
}

/// Host `n` of the files.
fn local(n: usize) -> Local {
    let address = |text: &str| text.parse().unwrap();
    Local {
        addresses: vec![address("127.0.0.1"), address("172.17.0.1"), address(&format!("10.0.0.1{n}"))],
        hostname: format!("node{n}.example.com"),
    }
}

fn now() -> Time {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap().into()
}

/// A watcher on a server of its own.
struct Rig {
    server: Server,
    updates: mpsc::Receiver<Update>,
    nudge: Arc<Notify>,
}

impl Rig {
    /// Host `n` of the files, at the default pace.
    async fn new(world: &World, n: usize) -> Rig {
        Rig::with(world, n, |_| {}, None).await
    }

    async fn with(
        world: &World,
        n: usize,
        change: impl FnOnce(&mut WatcherSettings),
        fault: Option<outrider::lab::metadata::Fault>,
    ) -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, world.clone(), [NODE1, NODE2, NODE3][n - 1]).unwrap();
        server.set_slack(Duration::ZERO);
        if let Some(fault) = fault {
            server.set_fault(fault);
        }
        let mut settings = WatcherSettings {
            base_url: server.url(),
            settings: settings(),
            read_services: true,
            state_file: None,
            pace: Pace::default(),
        };
        change(&mut settings);
        let (updates, nudge) = run(settings, move || local(n));
        Rig { server, updates, nudge }
    }

    async fn next(&mut self) -> Update {
        timeout(Duration::from_secs(20), self.updates.recv())
            .await
            .expect("no update")
            .expect("the watcher ended")
    }

    /// The next snapshot from the service; nothing but confirmations may come before it.
    async fn snapshot(&mut self) -> Snapshot {
        loop {
            match self.next().await {
                Update::Snapshot { snapshot, read_at: Some(_), .. } => return *snapshot,
                Update::Confirmed { .. } => {}
                other => panic!("not a snapshot: {other:?}"),
            }
        }
    }

    /// Skips everything up to the next "unreachable", which is returned; a snapshot in between is wrong.
    async fn unreachable(&mut self) -> String {
        loop {
            match self.next().await {
                Update::Unreachable { why, .. } => return why,
                Update::Confirmed { .. } => {}
                other => panic!("not unreachable: {other:?}"),
            }
        }
    }

    /// Skips everything up to the next snapshot from the service or confirmation.
    async fn fresh(&mut self) -> Update {
        loop {
            match self.next().await {
                Update::Unreachable { .. } | Update::Snapshot { read_at: None, .. } => {}
                update => return update,
            }
        }
    }
}

fn run(
    settings: WatcherSettings,
    local: impl Fn() -> Local + Send + Sync + 'static,
) -> (mpsc::Receiver<Update>, Arc<Notify>) {
    let (sender, updates) = mpsc::channel(64);
    let nudge = Arc::new(Notify::new());
    let nudged = Arc::clone(&nudge);
    tokio::spawn(async move { watch(settings, local, now, sender, nudged).await.unwrap() });
    (updates, nudge)
}

/// Names of the other members.
fn others(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.membership.others.iter().map(|member| member.name.as_str()).collect()
}

fn left(snapshot: &Snapshot) -> &str {
    match &snapshot.membership.me {
        Standing::Left(why) => why,
        Standing::Member(member) => panic!("still a member: {member:?}"),
    }
}
