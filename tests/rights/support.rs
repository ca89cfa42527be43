//! Agents started with more or fewer rights, and a look into the kernel's table of processes.

use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(20);
/// An agent that waits for a route, with everything else there: started, and nothing to do.
pub const WAITING: [(&str, &str); 3] =
    [("OUTRIDER_VIP", "10.10.10.2/24"), ("OUTRIDER_PEERS", "10.10.10.1"), ("OUTRIDER_CHECK", "none")];

/// The agent, started by `setpriv` with these arguments (none: as we are).
pub fn agent(setpriv: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(setpriv).args(["--", PROGRAM, "run"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("OUTRIDER_LOG", "debug").envs(variables.iter().copied());
    command
}

/// An agent of its own, that waits.
pub struct Waiting {
    pub agent: Process,
    /// What it said of its rights.
    pub said: String,
    _namespace: Namespace,
}

impl Waiting {
    pub async fn start(setpriv: &[&str]) -> Waiting {
        let namespace = Namespace::new("alone").await.unwrap();
        let agent = Process::start(&namespace, "the agent", agent(setpriv, &WAITING)).await.unwrap();
        let said = agent.wait_for_line(" runs ", SOON).await.unwrap().text;
        agent.wait_for_line("waiting, without a claim", SOON).await.unwrap();
        Waiting { agent, said, _namespace: namespace }
    }
}

/// An agent that ends, and what it says last.
pub async fn ends(setpriv: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let namespace = Namespace::new("alone").await.unwrap();
    let process = Process::start(&namespace, "the agent", agent(setpriv, variables)).await.unwrap();
    let status = process.wait(SOON).await.unwrap();
    until("its last words", || process.lines().iter().any(|line| line.text.contains("missing"))).await;
    (status.code(), process.tail(1))
}

/// A thread, as the kernel has it.
#[derive(Debug)]
pub struct Thread {
    pub name: String,
    status: BTreeMap<String, String>,
    stat: Vec<String>,
}

impl Thread {
    /// Reads what `/proc/…/status` and `/proc/…/stat` hold.
    pub fn parse(status: &str, stat: &str) -> Thread {
        let field =
            |line: &str| line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        let status: BTreeMap<String, String> = status.lines().filter_map(field).collect();
        // pid (name) state …, and names may have blanks and brackets in them.
        let rest = stat.rsplit(") ").next().unwrap();
        let stat = ["", ""].into_iter().chain(rest.split_whitespace()).map(str::to_owned).collect();
        Thread { name: status["Name"].clone(), status, stat }
    }

    fn read(directory: &Path) -> Option<Thread> {
        let read = |name| std::fs::read_to_string(directory.join(name)).ok();
        Some(Thread::parse(&read("status")?, &read("stat")?))
    }

    /// A line of `status`.
    pub fn get(&self, key: &str) -> &str {
        self.status.get(key).map_or("", String::as_str)
    }

    /// Bits of a set of capabilities.
    pub fn capabilities(&self, set: &str) -> u64 {
        u64::from_str_radix(self.get(set), 16).unwrap()
    }

    /// Real, effective, saved and file system user, if they are one.
    pub fn user(&self) -> u32 {
        let users: Vec<&str> = self.get("Uid").split_whitespace().collect();
        assert!(users.iter().all(|user| user == &users[0]), "{users:?}");
        users[0].parse().unwrap()
    }

    /// `SCHED_…` and the real-time priority: (0, 0) for an ordinary one.
    pub fn policy(&self) -> (u32, u32) {
        // Fields 41 and 40 of proc(5), counted from 1.
        (self.stat[40].parse().unwrap(), self.stat[39].parse().unwrap())
    }
}

/// All threads of a process.
pub fn threads(pid: i32) -> Vec<Thread> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(|task| Thread::read(&task.unwrap().path())).collect()
}

/// Whether this is the machine's root, and not one of a user namespace, who knows no nobody.
pub fn is_real_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295")
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
