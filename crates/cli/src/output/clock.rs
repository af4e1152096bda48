//! The time before a line: of day, since 1970, or since the line before. In UTC, whose days need no table.

/// Which time stands before each line.
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

/// Turns the recorded machine's monotonic nanoseconds into what stands before a line.
#[derive(Debug)]
pub struct Clock {
    style: Style,
    anchor: i64,
    before: Option<u64>,
}

impl Clock {
    /// `anchor` is what `CLOCK_REALTIME` was ahead of `CLOCK_MONOTONIC`, in nanoseconds.
    pub const fn new(style: Style, anchor: i64) -> Self {
        Self { style, anchor, before: None }
    }
    /// The prefix of a line about this moment.
    pub fn prefix(&mut self, monotonic: u64) -> String {
        let before = self.before.replace(monotonic).unwrap_or(monotonic);
        let micros = self.epoch(monotonic) / 1000;
        let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let (h, m, s) = (
            seconds.rem_euclid(86_400) / 3600,
            seconds.rem_euclid(3600) / 60,
            seconds.rem_euclid(60),
        );
        match self.style {
            Style::No => String::new(),
            Style::Day => format!("{h:02}:{m:02}:{s:02} "),
            Style::DayMicros => format!("{h:02}:{m:02}:{s:02}.{micros:06} "),
            Style::Epoch => format!("{seconds}.{micros:06} "),
            Style::Relative => {
                let passed = monotonic.saturating_sub(before);
                format!("{:6}.{:09} ", passed / 1_000_000_000, passed % 1_000_000_000)
            }
        }
    }
    /// Nanoseconds since 1970.
    pub const fn epoch(&self, monotonic: u64) -> i64 {
        self.anchor.saturating_add_unsigned(monotonic)
    }
}

/// RFC 3339 in UTC with nanoseconds.
pub fn rfc3339(epoch_nanos: i64) -> String {
    let (seconds, nanos) =
        (epoch_nanos.div_euclid(1_000_000_000), epoch_nanos.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, by eras of 400 years that begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}Z",
        second / 3600,
        second % 3600 / 60,
        second % 60
    )
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
