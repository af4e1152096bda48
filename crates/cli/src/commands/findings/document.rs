//! The findings as a JSON document.

use crate::output::json;
use analyze::{Evidence, Finding, Findings, Level, Undecided};
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use trace::Trace;

/// Returns the document.
pub fn to_json(trace: &Trace, findings: &Findings) -> Value {
    json!({
        "trace": json::bytes_to_json(trace.path().as_os_str().as_bytes()),
        "verdict": trace.summary().verdict,
        "calls": findings.calls,
        "elapsed_ns": findings.elapsed,
        "io_ns": findings.io,
        "findings": findings.found.iter().map(finding).collect::<Vec<_>>(),
        "undecided": findings.undecided.iter().map(undecided).collect::<Vec<_>>(),
        "notes": findings.notes,
    })
}

fn finding(finding: &Finding) -> Value {
    let is_speed = finding.level == Level::Speed;
    json!({
        "rule": finding.rule.name,
        "level": finding.level.name(),
        "sentence": finding.sentence,
        "cost_ns": is_speed.then_some(finding.cost),
        "cost_s": is_speed.then_some(finding.cost as f64 / 1e9),
        "cost_is": is_speed.then_some(finding.rule.cost),
        "places": finding.places,
        "evidence": finding.evidence.iter().map(|e| evidence(e, is_speed)).collect::<Vec<_>>(),
        "query": finding.query,
        "remedy": finding.rule.remedy,
        "source": finding.rule.source,
    })
}

fn evidence(evidence: &Evidence, is_speed: bool) -> Value {
    let file = (!evidence.file.is_empty()).then(|| trace::text::unescape(&evidence.file));
    json!({
        "seq": evidence.seq,
        "file": file.map(|file| json::bytes_to_json(&file)),
        "text": evidence.text,
        "cost_ns": is_speed.then_some(evidence.cost),
    })
}

fn undecided(undecided: &Undecided) -> Value {
    json!({ "rule": undecided.rule.name, "why": undecided.why })
}
