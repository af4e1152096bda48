//! The parents of threads. A log is read a first time to find them, as a child may act before its
//! parent's clone(2) has returned.

use ::import::Fork;
use abi::Effect;
use abi::flags::process::CLONE;
use ahash::HashMap;
use linux_raw_sys::general::{CLONE_FILES, CLONE_FS, CLONE_THREAD, CLONE_VM};

/// What the threads of a process share.
pub(crate) const THREAD: u64 = (CLONE_FILES | CLONE_FS | CLONE_THREAD | CLONE_VM) as u64;

#[derive(Default)]
pub(crate) struct Forks {
    /// Starts of threads by thread id, in order.
    pub made: HashMap<u32, Vec<Fork>>,
    /// Calls that have not returned, by thread: the times of entry, and the flags.
    pub begun: HashMap<u32, (u64, u64)>,
}

impl Forks {
    /// Notes that thread `tid` enters a call that starts another thread, with these flags of
    /// clone(2).
    pub fn begin_fork(&mut self, tid: u32, time: u64, flags: u64) {
        self.begun.insert(tid, (time, flags));
    }
    /// Notes that this call of `parent` returns `child`, or a negative errno.
    pub fn end_fork(&mut self, parent: u32, child: i64) {
        if let (Some((time, flags)), Ok(child @ 1..)) =
            (self.begun.remove(&parent), u32::try_from(child))
        {
            self.made.entry(child).or_default().push(Fork { parent, flags, time });
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
