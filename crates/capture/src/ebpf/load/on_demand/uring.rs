//! Loading the programs that record operations of io_uring (`bpf/uring.bpf.c`).

use super::{Loader, Shared, configure, values};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::kernel_types::KernelTypes;
use crate::ebpf::load::{CopyMethod, Scope};
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::types::common_state;
use crate::ebpf::skel::uring::types::{opcode, operation};
use crate::ebpf::skel::uring::{UringSkel, UringSkelBuilder};
use crate::records::monotonic_ns;
use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, Skel};
use std::mem::{MaybeUninit, offset_of};
use trace::record::{BY_CONTRACT, Header, NO_EXIT, RecordKind};

/// How many arguments `io_uring_complete` has from Linux 6.18 on, where it is given the completion
/// instead of its fields.
const ARGUMENTS_WITH_COMPLETION: usize = 3;
/// A bit of an operation's `sqe_flags`: success is not reported.
const SKIP_SUCCESS: u8 = 1 << 6;

/// All that is needed to load the programs.
pub(in crate::ebpf) struct UringLoader {
    shared: Shared,
}

impl UringLoader {
    /// Takes what the programs share with the probe.
    pub(in crate::ebpf::load) fn new(
        skel: &EngineSkel<'_>,
        opcodes: Vec<opcode>,
        options: (CopyMethod, bool, Scope),
    ) -> Result<Self, Error> {
        let maps = &skel.maps;
        let more = [("uring_scope", &maps.uring_scope)];
        let shared = Shared::new(skel, &maps.uring_alarms, &more, opcodes, options)?;
        Ok(Self { shared })
    }
}

impl Loader for UringLoader {
    const NAMES: [&'static str; 2] = ["uring", "io_uring"];
    const STATE: usize = offset_of!(common_state, uring_state);
    const LATE: usize = offset_of!(common_state, uring_late);
    const USED: &'static str = "a ring of io_uring";
    type Probe<'o> = UringSkel<'o>;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn load<'o>(&self, object: &'o mut MaybeUninit<OpenObject>) -> Result<UringSkel<'o>, Error> {
        let kernel = KernelTypes::open()?;
        let (mut open, cast_structs, _types) =
            Shared::open(UringSkelBuilder::default(), &kernel, object)?;
        configure!(open, self.shared, cast_structs);
        let new_submit = kernel.has_name("btf_trace_io_uring_submit_req");
        let completion = kernel.tracepoint_arguments("io_uring_complete");
        let with_completion = completion == Some(ARGUMENTS_WITH_COMPLETION);
        drop(kernel);
        open.progs.on_submit.set_autoload(new_submit);
        open.progs.on_submit_old.set_autoload(!new_submit);
        open.progs.on_complete.set_autoload(with_completion);
        open.progs.on_complete_old.set_autoload(!with_completion);
        self.shared.reuse_maps(open.open_object_mut())?;
        let mut skel = open.load().map_err(refused("load the eBPF program for io_uring"))?;
        self.shared.store_opcodes(&skel.maps.opcodes)?;
        skel.attach().map_err(refused("attach the eBPF program for io_uring"))?;
        Ok(skel)
    }

    fn finish(mut probe: UringSkel<'_>) -> Vec<Header> {
        drop(std::mem::take(&mut probe.links));
        // SAFETY: the type of the map's values.
        let operations: Vec<operation> = unsafe { values(&probe.maps.operations) };
        let left = monotonic_ns();
        operations.iter().map(|operation| record(operation, left)).collect()
    }
}

/// Makes the record of an operation that has not completed at `left`. One whose success is not
/// reported counts as successful.
fn record(operation: &operation, left: u64) -> Header {
    let call = &operation.call;
    let unreported = operation.sqe_flags & SKIP_SUCCESS != 0;
    Header {
        kind: RecordKind::Call as u8,
        flags: if unreported { BY_CONTRACT } else { NO_EXIT },
        pid: operation.pid,
        tid: call.tid,
        nr: call.nr,
        entered: call.entered,
        left,
        ret: if unreported { operation.asked as i64 } else { 0 },
        args: call.args,
        ..Header::default()
    }
}
