//! Loading the program into the kernel: which of its two ways to copy data this kernel has, how
//! large the rings are, and which processes it watches.

mod kernel_types;
mod parallel;
mod plan_maps;

use super::libbpf_error::refused;
use super::skel::{EngineSkel, EngineSkelBuilder, OpenEngineSkel};
use crate::{Error, Options};
use kernel_types::{KernelTypes, TypesFile};
use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, OpenObject};
use parallel::{Loaded, ParallelLoad};
use rustix::thread::{MembarrierCommand, membarrier};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// States of the program, `enum watching` of `ring.h`.
const WATCHING: u32 = 1;
const LEAVING: u32 = 2;

/// How data get into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMethod {
    /// Reservations of run-time size, filled straight from the program's memory (Linux 6.16 and
    /// later).
    Dynptr,
    /// Reservations of a few fixed sizes.
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

/// The kernel function that tells the two apart.
const DYNPTR: &str = "bpf_probe_read_user_dynptr";
/// The greatest copy: the kernel's bound on a dynptr is 16 MiB, and the longer the copy the longer
/// nothing else runs on its CPU.
const CHUNK: u32 = 1 << 20;
/// The greatest fixed size, in `bpf/ring.h`.
const FIXED_CHUNK: u32 = 64 << 10;

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The kernel's program sees the numbers that processes have in the first pid namespace: they must
/// be ours.
fn is_first_pid_namespace() -> Result<(), Error> {
    let ours = std::fs::read_link("/proc/self/ns/pid").map_err(|source| {
        Error::EbpfUnavailable { doing: "read this process's pid namespace", source, hint: None }
    })?;
    if ours.as_os_str() == FIRST_PID_NAMESPACE {
        return Ok(());
    }
    let source = io::Error::other("process IDs differ from the kernel's here");
    let hint = Some("use the machine's own pid namespace: docker run --pid=host");
    Err(Error::EbpfUnavailable { doing: "record from within a pid namespace", source, hint })
}

/// The way that this kernel has; `REANIMATOR_BPF=chunked` takes the second one in any case.
fn path(kernel: &KernelTypes) -> CopyMethod {
    let chunked = std::env::var_os("REANIMATOR_BPF").is_some_and(|v| v == "chunked");
    if !chunked && kernel.have_name(DYNPTR) { CopyMethod::Dynptr } else { CopyMethod::Chunked }
}

/// The program, attached.
pub(super) struct Probe<'o> {
    pub skel: EngineSkel<'o>,
    /// Of each CPU. Held here: to open a map by its number takes CAP_SYS_ADMIN.
    pub rings: Vec<MapHandle>,
    /// So much should wait in one: above half of it calls are delayed, above three quarters all
    /// stop.
    pub ring_bytes: usize,
    /// So much can.
    pub room_bytes: usize,
    pub path: CopyMethod,
    /// The programs that were loaded beside the others.
    parallel: Loaded,
    /// What has the kernel call those for entries and exits of calls and for ends of threads, in
    /// the order in which they go.
    calls: Option<[OwnedFd; 3]>,
    /// By number: what possible CPUs there are.
    pub cpus: usize,
}

/// Which processes to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that are joined, and their descendants.
    ProcessTree = 0,
    /// A cgroup.
    Cgroup = 1,
    /// All but this recorder.
    SystemWide = 2,
}

/// Loads the program and attaches it.
pub(super) fn load<'o>(
    object: &'o mut MaybeUninit<OpenObject>,
    options: &Options,
    scope: Scope,
) -> Result<Probe<'o>, Error> {
    // libbpf says on stderr what the caller is told in an error.
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
    drop(kernel);
    configure(&mut open, options, &plans, &Settings { path, cpus, scope })?;
    numbers.store(&mut open);
    // Only its kind counts.
    let template = ring(rustix::param::page_size())?;
    open.maps.rings.set_inner_map_fd(template.as_fd()).map_err(refused("set up ring buffers"))?;
    let parallel = ParallelLoad::start(&mut open, &numbers)?;
    let loaded = open.load().map_err(refused("load the eBPF program"));
    let filled = loaded.and_then(|mut skel| {
        let rings = fill(&mut skel, options, &plans, path, cpus)?;
        Ok((skel, rings))
    });
    // Whatever went wrong, no thread is left behind.
    let parallel = parallel.finish();
    let (skel, Rings { rings, ring_bytes, room_bytes }) = filled?;
    Ok(Probe { skel, rings, ring_bytes, room_bytes, path, parallel: parallel?, calls: None, cpus })
}

