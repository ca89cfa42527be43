//! `$NAME=value`, `${NAME}`, and the lines that `~SEQ` and `~LST` repeat.

use std::collections::BTreeMap;
use std::path::Path;

/// What names stand for. A value may have several lines.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<String, String>);

impl Definitions {
    pub fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// The text with the first defined name in it replaced. `None`: there is none left.
    ///
    /// As keepalived does it, a name without braces counts only before a blank or at the end.
    pub fn replace(&self, text: &str, file: &Path, config_id: Option<&str>) -> Option<String> {
        let mut from = 0;
        while let Some(at) = text.get(from..)?.find('$') {
            let start = from + at;
            let after = text.get(start + 1..)?;
            if let Some((name, length)) = reference(after)
                && let Some(value) = self.value(name, file, config_id)
            {
                return Some(format!("{}{value}{}", text.get(..start)?, after.get(length..)?));
            }
            from = start + 1;
        }
        None
    }

    fn value(&self, name: &str, file: &Path, config_id: Option<&str>) -> Option<String> {
        if let Some(value) = self.0.get(name) {
            return Some(value.clone());
        }
        match name {
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_PWD" => Some(file.parent().map(|folder| folder.display().to_string()).unwrap_or_default()),
            "_INSTANCE" => config_id.map(str::to_owned),
            _ => None,
        }
    }
}

