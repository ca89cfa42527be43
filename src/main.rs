//! Command line, logging, exit codes; nothing else.

fn main() {}
