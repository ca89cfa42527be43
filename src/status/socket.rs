//! The local socket: status, drain and undrain, for root and the agent's own user (unless it has become nobody).
//!
//! A client sends one line and gets one JSON line back. The name is abstract by default: a read-only root file
//! system has no place for a socket file, and nothing is left behind.

use super::desk::Room;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Longest wait for a client's line, and for the agent's answer to it. A hand-over takes less than a second.
/// SO_ACCEPTCON, as /proc/net/unix has it.
const LISTENS: &str = "00010000";
const PATIENCE: Duration = Duration::from_secs(8);
/// The user that root becomes. Other programs are nobody as well, so being it proves nothing.
const NOBODY: u32 = 65534;
/// Longest line.
const LINE: u64 = 256;
/// Longest answer: that of a large group with many virtual routers.
const ANSWER: u64 = 256 * 1024 * 1024;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take this host out of service.
    Drain {
        /// Even if nobody takes over.
        force: bool,
    },
    /// Put it back.
    Undrain,
}

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How this host stands: a [`Status`](super::document::Status).
    Status,
    /// How all of them stand: a [`Group`](super::group::Group).
    Group,
}

impl Question {
    fn line(self) -> &'static str {
        match self {
            Question::Status => "status",
            Question::Group => "group",
        }
    }

    fn read(line: &str) -> Option<Question> {
        [Question::Status, Question::Group].into_iter().find(|question| question.line() == line)
    }
}

impl Order {
    fn line(self) -> &'static str {
        match self {
            Order::Drain { force: false } => "drain",
            Order::Drain { force: true } => "drain --force",
            Order::Undrain => "undrain",
        }
    }

    fn read(line: &str) -> Option<Order> {
        let orders = [Order::Drain { force: false }, Order::Drain { force: true }, Order::Undrain];
        orders.into_iter().find(|order| order.line() == line)
    }
}

/// An order, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The order.
    pub order: Order,
    /// How it went: what was done, or why not.
    pub answer: oneshot::Sender<Result<String, String>>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    ok: bool,
    message: String,
}

/// The address of the socket: a path, or `@name` for an abstract one.
fn address(name: &str) -> Result<net::SocketAddr> {
    let address = match name.strip_prefix('@') {
        Some(name) => net::SocketAddr::from_abstract_name(name),
        None => net::SocketAddr::from_pathname(name),
    };
    address.with_context(|| format!("{name} is no name for a socket"))
}

