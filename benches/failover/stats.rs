//! Results, and their minimum, median, 99th percentile and maximum.

use super::agent::Cost;
use super::contender::Contender;
use super::fault::{Fault, Run, Span};

/// All runs of one fault with one contender.
pub struct Series {
    pub fault: Fault,
    pub contender: Contender,
    pub runs: Vec<Run>,
    /// Runs that gave no result.
    pub failed: usize,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    pub series: Vec<Series>,
    pub rests: Vec<Rest>,
    /// How often the address moved, or the client lost requests, without a fault.
    pub unprovoked: Vec<(Contender, usize)>,
}

/// What a contender costs while nothing happens.
pub struct Rest {
    pub contender: Contender,
    pub holder: Cost,
    pub backup: Cost,
}

impl Results {
    pub fn add(&mut self, fault: Fault, contender: Contender, run: Option<Run>) {
        let series = match self.series.iter_mut().find(|s| s.fault == fault && s.contender == contender) {
            Some(series) => series,
            None => {
                self.series.push(Series { fault, contender, runs: Vec::new(), failed: 0 });
                let Some(series) = self.series.last_mut() else { return };
                series
            }
        };
        match run {
            Some(run) => series.runs.push(run),
            None => series.failed += 1,
        }
    }

    pub fn note_unprovoked(&mut self, contender: Contender) {
        match self.unprovoked.iter_mut().find(|(known, _)| *known == contender) {
            Some((_, count)) => *count += 1,
            None => self.unprovoked.push((contender, 1)),
        }
    }

    pub fn find(&self, fault: Fault, contender: Contender) -> Option<&Series> {
        self.series.iter().find(|series| series.fault == fault && series.contender == contender)
    }
}

/// Of several measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub min: Span,
    pub median: Span,
    pub p99: Span,
    pub max: Span,
}

/// None without a measurement. What had not ended counts as longer than anything that had.
pub fn summary(values: impl IntoIterator<Item = Span>) -> Option<Summary> {
    let mut values: Vec<Span> = values.into_iter().collect();
    values.sort_by(|a, b| a.lasting.cmp(&b.lasting).then(a.seconds.total_cmp(&b.seconds)));
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    let median = Span { lasting: high.lasting, seconds: (low.seconds + high.seconds) / 2.0 };
    // Nearest rank: with fewer than a hundred measurements, the maximum.
    let p99 = *values.get((values.len() * 99).div_ceil(100).checked_sub(1)?)?;
    Some(Summary { min: *values.first()?, median, p99, max: *values.last()? })
}

/// For counts: requests instead of seconds.
pub fn count(number: usize) -> Span {
    Span { lasting: false, seconds: number as f64 }
}
