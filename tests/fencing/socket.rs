//! The local socket: whatever its clients do, the adverts keep their pace.

use crate::support::{INTERVAL, SOON, Site, wait_until};
use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use outrider::lab::client::Client;
use outrider::lab::namespace::Namespace;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection to the socket of the agent for 10.10.10.2 on a host.
async fn client(namespace: &Namespace) -> Result<UnixStream> {
    namespace
        .run(async {
            let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            connect(socket.as_raw_fd(), &UnixAddr::new_abstract(b"outrider/10.10.10.2")?)?;
            let stream = UnixStream::from(socket);
            stream.set_nonblocking(true)?;
            anyhow::Ok(stream)
        })
        .await?
}

/// What the agent answers to these bytes before it closes the connection.
async fn ask(namespace: &Namespace, question: Vec<u8>) -> Result<String> {
    let stream = client(namespace).await?;
    let asking = namespace.run(async move {
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        // More than it wants to read is refused by then.
        let _ = stream.write_all(&question).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.context("no end")?;
        anyhow::Ok(String::from_utf8(answer)?)
    });
    asking.await?
}

#[tokio::test]
async fn garbage_is_refused_and_clients_that_say_nothing_disturb_nobody() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let host = site.namespace(0);
    let since = Instant::now();
    let answer = ask(host, b"give me the keys\n".to_vec()).await?;
    let wanted =
        r#"{"ok":false,"message":"not understood; one of: status, group, drain, drain --force, undrain"}"#;
    ensure!(answer.trim() == wanted, "{answer}");
    for garbage in [vec![0xff; 64], vec![b'a'; 1 << 20], b"\n".to_vec(), b"drain\0\n".to_vec(), vec![0; 300]]
    {
        let mut line = garbage;
        line.push(b'\n');
        let answer = ask(host, line).await?;
        ensure!(!answer.contains("\"ok\":true"), "{answer}");
    }

    // A hundred of them: one in the middle of a line, the others without a word.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(client(host).await?);
    }
    nix::unistd::write(&silent[0], b"dra")?;
    site.stays_calm(0, 6).await?;
    // There is room for others, and one that goes in the middle of an answer is no loss.
    for _ in 0..20 {
        let hasty = client(host).await?;
        nix::unistd::write(&hasty, b"undrain\n")?;
    }
    ensure!(site.command(0, &["undrain"]).await?.code == Some(0));
    let pause = site.wire.longest_pause(0, since);
    ensure!(pause < INTERVAL * 3, "{pause:?} between two adverts");
    site.assert_undisturbed(0, since).await?;
    ensure!(site.command(0, &["drain"]).await?.code == Some(0));
    site.assert_held(1, since, Duration::from_millis(500), Duration::ZERO).await?;

    // They are not kept for ever.
    let last = silent.pop().context("a client")?;
    let closed = async || {
        let mut byte = [0];
        Ok(matches!(nix::unistd::read(&last, &mut byte), Ok(0)))
    };
    wait_until("a silent client is cut off", closed).await
}

#[tokio::test]
async fn two_agents_for_two_addresses_have_a_socket_each() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let second = Client::start(site.lab.client_namespace(), SocketAddr::from(([10, 10, 10, 3], 80)));
    let variables = [("OUTRIDER_VIP", "10.10.10.3")];
    let agents = [site.host(0).start_agent(&variables).await?, site.host(1).start_agent(&variables).await?];
    let (holder, other) = {
        let is_active = async |agent: &outrider::lab::process::Process| {
            agent.wait_for_line("Backup -> Active", SOON).await.map(drop)
        };
        tokio::select! {
            done = is_active(&agents[0]) => done.map(|()| (0, 1))?,
            done = is_active(&agents[1]) => done.map(|()| (1, 0))?,
        }
    };
    agents[other].wait_for_line("-> Backup", SOON).await?;
    second.wait_for_answer_by(site.host(holder).name(), SOON).await?;
    agents[other].wait_for_line(" holds the address with priority ", SOON).await?;

    let since = Instant::now();
    let mut drain = tokio::process::Command::new(crate::support::PROGRAM);
    drain.arg("drain").env_clear().env("OUTRIDER_VIP", "10.10.10.3");
    let drained = site.run(holder, drain).await?;
    ensure!(drained.code == Some(0), "{}", drained.error);
    second.wait_for_answer_by(site.host(other).name(), SOON).await?;
    agents[other].wait_for_line_since(since, "Backup -> Active", SOON).await?;
    // The other address stays where it is.
    site.stays_calm(0, 6).await?;
    site.assert_undisturbed(0, since).await?;
    ensure!(site.command(0, &["drain"]).await?.code == Some(0));
    site.assert_held(1, since, Duration::from_millis(500), Duration::ZERO).await
}
