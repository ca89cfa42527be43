//! Words and braces to statements with their blocks.

use super::part::Note;
use super::reader::{Kind, Place, Token, shown};
use anyhow::{Result, bail};
use std::rc::Rc;

/// A line, and the block that belongs to it.
#[derive(Debug)]
pub(super) struct Statement {
    pub place: Place,
    /// The last line of its block; its own, if it has none.
    pub last: usize,
    /// The `@id` in front of it, if it is not known whether it holds.
    pub condition: Option<Rc<str>>,
    /// At least one, except for a block that belongs to nothing.
    pub words: Vec<String>,
    pub block: Option<Vec<Statement>>,
}

impl Statement {
    /// What it is about.
    pub fn keyword(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// The word after the keyword.
    pub fn value(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    /// The statements of its block; none, if it has no block.
    pub fn inner(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }

    /// For messages.
    pub fn shown(&self) -> String {
        shown(&self.words.join(" "))
    }
}

/// Blocks within blocks. keepalived has four.
const MAX_DEPTH: usize = 16;

/// Puts the blocks together. What there is to say about braces goes to `notes`.
///
/// # Errors
/// A block that is not closed: what follows cannot be told from what is in it.
pub(super) fn tree(tokens: Vec<Token>, notes: &mut Vec<Note>) -> Result<Vec<Statement>> {
    // What is outside of the innermost block, with the statement that opens it at its end.
    let mut outer: Vec<Vec<Statement>> = Vec::new();
    let mut current: Vec<Statement> = Vec::new();
    let mut inside: Option<Place> = None;
    for Token { place, condition, kind } in tokens {
        match kind {
            Kind::Words(words) => {
                if !outer.is_empty()
                    && inside.is_none()
                    && words.first().is_some_and(|word| OUTERMOST.contains(&word.as_str()))
                {
                    inside = Some(place.clone());
                }
                current.push(Statement { last: place.line, place, condition, words, block: None });
            }
            Kind::Open => {
                if outer.len() == MAX_DEPTH {
                    bail!(
                        "{place}: blocks are nested {MAX_DEPTH} deep, which nothing in keepalived is; close them"
                    );
                }
                if current.last().is_none_or(|last| last.block.is_some()) {
                    notes.push(Note::at(&place, "a { that belongs to no statement; its block is left out"));
                    current.push(Statement {
                        last: place.line,
                        place,
                        condition,
                        words: Vec::new(),
                        block: None,
                    });
                }
                outer.push(std::mem::take(&mut current));
            }
            Kind::Close => match outer.pop() {
                None => notes.push(Note::at(&place, "a } too many; it closes nothing")),
                Some(mut around) => {
                    if let Some(owner) = around.last_mut() {
                        owner.last = place.line;
                        owner.block = Some(std::mem::take(&mut current));
                    }
                    current = around;
                }
            },
        }
    }
    match outer.iter().filter_map(|around| around.last()).next() {
        None => Ok(current),
        Some(owner) => {
            let from = match inside {
                Some(place) => format!("; {place} must be outside of it"),
                None => String::new(),
            };
            bail!(
                "{}: the block of {} is not closed{from}; add a }} where it ends",
                owner.place,
                shown(&owner.words.join(" "))
            )
        }
    }
}

/// What stands in no block.
const OUTERMOST: [&str; 6] = [
    "global_defs",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "virtual_server",
    "vrrp_track_process",
];
