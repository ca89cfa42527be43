//! Lines to words and braces, the way keepalived reads them: comments, continuations, definitions, conditions,
//! repetitions and included files.

use super::define::{self, Definitions};
use super::include;
use super::part::Note;
use anyhow::{Result, bail};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where something stands: for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: Rc<str>,
    /// Whether it is an included file, and not the one that was asked for.
    pub included: bool,
    /// Line, counted from 1.
    pub line: usize,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One line's words, or a brace.
#[derive(Debug)]
pub(super) struct Token {
    pub place: Place,
    /// The `@id` in front of it, if it is not known whether it holds.
    pub condition: Option<Rc<str>>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Words(Vec<String>),
    Open,
    Close,
}

/// Lines read, repeated ones counted as often as they are. A bound, not a measure: real files have hundreds.
const MAX_LINES: usize = 20_000;
/// Longest line, definitions filled in.
const MAX_LENGTH: usize = 8_192;
/// Files within files, and definitions within definitions.
const MAX_DEPTH: usize = 16;
/// Replacements in one line. keepalived itself would never come to an end of a definition that contains itself.
const MAX_STEPS: usize = 100;

/// What was read.
#[derive(Default)]
pub(super) struct Reader<'a> {
    config_id: Option<&'a str>,
    pub tokens: Vec<Token>,
    /// What could not be read, or was read with a question.
    pub notes: Vec<Note>,
    definitions: Definitions,
    lines: usize,
    /// Where the file is that was asked for.
    folder: Option<PathBuf>,
}

/// The file that is being read.
struct Source<'a> {
    path: &'a Path,
    /// 0 for the file that was asked for.
    depth: usize,
}

/// A definition that goes on in the next line.
struct Open {
    name: String,
    value: String,
    /// Whether the condition in front of it is known not to hold, or not known at all.
    ignored: bool,
}

impl<'a> Reader<'a> {
    /// One that has read nothing. `config_id` is keepalived's; without it, conditions are marked, not judged.
    pub fn new(config_id: Option<&'a str>) -> Self {
        Self { config_id, ..Self::default() }
    }

