//! Loading the programs that record operations of libaio (`bpf/aio.bpf.c`).

use super::{Loader, Shared, configure, values};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::kernel_types::KernelTypes;
use crate::ebpf::load::{CopyMethod, Scope};
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::aio::types::block;
use crate::ebpf::skel::aio::{AioSkel, AioSkelBuilder};
use crate::ebpf::skel::types::common_state;
use crate::ebpf::skel::uring::types::opcode;
use crate::records::monotonic_ns;
use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, Skel};
use std::mem::{MaybeUninit, offset_of};
use trace::record::{Header, NO_EXIT, RecordKind};

/// All that is needed to load the programs.
pub(in crate::ebpf) struct AioLoader {
    shared: Shared,
}

impl AioLoader {
    /// Takes what the programs share with the probe.
    pub(in crate::ebpf::load) fn new(
        skel: &EngineSkel<'_>,
        opcodes: Vec<opcode>,
        options: (CopyMethod, bool, Scope),
    ) -> Result<Self, Error> {
        let maps = &skel.maps;
        let shared =
            Shared::new(skel, &maps.aio_alarms, &[("numbers", &maps.numbers)], opcodes, options)?;
        Ok(Self { shared })
    }
}

impl Loader for AioLoader {
    const NAMES: [&'static str; 2] = ["aio", "libaio"];
    const STATE: usize = offset_of!(common_state, aio_state);
    const LATE: usize = offset_of!(common_state, aio_late);
    const USED: &'static str = "a context of libaio";
    type Probe<'o> = AioSkel<'o>;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn load<'o>(&self, object: &'o mut MaybeUninit<OpenObject>) -> Result<AioSkel<'o>, Error> {
        let kernel = KernelTypes::open()?;
        let (mut open, cast_structs, _types) =
            Shared::open(AioSkelBuilder::default(), &kernel, object)?;
        drop(kernel);
        configure!(open, self.shared, cast_structs);
        self.shared.reuse_maps(open.open_object_mut())?;
        let mut skel = open.load().map_err(refused("load the eBPF program for libaio"))?;
        self.shared.store_opcodes(&skel.maps.aio_opcodes)?;
        skel.attach().map_err(refused("attach the eBPF program for libaio"))?;
        Ok(skel)
    }

    fn finish(mut probe: AioSkel<'_>) -> Vec<Header> {
        drop(std::mem::take(&mut probe.links));
        // SAFETY: the type of the map's values.
        let blocks: Vec<block> = unsafe { values(&probe.maps.blocks) };
        let left = monotonic_ns();
        let record = |block: &block| Header {
            kind: RecordKind::Call as u8,
            flags: NO_EXIT,
            pid: block.pid,
            tid: block.call.tid,
            nr: block.call.nr,
            entered: block.call.entered,
            left,
            args: block.call.args,
            ..Header::default()
        };
        blocks.iter().map(record).collect()
    }
}
