//! The page with answers that real agents give rarely, or never.

use crate::browser::Browser;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use outrider::core::event::State;
use outrider::lab::namespace::Namespace;
use outrider::status::document::{Check, Counters, Guard, Holder, Member, Status, Transition, Warning};
use outrider::status::document::{Router as VirtualRouter, moment};
use outrider::status::group::{Alarm, Group, Report, Severity};
use outrider::status::histogram::Histogram;
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;

/// Would run, if it were taken for markup.
const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";
const URL: &str = "http://127.0.0.1:8000/";

/// Serves the page, without the policy that would save it, and answers of any kind.
struct Forger {
    namespace: Namespace,
    answer: Arc<Mutex<Group>>,
    delay: Arc<Mutex<Duration>>,
    /// Questions at once, at most, and in all.
    most: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Forger {
    async fn start(group: Group) -> Forger {
        let namespace = Namespace::new("forger").await.unwrap();
        let answer = Arc::new(Mutex::new(group));
        let delay = Arc::new(Mutex::new(Duration::ZERO));
        let (now, most, all) = (Arc::new(AtomicUsize::new(0)), Arc::default(), Arc::default());
        let forger = Forger { namespace, answer, delay, most, all };
        let (answer, delay) = (forger.answer.clone(), forger.delay.clone());
        let (most, all) = (forger.most.clone(), forger.all.clone());
        let group = move || async move {
            all.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let delay = *delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let mut group = answer.lock().unwrap().clone();
            group.now = moment(SystemTime::now());
            for status in group.members.iter_mut().filter_map(|member| member.status.as_mut()) {
                status.now = group.now;
            }
            serde_json::to_string(&group).unwrap()
        };
        let page = include_str!("../../src/status/page.html");
        let service =
            Router::new().route("/", get(move || async move { Html(page) })).route("/group", get(group));
        forger.namespace.spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8000)).await.unwrap();
            axum::serve(listener, service).await.unwrap();
        });
        forger
    }

    fn set(&self, change: impl FnOnce(&mut Group)) {
        change(&mut self.answer.lock().unwrap());
    }

    async fn browser(&self) -> Browser<'_> {
        let browser = Browser::start(&self.namespace).await;
        browser.open(URL).await;
        browser
    }
}

/// This many hosts and virtual routers; the first host holds the first address, the second the second, and so on.
fn group(hosts: usize, routers: usize) -> Group {
    let now = moment(SystemTime::now());
    let name = |host: usize| format!("edge-{}.ams.example.net", host + 1);
    let address = |host: usize| format!("10.10.10.{}", host + 11);
    let members = (0..hosts).map(|host| {
        let routers = (0..routers).map(|router| {
            let vip = format!("10.10.10.{}", router + 2);
            let member = |other: usize| Member {
                name: name(other),
                address: address(other),
                me: other == host,
                listed: true,
                rank: Some(other + 1),
                priority: Some(254 - other as u8),
                seen: true,
                advert_ago: (other == router && other != host).then_some(0.1),
                advert_priority: (other == router && other != host).then_some(254),
            };
            VirtualRouter {
                name: vip.clone(),
                addresses: vec![vip],
                vrid: router as u8 + 2,
                vrrp_version: 3,
                interface: Some("eth0".into()),
                source: Some(address(host)),
                interval: 0.2,
                preempt: false,
                state: if host == router { State::Active } else { State::Backup },
                since: now - 100.0,
                why: "it was to be".into(),
                priority: 254 - host as u8,
                holder: Some(Holder {
                    name: name(router),
                    address: address(router),
                    priority: 254,
                    me: host == router,
                }),
                members: (0..hosts).map(member).collect(),
                checks: vec![Check {
                    name: "tcp://127.0.0.1:80".into(),
                    passing: true,
                    last: Some("pass".into()),
                    ago: Some(0.5),
                    took: Some(0.001),
                }],
                unfit: None,
                no_claim: None,
                reluctant: false,
                guard: Guard::default(),
                lease_ends_in: None,
                counters: Counters::default(),
                lateness_seconds: Histogram::default(),
                takeover_seconds: Histogram::default(),
            }
        });
        let transition = |router: &VirtualRouter| Transition {
            at: router.since,
            router: router.name.clone(),
            from: State::Initialize,
            to: router.state,
            priority: router.priority,
            why: "it was to be".into(),
        };
        let routers: Vec<VirtualRouter> = routers.collect();
        let status = Status {
            version: 1,
            name: name(host),
            program: "0.1.0".into(),
            now,
            started: now - 200.0,
            ready: true,
            drained: false,
            metadata: None,
            transitions: routers.iter().map(transition).collect(),
            routers,
            warnings: Vec::new(),
            settings: Vec::new(),
            check_seconds: Histogram::default(),
        };
        Report { name: name(host), address: address(host), status: Some(status), error: None }
    });
    Group { version: 1, by: name(0), now, members: members.collect(), alarms: Vec::new() }
}

