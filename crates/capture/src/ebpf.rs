//! The eBPF engine: a small program in the kernel watches entries and exits, and writes records
//! into rings, which threads here copy to the journals as they are.
//!
//! The program in the kernel names no system call; it interprets the plans that we give it
//! (`bpf/steps.h`). The watched program is never stopped: if its calls move more than the trace's
//! disk takes, they are delayed a little (`bpf/ring.h`). Should we die, the kernel takes the
//! program out and nothing else happens.
//!
//! Streams: one for each CPU, with what its ring held; then one of our own, with what was there at
//! the beginning; then one of data read from files.

mod back_pressure;
mod calls_under_way;
mod file_data;
mod libbpf_error;
mod load;
mod mapped;
mod rings;
mod skel;
mod watch;

use crate::{Command, Engine, Error, Options, Outcome};
use trace::Recording;

pub use load::{CopyMethod, check_ebpf};

/// The eBPF engine.
#[derive(Clone, Copy, Debug)]
pub struct Ebpf;

impl Engine for Ebpf {
    fn name(&self) -> &'static str {
        "ebpf"
    }
    fn record_command(
        &self,
        command: &Command,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        watch::command(command, options, recording)
    }
    fn record_attach(
        &self,
        pids: &[i32],
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        watch::attach(pids, options, recording)
    }
    fn record_system_wide(
        &self,
        cgroup: Option<&std::path::Path>,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        watch::system_wide(cgroup, options, recording)
    }
}
