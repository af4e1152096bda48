//! The eBPF engine. A program in the kernel (the probe) is called at the entry and the exit of each
//! call and writes records into ring buffers; threads of the recorder copy them to the journals
//! without change.
//!
//! The probe names no system call: it interprets the capture plans (`bpf/steps.h`). It never stops
//! the recorded program; if the program transfers more than the trace's disk accepts, its calls are
//! delayed a little (`bpf/back_pressure.h`). If the recorder is killed, the kernel removes the
//! probe, and the program goes on.
//!
//! Streams: one for each CPU, with the contents of its ring; one for the state at the beginning;
//! and one for each thread that reads files.

mod back_pressure;
mod calls_under_way;
mod file_data;
mod libbpf_error;
mod load;
mod mapped;
mod on_demand;
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
