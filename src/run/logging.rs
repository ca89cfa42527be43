//! Log lines: to stderr, from a thread of its own.
//!
//! Stderr, because stdout belongs to what a command was asked for (`check-config`, `demo`); Docker and Rancher
//! collect both. A reader who does not read fills the pipe, and a blocking write would then stop the adverts: so
//! lines go through a bounded queue, and those that do not fit are dropped and counted.

use super::realtime;
use crate::config::{Config, LogFormat};
use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::sync::OnceLock;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that wait for a slow reader before further ones are dropped.
const QUEUE: usize = 4096;

/// Keeps the log going. Dropped last of all, it writes what is still queued (waiting a second at most).
#[must_use = "log lines stop when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    /// `None` only while being dropped.
    worker: Option<WorkerGuard>,
    dropped: ErrorCounter,
}

impl Guard {
    /// Log lines dropped so far, because nobody read them in time.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The channel by which the log's thread is told to end spins (`sched_yield`) until that thread has read: in real
        // time it would keep it from the processor they share, and everybody else, until the kernel steps in after 0.95 s
        // (sched(7), sched_rt_runtime_us).
        realtime::ordinary();
        self.worker.take();
        let dropped = self.dropped_lines();
        if dropped > 0 {
            let _ = writeln!(stderr(), "{dropped} log lines were dropped, since nobody read them in time");
        }
    }
}

/// Starts logging as the settings say. A second call changes nothing: the first log goes on.
pub fn init(config: &Config) -> Guard {
    let (writer, guard) = queue(stderr());
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let (levels, handle) = reload::Layer::new(config.log.clone());
    if subscriber(config.log_format, levels, writer, colours).try_init().is_ok() {
        let _ = LEVELS.set(handle);
    }
    guard
}

fn queue(writer: impl Write + Send + 'static) -> (NonBlocking, Guard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).thread_name("log");
    let (writer, worker) = builder.finish(writer);
    let guard = Guard { worker: Some(worker), dropped: writer.error_counter() };
    (writer, guard)
}

/// Changes the levels; a filter of the running log.
static LEVELS: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Sets other levels.
pub fn set_levels(levels: &Targets) {
    if let Some(filter) = LEVELS.get() {
        let _ = filter.reload(levels.clone());
    }
}

fn subscriber<W, L>(
    format: LogFormat,
    levels: L,
    writer: W,
    colours: bool,
) -> impl Subscriber + Send + Sync + use<W, L>
where
    L: Filter<Registry> + Send + Sync + 'static,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(Milliseconds);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colours).boxed(),
        LogFormat::Json => {
            let json = lines.with_ansi(false).json().flatten_event(true);
            json.with_current_span(false).with_span_list(false).boxed()
        }
    };
    Registry::default().with(lines.with_filter(levels).boxed())
}

/// UTC as RFC 3339 with milliseconds: the library's own clock writes microseconds, three digits too many.
struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut text = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut text))?;
        let digits = text.trim_end_matches('Z');
        let milliseconds = digits.get(..digits.len().saturating_sub(3)).unwrap_or(digits);
        write!(writer, "{milliseconds}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn logged(settings: &[(&str, &str)], log: impl FnOnce()) -> String {
        let variables = settings.iter().copied().chain([("OUTRIDER_VIP", "10.10.10.2")]);
        let config = Config::load(variables).unwrap().config;
        let written = Arc::new(Mutex::new(Vec::new()));
        let subscriber =
            subscriber(config.log_format, config.log.clone(), Shared(Arc::clone(&written)), false);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl<'a> MakeWriter<'a> for Shared {
        type Writer = Pen;

        fn make_writer(&'a self) -> Pen {
            Pen(Arc::clone(&self.0))
        }
    }

    struct Pen(Arc<Mutex<Vec<u8>>>);

    impl Write for Pen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// `2026-01-31T12:34:56.789Z`, digits as 0.
    fn shape(time: &str) -> String {
        time.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
    }

    #[test]
    fn text_has_time_level_target_message_and_fields() {
        let text = logged(&[], || tracing::info!(target: "outrider::run", vrid = 2, "now Active"));
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(shape(time), "0000-00-00T00:00:00.000Z");
        assert_eq!(rest, " INFO outrider::run: now Active vrid=2\n");
    }

    #[test]
    fn json_is_flat() {
        let text = logged(&[("OUTRIDER_LOG_FORMAT", "json")], || {
            tracing::warn!(target: "outrider::run", vrid = 2, "now \"Active\"");
        });
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let time = value.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert_eq!(shape(time.as_str().unwrap()), "0000-00-00T00:00:00.000Z");
        let expected = serde_json::json!({
            "level": "WARN", "target": "outrider::run", "message": "now \"Active\"", "vrid": 2,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn levels_are_chosen_by_target() {
        let text = logged(&[("OUTRIDER_LOG", "warn, outrider::net=debug")], || {
            tracing::debug!(target: "outrider::net", "one");
            tracing::info!(target: "outrider::run", "two");
            tracing::warn!(target: "outrider::run", "three");
        });
        let messages: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(messages, ["one", "three"]);
    }

    /// Writes nothing before its channel is closed.
    struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.lock().unwrap().recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (reads, stuck) = std::sync::mpsc::channel();
        let (writer, guard) = queue(Stuck(Mutex::new(stuck)));
        let config = Config::load([("OUTRIDER_VIP", "10.10.10.2")]).unwrap().config;
        tracing::subscriber::with_default(
            subscriber(config.log_format, config.log.clone(), writer, false),
            || {
                for line in 0..QUEUE + 100 {
                    tracing::info!(line);
                }
            },
        );
        // All but the queue and the one that is being written.
        assert!((99..=100).contains(&guard.dropped_lines()), "{}", guard.dropped_lines());
        drop(reads);
    }
}
