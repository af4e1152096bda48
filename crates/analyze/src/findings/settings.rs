//! Which rules are applied, and with which thresholds.

use super::definition::{Definition, Threshold, Unit};
use super::definitions;
use ahash::{HashMap, HashSet};

/// From which cost on a rule of speed is shown.
const FLOOR: [Threshold; 2] = [
    Threshold {
        key: "share",
        unit: Unit::Share,
        value: 0.01,
        means: "of the time in I/O, from which on a rule of speed is shown",
    },
    Threshold {
        key: "time",
        unit: Unit::Time,
        value: 100e6,
        means: "from which on it is shown in any case",
    },
];

/// Why a setting is not taken: a message that lists the valid ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(pub String);

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

/// The rules that are applied, and their thresholds.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    only: HashSet<&'static str>,
    ignored: HashSet<&'static str>,
    values: HashMap<(&'static str, &'static str), f64>,
}

/// The thresholds of one rule.
pub(crate) struct Values<'a> {
    settings: &'a Settings,
    rule: &'static Definition,
}

impl Values<'_> {
    /// Returns a threshold of the rule.
    pub fn get(&self, key: &'static str) -> f64 {
        let own = self.settings.values.get(&(self.rule.name, key)).copied();
        let found = || self.rule.thresholds.iter().find(|t| t.key == key).map(|t| t.value);
        own.or_else(found).unwrap_or(0.0)
    }

    /// Returns a threshold that is a whole number.
    pub fn number(&self, key: &'static str) -> u64 {
        self.get(key) as u64
    }
}

impl Settings {
    /// Returns the thresholds that decide whether a rule of speed is shown. Their rule is `floor`.
    pub const fn floor() -> &'static [Threshold] {
        &FLOOR
    }

    /// Applies only the rules that are named so, or by further calls.
    pub fn only(&mut self, rule: &str) -> Result<(), Mistake> {
        self.only.insert(find_rule(rule)?.name);
        Ok(())
    }

    /// Leaves out a rule.
    pub fn ignore(&mut self, rule: &str) -> Result<(), Mistake> {
        self.ignored.insert(find_rule(rule)?.name);
        Ok(())
    }

    /// Sets a threshold, from `RULE.KEY=VALUE`.
    pub fn set(&mut self, text: &str) -> Result<(), Mistake> {
        let parts = text.split_once('=').and_then(|(name, v)| Some((name.split_once('.')?, v)));
        let Some(((rule, key), value)) = parts else {
            return Err(Mistake(format!("expected RULE.KEY=VALUE, not '{text}'")));
        };
        let (name, thresholds): (&'static str, &'static [Threshold]) = match rule {
            "floor" => ("floor", &FLOOR),
            _ => find_rule(rule).map(|found| (found.name, found.thresholds))?,
        };
        let Some(threshold) = thresholds.iter().find(|t| t.key == key) else {
            let keys: Vec<&str> = thresholds.iter().map(|t| t.key).collect();
            let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(" ") };
            return Err(Mistake(format!("{name} has no threshold '{key}'; it has: {keys}")));
        };
        let value = threshold.unit.parse(value).ok_or_else(|| {
            Mistake(format!("'{value}' is no value of {name}.{key}: {}", threshold.unit.expects()))
        })?;
        self.values.insert((name, threshold.key), value);
        Ok(())
    }

    /// Returns whether a rule is applied.
    pub(crate) fn selects(&self, rule: &Definition) -> bool {
        (self.only.is_empty() || self.only.contains(rule.name)) && !self.ignored.contains(rule.name)
    }

    /// Returns the thresholds of a rule.
    pub(crate) fn of(&self, rule: &'static Definition) -> Values<'_> {
        Values { settings: self, rule }
    }

    /// Returns whether a rule of speed that costs so much is shown, in a trace with so much time
    /// in I/O.
    pub(crate) fn is_worth(&self, cost: u64, io: u64) -> bool {
        let floor = |i: usize| {
            let key = FLOOR[i].key;
            self.values.get(&("floor", key)).copied().unwrap_or(FLOOR[i].value)
        };
        cost as f64 >= floor(0) * io as f64 || cost as f64 >= floor(1)
    }
}

impl Unit {
    /// Parses a value.
    fn parse(self, text: &str) -> Option<f64> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let scaled = |units: &[(&str, f64)]| {
            let unit = units.iter().find(|(unit, _)| text.ends_with(unit))?;
            Some(number(&text[..text.len() - unit.0.len()])? * unit.1)
        };
        match self {
            Self::Count => text.parse::<u64>().ok().map(|n| n as f64),
            Self::Bytes => {
                scaled(&[("K", 1024.0), ("M", 1_048_576.0), ("G", 1_073_741_824.0), ("", 1.0)])
            }
            Self::Share => number(text).filter(|n| *n <= 1.0),
            Self::Times => number(text),
            Self::Time => {
                scaled(&[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("", 1e9)])
            }
        }
    }

    /// Says what a value looks like.
    const fn expects(self) -> &'static str {
        match self {
            Self::Count => "expected a whole number",
            Self::Bytes => "expected bytes, like 512, 4K or 16M",
            Self::Share => "expected a number from 0 to 1, like 0.1",
            Self::Times => "expected a number, like 4",
            Self::Time => "expected a time, like 100ms or 1s",
        }
    }

    /// Formats a value as [`Settings::set`] takes it.
    pub fn format(self, value: f64) -> String {
        let n = value as u64;
        match self {
            Self::Count => n.to_string(),
            Self::Bytes if n > 0 && n.is_multiple_of(1 << 20) => format!("{}M", n >> 20),
            Self::Bytes if n > 0 && n.is_multiple_of(1 << 10) => format!("{}K", n >> 10),
            Self::Bytes => n.to_string(),
            Self::Share | Self::Times => value.to_string(),
            Self::Time if n.is_multiple_of(1_000_000_000) => format!("{}s", n / 1_000_000_000),
            Self::Time => format!("{}ms", value / 1e6),
        }
    }
}

fn find_rule(name: &str) -> Result<&'static Definition, Mistake> {
    definitions().find(|rule| rule.name == name).ok_or_else(|| {
        let names: Vec<&str> = definitions().map(|rule| rule.name).collect();
        Mistake(format!("unknown rule '{name}'; rules: {}", names.join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_mistakes() {
        let mut settings = Settings::default();
        for good in ["small-io.size=8K", "floor.time=0", "floor.share=0.5", "floor.time=20ms"] {
            settings.set(good).expect(good);
        }
        assert!(settings.is_worth(50, 100) && settings.is_worth(20_000_000, u64::MAX));
        assert!(!settings.is_worth(49, 100));
        for (bad, told) in [
            ("small-io", "expected RULE.KEY=VALUE"),
            ("smal-io.size=1", "unknown rule 'smal-io'; rules: "),
            ("small-io.sise=1", "it has: "),
            ("small-io.size=x", "like 512, 4K or 16M"),
            ("small-io.share=2", "from 0 to 1"),
            ("small-io.count=-1", "a whole number"),
            ("floor.time=nan", "like 100ms"),
            ("floor.time=1e999", "like 100ms"),
        ] {
            let mistake = settings.set(bad).expect_err(bad).to_string();
            assert!(mistake.contains(told), "{mistake}");
        }
    }

    #[test]
    fn values_are_printed_as_they_are_read() {
        for rule in definitions() {
            for t in rule.thresholds {
                let text = t.unit.format(t.value);
                assert_eq!(t.unit.parse(&text), Some(t.value), "{}.{} {text}", rule.name, t.key);
            }
        }
    }
}
