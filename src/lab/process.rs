//! A process in a namespace, and what it says.

use super::namespace::Namespace;
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

/// A line a process wrote to standard output or standard error.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// The line without its end.
    pub text: String,
}

/// A process in a namespace. Killed when this is dropped.
pub struct Process {
    name: String,
    pid: Pid,
    lines: watch::Receiver<Vec<Line>>,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts a command inside a namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(namespace: &Namespace, name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let (write_lines, lines) = watch::channel(Vec::new());
        let (write_status, status) = watch::channel(None);
        let started = namespace
            .run(async move {
                let mut child = command.spawn()?;
                let pid = child.id();
                if let Some(output) = child.stdout.take() {
                    tokio::spawn(collect(output, write_lines.clone()));
                }
                if let Some(output) = child.stderr.take() {
                    tokio::spawn(collect(output, write_lines));
                }
                tokio::spawn(async move {
                    if let Ok(status) = child.wait().await {
                        write_status.send_replace(Some(status));
                    }
                });
                std::io::Result::Ok(pid)
            })
            .await?
            .with_context(|| format!("start {name}"))?;
        let pid = Pid::from_raw(started.with_context(|| format!("{name} ended at once"))?.try_into()?);
        Ok(Self { name: name.into(), pid, lines, status })
    }

    /// What it was called at its start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process number.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends a signal; does nothing when the process has ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.exit_status().is_some() {
            return Ok(());
        }
        kill(self.pid, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill9(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// Freezes it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Ends [`Process::stop`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// How it ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after the limit.
    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let mut status = self.status.clone();
        let ended = tokio::time::timeout(limit, status.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(status)) => (*status).with_context(|| format!("{} ended", self.name)),
            Ok(Err(_)) => bail!("the namespace of {} is gone", self.name),
            Err(_) => bail!("{} still runs after {limit:?}; it last said:\n{}", self.name, self.tail(10)),
        }
    }

    /// Everything it has said so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.borrow().clone()
    }

    /// Its last lines, joined.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines.borrow();
        let texts: Vec<&str> = lines.iter().rev().take(count).rev().map(|line| line.text.as_str()).collect();
        texts.join("\n")
    }

    /// Follows what it says: the receiver wakes with every new line and holds all of them.
    pub fn subscribe(&self) -> watch::Receiver<Vec<Line>> {
        self.lines.clone()
    }

    /// Waits for a line that contains `pattern`; one already said counts.
    ///
    /// # Errors
    /// When it does not come within the limit, or the process closes its output first.
    pub async fn wait_for_line(&self, pattern: &str, limit: Duration) -> Result<Line> {
        self.wait_for_line_since(None, pattern, limit).await
    }

    /// The same, for a line said at `since` or later.
    ///
    /// # Errors
    /// When it does not come within the limit, or the process closes its output first.
    pub async fn wait_for_line_since(
        &self,
        since: impl Into<Option<Instant>>,
        pattern: &str,
        limit: Duration,
    ) -> Result<Line> {
        let since = since.into();
        let wanted = |line: &&Line| since.is_none_or(|since| line.at >= since) && line.text.contains(pattern);
        let mut lines = self.lines.clone();
        let found = tokio::time::timeout(limit, async {
            lines
                .wait_for(|lines| lines.iter().any(|line| wanted(&line)))
                .await
                .ok()?
                .iter()
                .find(wanted)
                .cloned()
        });
        match found.await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("{} ended without saying {pattern:?}:\n{}", self.name, self.tail(20)),
            Err(_) => bail!("{} did not say {pattern:?} within {limit:?}:\n{}", self.name, self.tail(20)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill9();
    }
}

async fn collect(stream: impl AsyncRead + Unpin, lines: watch::Sender<Vec<Line>>) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut bytes).await {
        let text = String::from_utf8_lossy(&bytes).trim_end().to_string();
        lines.send_modify(|lines| lines.push(Line { at: Instant::now(), text }));
        bytes.clear();
    }
}
