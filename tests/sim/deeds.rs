//! What a core wants done is done.

use crate::kernel::Request;
use crate::subject::Input;
use crate::world::World;
use outrider::core::command::Command;
use outrider::core::event::Event;

impl World {
    pub fn carry_out(&mut self, h: usize, command: Command) {
        let clock = self.clock(h);
        self.watch_command(h, &command);
        if !matches!(command, Command::Tell(_)) {
            self.fruitful(h);
            self.say(|| format!("lb{h}: {command:?}"));
        }
        match command {
            Command::Advertise { priority, to } => {
                let sent = if self.hosts[h].mute == 0 {
                    self.advertise(h, priority, &to);
                    Ok(())
                } else {
                    Err("operation not permitted".to_owned())
                };
                // No turn: it only takes note.
                if let Some(core) = &mut self.router.cores[h] {
                    core.tell(clock, Input::Sent(sent));
                }
            }
            Command::Add { not_after } => self.request(h, Request::Add { not_after }),
            Command::Renew { not_after } => self.request(h, Request::Renew { not_after }),
            Command::Remove => self.request(h, Request::Remove),
            Command::Announce => self.announce(h),
            Command::Probe => self.probe(h),
            Command::Ask(targets) => self.ask_for_life(h, &targets),
            Command::Reread => self.reread(h),
            Command::Hurry(hurry) => self.hurry(h, hurry),
            Command::Tell(event) => {
                match event {
                    Event::Transition { from, to, why } => {
                        self.say(|| format!("lb{h}: {from} -> {to}: {why}"));
                    }
                    Event::Detail(text) | Event::Notice(text) | Event::Warning(text) | Event::Alarm(text) => {
                        self.say(|| format!("lb{h}: {text}"));
                    }
                }
                return;
            }
            Command::Peers(_) | Command::Drained(_) => return,
            Command::Exit => return self.exit(h),
        }
        // A process is stopped between any two commands, rarely; here on demand.
        if self.hosts[h].pause_after.first().is_some_and(|left| *left == 0) {
            self.hosts[h].pause_after.remove(0);
            self.pause(h);
        } else if let Some(left) = self.hosts[h].pause_after.first_mut() {
            *left -= 1;
        }
    }

    pub fn request(&mut self, h: usize, request: Request) {
        if let Some(process) = &mut self.hosts[h].process {
            process.thread.requests.push_back((self.router.number, request));
            self.poke_thread(h);
        }
    }

    pub fn exit(&mut self, h: usize) {
        self.watch_exit(h);
        let router = self.router.number;
        if let Some(process) = &mut self.hosts[h].process {
            process.exited[router] = true;
            if process.exited.iter().all(|exited| *exited) {
                self.end_process(h, "ends");
            }
        }
    }

    pub fn fruitful(&mut self, h: usize) {
        if let Some(process) = &mut self.hosts[h].process {
            process.fruitless = (0, 0);
        }
    }

    /// The timer rings: again and again at one moment, with nothing to do, would be a busy loop.
    pub fn watch_spin(&mut self, h: usize) {
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        let (at, count) = process.fruitless;
        // A timer is late by 50 us at least, so that an idle process does not ring more often than that.
        process.fruitless = if now.saturating_sub(at) < 500 { (at, count + 1) } else { (now, 0) };
        if count > 3 {
            self.violated(
                crate::watch::Property::Rest,
                format!("lb{h} is woken again and again with nothing to do"),
            );
        }
    }
}
