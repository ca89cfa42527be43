//! Which capabilities are needed, which are kept, and as whom the agent runs.

use crate::support::*;
use nix::sys::signal::Signal;
use outrider::lab::{Lab, VIP};
use std::os::unix::fs::PermissionsExt;
use tokio::process::Command;

const NET_ADMIN_AND_NET_RAW: u64 = 1 << 12 | 1 << 13;
const COMPOSE: &str = "add \"cap_add: [NET_ADMIN, NET_RAW]\" to the service in the compose file";

fn assert_reduced(pid: i32, user: u32) {
    let threads = threads(pid);
    assert!(threads.len() >= 3, "{threads:?}");
    for thread in threads {
        let told = format!("{thread:?}");
        assert_eq!(thread.capabilities("CapEff"), NET_ADMIN_AND_NET_RAW, "{told}");
        assert_eq!(thread.capabilities("CapPrm"), NET_ADMIN_AND_NET_RAW, "{told}");
        assert_eq!((thread.capabilities("CapInh"), thread.capabilities("CapAmb")), (0, 0), "{told}");
        assert_eq!(thread.get("NoNewPrivs"), "1", "{told}");
        assert_eq!(thread.user(), user, "{told}");
        if user != 0 {
            assert_eq!(thread.get("Groups"), "", "{told}");
            assert!(thread.get("Gid").split_whitespace().all(|group| group == user.to_string()), "{told}");
        }
    }
}

#[tokio::test]
async fn root_becomes_nobody_with_two_capabilities() {
    let groups: &[&str] = if is_real_root() { &["--groups", "4,5"] } else { &[] };
    let waiting = Waiting::start(&[groups, &["--inh-caps", "+chown"]].concat()).await;
    let pid = waiting.agent.pid();
    if is_real_root() {
        let said = " DEBUG outrider: runs as user 65534 with NET_ADMIN and NET_RAW";
        assert!(waiting.said.contains(said), "{}", waiting.said);
        assert_reduced(pid, 65534);
    } else {
        let why = "as root with no capability but NET_ADMIN and NET_RAW (there is no other user in this user namespace)";
        assert!(waiting.said.contains(why), "{}", waiting.said);
        assert_reduced(pid, 0);
    }
    // We have SETPCAP here, or could not take capabilities away from others below.
    assert_eq!(threads(pid)[0].capabilities("CapBnd"), NET_ADMIN_AND_NET_RAW);
}

#[tokio::test]
async fn root_stays_where_it_cannot_change_the_user() {
    for (taken, missing) in
        [("-setuid", "SETUID"), ("-setgid", "SETGID"), ("-setuid,-setgid", "SETGID and SETUID")]
    {
        let waiting = Waiting::start(&["--bounding-set", taken]).await;
        let said = format!(
            "runs as root with no capability but NET_ADMIN and NET_RAW (to become user 65534 it needs {missing} as well)"
        );
        assert!(waiting.said.contains(&said), "{}", waiting.said);
        assert!(waiting.said.contains(" INFO "), "{}", waiting.said);
        assert_reduced(waiting.agent.pid(), 0);
    }
}

#[tokio::test]
async fn a_root_of_a_user_namespace_stays() {
    // As the agents of a demo that an ordinary user runs.
    let mut command = Command::new("unshare");
    command.args(["-Urn", PROGRAM, "run"]).env_clear().envs(WAITING).env("OUTRIDER_LOG", "debug");
    let namespace = outrider::lab::namespace::Namespace::new("outside").await.unwrap();
    let agent = outrider::lab::process::Process::start(&namespace, "the agent", command).await.unwrap();
    let line = agent.wait_for_line(" runs ", SOON).await.unwrap().text;
    assert!(line.contains("(there is no other user in this user namespace)"), "{line}");
    agent.wait_for_line("waiting, without a claim", SOON).await.unwrap();
    for thread in threads(agent.pid()) {
        assert_eq!(thread.capabilities("CapPrm"), NET_ADMIN_AND_NET_RAW, "{thread:?}");
    }
}

#[tokio::test]
async fn no_more_is_needed_than_what_is_kept() {
    for setpriv in [
        // What Docker leaves with cap_drop: ALL and our two; and those with which root can be given up.
        &["--bounding-set", "-all,+net_admin,+net_raw"][..],
        &["--bounding-set", "-all,+net_admin,+net_raw,+setuid,+setgid"],
        &["--no-new-privs"],
    ] {
        let waiting = Waiting::start(setpriv).await;
        let nobody = is_real_root() && setpriv[1..] != ["-all,+net_admin,+net_raw"];
        assert_reduced(waiting.agent.pid(), if nobody { 65534 } else { 0 });
    }
}

