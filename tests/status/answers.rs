//! The document, the two health checks, and the metrics.

use crate::site::Site;
use outrider::core::event::State;
use outrider::lab::VIP;

#[tokio::test]
async fn the_document_says_who_holds_the_address_since_when_and_why() {
    let (site, holder) = Site::running(3, &[("OUTRIDER_ROUTER_ID", "lb1")]).await;
    let status = site.status(holder).await.unwrap();
    assert_eq!((status.version, status.name.as_str(), status.ready, status.drained), (1, "lb1", true, false));
    let router = &status.routers[0];
    assert_eq!((router.state, router.vrid, router.vrrp_version, router.interval), (State::Active, 2, 3, 0.2));
    assert_eq!(router.addresses, [VIP.to_string()]);
    assert!(router.why.contains("nobody was heard"), "{}", router.why);
    assert!(router.since >= status.started && router.since <= status.now, "{status:#?}");
    assert!(
        router.holder.as_ref().is_some_and(|holder| holder.me && holder.priority == router.priority),
        "{router:#?}"
    );
    assert!(router.lease_ends_in.is_some_and(|left| left > 0.0 && left <= 1.0), "{router:#?}");
    let check = &router.checks[0];
    assert!(check.passing && check.last.as_deref() == Some("pass"), "{check:?}");
    assert!(check.ago.unwrap() < 5.0 && check.took.unwrap() < 1.0, "{check:?}");
    let ranks: Vec<_> = router.members.iter().map(|member| (member.rank, member.priority)).collect();
    assert_eq!(ranks, [(Some(1), Some(254)), (Some(2), Some(238)), (Some(3), Some(222))]);
    assert!(router.members.iter().all(|member| member.listed));
    assert_eq!(router.members.iter().filter(|member| member.me).count(), 1);
    let metadata = status.metadata.as_ref().unwrap();
    assert!(
        metadata.version.is_some() && metadata.reachable && metadata.confirmed_ago.unwrap() < 30.0,
        "{metadata:?}"
    );
    let changes: Vec<_> = status.transitions.iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(changes.last(), Some(&(State::Backup, State::Active)), "{changes:?}");
    let setting = |name: &str| status.settings.iter().find(|setting| setting.name == name).unwrap();
    assert_eq!(setting("OUTRIDER_VIP").origin, "environment");
    assert_eq!(setting("OUTRIDER_GARP_REPEAT").origin, "default");

    // A Backup says whom it follows, by the name the metadata knows.
    let other = (0..3).find(|host| *host != holder).unwrap();
    let status = site.status(other).await.unwrap();
    let router = &status.routers[0];
    let address = site.lab.hosts()[holder].address().to_string();
    assert_eq!((router.state, status.ready), (State::Backup, true));
    assert_eq!(
        router.holder.as_ref().map(|holder| (holder.address.clone(), holder.me)),
        Some((address.clone(), false))
    );
    let member = router.members.iter().find(|member| member.address == address).unwrap();
    assert!(member.advert_ago.unwrap() < 5.0 && member.advert_priority == member.priority, "{member:?}");
    assert!(
        router.counters.adverts_received > 0 && router.counters.adverts_sent == 0,
        "{:?}",
        router.counters
    );
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let secret = [("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS", "s3cr3t")];
    let (site, _) = Site::running(1, &secret).await;
    for path in ["/status", "/group", "/metrics", "/"] {
        let (code, body) = site.get(0, path).await.unwrap();
        assert_eq!((code, body.contains("s3cr3t")), (200, false), "{path}");
    }
    assert!(site.get(0, "/status").await.unwrap().1.contains("OUTRIDER_AUTH_PASS"));
}

#[tokio::test]
async fn an_agent_works_whatever_its_role_and_is_ready_while_it_could_serve() {
    let (mut site, holder) = Site::running(2, &[]).await;
    let other = 1 - holder;
    for host in [holder, other] {
        assert_eq!(site.get(host, "/healthz").await.unwrap(), (200, "ok\n".to_owned()));
        assert_eq!(site.get(host, "/readyz").await.unwrap(), (200, "ready\n".to_owned()));
    }
    site.kill_balancer(holder).await;
    let fault = |status: &outrider::status::document::Status| status.routers[0].state == State::Fault;
    let status = site.wait_for(holder, "it is in Fault", fault).await;
    let router = &status.routers[0];
    assert!(!status.ready && !router.checks[0].passing, "{router:#?}");
    assert!(router.checks[0].last.as_ref().unwrap().contains("refused"), "{router:#?}");
    assert_eq!(site.get(holder, "/healthz").await.unwrap().0, 200);
    let (code, body) = site.get(holder, "/readyz").await.unwrap();
    assert!(code == 503 && body.starts_with("not ready: ") && body.contains("refused"), "{body}");
    // Measured until the kernel has added the address.
    let taken = |status: &outrider::status::document::Status| {
        status.routers[0].state == State::Active && status.routers[0].takeover_seconds.total() == 1
    };
    let status = site.wait_for(other, "the other one took over", taken).await;
    // The leaver repeats it where its successor is slow.
    assert!(status.routers[0].counters.priority_zero_received >= 1);
    let left = site.status(holder).await.unwrap().routers[0].counters.clone();
    assert_eq!((left.became_active, left.left_active, left.became_fault), (1, 1, 1));
    assert!(left.priority_zero_sent >= 1, "{left:?}");
}

