//! Who is told of changes: mail to a real server, POSTs to a real sink, real programs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests are tests.

mod command;
mod keepalived;
mod mail;
mod support;
mod webhook;