/// See [`Probe`].
struct Rings {
    rings: Vec<MapHandle>,
    ring_bytes: usize,
    room_bytes: usize,
}

/// Makes the rings, and fills the maps.
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

/// Puts each CPU's ring into its place: together where the kernel can (Linux 5.19 and later), since
/// after each time it waits until no program can use what was there before.
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
    /// Begins to watch.
    pub fn attach(&mut self) -> Result<(), Error> {
        let doing = "attach the eBPF program to tracepoints";
        self.skel.attach().map_err(refused(doing))?;
        let ends = parallel::attach(&self.parallel.end)?;
        let entries = parallel::attach(&self.parallel.enter)?;
        self.calls = Some([entries, parallel::attach(&self.parallel.exit)?, ends]);
        self.now(WATCHING);
        Ok(())
    }
    /// Watches no more.
    pub fn detach(&mut self) {
        self.calls = None;
        drop(std::mem::take(&mut self.skel.links));
    }
    /// Says that we detach soon: no call begins to be recorded when this has returned.
    pub fn leave(&mut self) {
        self.now(LEAVING);
        // The kernel's program runs under RCU, for whose readers this waits.
        let _best = membarrier(MembarrierCommand::Global);
    }
    fn now(&mut self, state: u32) {
        let data = self.skel.maps.bss_data.as_deref_mut();
        data.expect("the program has variables").watching = state;
    }
}

struct Settings {
    path: CopyMethod,
    cpus: usize,
    scope: Scope,
}

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
    data.outcomes = options.outcomes.bits();
    let resize = |map: &mut libbpf_rs::OpenMapMut<'_>, n: usize| {
        map.set_max_entries(n as u32).map_err(refused("set the size of a map"))
    };
    resize(&mut open.maps.cpus, set.cpus)?;
    resize(&mut open.maps.rings, set.cpus)?;
    resize(&mut open.maps.plans, plans.plans.len())?;
    resize(&mut open.maps.numbers, plans.numbers.len())?;
    resize(&mut open.maps.variants, plans.variants.len().max(1))
}

fn ring(bytes: usize) -> Result<MapHandle, Error> {
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    MapHandle::create(MapType::RingBuf, Some("ring"), 0, 0, bytes as u32, &options)
        .map_err(refused("create a ring buffer"))
}

/// Room that a ring has for the rest of calls under way, however little should wait in it.
const MIN_RING_ROOM: usize = 8 << 20;
/// But rings of a small machine take no more than this part of its memory, together.
const SHARE: usize = 16;

/// What each ring has room for at least, where calls are delayed and not dropped. A call that waits
/// for room keeps its CPU: where all CPUs make long calls at once, no CPU is left to empty a ring.
fn min_ring_room(cpus: usize) -> usize {
    power_of_two((memory() / SHARE / cpus.max(1)).clamp(1 << 20, MIN_RING_ROOM))
}

/// As much as stays in a processor's cache while it goes from the program to us, if the machine has
/// the memory. Where no thread may be able to empty a ring while one call is recorded, it should
/// hold a long one: where we share the program's only CPU, and beside another recorder, whose calls
/// may keep the other CPUs to themselves just then, until we give up this one.
fn ring_bytes(cpus: usize) -> usize {
    let alone = std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
    let large = alone || another_recorder_runs();
    let most = if large { 256 << 20 } else { MIN_RING_ROOM };
    power_of_two((memory() / 64 / cpus.max(1)).clamp(min_ring_room(cpus), most))
}

fn memory() -> usize {
    let memory = rustix::system::sysinfo();
    memory.totalram as usize * memory.mem_unit as usize
}

fn power_of_two(bytes: usize) -> usize {
    1 << bytes.ilog2()
}

/// Whether another recorder is at work, as far as we may know (it takes CAP_SYS_ADMIN): a program
/// of this name is loaded, besides ours.
fn another_recorder_runs() -> bool {
    ProgInfoIter::default().filter(|program| program.name == "calls_under_way").nth(1).is_some()
}

/// Whether the engine works here: loads and attaches the real program, and says which way of
/// copying it uses.
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
