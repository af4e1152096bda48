//! How long calls took, here and in the recording, as a table of at most 80 columns.

use crate::output::tables::{new_table, recording_overhead};
use crate::output::units::{format_count, format_duration};
use ::replay::report::{Latency, Spread};
use std::collections::BTreeMap;

/// Returns the table of latencies: two rows for each call name, one as replayed and one as
/// recorded; the names that took longest first.
pub fn latency_table(latency: &BTreeMap<&'static str, Latency>, engine: &str) -> String {
    let mut table = new_table(&["call", "times", "calls", "total", "p50", "p99", "p99.9", "max"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    let mut calls: Vec<_> = latency.iter().collect();
    calls.sort_by(|a, b| b.1.total_s.total_cmp(&a.1.total_s));
    for (name, times) in calls {
        let (calls, total) = (times.replayed.count, (times.total_s * 1e9) as u64);
        let replayed = [
            (*name).to_owned(),
            "replayed".to_owned(),
            format_count(calls),
            format_duration(total),
        ];
        table.add_row(replayed.into_iter().chain(quantile_cells(&times.replayed)));
        let calls = if times.recorded.count == calls {
            String::new()
        } else {
            format_count(times.recorded.count)
        };
        let recorded = [String::new(), "recorded".to_owned(), calls, String::new()];
        table.add_row(recorded.into_iter().chain(quantile_cells(&times.recorded)));
    }
    let cost = recording_overhead(engine).map(|cost| format!("\n{cost}\n")).unwrap_or_default();
    format!("\n{}\n{cost}", table.trim_fmt())
}

/// Returns the cells with the median, two quantiles and the longest time. A quantile is `-` if
/// there are too few calls for it.
fn quantile_cells(spread: &Spread) -> [String; 4] {
    let of = |fewest: u64, us: f64| {
        if spread.count < fewest { "-".to_owned() } else { format_time(us) }
    };
    [of(1, spread.p50_us), of(100, spread.p99_us), of(1000, spread.p999_us), of(1, spread.max_us)]
}

/// Formats microseconds in a suitable unit, in at most seven characters.
fn format_time(us: f64) -> String {
    match us {
        ..99.95 => format!("{us:.1} µs"),
        ..999.5 => format!("{us:.0} µs"),
        ..99_950.0 => format!("{:.1} ms", us / 1e3),
        ..999_500.0 => format!("{:.0} ms", us / 1e3),
        ..99_950_000.0 => format!("{:.1} s", us / 1e6),
        _ => format!("{:.0} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_80_columns() {
        let spread = |us: f64, count| Spread {
            count,
            p50_us: us,
            p99_us: us * 12.0,
            p999_us: us * 2_000.0,
            max_us: us * 1e6,
            ..Spread::default()
        };
        let times = |us, total_s| Latency {
            recorded: spread(us * 3.0, 8_999),
            replayed: spread(us, 12_345_678),
            total_s,
            ..Latency::default()
        };
        let latency =
            BTreeMap::from([("open_by_handle_at", times(99.94, 754.0)), ("read", times(0.4, 1.2))]);
        let text = latency_table(&latency, "ptrace");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("replayed")).collect();
        assert!(rows[0].starts_with("open_by_handle_at"), "the longest first: {text}");
        assert!(rows[1].contains("0.4 µs") && rows[1].contains("800 µs"), "{text}");
    }
}
