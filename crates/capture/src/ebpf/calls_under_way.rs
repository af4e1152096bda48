//! Calls that have not returned when the recording ends. The probe has seen their entry and will
//! not see their exit.

use super::load::Probe;
use super::skel::types::under_way;
use crate::records::{RecordSize, RecordWriter, monotonic_ns};
use libbpf_rs::Iter;
use std::io::Read;
use trace::record::{Header, NO_EXIT, RecordKind};

/// Writes a record of each such call, with `NO_EXIT`. Writes nothing if the probe cannot list them.
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
    let left = monotonic_ns();
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
            RecordSize::Small,
        );
        out.end();
    }
}
