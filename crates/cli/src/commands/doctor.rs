//! `reanimator doctor`: finds out what this machine allows, by doing it, and says what mends each
//! failure.

mod probes;

use crate::messages::Outcome;
use crate::output::colour::{Colours, Tone};
use crate::output::stdout;
use anyhow::{Result, bail};
use probes::{Finding, Found};
use serde_json::json;
use std::fmt::Write;

/// Check what this machine allows, and print how to fix what fails
///
/// Each check is an attempt, not a look at versions. Exit status: 0 if recording and replaying
/// work, 2 if one of them does not.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator doctor
  reanimator doctor --json | jq '.checks[] | select(.found != \"ok\")'")]
pub struct Args {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

/// The part of a check that must happen in a process of its own.
#[derive(clap::Args, Debug)]
pub struct ProbeArgs {
    /// Which.
    pub probe: probes::Probe,
}

/// Runs `reanimator doctor`: makes all checks and prints the results. Fails if a check found that
/// recording or replay does not work.
pub fn run(a: &Args) -> Result<()> {
    let findings = probes::run_checks();
    let broken = findings.iter().filter(|f| f.found == Found::Broken).count();
    if a.json {
        let check = |f: &Finding| {
            let found = f.found.word();
            json!({"check": f.check, "found": found, "says": f.says, "fix": f.mend})
        };
        let checks: Vec<_> = findings.iter().map(check).collect();
        stdout::print_json(&json!({"works": broken == 0, "checks": checks}))?;
    } else {
        stdout::print_text(&findings_table(&findings, Colours::for_stream(&std::io::stdout()))?)?;
    }
    if broken > 0 {
        bail!(
            "{broken} of {} checks failed: recording or replay does not work here",
            findings.len()
        );
    }
    Ok(())
}

/// Runs the hidden command `reanimator probe`, which tries one thing in a child process of
/// `doctor`.
pub fn run_probe(a: &ProbeArgs) -> Outcome {
    probes::run_probe(a.probe).into()
}

/// Returns the table of checks: result, name, explanation, and how to fix it.
fn findings_table(findings: &[Finding], colours: Colours) -> Result<String, std::fmt::Error> {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for f in findings {
        let tone = match f.found {
            Found::Ok => Tone::Good,
            Found::Limited => Tone::Fair,
            Found::Broken => Tone::Bad,
        };
        let found = colours.paint(tone, &format!("{:<7}", f.found.word()));
        writeln!(text, "{found} {:<width$}  {}", f.check, f.says)?;
        if let Some(mend) = &f.mend {
            writeln!(text, "{:7} {:width$}  fix: {mend}", "", "")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_with_their_mending() {
        let findings = [
            Finding {
                check: "seize a child",
                found: Found::Ok,
                says: "works".to_owned(),
                mend: None,
            },
            Finding {
                check: "Landlock",
                found: Found::Limited,
                says: "not there".to_owned(),
                mend: Some("boot with lsm=landlock".to_owned()),
            },
        ];
        insta::assert_snapshot!(findings_table(&findings, Colours::default()).expect("a string takes \
            it"), @r#"
        ok      seize a child  works
        limited Landlock       not there
                               fix: boot with lsm=landlock
        "#);
    }
}