fn status(group: &mut Group, host: usize) -> &mut Status {
    group.members[host].status.as_mut().unwrap()
}

#[tokio::test]
async fn what_others_say_is_text() {
    let mut hostile = group(3, 2);
    hostile.by = HOSTILE.into();
    for host in 0..3 {
        hostile.members[host].name = HOSTILE.into();
        hostile.members[host].address = "javascript:document.title='taken'".into();
        let status = status(&mut hostile, host);
        (status.name, status.program) = (HOSTILE.into(), HOSTILE.into());
        status.started += host as f64;
        status.warnings = vec![Warning {
            router: HOSTILE.into(),
            from: HOSTILE.into(),
            kind: HOSTILE.into(),
            text: HOSTILE.into(),
            count: 7,
        }];
        for router in &mut status.routers {
            router.why = HOSTILE.into();
            router.source = Some(format!("{HOSTILE}{host}"));
            router.members[0].name = HOSTILE.into();
            router.members[0].address = HOSTILE.into();
            router.checks[0].name = HOSTILE.into();
            router.checks[0].last = Some(HOSTILE.into());
        }
    }
    hostile.members[2].status = None;
    hostile.members[2].error = Some(HOSTILE.into());
    hostile.alarms = vec![Alarm { severity: Severity::Critical, text: HOSTILE.into() }];
    let forger = Forger::start(hostile).await;
    let browser = forger.browser().await;
    browser.wait("document.querySelector('#alarms .critical')").await;
    assert!(browser.text("#alarms").await.contains(HOSTILE));
    assert!(browser.text(".warnings").await.contains(&format!("7 × {HOSTILE}")));
    assert_eq!(
        browser.eval("return document.querySelectorAll('img, script[src], [onerror]').length").await,
        0
    );
    let links = "return [...document.links].filter(link => !link.href.startsWith('http://')).length";
    assert_eq!(browser.eval(links).await, 0);
    assert_ne!(browser.eval("return document.title").await, "taken");
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}

