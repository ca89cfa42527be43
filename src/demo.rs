//! The demo's script and its table.
