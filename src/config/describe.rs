//! What people see of the settings: the table of `check-config` and the list in the help text.

use super::variables::TABLE;
use super::{Loaded, Origin};
use std::fmt::{self, Display, Formatter, Write};

/// Every setting in the order of the help text: name, value fit to be shown, and where it came from.
pub fn describe(loaded: &Loaded) -> Vec<(&'static str, String, Origin)> {
    let names = TABLE.iter().map(|variable| variable.name);
    names
        .filter_map(|name| Some((name, loaded.texts.get(name)?.clone(), loaded.origins.get(name)?.clone())))
        .collect()
}

/// Aligns rows of three columns. Long values push their own origin to the right, not everybody's.
pub fn table<A: Display, B: Display, C: Display>(rows: &[(A, B, C)]) -> String {
    const WIDEST: usize = 40;
    let rows: Vec<[String; 3]> =
        rows.iter().map(|(a, b, c)| [a.to_string(), one_line(&b.to_string()), c.to_string()]).collect();
    let width = |column: fn(&[String; 3]) -> &str| {
        rows.iter().map(|row| column(row).chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0)
    };
    let (first, second) = (width(|row| &row[0]), width(|row| &row[1]));
    rows.iter().fold(String::new(), |mut text, [a, b, c]| {
        let _ = writeln!(text, "{a:first$}  {b:second$}  {c}");
        text
    })
}

/// One line, whatever the value holds.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect()
}

/// The list of variables for the help text.
pub fn help() -> String {
    let mut text = String::from("Settings are environment variables (empty means unset):\n");
    for variable in &TABLE {
        let _ = write!(text, "  {:27} {}", variable.name, variable.meaning);
        let _ = writeln!(text, " [default: {}]", variable.fallback_text());
    }
    let secret: Vec<&str> = TABLE.iter().filter(|row| row.secret).map(|row| row.name).collect();
    let _ = writeln!(text, "\nMay stand in a file instead, named by ..._FILE: {}.", secret.join(", "));
    text.replace("[default: (required)]", "(required)")
        + "With a list of peers, OUTRIDER_CHECK is tcp://127.0.0.1:80 by default.\n\
           Durations have a unit: 200ms, 1.5s, 1m."
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::SecretFile(path) => write!(f, "secret file {}", path.display()),
            Self::Derived => f.write_str("derived"),
        }
    }
}
