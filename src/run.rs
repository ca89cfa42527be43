//! The one place where core and adapters meet: wait, feed the core, carry out its commands.

pub mod logging;
