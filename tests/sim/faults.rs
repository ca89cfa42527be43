//! What a fault does to hosts, processes and network.

use crate::kernel::News;
use crate::plan::{Fault, MS, SECOND, What};
use crate::world::{Happening, World};
use outrider::core::Force;

impl World {
    pub fn end_process(&mut self, h: usize, how: &str) {
        let lived = self.hosts[h].lives();
        self.hosts[h].process = None;
        self.each_router(|world| world.router.cores[h] = None);
        if let Some(foreign) = &mut self.hosts[h].foreign {
            foreign.alive = false;
        }
        if lived {
            self.say(|| format!("lb{h}: the agent {how}"));
            self.each_router(|world| world.watch_death(h));
        }
        let host = &mut self.hosts[h];
        host.parked.clear();
        host.pause_after.clear();
        host.pause_in_thread = 0;
        host.pauses.clear();
        host.paused = 0;
    }

    /// Stops the process for as long as the fault that asked for it says.
    pub fn pause(&mut self, h: usize) {
        if !self.hosts[h].lives() || self.hosts[h].pauses.is_empty() {
            return;
        }
        let lasts = self.hosts[h].pauses.remove(0).min(self.plan.healed.saturating_sub(self.now));
        self.hosts[h].paused += 1;
        self.say(|| format!("lb{h}: the agent is stopped for {} ms", lasts / MS));
        self.each_router(|world| world.watch_pause(h));
        self.after(lasts, Happening::Resume { host: h });
    }

    pub fn resume(&mut self, h: usize) {
        if self.hosts[h].paused == 0 {
            return;
        }
        self.hosts[h].paused -= 1;
        if self.hosts[h].paused > 0 {
            return;
        }
        self.say(|| format!("lb{h}: the agent goes on"));
        self.each_router(|world| world.watch_resume(h));
        if self.is_foreign(h) {
            return self.poke_foreign(h);
        }
        let epoch = self.hosts[h].epoch;
        for what in std::mem::take(&mut self.hosts[h].parked) {
            let delay = self.random.between(10, 100);
            self.after(delay, what);
        }
        let (first, second) = (self.random.between(10, 100), self.random.between(10, 100));
        self.after(first, Happening::Run { host: h, epoch });
        self.after(second, Happening::Thread { host: h, epoch });
    }

    pub fn fault(&mut self, fault: usize, begins: bool) {
        let Fault { at, until, what } = self.plan.faults[fault].clone();
        self.say(|| format!("{} {what:?}", if begins { "begin:" } else { "end:  " }));
        let count = |count: &mut u32| *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        if begins && fault == 0 {
            self.judge_start();
        }
        self.each_router(|world| world.watch_fault(&what, begins));
        match what {
            What::Crash(h) if begins => self.end_process(h, "is killed"),
            What::Crash(h) => self.start(h),
            What::PowerOff(h) if begins => {
                self.end_process(h, "loses its power");
                self.each_router(|world| world.take(h, "is gone with the power", true));
                self.hosts[h].powered = false;
            }
            What::PowerOff(h) => {
                self.hosts[h].powered = true;
                self.start(h);
            }
            What::Terminate(h) if begins => {
                self.terminate_foreign(h);
                if let Some(process) = &mut self.hosts[h].process {
                    process.terminate = true;
                    self.poke(h);
                }
            }
            What::Terminate(h) => {
                self.end_process(h, "is killed");
                self.start(h);
            }
            What::Pause { host, after } if begins && self.hosts[host].lives() => {
                self.hosts[host].pauses.push(until - at);
                match after.filter(|_| !self.is_foreign(host)) {
                    None => self.pause(host),
                    Some(commands) => self.hosts[host].pause_after.push(commands),
                }
            }
            What::PauseInThread(h) if begins && self.hosts[h].process.is_some() => {
                self.hosts[h].pauses.push(until - at);
                self.hosts[h].pause_in_thread += 1;
            }
            What::Pause { .. } | What::PauseInThread(_) => {}
            What::Balancers { hosts, hangs } => {
                for h in hosts {
                    let host = &mut self.hosts[h];
                    count(if hangs { &mut host.hung_balancer } else { &mut host.dead_balancer });
                    self.balancer_changed(h);
                }
            }
            What::Unplugged(h) => {
                count(&mut self.hosts[h].unplugged);
                let up = self.hosts[h].unplugged == 0;
                self.news(h, News::Link(up));
                self.poke_foreign(h);
            }
            What::Cut { from, to, both } => {
                self.obstacles.cut(from, to, begins);
                if both {
                    self.obstacles.cut(to, from, begins);
                }
            }
            What::Loss(loss) => toggle(&mut self.obstacles.loss, loss, begins),
            What::Slow(slow) => toggle(&mut self.obstacles.slow, slow, begins),
            What::Contention(h) if begins => {
                let kernel = &mut self.hosts[h].kernel;
                kernel.locked_until = kernel.locked_until.max(until);
            }
            What::Contention(_) => {}
            What::Refusal(h) | What::Deletion(h) if self.is_foreign(h) => {}
            What::Refusal(h) => count(&mut self.hosts[h].kernel.refuses),
            What::Deletion(h) if begins => {
                self.each_router(|world| world.take(h, "deleted by somebody else", false));
            }
            What::Deletion(_) => {}
            // With a list of peers nobody ever sees a change.
            What::Label(_) if !self.plan.metadata => {}
            What::Label(host) => {
                let now = *self.labels.last().unwrap();
                self.labels.push(if begins { now & !(1 << host) } else { now | 1 << host });
                for h in 0..self.plan.hosts {
                    let seen = self.random.between(50 * MS, 3 * SECOND);
                    self.schedule_metadata(h, seen);
                }
            }
            What::Mute(h) => count(&mut self.hosts[h].mute),
            What::Drain { host, force } => {
                if let Some(process) = &mut self.hosts[host].process {
                    let force = if force { Force::Yes } else { Force::No };
                    process.orders.push_back(begins.then_some(force));
                    self.poke(host);
                }
            }
            What::NoMetadata(h) => {
                count(&mut self.hosts[h].no_metadata);
                let noticed = self.random.between(10 * MS, SECOND);
                self.schedule_metadata(h, noticed);
            }
        }
        self.each_router(|world| {
            world.watch_links();
            world.watch_agreement();
        });
    }
}

fn toggle(values: &mut Vec<u64>, value: u64, begins: bool) {
    if begins {
        values.push(value);
    } else if let Some(at) = values.iter().position(|other| *other == value) {
        values.remove(at);
    }
}
