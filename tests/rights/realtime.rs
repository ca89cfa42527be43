//! Which threads run in real time, and what is locked.

use crate::support::*;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};

const ORDINARY: (u32, u32) = (0, 0);
/// SCHED_RR, priority 1.
const REAL: (u32, u32) = (2, 1);

async fn holder(lab: &Lab, setpriv: &[&str]) -> Process {
    let vip = VIP.to_string();
    let agent = agent(setpriv, &[("OUTRIDER_VIP", &vip), ("OUTRIDER_CHECK", "none")]);
    let agent = lab.hosts()[0].start("the agent", agent).await.unwrap();
    agent.wait_for_line("-> Active", SOON).await.unwrap();
    agent
}

/// What the machine allows: the right has to be one in the machine's own user namespace.
fn may_be_scheduled() -> bool {
    const SYS_NICE: u64 = 1 << 23;
    let pid = i32::try_from(std::process::id()).unwrap();
    is_real_root() && threads(pid)[0].capabilities("CapEff") & SYS_NICE != 0
}

fn locked(pid: i32) -> bool {
    threads(pid)[0].get("VmLck") != "0 kB"
}

#[tokio::test]
async fn the_adverts_and_the_address_run_in_real_time_and_nothing_else() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let agent = holder(&lab, &[]).await;
    let real = if may_be_scheduled() { REAL } else { ORDINARY };
    let mut names = Vec::new();
    for thread in threads(agent.pid()) {
        let expected = if ["outrider", "address"].contains(&thread.name.as_str()) { real } else { ORDINARY };
        assert_eq!(thread.policy(), expected, "{}", thread.name);
        names.push(thread.name);
    }
    names.sort();
    assert_eq!(names, ["address", "log", "outrider", "outside", "status"]);
    let said = agent.wait_for_line(" runs ", SOON).await.unwrap().text;
    assert_eq!(said.contains(", in real time"), may_be_scheduled(), "{said}");
    assert_eq!(said.contains(", with locked memory"), locked(agent.pid()), "{said}");
}

#[tokio::test]
async fn nothing_is_said_where_it_is_not_allowed() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let agent = holder(&lab, &["--bounding-set", "-sys_nice,-sys_resource"]).await;
    for thread in threads(agent.pid()) {
        assert_eq!(thread.policy(), ORDINARY, "{}", thread.name);
    }
    for line in agent.lines() {
        assert!(!line.text.contains("real time") && !line.text.contains("WARN"), "{}", line.text);
    }
}
