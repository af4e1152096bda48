//! Loading the parts of the probe that a recording may not need. They use the maps of the probe.

mod aio;
mod uring;

pub(in crate::ebpf) use aio::AioLoader;
pub(in crate::ebpf) use uring::UringLoader;

use super::kernel_types::{KernelTypes, TypesFile};
use super::{CopyMethod, Scope, plan_maps};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::skel::EngineSkel;
use crate::ebpf::skel::uring::types::opcode;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use trace::record::Header;

/// Loads a part of the probe, at any time and in any thread.
pub(in crate::ebpf) trait Loader: Send + Sync + 'static {
    /// What it records: a name of one word, and one for messages.
    const NAMES: [&'static str; 2];
    /// The offset in `struct common_state` of the word that says whether the part is there.
    const STATE: usize;
    /// The offset of the word that says whether a ring or context was used before the part was
    /// there.
    const LATE: usize;
    /// What is used then, for messages.
    const USED: &'static str;
    /// The programs, loaded and attached until this is dropped.
    type Probe<'o>;

    /// Returns what the part shares with the probe.
    fn shared(&self) -> &Shared;

    /// Loads the programs and attaches them. Fails if the kernel does not accept them.
    fn load<'o>(&self, object: &'o mut MaybeUninit<OpenObject>) -> Result<Self::Probe<'o>, Error>;

    /// Detaches the programs, and returns the records of the operations that have not completed.
    fn finish(probe: Self::Probe<'_>) -> Vec<Header>;
}

/// What a part shares with the probe.
pub(in crate::ebpf) struct Shared {
    /// The maps, by name.
    maps: Vec<(&'static str, MapHandle)>,
    /// The ring buffer in which the probe says that the part is needed.
    pub alarms: MapHandle,
    /// The operations that the part records, by opcode.
    opcodes: Vec<opcode>,
    dynptrs: bool,
    drops: bool,
    scope: u32,
    ring_bytes: u64,
    room_bytes: u64,
    chunk_bytes: u32,
}

impl Shared {
    /// Copies what the part shares with the probe: descriptors of its maps, and settings. `more`
    /// are maps that the other part does not use.
    fn new<'m>(
        skel: &EngineSkel<'m>,
        alarms: &libbpf_rs::MapMut<'m>,
        more: &[(&'static str, &libbpf_rs::MapMut<'m>)],
        opcodes: Vec<opcode>,
        (copy_method, drops, scope): (CopyMethod, bool, Scope),
    ) -> Result<Self, Error> {
        let maps = &skel.maps;
        let shared_by_all = [
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
        ];
        let copy = |map| MapHandle::try_from(map).map_err(refused("duplicate a descriptor"));
        let maps = shared_by_all.iter().chain(more).map(|(name, map)| Ok((*name, copy(*map)?)));
        let data = skel.maps.data_data.as_deref().expect("the program has variables");
        Ok(Self {
            maps: maps.collect::<Result<_, Error>>()?,
            alarms: copy(alarms)?,
            opcodes,
            dynptrs: copy_method == CopyMethod::Dynptr,
            drops,
            scope: scope as u32,
            ring_bytes: data.ring_bytes,
            room_bytes: data.room_bytes,
            chunk_bytes: data.chunk_bytes,
        })
    }

    /// Opens the object of the part. Also returns the BTF type ids of the structs to which it casts
    /// pointers, and the file of types, which must live until the object is loaded.
    fn open<'o, B: SkelBuilder<'o>>(
        builder: B,
        kernel: &KernelTypes,
        object: &'o mut MaybeUninit<OpenObject>,
    ) -> Result<(B::Output, [u32; 5], TypesFile), Error> {
        let for_libbpf = TypesFile::new()?;
        let open = builder
            .open_opts(for_libbpf.open_options(), object)
            .map_err(refused("open the eBPF program"))?;
        let type_ids = for_libbpf.fill(kernel, open.open_object())?;
        Ok((open, type_ids.cast_structs(), for_libbpf))
    }

    /// Fills the map of opcodes.
    fn store_opcodes(&self, map: &impl MapCore) -> Result<(), Error> {
        let opcodes = plan_maps::numbered().zip(self.opcodes.iter().map(plan_maps::bytes));
        plan_maps::fill(map, opcodes).map_err(refused("load the table of operations"))
    }

    /// Makes the programs use the maps of the probe.
    fn reuse_maps(&self, object: &mut libbpf_rs::OpenObject) -> Result<(), Error> {
        for mut map in object.maps_mut() {
            let shared = self.maps.iter().find(|(name, _)| map.name() == *name);
            if let Some((_, shared)) = shared {
                map.reuse_fd(shared.as_fd()).map_err(refused("share a map"))?;
            }
        }
        Ok(())
    }
}

/// Sets the constants and variables of the programs.
macro_rules! configure {
    ($open:expr, $shared:expr, $cast_structs:expr) => {
        let constants = $open.maps.rodata_data.as_deref_mut().expect("the program has constants");
        constants.dynptrs = $shared.dynptrs;
        constants.drops = $shared.drops;
        constants.recorder = std::process::id();
        constants.scope = $shared.scope;
        [
            constants.type_task_struct,
            constants.type_path,
            constants.type_file,
            constants.type_inode,
            constants.type_super_block,
        ] = $cast_structs;
        let data = $open.maps.data_data.as_deref_mut().expect("the program has variables");
        data.ring_bytes = $shared.ring_bytes;
        data.room_bytes = $shared.room_bytes;
        data.chunk_bytes = $shared.chunk_bytes;
    };
}
use configure;

/// Returns the values of a map.
///
/// # Safety
///
/// `T` is the type of the values, a struct of numbers.
unsafe fn values<T>(map: &impl MapCore) -> Vec<T> {
    let value = |key: Vec<u8>| {
        let bytes = map.lookup(&key, MapFlags::ANY).ok()??;
        // SAFETY: as many bytes of a struct of numbers.
        (bytes.len() >= size_of::<T>())
            .then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    };
    map.keys().filter_map(value).collect()
}
