//! Requests about files that recorded processes have mapped shared (`bpf/mapped.h`).

use super::LONG_READ;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::Probe;
use crate::ebpf::skel::types::request;
use crate::inspect::moved_data::FileRange;
use crate::mapped_files::{MappedFiles, NewMapping};
use crate::records::RecordWriter;
use crate::threads::scheduling::{use_normal_policy, use_realtime_policy};
use crate::{Error, Options};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use linux_raw_sys::general::PROT_WRITE;
use std::path::Path;

// Bits of a request's `how` (`bpf/record.h`), each of which is a kind of request:
/// A file was mapped.
const MAPPED: u32 = 4;
/// The program asks for what it stored to be written to the disk, or copies it.
const STORED: u32 = 8;
/// A call may have ended mappings or made some writable.
const CHANGED: u32 = 16;
/// A process has ended or executed another program.
const ENDED: u32 = 32;
/// A process has copies of the mappings of another one.
const COPIED: u32 = 64;
/// A call has changed the content of a file.
const WRITTEN: u32 = 128;
/// All of them.
pub(super) const ANY: u32 = MAPPED | STORED | CHANGED | ENDED | COPIED | WRITTEN;

/// The files that recorded processes have mapped.
pub(super) struct MappedByScope {
    pub files: MappedFiles,
    /// The probe's map of that name: the numbers of mappings into which the program may have stored
    /// before the file was read.
    stored_early: MapHandle,
}

impl MappedByScope {
    /// Creates a list without files, for a recording with these options.
    pub fn new(probe: &Probe<'_>, options: &Options) -> Result<Self, Error> {
        let stored_early = MapHandle::try_from(&probe.skel.maps.stored_early)
            .map_err(refused("duplicate a descriptor"))?;
        Ok(Self { files: MappedFiles::new(options), stored_early })
    }
}

/// Serves a request: updates `mapped`, and writes rows of what was stored. `name` is the path that
/// the file had when it was mapped.
pub(super) fn serve(r: &request, name: &Path, mapped: &mut MappedByScope, out: &mut RecordWriter) {
    let MappedByScope { files, stored_early } = mapped;
    let (pid, tid) = (r.pid as i32, r.tid as i32);
    let is_long = files.compared_bytes(pid) > LONG_READ;
    if is_long {
        use_normal_policy();
    }
    match r.how {
        MAPPED => {
            let opened = FileRange::open_by_inode(tid, pid, r.fd, 0, r.ino, true, name);
            let range = r.from..r.from.saturating_add(r.wanted);
            if let Some(file) = opened {
                let writable = r.nr & PROT_WRITE != 0;
                let mapping =
                    NewMapping { number: r.arg, pid, tid, address: r.limit, writable, range };
                let stored_early = || stored_early.lookup(&r.arg.to_ne_bytes(), MapFlags::ANY);
                let is_unchanged = || matches!(stored_early(), Ok(None));
                files.add(mapping, file.into_file(), is_unchanged);
            }
        }
        STORED => {
            let addresses = r.from..r.from.saturating_add(r.wanted);
            files.write_changes(pid, tid, Some(&addresses).filter(|a| !a.is_empty()), out);
        }
        CHANGED => files.update_mappings(pid, tid, out),
        ENDED => files.end_process(pid, tid, out),
        COPIED => files.fork(tid, pid),
        WRITTEN => files.forget_content(r.from),
        _ => {}
    }
    if is_long {
        use_realtime_policy();
    }
}