#[tokio::test]
async fn an_ordinary_user_with_both_will_do() {
    if !is_real_root() {
        return; // There is no ordinary user.
    }
    let user = ["--reuid", "1000", "--regid", "1000", "--clear-groups"];
    let given = ["--inh-caps", "+net_raw,+net_admin", "--ambient-caps", "+net_raw,+net_admin"];
    let waiting = Waiting::start(&[&user[..], &given[..]].concat()).await;
    assert!(waiting.said.contains("runs as user 1000 with NET_ADMIN and NET_RAW"), "{}", waiting.said);
    assert_reduced(waiting.agent.pid(), 1000);

    let (code, said) = ends(&user, &WAITING).await;
    assert_eq!(code, Some(1));
    let expected = "the capabilities NET_ADMIN and NET_RAW are missing: user 1000 did not get what root would get: \
                    leave out \"user:\" in the compose file (root is given up at once), or let systemd give it \
                    (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)";
    assert!(said.ends_with(expected), "{said}");
}

#[tokio::test]
async fn a_missing_capability_is_named_with_the_remedy() {
    for (taken, missing) in [
        ("-net_raw", "the capability NET_RAW is missing"),
        ("-net_admin", "the capability NET_ADMIN is missing"),
        ("-net_raw,-net_admin", "the capabilities NET_ADMIN and NET_RAW are missing"),
        ("-all", "the capabilities NET_ADMIN and NET_RAW are missing"),
    ] {
        let (code, said) = ends(&["--bounding-set", taken], &WAITING).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("ERROR") && said.ends_with(&format!("{missing}: {COMPOSE}")), "{said}");
    }
    // In the form that was asked for.
    let json = [&WAITING[..], &[("OUTRIDER_LOG_FORMAT", "json")]].concat();
    let (_, said) = ends(&["--bounding-set", "-net_raw"], &json).await;
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(line["message"], format!("the capability NET_RAW is missing: {COMPOSE}"));
}

#[tokio::test]
async fn looking_at_the_settings_needs_no_right() {
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set", "-all", "--", PROGRAM, "check-config"]).env_clear().envs(WAITING);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_reduced_agents_fail_over_and_obey() {
    let lab = Lab::new(2, PROGRAM).await.unwrap();
    let vip = VIP.to_string();
    let variables = [("OUTRIDER_VIP", vip.as_str())];
    let (mut balancers, mut agents) = (Vec::new(), Vec::new());
    // One as nobody, one as a root that could not change.
    for (host, taken) in lab.hosts().iter().zip(["+all", "-setuid"]) {
        balancers.push(Some(host.start_balancer().await.unwrap()));
        let agent = agent(&["--bounding-set", taken], &variables);
        agents.push(host.start("the agent", agent).await.unwrap());
    }
    let first = lab.wait_for_holder(SOON).await.unwrap();
    let second = 1 - first;
    balancers[first].take().unwrap().kill9().unwrap();
    assert_eq!(lab.wait_for_successor(first, SOON).await.unwrap(), second);
    let since = std::time::Instant::now();
    balancers[first] = Some(lab.hosts()[first].start_balancer().await.unwrap());
    agents[first].wait_for_line_since(since, "-> Backup", SOON).await.unwrap();
    agents[second].kill9().unwrap();
    assert_eq!(lab.wait_for_successor(second, SOON).await.unwrap(), first);

    // Root is obeyed by nobody, too.
    for (host, user) in [(0, if is_real_root() { 65534 } else { 0 }), (1, 0)] {
        if host == second {
            continue;
        }
        assert_reduced(agents[host].pid(), user);
        let mut drain = Command::new(PROGRAM);
        drain.args(["drain", "--force"]).env_clear().envs(variables);
        let drain = lab.hosts()[host].start("drain", drain).await.unwrap();
        assert_eq!(drain.wait(SOON).await.unwrap().code(), Some(0), "{}", drain.tail(5));
        assert!(lab.holders().await.unwrap().is_empty());
        agents[host].signal(Signal::SIGTERM).unwrap();
        assert_eq!(agents[host].wait(SOON).await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_state_file_out_of_reach_is_told_with_the_remedy() {
    if !is_real_root() {
        return; // Nothing is out of root's reach.
    }
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("members.json");
    let variables = [("OUTRIDER_VIP", "10.10.10.2"), ("OUTRIDER_STATE_FILE", file.to_str().unwrap())];
    let remedy = format!(
        "(OUTRIDER_STATE_FILE): user 65534 may not write to its directory; run: chown 65534 {}",
        directory.path().display()
    );
    for mode in [0o755, 0o700] {
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode)).unwrap();
        let agent = lab.hosts()[0].start("the agent", agent(&[], &variables)).await.unwrap();
        let line = agent.wait_for_line(&remedy, SOON).await.unwrap().text;
        assert!(line.contains(" WARN "), "{line}");
    }
    std::os::unix::fs::chown(directory.path(), Some(65534), None).unwrap();
    let _agent = lab.hosts()[0].start("the agent", agent(&[], &variables)).await.unwrap();
    until("the members are kept", || file.exists()).await;
}