/// Opens the socket. A file that an earlier run left at a path is replaced; one that answers is not.
///
/// # Errors
/// The name is taken, or the path cannot be written.
pub fn listen(name: &str) -> Result<UnixListener> {
    let address = address(name)?;
    if !name.starts_with('@') && net::UnixStream::connect_addr(&address).is_err() {
        let _ = std::fs::remove_file(name);
    }
    let listener =
        net::UnixListener::bind_addr(&address).with_context(|| format!("cannot listen on {name}"))?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

/// Serves clients until `orders` is closed.
pub async fn serve(listener: UnixListener, orders: mpsc::Sender<Request>, room: Arc<Room>) {
    while !orders.is_closed() {
        match listener.accept().await {
            Ok((client, _)) => {
                let (orders, room) = (orders.clone(), room.clone());
                tokio::spawn(async move {
                    if let Err(error) = answer(client, orders, &room).await {
                        tracing::debug!("local socket: {error:#}");
                    }
                });
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(client: UnixStream, orders: mpsc::Sender<Request>, room: &Room) -> Result<()> {
    let uid = client.peer_cred().context("who is it?")?.uid();
    let (reader, mut writer) = client.into_split();
    let mut line = String::new();
    let own = nix::unistd::geteuid().as_raw();
    let allowed = uid == 0 || uid == own && own != NOBODY;
    let result = if allowed {
        let mut reader = BufReader::new(reader.take(LINE));
        tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await.context("no line came")??;
        match Question::read(line.trim_end()) {
            Some(question) => tell(question, room).await,
            None => obey(line.trim_end(), &orders).await,
        }
    } else {
        Err(format!("user {uid} may not: only root and the agent's own user, unless that is nobody"))
    };
    let ok = result.is_ok();
    let message = result.unwrap_or_else(|why| why);
    let mut reply = serde_json::to_vec(&Answer { ok, message })?;
    reply.push(b'\n');
    tokio::time::timeout(PATIENCE, writer.write_all(&reply)).await.context("the answer is not read")??;
    Ok(())
}

/// The document, as a text.
async fn tell(question: Question, room: &Room) -> Result<String, String> {
    let status = room.status().await.ok_or("the agent does not answer")?;
    let text = match question {
        Question::Status => serde_json::to_string(&*status),
        Question::Group => serde_json::to_string(&*room.group.gather(&status).await),
    };
    text.map_err(|error| error.to_string())
}

async fn obey(line: &str, orders: &mpsc::Sender<Request>) -> Result<String, String> {
    let Some(order) = Order::read(line) else {
        return Err("not understood; one of: status, group, drain, drain --force, undrain".to_owned());
    };
    let gone = || "the agent is ending".to_owned();
    let (answer, result) = oneshot::channel();
    orders.send(Request { order, answer }).await.map_err(|_| gone())?;
    match tokio::time::timeout(PATIENCE, result).await {
        Ok(result) => result.map_err(|_| gone())?,
        Err(_) => Err("the agent did not answer in time".to_owned()),
    }
}

/// Sends an order to the running agent and waits for its answer.
///
/// # Errors
/// No agent listens, or it refuses: why.
pub fn order(name: &str, order: Order) -> Result<String> {
    send(name, order.line())
}

/// The socket of the agent on this host, for whoever does not have its settings; it must be the only one.
///
/// # Errors
/// There is none, or more than one.
pub fn only() -> Result<String> {
    // Num RefCount Protocol Flags Type St Inode Path: proc(5). It has those of this network namespace.
    let table = std::fs::read_to_string("/proc/net/unix").context("cannot read /proc/net/unix")?;
    let listening = |line: &&str| line.split_whitespace().nth(3) == Some(LISTENS);
    let names = table.lines().filter(listening).filter_map(|line| line.split_whitespace().nth(7));
    let names: BTreeSet<&str> = names.filter(|name| name.starts_with("@outrider/")).collect();
    match names.iter().collect::<Vec<_>>().as_slice() {
        [name] => Ok((**name).to_owned()),
        [] => bail!(
            "no agent listens here; one with OUTRIDER_SOCKET or OUTRIDER_CONFIG is found by the same variable"
        ),
        several => {
            let vips: Vec<&str> = several.iter().map(|name| name.trim_start_matches("@outrider/")).collect();
            bail!("several agents listen here: set OUTRIDER_VIP to one of {}", vips.join(", "))
        }
    }
}

/// Asks the running agent, and waits for its answer: a JSON document.
///
/// # Errors
/// No agent listens, or it does not answer.
pub fn ask(name: &str, question: Question) -> Result<String> {
    send(name, question.line())
}

fn send(name: &str, line: &str) -> Result<String> {
    use std::io::{BufRead, Read, Write};
    let mut socket = net::UnixStream::connect_addr(&address(name)?)
        .with_context(|| format!("no agent listens on {name}: is it running, with the same settings?"))?;
    socket.set_read_timeout(Some(PATIENCE * 2))?;
    // Who may not ask at all is told so, and cut off, maybe before this is written.
    let asked = writeln!(socket, "{line}");
    let mut line = String::new();
    // One that is killed now resets the connection, one that is stopped says nothing.
    let silent = || format!("the agent that listens on {name} gave no answer: it may be ending, or hang");
    std::io::BufReader::new(socket.take(ANSWER)).read_line(&mut line).with_context(silent)?;
    if line.is_empty() {
        asked?;
        bail!(silent());
    }
    let answer: Answer = serde_json::from_str(&line).context("the agent's answer is not understood")?;
    if !answer.ok {
        bail!("{}", answer.message);
    }
    Ok(answer.message)
}
