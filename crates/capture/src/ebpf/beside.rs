//! One of the programs is loaded by a thread beside the others: to check it takes the kernel as
//! long as most of them together. It is one program with them, since it has the same maps.

use super::refused::refused;
use super::skel::{EngineSkelBuilder, OpenEngineSkel};
use crate::Error;
use libbpf_rs::AsRawLibbpf;
use libbpf_rs::libbpf_sys::{bpf_map__fd, bpf_object__prepare, bpf_raw_tracepoint_open};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

/// Which program it is: that for the exits of calls.
const NAME: &str = "on_exit";

/// The thread.
pub(super) struct Beside(JoinHandle<Result<OwnedFd, Error>>);

impl Beside {
    /// Makes the maps of `open`, which is to load all other programs, and begins to load this one.
    pub fn start(open: &mut OpenEngineSkel<'_>) -> Result<Self, Error> {
        open.progs.on_exit.set_autoload(false);
        // SAFETY: an object that has not been loaded.
        let prepared =
            unsafe { bpf_object__prepare(open.open_object().as_libbpf_object().as_ptr()) };
        if prepared != 0 {
            let error = libbpf_rs::Error::from_raw_os_error(-prepared);
            return Err(refused("load the eBPF program")(error));
        }
        let maps = open.open_object().maps().map(|map| {
            // SAFETY: a map that has just been made, whose descriptor stays open meanwhile.
            let fd =
                unsafe { BorrowedFd::borrow_raw(bpf_map__fd(map.as_libbpf_object().as_ptr())) };
            fd.try_clone_to_owned().map(|fd| (map.name().to_owned(), fd))
        });
        let maps =
            maps.collect::<io::Result<Vec<_>>>().map_err(Error::refused("copy a descriptor"))?;
        let thread = Builder::new().name("load".to_owned()).spawn(move || load(&maps));
        thread.map(Self).map_err(Error::refused("start a thread"))
    }

    /// The program, when it is loaded.
    pub fn finish(self) -> Result<OwnedFd, Error> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn load(maps: &[(OsString, OwnedFd)]) -> Result<OwnedFd, Error> {
    let mut object = MaybeUninit::uninit();
    let mut open =
        EngineSkelBuilder::default().open(&mut object).map_err(refused("open the eBPF program"))?;
    for mut program in open.open_object_mut().progs_mut() {
        let wanted = program.name() == NAME;
        program.set_autoload(wanted);
    }
    for mut map in open.open_object_mut().maps_mut() {
        if let Some((_, fd)) = maps.iter().find(|(name, _)| name == map.name()) {
            map.reuse_fd(fd.as_fd()).map_err(refused("share a map"))?;
        }
    }
    let skel = open.load().map_err(refused("load the eBPF program"))?;
    let program = skel.progs.on_exit.as_fd().try_clone_to_owned();
    program.map_err(Error::refused("copy a descriptor"))
}

/// Has the kernel call the program, until the result is dropped.
pub(super) fn attach(program: &OwnedFd) -> Result<OwnedFd, Error> {
    // SAFETY: the kernel knows the tracepoint by the program's type: there is no name.
    let link = unsafe { bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) };
    if link < 0 {
        let error = libbpf_rs::Error::from_raw_os_error(-link);
        return Err(refused("attach the eBPF program to tracepoints")(error));
    }
    // SAFETY: the kernel gave it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}
