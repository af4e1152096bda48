//! A write moves less than it was asked to, and the rest is never written.

use crate::findings::definition::{Definition, Entry, Level, Rule};
use crate::findings::evidence::{Context, Evidence, Found, bytes, count};
use crate::findings::files::{At, FileId};
use crate::findings::view::View;
use abi::{IoClass, Role};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "short-write-ignored",
    level: Level::High,
    means: "A write moved fewer bytes than asked for, and the rest was not written.",
    when: "A write to a regular file returns less than asked for, and until the end of the trace \
           no write begins in the rest, and the file is not truncated or removed.",
    cost: "",
    remedy: "Write the rest in a loop until all is written or an error comes (write_all, fwrite).",
    source: "write(2): a short count is no error",
    query: "reanimator print -e '/write' {trace}",
    thresholds: &[],
    classes: &[IoClass::Write, IoClass::Change, IoClass::Name, IoClass::Open],
    needs_files: true,
    needs_offsets: true,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |_| Box::new(ShortWriteIgnored::default()) };

/// Bytes that were to be written.
struct Rest {
    from: u64,
    until: u64,
    seq: u64,
}

#[derive(Default)]
struct ShortWriteIgnored {
    rests: HashMap<FileId, Vec<Rest>>,
}

/// So many rests are kept of a file.
const MOST: usize = 64;

impl Rule for ShortWriteIgnored {
    fn call(&mut self, call: &View<'_>) {
        if let Some(At::File(file)) = call.name(Role::Remove).map(|name| name.before) {
            self.rests.remove(&file);
        }
        let Some(file) = call.regular() else { return };
        match (call.class, call.offset) {
            (IoClass::Change, _) => drop(self.rests.remove(&file)),
            (IoClass::Open, _) if call.is_new || call.truncates() => {
                self.rests.remove(&file);
            }
            (IoClass::Write, Some(offset)) => {
                if let Some(rests) = self.rests.get_mut(&file) {
                    // Where the next write begins in the rest, the program has noticed, even if the
                    // write fails.
                    rests.retain(|rest| !(rest.from..rest.until).contains(&offset));
                }
                let asked = call.asked.unwrap_or(0);
                if call.moved > 0 && call.moved < asked && call.spec.copies.is_none() {
                    let rests = self.rests.entry(file).or_default();
                    if rests.len() < MOST {
                        rests.push(Rest {
                            from: offset.saturating_add(call.moved),
                            until: offset.saturating_add(asked),
                            seq: call.seq(),
                        });
                    }
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let mut places = Vec::new();
        for (file, rests) in self.rests.iter().filter(|(_, rests)| !rests.is_empty()) {
            places.extend(rests.iter().map(|rest| Evidence {
                seq: rest.seq,
                file: context.files.name(*file),
                text: format!(
                    "the last {} of a write are missing, at offset {}",
                    bytes(rest.until - rest.from),
                    rest.from
                ),
                weight: rest.until - rest.from,
                ..Evidence::default()
            }));
        }
        Found::safety(Level::High, places, |places| {
            format!(
                "{} moved less than asked for, and the rest was not written.",
                match places.len() {
                    1 => "A write".to_owned(),
                    n => format!("{} writes", count(n as u64)),
                }
            )
        })
    }
}
