//! Lengths of time, counted by size.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For each bound how many were at most that long and longer than the bound before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// In seconds, growing.
    pub bounds: Vec<f64>,
    /// One more than there are bounds: the last one counts what is longer than all of them.
    pub counts: Vec<u64>,
    /// Sum of all, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Nothing yet.
    pub fn new(bounds: &[f64]) -> Histogram {
        Histogram { bounds: bounds.to_vec(), counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// One more.
    pub fn observe(&mut self, length: Duration) {
        let seconds = length.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
            self.sum += seconds;
        }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_its_own_and_what_is_longer_than_all_counts_last() {
        let mut histogram = Histogram::new(&[0.001, 0.01]);
        for micros in [0, 1000, 1001, 10_000, 10_001, 9_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.counts, [2, 2, 2]);
        assert_eq!(histogram.total(), 6);
        assert!((histogram.sum - 9.022_002).abs() < 1e-9);
    }
}
