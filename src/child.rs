//! Programs of other people: checks, and what is told of changes.
//!
//! Each runs in a process group of its own, without any capability and with `no_new_privs`, in `/`, with our
//! environment but for `OUTRIDER_…`, which may hold secrets. At the time-out its group is killed, and collected,
//! also as process 1 of a container, which inherits what a program left behind. A process that moved to another
//! group is on its own; as process 1 it is collected by [`collect_strangers`] when it dies.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// What is kept of what a program says; the rest is thrown away.
const KEPT: usize = 1024;
/// Length of the line that is told.
const TOLD: usize = 200;
/// How long a killed program may take to be gone.
const GRACE: Duration = Duration::from_millis(500);

/// All process groups that were started here and are not collected yet, whoever started them.
static OURS: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<Pid>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As process 1 of a container, collects the dead of foreign groups: it inherits whoever loses its parent, also what
/// `docker exec` leaves behind, and nobody else can collect them. Over at once in any other process.
pub(crate) async fn collect_strangers() {
    if std::process::id() != 1 {
        return;
    }
    let mut deaths = match signal(SignalKind::child()) {
        Ok(deaths) => deaths,
        Err(error) => return tracing::warn!("dead processes of others cannot be collected: {error}"),
    };
    while deaths.recv().await.is_some() {
        // Held meanwhile, so that no program is started and taken for a stranger.
        let ours = ours();
        for (process, group) in dead_children() {
            if !ours.contains(&group) {
                let _ = waitpid(process, Some(WaitPidFlag::WNOHANG));
            }
        }
    }
}

/// The dead that wait for process 1, and their groups. waitid(2) tells of one at a time, and of the same one again.
fn dead_children() -> Vec<(Pid, Pid)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let dead = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        // pid (name) state parent group …, and names may have blanks and brackets in them: proc(5).
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        let dead = fields.next() == Some("Z") && fields.next() == Some("1");
        let group = fields.next()?.parse().ok()?;
        dead.then_some((Pid::from_raw(pid), Pid::from_raw(group)))
    });
    dead.collect()
}

/// The process groups that run now; none: no more may be started.
#[derive(Clone, Debug)]
pub(crate) struct Running(Arc<Mutex<Option<BTreeSet<Pid>>>>);

impl Running {
    pub(crate) fn new() -> Self {
        Running(Arc::new(Mutex::new(Some(BTreeSet::new()))))
    }

    /// Kills all of them for good. From any thread: the process may be about to end.
    pub(crate) fn end(&self) {
        for group in self.lock().take().into_iter().flatten() {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<Pid>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of the processes that a program leaves behind in its group when it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They are killed: nothing outlives the program.
    Killed,
    /// They go on, and nobody looks after them.
    GoesOn,
}

/// A program to run, time and again but never twice at once.
pub(crate) struct Program {
    argv: Vec<String>,
    rest: Rest,
    running: Running,
    /// What was killed and is still there: it hangs in the kernel.
    stuck: Option<Group>,
}

impl Program {
    pub(crate) fn new(argv: &[String], rest: Rest, running: &Running) -> Self {
        Program { argv: argv.to_vec(), rest, running: running.clone(), stuck: None }
    }

    /// Runs it once, for `limit` at the longest, with these arguments behind its own, and these variables besides.
    ///
    /// # Errors
    /// It could not be run, did not end with 0, or not in time; in words, with the first line it said.
    pub(crate) async fn run(
        &mut self,
        arguments: &[String],
        variables: &[(&str, String)],
        limit: Duration,
    ) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        // Otherwise a program on a dead network file system would soon be there a thousand times.
        if self.stuck.as_mut().is_some_and(|group| !group.collect()) {
            return Err(format!("{} was killed, but hangs in the kernel", self.name()));
        }
        self.stuck = None;
        let cannot = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => {
                format!("there is no program {}, or not the interpreter its first line names", self.name())
            }
            _ => format!("cannot run {}: {error}", self.name()),
        };
        let mut changes = signal(SignalKind::child()).map_err(cannot)?;
        let command =
            self.command(arguments, variables).ok_or_else(|| cannot(ErrorKind::InvalidInput.into()))?;
        let (mut group, child) = Group::start(command, &self.running).map_err(cannot)?;
        let mut said = Said::new(child.stdout.map(OwnedFd::from)).map_err(cannot)?;
        let mut complaint = Said::new(child.stderr.map(OwnedFd::from)).map_err(cannot)?;
        let status = loop {
            // The signal may stand for several ends, of whatever children.
            if let Some(status) = group.ended() {
                break Some(status);
            }
            tokio::select! {
                _ = changes.recv() => {}
                () = said.hear() => {}
                () = complaint.hear() => {}
                () = sleep_until(deadline) => break None,
            }
        };
        let name = self.name();
        let result = match status {
            Some(WaitStatus::Exited(_, 0)) => Ok(()),
            Some(WaitStatus::Exited(_, code)) => Err(format!("{name} ended with code {code}")),
            Some(WaitStatus::Signaled(_, signal, _)) => Err(format!("{name} was ended by {signal}")),
            Some(other) => Err(format!("{name} ended in an unknown way: {other:?}")),
            None => Err(format!("{name} did not end within {limit:?} and was killed")),
        };
        let result = result.map_err(|why| match complaint.first_line().or_else(|| said.first_line()) {
            Some(line) => format!("{why}: {line}"),
            None => why,
        });
        if status.is_some() && self.rest == Rest::GoesOn {
            group.let_go();
            // A pipe that nobody reads would end whoever still writes to it.
            tokio::spawn(async move { tokio::join!(said.until_end(), complaint.until_end()) });
            return result;
        }
        group.kill();
        let grace = Instant::now() + GRACE;
        while !group.collect() {
            tokio::select! {
                _ = changes.recv() => {}
                () = sleep_until(grace) => {
                    self.stuck = Some(group);
                    break;
                }
            }
        }
        result
    }

    fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    fn command(&self, arguments: &[String], variables: &[(&str, String)]) -> Option<Command> {
        let (program, own) = self.argv.split_first()?;
        let mut command = Command::new(program);
        command.args(own).args(arguments).current_dir("/").process_group(0).env_clear();
        let ours = |name: &OsString| name.as_encoded_bytes().starts_with(b"OUTRIDER_");
        command.envs(std::env::vars_os().filter(|(name, _)| !ours(name)));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(command)
    }
}

/// A process group, from its start until nothing of it is left.
struct Group {
    leader: Pid,
    running: Running,
    gone: bool,
}

impl Group {
    fn start(command: Command, running: &Running) -> io::Result<(Group, Child)> {
        // Held meanwhile, so that none is started and then missed by `end`.
        let mut groups = running.lock();
        let groups = groups.as_mut().ok_or_else(|| io::Error::other("the agent ends"))?;
        let mut ours = ours();
        let child = spawn(command)?;
        let leader = Pid::from_raw(child.id().cast_signed());
        groups.insert(leader);
        ours.insert(leader);
        Ok((Group { leader, running: running.clone(), gone: false }, child))
    }

    /// How the leader ended, if it has. It stays uncollected, so that nobody else gets its number.
    fn ended(&self) -> Option<WaitStatus> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.leader), flags).ok().filter(|status| *status != WaitStatus::StillAlive)
    }

    fn kill(&self) {
        // Fails if all are dead already.
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    /// Collects the dead of the group, and nobody else's children. Tells whether none of ours is left.
    fn collect(&mut self) -> bool {
        let mut groups = self.running.lock();
        let all = Pid::from_raw(-self.leader.as_raw());
        while !self.gone {
            match waitpid(all, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => self.gone = true,
            }
        }
        groups.as_mut().map(|groups| groups.remove(&self.leader));
        ours().remove(&self.leader);
        true
    }

    /// Leaves what is left of the group to itself, once the leader has ended.
    fn let_go(mut self) {
        if self.collect() {
            return;
        }
        // Only as process 1 there are children left: somebody has to collect them.
        self.gone = true;
        self.running.lock().as_mut().map(|groups| groups.remove(&self.leader));
        self.wait();
    }

    /// Collects the group as it dies. Without a thread it would stay zombies until we end.
    fn wait(&self) {
        let leader = self.leader;
        let all = Pid::from_raw(-leader.as_raw());
        let wait = move || {
            while !matches!(waitpid(all, None), Err(errno) if errno != Errno::EINTR) {}
            ours().remove(&leader);
        };
        let _ = std::thread::Builder::new().name("collect".to_owned()).spawn(wait);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        self.kill();
        if !self.collect() {
            // Its death takes a moment.
            self.wait();
        }
    }
}

/// Starts a program that has no right of ours and cannot get any.
///
/// Capabilities belong to a thread and are inherited by what it starts, so a thread of its own gives them up
/// first. `no_new_privs` keeps root, should we have stayed that, from getting them back by the exec.
fn spawn(mut command: Command) -> io::Result<Child> {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let start = move || {
        set_no_new_privs(true)?;
        set_capabilities(None, none)?;
        command.spawn()
    };
    let thread = std::thread::Builder::new().name("child".to_owned()).spawn(start)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it died")))
}

/// What comes out of a pipe, as far as it is of interest.
struct Said {
    pipe: Option<pipe::Receiver>,
    kept: Vec<u8>,
}

impl Said {
    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Said { pipe: pipe.map(pipe::Receiver::from_owned_fd).transpose()?, kept: Vec::new() })
    }

    /// Takes in what there is. Cancel-safe; waits for ever after the end.
    async fn hear(&mut self) {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        let mut bytes = [0; KEPT];
        match pipe.read(&mut bytes).await {
            Ok(length @ 1..) => self.keep(bytes.get(..length)),
            _ => self.pipe = None,
        }
    }

    /// Throws away all that still comes.
    async fn until_end(mut self) {
        while self.pipe.is_some() {
            self.hear().await;
        }
    }

    fn keep(&mut self, bytes: Option<&[u8]>) {
        let room = KEPT - self.kept.len();
        self.kept.extend(bytes.unwrap_or_default().iter().take(room));
    }

    /// The first line that says something, fit to be told.
    fn first_line(&mut self) -> Option<String> {
        // Not tokio's try_read: of a program that ended at once it has not been told yet that it spoke.
        let mut bytes = [0; KEPT];
        while self.kept.len() < KEPT
            && let Some(pipe) = &self.pipe
            && let Ok(length @ 1..) = nix::unistd::read(pipe, &mut bytes)
        {
            self.keep(bytes.get(..length));
        }
        let text = String::from_utf8_lossy(&self.kept);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let mut told: String =
            line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect();
        if line.chars().nth(TOLD).is_some() {
            told.push('…');
        }
        Some(told)
    }
}
