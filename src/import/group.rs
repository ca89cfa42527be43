//! `vrrp_sync_group` and `garp_group`.

use super::global;
use super::notify;
use super::part::Part;
use super::reader::Place;
use super::table::{Row, Treat};
use super::tracked::Use;
use super::tree::Statement;
use super::units::switch;
use Treat::{Map, Without};

/// Instances that change their state together.
#[derive(Debug)]
pub(super) struct Group {
    pub name: String,
    pub place: Place,
    pub last: usize,
    pub members: Vec<String>,
    pub uses: Vec<Use>,
    pub part: Part,
}

impl AsMut<Part> for Group {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Group {
    pub fn new(name: &str, it: &Statement) -> Self {
        Self {
            name: name.to_owned(),
            place: it.place.clone(),
            last: it.last,
            members: Vec::new(),
            uses: Vec::new(),
            part: Part::default(),
        }
    }
}

pub(super) const OTHER_INTERFACE: &str =
    "only the link of the address's own interface is watched (OUTRIDER_TRACK_LINK)";
pub(super) const TRACK_BFD: &str = "there is no BFD here; whether the peers are heard is what VRRP is about";

/// What may stand in `vrrp_sync_group`.
pub(super) static SYNC: &[Row<Group>] = &[
    (
        "group",
        Map(|group, it| {
            group.members.extend(it.inner().iter().flat_map(|line| line.words.iter().cloned()));
        }),
    ),
    ("track_script", Map(|group, it| group.uses.extend(Use::read(&mut group.part, it)))),
    ("track_process", Map(|group, it| group.uses.extend(Use::read(&mut group.part, it)))),
    ("track_interface", Without(OTHER_INTERFACE)),
    ("track_file", Without(super::tracked::FILE)),
    ("track_bfd", Without(TRACK_BFD)),
    ("notify_master", Without(notify::ONE)),
    ("notify_backup", Without(notify::ONE)),
    ("notify_fault", Without(notify::ONE)),
    ("notify_stop", Without(notify::ONE)),
    ("notify", Without(notify::GROUP)),
    ("notify_priority_changes", Without(notify::PRIORITY)),
    ("smtp_alert", Map(|group, it| group.part.alert = switch(it))),
    ("global_tracking", Without("checks count for every router that tracks them")),
    ("sync_group_tracking_weight", Without("checks have no weight here")),
];

/// Pauses between announcements on an interface.
#[derive(Debug)]
pub(super) struct Garp {
    pub interfaces: Vec<String>,
    pub part: Part,
}

impl AsMut<Part> for Garp {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Garp {
    /// One of no interface yet.
    pub fn new() -> Self {
        Self { interfaces: Vec::new(), part: Part::default() }
    }
}

/// What may stand in `garp_group`.
pub(super) static GARP: &[Row<Garp>] = &[
    ("garp_interval", Map(|garp, it| global::garp_interval(&mut garp.part, it))),
    ("gna_interval", Map(|garp, it| global::gna_interval(&mut garp.part, it))),
    ("interface", Map(|garp, it| garp.interfaces.extend(it.value().map(str::to_owned)))),
    (
        "interfaces",
        Map(|garp, it| {
            garp.interfaces.extend(it.inner().iter().flat_map(|line| line.words.iter().cloned()));
        }),
    ),
];
