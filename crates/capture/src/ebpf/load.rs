//! Loading the probe into the kernel. Which of two ways to copy data it uses depends on the kernel.

mod kernel_types;
mod on_demand;
mod parallel;
mod plan_maps;

use super::libbpf_error::refused;
use super::skel::{EngineSkel, EngineSkelBuilder, OpenEngineSkel};
use crate::{Error, Options};
use kernel_types::{KernelTypes, TypesFile};
use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, OpenObject};
pub(super) use on_demand::{AioLoader, Loader, UringLoader};
use parallel::{Loaded, ParallelLoad};
use rustix::thread::{MembarrierCommand, membarrier};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A state of the probe (`enum watching` of `bpf/ring.h`): it records calls.
const WATCHING: u32 = 1;
/// A state of the probe: it records the exits of calls under way, and no new calls.
const LEAVING: u32 = 2;

/// How the probe copies data into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMethod {
    /// It reserves exactly as much as is needed, and copies straight from the program's memory
    /// (Linux 6.16 and later).
    Dynptr,
    /// It reserves one of a few fixed sizes.
    Chunked,
}

impl fmt::Display for CopyMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynptr => "copies of run-time size",
            Self::Chunked => "copies of fixed sizes",
        })
    }
}

/// The kernel function that [`CopyMethod::Dynptr`] needs.
const DYNPTR: &str = "bpf_probe_read_user_dynptr";
/// The most bytes per copy. The kernel's limit for a dynptr is 16 MiB; but while a copy runs,
/// nothing else runs on its CPU.
const MAX_DYNPTR_COPY: u32 = 1 << 20;
/// The most bytes per copy with [`CopyMethod::Chunked`], as in `bpf/ring.h`.
const MAX_FIXED_COPY: u32 = 64 << 10;

/// What `/proc/self/ns/pid` is in the first pid namespace (`PROC_PID_INIT_INO`,
/// include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Fails unless this process is in the first pid namespace: the probe sees process IDs as they are
/// there.
fn check_first_pid_namespace() -> Result<(), Error> {
    let own_namespace = std::fs::read_link("/proc/self/ns/pid").map_err(|source| {
        Error::EbpfUnavailable { doing: "read this process's pid namespace", source, hint: None }
    })?;
    if own_namespace.as_os_str() == FIRST_PID_NAMESPACE {
        return Ok(());
    }
    let source = io::Error::other("process IDs differ from the kernel's here");
    let hint = Some("use the machine's own pid namespace: docker run --pid=host");
    Err(Error::EbpfUnavailable { doing: "record from within a pid namespace", source, hint })
}

/// Returns the copy method for this kernel. `REANIMATOR_BPF=chunked` in the environment selects
/// [`CopyMethod::Chunked`] in any case.
fn choose_copy_method(kernel: &KernelTypes) -> CopyMethod {
    let chunked = std::env::var_os("REANIMATOR_BPF").is_some_and(|v| v == "chunked");
    if !chunked && kernel.has_name(DYNPTR) { CopyMethod::Dynptr } else { CopyMethod::Chunked }
}

/// The probe, loaded.
pub(super) struct Probe<'o> {
    pub skel: EngineSkel<'o>,
    /// The ring of each CPU. They are kept here, since opening a map by its ID needs CAP_SYS_ADMIN.
    pub rings: Vec<MapHandle>,
    /// How many bytes should be in a ring at most: above half of it calls are delayed, above three
    /// quarters all processes are stopped.
    pub ring_bytes: usize,
    /// The size of a ring in bytes: more than `ring_bytes`, so that the rest of calls under way has
    /// room.
    pub room_bytes: usize,
    /// How it copies data.
    pub copy_method: CopyMethod,
    /// The programs that were loaded by separate threads.
    parallel: Loaded,
    /// The links of the programs for entries, exits and ends of threads, in the order in which they
    /// are closed.
    calls: Option<[OwnedFd; 3]>,
    /// How many CPUs the machine can have.
    pub cpus: usize,
    /// What loads the programs for io_uring and libaio, until it is taken.
    on_demand: Option<(UringLoader, AioLoader)>,
}

/// Which processes are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that are in the map `joined`, and their descendants.
    ProcessTree = 0,
    /// Those in a cgroup.
    Cgroup = 1,
    /// All except this recorder.
    SystemWide = 2,
}

