//! `vrrp_script` and `vrrp_track_process`: what a router's checks are made of.

use super::part::{Note, Part};
use super::reader::Place;
use super::script::{self, Check};
use super::table::{self, Row, Treat};
use super::tree::Statement;
use super::units::{self, NO_VALUE, SECOND, set_number, set_time};
use Treat::{Map, Without};

/// A script or a process that instances may track.
#[derive(Debug)]
pub(super) struct Tracked {
    pub name: String,
    pub place: Place,
    /// The last line of its block.
    pub last: usize,
    pub part: Part,
    pub check: Check,
    /// Its weight: a number and perhaps `reverse`.
    pub weight: Option<String>,
    /// Whether an instance tracks it.
    pub used: bool,
}

impl AsMut<Part> for Tracked {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Tracked {
    pub fn new(name: &str, it: &Statement) -> Self {
        Self {
            name: name.to_owned(),
            place: it.place.clone(),
            last: it.last,
            part: Part::default(),
            check: Check::default(),
            weight: None,
            used: false,
        }
    }

    fn ask(&mut self, it: &Statement, check: Check) {
        for note in &check.notes {
            self.part.beside(CHECK, it, note);
        }
        for (name, value) in &check.settings {
            self.part.set(name, value.clone());
        }
        self.check = check;
    }
}

/// What checks are written as.
pub(super) const CHECK: &str = "OUTRIDER_CHECK";

pub(super) const FILE: &str = "a number in a file is not a check here. A check by exec: can look at a file: exec:/usr/bin/test -e /PATH/OF/THE/FILE, or \
     `outrider drain` takes a host out of service";
const PERIOD: std::ops::RangeInclusive<u64> = 10_000..=3600 * SECOND;

/// What may stand in `vrrp_script`.
pub(super) static SCRIPT: &[Row<Tracked>] = &[
    ("script", Map(read_script)),
    ("interval", Map(|tracked, it| set_time(&mut tracked.part, "OUTRIDER_CHECK_INTERVAL", it, PERIOD))),
    ("timeout", Map(|tracked, it| set_time(&mut tracked.part, "OUTRIDER_CHECK_TIMEOUT", it, PERIOD))),
    ("rise", Map(|tracked, it| set_number(&mut tracked.part, "OUTRIDER_CHECK_RISE", it, 1..=1000))),
    ("fall", Map(|tracked, it| set_number(&mut tracked.part, "OUTRIDER_CHECK_FALL", it, 1..=1000))),
    ("weight", Map(weight)),
    ("user", Without("checks by exec: run as user 65534 without any capability")),
    ("init_fail", Without("it is always so here: a host is unfit until its checks pass")),
];

/// What may stand in `vrrp_track_process`.
pub(super) static PROCESS: &[Row<Tracked>] = &[
    ("process", Map(read_process)),
    ("weight", Map(weight)),
    ("param_match", Without(NO_PROCESSES)),
    ("full_command", Without(NO_PROCESSES)),
    ("quorum", Without(NO_PROCESSES)),
    ("quorum_max", Without(NO_PROCESSES)),
    ("delay", Without(DELAY)),
    ("fork_delay", Without(DELAY)),
    ("terminate_delay", Without(DELAY)),
];

const NO_PROCESSES: &str = "processes are not watched here; what they serve is";
const DELAY: &str = "OUTRIDER_CHECK_FALL times OUTRIDER_CHECK_INTERVAL is how long a service may be away";

fn read_script(tracked: &mut Tracked, it: &Statement) {
    let words = it.words.get(1..).unwrap_or_default();
    match words {
        [] => tracked.part.beside(CHECK, it, NO_VALUE),
        [script] => tracked.ask(it, script::check(script)),
        [first, ..] => {
            let text =
                format!("keepalived 2 runs {first} alone: the whole line belongs into quotation marks");
            tracked.part.beside(CHECK, it, &text);
            tracked.ask(it, script::check(&words.join(" ")));
        }
    }
}

fn read_process(tracked: &mut Tracked, it: &Statement) {
    match it.value().and_then(|process| process.split_whitespace().next()) {
        None => tracked.part.beside(CHECK, it, NO_VALUE),
        Some(process) => tracked.ask(it, script::process(process)),
    }
}

fn weight(tracked: &mut Tracked, it: &Statement) {
    tracked.weight = Some(it.words.get(1..).unwrap_or_default().join(" "));
}

/// What an instance says about something that it tracks: `NAME weight -20`.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub name: String,
    /// Its weight there; none: what the script says.
    pub weight: Option<String>,
    /// The line, to say something about it.
    pub note: Note,
    /// Whether the script stands further down: keepalived reads a file once.
    pub early: bool,
}

impl Use {
    /// Reads the lines of a `track_script` or `track_process` block.
    pub fn read(part: &mut Part, block: &Statement) -> Vec<Self> {
        let lines = table::lines(part, CHECK, block);
        let uses = lines.into_iter().map(|line| Self {
            name: line.keyword().to_owned(),
            weight: line
                .words
                .iter()
                .position(|word| word == "weight")
                .map(|at| line.words.get(at + 1..).unwrap_or_default().join(" ")),
            note: Note::about(line, ""),
            early: false,
        });
        uses.collect()
    }
}

/// Marks what is used before it is known.
pub(super) fn mark(uses: &mut [Use], known: &[Tracked]) {
    for used in uses {
        used.early = known.iter().all(|tracked| tracked.name != used.name);
    }
}

/// What is lost with a weight. `None`: nothing is, a failure makes the host give up as it does here.
pub(super) fn of_weight(weight: &str) -> Option<String> {
    let mut words = weight.split_whitespace();
    let number = words.next().unwrap_or_default();
    let reverse = words.next() == Some("reverse");
    let size = number.trim_start_matches(['-', '+']);
    if units::number(size) == Some(0) && !reverse {
        return None;
    }
    Some(if reverse {
        format!("weight {weight}: nothing here turns the sense of a check; it counts as if it had no weight")
    } else {
        let how = if number.starts_with('-') { "lowers the priority by" } else { "raises the priority by" };
        let when = if number.starts_with('-') { "while it fails" } else { "while it passes" };
        format!(
            "weight {weight}: keepalived {how} {size} {when}; here a host whose check fails gives the address up to any host \
             whose check passes, and if none does, nobody has it"
        )
    })
}
