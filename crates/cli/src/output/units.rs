//! Numbers as people read them.

use indicatif::HumanCount;

/// Formats a number with commas: `1204` as `1,204`.
pub fn format_count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// Formats a number with its noun: `1 call`, `3 calls`.
pub fn format_counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", format_count(n), if n == 1 { one } else { many })
}

/// Formats a number of bytes: `88123` as `88 kB`.
pub fn format_bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit > 0 && value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Parses a number of bytes: `256K`, `4M`, `1G` (1024 times each), or a plain number.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) =
        text.find(|c: char| !c.is_ascii_digit()).map_or((text, ""), |at| text.split_at(at));
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Formats nanoseconds as `1.24 s`, `13 ms` or `820 µs`.
pub fn format_duration(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        1_000_000_000..120_000_000_000 => format!("{:.2} s", nanos as f64 / 1e9),
        _ => format!("{} min {} s", nanos / 60_000_000_000, nanos / 1_000_000_000 % 60),
    }
}

/// Formats nanoseconds with three digits: `1.24 s`, `13.9 ms`, `820 µs`, `52 ns`.
pub fn format_digits(nanos: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let of = |size: f64| nanos as f64 / size;
    // A number that would be rounded to 1000 is one of the next unit.
    let (unit, size) = UNITS.into_iter().find(|(_, size)| of(*size) < 999.5).unwrap_or(UNITS[3]);
    match of(size) {
        value if size == 1.0 || value >= 99.95 => format!("{value:.0} {unit}"),
        value if value >= 9.995 => format!("{value:.1} {unit}"),
        value => format!("{value:.2} {unit}"),
    }
}

/// Parses a duration to nanoseconds: `500ms`, `1.5s`, `2min`, `1h`, or a number of seconds.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let size = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" | "" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return Err(format!("unknown unit '{unit}'; known units: ns us ms s min h")),
    };
    let nanos = number.parse::<f64>().map_err(|_| "expected a time like 500ms or 1.5s")? * size;
    if nanos > u64::MAX as f64 {
        return Err("that is longer than 500 years".to_owned());
    }
    Ok(nanos.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        assert_eq!(
            [format_count(0), format_count(999), format_count(1204), format_count(1_000_000)],
            ["0", "999", "1,204", "1,000,000"]
        );
        assert_eq!(
            [
                format_bytes(0),
                format_bytes(999),
                format_bytes(1500),
                format_bytes(88_123),
                format_bytes(999_600)
            ],
            ["0 B", "999 B", "1.5 kB", "88 kB", "1.0 MB"]
        );
        assert_eq!(
            [format_duration(20), format_duration(1_240_000_000), format_duration(125_000_000_000)],
            ["20 ns", "1.24 s", "2 min 5 s"]
        );
        assert_eq!(
            [format_counted(1, "call", "calls"), format_counted(0, "call", "calls")],
            ["1 call", "0 calls"]
        );
    }

    #[test]
    fn times_with_three_digits() {
        assert_eq!(
            [0, 52, 999, 1_000, 13_940_000, 999_600, 820_400, 1_240_000_000, 7_200_000_000_000]
                .map(format_digits),
            [
                "0 ns", "52 ns", "999 ns", "1.00 µs", "13.9 ms", "1.00 ms", "820 µs", "1.24 s",
                "7200 s"
            ]
        );
    }

    #[test]
    fn durations_as_they_are_typed() {
        let good = ["500ms", "1.5s", "2", "2min", "1h", "0", "7ns", ".5s", "3us"];
        assert_eq!(
            good.map(|text| parse_duration(text).expect("a duration")),
            [
                500_000_000,
                1_500_000_000,
                2_000_000_000,
                120_000_000_000,
                3_600_000_000_000,
                0,
                7,
                500_000_000,
                3_000
            ]
        );
        for wrong in ["", "s", "1.2.3s", "-1s", "1 s", "1d", "999999999999h", "nan", "."] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
