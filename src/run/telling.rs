//! Telling of changes, joined with the status: a mail ends with how the group stands.

use crate::config::Notify;
use crate::notify::{Describe, Notifier, Pace};
use crate::status::desk::Desk;
use crate::status::terminal;
use std::sync::Arc;

/// Starts on the status' thread, from whichever other one: both can wait.
pub fn start(settings: &Notify, desk: &Desk) -> Notifier {
    let _there = desk.runtime.enter();
    Notifier::start(settings, &Pace::default(), &describe(desk))
}

/// Tells by other settings from now on.
pub fn apply(notifier: &mut Notifier, settings: &Notify, desk: &Desk) {
    let _there = desk.runtime.enter();
    notifier.apply(settings, &Pace::default(), &describe(desk));
}

/// How the group stands, for the end of a mail.
fn describe(desk: &Desk) -> Describe {
    let room = desk.room.clone();
    Arc::new(move || {
        let room = room.clone();
        Box::pin(async move {
            match room.status().await {
                Some(status) => terminal::group(&*room.group.gather(&status).await),
                None => "the agent does not say how things stand".to_owned(),
            }
        })
    })
}
