//! A client that never waits: it sends a request every few milliseconds, whatever became of those before.

use super::namespace::Namespace;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{interval, timeout};

/// Pause between two requests.
const EVERY: Duration = Duration::from_millis(2);
/// A request without an answer by then is lost. Below the second after which TCP repeats a lost first segment, so
/// that an answer never comes from a repetition.
const LIMIT: Duration = Duration::from_millis(500);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet.
    Pending,
    /// Answered: when, and by which host.
    Answered(Instant, String),
    /// Refused, or without an answer for too long: when that was known.
    Lost(Instant),
}

/// One request on a connection of its own.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was sent.
    pub sent: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// What the client went through over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// Longest time between two answers.
    pub longest: Duration,
    /// Requests lost.
    pub lost: usize,
    /// Requests answered.
    pub answered: usize,
    /// The host that gave the last answer.
    pub by: Option<String>,
}

/// Sends requests until it is dropped.
pub struct Client {
    requests: Arc<Mutex<Vec<Request>>>,
    last: watch::Receiver<Option<(Instant, String)>>,
    task: AbortHandle,
}

impl Client {
    /// Starts sending from a namespace.
    pub fn start(namespace: &Namespace, target: SocketAddr) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answered, last) = watch::channel(None);
        let task = namespace.spawn(send_for_ever(target, requests.clone(), answered));
        Self { requests, last, task }
    }

    /// Sends no more: for a bench that measures with a client of its own. Whoever waits for an answer is told
    /// that the client has ended.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// All requests so far, in the order they were sent.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    /// The last request that was answered: when it was sent, and which host answered. The receiver wakes with
    /// every answer.
    pub fn subscribe(&self) -> watch::Receiver<Option<(Instant, String)>> {
        self.last.clone()
    }

    /// Waits until a certain host answers a request sent from now on.
    ///
    /// # Errors
    /// When none comes within the limit.
    pub async fn wait_for_answer_by(&self, host: &str, limit: Duration) -> Result<()> {
        let (since, mut last) = (Instant::now(), self.subscribe());
        let by_host = |last: &Option<(Instant, String)>| {
            last.as_ref().is_some_and(|(sent, name)| *sent >= since && name == host)
        };
        match timeout(limit, last.wait_for(by_host)).await {
            Ok(found) => found.map(drop).context("the client has ended"),
            Err(_) => bail!("no answer by {host} within {limit:?}"),
        }
    }

    /// What happened from `since` until now, told as soon as the requests sent by now are decided (half a second
    /// at most). An answer that is still missing at the end counts up to now.
    ///
    /// # Errors
    /// When the client's namespace is gone.
    pub async fn outage(&self, since: Instant) -> Result<Outage> {
        let until = Instant::now();
        let pending = |requests: &[Request]| {
            let sent = requests.iter().take_while(|request| request.sent <= until);
            sent.filter(|request| request.outcome == Outcome::Pending).count()
        };
        while pending(&lock(&self.requests)) > 0 {
            if until.elapsed() > LIMIT * 4 {
                bail!("the client is stuck");
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(outage(&lock(&self.requests), since, until))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(requests: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outage(requests: &[Request], since: Instant, until: Instant) -> Outage {
    let mut answers: Vec<(Instant, &str)> = Vec::new();
    let mut first = since;
    for request in requests {
        if let Outcome::Answered(at, by) = &request.outcome {
            if *at < since {
                // What was sent after the last request that was still answered was on its way.
                first = request.sent;
            }
            if *at <= until {
                answers.push((*at, by));
            }
        }
    }
    let lost = |request: &&Request| {
        (first..=until).contains(&request.sent) && matches!(request.outcome, Outcome::Lost(_))
    };
    let lost = requests.iter().filter(lost).count();
    answers.sort_unstable();
    let (before, after) = answers.split_at(answers.partition_point(|(at, _)| *at < since));
    let mut longest = Duration::ZERO;
    let mut from = before.last().map_or(since, |(at, _)| *at);
    for at in after.iter().map(|(at, _)| *at).chain([until]) {
        longest = longest.max(at.saturating_duration_since(from));
        from = at;
    }
    let by = answers.last().map(|(_, by)| by.to_string());
    Outage { longest, lost, answered: after.len(), by }
}

async fn send_for_ever(
    target: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    answered: watch::Sender<Option<(Instant, String)>>,
) {
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let index = {
            let mut requests = lock(&requests);
            requests.push(Request { sent, outcome: Outcome::Pending });
            requests.len() - 1
        };
        let (requests, answered) = (requests.clone(), answered.clone());
        tokio::spawn(async move {
            let answer = timeout(LIMIT, ask(target)).await;
            let at = Instant::now();
            let outcome = match answer {
                Ok(Ok(by)) => {
                    answered.send_replace(Some((sent, by.clone())));
                    Outcome::Answered(at, by)
                }
                Ok(Err(_)) | Err(_) => Outcome::Lost(at),
            };
            if let Some(request) = lock(&requests).get_mut(index) {
                request.outcome = outcome;
            }
        });
    }
}

/// One request; the body of the answer is the name of the host that gave it.
async fn ask(target: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(target).await?;
    // A reset at the end instead of TIME_WAIT: ports would run out otherwise.
    stream.set_zero_linger()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    if !head.starts_with("HTTP/1.1 200") && !head.starts_with("HTTP/1.0 200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    Ok(body.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_the_longest_time_between_two_answers() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let answered =
            |sent, at, by: &str| Request { sent: ms(sent), outcome: Outcome::Answered(ms(at), by.into()) };
        let lost = |sent, at| Request { sent: ms(sent), outcome: Outcome::Lost(ms(at)) };
        let requests = [
            lost(0, 60), // of an earlier outage, though known later
            answered(10, 11, "lb1"),
            lost(12, 13), // on its way when it happened
            lost(14, 15),
            answered(16, 40, "lb2"),
            answered(18, 19, "lb2"),
            answered(41, 42, "lb2"),
            lost(90, 95), // after the end
        ];
        let outage = outage(&requests, ms(13), ms(50));
        let longest = Duration::from_millis(21);
        assert_eq!(outage, Outage { longest, lost: 2, answered: 3, by: Some("lb2".into()) });
    }

    #[test]
    fn silence_to_the_end_counts() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let none = Outage { longest: Duration::from_secs(1), ..Outage::default() };
        assert_eq!(outage(&[], start, end), none);
    }
}
