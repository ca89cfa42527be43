//! What is to happen in one schedule, drawn from its seed before it begins.
//!
//! Only some kinds of faults take part in each schedule ("swarm testing"): where everything goes wrong all the
//! time, most of what could be checked is excused by something else.

use crate::foreign::Rules;
use crate::random::Random;
use outrider::core::advert::Version;
use outrider::core::guard::Guards;

/// Microseconds since the simulation began.
pub type Micros = u64;

pub const MS: Micros = 1000;
pub const SECOND: Micros = 1_000_000;

/// A kind of schedule. All kinds draw the same things from a seed, and their own after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Agents of ours, of one virtual router.
    Ours,
    /// Some hosts run keepalived or FRR.
    Mixed,
    /// Agents of ours, each with two virtual routers.
    Several,
}

/// Everything that is drawn beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub hosts: usize,
    /// One for each virtual router.
    pub vrids: Vec<u8>,
    pub version: Version,
    pub interval: Micros,
    pub preempt: bool,
    pub preempt_delay: Micros,
    /// Priorities set by hand, one for each host.
    pub by_hand: Option<Vec<u8>>,
    /// The hosts that run something else.
    pub foreign: Vec<Option<Rules>>,
    /// Members come from the metadata (else from a list).
    pub metadata: bool,
    /// With a list: this host's leaves out that one.
    pub omission: Option<(usize, usize)>,
    /// Each core is handed its own adverts only, as `src/run.rs` does.
    pub sorted: bool,
    /// Adverts go to the group.
    pub multicast: bool,
    pub handover_limit: Micros,
    /// `Auto` or `Off`.
    pub guards: Guards,
    /// The client is the default gateway as well.
    pub gateway: bool,
    pub net: Net,
    /// When each agent starts first.
    pub boot: Vec<Micros>,
    /// What each host's clock showed when the simulation began.
    pub clocks: Vec<Micros>,
    pub ids: Vec<String>,
    pub faults: Vec<Fault>,
    /// From here on everything is whole.
    pub healed: Micros,
    /// End of the schedule.
    pub end: Micros,
}

/// What the network does to every message.
#[derive(Clone, Debug)]
pub struct Net {
    pub latency: Micros,
    pub jitter: Micros,
    /// In thousandths, all the time.
    pub loss: u64,
    pub duplicates: u64,
}

impl Net {
    /// Longest way of a message on a link without faults.
    pub fn longest(&self) -> Micros {
        self.latency + self.jitter
    }
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub at: Micros,
    pub until: Micros,
    pub what: What,
}

/// What goes wrong at `at` and is right again at `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// SIGKILL; started again at the end.
    Crash(usize),
    /// No process, no kernel, no link.
    PowerOff(usize),
    /// SIGTERM; SIGKILL at the end if it still runs, and started again.
    Terminate(usize),
    /// SIGSTOP or a starved process, then SIGCONT. With `after`: not at once but when it has carried out so
    /// many more commands.
    Pause { host: usize, after: Option<u32> },
    /// SIGSTOP between the address thread's look at the clock and its request to the kernel.
    PauseInThread(usize),
    /// The load balancer is gone, or hangs, on these hosts.
    Balancers { hosts: Vec<usize>, hangs: bool },
    /// No carrier.
    Unplugged(usize),
    /// Nothing passes from these to those, nor back if `both` (a bit for each host; the client is the bit after the last).
    Cut { from: u32, to: u32, both: bool },
    /// In thousandths, everywhere.
    Loss(u64),
    /// Added to the way of each message, each time a draw up to this.
    Slow(Micros),
    /// Somebody holds the rtnl lock.
    Contention(usize),
    /// The kernel refuses to add addresses.
    Refusal(usize),
    /// Somebody deletes the address at the beginning of the fault.
    Deletion(usize),
    /// The host has lost its label; it sees so after a while, as do the others.
    Label(usize),
    /// The metadata service of this host does not answer.
    NoMetadata(usize),
    /// A person drains the host, and takes it back into service at the end.
    Drain { host: usize, force: bool },
    /// No advert of this host can be sent, and it is told so.
    Mute(usize),
}

