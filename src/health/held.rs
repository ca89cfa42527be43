//! The held connection: one idle TCP connection to a port, whose end says "look now".
//!
//! The kernel ends it the moment the load balancer dies, also behind DNAT and docker-proxy, where no listening
//! socket can be watched. It proves nothing by itself: a reload ends it as well.
//!
//! Passing looks renew it, so that it leads to the process that serves now (haproxy's old process keeps idle
//! clients after a reload, and would live as long as the connection), and so that a load balancer's time-out for
//! idle clients (`timeout http-request 5s`) is not reached.

use super::{Task, tcp};
use crate::config::CheckSettings;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

/// So many connections in a row that end too soon show a load balancer that does not bear an idle one.
const STRIKES: u32 = 3;

/// Pause after that; doubled each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a look at the port showed.
enum Look {
    /// It serves; with the look's own connection, if that is still open.
    Passed(Option<TcpStream>),
    Failed,
}

/// One port's held connection; dropping it closes the connection.
pub(super) struct Held {
    looks: mpsc::Sender<Look>,
    ended: watch::Receiver<()>,
    _task: Task,
}

impl Held {
    pub(super) fn start(host: String, port: u16, settings: &CheckSettings) -> Self {
        // One is enough: a look that finds another one waiting has nothing to add.
        let (looks, seen) = mpsc::channel(1);
        let (signal, ended) = watch::channel(());
        let keeper = Keeper {
            host,
            port,
            timeout: settings.timeout,
            // Less than an interval, so that every scheduled look renews it, also one a little early.
            renew: (settings.interval / 2).clamp(Duration::from_millis(500), Duration::from_secs(10)),
        };
        let task = Task(tokio::spawn(keeper.keep(seen, signal)));
        Held { looks, ended, _task: task }
    }

    /// Changes when the connection has ended without our doing.
    pub(super) fn ended(&self) -> watch::Receiver<()> {
        let mut ended = self.ended.clone();
        ended.mark_unchanged();
        ended
    }

    /// A look has passed: a connection may be held (again). `connection` is the look's own, if it is still open.
    pub(super) fn passed(&self, connection: Option<TcpStream>) {
        let _ = self.looks.try_send(Look::Passed(connection));
    }

    /// A look has failed: if the connection has ended, this is why.
    pub(super) fn failed(&self) {
        let _ = self.looks.try_send(Look::Failed);
    }
}

struct Keeper {
    host: String,
    port: u16,
    timeout: Duration,
    /// Age at which a passing look replaces the connection; one that ends sooner was not borne.
    renew: Duration,
}

impl Keeper {
    async fn keep(self, mut looks: mpsc::Receiver<Look>, ended: watch::Sender<()>) {
        let mut patience = Patience::default();
        // Age of a connection that ended early, until a look tells whether its end was death.
        let mut early: Option<Duration> = None;
        while let Some(look) = looks.recv().await {
            let Look::Passed(offer) = look else {
                early = None;
                continue;
            };
            if let Some(age) = early.take()
                && patience.ended_early(Instant::now())
            {
                tracing::info!(
                    "{} closes idle connections (after {age:.1?}): none is held for now, so its death is noticed \
                     at the next check instead of at once",
                    self.place()
                );
            }
            if !patience.may_hold(Instant::now()) {
                continue;
            }
            // A port that passed a moment ago, and now takes no connection, counts as an early end.
            let age = match self.open(offer).await {
                Some(connection) => match self.hold(connection, &mut looks, &mut patience).await {
                    Some(age) => age,
                    None => continue,
                },
                None => Duration::ZERO,
            };
            tracing::debug!("the connection held to {} ended after {age:?}", self.place());
            early = (age < self.renew).then_some(age);
            if early.is_none() {
                self.bore(&mut patience);
            }
            ended.send_replace(());
        }
    }

    /// Holds this connection, and the ones that renew it, until one ends; returns the age of that one. None: a look
    /// has failed, and what is held would only keep a load balancer from ending that takes no new connections
    /// (haproxy at SIGUSR1, with which its image is stopped).
    async fn hold(
        &self,
        mut connection: TcpStream,
        looks: &mut mpsc::Receiver<Look>,
        patience: &mut Patience,
    ) -> Option<Duration> {
        let mut since = Instant::now();
        loop {
            tokio::select! {
                () = tcp::end(&mut connection) => return Some(since.elapsed()),
                look = looks.recv() => {
                    let Some(Look::Passed(offer)) = look else { return None };
                    if since.elapsed() >= self.renew {
                        self.bore(patience);
                        // Else the old one stays: were the load balancer dead, its end would be here already.
                        if let Some(newer) = self.open(offer).await {
                            connection = newer;
                            since = Instant::now();
                        }
                    }
                }
            }
        }
    }

    fn bore(&self, patience: &mut Patience) {
        if patience.bore() {
            tracing::info!("{} bears an idle connection again", self.place());
        }
    }

    async fn open(&self, offer: Option<TcpStream>) -> Option<TcpStream> {
        match offer {
            Some(connection) => Some(connection),
            None => timeout(self.timeout, tcp::connect(&self.host, self.port)).await.ok()?.ok(),
        }
    }

    fn place(&self) -> String {
        tcp::place(&self.host, self.port)
    }
}

/// Whether it is worth holding a connection.
#[derive(Default)]
struct Patience {
    strikes: u32,
    pause: Option<Pause>,
}

struct Pause {
    length: Duration,
    until: Instant,
}

impl Patience {
    fn may_hold(&self, now: Instant) -> bool {
        self.pause.as_ref().is_none_or(|pause| now >= pause.until)
    }

    /// A connection ended too soon. True if this is what used the patience up.
    fn ended_early(&mut self, now: Instant) -> bool {
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes < STRIKES {
            return false;
        }
        let length = match &self.pause {
            None => FIRST_PAUSE,
            Some(pause) => (pause.length * 2).min(LONGEST_PAUSE),
        };
        self.pause.replace(Pause { length, until: now + length }).is_none()
    }

    /// A connection lasted. True if patience had been used up before.
    fn bore(&mut self) -> bool {
        self.strikes = 0;
        self.pause.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_early_ends_use_patience_up_and_pauses_grow() {
        let start = Instant::now();
        let mut patience = Patience::default();
        assert!(!patience.ended_early(start));
        assert!(!patience.ended_early(start));
        assert!(patience.may_hold(start), "a reload or two is no reason to stop holding");
        assert!(patience.ended_early(start), "told once");
        assert!(!patience.may_hold(start + FIRST_PAUSE - Duration::from_millis(1)));
        assert!(patience.may_hold(start + FIRST_PAUSE));

        let later = start + FIRST_PAUSE;
        assert!(!patience.ended_early(later), "not told again");
        assert!(!patience.may_hold(later + FIRST_PAUSE), "the second pause is longer");
        assert!(patience.may_hold(later + 2 * FIRST_PAUSE));
        for _ in 0..20 {
            patience.ended_early(later);
        }
        assert!(patience.may_hold(later + LONGEST_PAUSE), "but not without end");
    }

    #[test]
    fn a_connection_that_lasts_restores_patience() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.ended_early(start);
        patience.ended_early(start);
        assert!(!patience.bore(), "nothing to tell");
        assert!(!patience.ended_early(start), "counting starts anew");
        patience.ended_early(start);
        assert!(patience.ended_early(start));
        assert!(patience.bore(), "told");
        assert!(patience.may_hold(start));
    }
}
