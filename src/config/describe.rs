//! What people see of the settings: the tables of `check-config` and the list in the help text.

use super::variables::{Eyes, TABLE};
use super::{Loaded, Origin};
use std::fmt::{self, Display, Formatter, Write};

/// Settings with a title in common, in the order of the help text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Whose they are, if there are several virtual routers.
    pub title: Option<String>,
    /// Name, value fit to be shown, and where it came from.
    pub rows: Vec<(&'static str, String, Origin)>,
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(title) = &self.title {
            writeln!(f, "{}:", one_line(title))?;
        }
        f.write_str(&table(&self.rows))
    }
}

/// Every setting. Of several virtual routers: first what they have in common, then what each has of its own.
pub fn describe(loaded: &Loaded) -> Vec<Section> {
    let of_all = |name: &str| match loaded.process.get(name) {
        Some(setting) => Some(setting),
        None => {
            let (first, others) = loaded.routers.split_first()?;
            let setting = first.get(name)?;
            others.iter().all(|other| other.get(name) == Some(setting)).then_some(setting)
        }
    };
    let row = |name, setting: &super::reader::Setting| (name, setting.text.clone(), setting.origin.clone());
    let names = || TABLE.iter().map(|variable| variable.name);
    let common = names().filter_map(|name| Some(row(name, of_all(name)?))).collect();
    if let [_] = loaded.routers.as_slice() {
        return vec![Section { title: None, rows: common }];
    }
    let numbered = loaded.config.routers.iter().zip(&loaded.routers).enumerate();
    let own = numbered.map(|(index, (router, shown))| {
        let rows = names().filter(|name| of_all(name).is_none());
        Section {
            title: Some(format!("Router {} ({})", index + 1, router.name)),
            rows: rows.filter_map(|name| Some(row(name, shown.get(name)?))).collect(),
        }
    });
    [Section { title: Some("All virtual routers".to_owned()), rows: common }].into_iter().chain(own).collect()
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
    let names = |wanted: fn(&super::variables::Variable) -> bool| {
        let rows = TABLE.iter().filter(|row| wanted(row)).map(|row| row.name);
        rows.collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(
        text,
        "\nMay stand in a file instead, named by ..._FILE: {}.\n\
         Several virtual routers: semicolons or line breaks between the addresses of one and the next, and in the \
         other\nvariables either one value for all or as many as there are routers. One for the process: {}.\n\
         Semicolons in OUTRIDER_CHECK separate checks, which are for all routers and must all pass.",
        names(|row| row.eyes != Eyes::All),
        names(|row| row.process),
    );
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
