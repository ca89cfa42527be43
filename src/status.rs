//! What people can ask of the running agent, and tell it.

pub mod socket;
