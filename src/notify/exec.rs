//! A program that is told of changes as keepalived tells its `notify` scripts.

use super::Change;
use super::lane::{Failure, Way};
use crate::child::{Program, Rest, Running};
use crate::core::event::State;
use std::sync::Arc;
use std::time::Duration;

/// The program.
pub(super) struct Command {
    path: String,
    program: Program,
    limit: Duration,
}

impl Command {
    pub fn new(argv: &[String], limit: Duration, running: &Running) -> Self {
        // What a script starts in the background goes on under keepalived, too.
        let program = Program::new(argv, Rest::GoesOn, running);
        let path = argv.first().cloned().unwrap_or_default();
        Self { path, program, limit }
    }

    /// keepalived.conf(5): INSTANCE, the name, the state and the priority, after the program's own arguments.
    async fn run(&mut self, change: &Change, state: &str) -> Result<(), Failure> {
        let priority = change.priority.to_string();
        let arguments = ["INSTANCE", &change.router, state, &priority].map(str::to_owned);
        // Not OUTRIDER_…, which would be settings for an outrider that the program calls.
        let variables = [
            ("VRRP_TYPE", "INSTANCE".to_owned()),
            ("VRRP_NAME", change.router.clone()),
            ("VRRP_STATE", state.to_owned()),
            ("VRRP_PRIORITY", priority),
            ("VRRP_HOST", change.host.clone()),
            ("VRRP_ADDRESSES", change.addresses.join(" ")),
            ("VRRP_ID", change.vrid.to_string()),
            ("VRRP_INTERFACE", change.interface.clone()),
            ("VRRP_REASON", change.why.clone()),
        ];
        // Not again: what a program has done before it failed is not known.
        self.program.run(&arguments, &variables, self.limit).await.map_err(Failure::Never)
    }
}

impl Way for Command {
    const GATHERS: bool = false;

    fn name(&self) -> String {
        format!("command {}", self.path)
    }

    async fn deliver(&mut self, changes: &[Arc<Change>]) -> Result<(), Failure> {
        for change in changes {
            let state = match change.to {
                State::Active => "MASTER",
                State::Backup => "BACKUP",
                State::Fault => "FAULT",
                // keepalived has no word for it that scripts would know.
                State::Initialize => continue,
            };
            self.run(change, state).await?;
        }
        Ok(())
    }

    async fn end(&mut self, last: Vec<Change>) -> Result<(), Failure> {
        for change in last {
            self.run(&Change { why: "the agent stops".to_owned(), ..change }, "STOP").await?;
        }
        Ok(())
    }
}