/// Loads the probe, without attaching it. Fails if it cannot be used here.
pub(super) fn load<'o>(
    object: &'o mut MaybeUninit<OpenObject>,
    options: &Options,
    scope: Scope,
) -> Result<Probe<'o>, Error> {
    // Without this, libbpf prints to stderr what the error says.
    libbpf_rs::set_print(None);
    check_first_pid_namespace()?;
    let kernel = KernelTypes::open()?;
    let copy_method = choose_copy_method(&kernel);
    let cpus = libbpf_rs::num_possible_cpus().map_err(refused("count CPUs"))?;
    let plans = plan_maps::Tables::new(options);
    let for_libbpf = TypesFile::new()?;
    let mut open = EngineSkelBuilder::default()
        .open_opts(for_libbpf.open_options(), object)
        .map_err(refused("open the eBPF program"))?;
    let type_ids = for_libbpf.fill(&kernel, open.open_object())?;
    // A kernel can be built without io_uring.
    let has_rings = kernel.has_name("btf_trace_io_uring_create");
    open.progs.on_ring_created.set_autoload(has_rings);
    drop(kernel);
    let cast_structs = type_ids.cast_structs();
    configure(&mut open, options, &plans, &Settings { copy_method, cpus, scope, cast_structs })?;
    // Only the type of this map matters.
    let template = create_ring(rustix::param::page_size())?;
    open.maps.rings.set_inner_map_fd(template.as_fd()).map_err(refused("set up ring buffers"))?;
    let parallel = ParallelLoad::start(&mut open, &type_ids)?;
    let loaded = open.load().map_err(refused("load the eBPF program"));
    let filled = loaded.and_then(|mut skel| {
        let rings = fill_maps(&mut skel, options, &plans, copy_method, cpus)?;
        let shared = (copy_method, options.drops, scope);
        let uring = UringLoader::new(&skel, plans.opcodes, shared)?;
        let aio = AioLoader::new(&skel, plans.aio_opcodes, shared)?;
        Ok((skel, rings, (uring, aio)))
    });
    // The threads are always waited for, also after an error.
    let parallel = parallel.finish();
    let (skel, Rings { rings, ring_bytes, room_bytes }, on_demand) = filled?;
    Ok(Probe {
        skel,
        rings,
        ring_bytes,
        room_bytes,
        copy_method,
        parallel: parallel?,
        calls: None,
        cpus,
        on_demand: Some(on_demand),
    })
}

/// The rings and their sizes; see [`Probe`].
struct Rings {
    rings: Vec<MapHandle>,
    ring_bytes: usize,
    room_bytes: usize,
}

/// Creates the rings, and fills those maps and variables of the probe that are set after loading
/// it.
fn fill_maps(
    skel: &mut EngineSkel<'_>,
    options: &Options,
    plans: &plan_maps::Tables,
    copy_method: CopyMethod,
    cpus: usize,
) -> Result<Rings, Error> {
    let ring_bytes = options.ring_bytes.unwrap_or_else(|| default_ring_bytes(cpus));
    let room_bytes = if options.drops { ring_bytes } else { ring_bytes.max(min_ring_room(cpus)) };
    let data = skel.maps.data_data.as_deref_mut().expect("the program has variables");
    data.ring_bytes = ring_bytes as u64;
    data.room_bytes = room_bytes as u64;
    data.chunk_bytes = if copy_method == CopyMethod::Dynptr {
        MAX_DYNPTR_COPY.min(room_bytes as u32 / 8)
    } else {
        MAX_FIXED_COPY
    };
    let rings = (0..cpus).map(|_| create_ring(room_bytes)).collect::<Result<Vec<_>, _>>()?;
    store_rings(&skel.maps.rings, &rings)?;
    plans.store(skel).map_err(refused("load the table of system calls"))?;
    Ok(Rings { rings, ring_bytes, room_bytes })
}

/// Puts each CPU's ring into the map of rings: all with one call if the kernel can do that (Linux
/// 5.19 and later), since after each call the kernel waits until no program uses the previous
/// entries.
fn store_rings(map: &impl MapCore, rings: &[MapHandle]) -> Result<(), Error> {
    let descriptor = |ring: &MapHandle| (ring.as_fd().as_raw_fd() as u32).to_ne_bytes();
    let pairs = || plan_maps::numbered().zip(rings.iter().map(descriptor));
    if plan_maps::fill(map, pairs()).is_ok() {
        return Ok(());
    }
    pairs().try_for_each(|(cpu, ring)| {
        map.update(&cpu, &ring, MapFlags::ANY).map_err(refused("set up a ring buffer"))
    })
}

impl Probe<'_> {
    /// Takes what loads the programs for io_uring and libaio. Panics if it was taken before.
    pub fn take_loaders(&mut self) -> (UringLoader, AioLoader) {
        self.on_demand.take().expect("it is taken once")
    }
    /// Attaches the probe to the kernel's tracepoints: from now on it records.
    pub fn attach(&mut self) -> Result<(), Error> {
        let doing = "attach the eBPF program to tracepoints";
        self.skel.attach().map_err(refused(doing))?;
        let ends = parallel::attach(&self.parallel.end)?;
        let entries = parallel::attach(&self.parallel.enter)?;
        self.calls = Some([entries, parallel::attach(&self.parallel.exit)?, ends]);
        self.set_state(WATCHING);
        Ok(())
    }
    /// Detaches the probe: it records nothing any more.
    pub fn detach(&mut self) {
        self.calls = None;
        drop(std::mem::take(&mut self.skel.links));
    }
    /// Makes the probe record no new calls. When this returns, none begins to be recorded any more;
    /// calls that are under way still are.
    pub fn stop_new_calls(&mut self) {
        self.set_state(LEAVING);
        // The probe runs under RCU. This waits for its running calls.
        let _best = membarrier(MembarrierCommand::Global);
    }
    /// Sets the state of the probe.
    fn set_state(&mut self, state: u32) {
        let data = self.skel.maps.bss_data.as_deref_mut();
        data.expect("the program has variables").watching = state;
    }
}

