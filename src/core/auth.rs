//! Which adverts are believed: passwords (version 2), and adverts that are signed (keepalived's `auth_hmac`,
//! draft-cassen-vrrp-auth-hmac). What was computed from the bytes comes in; what it means is decided here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Senders whose last stamp is remembered, so that forged sources cannot fill the memory.
const SENDERS_MAX: usize = 256;
/// A signed advert is fresh for three intervals, but at least for this long.
const FRESH: Duration = Duration::from_secs(5);

/// How adverts are authenticated.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all. A signature is not looked at.
    None,
    /// By a password in the clear (version 2), padded with zeros.
    Pass([u8; 8]),
    /// By a signature.
    Signed(Mode),
}

/// How far a group is on its way to signed adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is believed that is not signed.
    Enforce,
    /// Adverts are signed; those of others may still be unsigned.
    Permissive,
    /// Adverts are not signed yet; those of others may be.
    ReceiveOnly,
}

/// The password is a secret, though it travels in the clear.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Auth::None => f.write_str("None"),
            Auth::Pass(_) => f.write_str("Pass(..)"),
            Auth::Signed(mode) => write!(f, "Signed({mode:?})"),
        }
    }
}

/// When an advert was signed, by its sender's clock, and its place in the sender's sequence, which must grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Since 1970.
    pub seconds: u32,
    /// In 1/65536 s.
    pub fraction: u16,
    /// Tells those of one tick apart.
    pub counter: u16,
}

impl Stamp {
    /// The stamp of this moment (time since 1970; the seconds end in 2106), or the next one after `last` where the
    /// clock has not moved or was set back: what is sent never goes backwards.
    pub fn next(now: Duration, last: Option<Stamp>) -> Stamp {
        let stamp = Stamp {
            seconds: u32::try_from(now.as_secs()).unwrap_or(u32::MAX),
            fraction: ((u64::from(now.subsec_nanos()) << 16) / 1_000_000_000) as u16,
            counter: 0,
        };
        last.map_or(stamp, |last| stamp.max(Stamp::from(u64::from(last).saturating_add(1))))
    }

    /// The time since 1970: the first nanosecond of its tick.
    pub fn time(self) -> Duration {
        let nanos = (u64::from(self.fraction) * 1_000_000_000).div_ceil(1 << 16);
        Duration::from_secs(self.seconds.into()) + Duration::from_nanos(nanos)
    }
}

/// The sequence number that a stamp is on the wire.
impl From<Stamp> for u64 {
    fn from(stamp: Stamp) -> u64 {
        u64::from(stamp.seconds) << 32 | u64::from(stamp.fraction) << 16 | u64::from(stamp.counter)
    }
}

impl From<u64> for Stamp {
    fn from(sequence: u64) -> Stamp {
        Stamp {
            seconds: (sequence >> 32) as u32,
            fraction: (sequence >> 16) as u16,
            counter: sequence as u16,
        }
    }
}

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was made with the key of that id.
    Valid,
    /// It was not.
    Wrong,
    /// There is no key of that id here.
    UnknownKey,
}

/// The signature of an advert, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// Id of the key.
    pub key: u8,
    /// When it was made, by the sender's clock.
    pub stamp: Stamp,
    /// What it is worth.
    pub verdict: Verdict,
    /// When it came in, by our clock: time since 1970.
    pub wall: Duration,
}

/// What an advert brings to show who sent it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Authentication type of version 2; 0: none, 1: a password.
    pub kind: u8,
    /// The password, if there is one.
    pub password: Option<[u8; 8]>,
    /// The signature, if there is one and we have keys.
    pub signature: Option<Signature>,
}

/// The password is a secret, though it travels in the clear.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proof {{ kind: {}, signature: {:?} }}", self.kind, self.signature)
    }
}

/// Why an advert is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What kind of mistake it is.
    pub kind: &'static str,
    /// In words for people, with the remedy.
    pub text: String,
    /// Whether somebody may well hold the address, though they cannot be followed. A claim then risks two
    /// holders; without this, anybody's packets could hold a claim back.
    pub counts: bool,
}

/// Tells believable adverts from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verifier {
    auth: Auth,
    window: Duration,
    /// The last stamp of each sender: none may come twice, or go back.
    last: BTreeMap<IpAddr, Stamp>,
}