#[tokio::test]
async fn a_stopped_agent_is_not_healthy() {
    let (site, _) = Site::running(1, &[]).await;
    let agent = site.agent(0);
    agent.stop().unwrap();
    let (code, _, complaint) = site.command(0, &["status", "--healthz"]).await;
    assert_eq!(code, 1, "{complaint}");
    agent.cont().unwrap();
    let begun = std::time::Instant::now();
    while site.command(0, &["status", "--healthz"]).await.0 != 0 {
        assert!(begun.elapsed() < crate::site::SOON, "healthy again");
    }
}

#[tokio::test]
async fn rejected_adverts_are_counted_by_the_kind_of_mistake() {
    let password = |word| [("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS", word)];
    let (mut site, holder) = Site::running(2, &password("ours")).await;
    let other = 1 - holder;
    site.stop_agent(other).await;
    let vip = VIP.to_string();
    let variables = [&[("OUTRIDER_VIP", vip.as_str())], &password("theirs")[..]].concat();
    site.agents[other] = Some(site.lab.hosts()[other].start_agent(&variables).await.unwrap());
    let rejects = |status: &outrider::status::document::Status| {
        status.routers[0].counters.adverts_rejected.get("password").is_some_and(|count| *count > 1)
    };
    let status = site.wait_for(other, "it rejects the holder's adverts", rejects).await;
    assert_eq!(status.routers[0].counters.adverts_received, 0);
    let (_, body) = site.get(other, "/metrics").await.unwrap();
    let counts = |kind| {
        let start = format!(r#"outrider_adverts_rejected_total{{router="{vip}",vrid="2",kind="{kind}"}} "#);
        let line = body.lines().find_map(|line| line.strip_prefix(&start)).expect("the counter");
        line.parse::<u64>().unwrap()
    };
    assert!(counts("password") > 1 && counts("authentication") == 0, "{body}");
}

#[tokio::test]
async fn metrics_have_their_types_and_labels() {
    let (site, holder) = Site::running(2, &[]).await;
    let sends = |status: &outrider::status::document::Status| status.routers[0].lateness_seconds.total() > 0;
    let status = site.wait_for(holder, "it advertises", sends).await;
    let (code, body) = site.get(holder, "/metrics").await.unwrap();
    assert_eq!(code, 200);
    let labels = r#"router="10.10.10.2",vrid="2""#;
    for line in [
        "# TYPE outrider_adverts_sent counter".to_owned(),
        "# TYPE outrider_advert_lateness_seconds histogram".to_owned(),
        format!(r#"outrider_state{{{labels},state="Active"}} 1.0"#),
        format!(r#"outrider_state{{{labels},state="Backup"}} 0.0"#),
        format!("outrider_priority{{{labels}}} {:?}", f64::from(status.routers[0].priority)),
        format!(r#"outrider_check_passing{{{labels},check="http://127.0.0.1:80/"}} 1.0"#),
        format!("outrider_members{{{labels}}} 2.0"),
        format!(r#"outrider_adverts_rejected_total{{{labels},kind="checksum"}} 0"#),
    ] {
        assert!(body.lines().any(|it| it == line), "{line} is missing in\n{body}");
    }
    let value = |name: &str| {
        let line =
            body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}\n{body}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(value("outrider_adverts_sent_total{") >= 1.0);
    let infinite = format!(r#"outrider_advert_lateness_seconds_bucket{{le="+Inf",{labels}}}"#);
    assert!(
        value(&infinite) >= 1.0 && value(&infinite) <= value("outrider_adverts_sent_total{") + 1.0,
        "{body}"
    );
    assert!(body.ends_with("# EOF\n"));
}

/// Everything that is told stands in docs/status.md.
#[tokio::test]
async fn every_field_and_every_metric_is_described() {
    let documentation = include_str!("../../docs/status.md");
    let (site, holder) = Site::running(2, &[]).await;
    let mut undescribed = Vec::new();
    let mut is_described = |name: &str| {
        if !documentation.contains(&format!("`{name}`")) {
            undescribed.push(name.to_owned());
        }
    };
    for path in ["/status", "/group"] {
        let (_, body) = site.get(holder, path).await.unwrap();
        let mut values = vec![serde_json::from_str::<serde_json::Value>(&body).unwrap()];
        while let Some(value) = values.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    for (name, value) in fields {
                        is_described(&name);
                        values.push(value);
                    }
                }
                serde_json::Value::Array(items) => values.extend(items),
                _ => {}
            }
        }
    }
    let (_, metrics) = site.get(holder, "/metrics").await.unwrap();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        is_described(&if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
    }
    for kind in outrider::status::document::REJECTED {
        is_described(kind);
    }
    assert!(undescribed.is_empty(), "not in docs/status.md: {undescribed:?}");
}