#[tokio::test]
async fn two_holders_and_none_cannot_be_overlooked() {
    let forger = Forger::start(group(3, 1)).await;
    let browser = forger.browser().await;
    browser.wait("document.querySelector('.router.ok')").await;
    browser.wait("document.title === 'edge-1.ams.example.net holds 10.10.10.2'").await;

    let text = "10.10.10.2 is held by two at once";
    forger.set(|group| {
        status(group, 2).routers[0].state = State::Active;
        group.alarms = vec![
            Alarm { severity: Severity::Critical, text: text.into() },
            Alarm { severity: Severity::Warning, text: "and somebody is drained".into() },
        ];
    });
    browser.wait("document.querySelector('.router.bad')").await;
    assert_eq!(
        browser.text(".holder").await,
        "✕ edge-1.ams.example.net and edge-3.ams.example.net hold it at once"
    );
    let title = "! edge-1.ams.example.net and edge-3.ams.example.net hold 10.10.10.2";
    assert_eq!(browser.eval("return document.title").await, title);
    let alarms = browser.text("#alarms").await;
    assert!(alarms.find(text) < alarms.find("somebody is drained"), "the worst first: {alarms}");
    assert!(!alarms.contains("All well"), "{alarms}");
    // Told to who cannot see it: the words, and not by colour.
    let live = "return document.querySelector('#alarms').ariaLive + document.querySelector('.critical li span').textContent";
    assert_eq!(browser.eval(live).await, format!("politeCritical: {text}"));

    forger.set(|group| {
        for host in 0..3 {
            let router = &mut status(group, host).routers[0];
            (router.state, router.unfit, router.holder) = (State::Fault, Some("it is broken".into()), None);
        }
    });
    browser.wait("document.title === '! nobody holds 10.10.10.2'").await;
    assert_eq!(browser.text(".holder").await, "✕ Nobody holds it");
    let table = browser.text("section.router").await;
    assert_eq!(table.matches("it is broken").count(), 3, "{table}");
    assert!(table.contains("nobody is fit"), "{table}");

    // Somebody is heard who cannot be asked.
    forger.set(|group| {
        group.members[2].status = None;
        group.members[2].error = Some("no answer within 1 s".into());
        let holder =
            Holder { name: "edge-3".into(), address: "10.10.10.13".into(), priority: 200, me: false };
        for host in 0..2 {
            status(group, host).routers[0].holder = Some(holder.clone());
        }
    });
    browser.wait("document.querySelector('.router.unsure')").await;
    assert_eq!(browser.text(".holder").await, "? edge-3.ams.example.net is heard to hold it");
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}

#[tokio::test]
async fn many_hosts_fit_on_a_phone_and_in_the_dark() {
    let mut many = group(16, 3);
    many.members[8].status = None;
    many.members[8].error = Some("no answer within 1 s".into());
    status(&mut many, 4).routers[0].members[7].listed = false;
    status(&mut many, 4).routers[0].members[6].seen = false;
    let forger = Forger::start(many).await;
    let browser = forger.browser().await;
    browser.wait("document.querySelectorAll('section.router tbody tr').length === 48").await;
    assert_eq!(browser.eval("return document.querySelectorAll('.address').length").await, 3);
    let table = browser.text("section.router tbody").await;
    assert_eq!(table.matches("never heard by edge-5.ams.example.net").count(), 1, "{table}");
    assert_eq!(table.matches("not listed, say edge-5.ams.example.net").count(), 1, "{table}");
    let light = browser.eval("return getComputedStyle(document.body).backgroundColor").await;
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.eval(fits).await, true);

    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.emulate("Emulation.setDeviceMetricsOverride", phone).await;
    browser.wait("innerWidth === 360").await;
    assert_eq!(browser.eval(fits).await, true);
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.emulate("Emulation.setEmulatedMedia", dark).await;
    browser.wait(&format!("getComputedStyle(document.body).backgroundColor !== {light}")).await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}

#[tokio::test]
async fn one_question_at_a_time_and_an_answer_of_another_version_is_not_shown() {
    let forger = Forger::start(group(2, 1)).await;
    let browser = forger.browser().await;
    browser.wait("document.querySelector('.router.ok')").await;
    *forger.delay.lock().unwrap() = Duration::from_millis(2500);
    let before = forger.all.load(Ordering::SeqCst);
    while forger.all.load(Ordering::SeqCst) < before + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(forger.most.load(Ordering::SeqCst), 1);
    *forger.delay.lock().unwrap() = Duration::ZERO;
    forger.set(|group| group.version = 2);
    browser.wait("document.querySelector('#what').innerText.includes('another version')").await;
    forger.set(|group| group.version = 1);
    browser.wait("document.querySelector('#gone').hidden").await;
    assert_eq!(browser.complaints("").await, Vec::<String>::new());
}
