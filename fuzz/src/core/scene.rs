//! What an agent may be set up with, and what may come in.

use arbitrary::{Result, Unstructured};
use outrider::core::advert::{Advert, Checksum, Version};
use outrider::core::announce::Announcements;
use outrider::core::auth::{Auth, Mode, Proof, Signature, Stamp, Verdict};
use outrider::core::guard::Guards;
use outrider::core::members::{Member, Membership, Standing};
use outrider::core::{Heard, Settings, Time, timing};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Names of checks.
pub const CHECKS: [&str; 3] = ["80", "443", "8080"];
const PASSWORD: [u8; 8] = *b"seaside\0";
const VRID: u8 = 2;
const ME: u8 = 11;
/// The last bytes of the stations: peers, ourselves, a gateway, and who is on no list.
const STATIONS: [u8; 8] = [12, 13, 14, ME, 1, 99, 9, 200];
/// The clock of the day, when the time since boot is zero.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// The settings, and the addresses that go with them.
pub struct Scene {
    pub settings: Settings,
    ipv6: bool,
}

impl Scene {
    pub fn any(input: &mut Unstructured) -> Result<Scene> {
        let ipv6 = !input.ratio(7, 8)?;
        let version = if ipv6 || input.ratio(3, 4)? { Version::V3 } else { Version::V2 };
        let interval = match version {
            Version::V3 => Duration::from_millis(10 * *input.choose(&[20, 1, 100, 10, 4095])?),
            Version::V2 => Duration::from_secs(*input.choose(&[1, 2, 40])?),
        };
        let longest = timing::master_down(version, 1, interval);
        let lease = Duration::from_secs(timing::lease_seconds(longest).into());
        let group = if ipv6 { ip6(0x12) } else { [224, 0, 0, 18].into() };
        let auth = match input.int_in_range(0..=5)? {
            0 | 1 => Auth::None,
            2 => Auth::Pass(PASSWORD),
            3 => Auth::Signed(Mode::Enforce),
            4 => Auth::Signed(Mode::Permissive),
            _ => Auth::Signed(Mode::ReceiveOnly),
        };
        let millis = |input: &mut Unstructured, of: &[u64]| Ok(Duration::from_millis(*input.choose(of)?));
        let announcements = Announcements {
            repeat: *input.choose(&[5, 1, 100])?,
            delay: millis(input, &[1000, 0, 60_000])?,
            refresh: millis(input, &[60_000, 0, 100])?,
            interval: millis(input, &[0, 1, 250])?,
        };
        let mut scene = Scene {
            ipv6,
            settings: Settings {
                vrid: VRID,
                version,
                source: [0; 4].into(),
                addresses: Vec::new(),
                interval,
                priority: *input.choose(&[None, Some(100), Some(1), Some(254)])?,
                preempt: !input.ratio(3, 4)?,
                preempt_delay: millis(input, &[0, 1000, 300_000])?,
                lease: if input.ratio(7, 8)? { Some(lease) } else { None },
                handover_limit: millis(input, &[5000, 0, 1, 600_000])?,
                announcements,
                min_ttl: *input.choose(&[255, 64])?,
                group: if input.ratio(3, 4)? { None } else { Some(group) },
                checksum: if ipv6 { Checksum::PseudoHeader } else { checksum(input)? },
                auth,
                earlier: if input.ratio(3, 4)? { Vec::new() } else { vec![7, 9] },
                rise: input.int_in_range(1..=3)?,
                fall: input.int_in_range(1..=3)?,
                guards: Guards::Off,
            },
        };
        scene.settings.source = scene.ip(ME);
        scene.settings.addresses = (2..=*input.choose(&[2, 3])?).map(|last| scene.ip(last)).collect();
        scene.settings.guards = match input.int_in_range(0..=2)? {
            0 => Guards::Auto,
            1 => Guards::Off,
            _ => Guards::These(vec![scene.ip(1)]),
        };
        Ok(scene)
    }

    fn ip(&self, last: u8) -> IpAddr {
        if self.ipv6 { ip6(last.into()) } else { Ipv4Addr::new(10, 10, 10, last).into() }
    }

    /// Longer than any agent waits.
    pub fn longest_wait(&self) -> Duration {
        // A peer of version 3 may have any interval; one of version 2 only ours.
        let interval = self.settings.interval.max(Duration::from_millis(40_950));
        timing::master_down(self.settings.version, 1, interval)
    }

    pub fn station(&self, input: &mut Unstructured) -> Result<IpAddr> {
        Ok(self.ip(*input.choose(&STATIONS)?))
    }

