//! One script under keepalived and under the agent: it is told the same.

use crate::command::Script;
use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use outrider::core::event::State;
use outrider::notify::Change;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

struct Keepalived(Child);

impl Drop for Keepalived {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_script_is_told_what_keepalived_tells_it() {
    let script = Script::new("for word; do all=\"$all[$word]\"; done; echo \"$all\" >> told");
    let folder = script.folder.path().display();
    let configuration = format!(
        "global_defs {{\n script_user root\n notify_fifo {folder}/fifo\n}}\n\
         vrrp_instance VI_1 {{\n state BACKUP\n interface d0\n virtual_router_id 7\n priority 150\n advert_int 0.2\n \
         version 3\n virtual_ipaddress {{\n 10.9.9.2/24\n }}\n notify \"{folder}/notify.sh own words\"\n}}\n"
    );
    std::fs::write(script.file("keepalived.conf"), configuration).unwrap();
    mkfifo(&script.file("fifo"), Mode::S_IRWXU).unwrap();
    let fifo = script.file("fifo");
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(File::open(fifo).unwrap()).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    // A namespace of its own; what it starts ends with it.
    let start = "ip link set lo up; ip link add d0 type veth peer name d1; ip address add 10.9.9.1/24 dev d0; \
                 ip link set d0 up; ip link set d1 up; exec keepalived --dont-fork --vrrp --use-file $0/keepalived.conf \
                 --pid $0/pid --vrrp_pid $0/vrrp --log-console";
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let log = std::fs::File::create(script.file("log")).unwrap();
    let mut keepalived = Keepalived(
        Command::new("unshare")
            .args(["--net", "--pid", "--kill-child", "--fork", "sh", "-c", start])
            .arg(script.folder.path())
            .env("PATH", path)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("this test needs unshare: apt-get install util-linux"),
    );
    let mut expected = Vec::new();
    while expected.len() < 2 {
        let line = tokio::time::timeout(LIMIT, lines.recv()).await;
        let log = || format!("keepalived (apt-get install keepalived iproute2): {}", script.read("log"));
        expected.push(line.unwrap_or_else(|_| panic!("{}", log())).unwrap_or_else(|| panic!("{}", log())));
    }
    // It does not wait for one script before it runs the next.
    let runs_scripts = std::fs::read_to_string("/proc/self/setgroups").unwrap().trim() == "allow";
    if runs_scripts {
        script.until_lines("told", 2).await;
    }
    // unshare itself passes no signal on; its child is keepalived.
    let children = format!("/proc/{0}/task/{0}/children", keepalived.0.id());
    let child: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
    keepalived.0.wait().unwrap();
    expected.extend(lines.recv().await);

    let ours = Script::new("for word; do all=\"$all[$word]\"; done; echo \"$all\" >> told");
    let notifier = ours.start(&["own", "words"], &pace());
    let at = |number, from, to| Change {
        router: "VI_1".to_owned(),
        priority: 150,
        ..change(number, from, to, "")
    };
    notifier.tell(at(0, State::Initialize, State::Backup));
    notifier.tell(at(1, State::Backup, State::Active));
    notifier.tell(at(2, State::Active, State::Initialize));
    notifier.finish(LIMIT, vec![at(3, State::Initialize, State::Initialize)]).await;
    let told: Vec<String> = ours.read("told").lines().map(str::to_owned).collect();
    // keepalived.conf(5): the fifo's lines are the last four arguments, the name in quotes.
    let as_lines = |told: &String| {
        let words: Vec<&str> = told.trim_matches(['[', ']']).split("][").collect();
        format!("{} \"{}\" {} {}", words[2], words[3], words[4], words[5])
    };
    assert_eq!(told.iter().map(as_lines).collect::<Vec<_>>(), expected);
    // Where groups cannot be given up (user_namespaces(7)), keepalived runs no script.
    if runs_scripts {
        assert_eq!(script.until_lines("told", 3).await, told);
    }
}
