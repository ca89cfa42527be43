//! `outrider status`: asks the agent on this host, and prints what it says.

use super::document::{self, Status};
use super::group::{self, Group, Severity};
use super::socket::{self, Question};
use super::terminal;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

/// Pause between two looks with `--watch`.
const PAUSE: Duration = Duration::from_secs(1);
/// Clears the screen, as `watch` does.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// All hosts, not only this one.
    pub group: bool,
    /// The document itself.
    pub json: bool,
    /// Only whether the agent works.
    pub healthz: bool,
    /// Again and again.
    pub watch: bool,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This host holds, or could hold, every address; with `--group`, nothing is critical.
    Well,
    /// It does not, or something is.
    Unwell,
}

/// Asks the agent behind a local socket, and prints its answer to stdout.
///
/// # Errors
/// No agent answers (with `watch` that is printed), or stdout is closed.
pub fn run(socket: &str, options: Options) -> Result<Verdict> {
    if !options.watch {
        let (text, verdict) = look(socket, options)?;
        print(&text)?;
        return Ok(verdict);
    }
    loop {
        // An agent that is gone may come back.
        let text = look(socket, options).map_or_else(|error| format!("{error:#}\n"), |(text, _)| text);
        print(&if stdout().is_terminal() { CLEAR.to_owned() + &text } else { text })?;
        std::thread::sleep(PAUSE);
    }
}

fn print(text: &str) -> Result<()> {
    stdout().write_all(text.as_bytes())?;
    Ok(stdout().flush()?)
}

fn look(socket: &str, options: Options) -> Result<(String, Verdict)> {
    let question = if options.group { Question::Group } else { Question::Status };
    let answer = socket::ask(socket, question)?;
    if options.healthz {
        return Ok(("ok\n".to_owned(), Verdict::Well));
    }
    let unknown = "the agent's answer is not understood: is it of another version?";
    let (text, well) = if options.group {
        let group: Group = serde_json::from_str(&answer).context(unknown)?;
        let critical = group.alarms.iter().any(|alarm| alarm.severity == Severity::Critical);
        if group.version != group::VERSION {
            bail!(unknown);
        }
        (terminal::group(&group), !critical)
    } else {
        let status: Status = serde_json::from_str(&answer).context(unknown)?;
        if status.version != document::VERSION {
            bail!(unknown);
        }
        (terminal::status(&status), status.ready)
    };
    let text = if options.json { answer + "\n" } else { text };
    Ok((text, if well { Verdict::Well } else { Verdict::Unwell }))
}