    pub fn members(&self, input: &mut Unstructured) -> Result<Membership> {
        let flags: u8 = input.arbitrary()?;
        let member = |last: u8, priority| Member {
            id: format!("uuid-{last}"),
            name: format!("lb{last}"),
            address: self.ip(last),
            priority,
        };
        let by_hand = *input.choose(&[None, Some(1), Some(100), Some(254)])?;
        let me = match flags & 1 {
            0 => Standing::Member(member(ME, by_hand)),
            _ => Standing::Left("host label role=load-balancer is missing".to_owned()),
        };
        // Without flags all three peers.
        let present =
            STATIONS.iter().take(7).enumerate().filter(|(at, _)| (flags >> 1 ^ 0b111) >> at & 1 == 1);
        let priority = *input.choose(&[None, Some(1), Some(100), Some(254)])?;
        let mut others: Vec<Member> = present.map(|(_, last)| member(*last, priority)).collect();
        others.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Membership { me, others })
    }

    /// An advert, and whether it is certainly one that a Backup follows, or believes.
    pub fn advert(&self, input: &mut Unstructured, now: Time) -> Result<(Heard, bool)> {
        let settings = &self.settings;
        let (odd, from): (u8, u8) = (input.arbitrary()?, input.arbitrary()?);
        let mut advert = Advert {
            version: settings.version,
            vrid: settings.vrid,
            priority: *input.choose(&[100, 0, 254, 1, 255, 200, 2, 50])?,
            interval: settings.interval,
            addresses: settings.addresses.clone(),
        };
        let mut heard = Heard {
            from: self.ip(STATIONS[usize::from(from) % 3]),
            ttl: 255,
            checksum: settings.checksum,
            proof: self.proof(now + EPOCH),
            advert: advert.clone(),
        };
        let is = |bit: u8| odd >> bit & 1 == 1;
        if is(0) {
            heard.from = self.station(input)?;
        }
        if is(1) {
            advert.priority = input.arbitrary()?;
        }
        if is(2) {
            advert.interval = match advert.version {
                Version::V2 => Duration::from_secs(input.int_in_range(1..=255)?),
                Version::V3 => Duration::from_millis(10 * input.int_in_range(1..=4095)?),
            };
        }
        if is(3) {
            advert.addresses = vec![self.station(input)?];
        }
        if is(4) {
            heard.ttl = input.arbitrary()?;
        }
        if is(5) {
            heard.checksum = checksum(input)?;
        }
        if is(6) {
            heard.proof = odd_proof(input, now + EPOCH)?;
        }
        if is(7) {
            advert.version = if input.arbitrary()? { Version::V2 } else { Version::V3 };
            advert.vrid = input.int_in_range(1..=3)?;
        }
        heard.advert = advert;
        let advert = &heard.advert;
        let ours = advert.version == settings.version && advert.vrid == settings.vrid;
        let followed = ours
            && heard.from != settings.source
            && heard.ttl >= settings.min_ttl
            && (advert.version == Version::V3 || advert.interval == settings.interval)
            && settings.auth == Auth::None
            && !is(6);
        Ok((heard, followed))
    }

    /// What an honest peer sends.
    fn proof(&self, wall: Duration) -> Proof {
        let signature = Signature { key: 1, stamp: Stamp::next(wall, None), verdict: Verdict::Valid, wall };
        match self.settings.auth {
            Auth::None => Proof::default(),
            Auth::Pass(password) => Proof { kind: 1, password: Some(password), signature: None },
            Auth::Signed(_) => Proof { signature: Some(signature), ..Proof::default() },
        }
    }
}

/// What anybody may send, and a clock of ours that may jump.
fn odd_proof(input: &mut Unstructured, wall: Duration) -> Result<Proof> {
    let ahead = Duration::from_millis(input.arbitrary::<u16>()?.into());
    let behind = Duration::from_secs(input.arbitrary::<u8>()?.into());
    let stamp = match input.arbitrary()? {
        true => {
            Stamp { seconds: input.arbitrary()?, fraction: input.arbitrary()?, counter: input.arbitrary()? }
        }
        false => Stamp::next(wall + ahead - behind, None),
    };
    let verdict = *input.choose(&[Verdict::Valid, Verdict::Wrong, Verdict::UnknownKey])?;
    let wall = if input.ratio(7, 8)? { wall } else { Duration::from_secs(input.arbitrary()?) };
    let signature = Signature { key: 1, stamp, verdict, wall };
    Ok(Proof {
        kind: input.int_in_range(0..=3)?,
        password: if input.arbitrary()? { Some(input.arbitrary()?) } else { None },
        signature: if input.arbitrary()? { Some(signature) } else { None },
    })
}

fn ip6(last: u16) -> IpAddr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last).into()
}

fn checksum(input: &mut Unstructured) -> Result<Checksum> {
    Ok(*input.choose(&[Checksum::PseudoHeader, Checksum::Message, Checksum::OldUnicast])?)
}
