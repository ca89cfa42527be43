//! Virtual routers that wait for their place: the metadata, an interface, an address, the lock. They claim nothing.

use super::interpret::membership;
use super::place::{self, NoPlace, Place};
use crate::config::{Peers, Router};
use crate::metadata::Snapshot;
use crate::net::Family;
use crate::net::lock::Lock;
use anyhow::Result;
use std::sync::Arc;
use tracing::info;

/// One of them.
pub struct Pending {
    /// Its place in the list of settings.
    pub number: usize,
    /// Its settings.
    pub config: Arc<Router>,
    /// What it is waiting for, as last said.
    pub said: String,
}

/// What a look at its place brought.
pub enum Found {
    /// It can start.
    Place(Place, Lock),
    /// It has to wait.
    NotYet,
    /// It cannot start unless a person changes something: why.
    Wrong(String),
}

impl Pending {
    /// A virtual router that has not been looked at yet.
    pub fn new(number: usize, config: Arc<Router>) -> Pending {
        Pending { number, config, said: String::new() }
    }

    /// Looks for its place. Says once what it is waiting for.
    ///
    /// # Errors
    /// The lock cannot be asked for.
    pub fn look(&mut self, snapshot: Option<&Snapshot>) -> Result<Found> {
        if snapshot.is_none() && self.config.peers == Peers::Rancher {
            return Ok(Found::NotYet);
        }
        let place = match place::find(&self.config, snapshot.map(|snapshot| &snapshot.me)) {
            Ok(place) => place,
            Err(NoPlace::Wait(why)) => return Ok(self.wait_for(why)),
            Err(NoPlace::Wrong(why)) => return Ok(Found::Wrong(self.named(why))),
        };
        if let Err(why) = membership(&self.config, place.source, snapshot) {
            return Ok(Found::Wrong(self.named(why)));
        }
        let family = match self.config.family() {
            Family::V4 => "4",
            Family::V6 => "6",
        };
        match Lock::acquire(&place.interface, family, self.config.vrid)? {
            Some(lock) => Ok(Found::Place(place, lock)),
            None => {
                let (vrid, interface) = (self.config.vrid, place.interface);
                let why = format!("another agent on this host serves virtual router {vrid} on {interface}");
                Ok(self.wait_for(why))
            }
        }
    }

    fn wait_for(&mut self, why: String) -> Found {
        if self.said != why {
            info!("{}: waiting, without a claim: {why}", self.config.name);
            self.said = why;
        }
        Found::NotYet
    }

    fn named(&self, why: String) -> String {
        format!("{}: {why}", self.config.name)
    }
}