/// What the probe's constants depend on.
struct Settings {
    copy_method: CopyMethod,
    cpus: usize,
    scope: Scope,
    /// The BTF type ids of the structs to which the probe casts pointers.
    cast_structs: [u32; 5],
}

/// Sets the constants of the probe and the sizes of its maps.
fn configure(
    open: &mut OpenEngineSkel<'_>,
    options: &Options,
    plans: &plan_maps::Tables,
    set: &Settings,
) -> Result<(), Error> {
    let data = open.maps.rodata_data.as_deref_mut().expect("the program has constants");
    data.dynptrs = set.copy_method == CopyMethod::Dynptr;
    data.drops = options.drops;
    data.recorder = std::process::id();
    data.scope = set.scope as u32;
    data.greatest = plans.greatest();
    data.beyond = plans.beyond;
    data.unknown = plans.unknown;
    data.outcomes = options.outcomes.to_bits();
    [
        data.type_task_struct,
        data.type_path,
        data.type_file,
        data.type_inode,
        data.type_super_block,
    ] = set.cast_structs;
    let resize = |map: &mut libbpf_rs::OpenMapMut<'_>, n: usize| {
        map.set_max_entries(n as u32).map_err(refused("set the size of a map"))
    };
    resize(&mut open.maps.cpus, set.cpus)?;
    resize(&mut open.maps.rings, set.cpus)?;
    resize(&mut open.maps.plans, plans.plans.len())?;
    resize(&mut open.maps.numbers, plans.numbers.len())?;
    resize(&mut open.maps.variants, plans.variants.len().max(1))
}

/// Creates a ring buffer of this many bytes, a power of two.
fn create_ring(bytes: usize) -> Result<MapHandle, Error> {
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    MapHandle::create(MapType::RingBuf, Some("ring"), 0, 0, bytes as u32, &options)
        .map_err(refused("create a ring buffer"))
}

/// The least size of a ring in bytes, however little should be in it: room for the rest of calls
/// that are being recorded.
const MIN_RING_ROOM: usize = 8 << 20;
/// For that, all rings together take at most one part in this many of the machine's memory.
const MEMORY_PARTS: usize = 16;

/// Returns the least size of a ring in bytes, if calls are delayed and records not dropped. A call
/// that waits for room keeps its CPU; if all CPUs make long calls at once, none is left to empty a
/// ring.
fn min_ring_room(cpus: usize) -> usize {
    round_down_to_power_of_two(
        (memory_bytes() / MEMORY_PARTS / cpus.max(1)).clamp(1 << 20, MIN_RING_ROOM),
    )
}

/// Returns how many bytes should be in a ring at most: as many as remain in the cache on their way
/// from the program to the recorder, if the machine has the memory. A ring should hold a long call
/// if perhaps no thread can empty it meanwhile: if recorder and program share the only CPU, or if
/// there is another recorder, whose calls may keep the other CPUs.
fn default_ring_bytes(cpus: usize) -> usize {
    let has_one_cpu = std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
    let must_hold_long_calls = has_one_cpu || another_recorder_runs();
    let max = if must_hold_long_calls { 256 << 20 } else { MIN_RING_ROOM };
    round_down_to_power_of_two((memory_bytes() / 64 / cpus.max(1)).clamp(min_ring_room(cpus), max))
}

/// Returns the size of the machine's memory in bytes.
fn memory_bytes() -> usize {
    let info = rustix::system::sysinfo();
    info.totalram as usize * info.mem_unit as usize
}

/// Rounds down to a power of two.
fn round_down_to_power_of_two(bytes: usize) -> usize {
    1 << bytes.ilog2()
}

/// Returns whether another recorder runs, as far as this process may see (that needs
/// CAP_SYS_ADMIN): whether a program with this name is loaded twice.
fn another_recorder_runs() -> bool {
    ProgInfoIter::default().filter(|program| program.name == "calls_under_way").nth(1).is_some()
}

/// Checks whether the engine can be used, by loading and attaching the probe. Returns how it copies
/// data.
pub fn check_ebpf() -> Result<CopyMethod, Error> {
    let mut object = MaybeUninit::uninit();
    let mut probe = load(
        &mut object,
        &Options { ring_bytes: Some(1 << 20), drops: true, ..Options::default() },
        Scope::ProcessTree,
    )?;
    probe.attach()?;
    Ok(probe.copy_method)
}
