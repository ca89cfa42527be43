//! The keys and passwords of one virtual router at work.

use crate::config;
use crate::core::auth::{Mode, Proof, Signature, Stamp};
use crate::net::vrrp::Received;
use crate::wire::advert::{Auth, Decoded};
use crate::wire::auth::{self, Key};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Signs what is sent, and verifies what comes in.
pub struct Signing {
    password: Option<[u8; 8]>,
    keys: Vec<Key>,
    signs: bool,
    last: Option<Stamp>,
}

impl Signing {
    /// By the settings, which were validated.
    pub fn new(auth: &config::Auth) -> Signing {
        let (password, keys, signs) = match auth {
            config::Auth::None => (None, Vec::new(), false),
            config::Auth::Pass(password) => (Some(*password), Vec::new(), false),
            config::Auth::Keys { keys, mode } => {
                let keys = keys.iter().filter_map(|key| Key::new(key.id, &key.secret).ok()).collect();
                (None, keys, *mode != Mode::ReceiveOnly)
            }
        };
        Signing { password, keys, signs, last: None }
    }

    /// Other keys or another password. Stamps go on, so that none ever comes twice.
    pub fn set(&mut self, auth: &config::Auth) {
        *self = Signing { last: self.last, ..Signing::new(auth) };
    }

    /// The password of version 2.
    pub fn password(&self) -> Option<[u8; 8]> {
        self.password
    }

    /// Begins with the next advert, all copies of which carry the same stamp.
    pub fn turn(&mut self) {
        if self.signs {
            self.last = Some(Stamp::next(wall(), self.last));
        }
    }

    /// Signs a message with the active key.
    pub fn sign(&self, message: &mut Vec<u8>, source: IpAddr, destination: IpAddr) {
        if let (true, Some(stamp), Some(key)) = (self.signs, self.last, self.keys.first()) {
            auth::sign(message, source, destination, key, stamp);
        }
    }

    /// What a message brings to show who sent it.
    pub fn proof(&self, received: &Received, decoded: &Decoded) -> Proof {
        let (kind, password) = match decoded.auth {
            Auth::None => (0, None),
            Auth::Pass(password) => (1, Some(password)),
            Auth::Other(kind) => (kind, None),
        };
        // Without keys nothing can be said of a signature.
        let trailer = decoded.trailer.filter(|_| !self.keys.is_empty());
        let signature = trailer.map(|trailer| {
            let verdict = auth::verify(&received.payload, received.source, &self.keys);
            Signature { key: trailer.key, stamp: trailer.stamp, verdict, wall: wall() }
        });
        Proof { kind, password, signature }
    }
}

/// Time since 1970.
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
