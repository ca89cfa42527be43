//! The checker against real sockets and a real load balancer.

// clippy.toml's leave for tests covers test functions, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod exec;
mod haproxy;
mod http;
mod schedule;
mod support;
mod tcp;
