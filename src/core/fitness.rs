//! Rise and fall: what the checks saw, made into fit or unfit.

use crate::core::Outcome;
use std::collections::BTreeMap;

/// The state of all checks. Fit: every one of them passes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fitness {
    rise: u32,
    fall: u32,
    checks: BTreeMap<String, Check>,
    /// Why there is nothing to check although something should be.
    missing: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Check {
    looked: bool,
    fit: bool,
    /// Results in a row that speak against `fit`.
    against: u32,
    why: String,
}

impl Fitness {
    /// Nothing is known yet, so nothing is fit. `rise` and `fall` are at least 1.
    pub fn new(rise: u32, fall: u32) -> Fitness {
        let missing = Some("it is not known yet what to check".to_owned());
        Fitness { rise, fall, checks: BTreeMap::new(), missing }
    }

    /// Successes and failures in a row that count, at least 1 each.
    pub fn set_limits(&mut self, rise: u32, fall: u32) {
        (self.rise, self.fall) = (rise, fall);
    }

    /// What must pass from now on, by name. A check that joins while this host is fit counts as passing until
    /// it has failed, so that a new port never takes the address from its holder.
    pub fn set_checks(&mut self, names: &[String]) {
        let fit = self.unfit().is_none();
        self.missing = None;
        self.checks.retain(|name, _| names.contains(name));
        for name in names {
            let new = || Check { looked: false, fit, against: 0, why: "has not been checked yet".to_owned() };
            self.checks.entry(name.clone()).or_insert_with(new);
        }
    }

    /// There is nothing to check, which is a fault: why.
    pub fn set_missing(&mut self, why: String) {
        self.missing = Some(why);
        self.checks.clear();
    }

    /// Takes in one result. `vacant`: nobody holds the address, so one success is enough.
    pub fn record(&mut self, name: &str, outcome: &Outcome, vacant: bool) {
        let Some(check) = self.checks.get_mut(name) else { return };
        check.looked = true;
        match outcome {
            Outcome::Pass if check.fit => check.against = 0,
            Outcome::Pass => {
                check.against += 1;
                check.fit = vacant || check.against >= self.rise;
                if check.fit {
                    check.against = 0;
                }
            }
            Outcome::Dead(why) | Outcome::Fail(why) => {
                let dead = matches!(outcome, Outcome::Dead(_));
                check.why.clone_from(why);
                check.against = if check.fit { check.against + 1 } else { 0 };
                if check.fit && (dead || check.against >= self.fall) {
                    check.fit = false;
                    check.against = 0;
                }
            }
        }
    }

    /// Each check by name, and whether it counts as passed.
    pub fn checks(&self) -> Vec<(String, bool)> {
        self.checks.iter().map(|(name, check)| (name.clone(), check.fit)).collect()
    }

    /// Whether the first results are still to come, and nothing speaks against this host yet.
    pub fn is_pending(&self) -> bool {
        let unfit = |check: &Check| check.looked && !check.fit;
        let waiting = self.checks.values().any(|check| !check.looked) && self.unfit().is_some();
        self.missing.is_none() && waiting && !self.checks.values().any(unfit)
    }

    /// Why this host cannot serve; none: it can.
    pub fn unfit(&self) -> Option<String> {
        if let Some(why) = &self.missing {
            return Some(why.clone());
        }
        self.checks.iter().find(|(_, check)| !check.fit).map(|(name, check)| format!("{name}: {}", check.why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitness(rise: u32, fall: u32) -> Fitness {
        let mut fitness = Fitness::new(rise, fall);
        fitness.set_checks(&["a".to_owned()]);
        fitness
    }

    fn fail() -> Outcome {
        Outcome::Fail("no answer".to_owned())
    }

    #[test]
    fn nothing_known_is_unfit_and_no_checks_at_all_is_fit() {
        let mut fitness = Fitness::new(2, 2);
        assert!(fitness.unfit().is_some());
        fitness.set_checks(&["a".to_owned(), "b".to_owned()]);
        assert!(fitness.is_pending());
        fitness.record("a", &fail(), false);
        assert!(!fitness.is_pending(), "one that fails is enough to know");
        fitness.set_checks(&[]);
        assert_eq!(fitness.unfit(), None);
        fitness.set_missing("no load balancer".to_owned());
        assert_eq!(fitness.unfit().as_deref(), Some("no load balancer"));
    }

    #[test]
    fn one_success_suffices_while_nobody_holds_the_address_otherwise_rise() {
        let mut fitness = fitness(3, 1);
        for _ in 0..2 {
            fitness.record("a", &Outcome::Pass, false);
            assert!(fitness.unfit().is_some());
        }
        fitness.record("a", &fail(), false);
        fitness.record("a", &Outcome::Pass, false);
        assert!(fitness.unfit().is_some(), "a failure starts the count again");
        fitness.record("a", &Outcome::Pass, true);
        assert_eq!(fitness.unfit(), None);
    }

    #[test]
    fn failures_count_up_to_fall_and_a_dead_one_needs_none() {
        let mut fitness = fitness(1, 2);
        fitness.record("a", &Outcome::Pass, true);
        fitness.record("a", &fail(), true);
        fitness.record("a", &Outcome::Pass, true);
        fitness.record("a", &fail(), true);
        assert_eq!(fitness.unfit(), None, "a success in between starts the count again");
        fitness.record("a", &fail(), true);
        assert_eq!(fitness.unfit().as_deref(), Some("a: no answer"));
        fitness.record("a", &Outcome::Pass, true);
        fitness.record("a", &Outcome::Dead("refused".to_owned()), true);
        assert_eq!(fitness.unfit().as_deref(), Some("a: refused"));
    }

    #[test]
    fn a_check_that_joins_later_takes_nothing_from_a_fit_host() {
        let mut fitness = fitness(1, 2);
        fitness.record("a", &Outcome::Pass, true);
        fitness.set_checks(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(fitness.unfit(), None);
        fitness.record("b", &Outcome::Dead("refused".to_owned()), true);
        assert!(fitness.unfit().is_some());
        fitness.set_checks(&["a".to_owned()]);
        assert_eq!(fitness.unfit(), None);
        fitness.record("b", &fail(), true);
        assert_eq!(fitness.unfit(), None, "results of checks that are gone count for nothing");
    }
}
