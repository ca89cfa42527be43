//! Command line, logging, exit codes; nothing else.

use clap::{Parser, Subcommand};
use outrider::config::{self, Config, Faults, Loaded};
use outrider::import;
use outrider::run::privileges::{self, Rights};
use outrider::run::report::check_config as check_config_report;
use outrider::run::{Misconfigured, logging, realtime};
use outrider::status::command as status;
use outrider::status::socket::{self, Order};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Wrong configuration or usage (clap ends with the same).
const WRONG: u8 = 2;
/// This host could not hold an address.
const UNWELL: u8 = 3;

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
    /// Print who holds the address, since when, why, and how this host stands
    ///
    /// Exit code 0: this host holds, or could hold, every address (with --group: nothing critical is wrong). 1: no
    /// agent answers. 2: wrong usage. 3: this host could not hold an address, or something critical is wrong.
    Status {
        /// All hosts, and what is wrong with all of it together
        #[arg(long)]
        group: bool,
        /// The JSON document (that of /status, with --group that of /group)
        #[arg(long)]
        json: bool,
        /// Only whether the agent works, whatever its state (for a container's health check)
        #[arg(long, conflicts_with_all = ["group", "json", "watch"])]
        healthz: bool,
        /// Again every second, until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Take this host out of service: hand the address over and claim it no more
    ///
    /// Fails (exit code 1) while no other member takes the address; it is tried again every few seconds.
    Drain {
        /// Let go of the address even if no other member takes it
        #[arg(long)]
        force: bool,
    },
    /// Put this host back into service
    Undrain,
    /// Print the settings that a keepalived.conf stands for, with a remark for what has no equivalent
    ///
    /// Exit code 0: the agent would start with them. 1: it would not, and why is told. 2: wrong usage.
    ImportKeepalived {
        /// The file that keepalived reads; what it includes is read as well
        file: std::path::PathBuf,
        /// Print a TOML file (for OUTRIDER_CONFIG) instead of environment variables
        #[arg(long)]
        toml: bool,
        /// Only the vrrp_instance of this name
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
        /// What keepalived is started with as --config-id: chooses among lines that begin with @ID
        #[arg(long, value_name = "ID")]
        config_id: Option<String>,
    },
    /// Show elections and fail-overs between hosts in network namespaces
    #[cfg(feature = "lab")]
    Demo,
    /// The load balancer of the demo's hosts
    #[cfg(feature = "lab")]
    #[command(hide = true)]
    LabBalancer {
        #[arg(long)]
        listen: std::net::SocketAddr,
        #[arg(long)]
        name: String,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command.unwrap_or(Command::Run) {
        Command::Run => with_settings(run),
        Command::CheckConfig => with_settings(check_config),
        Command::Status { group, json, healthz, watch } => {
            let options = status::Options { group, json, healthz, watch };
            with_socket(|socket| show(socket, options))
        }
        Command::Drain { force } => with_socket(|socket| order(socket, Order::Drain { force })),
        Command::Undrain => with_socket(|socket| order(socket, Order::Undrain)),
        Command::ImportKeepalived { file, toml, instance, config_id } => {
            import(&file, &import::Options { toml, instance, config_id })
        }
        #[cfg(feature = "lab")]
        Command::Demo => match outrider::demo::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        #[cfg(feature = "lab")]
        Command::LabBalancer { listen, name } => match outrider::lab::balancer::main(listen, name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
    }
}

fn with_settings(command: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
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

/// The agent whose settings these are; without any, the only one on this host.
fn with_socket(command: impl FnOnce(&str) -> ExitCode) -> ExitCode {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["OUTRIDER_VIP", "OUTRIDER_SOCKET", "OUTRIDER_CONFIG"].into_iter().any(is_set) {
        return with_settings(|loaded| command(&loaded.config.socket));
    }
    match socket::only() {
        Ok(socket) => command(&socket),
        Err(error) => failed(&error),
    }
}

fn run(loaded: Loaded) -> ExitCode {
    // Before the first thread, the log's: rights belong to threads.
    let realtime = realtime::enter();
    let rights = privileges::reduce();
    let _log = realtime::aside(|| logging::init(&loaded.config));
    match rights {
        Ok(Rights { text, notable: true }) => tracing::info!("runs {text}{realtime}"),
        Ok(Rights { text, notable: false }) => tracing::debug!("runs {text}{realtime}"),
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::FAILURE;
        }
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match outrider::run::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            if error.is::<Misconfigured>() { ExitCode::from(WRONG) } else { ExitCode::FAILURE }
        }
    }
}

fn check_config(loaded: Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    match check_config_report(&loaded) {
        Ok(report) => match write!(std::io::stdout(), "{}", report.text) {
            Ok(()) if report.wrong => ExitCode::from(WRONG),
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => failed(&error),
    }
}

fn show(socket: &str, options: status::Options) -> ExitCode {
    match status::run(socket, options) {
        Ok(status::Verdict::Well) => ExitCode::SUCCESS,
        Ok(status::Verdict::Unwell) => ExitCode::from(UNWELL),
        Err(error) => failed(&error),
    }
}

fn order(socket: &str, order: Order) -> ExitCode {
    match socket::order(socket, order) {
        Ok(done) => match writeln!(std::io::stdout(), "{done}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => failed(&error),
    }
}

fn import(file: &Path, options: &import::Options) -> ExitCode {
    let imported = match import::file(file, options) {
        Ok(imported) => imported,
        Err(error) => return failed(&error),
    };
    for fault in &imported.faults {
        let _ = writeln!(std::io::stderr(), "{fault}");
    }
    match std::io::stdout().write_all(imported.text.as_bytes()) {
        Ok(()) if imported.faults.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{error:#}");
    ExitCode::FAILURE
}
