//! Tables of what keepalived knows: every keyword has a setting, or a reason why it has none.

use super::part::Part;
use super::tree::Statement;
use super::{auth, global, group, instance, lvs, root, tracked};

/// What becomes of a statement.
pub(super) enum Treat<T: 'static> {
    /// It has settings, which this reads.
    Map(fn(&mut T, &Statement)),
    /// It has none, and why.
    Without(&'static str),
    /// It has none, and nor has what is in its block, whose keywords are those in `lvs`.
    Block(&'static str),
}

/// A keyword and what becomes of it.
pub(super) type Row<T> = (&'static str, Treat<T>);

/// Reads the statements of a block. What has no setting is told in the [`Part`] of `to`.
pub(super) fn read<T: AsMut<Part>>(table: &'static [Row<T>], to: &mut T, statements: &[Statement]) {
    for statement in statements {
        if let Some(condition) = &statement.condition {
            let text = format!("is for {condition} only; left out. Choose by --config-id");
            to.as_mut().without(statement, &text);
            continue;
        }
        match table.iter().find(|(keyword, _)| *keyword == statement.keyword()) {
            Some((_, Treat::Map(map))) => map(to, statement),
            Some((_, Treat::Without(why))) => to.as_mut().without(statement, why),
            Some((_, Treat::Block(why))) => {
                to.as_mut().without(statement, why);
                spelling(to.as_mut(), statement);
            }
            None => to.as_mut().without(statement, &unknown(statement.keyword())),
        }
    }
}

/// The lines of a block of values, without those that are for other hosts: these are told beside `name`.
pub(super) fn lines<'a>(part: &mut Part, name: &'static str, block: &'a Statement) -> Vec<&'a Statement> {
    let (for_all, for_some) = block.inner().iter().partition(|line| line.condition.is_none());
    let for_some: Vec<&Statement> = for_some;
    for line in for_some {
        let condition = line.condition.as_deref().unwrap_or_default();
        part.beside(name, line, &format!("is for {condition} only; left out. Choose by --config-id"));
    }
    for_all
}

/// Names what keepalived does not know in a block that has no settings.
fn spelling(part: &mut Part, block: &Statement) {
    let Some(words) = lvs::words_in(block.keyword()) else { return };
    for statement in block.inner() {
        if !words.contains(&statement.keyword()) {
            part.without(statement, &unknown(statement.keyword()));
        }
        spelling(part, statement);
    }
}

/// What is said of a keyword that is not in a table.
fn unknown(keyword: &str) -> String {
    match places().into_iter().find(|(_, words)| words.contains(&keyword)) {
        Some((place, _)) => format!("not a statement keepalived knows here; its place is {place}"),
        None => "not a statement keepalived knows: check the spelling".to_owned(),
    }
}

fn words<T>(table: &'static [Row<T>]) -> Vec<&'static str> {
    table.iter().map(|(keyword, _)| *keyword).collect()
}

/// Every place with its keywords.
pub(super) fn places() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut places = vec![
        ("outside of every block", words(root::TABLE)),
        ("global_defs", words(global::TABLE)),
        ("vrrp_instance", words(instance::TABLE)),
        ("authentication", words(instance::AUTHENTICATION)),
        ("auth_hmac", words(auth::HMAC)),
        ("vrrp_script", words(tracked::SCRIPT)),
        ("vrrp_track_process", words(tracked::PROCESS)),
        ("vrrp_sync_group", words(group::SYNC)),
        ("garp_group", words(group::GARP)),
    ];
    places
        .extend(lvs::BLOCKS.iter().map(|block| (*block, lvs::words_in(block).unwrap_or_default().to_vec())));
    places
}
