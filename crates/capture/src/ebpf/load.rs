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

/// A state of the probe (`enum watching` of `ring.h`): it records calls.
const WATCHING: u32 = 1;
/// A state of the probe: it begins to record no more calls.
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
const CHUNK: u32 = 1 << 20;
/// The most bytes per copy with [`CopyMethod::Chunked`], as in `bpf/ring.h`.
const FIXED_CHUNK: u32 = 64 << 10;

/// What `/proc/self/ns/pid` is in the first pid namespace (`PROC_PID_INIT_INO`,
/// include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Fails unless this process is in the first pid namespace: the probe sees process IDs as they are
/// there.
fn is_first_pid_namespace() -> Result<(), Error> {
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
fn path(kernel: &KernelTypes) -> CopyMethod {
    let chunked = std::env::var_os("REANIMATOR_BPF").is_some_and(|v| v == "chunked");
    if !chunked && kernel.have_name(DYNPTR) { CopyMethod::Dynptr } else { CopyMethod::Chunked }
}

/// The probe, loaded.
pub(super) struct Probe<'o> {
    pub skel: EngineSkel<'o>,
    /// The ring of each CPU. They are kept here, since opening a map by its ID needs CAP_SYS_ADMIN.
    pub rings: Vec<MapHandle>,
    /// How many bytes should be in a ring at most: above half of it calls are delayed, above three
    /// quarters all processes are stopped.
    pub ring_bytes: usize,
    /// The size of a ring in bytes.
    pub room_bytes: usize,
    /// How it copies data.
    pub path: CopyMethod,
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
    is_first_pid_namespace()?;
    let kernel = KernelTypes::open()?;
    let path = path(&kernel);
    let cpus = libbpf_rs::num_possible_cpus().map_err(refused("count CPUs"))?;
    let plans = plan_maps::Tables::new(options);
    let for_libbpf = TypesFile::new()?;
    let mut open = EngineSkelBuilder::default()
        .open_opts(for_libbpf.open_options(), object)
        .map_err(refused("open the eBPF program"))?;
    let numbers = for_libbpf.fill(&kernel, open.open_object())?;
    // A kernel can be built without io_uring.
    let has_rings = kernel.have_name("btf_trace_io_uring_create");
    open.progs.on_ring_created.set_autoload(has_rings);
    drop(kernel);
    let cast_to = numbers.cast_to();
    configure(&mut open, options, &plans, &Settings { path, cpus, scope, cast_to })?;
    // Only the type of this map matters.
    let template = ring(rustix::param::page_size())?;
    open.maps.rings.set_inner_map_fd(template.as_fd()).map_err(refused("set up ring buffers"))?;
    let parallel = ParallelLoad::start(&mut open, &numbers)?;
    let loaded = open.load().map_err(refused("load the eBPF program"));
    let filled = loaded.and_then(|mut skel| {
        let rings = fill(&mut skel, options, &plans, path, cpus)?;
        let shared = (path, options.drops, scope);
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
        path,
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

/// Creates the rings and fills the maps of the probe.
fn fill(
    skel: &mut EngineSkel<'_>,
    options: &Options,
    plans: &plan_maps::Tables,
    path: CopyMethod,
    cpus: usize,
) -> Result<Rings, Error> {
    let ring_bytes = options.ring_bytes.unwrap_or_else(|| ring_bytes(cpus));
    let room_bytes = if options.drops { ring_bytes } else { ring_bytes.max(min_ring_room(cpus)) };
    let data = skel.maps.data_data.as_deref_mut().expect("the program has variables");
    data.ring_bytes = ring_bytes as u64;
    data.room_bytes = room_bytes as u64;
    data.chunk_bytes =
        if path == CopyMethod::Dynptr { CHUNK.min(room_bytes as u32 / 8) } else { FIXED_CHUNK };
    let rings = (0..cpus).map(|_| ring(room_bytes)).collect::<Result<Vec<_>, _>>()?;
    place(&skel.maps.rings, &rings)?;
    plans.store(skel).map_err(refused("load the table of system calls"))?;
    Ok(Rings { rings, ring_bytes, room_bytes })
}

/// Puts each CPU's ring into the map of rings: all with one call if the kernel can do that (Linux
/// 5.19 and later), since after each call the kernel waits until no program uses the previous
/// entries.
fn place(places: &impl MapCore, rings: &[MapHandle]) -> Result<(), Error> {
    let number = |ring: &MapHandle| (ring.as_fd().as_raw_fd() as u32).to_ne_bytes();
    let pairs = || plan_maps::numbered().zip(rings.iter().map(number));
    if plan_maps::fill(places, pairs()).is_ok() {
        return Ok(());
    }
    pairs().try_for_each(|(cpu, ring)| {
        places.update(&cpu, &ring, MapFlags::ANY).map_err(refused("set up a ring buffer"))
    })
}

impl Probe<'_> {
    /// Takes what loads the programs for io_uring and libaio. Panics if it was taken before.
    pub fn take_loaders(&mut self) -> (UringLoader, AioLoader) {
        self.on_demand.take().expect("it is taken once")
    }
    /// Attaches the probe: from now on it records.
    pub fn attach(&mut self) -> Result<(), Error> {
        let doing = "attach the eBPF program to tracepoints";
        self.skel.attach().map_err(refused(doing))?;
        let ends = parallel::attach(&self.parallel.end)?;
        let entries = parallel::attach(&self.parallel.enter)?;
        self.calls = Some([entries, parallel::attach(&self.parallel.exit)?, ends]);
        self.now(WATCHING);
        Ok(())
    }
    /// Detaches the probe: it records nothing any more.
    pub fn detach(&mut self) {
        self.calls = None;
        drop(std::mem::take(&mut self.skel.links));
    }
    /// Makes the probe record no new calls. When this returns, none begins to be recorded any more.
    pub fn leave(&mut self) {
        self.now(LEAVING);
        // The probe runs under RCU. This waits for its running calls.
        let _best = membarrier(MembarrierCommand::Global);
    }
    /// Sets the state of the probe.
    fn now(&mut self, state: u32) {
        let data = self.skel.maps.bss_data.as_deref_mut();
        data.expect("the program has variables").watching = state;
    }
}

/// What the probe's constants depend on.
struct Settings {
    path: CopyMethod,
    cpus: usize,
    scope: Scope,
    cast_to: [u32; 5],
}

/// Sets the constants of the probe and the sizes of its maps.
fn configure(
    open: &mut OpenEngineSkel<'_>,
    options: &Options,
    plans: &plan_maps::Tables,
    set: &Settings,
) -> Result<(), Error> {
    let data = open.maps.rodata_data.as_deref_mut().expect("the program has constants");
    data.dynptrs = set.path == CopyMethod::Dynptr;
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
    ] = set.cast_to;
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
fn ring(bytes: usize) -> Result<MapHandle, Error> {
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
/// All rings together take at most this fraction (1/16) of the memory for that.
const SHARE: usize = 16;

/// Returns the least size of a ring in bytes, if calls are delayed and records not dropped. A call
/// that waits for room keeps its CPU; if all CPUs make long calls at once, none is left to empty a
/// ring.
fn min_ring_room(cpus: usize) -> usize {
    power_of_two((memory() / SHARE / cpus.max(1)).clamp(1 << 20, MIN_RING_ROOM))
}

/// Returns how many bytes should be in a ring at most: as many as remain in the cache on their way
/// from the program to the recorder, if the machine has the memory. A ring should hold a long call
/// if perhaps no thread can empty it meanwhile: if recorder and program share the only CPU, or if
/// there is another recorder, whose calls may keep the other CPUs.
fn ring_bytes(cpus: usize) -> usize {
    let alone = std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
    let large = alone || another_recorder_runs();
    let most = if large { 256 << 20 } else { MIN_RING_ROOM };
    power_of_two((memory() / 64 / cpus.max(1)).clamp(min_ring_room(cpus), most))
}

/// Returns the size of the machine's memory in bytes.
fn memory() -> usize {
    let memory = rustix::system::sysinfo();
    memory.totalram as usize * memory.mem_unit as usize
}

/// Rounds down to a power of two.
fn power_of_two(bytes: usize) -> usize {
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
    Ok(probe.path)
}
