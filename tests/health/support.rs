//! A checker to watch, servers that behave as told, and a look into the kernel's table of connections.

use outrider::config::{CheckSettings, Target};
use outrider::core::{Outcome, Time};
use outrider::health::{Checker, Report, start};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(20);
/// An interval after which no test is running any more: each further look has another reason.
pub const NEVER: Duration = Duration::from_secs(3600);

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn settings(interval: Duration) -> CheckSettings {
    CheckSettings {
        interval,
        timeout: ms(1000),
        rise: 2,
        fall: 2,
        status: Vec::new(),
        host_header: None,
        tls_verify: true,
    }
}

pub fn tcp(port: u16) -> Target {
    Target::Tcp { host: "127.0.0.1".into(), port }
}

pub fn http(port: u16) -> Target {
    Target::Http { url: format!("http://127.0.0.1:{port}/") }
}

/// The clock handed to the checker.
pub fn now() -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

pub struct Run {
    pub checker: Checker,
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Run {
    pub fn start(settings: CheckSettings, targets: Vec<Target>) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let checker = start(settings, sender, now);
        checker.set_targets(targets);
        Run { checker, reports }
    }

    pub async fn next(&mut self) -> Report {
        tokio::time::timeout(LIMIT, self.reports.recv())
            .await
            .expect("no report came")
            .expect("the checker has ended")
    }

    /// Skips reports up to the first with this outcome, whatever its words.
    pub async fn until_pass(&mut self) -> Report {
        self.until(|outcome| *outcome == Outcome::Pass).await
    }

    pub async fn until(&mut self, wanted: impl Fn(&Outcome) -> bool) -> Report {
        loop {
            let report = self.next().await;
            if wanted(&report.outcome) {
                return report;
            }
        }
    }

    /// Everything reported so far and not read yet.
    pub fn drain(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    /// Nothing is reported for this long.
    pub async fn silent_for(&mut self, time: Duration) {
        if let Ok(report) = tokio::time::timeout(time, self.reports.recv()).await {
            panic!("a report nobody asked for: {report:?}");
        }
    }
}

/// One look.
pub async fn look(settings: CheckSettings, target: Target) -> Report {
    Run::start(settings, vec![target]).next().await
}

/// One look's outcome, with an interval and a time-out that do not matter.
pub async fn outcome(target: Target) -> Outcome {
    look(settings(NEVER), target).await.outcome
}

pub fn dead(why: String) -> Outcome {
    Outcome::Dead(why)
}

pub fn fail(why: String) -> Outcome {
    Outcome::Fail(why)
}

/// A server that runs one task per connection; gone when dropped, its connections with it.
pub struct Server {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// `serve` is called with each connection and its number, from 0.
    pub async fn start<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, count.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Server { port, accepted, task }
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the head of a request; empty if the connection ends before.
pub async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

/// Waits until the other side has closed.
pub async fn until_closed(stream: &mut TcpStream) {
    while !matches!(stream.read(&mut [0; 512]).await, Ok(0) | Err(_)) {}
}

/// A port nobody listens on, outside the range the kernel hands out (so that nobody is given it meanwhile).
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let offset = std::process::id() as usize * 97 + NEXT.fetch_add(1, Ordering::SeqCst);
        let port = 15_000 + (offset % 15_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `condition` holds.
pub async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// The established connections to this port of 127.0.0.1: their local ends.
fn connections(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (remote, established) = (format!(":{port:04X}"), "01");
    let ends = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    ends.filter(|(_, address, state)| address.ends_with(&remote) && *state == established)
        .map(|(local, ..)| local.to_owned())
        .collect()
}

/// How many connections to this port of 127.0.0.1 are established, as seen from the connecting side.
pub fn connections_to(port: u16) -> usize {
    connections(port).len()
}

/// Waits until exactly the held connection is open: one, longer than a look takes.
pub async fn until_held(port: u16) {
    let mut since: HashMap<String, Instant> = HashMap::new();
    wait_for("a held connection", || {
        let open = connections(port);
        since.retain(|connection, _| open.contains(connection));
        for connection in &open {
            since.entry(connection.clone()).or_insert_with(Instant::now);
        }
        matches!(&open[..], [only] if since[only].elapsed() > ms(10))
    })
    .await;
}

/// Everything logged at info and above by this thread, while the guard lives.
pub fn capture_log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    #[derive(Clone)]
    struct Writer(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let written = Arc::new(Mutex::new(Vec::new()));
    let writer = Writer(written.clone());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (written, tracing::subscriber::set_default(subscriber))
}
