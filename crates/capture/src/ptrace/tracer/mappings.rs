//! Shared mappings of files.

use super::Tracer;
use crate::inspect::moved_data::reopen;
use crate::inspect::procfs;
use crate::mapped_files::{BY_NAME, NewMapping, changes_mappings, shared_range};
use crate::ptrace::thread::PendingCall;
use abi::plan::{NONE, RESULT};
use linux_raw_sys::general::{O_ACCMODE, O_APPEND, O_DIRECT, O_RDWR, PROT_WRITE};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

impl Tracer {
    /// Begins to record what is stored through the mapping that a call has created. Returns the
    /// number of the mapping, or `None` if it is not a shared one of a regular file that can be
    /// written.
    pub fn begin_mapping(&mut self, pid: i32, call: &PendingCall, ret: i64) -> Option<u32> {
        let range = shared_range(&call.args)?;
        // A mapping in another process's memory does not end with this one.
        self.threads.get(&call.tid).filter(|thread| !thread.shares_memory)?;
        let fd = call.args[4] as i32;
        // Through a descriptor with other flags, replay could not write at any offset.
        let can_write = |flags: u32| flags & (O_ACCMODE | O_APPEND | O_DIRECT) == O_RDWR;
        procfs::read_fdinfo(call.tid, fd).filter(|info| can_write(info.flags))?;
        // A file of memfd_create(2) is in no directory.
        let name = std::fs::read_link(format!("/proc/{}/fd/{fd}", call.tid)).ok()?;
        if name.as_os_str().as_bytes().starts_with(b"/memfd:") {
            return None;
        }
        let file = File::from(reopen(call.tid, fd)?);
        self.mapping_count += 1;
        let number = self.mapping_count;
        let (address, writable) = (ret as u64, call.args[2] as u32 & PROT_WRITE != 0);
        let tid = call.tid;
        self.mapped_files.add(
            NewMapping { number, pid, tid, address, writable, range },
            file,
            || true,
        );
        Some(number)
    }

    /// Updates what is known about mapped files after a call: which file it has changed, and which
    /// mappings it may have ended or made writable. Files without mappings are compared for the
    /// last time.
    pub fn update_mapped_files(&mut self, pid: i32, call: &PendingCall, ret: i64) {
        if self.mapped_files.is_empty() {
            return;
        }
        let plan = self.plans.get(call.plan);
        if abi::errno_of(ret).is_none() {
            match plan.changes {
                NONE => {}
                BY_NAME => self.mapped_files.forget_content(0),
                RESULT => self.forget_content(call.tid, ret as i32, |size| size == 0),
                argument => {
                    let fd = call.args[usize::from(argument)] as i32;
                    self.forget_content(call.tid, fd, |_| true);
                }
            }
        }
        let meaning = self.plans.get(call.plan).mapping;
        if meaning.is_some_and(|meaning| changes_mappings(meaning, &call.args)) {
            self.mapped_files.update_mappings(pid, call.tid, &mut self.out);
        }
    }

    /// Notes that a call has changed the file of a descriptor, if that is so of a file of this
    /// size.
    fn forget_content(&mut self, tid: i32, fd: i32, changes: impl Fn(u64) -> bool) {
        let file = std::fs::metadata(format!("/proc/{tid}/fd/{fd}"));
        if let Some(file) = file.ok().filter(|file| changes(file.size())) {
            self.mapped_files.forget_content(file.ino());
        }
    }
}
