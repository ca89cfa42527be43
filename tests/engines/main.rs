//! The image, and deploy/docker-compose.yml, on real Docker engines.
//!
//! Every host of the lab is a machine of its own: its network namespace, with namespaces of its own for processes,
//! mounts and /run, and in them an unchanged dockerd. The image is built from the Dockerfile, with a toolchain image
//! made of this machine's toolchain, since none can be pulled; that takes minutes, and is done again only when what
//! goes into the image has changed (target/tmp/engines keeps it).
//!
//! Needs the machine's root, and the Debian packages docker.io, docker-compose, docker-registry, busybox-static and
//! haproxy: a test that misses one says which.
#![cfg(feature = "lab")]
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod balancers;
mod engine;
mod faults;
mod image;
mod images;
mod readme;
mod site;
mod strangers;
mod upgrade;
