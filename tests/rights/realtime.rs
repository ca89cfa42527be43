//! Which threads run in real time, and what is locked.

use crate::support::*;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use tokio::process::Command;

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

/// In real time, whoever waits for a thread that has to share the processor must sleep: else both stand still, and the
/// whole processor with them, until the kernel steps in after 0.95 s.
#[tokio::test]
async fn an_agent_that_ends_does_not_spin() {
    const ENDS: u8 = 8;
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let own = &threads(i32::try_from(std::process::id()).unwrap())[0];
    let processor: String = own.get("Cpus_allowed_list").chars().take_while(char::is_ascii_digit).collect();
    let ends =
        format!("for _ in $(seq {ENDS}); do timeout 1 taskset -c {processor} {PROGRAM} run; done; times");
    let mut shell = Command::new("sh");
    shell.args(["-c", &ends]).env("OUTRIDER_VIP", VIP.to_string()).env("OUTRIDER_CHECK", "none");
    let shell = lab.hosts()[0].start("the agents", shell).await.unwrap();
    assert!(shell.wait(SOON).await.unwrap().success(), "{}", shell.tail(20));
    let lines = shell.lines();
    let became = lines.iter().filter(|line| line.text.contains("-> Active")).count();
    assert_eq!(became, usize::from(ENDS), "{}", shell.tail(40));
    // times(1p): the shell's own time, then that of its children, user and system.
    let times = &lines.iter().rfind(|line| line.text.split_whitespace().count() == 2).unwrap().text;
    let seconds = |time: &str| {
        let (minutes, seconds) = time.split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.trim_end_matches('s').parse::<f64>().unwrap()
    };
    let used: f64 = times.split_whitespace().map(seconds).sum();
    println!("{used} s of the processor for {ENDS} agents of a second each");
    assert!(used < f64::from(ENDS) * 0.3, "{used} s of the processor");
}
