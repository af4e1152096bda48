//! How times are distributed.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that a histogram tells apart, in nanoseconds.
pub(crate) const MAX_NANOSECONDS: u64 = 3_600_000_000_000;

/// Returns an empty histogram of nanoseconds with a precision of three digits.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NANOSECONDS, 2).expect("the bounds are in order")
}

/// How times are distributed, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// The median.
    pub p50_us: f64,
    /// One in twenty is longer.
    pub p95_us: f64,
    /// One in a hundred is longer.
    pub p99_us: f64,
    /// One in a thousand is longer.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Spread {
    /// Returns the quantiles of a histogram, in microseconds.
    pub(crate) fn from_histogram(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            count: times.len(),
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: times.max() as f64 / 1000.0,
        }
    }
}
