//! What is wrong at a peer: said once for each peer and kind, and counted.

use super::advert::{Checksum, Version};
use super::auth::{Auth, Doubt, Mode, Verdict};
use super::event::{Event, State};
use super::members::Member;
use super::view::Warning;
use super::{Agent, Command, EQUAL, Freshness, Heard, Time, WARNED_MAX};
use std::net::IpAddr;
use std::time::Duration;

/// How long somebody may go on advertising beside our higher priority before it is named, at least.
const STUBBORN: Duration = Duration::from_secs(3);
/// Those who are watched for it, so that forged sources cannot fill the memory.
const STUBBORN_MAX: usize = 32;

impl Agent {
    /// Whether the advert can be followed at all; if not, the kind of mistake.
    pub(super) fn understand(&mut self, now: Time, heard: &Heard) -> Result<(), &'static str> {
        let (from, advert) = (heard.from, &heard.advert);
        // Where signatures are enforced, anybody's packets must not hold a claim back.
        let valid = heard.proof.signature.is_some_and(|signature| signature.verdict == Verdict::Valid);
        let counts = valid || self.settings.auth != Auth::Signed(Mode::Enforce);
        if advert.version != self.settings.version {
            let text = format!("{from} speaks VRRP {:?}; set OUTRIDER_VRRP_VERSION alike", advert.version);
            self.mistaken(now, from, "version", text, counts);
            return Err("version");
        }
        if advert.version == Version::V2 && advert.interval != self.settings.interval {
            let text = format!(
                "{from} advertises every {:?}, this host every {:?}; set OUTRIDER_ADVERT_INTERVAL alike",
                advert.interval, self.settings.interval
            );
            self.mistaken(now, from, "interval", text, counts);
            return Err("interval");
        }
        Ok(())
    }

    /// Whether the sender has shown that it belongs to us; if not, the kind of mistake.
    pub(super) fn believe(&mut self, now: Time, heard: &Heard) -> Result<(), &'static str> {
        match self.verifier.judge(heard.from, &heard.proof) {
            Ok(None) => Ok(()),
            Ok(Some(warning)) => {
                self.warn(heard.from, "clock", warning);
                Ok(())
            }
            Err(Doubt { kind, text, counts }) => {
                self.mistaken(now, heard.from, kind, text, counts);
                Err(kind)
            }
        }
    }

    /// What cannot be followed; somebody holds the address, if it `counts`.
    pub(super) fn mistaken(
        &mut self,
        now: Time,
        from: IpAddr,
        kind: &'static str,
        text: String,
        counts: bool,
    ) {
        if counts {
            self.unseen(now, from, kind, text);
        } else {
            self.warn(from, kind, text);
        }
    }

    pub(super) fn hear_peer(&mut self, now: Time, from: IpAddr, checksum: Checksum) {
        let Some(age) = self.peers.hear(now, from, checksum) else { return };
        if age.is_zero() {
            self.tell_peers();
        }
        // With multicast and no list of such addresses, everybody is welcome.
        let alike = |member: &Member| member.address.is_ipv4() == from.is_ipv4();
        let listed = self.members.as_ref().is_some_and(|members| members.others.iter().any(alike));
        if self.settings.group.is_some() && !listed {
            return;
        }
        // The metadata may take its time to list a host.
        if age.is_zero() && self.freshness != Freshness::Fixed {
            self.notice(format!("{from} is not listed as a member, but advertises our address: it counts"));
        } else if self.freshness == Freshness::Fixed || age > EQUAL {
            let text = format!(
                "{from} advertises our address and is not listed as a member: it counts, but add it to \
                 OUTRIDER_PEERS, or give its host the label"
            );
            self.warn(from, "unlisted", text);
        }
    }

    /// With multicast nobody gets the form of checksum he sends himself. keepalived and FRR accept no other; and a
    /// keepalived that claims the address while it gets adverts that it rejects sends none itself, so that this is the
    /// time to tell.
    fn notice_form(&mut self, heard: &Heard) {
        let (from, theirs, ours) = (heard.from, heard.checksum, self.settings.checksum);
        let several = heard.advert.version == Version::V3 && from.is_ipv4();
        if several && self.settings.group.is_some() && theirs != ours {
            let text = format!(
                "{from} uses the {theirs} form of checksum, this host the {ours} form, which it may reject; set \
                 OUTRIDER_CHECKSUM"
            );
            self.warn(from, "checksum", text);
        }
    }

    /// Someone who stays Active beside a higher priority does not hear us, or does not believe us.
    pub(super) fn notice_stubbornness(&mut self, now: Time, heard: &Heard) {
        let (from, advert) = (heard.from, &heard.advert);
        let outranked = (advert.priority, from) < (self.router.priority(), self.settings.source);
        if advert.priority == 0 || self.router.state() != State::Active || !outranked {
            self.stubborn.remove(&from);
            return;
        }
        if self.stubborn.len() >= STUBBORN_MAX && !self.stubborn.contains_key(&from) {
            return;
        }
        let (first, last) = self.stubborn.entry(from).or_insert((now, now));
        if now.saturating_sub(*last) > advert.interval * 3 {
            *first = now;
        }
        *last = now;
        if now.saturating_sub(*first) > STUBBORN.max(advert.interval * 5) {
            let text = format!(
                "{from} does not yield to our higher priority: it does not hear our adverts, or rejects them; \
                 compare version, checksum form, password and keys, and look for a firewall"
            );
            self.warn(from, "stubborn", text);
        }
    }

    /// Names a listed peer that nobody has ever heard of. Not without a link, which is enough of a reason.
    pub(super) fn notice_absence(&mut self, now: Time) {
        if self.link_is_up()
            && let Some(peer) = self.peers.take_missing(now)
        {
            let text = format!(
                "the member {peer} was never heard: neither an advert nor an answer to ARP came from it; is its \
                 address right, is it on this network?"
            );
            self.warn(peer, "missing", text);
        }
    }

    /// Counts adverts that are late, before they go out.
    pub(super) fn notice_lateness(&mut self, now: Time) {
        let Some(due) = self.router.advert_due() else { return };
        let late = now.saturating_sub(due);
        if late > self.settings.interval / 10 {
            self.late = self.late.saturating_add(1);
        }
        if late > self.settings.interval {
            let text = format!(
                "an advert is {} ms late: this host is too busy for an interval of {} ms, unless the agent may run \
                 in real time",
                late.as_millis(),
                self.settings.interval.as_millis()
            );
            self.warn(self.settings.source, "late", text);
        }
    }

    pub(super) fn notice_mistakes(&mut self, now: Time, heard: &Heard) {
        self.notice_form(heard);
        let (from, advert) = (heard.from, &heard.advert);
        let ours = &self.settings.addresses;
        // IPv6 addresses of an IPv4 router are not advertised.
        let advertised = ours.iter().filter(|address| address.is_ipv4() == from.is_ipv4()).count();
        let known = |address: &IpAddr| ours.contains(address);
        let same = advert.addresses.len() == advertised && advert.addresses.iter().all(known);
        if !same {
            let theirs: Vec<String> = advert.addresses.iter().map(IpAddr::to_string).collect();
            let theirs = theirs.join(", ");
            let text = if advert.addresses.iter().any(known) {
                format!(
                    "{from} advertises other addresses for our virtual router ({theirs}); set OUTRIDER_VIP alike"
                )
            } else {
                format!(
                    "our VRID {} is used by somebody else: {from} advertises {theirs} with it; set OUTRIDER_VRID",
                    advert.vrid
                )
            };
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
        let (Event::Warning(text) | Event::Alarm(text)) = &event else { return };
        let new = || Warning { from, kind, text: text.clone(), count: 0 };
        let warning = self.warned.entry((from, kind)).or_insert_with(new);
        warning.count = warning.count.saturating_add(1);
        if warning.count == 1 {
            self.commands.push_back(Command::Tell(event));
        }
    }
}
