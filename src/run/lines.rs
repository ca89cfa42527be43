//! The sockets: a line is an interface and the address that adverts are sent from there. Virtual routers that
//! have both in common share it.

use super::RETRY;
use super::place::Place;
use crate::net::Family;
use crate::net::announce::{Announcer, Claim};
use crate::net::vrrp::{Received, Receiver, Sender};
use anyhow::Result;
use futures_util::future::select_all;
use nix::net::if_::if_nametoindex;
use std::io;
use std::net::IpAddr;
use tokio::time::Instant;

/// All lines of the agent.
#[derive(Default)]
pub struct Lines {
    lines: Vec<Line>,
}

/// One of them.
pub struct Line {
    /// The interface.
    pub interface: String,
    /// Where adverts come from.
    pub source: IpAddr,
    multicast: bool,
    /// Index of the interface when they were opened.
    index: Option<u32>,
    sockets: Option<Sockets>,
    reopen_at: Option<Instant>,
}

/// Open sockets.
pub struct Sockets {
    /// Sends adverts.
    pub sender: Sender,
    receiver: Receiver,
    /// ARP and neighbour discovery.
    pub announcer: Announcer,
}

/// What came in, or was lost.
pub enum News {
    /// A datagram of protocol 112.
    Advert(Received),
    /// A station's claim to an address.
    Claim(Claim),
    /// The sockets are lost.
    Lost(io::Error),
}

impl Line {
    /// Its sockets, while they are open.
    pub fn sockets(&self) -> Option<&Sockets> {
        self.sockets.as_ref()
    }

    fn open(&self) -> Result<Sockets> {
        let sender = Sender::open(&self.interface, self.source)?;
        if self.multicast {
            sender.join()?;
        }
        Ok(Sockets {
            sender,
            receiver: Receiver::open(&self.interface, Family::of(self.source))?,
            announcer: Announcer::open(&self.interface)?,
        })
    }

    async fn news(&self) -> News {
        let Some(sockets) = &self.sockets else { return std::future::pending().await };
        tokio::select! {
            biased;
            received = sockets.receiver.receive() => received.map_or_else(News::Lost, News::Advert),
            claim = sockets.announcer.heard() => claim.map_or_else(News::Lost, News::Claim),
        }
    }
}

impl Lines {
    /// The number of the line that serves a virtual router at this place; opened now if there is none yet.
    ///
    /// # Errors
    /// A capability, the interface or the source address is missing.
    pub fn serve(&mut self, place: &Place, multicast: bool) -> Result<usize> {
        let same = |line: &Line| line.interface == place.interface && line.source == place.source;
        if let Some(number) = self.lines.iter().position(same) {
            if let Some(line) = self.lines.get_mut(number).filter(|line| multicast && !line.multicast) {
                line.multicast = true;
                if let Some(sockets) = &line.sockets {
                    sockets.sender.join()?;
                }
            }
            return Ok(number);
        }
        let (interface, source) = (place.interface.clone(), place.source);
        let index = if_nametoindex(interface.as_str()).ok();
        let mut line = Line { interface, source, multicast, index, sockets: None, reopen_at: None };
        line.sockets = Some(line.open()?);
        self.lines.push(line);
        Ok(self.lines.len() - 1)
    }

    /// A line by its number.
    pub fn get(&self, number: usize) -> Option<&Line> {
        self.lines.get(number)
    }

    /// Waits for something to come in. Cancel-safe.
    pub async fn news(&self) -> (usize, News) {
        if self.lines.is_empty() {
            return std::future::pending().await;
        }
        let (news, number, _) = select_all(self.lines.iter().map(|line| Box::pin(line.news()))).await;
        (number, news)
    }

    /// The next advert that is here already.
    pub fn try_receive(&self) -> Option<(usize, News)> {
        self.lines.iter().enumerate().find_map(|(number, line)| {
            match line.sockets.as_ref()?.receiver.try_receive() {
                Ok(received) => Some((number, News::Advert(received?))),
                Err(error) => Some((number, News::Lost(error))),
            }
        })
    }

    /// Closes a line's sockets, which are of no use any more; they are opened anew in a while.
    pub fn lose(&mut self, number: usize, error: &io::Error) {
        if let Some(line) = self.lines.get_mut(number) {
            tracing::debug!("sockets on {}: {error}", line.interface);
            line.sockets = None;
            line.reopen_at = Some(Instant::now() + RETRY);
        }
    }

    /// Opens a line's sockets anew if they are lost, or are those of an interface that was replaced by this one.
    pub fn renew(&mut self, number: usize, index: Option<u32>) {
        if self.lines.get(number).is_some_and(|line| line.sockets.is_none() || line.index != index) {
            self.reopen(number);
        }
    }

    /// Opens a line's sockets anew.
    pub fn reopen(&mut self, number: usize) {
        let Some(line) = self.lines.get_mut(number) else { return };
        // Two senders from one address would both receive; the old one goes first.
        line.sockets = None;
        line.index = if_nametoindex(line.interface.as_str()).ok();
        match line.open() {
            Ok(sockets) => {
                line.sockets = Some(sockets);
                line.reopen_at = None;
            }
            Err(error) => {
                tracing::debug!("{error:#}");
                line.reopen_at = Some(Instant::now() + RETRY);
            }
        }
    }

    /// Waits until a line is to be opened anew. Cancel-safe.
    pub async fn reopening(&self) -> usize {
        let due = self.lines.iter().enumerate().filter_map(|(number, line)| Some((line.reopen_at?, number)));
        match due.min() {
            Some((at, number)) => {
                tokio::time::sleep_until(at).await;
                number
            }
            None => std::future::pending().await,
        }
    }
}
