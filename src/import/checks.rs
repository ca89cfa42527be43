//! What a virtual router checks: everything that its instance and its groups track.

use super::part::Part;
use super::router::say;
use super::tracked::{CHECK, Tracked, Use, of_weight};

/// Sets the checks of a router. What is tracked is told once: `tracked` is emptied of its notes.
pub(super) fn settle(part: &mut Part, uses: &[Use], tracked: &mut [Tracked]) {
    let mut targets: Vec<String> = Vec::new();
    let mut lost = false;
    let mut elsewhere = false;
    for used in uses {
        let Some(tracked) = tracked.iter_mut().find(|tracked| tracked.name == used.name) else {
            say(
                part,
                CHECK,
                &used.note,
                "there is no vrrp_script or vrrp_track_process of that name; left out, as keepalived does",
            );
            continue;
        };
        tracked.used = true;
        if used.early {
            let text =
                "stands further down, where keepalived 2 does not see it and leaves it out; here it counts";
            say(part, CHECK, &used.note, text);
        }
        let weight = used.weight.clone().or(tracked.weight.clone());
        if let Some(text) = weight.as_deref().and_then(of_weight) {
            say(part, CHECK, &used.note, &text);
        }
        part.beside.append(&mut tracked.part.beside);
        part.without.append(&mut tracked.part.without);
        for (name, value) in &tracked.part.settings {
            match part.settings.get(name) {
                Some(other) if other != value => {
                    part.explain(
                        name,
                        format!(
                            "One for all checks of a virtual router: that of {} is left out",
                            tracked.name
                        ),
                    );
                }
                _ => {
                    part.settings.insert(name, value.clone());
                }
            }
        }
        elsewhere |= tracked.check.elsewhere;
        lost |= tracked.check.targets.is_empty() && !tracked.check.elsewhere;
        targets.extend(
            tracked
                .check
                .targets
                .iter()
                .filter(|target| !targets.contains(target))
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    if targets.is_empty() && lost {
        part.explain(
            CHECK,
            "This stands in for what could not be made out: write what has to answer on this host",
        );
        targets.push("tcp://127.0.0.1:80".to_owned());
    } else if targets.is_empty() {
        if !elsewhere {
            part.explain(
                CHECK,
                "No script is tracked: keepalived looks at the link alone. Better: http://127.0.0.1:80/ or what else has to \
                 answer on this host",
            );
        }
        targets.push("none".to_owned());
    }
    part.settings.insert(CHECK, targets);
}
