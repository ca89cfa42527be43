//! Programs of the distribution: each is found, or the Debian package that has it is named.

use super::namespace::Namespace;
use anyhow::{Context, Result, bail, ensure};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where a program is.
///
/// # Errors
/// It is not there; the message names the package.
pub fn find(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where not everybody's path leads.
    let others = ["/usr/sbin", "/sbin", "/usr/lib/frr"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(others)
        .map(|place| place.join(program))
        .find(|file| file.is_file());
    found.with_context(|| format!("{program} is missing: apt-get install {package}"))
}

/// Runs a command in a namespace to its end; its output.
///
/// # Errors
/// It is not there, or fails.
pub async fn run(namespace: &Namespace, package: &str, command: &str) -> Result<String> {
    let mut words = command.split_whitespace();
    let program = find(words.next().context("a program")?, package)?;
    let program = program.to_str().context("a path in UTF-8")?;
    namespace.run_command(program, &words.collect::<Vec<_>>()).await
}

/// Puts a program where everybody may run it: a copy of `source`.
///
/// By another process: a child that another thread forks just now would have the file open for writing, too, until
/// its own execve, and the kernel runs nothing that somebody writes to (execve(2), ETXTBSY).
///
/// # Errors
/// It cannot be written.
pub fn install(source: &Path, program: &Path) -> Result<()> {
    installed(Command::new("install").args(["-m", "755"]).args([source, program]).stdin(Stdio::null()), b"")
}

/// Puts a script of this text where everybody may run it; how, says [`install`].
///
/// # Errors
/// It cannot be written.
pub fn script(program: &Path, text: &str) -> Result<()> {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(program).stdin(Stdio::piped());
    installed(&mut install, text.as_bytes())
}

fn installed(install: &mut Command, text: &[u8]) -> Result<()> {
    let mut install = install.spawn().context("install is missing: apt-get install coreutils")?;
    if let Some(mut input) = install.stdin.take() {
        input.write_all(text)?;
    }
    let status = install.wait()?;
    ensure!(status.success(), "install: {status}");
    Ok(())
}

/// `ip`, in a namespace.
///
/// # Errors
/// As [`run`].
pub async fn ip(namespace: &Namespace, arguments: &str) -> Result<String> {
    run(namespace, "iproute2", &format!("ip {arguments}")).await
}

/// Changes firewall rules; commands are separated by semicolons.
///
/// # Errors
/// As [`run`].
pub async fn nft(namespace: &Namespace, rules: &str) -> Result<()> {
    let program = find("nft", "nftables")?;
    namespace.run_command(program.to_str().context("a path in UTF-8")?, &[rules]).await.map(drop)
}

/// Waits for what cannot tell by itself.
///
/// # Errors
/// It does not come true within `limit`, or cannot be known.
pub async fn wait_until(
    what: &str,
    limit: Duration,
    condition: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !condition().await? {
        if start.elapsed() > limit {
            bail!("in vain: {what}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