    /// Reads what the file at `path` holds. `depth` is 0 for the one that was asked for.
    ///
    /// # Errors
    /// It goes on beyond all bounds.
    pub fn read(&mut self, path: &Path, bytes: &[u8], depth: usize) -> Result<()> {
        // Included files are called as they are seen from the first one.
        let folder = self.folder.get_or_insert_with(|| path.parent().map(Path::to_owned).unwrap_or_default());
        let shown = if depth > 0 { path.strip_prefix(folder).unwrap_or(path) } else { path };
        let file: Rc<str> = Rc::from(shown.display().to_string());
        let source = Source { path, depth };
        let mut open: Option<Open> = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let place = Place { file: file.clone(), included: depth > 0, line: index + 1 };
            let text = String::from_utf8_lossy(line);
            if let std::borrow::Cow::Owned(_) = text {
                self.note(&place, "is not UTF-8; what is not is shown as \u{fffd}");
            }
            let (text, continued) = self.uncommented(&text, &place);
            match &mut open {
                // Lines that are left empty do not end it, as in keepalived.
                Some(_) if text.is_empty() && !continued && line.iter().all(u8::is_ascii_whitespace) => {}
                Some(definition) => {
                    if !text.is_empty() {
                        definition.value.push('\n');
                        definition.value.push_str(&text);
                    }
                    if definition.value.len() > MAX_LENGTH * 4 {
                        bail!("{place}: the definition of {} is too long; write it out", definition.name);
                    }
                    if !continued && let Some(Open { name, value, ignored: false }) = open.take() {
                        self.definitions.set(&name, value);
                    }
                }
                None => open = self.line(&text, &source, &place, None, continued, 0)?,
            }
        }
        if let Some(Open { name, value, ignored: false }) = open {
            self.definitions.set(&name, value);
        }
        Ok(())
    }

    fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.notes.push(Note::at(place, text));
    }

    /// The line without its comment, blanks and final backslash; and whether it had one.
    fn uncommented(&mut self, line: &str, place: &Place) -> (String, bool) {
        let mut text = String::new();
        let mut quoted = false;
        let mut letters = line.trim().chars();
        while let Some(letter) = letters.next() {
            match letter {
                '#' | '!' if !quoted => break,
                '\\' => match letters.next() {
                    None => return (text.trim_end().to_owned(), true),
                    Some(next @ ('#' | '!')) if !quoted => text.push(next),
                    Some(next) => text.extend([letter, next]),
                },
                _ => {
                    quoted ^= letter == '"';
                    text.push(letter);
                }
            }
        }
        if quoted {
            self.note(place, "a quotation mark is not closed; it is taken to end with the line");
        }
        // A comment may hide the backslash that continues a definition.
        let continued = letters.as_str().ends_with('\\');
        (text.trim_end().to_owned(), continued)
    }

    /// Reads one line without comments. Returns the definition that goes on in the next line, if it begins one.
    fn line(
        &mut self,
        text: &str,
        source: &Source<'_>,
        place: &Place,
        condition: Option<Rc<str>>,
        continued: bool,
        level: usize,
    ) -> Result<Option<Open>> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            bail!(
                "{place}: more than {MAX_LINES} lines, repeated ones counted each time; import parts of it"
            );
        }
        if level > MAX_DEPTH {
            bail!("{place}: definitions and repetitions are nested too deeply; write them out");
        }
        let mut condition = condition;
        let mut text = text.to_owned();
        for _ in 0..MAX_STEPS {
            if let Some(rest) = text.strip_prefix('@') {
                let Some((id, rest)) = rest.split_once(char::is_whitespace) else { return Ok(None) };
                match self.config_id {
                    Some(own) => {
                        let holds = id.strip_prefix('^').map_or(id == own, |id| id != own);
                        if !holds {
                            return Ok(continued.then(|| Open::ignored(rest)));
                        }
                    }
                    None => {
                        let both = condition.map_or(format!("@{id}"), |outer| format!("{outer} @{id}"));
                        condition = Some(Rc::from(both));
                    }
                }
                text = rest.trim_start().to_owned();
                continue;
            }
            if let Some((name, value)) = define::definition(&text) {
                return Ok(self.define(name, value, place, condition.as_deref(), continued));
            }
            if text.starts_with('~') {
                return self.repeat(&text, source, place, condition, level).map(|()| None);
            }
            let Some(replaced) = self.definitions.replace(&text, source.path, self.config_id) else {
                return self.words(&text, source, place, condition).map(|()| None);
            };
            if let Some((first, rest)) = replaced.split_once('\n') {
                // Each line by itself: the ones before may define what the ones after are made of.
                self.line(first, source, place, condition.clone(), false, level + 1)?;
                for line in rest.lines() {
                    self.line(line.trim(), source, place, condition.clone(), false, level + 1)?;
                }
                return Ok(None);
            }
            text = replaced;
            if text.len() > MAX_LENGTH {
                bail!(
                    "{place}: the line is longer than {MAX_LENGTH} bytes with its definitions filled in; shorten it"
                );
            }
        }
        bail!("{place}: a definition contains itself; write out what it stands for")
    }

    fn define(
        &mut self,
        name: &str,
        value: &str,
        place: &Place,
        condition: Option<&str>,
        continued: bool,
    ) -> Option<Open> {
        if let Some(condition) = condition {
            let text = format!("${name} is not defined: it is for {condition} only; choose by --config-id");
            self.note(place, text);
        }
        let open = Open { name: name.to_owned(), value: value.to_owned(), ignored: condition.is_some() };
        if continued {
            return Some(open);
        }
        if !open.ignored {
            self.definitions.set(name, open.value);
        }
        None
    }

    fn repeat(
        &mut self,
        line: &str,
        source: &Source<'_>,
        place: &Place,
        condition: Option<Rc<str>>,
        level: usize,
    ) -> Result<()> {
        let repeat = match define::repeat(line, MAX_LINES) {
            Ok(repeat) => repeat,
            Err(what) => {
                self.note(place, format!("{} {what}; left out", shown(line)));
                return Ok(());
            }
        };
        for round in repeat.rounds {
            for (name, value) in round {
                self.definitions.set(name, value);
            }
            self.line(repeat.text, source, place, condition.clone(), false, level + 1)?;
        }
        Ok(())
    }

    fn words(
        &mut self,
        text: &str,
        source: &Source<'_>,
        place: &Place,
        condition: Option<Rc<str>>,
    ) -> Result<()> {
        if let Some(name) = define::undefined(text) {
            let text = format!("{name} is not defined in this file; write its value in its place");
            self.note(place, text);
        }
        let line = split(text);
        if let [Kind::Words(words)] = line.as_slice()
            && let [keyword, pattern] = words.as_slice()
            && INCLUDES.contains(&keyword.as_str())
        {
            return self.include(pattern, source, place, condition.as_deref());
        }
        let tokens =
            line.into_iter().map(|kind| Token { place: place.clone(), condition: condition.clone(), kind });
        self.tokens.extend(tokens);
        Ok(())
    }

    fn include(
        &mut self,
        pattern: &str,
        source: &Source<'_>,
        place: &Place,
        condition: Option<&str>,
    ) -> Result<()> {
        if let Some(condition) = condition {
            self.note(place, format!("include {pattern} is for {condition} only; choose by --config-id"));
            return Ok(());
        }
        if source.depth >= MAX_DEPTH {
            bail!("{place}: files that include files, more than {MAX_DEPTH} deep; does one include itself?");
        }
        let folder = source.path.parent().unwrap_or(Path::new(""));
        match include::matching(folder, pattern) {
            Err(what) => self.note(place, format!("include {} {what}; left out", shown(pattern))),
            Ok(files) if files.is_empty() => {
                self.note(
                    place,
                    format!("include {}: there is no such file; nothing is read", shown(pattern)),
                );
            }
            Ok(files) => {
                for file in files {
                    self.lines += 1;
                    match include::contents(&file) {
                        Ok(bytes) => self.read(&file, &bytes, source.depth + 1)?,
                        Err(error) => self.note(place, format!("include: {error}")),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Open {
    /// One whose lines are to be skipped.
    fn ignored(text: &str) -> Self {
        let name = define::definition(text.trim_start()).map(|(name, _)| name).unwrap_or_default();
        Self { name: name.to_owned(), value: String::new(), ignored: true }
    }
}

/// The letters after `include` say what counts as an error; here it is always told.
const INCLUDES: [&str; 7] =
    ["include", "includer", "includem", "includew", "includeb", "includea", "includet"];

/// Of a text, what fits into a message.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Words and braces. A brace ends a word wherever it stands, except within quotation marks and in `${…}`.
fn split(text: &str) -> Vec<Kind> {
    let mut line = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut reference = false;
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            _ if quoted && letter != '"' => word.get_or_insert_default().push(letter),
            '"' => {
                // Also when empty: "" is a word.
                words.extend(if quoted { Some(word.take().unwrap_or_default()) } else { word.take() });
                quoted = !quoted;
            }
            '{' if before == '$' => {
                reference = true;
                word.get_or_insert_default().push(letter);
            }
            '}' if reference => {
                reference = false;
                word.get_or_insert_default().push(letter);
            }
            '{' | '}' => {
                words.extend(word.take());
                if !words.is_empty() {
                    line.push(Kind::Words(std::mem::take(&mut words)));
                }
                line.push(if letter == '{' { Kind::Open } else { Kind::Close });
            }
            _ if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
        before = letter;
    }
    words.extend(word);
    if !words.is_empty() {
        line.push(Kind::Words(words));
    }
    line
}
