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

/// Bits of a request's `how` (`bpf/record.h`).
const MAPPED: u32 = 4;
const STORED: u32 = 8;
const CHANGED: u32 = 16;
const ENDED: u32 = 32;
const COPIED: u32 = 64;
const WRITTEN: u32 = 128;
/// All of them.
pub(super) const ANY: u32 = MAPPED | STORED | CHANGED | ENDED | COPIED | WRITTEN;

/// The files that recorded processes have mapped.
pub(super) struct MappedByScope {
    pub files: MappedFiles,
    /// The probe's map of that name.
    stored_early: MapHandle,
}

impl MappedByScope {
    /// Makes a list without files, for a recording with these options.
    pub fn new(probe: &Probe<'_>, options: &Options) -> Result<Self, Error> {
        let stored_early = MapHandle::try_from(&probe.skel.maps.stored_early)
            .map_err(refused("duplicate a descriptor"))?;
        Ok(Self { files: MappedFiles::new(options), stored_early })
    }
}

/// Serves a request. `name` is the path that the file had when it was mapped.
pub(super) fn serve(r: &request, name: &Path, of: &mut MappedByScope, out: &mut RecordWriter) {
    let MappedByScope { files, stored_early } = of;
    let (pid, tid) = (r.pid as i32, r.tid as i32);
    let long = files.compared_bytes(pid) > LONG_READ;
    if long {
        use_normal_policy();
    }
    match r.how {
        MAPPED => {
            let found = FileRange::open_by_inode(tid, pid, r.fd, 0, r.ino, true, name);
            let part = r.from..r.from.saturating_add(r.wanted);
            if let Some(file) = found {
                let writable = r.nr & PROT_WRITE != 0;
                let mapping =
                    NewMapping { number: r.arg, pid, tid, address: r.limit, writable, part };
                let stored_early = || stored_early.lookup(&r.arg.to_ne_bytes(), MapFlags::ANY);
                let is_held = || matches!(stored_early(), Ok(None));
                files.add(mapping, file.into_file(), is_held);
            }
        }
        STORED => {
            let addresses = r.from..r.from.saturating_add(r.wanted);
            files.look(pid, tid, Some(&addresses).filter(|a| !a.is_empty()), out);
        }
        CHANGED => files.look_after_change(pid, tid, out),
        ENDED => files.end_process(pid, tid, out),
        COPIED => files.fork(tid, pid),
        WRITTEN => files.forget_content(r.from),
        _ => {}
    }
    if long {
        use_realtime_policy();
    }
}
