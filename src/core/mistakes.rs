//! What is wrong at a peer: said once for each peer and kind, and counted.

use super::advert::Advert;
use super::event::Event;
use super::{Agent, Command, EQUAL, Time, WARNED_MAX};
use std::net::IpAddr;

impl Agent {
    pub(super) fn notice_mistakes(&mut self, now: Time, from: IpAddr, advert: &Advert) {
        let same = advert.addresses.len() == self.settings.addresses.len()
            && advert.addresses.iter().all(|address| self.settings.addresses.contains(address));
        if !same {
            let text = format!("{from} advertises other addresses for our VRID: {:?}", advert.addresses);
            self.warn(from, "addresses", text);
        }
        if advert.priority == 0 || advert.priority != self.router.priority() {
            self.equal = self.equal.filter(|(who, _)| *who != from);
            return;
        }
        // Hosts read a change of members up to seconds apart; until all have, two may be equal.
        let (who, since) = *self.equal.get_or_insert((from, now));
        if who == from && now.saturating_sub(since) > EQUAL {
            let text = format!("{from} has the same priority {} as this host", advert.priority);
            self.warn(from, "priority", text);
        }
    }

    pub(super) fn unseen(&mut self, now: Time, from: IpAddr, kind: &'static str, text: String) {
        self.unseen = Some((from, now));
        self.say(from, kind, Event::Alarm(text));
    }

    pub(super) fn notice(&mut self, text: String) {
        self.commands.push_back(Command::Tell(Event::Notice(text)));
    }

    /// Says a thing once for each peer and kind, and counts it.
    pub(super) fn warn(&mut self, from: IpAddr, kind: &'static str, text: String) {
        self.say(from, kind, Event::Warning(text));
    }

    pub(super) fn say(&mut self, from: IpAddr, kind: &'static str, event: Event) {
        if self.warned.len() >= WARNED_MAX && !self.warned.contains_key(&(from, kind)) {
            return;
        }
        let count = self.warned.entry((from, kind)).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.commands.push_back(Command::Tell(event));
        }
    }
}
