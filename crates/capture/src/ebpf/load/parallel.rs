//! Loading the largest programs of the probe by separate threads. The kernel's verifier takes
//! longest for them, so they are verified beside each other and beside the rest. They belong to the
//! same object: libbpf has relocated their instructions and created the maps before the threads
//! begin.

use crate::Error;
use crate::ebpf::libbpf_error::refused;
use crate::ebpf::load::kernel_types::TypeIds;
use crate::ebpf::skel::OpenEngineSkel;
use libbpf_rs::AsRawLibbpf;
use libbpf_rs::libbpf_sys::{
    BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, bpf_func_info, bpf_insn, bpf_line_info,
    bpf_object__btf_fd, bpf_object__prepare, bpf_prog_load, bpf_prog_load_opts,
    bpf_program__func_info, bpf_program__func_info_cnt, bpf_program__line_info,
    bpf_program__line_info_cnt, bpf_raw_tracepoint_open,
};
use libbpf_rs::skel::OpenSkel;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

/// The names of the programs.
const PROGRAMS: [&str; 3] = ["on_exit", "on_enter", "on_end"];
/// The license, as in `engine.bpf.c`.
const LICENSE: &CStr = c"Dual BSD/GPL";
const DOING: &str = "load the eBPF program";

/// The threads that load the programs.
pub(super) struct ParallelLoad([JoinHandle<Result<OwnedFd, Error>>; 3]);

/// The programs that were loaded.
pub(super) struct Loaded {
    pub exit: OwnedFd,
    pub enter: OwnedFd,
    pub end: OwnedFd,
}

impl ParallelLoad {
    /// Prepares `open`, which loads all other programs later, and starts to load these. `type_ids`
    /// has the types of their tracepoints.
    pub fn start(open: &mut OpenEngineSkel<'_>, type_ids: &TypeIds) -> Result<Self, Error> {
        let object = open.open_object().as_libbpf_object().as_ptr();
        // SAFETY: an object that has not been loaded.
        let prepared = unsafe { bpf_object__prepare(object) };
        if prepared != 0 {
            return Err(refused(DOING)(libbpf_rs::Error::from_raw_os_error(-prepared)));
        }
        // SAFETY: the same object.
        let own_types = unsafe { bpf_object__btf_fd(object) };
        let program = |index: usize| {
            let name = PROGRAMS[index];
            let mut programs = open.open_object_mut().progs_mut();
            let mut found =
                programs.find(|p| p.name() == name).expect("the object has this program");
            found.set_autoload(false);
            // SAFETY: a program of an object that has been made ready.
            unsafe {
                Program::copy(
                    name,
                    found.as_libbpf_object().as_ptr(),
                    own_types,
                    type_ids.tracepoints[index],
                )
            }
        };
        let [exit, enter, end] = [0, 1, 2].map(program);
        let load = |program: Program| spawn("load", move || program.load());
        Ok(Self([load(exit)?, load(enter)?, load(end)?]))
    }

    /// Waits until all programs are loaded. Fails if one could not be.
    pub fn finish(self) -> Result<Loaded, Error> {
        let [exit, enter, end] = self.0.map(join);
        Ok(Loaded { exit: exit?, enter: enter?, end: end? })
    }
}

/// Starts a thread with this name.
fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(Error::refused("start a thread"))
}

/// Returns the result of a thread. Panics if the thread has panicked.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A program that is ready to be loaded.
struct Program {
    name: CString,
    instructions: Vec<bpf_insn>,
    functions: Vec<bpf_func_info>,
    lines: Vec<bpf_line_info>,
    /// The descriptor of the object's BTF.
    own_types: i32,
    /// The BTF type id, in the kernel, of the tracepoint to which the program is attached.
    tracepoint_type: u32,
}

impl Program {
    /// Copies from libbpf what is needed to load `program` without it.
    ///
    /// # Safety
    ///
    /// `program` belongs to an object that has been prepared and lives.
    unsafe fn copy(
        name: &str,
        program: *const libbpf_rs::libbpf_sys::bpf_program,
        own_types: i32,
        tracepoint_type: u32,
    ) -> Self {
        // SAFETY: libbpf has as many as it says; no pointer is kept.
        unsafe {
            let functions = copied(
                bpf_program__func_info(program),
                bpf_program__func_info_cnt(program) as usize,
            );
            let lines = copied(
                bpf_program__line_info(program),
                bpf_program__line_info_cnt(program) as usize,
            );
            let instructions = copied(
                libbpf_rs::libbpf_sys::bpf_program__insns(program),
                libbpf_rs::libbpf_sys::bpf_program__insn_cnt(program) as usize,
            );
            let name = CString::new(name).expect("the names have no NUL");
            Self { name, instructions, functions, lines, own_types, tracepoint_type }
        }
    }

    /// Loads the program.
    fn load(&self) -> Result<OwnedFd, Error> {
        let mut options = bpf_prog_load_opts {
            sz: size_of::<bpf_prog_load_opts>() as u64,
            expected_attach_type: BPF_TRACE_RAW_TP,
            attach_btf_id: self.tracepoint_type,
            ..Default::default()
        };
        // The kernel checks functions that are not static apart if it knows their types.
        if let Ok(types) = u32::try_from(self.own_types) {
            options.prog_btf_fd = types;
            options.func_info = self.functions.as_ptr().cast();
            options.func_info_cnt = self.functions.len() as u32;
            options.func_info_rec_size = size_of::<bpf_func_info>() as u32;
            options.line_info = self.lines.as_ptr().cast();
            options.line_info_cnt = self.lines.len() as u32;
            options.line_info_rec_size = size_of::<bpf_line_info>() as u32;
        }
        // SAFETY: the pointers and lengths are of vectors that live meanwhile.
        let program = unsafe {
            bpf_prog_load(
                BPF_PROG_TYPE_TRACING,
                self.name.as_ptr(),
                LICENSE.as_ptr(),
                self.instructions.as_ptr(),
                self.instructions.len() as u64,
                &raw mut options,
            )
        };
        // SAFETY: the kernel has just returned this descriptor.
        unsafe { owned(program, DOING) }
    }
}

/// Copies `len` values from `first` on, or none if it is null.
///
/// # Safety
///
/// There are `len` values from `first` on, unless it is null.
unsafe fn copied<T: Copy>(first: *const T, len: usize) -> Vec<T> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(first, len).to_vec() }
}

/// Returns the descriptor, or the error that a negative number stands for.
///
/// # Safety
///
/// Nothing else owns the descriptor.
unsafe fn owned(fd: i32, doing: &'static str) -> Result<OwnedFd, Error> {
    if fd < 0 {
        return Err(refused(doing)(libbpf_rs::Error::from_raw_os_error(-fd)));
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches the program to its tracepoint, until the result is dropped.
pub(super) fn attach(program: &OwnedFd) -> Result<OwnedFd, Error> {
    // SAFETY: the kernel knows the tracepoint by the program's type: there is no name. The link is
    // ours.
    unsafe {
        let link = bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd());
        owned(link, "attach the eBPF program to tracepoints")
    }
}
