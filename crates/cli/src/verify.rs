//! `reanimator verify`: is the trace sound, and does a directory look as the program left its files?

use crate::args::TraceArg;
use crate::outcome::Outcome;
use crate::talk::Talk;
use crate::units::{bytes, count};
use crate::{failure, reading, stdout};
use anyhow::{Context, Result};
use model::Tables;
use replay::state::{self, How};
use serde_json::json;
use std::path::{Path, PathBuf};
use trace::record::RecordKind;
use trace::{Item, Trace, Want};

/// Check a trace for damage and gaps, or compare a directory with its final state
///
/// A trace is checked for wrong checksums, data that cannot be read, missing calls and calls
/// without a return.
///
/// Exit status: 0 if nothing is wrong, 1 if something is missing or different, 2 if the check
/// failed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator verify make.ra
      Check the trace
  reanimator verify make.ra --against /mnt/new/r
      List the files that differ from those that the program left")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Compare the files in this directory with the final state in the trace
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub against: Option<PathBuf>,
    /// Print at most this many differences
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
    /// Print the result as a JSON document
    #[arg(long)]
    pub json: bool,
}

/// `reanimator verify`.
pub fn run(a: &Args, talk: &Talk) -> Outcome {
    let done = reading::open(&a.trace, talk).and_then(|trace| match &a.against {
        None => itself(a, &trace, talk),
        Some(dir) => against(a, &trace, dir, talk),
    });
    done.into()
}

/// What reading all of a trace shows.
#[derive(Default)]
struct Found {
    calls: u64,
    events: u64,
    unreturned: u64,
    gaps: u64,
    bytes: u64,
    backwards: u64,
    wrong: Vec<String>,
}

fn itself(a: &Args, trace: &Trace, talk: &Talk) -> Result<Outcome> {
    let said = trace.summary();
    let progress = talk.progress("verifying");
    let mut found = Found::default();
    let mut last = 0;
    for item in trace.read(Want { data: true }) {
        match item {
            Ok(Item::Call(call)) => {
                found.calls += 1;
                found.unreturned += u64::from(call.made() && !call.returned());
                found.backwards += u64::from(
                    call.entered < last || call.left.is_some_and(|left| left < call.entered),
                );
                last = call.entered;
                found.bytes += call.pieces.iter().map(|p| p.bytes.len() as u64).sum::<u64>();
                // A call without data is work, too.
                let work = |calls: u64, bytes: u64| bytes.saturating_add(calls.saturating_mul(256));
                if found.calls.is_multiple_of(64) {
                    let all = work(said.calls, said.bytes_captured);
                    progress.at(work(found.calls, found.bytes).min(all), all);
                }
            }
            Ok(Item::Event(event)) => {
                found.events += 1;
                let gap = if event.kind == RecordKind::Gap { event.args[1].max(1) } else { 0 };
                found.gaps = found.gaps.saturating_add(gap);
            }
            // What may not be read is not damaged.
            Err(e) if e.is_refused() => return Err(e.into()),
            Err(e) => {
                found.wrong.push(failure::causes(&e));
                break;
            }
        }
    }
    drop(progress);
    for (name, read) in [
        ("the manifest", trace.files().map(drop)),
        ("the initial content", trace.origins().and_then(|mut o| o.try_for_each(|o| o.map(drop)))),
    ] {
        if let Err(e) = read {
            if e.is_refused() {
                return Err(e.into());
            }
            found.wrong.push(format!("{name}: {}", failure::causes(&e)));
        }
    }
    if found.wrong.is_empty() && (found.calls, found.events) != (said.calls, said.events) {
        found.wrong.push(format!(
            "trace.json says {} calls and {} events, but there are {} and {}",
            said.calls, said.events, found.calls, found.events
        ));
    }
    if found.backwards > 0 {
        found.wrong.push(format!("{} calls are out of order", count(found.backwards)));
    }
    let sound = found.wrong.is_empty();
    let whole = sound && said.verdict == trace::Verdict::Complete;
    if a.json {
        let document = json!({
            "sound": sound, "verdict": said.verdict.to_string(), "wrong": found.wrong, "reasons": said.reasons, "calls": found.calls, "events": found.events,
            "unreturned": found.unreturned, "gaps": found.gaps, "bytes": found.bytes,
        });
        stdout::json(&document)?;
    } else {
        let mut text = String::new();
        for wrong in &found.wrong {
            text.push_str(&format!("damaged: {wrong}\n"));
        }
        for reason in &said.reasons {
            text.push_str(&format!("incomplete: {reason}\n"));
        }
        let (calls, events, data) = (count(found.calls), count(found.events), bytes(found.bytes));
        text.push_str(&format!(
            "read         {calls} calls and {events} events with {data}, all checksums compared\n"
        ));
        text.push_str(&format!(
            "pairing      {} calls that never returned, {} calls lost in gaps\n",
            count(found.unreturned),
            count(found.gaps)
        ));
        text.push_str(&format!(
            "outcome      {}\n",
            if !sound {
                "damaged"
            } else if whole {
                "sound and complete"
            } else {
                "sound, but incomplete"
            }
        ));
        stdout::text(&text)?;
    }
    Ok(Outcome::Status(i32::from(!whole)))
}

fn against(a: &Args, trace: &Trace, dir: &Path, talk: &Talk) -> Result<Outcome> {
    let rows = trace.files().context("cannot read the manifest")?;
    let owners = nix::unistd::Uid::effective().is_root();
    // A replay whose root others could reach has set none of the bits that let them act as owner.
    let withhold = replay::Root::open(dir).is_ok_and(|root| !root.is_secluded());
    let bar = talk.progress("comparing");
    let progress = &mut |done, of| bar.at(done, of);
    let outcome = state::compare(&rows, dir, How { owners, withhold }, progress)
        .with_context(|| format!("cannot compare {}", dir.display()))?;
    drop(bar);
    let excluded = outcome.excluded.len() as u64;
    let mut names: Vec<&[u8]> = outcome.differences.iter().map(|d| &*d.path).collect();
    names.dedup();
    if a.json {
        let lines: Vec<String> = outcome.differences.iter().map(ToString::to_string).collect();
        stdout::json(
            &json!({"compared": outcome.compared, "different": names.len(), "differences": lines, "only_in_part": excluded}),
        )?;
    } else {
        let mut text = String::new();
        for difference in outcome.differences.iter().take(a.show) {
            text.push_str(&format!("{difference}\n"));
        }
        let part = if excluded > 0 {
            format!(", {} only in part", count(excluded))
        } else {
            String::new()
        };
        text.push_str(&format!(
            "final tree   {} names compared, {} different{part}\n",
            count(outcome.compared),
            count(names.len() as u64)
        ));
        text.push_str(&format!(
            "outcome      {}\n",
            if names.is_empty() { "the same" } else { "different" }
        ));
        stdout::text(&text)?;
    }
    Ok(Outcome::Status(i32::from(!names.is_empty())))
}
