//! Who made whom, for which a trace is read a first time: a child acts before its parent's clone has returned.

use ::import::Fork;
use abi::Effect;
use abi::flags::process::CLONE;
use ahash::HashMap;
use linux_raw_sys::general::{CLONE_FILES, CLONE_FS, CLONE_THREAD, CLONE_VM};

/// What the threads of a process share.
pub(crate) const THREAD: u64 = (CLONE_FILES | CLONE_FS | CLONE_THREAD | CLONE_VM) as u64;

#[derive(Default)]
pub(crate) struct Forks {
    /// By the child's number, in order.
    pub made: HashMap<u32, Vec<Fork>>,
    /// Calls under way: when they began, and their flags.
    pub begun: HashMap<u32, (u64, u64)>,
}

impl Forks {
    /// `tid` has begun to make another.
    pub fn begin(&mut self, tid: u32, time: u64, flags: u64) {
        self.begun.insert(tid, (time, flags));
    }
    /// What it began has returned this.
    pub fn end(&mut self, parent: u32, child: i64) {
        if let (Some((time, flags)), Ok(child @ 1..)) =
            (self.begun.remove(&parent), u32::try_from(child))
        {
            self.made.entry(child).or_default().push(Fork { parent, flags, time });
        }
    }
}

/// Whether the call of this name makes another thread or process.
pub(crate) fn is_fork(name: &str) -> bool {
    abi::by_name(name).is_some_and(|r| r.shape.effect == Effect::Fork)
}

/// The flags of clone(2) among the words of a text, with their prefix or without.
pub(crate) fn clone_flags(text: &str) -> u64 {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let flag = |word: &str| {
        let named = |name: &str| name.strip_prefix(CLONE.name) == Some(word);
        CLONE.bits.iter().find(|(_, name)| *name == word || named(name)).map(|(bit, _)| *bit)
    };
    words.filter_map(flag).fold(0, |flags, bit| flags | bit)
}
