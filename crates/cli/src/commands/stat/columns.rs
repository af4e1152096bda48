//! The columns of numbers, and how a number looks in a table.

use crate::output::units::{format_bytes, format_count, format_digits};
use analyze::{Row, Totals};

/// A column of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Calls,
    Errors,
    Time,
    Wall,
    Share,
    Mean,
    P50,
    P95,
    P99,
    Max,
    Bytes,
    Rate,
}

impl Column {
    /// All columns, in their order.
    pub const ALL: [Self; 12] = [
        Self::Calls,
        Self::Errors,
        Self::Time,
        Self::Wall,
        Self::Share,
        Self::Mean,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Max,
        Self::Bytes,
        Self::Rate,
    ];
    /// The columns that a narrow terminal leaves out, the least telling first.
    pub const LEAST_TELLING: [Self; 8] = [
        Self::Time,
        Self::P95,
        Self::Max,
        Self::P50,
        Self::P99,
        Self::Rate,
        Self::Mean,
        Self::Errors,
    ];

    /// Returns the name as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Errors => "errors",
            Self::Time => "time",
            Self::Wall => "wall",
            Self::Share => "share",
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Bytes => "bytes",
            Self::Rate => "rate",
        }
    }

    /// Returns the head of the column in a table.
    pub const fn head(self) -> &'static str {
        match self {
            Self::Rate => "MB/s",
            other => other.name(),
        }
    }

    /// Returns whether the column needs a second pass over the calls.
    pub const fn is_quantile(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99)
    }

    /// Returns what stands in a row of a table. `elapsed` is what the share is taken of, in
    /// nanoseconds; rows that wait have none.
    pub fn cell(self, row: &Row, elapsed: Option<u64>) -> String {
        let quantile = |i: usize| row.quantiles.map_or(String::new(), |q| format_digits(q[i]));
        match self {
            Self::P50 => quantile(0),
            Self::P95 => quantile(1),
            Self::P99 => quantile(2),
            other => other.cell_of_totals(&row.totals, elapsed),
        }
    }

    /// Returns what stands in the row of a total.
    pub fn cell_of_totals(self, totals: &Totals, elapsed: Option<u64>) -> String {
        let nanos = |n: i128| format_digits(u64::try_from(n.max(0)).unwrap_or(u64::MAX));
        match self {
            Self::Calls => format_count(totals.calls),
            Self::Errors if totals.errors == 0 => String::new(),
            Self::Errors => format_count(totals.errors),
            Self::Time => nanos(totals.time),
            Self::Wall => nanos(totals.wall.into()),
            Self::Share => match elapsed.filter(|elapsed| *elapsed > 0) {
                Some(elapsed) => format!("{:.1}%", totals.wall as f64 / elapsed as f64 * 100.0),
                None => String::new(),
            },
            Self::Mean => totals.mean().map_or(String::new(), |mean| nanos(mean as i128)),
            Self::Max => totals.max.map_or(String::new(), |max| nanos(max.into())),
            Self::Bytes => totals.bytes.map_or(String::new(), |bytes| {
                format_bytes(u64::try_from(bytes.max(0)).unwrap_or(u64::MAX))
            }),
            Self::Rate => totals.rate().map_or(String::new(), |rate| match rate / 1e6 {
                mega @ ..9.995 => format!("{mega:.2}"),
                mega @ ..99.95 => format!("{mega:.1}"),
                mega => format_count(mega.round() as u64),
            }),
            Self::P50 | Self::P95 | Self::P99 => String::new(),
        }
    }
}
