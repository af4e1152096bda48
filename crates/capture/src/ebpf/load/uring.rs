//! Loading the programs that record operations of io_uring (`bpf/uring.bpf.c`). They use the maps
//! of the probe.

use super::kernel_types::{KernelTypes, TypesFile};
use super::{CopyMethod, Scope, plan_maps};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::uring::types::{opcode, operation};
use crate::ebpf::skel::uring::{OpenUringSkel, UringSkel, UringSkelBuilder};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// How many arguments `io_uring_complete` has from Linux 6.18 on, where it is given the completion
/// instead of its fields.
const ARGUMENTS_WITH_COMPLETION: usize = 3;

/// All that is needed to load the programs, at any time and in any thread.
pub(in crate::ebpf) struct UringLoader {
    /// The maps that are shared with the probe, by name.
    maps: Vec<(&'static str, MapHandle)>,
    opcodes: Vec<opcode>,
    dynptrs: bool,
    drops: bool,
    scope: u32,
    ring_bytes: u64,
    room_bytes: u64,
    chunk_bytes: u32,
}

/// The programs, loaded and attached until this is dropped.
pub(in crate::ebpf) struct UringProbe<'o>(UringSkel<'o>);

impl UringLoader {
    /// Takes what the programs share with the probe.
    pub(super) fn new(
        skel: &EngineSkel<'_>,
        opcodes: Vec<opcode>,
        path: CopyMethod,
        drops: bool,
        scope: Scope,
    ) -> Result<Self, Error> {
        let maps = &skel.maps;
        let shared = [
            ("threads", &maps.threads),
            ("joined", &maps.joined),
            ("cgroup", &maps.cgroup),
            ("plans", &maps.plans),
            ("scratches", &maps.scratches),
            ("cpus", &maps.cpus),
            ("common", &maps.common),
            ("rings", &maps.rings),
            ("alarms", &maps.alarms),
            ("requests", &maps.requests),
            ("uring_scope", &maps.uring_scope),
            ("uring_alarms", &maps.uring_alarms),
        ];
        let maps = shared.into_iter().map(|(name, map)| {
            let copy = MapHandle::try_from(map).map_err(refused("duplicate a descriptor"))?;
            Ok((name, copy))
        });
        let data = skel.maps.data_data.as_deref().expect("the program has variables");
        Ok(Self {
            maps: maps.collect::<Result<_, Error>>()?,
            opcodes,
            dynptrs: path == CopyMethod::Dynptr,
            drops,
            scope: scope as u32,
            ring_bytes: data.ring_bytes,
            room_bytes: data.room_bytes,
            chunk_bytes: data.chunk_bytes,
        })
    }

    /// Returns the ring buffer in which the probe says that a first ring is created.
    pub fn alarms(&self) -> &MapHandle {
        let (_, alarms) = &self.maps[self.maps.len() - 1];
        alarms
    }

    /// Loads the programs and attaches them. Fails if the kernel does not accept them.
    pub fn load<'o>(
        &self,
        object: &'o mut MaybeUninit<OpenObject>,
    ) -> Result<UringProbe<'o>, Error> {
        let kernel = KernelTypes::open()?;
        let for_libbpf = TypesFile::new()?;
        let mut open = UringSkelBuilder::default()
            .open_opts(for_libbpf.open_options(), object)
            .map_err(refused("open the eBPF program for io_uring"))?;
        let numbers = for_libbpf.fill(&kernel, open.open_object())?;
        self.configure(&mut open, numbers.cast_to());
        let new_submit = kernel.have_name("btf_trace_io_uring_submit_req");
        let completion = kernel.tracepoint_arguments("io_uring_complete");
        let with_completion = completion == Some(ARGUMENTS_WITH_COMPLETION);
        drop(kernel);
        open.progs.on_submit.set_autoload(new_submit);
        open.progs.on_submit_old.set_autoload(!new_submit);
        open.progs.on_complete.set_autoload(with_completion);
        open.progs.on_complete_old.set_autoload(!with_completion);
        for mut map in open.open_object_mut().maps_mut() {
            let shared = self.maps.iter().find(|(name, _)| map.name() == *name);
            if let Some((_, shared)) = shared {
                map.reuse_fd(shared.as_fd()).map_err(refused("share a map"))?;
            }
        }
        let mut skel = open.load().map_err(refused("load the eBPF program for io_uring"))?;
        let opcodes = plan_maps::numbered().zip(self.opcodes.iter().map(plan_maps::bytes));
        plan_maps::fill(&skel.maps.opcodes, opcodes)
            .map_err(refused("load the table of operations"))?;
        skel.attach().map_err(refused("attach the eBPF program for io_uring"))?;
        Ok(UringProbe(skel))
    }

    /// Sets the constants and variables of the programs.
    fn configure(&self, open: &mut OpenUringSkel<'_>, cast_to: [u32; 5]) {
        let constants = open.maps.rodata_data.as_deref_mut().expect("the program has constants");
        constants.dynptrs = self.dynptrs;
        constants.drops = self.drops;
        constants.recorder = std::process::id();
        constants.scope = self.scope;
        [
            constants.type_task_struct,
            constants.type_path,
            constants.type_file,
            constants.type_inode,
            constants.type_super_block,
        ] = cast_to;
        let data = open.maps.data_data.as_deref_mut().expect("the program has variables");
        data.ring_bytes = self.ring_bytes;
        data.room_bytes = self.room_bytes;
        data.chunk_bytes = self.chunk_bytes;
    }
}

impl UringProbe<'_> {
    /// Detaches the programs, and returns the operations that have not completed.
    pub fn finish(mut self) -> Vec<operation> {
        drop(std::mem::take(&mut self.0.links));
        let operations = &self.0.maps.operations;
        let values = operations.keys().filter_map(|key| {
            let bytes = operations.lookup(&key, MapFlags::ANY).ok()??;
            // SAFETY: as many bytes of a struct of numbers.
            (bytes.len() >= size_of::<operation>())
                .then(|| unsafe { bytes.as_ptr().cast::<operation>().read_unaligned() })
        });
        values.collect()
    }
}
