//! Changes to tell, servers to tell them to, and a log to look into.

use futures_util::future::BoxFuture;
use outrider::config::{Mail, MailTls, Notify, Webhook, WebhookFormat};
use outrider::core::event::State;
use outrider::notify::{Change, Describe, Notifier, Pace};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::mpsc;
use tracing::subscriber::DefaultGuard;

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(30);

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// 2026-11-22T20:39:11.123Z, and a second later each.
pub fn change(number: u64, from: State, to: State, why: &str) -> Change {
    Change {
        at: UNIX_EPOCH + ms(1_795_379_951_123 + 1000 * number),
        host: "lb1".to_owned(),
        router: "10.10.10.2".to_owned(),
        addresses: vec!["10.10.10.2".to_owned(), "10.10.10.3".to_owned()],
        vrid: 2,
        interface: "eth0".to_owned(),
        from,
        to,
        priority: 238,
        why: why.to_owned(),
    }
}

pub fn active(number: u64) -> Change {
    change(number, State::Backup, State::Active, &format!("change {number}"))
}

/// Less patience than in use.
pub fn pace() -> Pace {
    Pace {
        quiet: ms(200),
        gather: ms(1000),
        retry: ms(100),
        retry_most: ms(400),
        give_up: LIMIT,
        webhook: ms(1000),
        command: LIMIT,
    }
}

pub fn describe() -> Describe {
    Arc::new(|| -> BoxFuture<'static, String> { Box::pin(async { "lb1 Active\nlb2 Backup".to_owned() }) })
}

pub fn start(settings: Notify, pace: &Pace) -> Notifier {
    Notifier::start(&settings, pace, &describe())
}

pub fn mail(port: u16, to: &[&str]) -> Mail {
    Mail {
        host: "127.0.0.1".to_owned(),
        port,
        from: Some("lb@example.com".parse().unwrap()),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
        login: None,
        tls: MailTls::None,
        verify: true,
        timeout: ms(5000),
    }
}

pub fn by_mail(mail: Mail) -> Notify {
    Notify { mail: Some(mail), ..Notify::default() }
}

pub fn webhook(url: String, format: WebhookFormat, key: Option<&str>) -> Notify {
    let key = key.map(|key| key.to_owned().into());
    Notify { webhook: Some(Webhook { url: url.into(), format, key }), ..Notify::default() }
}

/// A port nobody listens on, outside the range the kernel hands out (so that nobody is given it meanwhile).
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let offset = std::process::id() as usize * 89 + NEXT.fetch_add(1, Ordering::SeqCst);
        let port = 16_000 + (offset % 14_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server that tells what it does, one JSON object a line.
pub struct Server {
    child: Child,
    told: mpsc::UnboundedReceiver<Value>,
}

impl Server {
    /// Starts Debian's Python, whatever another one knows, and waits until the server is ready.
    pub async fn start(script: &str, arguments: &[&str]) -> Server {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notify");
        let mut child = Command::new("/usr/bin/python3")
            .arg(folder.join(script))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs Debian's Python and aiosmtpd: apt-get install python3-aiosmtpd");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, told) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let mut server = Server { child, told };
        assert_eq!(server.next().await["ready"], true);
        server
    }

    /// A mail server.
    pub async fn smtp(options: Value) -> Server {
        Server::start("smtpd.py", &[&options.to_string()]).await
    }

    pub async fn next(&mut self) -> Value {
        let told = tokio::time::timeout(LIMIT, self.told.recv()).await;
        told.expect("the server tells nothing").expect(
            "the server ended; is aiosmtpd there for Debian's Python? apt-get install python3-aiosmtpd",
        )
    }

    /// Nothing is told for this long.
    pub async fn silent_for(&mut self, time: Duration) {
        if let Ok(told) = tokio::time::timeout(time, self.told.recv()).await {
            panic!("nobody asked for {told:?}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1, of an authority that only authority.pem knows: certificate.pem and key.pem in a folder.
pub fn certificate() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let script = format!(
        "{new} -x509 -days 2 -subj /CN=authority -keyout authority.key -out authority.pem\n\
         {new} -subj /CN=localhost -keyout key.pem -out request.pem\n\
         echo subjectAltName=DNS:localhost,IP:127.0.0.1 > extensions\n\
         openssl x509 -req -days 2 -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial \
         -extfile extensions -out certificate.pem"
    );
    let made = Command::new("sh").args(["-ec", &script]).current_dir(folder.path()).output().unwrap();
    let complaint = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "this test needs openssl (apt-get install openssl): {complaint}");
    folder
}

/// The path of a file in a folder.
pub fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// Runs this test again in a process of its own, where the authority of a new certificate is the only one that is
/// trusted: there it returns the folder of [`certificate`].
pub fn again_trusting(test: &str) -> Option<String> {
    if let Ok(folder) = std::env::var("NOTIFY_TEST_FOLDER") {
        return Some(folder);
    }
    let folder = certificate();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("NOTIFY_TEST_FOLDER", folder.path())
        .env("SSL_CERT_FILE", folder.path().join("authority.pem"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{complaint}");
    None
}

/// What is logged at info and above by this thread, while it lives.
pub struct Log {
    written: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub fn start() -> Log {
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
        let lines = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let subscriber = lines.with_writer(move || writer.clone()).finish();
        Log { written, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines so far, each with its level.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.written.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Waits for a line with these words.
    pub async fn until(&self, words: &str) {
        wait_for(words, || self.lines().iter().any(|line| line.contains(words))).await;
    }
}

/// Waits until `condition` holds.
pub async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        tokio::time::sleep(ms(5)).await;
    }
}
