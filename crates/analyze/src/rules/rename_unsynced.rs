//! A file takes the name of another one before its content is on disk.

use super::dirty::Dirty;
use crate::findings::definition::{Definition, Entry, Level, Rule};
use crate::findings::evidence::{Context, Evidence, Found, bytes, count};
use crate::findings::files::{At, Files, PathId};
use crate::findings::view::View;
use abi::{IoClass, Role};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "rename-unsynced",
    level: Level::High,
    means: "A file is renamed while bytes written to it are not on disk yet.",
    when: "A rename whose source has bytes that were written in this trace and not synced since \
           (fsync, fdatasync, sync, O_SYNC). `high`: it replaces a file, which a crash can leave \
           empty or cut; `note`: the name is new, or the trace does not show what was there.",
    cost: "",
    remedy: "Call fsync on the file before the rename, and on its directory after it. Files that \
             can be made again (caches, build results) need neither.",
    source: "saltstack/salt#69583, delta-io/delta-rs#142; Pillai et al., ALICE, OSDI 2014",
    query: "reanimator print -e '/write|sync|rename' {trace}",
    thresholds: &[],
    classes: &[IoClass::Write, IoClass::Sync, IoClass::Name, IoClass::Open],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |_| Box::new(RenameUnsynced::default()) };

/// The renames to one path.
struct Renamed {
    /// Of the first one.
    seq: u64,
    bytes: u64,
    from: PathId,
    times: u64,
    replaces: bool,
}

#[derive(Default)]
struct RenameUnsynced {
    dirty: Dirty,
    found: HashMap<PathId, Renamed>,
    total: u64,
    replaced: u64,
}

/// Returns the source of a rename: without its directory, if that is the target's.
fn source(files: &Files, from: PathId, to: PathId) -> String {
    let directory = |path: PathId| files.path(path).iter().rposition(|b| *b == b'/');
    let text = |path: PathId, cut: usize| &files.path(path)[..cut];
    match (directory(from), directory(to)) {
        (Some(a), Some(b)) if text(from, a) == text(to, b) => {
            trace::text::escape(&files.path(from)[a + 1..])
        }
        _ => files.text(from),
    }
}

/// So many paths are kept; renames to others are counted.
const MOST: usize = 10_000;

impl Rule for RenameUnsynced {
    fn call(&mut self, call: &View<'_>) {
        self.dirty.apply(call);
        let (Some(from), Some(to)) = (call.name(Role::Source), call.name(Role::Target)) else {
            return;
        };
        let At::File(file) = from.before else { return };
        let Some(unsynced) = self.dirty.get(file).filter(|_| call.errno.is_none()) else { return };
        let replaces = match to.before {
            At::File(other) => other != file,
            At::Something => true,
            At::Absent | At::Unknown => false,
        };
        self.total += 1;
        self.replaced += u64::from(replaces);
        if self.found.len() >= MOST && !self.found.contains_key(&to.path) {
            return;
        }
        let renamed = self.found.entry(to.path).or_insert(Renamed {
            seq: call.seq(),
            bytes: unsynced.bytes,
            from: from.path,
            times: 0,
            replaces,
        });
        renamed.times += 1;
        renamed.replaces |= replaces;
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let files = context.files;
        let place = |(to, renamed): (&PathId, &Renamed)| Evidence {
            seq: renamed.seq,
            file: files.text(*to),
            text: format!(
                "{} with {} unsynced, from {}{}",
                if renamed.replaces { "replaced by a file" } else { "became the name of a file" },
                bytes(renamed.bytes),
                source(files, renamed.from, *to),
                match renamed.times {
                    1 => String::new(),
                    n => format!(", and {} more", count(n - 1)),
                }
            ),
            weight: if renamed.replaces { renamed.times } else { 0 },
            ..Evidence::default()
        };
        let evidence = self.found.iter().map(place).collect();
        let level = if self.replaced > 0 { Level::High } else { Level::Note };
        let (total, replaced) = (self.total, self.replaced);
        Found::safety(level, evidence, |_| match (total, replaced) {
            (1, 1) => "A file was replaced by one whose content was not on disk: a crash can \
                       leave neither the old nor the new content."
                .to_owned(),
            (1, 0) => "A file was renamed before its content was on disk: a crash can leave it \
                       empty."
                .to_owned(),
            (total, 0) => format!(
                "{} files were renamed before their content was on disk: a crash can leave them \
                 empty.",
                count(total)
            ),
            (total, replaced) => format!(
                "{} of {} renames replaced a file by one whose content was not on disk: a crash \
                 can leave neither the old nor the new content.",
                count(replaced),
                count(total)
            ),
        })
    }
}
