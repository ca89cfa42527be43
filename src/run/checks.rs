//! The checks of all virtual routers: those with the same settings share their looks.

use crate::config::{CheckSettings, Config, Target};
use crate::health::{self, Checker, Pace, Report};
use crate::net::alarm;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The running checks, and what each virtual router wants of them.
pub struct Checks {
    groups: Vec<Group>,
}

struct Group {
    settings: CheckSettings,
    checker: Checker,
    routers: Vec<Wish>,
}

struct Wish {
    router: usize,
    targets: Vec<Target>,
    hurried: bool,
}

impl Checks {
    /// Starts the checks on the current runtime, without targets. Each report comes with the number of its group.
    pub fn start(config: &Config, reports: &UnboundedSender<(usize, Report)>) -> Checks {
        let mut groups: Vec<Group> = Vec::new();
        for (router, settings) in config.routers.iter().map(|router| &router.checks).enumerate() {
            let wish = Wish { router, targets: Vec::new(), hurried: false };
            match groups.iter_mut().find(|group| group.settings == *settings) {
                Some(group) => group.routers.push(wish),
                None => {
                    let (sender, mut seen) = unbounded_channel();
                    let checker = health::start(settings.clone(), sender, alarm::now);
                    let (number, reports) = (groups.len(), reports.clone());
                    tokio::spawn(async move {
                        while let Some(report) = seen.recv().await {
                            if reports.send((number, report)).is_err() {
                                return;
                            }
                        }
                    });
                    groups.push(Group { settings: settings.clone(), checker, routers: vec![wish] });
                }
            }
        }
        Checks { groups }
    }

    /// The virtual routers that a report of this group about this target is for.
    pub fn routers(&self, group: usize, target: &Target) -> Vec<usize> {
        let wishes = self.groups.get(group).map(|group| group.routers.as_slice()).unwrap_or_default();
        wishes.iter().filter(|wish| wish.targets.contains(target)).map(|wish| wish.router).collect()
    }

    /// Sets what is checked for a virtual router.
    pub fn set_targets(&mut self, router: usize, targets: Vec<Target>) {
        self.change(router, |wish| wish.targets = targets);
    }

    /// Whether a virtual router wants its targets to be looked at more often.
    pub fn set_hurry(&mut self, router: usize, hurried: bool) {
        self.change(router, |wish| wish.hurried = hurried);
    }

    fn change(&mut self, router: usize, change: impl FnOnce(&mut Wish)) {
        for group in &mut self.groups {
            let Some(wish) = group.routers.iter_mut().find(|wish| wish.router == router) else { continue };
            change(wish);
            let mut all: Vec<Target> = Vec::new();
            for target in group.routers.iter().flat_map(|wish| &wish.targets) {
                if !all.contains(target) {
                    all.push(target.clone());
                }
            }
            group.checker.set_targets(all);
            let hurried = group.routers.iter().any(|wish| wish.hurried);
            return group.checker.set_pace(if hurried { Pace::Eager } else { Pace::Normal });
        }
    }
}
