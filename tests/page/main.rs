//! The page in a real browser, with real agents behind it, and with answers that agents do not give of themselves.
//! Needs root, or a user namespace (tests/run), and the Debian packages chromium and chromium-driver: a test that
//! misses one says which.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod forged;
mod running;
mod site;
mod token;
