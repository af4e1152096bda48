//! How long calls took, here and in the recording, as a table.

use crate::output::tables::{cost, new};
use crate::output::units::{count, duration};
use ::replay::report::Latency;
use ::replay::report::Spread;
use std::collections::BTreeMap;

/// The table: the calls that took longest first.
pub fn table(latency: &BTreeMap<&'static str, Latency>, engine: &str) -> String {
    let mut table = new(&[
        "times in µs\ncall",
        "\ncalls",
        "\ntotal",
        "recorded\np50",
        "\np99",
        "\np99.9",
        "\nmax",
        "replayed\np50",
        "\np99",
        "\np99.9",
        "\nmax",
    ]);
    let mut calls: Vec<_> = latency.iter().collect();
    calls.sort_by(|a, b| b.1.total_s.total_cmp(&a.1.total_s));
    for (name, times) in calls {
        let head = [
            (*name).to_owned(),
            count(times.replayed.count),
            duration((times.total_s * 1e9) as u64),
        ];
        table.add_row(head.into_iter().chain(cells(&times.recorded)).chain(cells(&times.replayed)));
    }
    format!("\n{table}\n{}", cost(engine).map(|c| format!("\n{c}\n")).unwrap_or_default())
}

/// A quantile is told only of enough calls.
fn cells(spread: &Spread) -> [String; 4] {
    let of = |fewest: u64, us: f64| {
        if spread.count < fewest { "-".to_owned() } else { format!("{us:.1}") }
    };
    [of(1, spread.p50_us), of(100, spread.p99_us), of(1000, spread.p999_us), of(1, spread.max_us)]
}
