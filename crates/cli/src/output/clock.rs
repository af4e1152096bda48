//! The time before a line: of day (UTC), since 1970, or since the line before.

use chrono::{DateTime, SecondsFormat};

/// The time format before each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// None.
    No,
    /// `14:02:59`.
    Day,
    /// `14:02:59.123456`.
    DayMicros,
    /// `1795378979.123456`.
    Epoch,
    /// Seconds since the line before.
    Relative,
}

/// Formats the recorded machine's monotonic nanoseconds as the prefix of a line.
#[derive(Debug)]
pub struct Clock {
    style: Style,
    anchor: i64,
    before: Option<u64>,
}

impl Clock {
    /// Creates a clock. `anchor` is the difference of `CLOCK_REALTIME` and `CLOCK_MONOTONIC` on the
    /// recorded machine, in nanoseconds.
    pub const fn new(style: Style, anchor: i64) -> Self {
        Self { style, anchor, before: None }
    }
    /// Returns the prefix of a line with this time.
    pub fn prefix(&mut self, monotonic: u64) -> String {
        let before = self.before.replace(monotonic).unwrap_or(monotonic);
        let format = match self.style {
            Style::No => return String::new(),
            Style::Relative => {
                let passed = monotonic.saturating_sub(before);
                return format!("{:6}.{:09} ", passed / 1_000_000_000, passed % 1_000_000_000);
            }
            Style::Day => "%H:%M:%S ",
            Style::DayMicros => "%H:%M:%S%.6f ",
            Style::Epoch => "%s%.6f ",
        };
        DateTime::from_timestamp_nanos(self.to_epoch(monotonic)).format(format).to_string()
    }
    /// Converts a monotonic time to nanoseconds since 1970.
    pub const fn to_epoch(&self, monotonic: u64) -> i64 {
        self.anchor.saturating_add_unsigned(monotonic)
    }
}

/// Formats nanoseconds since 1970 as RFC 3339 in UTC, with nanoseconds.
pub fn rfc3339(epoch_nanos: i64) -> String {
    DateTime::from_timestamp_nanos(epoch_nanos).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_826_154_000_000_001), "2000-02-29T12:09:14.000000001Z");
        assert_eq!(rfc3339(1_795_378_979_123_456_789), "2026-11-22T20:22:59.123456789Z");
    }

    #[test]
    fn prefixes() {
        let at = |style| Clock::new(style, 1_795_378_979_000_000_000).prefix(123_456_789);
        assert_eq!(at(Style::No), "");
        assert_eq!(at(Style::Day), "20:22:59 ");
        assert_eq!(at(Style::DayMicros), "20:22:59.123456 ");
        assert_eq!(at(Style::Epoch), "1795378979.123456 ");
        let mut clock = Clock::new(Style::Relative, 0);
        assert_eq!(
            [clock.prefix(5), clock.prefix(1_000_007_005)],
            ["     0.000000000 ", "     1.000007000 "]
        );
    }
}
