//! A place of its own for a whole lab: no root needed, and nothing left behind however it ends.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, getgid, getuid};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, exit};

/// Tells the copies of this program apart: unset outside, then `init`, then `inside`.
const MARK: &str = "OUTRIDER_LAB_PROCESS";

/// Returns only inside namespaces of its own (user unless root, network, mount, pid), as root of them.
///
/// The program starts itself anew there, with the same arguments, and the process that called waits for it and
/// then exits with its code. Three processes: this one; process 1 of the pid namespace, which only collects the
/// dead; and the one that returns from here. When any of the three ends, by whatever signal, the kernel kills
/// every process of the pid namespace, and with the last of them the network namespaces vanish.
///
/// Must be called before the first thread is started: a process with threads cannot enter a user namespace.
///
/// # Errors
/// When the machine forbids it; the message says what to run instead.
pub fn enter() -> Result<()> {
    match std::env::var(MARK).as_deref() {
        Ok("inside") => {
            raise_file_limit();
            Ok(())
        }
        Ok("init") => exit(init().context("the lab's first process")?),
        _ => {
            unshare_all()?;
            // Ctrl-C reaches the whole foreground group. This process waits, so that all is gone when the
            // prompt is back.
            let interrupt = SigSet::from(Signal::SIGINT);
            interrupt.thread_block().context("block SIGINT")?;
            let status = again("init")?.wait().context("wait for the lab")?;
            exit(code(status))
        }
    }
}

fn unshare_all() -> Result<()> {
    let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (getuid(), getgid());
    if unshare(namespaces).is_ok() {
        return Ok(());
    }
    match unshare(namespaces | CloneFlags::CLONE_NEWUSER) {
        Ok(()) => {}
        Err(Errno::EINVAL) => bail!("the lab must be entered before the first thread is started"),
        Err(errno) => return Err(forbidden(errno)),
    }
    // A single mapping is all an unprivileged process may write, and only once it has given up setgroups.
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {uid} 1"))?;
    write("gid_map", &format!("0 {gid} 1"))
}

fn write(file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/self/{file}");
    std::fs::write(&path, text).map_err(|error| match error.raw_os_error() {
        // Ubuntu's AppArmor lets the namespace be made and then takes every right in it away.
        Some(code) => forbidden(Errno::from_raw(code)),
        None => anyhow::Error::from(error).context(path),
    })
}

fn forbidden(errno: Errno) -> anyhow::Error {
    let program = std::env::args().next().unwrap_or_else(|| "outrider".into());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let why = match errno {
        Errno::ENOSPC => "user.max_user_namespaces is reached",
        errno => errno.desc(),
    };
    let arguments = arguments.join(" ");
    anyhow::anyhow!(
        "this machine does not let an ordinary user make namespaces ({why}); run: sudo {program} {arguments}"
    )
}

fn again(mark: &str) -> Result<std::process::Child> {
    Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(MARK, mark)
        .spawn()
        .context("start this program again in its namespaces")
}

/// Process 1 of the pid namespace. The kernel shields it from every signal sent inside and from Ctrl-C, since it
/// installs no handler; it dies with its parent, or after its child.
fn init() -> Result<i32> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG")?;
    // With root the mounts are still shared with the machine's.
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("make mounts private")?;
    // So that process numbers read there are those of this pid namespace. A container that hides parts of /proc
    // forbids it; nothing depends on it.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing);
    SigSet::all().thread_unblock().context("unblock signals")?;
    let child = Pid::from_raw(again("inside")?.id().try_into()?);
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for the lab's processes"),
        }
    }
}

/// As a shell would say it: 128 + signal for a process that a signal ended.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// Every request in flight, every namespace and every pipe to a process is an open file.
pub(super) fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < 4096
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(4096), hard);
    }
}
