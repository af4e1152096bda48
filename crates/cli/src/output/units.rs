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
}
