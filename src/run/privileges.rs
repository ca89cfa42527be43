//! What the process may do, once it has started: send, receive and change addresses, as nobody.
//!
//! Capabilities belong to threads: all of this happens before the first one is started.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

/// User and group that root becomes: nobody's.
const NOBODY: u32 = 65534;

const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);
const CHANGE_USER: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// What is left.
#[derive(Debug)]
pub struct Rights {
    /// In words that follow "runs".
    pub text: String,
    /// The process is still root, and could do without: worth to be said.
    pub notable: bool,
}

/// Gives up everything but NET_ADMIN and NET_RAW, for good.
///
/// Root becomes nobody, where that is allowed; else it stays user 0, and may do with root's files what it likes.
///
/// # Errors
/// A capability is missing, with the remedy; or the kernel refuses to take one.
pub fn reduce() -> Result<Rights> {
    let held = capabilities(None).context("cannot read the capabilities")?;
    if let Some(missing) = missing(held.permitted) {
        bail!(missing);
    }
    // Needs SETPCAP, which few containers have; no_new_privs makes up for it.
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !NEEDED.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    let root = geteuid().is_root().then(|| give_up_root(held.effective));
    let none = CapabilitySet::empty();
    let kept = CapabilitySets { effective: NEEDED, permitted: NEEDED, inheritable: none };
    set_capabilities(None, kept).context("cannot give up capabilities")?;
    // Kernels before 4.3 have no ambient set; in the others it went with the inheritable one.
    let _ = clear_ambient_capability_set();
    set_no_new_privs(true).context("cannot set no_new_privs")?;
    let (user, kept) = (geteuid(), names(NEEDED));
    let stays = |why| format!("as root with no capability but {kept} ({why})");
    Ok(match root {
        None | Some(Root::GivenUp) => Rights { text: format!("as user {user} with {kept}"), notable: false },
        Some(Root::Alone) => Rights { text: stays(ALONE.to_owned()), notable: false },
        Some(Root::Stays(why)) => Rights { text: stays(why), notable: true },
    })
}

const ALONE: &str = "there is no other user in this user namespace";

/// What became of root.
enum Root {
    GivenUp,
    /// It is not the machine's, and the only user there is.
    Alone,
    /// Why.
    Stays(String),
}

/// Becomes nobody, and keeps the capabilities that are permitted.
fn give_up_root(effective: CapabilitySet) -> Root {
    let missing = CHANGE_USER.difference(effective);
    if !missing.is_empty() {
        return Root::Stays(format!("to become user {NOBODY} it needs {} as well", names(missing)));
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let become_nobody = || {
        set_keep_capabilities(true).map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    };
    match become_nobody() {
        Ok(()) => Root::GivenUp,
        // Users that are not mapped are invalid; setgroups is mostly forbidden, then.
        Err(Errno::EINVAL | Errno::EPERM) => Root::Alone,
        Err(errno) => Root::Stays(format!("it cannot become user {NOBODY}: {errno}")),
    }
}

/// What to tell if something that is needed is not among these.
fn missing(permitted: CapabilitySet) -> Option<String> {
    let missing = NEEDED.difference(permitted);
    if missing.is_empty() {
        return None;
    }
    let (names, user) = (names(missing), geteuid());
    let is = if missing == NEEDED { "capabilities" } else { "capability" };
    let are = if missing == NEEDED { "are" } else { "is" };
    // Docker gives capabilities to root alone: the line may be there already.
    let granted = !user.is_root() && bits(missing).all(|bit| capability_is_in_bounding_set(bit) == Ok(true));
    let remedy = match granted {
        true => format!(
            "user {user} did not get what root would get: leave out \"user:\" in the compose file (root is \
             given up at once), or let systemd give it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
        ),
        false => "add \"cap_add: [NET_ADMIN, NET_RAW]\" to the service in the compose file".to_owned(),
    };
    Some(format!("the {is} {names} {are} missing: {remedy}"))
}

fn names(set: CapabilitySet) -> String {
    let names: Vec<&str> = set.iter_names().map(|(name, _)| name).collect();
    names.join(" and ")
}

fn bits(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    set.iter_names().map(|(_, bit)| bit)
}
