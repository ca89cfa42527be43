//! Command line, logging, exit codes; nothing else.

use clap::{Parser, Subcommand};
use outrider::config::{self, Config, Faults, Loaded};
use outrider::run::logging;
use std::io::Write;
use std::process::ExitCode;

/// Wrong configuration or usage (clap ends with the same).
const WRONG: u8 = 2;

/// Keeps one address on whichever host has a load balancer that answers.
#[derive(Parser)]
#[command(version, after_help = config::help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent until SIGTERM or SIGINT (the default)
    Run,
    /// Print the settings in force, where each came from, and what was derived; touch nothing
    CheckConfig,
    /// Show elections and fail-overs between hosts in network namespaces
    #[cfg(feature = "lab")]
    Demo,
}

fn main() -> ExitCode {
    match Arguments::parse().command.unwrap_or(Command::Run) {
        Command::Run => with_settings(run),
        Command::CheckConfig => with_settings(check_config),
        #[cfg(feature = "lab")]
        Command::Demo => match stubs::demo() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
    }
}

fn with_settings(command: fn(Loaded) -> ExitCode) -> ExitCode {
    match Config::load(std::env::vars_os()) {
        Ok(loaded) => command(loaded),
        Err(Faults(faults)) => {
            for fault in faults {
                let _ = writeln!(std::io::stderr(), "{fault}");
            }
            ExitCode::from(WRONG)
        }
    }
}

fn run(loaded: Loaded) -> ExitCode {
    let _log = logging::init(&loaded.config);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match stubs::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_config(loaded: Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    match stubs::check_config(&loaded) {
        Ok(report) => match write!(std::io::stdout(), "{report}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{error:#}");
    ExitCode::FAILURE
}

/// WIRING: replace by `outrider::run::{run, check_config}` and `outrider::demo::run`, and delete.
mod stubs {
    use super::{Loaded, config};
    use anyhow::bail;

    pub fn run(_loaded: Loaded) -> anyhow::Result<()> {
        bail!("not wired yet")
    }

    pub fn check_config(loaded: &Loaded) -> anyhow::Result<String> {
        Ok(config::table(&config::describe(loaded)))
    }

    #[cfg(feature = "lab")]
    pub fn demo() -> anyhow::Result<()> {
        bail!("not wired yet")
    }
}
