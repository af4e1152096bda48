//! Calls that are under way when we leave: the kernel's program has seen them begin and will not
//! see them end.

use super::load::Probe;
use super::skel::types::under_way;
use crate::records::{RecordWriter, now};
use libbpf_rs::Iter;
use std::io::Read;
use trace::record::{Header, NO_EXIT, RecordKind};

/// Writes a record of each.
pub(super) fn write_records(probe: &Probe<'_>, out: &mut RecordWriter) {
    let mut bytes = Vec::new();
    let read = probe
        .skel
        .progs
        .calls_under_way
        .attach()
        .and_then(|link| Iter::new(&link))
        .map(|mut calls| calls.read_to_end(&mut bytes));
    if read.is_err() {
        return;
    }
    let left = now();
    for call in bytes.chunks_exact(size_of::<under_way>()) {
        // SAFETY: as many bytes of a struct of numbers.
        let call = unsafe { call.as_ptr().cast::<under_way>().read_unaligned() };
        out.begin(
            Header {
                kind: RecordKind::Call as u8,
                flags: NO_EXIT | call.flags as u8,
                pid: call.pid,
                tid: call.tid,
                nr: call.nr,
                entered: call.entered,
                left,
                args: call.args,
                ..Header::default()
            },
            false,
        );
        out.end();
    }
}