const FAMILIES: usize = 15;

impl Plan {
    pub fn draw(kind: Kind, seed: u64) -> Plan {
        let mut random = Random::new(seed);
        let r = &mut random;
        let hosts = r.pick(&[2, 2, 2, 3, 3, 3, 3, 4, 5, 7]);
        let (version, interval) = r.pick(&[
            (Version::V3, 200 * MS),
            (Version::V3, 200 * MS),
            (Version::V3, 200 * MS),
            (Version::V3, 200 * MS),
            (Version::V3, 100 * MS),
            (Version::V3, 50 * MS),
            (Version::V3, 1000 * MS),
            (Version::V2, 1000 * MS),
        ]);
        let preempt = r.percent(12);
        let preempt_delay = if preempt { r.pick(&[0, 0, SECOND, 3 * SECOND]) } else { 0 };
        let by_hand = r.percent(10).then(|| (0..hosts).map(|_| r.pick(&[50, 100, 100, 200, 254])).collect());
        let metadata = r.percent(60);
        let omission = (!metadata && r.percent(15)).then_some((0, 1));
        let net = Net {
            latency: r.pick(&[50, 100, 300, 1000]),
            jitter: r.pick(&[20, 100, 500, 1500]),
            loss: if r.percent(12) { r.pick(&[5, 50, 200]) } else { 0 },
            duplicates: r.pick(&[0, 0, 0, 20]),
        };
        let boot_spread = r.pick(&[1, 300 * MS, 3 * SECOND]);
        let boot: Vec<Micros> = (0..hosts).map(|_| r.between(0, boot_spread)).collect();
        // The metadata was read in the first life of the host, which must not look like the moment of boot.
        let clocks = (0..hosts).map(|_| r.between(1, 1000) * 3600 * SECOND + r.between(0, SECOND)).collect();
        let ids = (0..hosts).map(|host| format!("{:08x}-{host}", r.next() >> 32)).collect();
        let length = interval.clamp(100 * MS, 400 * MS) * r.between(40, 90);
        let healed = boot_spread + 6 * interval + length;
        let mut plan = Plan {
            seed,
            hosts,
            vrids: vec![u8::try_from(r.between(1, 256)).unwrap()],
            version,
            interval,
            preempt,
            preempt_delay,
            by_hand,
            foreign: vec![None; hosts],
            metadata,
            omission,
            sorted: false,
            multicast: false,
            handover_limit: 5 * SECOND,
            guards: if r.percent(80) { Guards::Auto } else { Guards::Off },
            gateway: r.percent(60),
            net,
            boot,
            clocks,
            ids,
            faults: Vec::new(),
            healed,
            // A refusal is 5 s past, a failing check 4 s, a label is seen after up to 4 s, then a hand-over.
            end: healed + 8 * SECOND + 6 * interval,
        };
        plan.faults = plan.draw_faults(r, boot_spread, length);
        match kind {
            Kind::Ours => {}
            Kind::Mixed => plan.mix(r),
            Kind::Several => {
                let another = u64::from(plan.vrids[0]) - 1 + r.between(1, 255);
                plan.vrids.push(u8::try_from(another % 255 + 1).unwrap());
            }
        }
        plan.multicast = kind != Kind::Ours && r.percent(30);
        plan.sorted = r.percent(50);
        plan
    }

    /// One to all but one of the hosts are not ours. Who migrates sets the priorities by hand.
    fn mix(&mut self, r: &mut Random) {
        let ours = r.index(self.hosts);
        let also = r.index(self.hosts);
        let few = r.percent(50);
        let priorities: Vec<u8> = (0..self.hosts).map(|_| r.pick(&[50, 100, 100, 150, 200, 254])).collect();
        for (h, priority) in priorities.iter().copied().enumerate() {
            let rules = Rules { answers: r.percent(70), preempt: r.percent(60), priority };
            let theirs = if few { h == also } else { r.percent(50) || h == also };
            self.foreign[h] = (h != ours && theirs).then_some(rules);
        }
        if self.foreign.iter().all(Option::is_none) {
            let h = (ours + 1) % self.hosts;
            let preempt = r.percent(60);
            self.foreign[h] = Some(Rules { answers: true, preempt, priority: priorities[h] });
        }
        self.by_hand = Some(priorities);
    }

