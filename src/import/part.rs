//! What a block of the file comes to: settings, what is to be said beside each, and what has no setting.

use super::reader::Place;
use super::tree::Statement;
use std::collections::BTreeMap;

/// Something to be said about a place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Where; none: about what is not there.
    pub place: Option<Place>,
    /// The last line of what it is about.
    pub last: usize,
    /// The statement there; nothing, if the place says it all.
    pub what: String,
    pub text: String,
}

impl Note {
    /// About one line.
    pub fn at(place: &Place, text: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), last: place.line, what: String::new(), text: text.into() }
    }

    /// About a statement with its block.
    pub fn about(statement: &Statement, text: impl Into<String>) -> Self {
        let place = Some(statement.place.clone());
        Self { place, last: statement.last, what: statement.shown(), text: text.into() }
    }

    /// The same place, with this to be said.
    pub fn saying(&self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self.clone() }
    }

    /// About a block.
    pub fn block(place: &Place, last: usize, what: &str, text: &str) -> Self {
        Self { place: Some(place.clone()), last, what: what.to_owned(), text: text.to_owned() }
    }

    /// About nothing in the file.
    pub fn general(text: impl Into<String>) -> Self {
        Self { place: None, last: 0, what: String::new(), text: text.into() }
    }
}

/// Settings by the names of their variables, each with its items.
pub(super) type Settings = BTreeMap<&'static str, Vec<String>>;

/// A block of the file.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub settings: Settings,
    /// What is to be said beside a setting.
    pub beside: Vec<(&'static str, Note)>,
    /// What is to be said about statements without one.
    pub without: Vec<Note>,
    /// What smtp_alert says: whether changes are told by mail.
    pub alert: Option<bool>,
}

impl Part {
    /// One value.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, vec![value.into()]);
    }

    /// Says about a statement why it has no setting.
    pub fn without(&mut self, statement: &Statement, text: &str) {
        self.without.push(Note::about(statement, text));
    }

    /// Says something about a statement, beside the setting that it is about.
    pub fn beside(&mut self, name: &'static str, statement: &Statement, text: &str) {
        self.beside.push((name, Note::about(statement, text)));
    }

    /// Says something that no statement is the reason of.
    pub fn explain(&mut self, name: &'static str, text: impl Into<String>) {
        self.beside.push((name, Note::general(text)));
    }
}
