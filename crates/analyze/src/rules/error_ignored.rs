//! A write or sync fails, and the program goes on as if it had not.

use crate::findings::definition::{Definition, Entry, Level, Rule};
use crate::findings::evidence::{Context, Evidence, Found, count};
use crate::findings::files::{At, FileId};
use crate::findings::view::View;
use abi::{IoClass, Role};
use ahash::HashMap;
use linux_raw_sys::errno::{EDQUOT, EIO, ENOSPC};

static DEFINITION: Definition = Definition {
    name: "error-ignored",
    level: Level::High,
    means: "A write or sync failed for lack of space or a bad disk, and the file was used on.",
    when: "EIO, ENOSPC or EDQUOT from a write or sync, and then, before the file is closed or \
           truncated, other bytes are written to it, it is synced, or it is renamed. The same \
           write again (as many bytes or fewer at the same place) counts as a retry.",
    cost: "",
    remedy: "Stop at the first error: report it, and write the file again from the start. A later \
             fsync that succeeds proves nothing: the kernel may have dropped the pages.",
    source: "wiredtiger PR#4072, beanstalkd#477; Rebello et al., Can Applications Recover from \
             fsync Failures?, ATC 2020",
    query: "reanimator print -e status=failed -e '/write|fsync|fdatasync' {trace}",
    thresholds: &[],
    classes: &[IoClass::Write, IoClass::Sync, IoClass::Change, IoClass::Close, IoClass::Name],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |_| Box::new(ErrorIgnored::default()) };

/// A call that failed, and what followed on its file.
struct Failed {
    seq: u64,
    errno: i32,
    name: &'static str,
    is_sync: bool,
    place: (Option<u64>, u64),
    later: u64,
}

#[derive(Default)]
struct ErrorIgnored {
    failed: HashMap<FileId, Failed>,
    found: Vec<(FileId, Failed)>,
}

/// So many places are kept.
const MOST: usize = 1_000;

impl ErrorIgnored {
    /// Forgets the failure of a file, which is found if the program had gone on.
    fn settle(&mut self, file: FileId) {
        if let Some(failed) = self.failed.remove(&file)
            && failed.later > 0
            && self.found.len() < MOST
        {
            self.found.push((file, failed));
        }
    }

    /// Returns whether a write is the failed one again.
    fn is_retry(failed: &Failed, call: &View<'_>) -> bool {
        let (offset, asked) = failed.place;
        let again = call.asked.unwrap_or(call.moved);
        match (offset, call.offset) {
            (Some(a), Some(b)) => a == b && again <= asked,
            _ => again == asked,
        }
    }
}

impl Rule for ErrorIgnored {
    fn call(&mut self, call: &View<'_>) {
        if let Some(name) = call.name(Role::Source) {
            if let At::File(file) = name.before
                && call.errno.is_none()
                && let Some(failed) = self.failed.get_mut(&file)
            {
                failed.later += 1;
            }
            return;
        }
        let Some(file) = call.file else { return };
        let is_sync = call.class == IoClass::Sync;
        match call.class {
            IoClass::Change | IoClass::Close => return self.settle(file),
            IoClass::Write | IoClass::Sync => {}
            _ => return,
        }
        let fails = call.errno.filter(|e| [EIO, ENOSPC, EDQUOT].contains(&e.unsigned_abs()));
        match self.failed.get_mut(&file) {
            Some(failed) if !is_sync && !failed.is_sync && Self::is_retry(failed, call) => {
                if call.errno.is_none() && failed.later == 0 {
                    self.failed.remove(&file);
                }
            }
            Some(failed) => failed.later += 1,
            None => {
                if let Some(errno) = fails {
                    let place = (call.offset, call.asked.unwrap_or(0));
                    let (seq, name) = (call.seq(), call.spec.name);
                    self.failed.insert(file, Failed { seq, errno, name, is_sync, place, later: 0 });
                }
            }
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let files: Vec<FileId> = self.failed.keys().copied().collect();
        files.into_iter().for_each(|file| self.settle(file));
        let place = |(file, failed): &(FileId, Failed)| Evidence {
            seq: failed.seq,
            file: context.files.name(*file),
            text: format!(
                "{} failed with {}, and {} on the file followed",
                failed.name,
                abi::errno_name(failed.errno).unwrap_or("an error"),
                if failed.later == 1 {
                    "1 call".to_owned()
                } else {
                    format!("{} calls", count(failed.later))
                }
            ),
            weight: failed.later,
            ..Evidence::default()
        };
        Found::safety(Level::High, self.found.iter().map(place).collect(), |places| {
            format!(
                "The program went on writing or syncing after an error {} time{}: what it wrote \
                 may be lost.",
                count(places.len() as u64),
                if places.len() == 1 { "" } else { "s" }
            )
        })
    }
}
