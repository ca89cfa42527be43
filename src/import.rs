//! Moving from keepalived: its configuration as settings of the agent, with a remark for everything that has none.
//!
//! ```text
//!   file ─► reader ─► tree ─► root, global, instance, …  ─► router ─► write
//!           words     blocks  what each statement says      what     as an environment
//!                                                           it means or TOML
//! ```
//!
//! The tables in `root`, `global`, `instance`, `tracked`, `group`, `auth` and `lvs` hold every keyword that
//! keepalived has, with what reads it or the reason why it has no setting here. `script` finds out what a check
//! script asks. Whether what comes out is a working configuration is for [`Config::load`] to say.

mod address;
mod auth;
mod checks;
mod define;
mod global;
mod group;
mod include;
mod instance;
mod lvs;
mod notify;
mod part;
mod reader;
mod root;
mod router;
mod script;
mod table;
mod tracked;
mod tree;
mod units;
mod write;

use crate::config::{Config, Faults};
use anyhow::{Result, bail};
use part::Note;
use reader::Reader;
use root::Import;
use router::Router;
use std::collections::BTreeSet;
use std::path::Path;
use write::Whole;

/// How a file is to be read, and what is to come out.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A TOML file instead of environment variables.
    pub toml: bool,
    /// Only this vrrp_instance.
    pub instance: Option<String>,
    /// keepalived's `--config-id`: which lines with a condition (`@id`) count. None: none does, and each is told.
    pub config_id: Option<String>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The settings with their remarks, ready to be saved.
    pub text: String,
    /// Why the agent would not start with it, one message for each fault; none: it would.
    pub faults: Vec<String>,
}

/// Reads keepalived's configuration file, and the files that it includes.
///
/// # Errors
/// It cannot be read, or not to its end: the message names the line and what to do.
pub fn file(path: &Path, options: &Options) -> Result<Imported> {
    text(path, &include::contents(path)?, options)
}

/// Reads a configuration that stands, or would stand, in a file at `path`. What it includes is read from there.
///
/// # Errors
/// As for [`file()`].
pub fn text(path: &Path, bytes: &[u8], options: &Options) -> Result<Imported> {
    let mut reader = Reader::new(options.config_id.as_deref());
    reader.read(path, bytes, 0)?;
    let Reader { tokens, mut notes, .. } = reader;
    let statements = tree::tree(tokens, &mut notes)?;
    let mut import = Import::default();
    table::read(root::TABLE, &mut import, &statements);
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let whole = whole(name, notes, import, options)?;
    let faults = faults(&whole);
    let text = if options.toml { write::toml(&whole) } else { write::environment(&whole) };
    Ok(Imported { text, faults })
}

fn whole(file: String, reading: Vec<Note>, import: Import, options: &Options) -> Result<Whole> {
    let Import { mut global, mut tracked, groups, garps, mut instances, outside } = import;
    if let Some(wanted) = &options.instance {
        let names: Vec<String> = instances.iter().map(|instance| instance.name.clone()).collect();
        instances.retain(|instance| instance.name == *wanted);
        if instances.is_empty() {
            bail!("{file} has no vrrp_instance {wanted}; it has: {}", names.join(", "));
        }
    }
    let mut routers: Vec<Router> = instances
        .into_iter()
        .map(|instance| router::settle(instance, &global.settings, &mut tracked, &groups, &garps))
        .collect();
    notify::command(&mut global, &mut routers);
    notify::mail(&mut global, &routers, &groups);
    // What is so for all is told for the first.
    let mut told = BTreeSet::new();
    for router in &mut routers {
        router.part.beside.retain(|(_, note)| note.place.is_some() || told.insert(note.text.clone()));
    }
    let mut others = Vec::new();
    let mut loose = outside.without;
    for garp in garps {
        loose.extend(garp.part.beside.into_iter().map(|(_, note)| note));
        loose.extend(garp.part.without);
    }
    for tracked in tracked.into_iter().filter(|tracked| !tracked.used) {
        let text = "no instance tracks it, and keepalived does not run it; left out";
        loose.push(Note::block(&tracked.place, tracked.last, &tracked.name, text));
        loose.extend(tracked.part.without);
    }
    loose.sort_by_key(|note| note.place.as_ref().map(|place| (place.file.clone(), place.line)));
    others.push(("outside of global_defs and vrrp_instance".to_owned(), loose));
    for group in groups {
        let title = format!("vrrp_sync_group {}", group.name);
        let mut notes = vec![Note::block(&group.place, group.last, "", TOGETHER)];
        notes.extend(group.part.beside.into_iter().map(|(_, note)| note));
        notes.extend(group.part.without);
        others.push((title, notes));
    }
    // A router without an address would take the others along.
    let unusable = routers.extract_if(.., |router| !router.part.settings.contains_key("OUTRIDER_VIP"));
    for router in unusable {
        let title = format!("vrrp_instance {}", router.name);
        let text = "has no address that could be taken over; left out";
        let mut notes = vec![Note::block(&router.place, router.last, "", text)];
        let said = router.part.beside.into_iter().map(|(_, note)| note);
        notes.extend(said.chain(router.part.without).filter(|note| note.place.is_some()));
        others.push((title, notes));
    }
    Ok(Whole { file, reading, global, others, routers })
}

/// What is said of a vrrp_sync_group.
const TOGETHER: &str = "virtual routers change hosts one by one here. They leave a host together when they have the same \
                        check and the same link; addresses that must never part belong into one virtual router";

/// What the agent would say to it.
fn faults(whole: &Whole) -> Vec<String> {
    if whole.routers.is_empty() {
        return vec![format!(
            "{} has no vrrp_instance with an address; write OUTRIDER_VIP, for example 10.10.10.2",
            whole.file
        )];
    }
    match Config::load(write::variables(whole)) {
        Ok(_) => Vec::new(),
        Err(Faults(faults)) => faults,
    }
}

#[cfg(test)]
mod tests;
