//! Who is told of changes: what `notify`, `smtp_alert` and the mail settings of `global_defs` come to.

use super::group::Group;
use super::instance::Instance;
use super::part::{Note, Part};
use super::router::Router;
use super::tree::Statement;
use super::units::NO_VALUE;

/// The setting.
pub(super) const COMMAND: &str = "OUTRIDER_NOTIFY_COMMAND";
const SERVER: &str = "OUTRIDER_SMTP_SERVER";
const TO: &str = "OUTRIDER_SMTP_TO";
const TLS: &str = "OUTRIDER_SMTP_TLS";

/// What is said of a script for one state.
pub(super) const ONE: &str = "there is one command for all changes, OUTRIDER_NOTIFY_COMMAND, with INSTANCE, the name, MASTER, BACKUP, \
                              FAULT or STOP, and the priority behind its own arguments: a script that looks at the state can call \
                              this one";
pub(super) const GROUP: &str =
    "there are no groups here: OUTRIDER_NOTIFY_COMMAND is told of each virtual router, as INSTANCE";
pub(super) const PRIORITY: &str = "nobody is told when a priority changes; the log says it";
pub(super) const LOWER: &str =
    "a holder that hears a lower priority announces the address again; nobody else is told";
pub(super) const DELETED: &str =
    "virtual routers come and go with the agent: OUTRIDER_NOTIFY_COMMAND is told STOP";
const RIGHTS: &str = "runs as the agent does, as user 65534, and without any capability";

/// `notify` of an instance.
pub(super) fn read(to: &mut Instance, it: &Statement) {
    match it.value() {
        Some(command) => to.notify = Some((command.to_owned(), Note::about(it, RIGHTS))),
        None => to.part.beside(COMMAND, it, NO_VALUE),
    }
}

/// The command of the process: that of the first instance that has one.
pub(super) fn command(global: &mut Part, routers: &mut [Router]) {
    let Some((first, command)) =
        routers.iter().find_map(|router| Some((router.name.clone(), router.notify.as_ref()?.0.clone())))
    else {
        return;
    };
    let all = routers.iter().all(|router| router.notify.is_some());
    for router in routers.iter_mut() {
        let Some((own, note)) = router.notify.take() else { continue };
        let note = match own == command {
            true => note,
            false => note.saying(format!(
                "one command is told of all changes, with the name of the virtual router; that of {first} is taken"
            )),
        };
        router.part.beside.push((COMMAND, note));
    }
    if !all {
        global.explain(
            COMMAND,
            "It is told of the changes of all virtual routers, also of those without a notify",
        );
    }
    if let [router] = routers {
        let text = format!(
            "As a variable it leaves the virtual router without a name, and the command is told its first address; with \
             --toml, {}",
            router.name
        );
        global.explain(COMMAND, text);
    }
    global.set(COMMAND, command);
}

/// keepalived sends mail if it knows to whom and by whom, and smtp_alert says so.
pub(super) fn mail(global: &mut Part, routers: &[Router], groups: &[Group]) {
    let wanted = |part: &Part| part.alert.or(global.alert).unwrap_or(false);
    let of_groups = groups.iter().any(|group| {
        group.part.alert == Some(true) && routers.iter().any(|router| group.members.contains(&router.name))
    });
    let some = of_groups || routers.iter().any(|router| wanted(&router.part));
    let all = of_groups || routers.iter().all(|router| wanted(&router.part));
    let whole = [SERVER, TO].iter().all(|name| global.settings.contains_key(name));
    let any = global.settings.keys().any(|name| name.starts_with("OUTRIDER_SMTP_"));
    let value = |name| global.settings.get(name).map(|items| items.join(",")).unwrap_or_default();
    let text = match (whole, some) {
        (true, true) => {
            global.set(TLS, "none");
            global.explain(TLS, "keepalived sends mail in clear. With starttls or tls the agent does not");
            if !all {
                global.explain(TO, "Mail tells of all virtual routers, also of those without smtp_alert");
            }
            return;
        }
        (true, false) => format!(
            "No virtual router has smtp_alert, and keepalived sends no mail about them. To be sent mail, add {SERVER}={}, \
             {TO}={}, {TLS}=none",
            value(SERVER),
            value(TO)
        ),
        (false, true) if !any => {
            "smtp_alert does nothing in keepalived without notification_email and smtp_server".to_owned()
        }
        (false, _) if any => {
            "keepalived sends no mail unless both notification_email and smtp_server are there; left out"
                .to_owned()
        }
        (false, _) => return,
    };
    global.settings.retain(|name, _| !name.starts_with("OUTRIDER_SMTP_"));
    global.explain(TO, text);
}
