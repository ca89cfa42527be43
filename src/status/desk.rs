//! The thread that answers people and programs, and what it is told.

use super::document::{Setting, Status, Transition};
use super::{group, server, socket};
use crate::config;
use anyhow::{Context, Result};
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// How old an answer may be: this is how often the adverts' thread is asked, however many ask here.
const FRESH: Duration = Duration::from_millis(100);
/// The adverts' thread looks at its questions between any two adverts. One that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(1);
/// Changes of state that are remembered.
const REMEMBERED: usize = 100;
/// Pause between two tries to listen at an address that is taken.
const RETRY: Duration = Duration::from_millis(500);

/// What the thread needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the status is served, and to whom.
    pub status: config::Status,
    /// Name of the local socket.
    pub socket: String,
    /// The settings in force, as they are shown.
    pub shown: Vec<Setting>,
}

/// The thread's handle, for the thread of the adverts. Nothing here waits.
pub struct Desk {
    /// Somebody wants to know how things stand. (Transitions and settings are filled in by the desk.)
    pub asked: mpsc::Receiver<oneshot::Sender<Status>>,
    /// Orders of people on this host.
    pub orders: mpsc::Receiver<socket::Request>,
    news: UnboundedSender<News>,
    /// Of the thread: others may leave something there that can wait.
    pub runtime: Handle,
    /// What the answers are made of.
    pub room: Arc<Room>,
}

enum News {
    Transition(Transition),
    Source(IpAddr, u32),
    Settings(Option<String>, Vec<Setting>),
}

impl Desk {
    /// Starts the thread, in the network namespace of the caller. `prepare` runs on it first.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub async fn start(settings: Settings, prepare: fn()) -> Result<Desk> {
        // Not one of std's channels: those may spin for a thread that has been preempted.
        let (ready, is_ready) = oneshot::channel();
        let (ask, asked) = mpsc::channel(1);
        let (orders_in, orders) = mpsc::channel(4);
        let (news, told) = unbounded_channel();
        let room = Arc::new(Room {
            ask,
            shown: Mutex::new(settings.shown.clone()),
            transitions: Mutex::new(VecDeque::new()),
            fresh: tokio::sync::Mutex::new(None),
            group: group::Gatherer::new(&settings.status),
        });
        let shared = room.clone();
        std::thread::Builder::new()
            .name("status".to_owned())
            .spawn(move || {
                prepare();
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!("cannot start the runtime of the status: {error}"),
                };
                let _ = ready.send(runtime.handle().clone());
                runtime.block_on(serve(settings, shared, orders_in, told));
            })
            .context("cannot start the thread of the status")?;
        let runtime = is_ready.await.context("the thread of the status died at start")?;
        Ok(Desk { asked, orders, news, runtime, room })
    }

    /// A virtual router changed its state.
    pub fn tell(&self, transition: Transition) {
        let _ = self.news.send(News::Transition(transition));
    }

    /// The settings changed: the token, and all of them as they are shown.
    pub fn tell_settings(&self, token: Option<String>, shown: Vec<Setting>) {
        let _ = self.news.send(News::Settings(token, shown));
    }

    /// Adverts come from this address: the status may be asked there. `scope`: the interface's index, for a
    /// link-local one.
    pub fn tell_source(&self, address: IpAddr, scope: u32) {
        let _ = self.news.send(News::Source(address, scope));
    }
}

/// What the answers are made of.
#[derive(Debug)]
pub struct Room {
    ask: mpsc::Sender<oneshot::Sender<Status>>,
    shown: Mutex<Vec<Setting>>,
    transitions: Mutex<VecDeque<Transition>>,
    /// Held while the adverts' thread is asked, so that it is asked once.
    fresh: tokio::sync::Mutex<Option<(Instant, Arc<Status>)>>,
    /// Asks the other members.
    pub group: group::Gatherer,
}

impl Room {
    /// How things stand; none: the thread of the adverts does not answer.
    pub async fn status(&self) -> Option<Arc<Status>> {
        let mut fresh = self.fresh.lock().await;
        if let Some((at, status)) = fresh.as_ref()
            && at.elapsed() < FRESH
        {
            return Some(status.clone());
        }
        let (answer, status) = oneshot::channel();
        let asked = async {
            self.ask.send(answer).await.ok()?;
            status.await.ok()
        };
        let mut status = timeout(PATIENCE, asked).await.ok()??;
        status.settings.clone_from(&self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let transitions = self.transitions.lock().unwrap_or_else(PoisonError::into_inner);
        status.transitions = transitions.iter().cloned().collect();
        let status = Arc::new(status);
        *fresh = Some((Instant::now(), status.clone()));
        Some(status)
    }
}

impl Room {
    fn remember(&self, transition: Transition) {
        let mut transitions = self.transitions.lock().unwrap_or_else(PoisonError::into_inner);
        if transitions.len() >= REMEMBERED {
            transitions.pop_front();
        }
        transitions.push_back(transition);
    }
}

async fn serve(
    settings: Settings,
    room: Arc<Room>,
    orders: mpsc::Sender<socket::Request>,
    mut news: UnboundedReceiver<News>,
) {
    tokio::spawn(listen_locally(settings.socket, orders, room.clone()));
    let door = Arc::new(server::Door::new(room.clone(), settings.status.token.clone()));
    if let config::Listen::At(address) = settings.status.listen {
        tokio::spawn(listen(address, door.clone()));
    }
    let mut sources = BTreeSet::new();
    while let Some(news) = news.recv().await {
        match news {
            News::Transition(transition) => {
                room.remember(transition);
                // What was asked before is older than this.
                *room.fresh.lock().await = None;
            }
            News::Settings(token, shown) => {
                *room.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
                *room.fresh.lock().await = None;
                room.group.set_token(token.clone());
                door.set_token(token);
            }
            News::Source(address, scope) => {
                if let config::Listen::Source(port) = settings.status.listen
                    && sources.insert((address, scope))
                {
                    let address = match address {
                        IpAddr::V4(_) => SocketAddr::new(address, port),
                        IpAddr::V6(address) => {
                            let scope = if address.is_unicast_link_local() { scope } else { 0 };
                            SocketAddrV6::new(address, port, 0, scope).into()
                        }
                    };
                    tokio::spawn(listen(address, door.clone()));
                }
            }
        }
    }
}

/// Serves the status at an address as soon as it is free.
async fn listen(address: SocketAddr, door: Arc<server::Door>) {
    let mut said = false;
    loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("status at http://{address}/");
                return server::serve(listener, door).await;
            }
            Err(error) if !said => {
                tracing::warn!(
                    "the status cannot be served at {address} ({error}); tried again, or set OUTRIDER_STATUS_LISTEN"
                );
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY * 4).await;
    }
}

/// Opens the local socket as soon as it is free, and serves it. Another agent may have it until it ends.
async fn listen_locally(name: String, orders: mpsc::Sender<socket::Request>, room: Arc<Room>) {
    let mut said = false;
    while !orders.is_closed() {
        match socket::listen(&name) {
            Ok(listener) => return socket::serve(listener, orders, room).await,
            Err(error) if !said => tracing::info!("no status, drain and undrain for now: {error:#}"),
            Err(_) => {}
        }
        said = true;
        // The one before us may be about to end.
        tokio::time::sleep(RETRY).await;
    }
}
