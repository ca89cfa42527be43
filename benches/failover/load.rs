//! Open-loop clients: requests leave on time, whatever became of those before.

use anyhow::{Context, Result, bail, ensure};
use outrider::lab::VIP;
use outrider::lab::namespace::Namespace;
use outrider::net::alarm::{self, Alarm};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// A request without an answer by then is lost. Below the second after which TCP repeats a lost first segment, so
/// that an answer never comes from a repetition.
const LIMIT: Duration = Duration::from_millis(500);
/// Longer than any answer takes: requests older than this are decided while all is well.
const YOUNG: Duration = Duration::from_millis(80);

/// What is asked for, and how often.
#[derive(Clone, Copy)]
pub struct Pattern {
    path: &'static str,
    every: Duration,
}

/// 1,000 requests a second that the load balancer answers itself.
pub const SHORT: Pattern = Pattern { path: "/", every: Duration::from_millis(1) };
/// 100 requests a second that a backend answers after [`super::bed::SLOW_ANSWER`].
pub const SLOW: Pattern = Pattern { path: "/slow", every: Duration::from_millis(10) };

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    /// Number of the host that answered.
    By(usize),
    Lost,
}

#[derive(Clone, Copy)]
struct Request {
    sent: Instant,
    outcome: Outcome,
}

#[derive(Default)]
struct Book {
    /// Number of the first request that is remembered.
    first: usize,
    requests: VecDeque<Request>,
}

/// What became of the requests of a stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Longest time between two moments at which a request was sent that was answered, with one that was lost in
    /// between: otherwise it was the client that was late.
    pub outage: Duration,
    /// The outage had not ended.
    pub lasting: bool,
    /// Requests lost.
    pub lost: usize,
}

/// Sends requests until it is dropped.
pub struct Load {
    book: Arc<Mutex<Book>>,
    task: AbortHandle,
}

impl Load {
    /// Begins to send.
    pub fn start(from: &Namespace, pattern: Pattern) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let sending = book.clone();
        let task = from.spawn(async move {
            if let Err(error) = send_for_ever(pattern, sending).await {
                eprintln!("the client of {} ended: {error}", pattern.path);
            }
        });
        Self { book, task }
    }

    /// Sends no more.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// The host that answered everything for this long up to now, if there is one.
    pub fn steady(&self, span: Duration) -> Option<usize> {
        let until = Instant::now().checked_sub(YOUNG)?;
        let since = until.checked_sub(span)?;
        let book = lock(&self.book);
        let mut by = None;
        let known = book.requests.front().is_some_and(|first| first.sent <= since);
        for request in book.requests.iter().rev().skip_while(|request| request.sent > until) {
            if request.sent < since {
                break;
            }
            match request.outcome {
                Outcome::By(host) if by.is_none_or(|by| by == host) => by = Some(host),
                _ => return None,
            }
        }
        by.filter(|_| known)
    }

    /// Counts up what was sent between two moments, as soon as all of it is decided.
    pub async fn tally(&self, since: Instant, until: Instant) -> Result<Tally> {
        while pending(&lock(&self.book), until) {
            if until.elapsed() > LIMIT * 8 {
                bail!("the client is stuck");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let book = lock(&self.book);
        let within = book.requests.iter().filter(|request| (since..=until).contains(&request.sent));
        let mut tally = Tally { outage: Duration::ZERO, lasting: false, lost: 0 };
        let (mut last, mut lost) = (None, 0);
        for request in within {
            if !matches!(request.outcome, Outcome::By(_)) {
                lost += 1;
                continue;
            }
            if lost > 0 {
                tally.outage = tally.outage.max(request.sent - last.unwrap_or(since));
            }
            (last, lost, tally.lost) = (Some(request.sent), 0, tally.lost + lost);
        }
        ensure!(last.is_some(), "not one answer, not even before the fault");
        if lost > 0 {
            tally.outage = tally.outage.max(until - last.unwrap_or(since));
            tally.lost += lost;
            tally.lasting = true;
        }
        Ok(tally)
    }

    /// Forgets what was sent before a moment.
    pub fn forget(&self, before: Instant) {
        let mut book = lock(&self.book);
        while book.requests.front().is_some_and(|request| request.sent < before) {
            book.requests.pop_front();
            book.first += 1;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pending(book: &Book, until: Instant) -> bool {
    let sent = book.requests.iter().filter(|request| request.sent <= until);
    sent.into_iter().any(|request| request.outcome == Outcome::Pending)
}

async fn send_for_ever(pattern: Pattern, book: Arc<Mutex<Book>>) -> std::io::Result<()> {
    let mut alarm = Alarm::new()?;
    let mut next = alarm::now();
    loop {
        next += pattern.every;
        alarm.set(Some(next))?;
        alarm.rung().await?;
        // A late one is not left out: the loop stays open.
        let number = {
            let mut book = lock(&book);
            book.requests.push_back(Request { sent: Instant::now(), outcome: Outcome::Pending });
            book.first + book.requests.len() - 1
        };
        let book = book.clone();
        tokio::spawn(async move {
            let outcome = match timeout(LIMIT, ask(pattern.path)).await {
                Ok(Ok(host)) => Outcome::By(host),
                Ok(Err(_)) | Err(_) => Outcome::Lost,
            };
            let mut book = lock(&book);
            if let Some(index) = number.checked_sub(book.first)
                && let Some(request) = book.requests.get_mut(index)
            {
                request.outcome = outcome;
            }
        });
    }
}

/// One request on a connection of its own; the body of the answer is the name of the host that gave it. What comes
/// after the body does not matter: a reset by the host that has the address by now undoes no answer.
async fn ask(path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(SocketAddr::from((VIP, 80))).await?;
    // A reset at the end instead of TIME_WAIT: ports would run out otherwise.
    stream.set_zero_linger()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "half an answer");
        if let Some(by) = answered_by(&answer) {
            return by;
        }
    }
}

/// None while the answer is not complete.
fn answered_by(answer: &[u8]) -> Option<Result<usize>> {
    let (head, body) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() >= length).then(|| {
        ensure!(head.starts_with("HTTP/1.1 200"), "not a good answer");
        let number: usize = body.strip_prefix("lb").context("not from one of us")?.parse()?;
        number.checked_sub(1).context("hosts count from 1")
    })
}