    fn draw_faults(&self, r: &mut Random, boot_spread: Micros, length: Micros) -> Vec<Fault> {
        let mut families: Vec<usize> = (0..FAMILIES).filter(|_| r.percent(22)).collect();
        if families.is_empty() {
            families.push(r.index(FAMILIES));
        }
        let first = if r.percent(80) { boot_spread + 6 * self.interval } else { 0 };
        let mut at = first + r.between(0, length / 2);
        let mut faults = Vec::new();
        for _ in 0..r.between(1, 9) {
            let family = r.pick(&families);
            let lasts = match r.index(4) {
                0 => r.between(MS, self.interval * 2),
                1 => r.between(self.interval * 2, self.interval * 5),
                2 => r.between(self.interval * 3, self.interval * 9),
                _ => r.between(0, length / 2),
            };
            let what = self.draw_what(r, family);
            faults.push(Fault { at, until: (at + lasts).min(self.healed), what });
            // Close together as often as far apart: races are at the seams.
            at = match r.index(4) {
                0 => at + r.between(0, 5 * MS),
                1 => at + r.between(0, self.interval * 2),
                2 => at + r.between(self.interval * 2, self.interval * 6),
                _ => first + r.between(0, length),
            };
            at = at.min(self.healed - 1);
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    fn draw_what(&self, r: &mut Random, family: usize) -> What {
        let host = r.index(self.hosts);
        match family {
            0 => What::Crash(host),
            1 => What::PowerOff(host),
            2 => What::Terminate(host),
            3 => {
                let after = r.percent(40).then(|| u32::try_from(r.between(0, 12)).unwrap());
                What::Pause { host, after }
            }
            4 => What::PauseInThread(host),
            5 => {
                let everywhere = r.percent(30);
                let hosts = if everywhere { (0..self.hosts).collect() } else { vec![host] };
                What::Balancers { hosts, hangs: r.percent(40) }
            }
            6 => What::Unplugged(host),
            7 => self.draw_cut(r, host),
            8 => What::Loss(r.pick(&[50, 200, 500, 900])),
            9 => What::Slow(r.pick(&[5 * MS, 50 * MS, 300 * MS, SECOND])),
            10 => match r.index(3) {
                0 => What::Contention(host),
                1 => What::Refusal(host),
                _ => What::Deletion(host),
            },
            11 => What::Label(host),
            12 => What::NoMetadata(host),
            13 => What::Drain { host, force: r.percent(30) },
            _ => What::Mute(host),
        }
    }

    fn draw_cut(&self, r: &mut Random, host: usize) -> What {
        let everybody = (1u32 << (self.hosts + 1)) - 1;
        let one = 1u32 << host;
        let both = r.percent(60);
        match r.index(4) {
            0 => What::Cut { from: one, to: everybody & !one, both },
            1 => What::Cut { from: everybody & !one, to: one, both },
            2 => What::Cut { from: one, to: 1 << r.index(self.hosts), both },
            _ => {
                let side = u32::try_from(r.next() & u64::from(everybody)).unwrap();
                What::Cut { from: side, to: everybody & !side, both }
            }
        }
    }

    /// Master_Down_Interval of a priority.
    pub fn master_down(&self, priority: u8) -> Micros {
        self.interval * 3 + self.skew(priority)
    }

    pub fn skew(&self, priority: u8) -> Micros {
        let base = if self.version == Version::V2 { SECOND } else { self.interval };
        base * (256 - u64::from(priority)) / 256
    }

    /// Lifetime of the address in the kernel: the next whole second above the longest Master_Down.
    pub fn lease(&self) -> Micros {
        (self.master_down(1) / SECOND + 1) * SECOND
    }
}