impl Verifier {
    /// `interval`: the advertisement interval, which sets for how long a signed advert is fresh.
    pub fn new(auth: Auth, interval: Duration) -> Verifier {
        Verifier { auth, window: FRESH.max(interval * 3), last: BTreeMap::new() }
    }

    /// Another way; what was seen of each sender is kept.
    pub fn set_auth(&mut self, auth: Auth) {
        self.auth = auth;
    }

    /// Whether an advert is believed. A warning besides, where it soon will not be.
    ///
    /// # Errors
    /// [`Doubt`].
    pub fn judge(&mut self, from: IpAddr, proof: &Proof) -> Result<Option<String>, Doubt> {
        let doubt = |kind, text: String, counts| Err(Doubt { kind, text, counts });
        match (&self.auth, proof.kind, proof.password) {
            (Auth::Pass(ours), 1, Some(theirs)) if *ours == theirs => return Ok(None),
            (Auth::Pass(_), 1, _) => {
                let text = format!("{from} sends another password; set OUTRIDER_AUTH_PASS alike");
                return doubt("password", text, true);
            }
            (Auth::Pass(_), 0, _) => {
                let text = format!("{from} sends no password; set OUTRIDER_AUTH_PASS there, or nowhere");
                return doubt("authentication", text, true);
            }
            (Auth::None | Auth::Signed(_), 0, _) => {}
            (_, 1, _) => {
                let text =
                    format!("{from} sends a password, this host has none; set OUTRIDER_AUTH_PASS alike");
                return doubt("authentication", text, true);
            }
            (_, kind, _) => {
                let text = format!(
                    "{from} authenticates by type {kind}, which RFC 3768 has abolished; let it use a password"
                );
                return doubt("authentication type", text, true);
            }
        }
        let Auth::Signed(mode) = self.auth else { return Ok(None) };
        let enforced = mode == Mode::Enforce;
        let Some(signature) = &proof.signature else {
            if enforced {
                let text = format!("{from} does not sign its adverts: set OUTRIDER_AUTH_KEYS there");
                return doubt("signature", text, false);
            }
            return Ok(None);
        };
        let key = signature.key;
        match signature.verdict {
            Verdict::Valid => self.judge_stamp(from, signature),
            Verdict::Wrong => {
                let text = format!("{from} signs with another key {key}; set OUTRIDER_AUTH_KEYS alike");
                doubt("key", text, !enforced)
            }
            Verdict::UnknownKey => {
                let text = format!(
                    "{from} signs with key {key}, which this host does not have; add it to OUTRIDER_AUTH_KEYS"
                );
                doubt("key", text, !enforced)
            }
        }
    }

    fn judge_stamp(&mut self, from: IpAddr, signature: &Signature) -> Result<Option<String>, Doubt> {
        let Signature { stamp, wall, .. } = *signature;
        if self.last.get(&from).is_some_and(|last| stamp <= *last) {
            let text = format!(
                "{from} sends signed adverts again that were here already: somebody repeats them, or its clock \
                 was set back"
            );
            return Err(Doubt { kind: "replay", text, counts: false });
        }
        let (behind, ahead) = (wall.saturating_sub(stamp.time()), stamp.time().saturating_sub(wall));
        let offset = behind.max(ahead);
        let relation = if behind > ahead { "behind" } else { "ahead of" };
        // Stamps that have grown too old to be repeated need not be remembered; one out of the future would shut
        // its sender out once its clock is right again.
        self.last.retain(|_, last| wall.saturating_sub(last.time()) <= self.window * 2);
        if ahead <= self.window && (self.last.len() < SENDERS_MAX || self.last.contains_key(&from)) {
            self.last.insert(from, stamp);
        }
        let clocks = format!(
            "the clock of {from} is {:.1} s {relation} this host's, by its signed adverts; let both keep time by NTP",
            offset.as_secs_f64()
        );
        if offset > self.window {
            // The sender has the key, and its stamps grow: this is no repetition of what was heard before.
            return Err(Doubt { kind: "clock", text: clocks, counts: true });
        }
        Ok((offset > self.window / 2).then(|| {
            format!("{clocks} (from {:.0} s on its adverts are rejected)", self.window.as_secs_f64())
        }))
    }
}

#[cfg(test)]
mod tests;