/// The name that follows a dollar sign, and how much of the text it takes.
fn reference(text: &str) -> Option<(&str, usize)> {
    if let Some(inside) = text.strip_prefix('{') {
        let name = inside.get(..inside.find('}')?)?;
        return is_name(name).then_some((name, name.len() + 2));
    }
    let end = text.find(|letter: char| !is_letter(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (is_name(name) && (rest.is_empty() || rest.starts_with(char::is_whitespace))).then_some((name, end))
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn is_name(text: &str) -> bool {
    text.chars().all(is_letter) && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// The first `${…}` outside quotation marks, which keepalived would take for the beginning of a block.
pub(super) fn undefined(text: &str) -> Option<&str> {
    let mut quoted = false;
    for (index, letter) in text.char_indices() {
        quoted ^= letter == '"';
        if !quoted && letter == '$' && text.get(index + 1..)?.starts_with('{') {
            let rest = text.get(index..)?;
            return rest.get(..=rest.find('}')?);
        }
    }
    None
}

/// Name and value of a line that defines something.
pub(super) fn definition(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.strip_prefix('$')?.split_once('=')?;
    is_name(name).then_some((name, value.trim_start()))
}

/// A line to be read once for each of `rounds`, which say what to define before.
#[derive(Debug, PartialEq)]
pub(super) struct Repeat<'a> {
    /// Name and value pairs, in the order of the rounds.
    pub rounds: Vec<Vec<(&'a str, String)>>,
    /// What is read each time.
    pub text: &'a str,
}

/// Reads `~SEQ(NAME, start, step, end) text`, `~SEQx` (hexadecimal) or `~LST(NAME, a, b) text`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn repeat(line: &str, most: usize) -> Result<Repeat<'_>, &'static str> {
    const FORM: &str = "is none of ~SEQ(NAME, start, step, end), ~SEQx(...) and ~LST(NAME, value, ...)";
    let open = line.find('(').ok_or(FORM)?;
    let (kind, rest) = line.split_at_checked(open).ok_or(FORM)?;
    let (inside, text) = rest.get(1..).and_then(|rest| rest.split_once(')')).ok_or(FORM)?;
    let mut items = Vec::new();
    // A comma within braces separates what belongs together.
    let (mut depth, mut start) = (0_i32, 0);
    for (index, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(inside.get(start..index).ok_or(FORM)?.trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(inside.get(start..).ok_or(FORM)?.trim());
    let (name, values) = items.split_first().filter(|(_, values)| !values.is_empty()).ok_or(FORM)?;
    let rounds = match kind.trim() {
        "~SEQ" => sequence(name, values, most, |value| value.to_string()),
        "~SEQx" => sequence(name, values, most, |value| format!("{value:x}")),
        "~LST" if values.len() <= most => {
            let names = group(name);
            let rounds = values.iter().map(|value| {
                let values = group(value);
                (values.len() == names.len()).then(|| {
                    names.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect()
                })
            });
            rounds.collect::<Option<_>>().ok_or("has a group with more or fewer values than names")
        }
        "~LST" => Err("has too many values"),
        _ => Err(FORM),
    }?;
    match rounds.iter().flatten().all(|(name, _)| is_name(name)) {
        true => Ok(Repeat { rounds, text: text.trim() }),
        false => Err(FORM),
    }
}

/// `{a, b}` or a single one.
fn group(text: &str) -> Vec<&str> {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(inside) => inside.split(',').map(str::trim).collect(),
        None => vec![text],
    }
}

fn sequence<'a>(
    name: &'a str,
    values: &[&str],
    most: usize,
    show: impl Fn(i64) -> String,
) -> Result<Vec<Vec<(&'a str, String)>>, &'static str> {
    let number = |text: &&str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let numbers: Option<Vec<i64>> = values.iter().map(number).collect();
    let direction = |start: i64, end: i64| if start <= end { 1 } else { -1 };
    let (start, step, end) = match numbers.as_deref() {
        Some([end]) if *end < 1 => (-1, -1, *end),
        Some([end]) => (1, 1, *end),
        Some([start, end]) => (*start, direction(*start, *end), *end),
        Some([start, step, end]) => (*start, *step, *end),
        _ => return Err("has something else than one, two or three numbers after the name"),
    };
    if step == 0 || (start != end && step.signum() != direction(start, end)) {
        return Err("never reaches its end; turn the sign of the step");
    }
    let mut rounds = Vec::new();
    let mut value = start;
    while (step > 0 && value <= end) || (step < 0 && value >= end) {
        if rounds.len() == most {
            return Err("has too many rounds");
        }
        rounds.push(vec![(name, show(value))]);
        match value.checked_add(step) {
            Some(next) => value = next,
            None => break,
        }
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        let rounds = repeat(line, 100).unwrap().rounds;
        rounds
            .iter()
            .map(|round| round.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("+"))
            .collect()
    }

    #[test]
    fn sequences_and_lists() {
        assert_eq!(values("~SEQ(N, 3) x"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(N, -2) x"), ["-1", "-2"]);
        assert_eq!(values("~SEQ(N, 5, 4) x"), ["5", "4"]);
        assert_eq!(values("~SEQ(N, 1, 2, 6) x"), ["1", "3", "5"]);
        assert_eq!(values("~SEQx(N, 0x90, 0x10, 0xb0) x"), ["90", "a0", "b0"]);
        assert_eq!(values("~LST(N, a, b) x"), ["a", "b"]);
        assert_eq!(values("~LST({A,B}, {1, 2},{3,4}) x"), ["1+2", "3+4"]);
        for wrong in [
            "~SEQ",
            "~SEQ()",
            "~SEQ(N)",
            "~SEQ(N, 1, 0, 5)",
            "~SEQ(N, 1, -1, 5)",
            "~FOO(N, 1)",
            "~SEQ(N, x)",
            "~SEQ(N, 1, 1000)",
            "~LST({A,B}, 1)",
            "~SEQ(1, 1)",
        ] {
            assert!(repeat(wrong, 100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_replaced_one_by_one() {
        let mut definitions = Definitions::default();
        definitions.set("A", "1".to_owned());
        definitions.set("AB", "2".to_owned());
        let replace = |text: &str| definitions.replace(text, Path::new("/etc/x.conf"), None);
        assert_eq!(replace("x $A y").as_deref(), Some("x 1 y"));
        assert_eq!(replace("${A}.$AB").as_deref(), Some("1.$AB"));
        assert_eq!(replace("$A.1 $AB").as_deref(), Some("$A.1 2"), "no blank after the first");
        assert_eq!(replace("${_PWD}${_HASH}").as_deref(), Some("/etc${_HASH}"));
        assert_eq!(replace("$C ${C} ${A $ {A} é$"), None);
    }
}
