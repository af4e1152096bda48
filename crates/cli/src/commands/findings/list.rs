//! The list of all rules.

use super::text::wrap;
use analyze::{Definition, Level, Settings, Threshold, definitions};
use serde_json::{Value, json};

/// Returns the list for people; `width` is the number of columns.
pub fn to_text(width: usize) -> String {
    let mut text = String::new();
    for rule in definitions() {
        text.push_str(&format!("{} ({})\n", rule.name, kind(rule)));
        let mut put = |head: &str, words: &str| wrap(head, words, width, &mut text);
        put("", rule.means);
        put("when", rule.when);
        for threshold in rule.thresholds {
            put("set", &set_line(rule.name, threshold));
        }
        if !rule.cost.is_empty() {
            put("cost", rule.cost);
        }
        put("remedy", rule.remedy);
        put("source", rule.source);
        text.push('\n');
    }
    text.push_str("floor: from which cost on rules of speed are shown\n");
    for threshold in Settings::floor() {
        wrap("set", &set_line("floor", threshold), width, &mut text);
    }
    text
}

fn set_line(rule: &str, t: &Threshold) -> String {
    format!("{rule}.{}={} ({})", t.key, t.unit.format(t.value), t.means)
}

fn kind(rule: &Definition) -> &'static str {
    match rule.level {
        Level::High => "safety",
        Level::Note => "safety, a note",
        Level::Speed => "speed",
    }
}

/// Returns the list as a JSON document.
pub fn to_json() -> Value {
    let thresholds = |thresholds: &[Threshold]| -> Vec<Value> {
        let threshold = |t: &Threshold| {
            let value = t.unit.format(t.value);
            json!({ "key": t.key, "value": value, "means": t.means })
        };
        thresholds.iter().map(threshold).collect()
    };
    let rule = |rule: &Definition| {
        json!({
            "rule": rule.name,
            "level": rule.level.name(),
            "means": rule.means,
            "when": rule.when,
            "thresholds": thresholds(rule.thresholds),
            "cost_is": (!rule.cost.is_empty()).then_some(rule.cost),
            "query": rule.query,
            "remedy": rule.remedy,
            "source": rule.source,
        })
    };
    json!({
        "rules": definitions().map(rule).collect::<Vec<_>>(),
        "floor": thresholds(Settings::floor()),
    })
}
