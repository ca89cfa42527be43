//! What the demo prints: a timeline while it runs, a table at its end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What a step of the demo showed.
pub struct Row {
    /// What was done.
    pub step: String,
    /// Who holds the address at its end.
    pub holder: String,
    /// Longest time the client was without an answer.
    pub without: Duration,
    /// Requests lost.
    pub lost: usize,
    /// Time with two holders.
    pub two: Duration,
    /// What is wrong with that, if anything.
    pub fault: Option<String>,
}

/// Prints lines with the time since its start.
pub struct Timeline {
    start: Instant,
    colour: bool,
}

impl Timeline {
    /// Starts the clock. Colours only on a terminal, and not if NO_COLOR is set.
    pub fn start() -> Self {
        let colour =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        Self { start: Instant::now(), colour }
    }

    /// Time from the start to that moment.
    pub fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// A step begins.
    pub fn step(&self, text: &str) {
        say(format_args!(""));
        self.line(Instant::now(), &self.paint("1", text));
    }

    /// Something happened at that moment.
    pub fn note(&self, at: Instant, text: &str) {
        self.line(at, &format!("  {text}"));
    }

    /// A step ended as it should.
    pub fn good(&self, text: &str) {
        self.line(Instant::now(), &format!("  {}", self.paint("32", text)));
    }

    /// A step did not.
    pub fn bad(&self, text: &str) {
        self.line(Instant::now(), &format!("  {}", self.paint("31", text)));
    }

    fn line(&self, at: Instant, text: &str) {
        let seconds = format!("{:7.3} s", self.since_start(at).as_secs_f64());
        say(format_args!("{}  {text}", self.paint("2", &seconds)));
    }

    /// The table.
    pub fn table(&self, rows: &[Row]) {
        const HEADS: [&str; 5] = ["step", "new holder", "without an answer", "requests lost", "two holders"];
        let cells: Vec<[String; 5]> = rows
            .iter()
            .map(|row| {
                [row.step.clone(), row.holder.clone(), ms(row.without), row.lost.to_string(), ms(row.two)]
            })
            .collect();
        let mut widths = HEADS.map(str::len);
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let [step, holder, without, lost, two] = widths;
        let join = |[a, b, c, d, e]: [&str; 5]| {
            format!("  {a:step$}   {b:holder$}   {c:>without$}   {d:>lost$}   {e:>two$}")
        };
        say(format_args!("\n{}", self.paint("1", &join(HEADS))));
        for (row, [a, b, c, d, e]) in rows.iter().zip(&cells) {
            let line = join([a, b, c, d, e]);
            say(format_args!("{}", if row.fault.is_some() { self.paint("31", &line) } else { line }));
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Milliseconds for people.
pub fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// Prints a line. Whoever has stopped reading (`outrider demo | head`) keeps the demo from nothing.
pub(super) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
