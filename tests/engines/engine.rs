//! A machine with a Docker engine: namespaces of its own for processes and mounts, in a network namespace.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// A registry's name, as the README has it, and where it is.
pub const REGISTRY: &str = "registry.example.com";
pub const REGISTRY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 90);

/// Longer than anything here takes, but for the build of the image.
pub const SOON: Duration = Duration::from_secs(60);

/// Where everything of all test runs lies. Each has a folder named after its process.
fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines")
}

/// A folder for files that are kept from run to run.
pub fn kept() -> Result<PathBuf> {
    let kept = place().join("kept");
    std::fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
    Ok(kept)
}

/// A machine that runs. Everything of it ends when it is dropped, or with this test process, however that ends.
pub struct Engine {
    name: String,
    machine: Process,
    dockerd: Option<Process>,
    folder: PathBuf,
    options: Vec<String>,
}

impl Engine {
    /// Starts a machine in a namespace, and the engine on it.
    pub async fn start(namespace: &Namespace, options: &[&str]) -> Result<Engine> {
        tidy();
        let name = format!("outrider-engines-{}-{}", std::process::id(), namespace.name());
        let folder = place().join(std::process::id().to_string()).join(namespace.name());
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // Its first process dies with the thread of the namespace, and everything else with the first process.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount", "--mount-proc", "sh", "-c"]);
        // Its own /run: the engine's socket, its locks, those of the programs it starts.
        let hosts = folder.join("hosts");
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{REGISTRY_ADDRESS} {REGISTRY}\n"))?;
        command.arg(format!(
            "mount -t tmpfs none /run && mkdir /run/lock && mount --bind '{}' /etc/hosts && echo up && \
             exec tini -s -- sleep infinity",
            hosts.display()
        ));
        let machine = Process::start(namespace, namespace.name(), command).await?;
        machine.wait_for_line("up", SOON).await?;
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut engine = Engine { name, machine, dockerd: None, folder, options };
        engine.boot(namespace).await?;
        Ok(engine)
    }

    /// A folder that vanishes with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the engine, and waits until it answers.
    pub async fn boot(&mut self, namespace: &Namespace) -> Result<()> {
        let mut command = self.command("dockerd");
        command.arg("--data-root").arg(self.folder.join("docker"));
        // systemd has no say here.
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent"]).arg(self.group());
        command.args(&self.options);
        let dockerd = Process::start(namespace, "dockerd", command).await?;
        dockerd.wait_for_line("API listen on", SOON).await?;
        self.dockerd = Some(dockerd);
        Ok(())
    }

    /// Sends the engine a signal, and waits for its end. It is a child of the process that put it on the machine.
    pub async fn end(&mut self, signal: Signal) -> Result<()> {
        let dockerd = self.dockerd.take().context("no engine runs")?;
        for child in children(dockerd.pid())? {
            kill(child, signal)?;
        }
        dockerd.wait(SOON).await?;
        Ok(())
    }

    /// A program on this machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let namespaces = format!("/proc/{}/ns", self.machine.pid());
        command.arg(format!("--pid={namespaces}/pid_for_children")).arg(format!("--mount={namespaces}/mnt"));
        command.args(["--", program]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // The classic builder: the other one is a package of its own.
        command.env("HOME", &self.folder).env("DOCKER_BUILDKIT", "0");
        command
    }

    /// Runs `docker` with these arguments, and tells what it said.
    pub async fn docker(&self, namespace: &Namespace, arguments: &[&str]) -> Result<String> {
        let mut command = self.command("docker");
        command.args(arguments);
        run(namespace, command, SOON).await
    }

