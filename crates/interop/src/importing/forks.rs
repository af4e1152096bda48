//! The parents of threads. A log is read a first time to find them, as a child may act before its
//! parent's clone(2) has returned.

use ::import::Fork;
use abi::Effect;
use abi::flags::process::CLONE;
use ahash::HashMap;
use linux_raw_sys::general::{CLONE_FILES, CLONE_FS, CLONE_THREAD, CLONE_VM};

/// The flags of clone(2) with which a thread of the same process is started.
pub(crate) const THREAD_FLAGS: u64 = (CLONE_FILES | CLONE_FS | CLONE_THREAD | CLONE_VM) as u64;

/// The starts of threads, as far as a log was read.
#[derive(Default)]
pub(crate) struct Forks {
    /// The starts of threads, in order, by the id of the new thread.
    pub starts: HashMap<u32, Vec<Fork>>,
    /// Calls that have not returned, by the id of the calling thread: the time of entry, and the
    /// flags of clone(2).
    pub pending_calls: HashMap<u32, (u64, u64)>,
}

impl Forks {
    /// Notes that thread `tid` enters a call that starts another thread, with these flags of
    /// clone(2).
    pub fn begin_fork(&mut self, tid: u32, time: u64, flags: u64) {
        self.pending_calls.insert(tid, (time, flags));
    }
    /// Notes that this call of `parent` returns: `child` is the id of the new thread, or a negative
    /// errno.
    pub fn end_fork(&mut self, parent: u32, child: i64) {
        if let (Some((time, flags)), Ok(child @ 1..)) =
            (self.pending_calls.remove(&parent), u32::try_from(child))
        {
            self.starts.entry(child).or_default().push(Fork { parent, flags, time });
        }
    }
}

/// Returns whether the call of this name starts a thread or process.
pub(crate) fn is_fork(name: &str) -> bool {
    abi::by_name(name).is_some_and(|r| r.spec.effect == Effect::Fork)
}

/// Returns the flags of clone(2) that are named in a text, with or without their prefix.
pub(crate) fn parse_clone_flags(text: &str) -> u64 {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let flag = |word: &str| {
        let named = |name: &str| name.strip_prefix(CLONE.name) == Some(word);
        CLONE.bits.iter().find(|(_, name)| *name == word || named(name)).map(|(bit, _)| *bit)
    };
    words.filter_map(flag).fold(0, |flags, bit| flags | bit)
}
