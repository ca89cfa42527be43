//! New images, host by host.
