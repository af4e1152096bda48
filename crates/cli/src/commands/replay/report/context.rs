//! What happened to a file before a call on it came out differently: the recorded calls, as `print`
//! shows them.

use crate::commands::print::Seen;
use crate::commands::print::line::{self, Options};
use ::replay::Divergence;
use abi::print::Hex;
use model::processes::{Processes, Timeline, TimelineItem};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use trace::{ReadOptions, Trace};

/// Divergences that get a context: the trace is read again for them.
const FIRST: usize = 5;
/// Calls before each.
const CALLS: usize = 3;

/// Returns the calls that preceded the first divergences on the same files, as lines, by the
/// sequence number of the diverging call. Reads the trace once more; what cannot be read is left
/// out.
pub fn calls_before(trace: &Trace, shown: &[Divergence]) -> HashMap<u64, Vec<String>> {
    let asked: Vec<&Divergence> = shown.iter().filter(|d| !d.file.is_empty()).take(FIRST).collect();
    let files: HashSet<&str> = asked.iter().map(|d| &*d.file).collect();
    let Some(last) = asked.iter().map(|d| d.seq).max() else { return HashMap::new() };
    let options = Options {
        paths: false,
        values: abi::print::Options { strings: 32, elements: 8, whole: false, hex: Hex::Never },
    };
    let mut processes = Processes::new();
    let mut open = HashMap::new();
    let mut lines: HashMap<String, VecDeque<String>> = HashMap::new();
    let mut found = HashMap::new();
    for item in Timeline::new(trace.read(ReadOptions { data: true })) {
        match item {
            Ok(TimelineItem::Event(event)) => drop(processes.event(&event)),
            Ok(TimelineItem::Enter(number, call)) => {
                let operands = processes.enter(&call);
                let seen = Seen { call: &call, operands: &operands };
                let about: BTreeSet<String> = seen
                    .all_paths()
                    .iter()
                    .map(|p| trace::text::escape(p))
                    .filter(|p| files.contains(&**p))
                    .collect();
                for file in about {
                    let before = lines.entry(file.clone()).or_default();
                    if asked.iter().any(|d| d.seq == call.seq && d.file == file) {
                        found.insert(call.seq, before.iter().cloned().collect());
                    }
                    if before.len() == CALLS {
                        before.pop_front();
                    }
                    before.push_back(format!(
                        "#{} [{}] {}",
                        call.seq,
                        call.tid,
                        line::call_line(&seen, &options)
                    ));
                }
                if call.seq >= last {
                    break;
                }
                open.insert(number, operands);
            }
            Ok(TimelineItem::Leave(number, call)) => {
                if let Some(mut operands) = open.remove(&number) {
                    processes.leave(&call, &mut operands);
                }
            }
            Ok(TimelineItem::Unreturned(..)) => {}
            Err(_) => break,
        }
    }
    found
}
