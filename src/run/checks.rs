//! The checks of all virtual routers: those with the same settings share their looks.

use crate::config::{CheckSettings, Config, Target};
use crate::health::{self, Checker, Pace, Report};
use crate::net::alarm;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The running checks, and what each virtual router wants of them.
pub struct Checks {
    groups: Vec<Group>,
    reports: UnboundedSender<(usize, Report)>,
    /// Of the thread they run on.
    runtime: Handle,
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
        let (groups, reports) = (Vec::new(), reports.clone());
        let mut checks = Checks { groups, reports, runtime: Handle::current() };
        for (router, settings) in config.routers.iter().map(|router| &router.checks).enumerate() {
            checks.join(settings.clone(), Wish { router, targets: Vec::new(), hurried: false });
        }
        checks
    }

    fn join(&mut self, settings: CheckSettings, wish: Wish) {
        let router = wish.router;
        match self.groups.iter_mut().find(|group| group.settings == settings) {
            Some(group) => group.routers.push(wish),
            None => {
                let _on_its_thread = self.runtime.enter();
                let (sender, mut seen) = unbounded_channel();
                let checker = health::start(settings.clone(), sender, alarm::now);
                let (number, reports) = (self.groups.len(), self.reports.clone());
                tokio::spawn(async move {
                    while let Some(report) = seen.recv().await {
                        if reports.send((number, report)).is_err() {
                            return;
                        }
                    }
                });
                self.groups.push(Group { settings, checker, routers: vec![wish] });
            }
        }
        self.change(router, |_| {});
    }

    /// Sets how a virtual router's targets are looked at.
    pub fn set_settings(&mut self, router: usize, settings: CheckSettings) {
        for group in &mut self.groups {
            if let Some(place) = group.routers.iter().position(|wish| wish.router == router) {
                let wish = group.routers.remove(place);
                // Groups are known by their place: one that nobody is in any more looks at nothing.
                group.look();
                return self.join(settings, wish);
            }
        }
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
            return group.look();
        }
    }
}

impl Group {
    /// Looks at what is wanted.
    fn look(&self) {
        let mut all: Vec<Target> = Vec::new();
        for target in self.routers.iter().flat_map(|wish| &wish.targets) {
            if !all.contains(target) {
                all.push(target.clone());
            }
        }
        self.checker.set_targets(all);
        let hurried = self.routers.iter().any(|wish| wish.hurried);
        self.checker.set_pace(if hurried { Pace::Eager } else { Pace::Normal });
    }
}
