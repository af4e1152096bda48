//! Loading the programs that record operations of libaio (`bpf/aio.bpf.c`).

use super::{Loader, Shared, configure, values};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::kernel_types::{KernelTypes, TypesFile};
use crate::ebpf::load::{CopyMethod, Scope, plan_maps};
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::aio::types::{block, opcode};
use crate::ebpf::skel::aio::{AioSkel, AioSkelBuilder};
use crate::ebpf::skel::types::common_state;
use crate::records::monotonic_ns;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapHandle, OpenObject};
use std::mem::{MaybeUninit, offset_of};
use trace::record::{Header, NO_EXIT, RecordKind};

/// All that is needed to load the programs.
pub(in crate::ebpf) struct AioLoader {
    shared: Shared,
    opcodes: Vec<opcode>,
}

impl AioLoader {
    /// Takes what the programs share with the probe.
    pub(in crate::ebpf::load) fn new(
        skel: &EngineSkel<'_>,
        opcodes: Vec<opcode>,
        options: (CopyMethod, bool, Scope),
    ) -> Result<Self, Error> {
        let maps = &skel.maps;
        let shared = Shared::new(skel, &maps.aio_alarms, &[("numbers", &maps.numbers)], options)?;
        Ok(Self { shared, opcodes })
    }
}

impl Loader for AioLoader {
    const NAMES: [&'static str; 2] = ["aio", "libaio"];
    const STATE: usize = offset_of!(common_state, aio_state);
    const LATE: usize = offset_of!(common_state, aio_late);
    const USED: &'static str = "a context of libaio";
    type Probe<'o> = AioSkel<'o>;

    fn alarms(&self) -> &MapHandle {
        &self.shared.alarms
    }

    fn load<'o>(&self, object: &'o mut MaybeUninit<OpenObject>) -> Result<AioSkel<'o>, Error> {
        let kernel = KernelTypes::open()?;
        let for_libbpf = TypesFile::new()?;
        let mut open = AioSkelBuilder::default()
            .open_opts(for_libbpf.open_options(), object)
            .map_err(refused("open the eBPF program for libaio"))?;
        let numbers = for_libbpf.fill(&kernel, open.open_object())?;
        drop(kernel);
        configure!(open, self.shared, numbers.cast_to());
        self.shared.reuse_maps(open.open_object_mut())?;
        let mut skel = open.load().map_err(refused("load the eBPF program for libaio"))?;
        let opcodes = plan_maps::numbered().zip(self.opcodes.iter().map(plan_maps::bytes));
        plan_maps::fill(&skel.maps.aio_opcodes, opcodes)
            .map_err(refused("load the table of operations"))?;
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
