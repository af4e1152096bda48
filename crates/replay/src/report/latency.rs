//! How long calls took, by name, in the recording and here.

use super::spread::{Spread, new_histogram};
use ahash::HashMap;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// The quantiles of [`Latency::recorded_curve`] and [`Latency::replayed_curve`].
pub const QUANTILES: [f64; 34] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999,
    0.9995, 0.9999, 1.0,
];

/// One name's calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// From entry to return, when recorded; longer than without a recorder.
    pub recorded: Spread,
    /// The system call alone, here.
    pub replayed: Spread,
    /// The recorded times at [`QUANTILES`], microseconds.
    pub recorded_curve: Vec<f64>,
    /// The times here, likewise.
    pub replayed_curve: Vec<f64>,
    /// All of them here together, seconds.
    pub total_s: f64,
}

/// Times by name.
#[derive(Default)]
pub(crate) struct LatencyHistograms(HashMap<&'static str, Histogram<u64>>);

impl LatencyHistograms {
    /// Adds a call's time in nanoseconds to the histogram of its name. Allocates only for the first
    /// call of a name.
    pub fn record(&mut self, name: &'static str, nanoseconds: u64) {
        self.0.entry(name).or_insert_with(new_histogram).saturating_record(nanoseconds.max(1));
    }

    /// Adds all times of another collection.
    pub fn merge(&mut self, other: Self) {
        for (name, times) in other.0 {
            // All have the same bounds.
            let _ = self.0.entry(name).or_insert_with(new_histogram).add(times);
        }
    }

    /// Returns the quantiles of the replayed times (these) beside those of the `recorded` ones, by
    /// the call's name.
    pub fn compare(&self, recorded: &Self) -> BTreeMap<&'static str, Latency> {
        let curve = |times: &Histogram<u64>| {
            QUANTILES.iter().map(|q| times.value_at_quantile(*q) as f64 / 1000.0).collect()
        };
        let of = |(name, here): (&&'static str, &Histogram<u64>)| {
            let empty = new_histogram();
            let then = recorded.0.get(name).unwrap_or(&empty);
            let latency = Latency {
                recorded: Spread::from_histogram(then),
                replayed: Spread::from_histogram(here),
                recorded_curve: curve(then),
                replayed_curve: curve(here),
                total_s: here.mean() * here.len() as f64 / 1e9,
            };
            (*name, latency)
        };
        self.0.iter().map(of).collect()
    }
}
