//! What is worth telling of an error that wraps others.

use std::error::Error;
use std::io;

/// The error below this one. An `io::Error`'s own `source` skips the error it was made of.
pub(crate) fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The words of the innermost error: the outer ones only say that something failed.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(below) = inner(error) {
        error = below;
    }
    error.to_string()
}
