//! Many reads or writes of a few bytes.

use crate::findings::definition::{Definition, Entry, Level, Rule, Threshold, Unit};
use crate::findings::evidence::{Context, Evidence, Found, bytes, count, of_files};
use crate::findings::files::FileId;
use crate::findings::settings::Values;
use crate::findings::view::View;
use abi::{IoClass, MAPPINGS};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "small-io",
    level: Level::Speed,
    means: "A file is read or written a few bytes at a time.",
    when: "At least `count` reads, or as many writes, of a file move fewer than `size` bytes, and \
           are at least `share` of its reads or writes.",
    cost: "The time of these calls, less that of as many of them as calls of 64 KiB would be.",
    remedy: "Buffer: stdio with setvbuf, BufReader and BufWriter, a larger buffer in the library.",
    source: "Drishti P05, P06 (its 1 MiB is for parallel file systems); WisIO small_reads; \
             pexpect/ptyprocess#3",
    query: "reanimator stat --by file,size -e read,write,pread64,pwrite64,readv,writev {trace}",
    thresholds: &[
        Threshold { key: "count", unit: Unit::Count, value: 1000.0, means: "small calls" },
        Threshold { key: "size", unit: Unit::Bytes, value: 4096.0, means: "of a small call" },
        Threshold { key: "share", unit: Unit::Share, value: 0.1, means: "of the file's calls" },
    ],
    classes: &[IoClass::Read, IoClass::Write],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |values| Box::new(SmallIo::new(values)) };

/// The reads or writes of a file.
#[derive(Default)]
struct Calls {
    all: u64,
    seq: u64,
    small: u64,
    bytes: u64,
    time: u64,
}

struct SmallIo {
    count: u64,
    size: u64,
    share: f64,
    files: HashMap<(FileId, bool), Calls>,
}

impl SmallIo {
    fn new(values: &Values<'_>) -> Self {
        Self {
            count: values.number("count"),
            size: values.number("size"),
            share: values.get("share"),
            files: HashMap::default(),
        }
    }
}

impl Rule for SmallIo {
    fn call(&mut self, call: &View<'_>) {
        // A read at the end of the file, and what the kernel cut short, is not the program's choice.
        let Some(file) = call.regular().filter(|_| call.moved > 0 && call.call.nr < MAPPINGS)
        else {
            return;
        };
        let calls = self.files.entry((file, call.class == IoClass::Write)).or_default();
        calls.all += 1;
        if call.asked.unwrap_or(call.moved) < self.size {
            if calls.small == 0 {
                calls.seq = call.seq();
            }
            calls.small += 1;
            calls.bytes = calls.bytes.saturating_add(call.moved);
            calls.time = calls.time.saturating_add(call.duration);
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let counts = |calls: &Calls| {
            calls.small >= self.count.max(1) && calls.small as f64 >= self.share * calls.all as f64
        };
        let found = self.files.iter().filter(|(_, calls)| counts(calls));
        let total: u64 = found.clone().map(|(_, calls)| calls.small).sum();
        let place = |((file, writes), calls): (&(FileId, bool), &Calls)| {
            let needed = calls.bytes.div_ceil(64 << 10).min(calls.small);
            Evidence {
                seq: calls.seq,
                file: context.files.name(*file),
                text: format!(
                    "{} {} of {} on average",
                    count(calls.small),
                    if *writes { "writes" } else { "reads" },
                    bytes(calls.bytes / calls.small)
                ),
                cost: (calls.time as f64 * (1.0 - needed as f64 / calls.small as f64)) as u64,
                weight: calls.small,
            }
        };
        Found::speed(found.map(place).collect(), |places| {
            format!(
                "{} reads or writes {} move less than {} each.",
                count(total),
                of_files(places),
                bytes(self.size)
            )
        })
    }
}