    /// All processes of the machine, by name, but its first and the engine's own.
    pub fn processes(&self) -> Result<Vec<String>> {
        let ours = std::fs::read_link(format!("/proc/{}/ns/pid_for_children", self.machine.pid()))?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let path = entry?.path();
            // Processes come and go meanwhile.
            let Ok(space) = std::fs::read_link(path.join("ns/pid")) else { continue };
            let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
            if space == ours && !["tini", "sleep", "dockerd", "containerd"].contains(&name.trim()) {
                found.push(name.trim().to_owned());
            }
        }
        Ok(found)
    }

    fn group(&self) -> String {
        format!("/{}", self.name)
    }

    /// What there is to know when things have failed.
    pub fn describe(&self) -> String {
        let show = |arguments: &[&str]| {
            let mut command = self.command("docker").into_std();
            match command.args(arguments).stdin(Stdio::null()).output() {
                Ok(output) => [output.stdout, output.stderr]
                    .map(|said| String::from_utf8_lossy(&said).into_owned())
                    .concat(),
                Err(error) => error.to_string(),
            }
        };
        let engine = self.dockerd.iter().flat_map(Process::lines).map(|line| line.text);
        let complaints: Vec<String> = engine.filter(|line| !line.contains("level=info")).collect();
        let (containers, agent) = (show(&["ps", "-a"]), show(&["logs", "--timestamps", "outrider"]));
        format!("{containers}\n{}\n{agent}", complaints.join("\n"))
    }
}

impl Drop for Engine {
    /// As if its power were cut off. A test fails if anything of it is left.
    fn drop(&mut self) {
        // The first process of the machine: the other one waits until all of them are gone.
        for child in children(self.machine.pid()).unwrap_or_default() {
            let _ = kill(child, Signal::SIGKILL);
        }
        let begun = Instant::now();
        while self.machine.exit_status().is_none() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let gone = self.machine.exit_status().map(drop).ok_or(std::io::ErrorKind::TimedOut.into());
        let removed = [gone, remove_groups(&self.name), std::fs::remove_dir_all(&self.folder)];
        // That of this run, if it was the last in it.
        let _ = self.folder.parent().map(std::fs::remove_dir);
        let left: Vec<_> = removed.into_iter().filter_map(Result::err).collect();
        assert!(
            left.is_empty() || std::thread::panicking(),
            "{} leaves something behind: {left:?}",
            self.name
        );
    }
}

/// Tells which program is missing, and what brings it.
pub fn check_programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let needed = [
        ("dockerd", "docker.io"),
        ("docker-compose", "docker-compose"),
        ("docker-registry", "docker-registry"),
        ("tini", "tini"),
        ("iptables", "iptables"),
        ("haproxy", "haproxy"),
        ("busybox", "busybox-static"),
    ];
    for (program, package) in needed {
        let there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
        ensure!(there, "{program} is missing: apt-get install --no-install-recommends {package}");
    }
    Ok(())
}

/// Runs a command to its end, and tells what it said on both outputs.
pub async fn run(namespace: &Namespace, mut command: Command, limit: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let words = format!("{:?}", command.as_std());
    let output = namespace.run(async move { tokio::time::timeout(limit, command.output()).await });
    let output = output.await?.with_context(|| format!("{words} does not end"))?.context(words.clone())?;
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success(), "{words}: {}:\n{said}", output.status);
    Ok(said)
}

fn children(pid: i32) -> Result<Vec<Pid>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    text.split_whitespace().map(|pid| Ok(Pid::from_raw(pid.parse()?))).collect()
}

/// Removes what runs left behind whose process was killed.
fn tidy() {
    let gone = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
    for entry in std::fs::read_dir(place()).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(gone) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    for group in groups() {
        let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pid = name.strip_prefix("outrider-engines-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(gone) {
            let _ = remove_groups(name);
        }
    }
}

/// The control groups of this name, in whatever hierarchies there are.
fn groups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let inside =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all: Vec<PathBuf> =
        inside(root).flat_map(|path| inside(&path).chain([path.clone()]).collect::<Vec<_>>()).collect();
    let ours = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("outrider-engines-"))
    };
    all.into_iter().filter(ours).collect()
}

/// Removes the control groups of a machine, whose last processes may be about to go.
fn remove_groups(name: &str) -> std::io::Result<()> {
    for group in groups().into_iter().filter(|group| group.ends_with(name)) {
        let begun = Instant::now();
        while let Err(error) = remove_group(&group) {
            if begun.elapsed() > Duration::from_secs(5) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

fn remove_group(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}
