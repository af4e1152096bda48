//! The ptrace engine. It works on every kernel, and stops the program at the entry and the exit of
//! each call.
//!
//! It runs on a thread of its own: when that thread ends, for whatever reason, the kernel detaches
//! all its tracees, and they go on. This one thread handles all stops one after the other, so the
//! records of a recording have one order, and of two calls it is known whether one had returned
//! before the other was entered.

mod affinity;
mod aio;
mod births;
mod clone;
mod missing;
mod steps;
pub(crate) mod stop_process;
mod stopped;
mod thread;
mod tracer;

use crate::command::launch;
use crate::inspect::procfs;
use crate::threads::seal_ahead::{JournalProgress, SealAheadThread};
use crate::{Command, Engine, Error, Options, Outcome};
use affinity::BackgroundSealer;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thread::Thread;
use trace::Recording;
use trace::journal::Journal;
use tracer::Tracer;

/// The ptrace engine.
#[derive(Clone, Copy, Debug)]
pub struct Ptrace;

impl Engine for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }
    fn record_command(
        &self,
        command: &Command,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        let journal = recording.journal(0).map_err(Error::Journal)?;
        while_sealing_ahead(recording, options, |sealer| {
            launch_and_trace(command, options, journal, sealer)
        })
    }
    fn record_attach(
        &self,
        pids: &[i32],
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        let journal = recording.journal(0).map_err(Error::Journal)?;
        while_sealing_ahead(recording, options, |sealer| {
            attach_and_trace(pids, options, journal, sealer)
        })
    }
    fn record_system_wide(
        &self,
        _: Option<&std::path::Path>,
        _: &Options,
        _: &Recording,
    ) -> Result<Outcome, Error> {
        Err(Error::Refused {
            doing: "record the whole machine or a cgroup with ptrace, which only eBPF can",
            source: io::ErrorKind::Unsupported.into(),
        })
    }
}

/// The engine's only journal. Its records are in order, so it is always complete.
struct SingleJournal {
    /// Whether the program stops often; see [`BackgroundSealer`].
    busy: Arc<AtomicBool>,
}

impl JournalProgress for SingleJournal {
    fn written_until(&mut self) -> u64 {
        u64::MAX
    }
    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }
}

/// Calls `watch` on a new thread and returns its result. Another thread seals the journal
/// meanwhile.
fn while_sealing_ahead(
    recording: &Recording,
    options: &Options,
    watch: impl FnOnce(BackgroundSealer) -> Result<Outcome, Error> + Send,
) -> Result<Outcome, Error> {
    let busy = Arc::new(AtomicBool::new(false));
    let sealing = SealAheadThread::start(
        recording,
        SingleJournal { busy: Arc::clone(&busy) },
        options.seal_ahead_bytes,
    );
    let sealer = BackgroundSealer { tid: sealing.as_ref().map(SealAheadThread::tid), busy };
    let outcome = run_on_new_thread(|| watch(sealer))?;
    if let Some(sealing) = sealing {
        sealing.finish(recording);
    }
    Ok(outcome)
}

/// Calls `work` on a new thread, and returns its result.
fn run_on_new_thread<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let engine = std::thread::Builder::new()
            .name("ptrace".to_owned())
            .spawn_scoped(scope, work)
            .map_err(Error::refused("start a thread"))?;
        engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Starts the command and records it. Fails if it cannot be traced or executed.
fn launch_and_trace(
    command: &Command,
    options: &Options,
    journal: Journal,
    sealer: BackgroundSealer,
) -> Result<Outcome, Error> {
    let mut tracer = Tracer::new(options, journal, sealer);
    if let Some(signal) = tracer.handlers.take_end_signal() {
        return Err(Error::Interrupted { signal });
    }
    let mut child = launch::fork(command, options, None)?;
    let trace_options =
        if options.seccomp { stopped::TRACE_OPTIONS_SECCOMP } else { stopped::TRACE_OPTIONS };
    let seized = stopped::seize(child.pid, trace_options)
        .and_then(|()| stopped::interrupt(child.pid).map_err(|_| io::ErrorKind::NotFound.into()));
    if let Err(source) = seized {
        // The child's pipe is closed, and the child exits.
        return Err(Error::Refused { doing: "attach to a process with ptrace", source });
    }
    // If this process has a seccomp filter, the child has inherited it, and a call that it denies
    // never reaches the filter of the recorder.
    let has_program_filter =
        options.seccomp && procfs::read_status_number(child.pid, "Seccomp:") != Some(0);
    tracer.any_program_filter = has_program_filter;
    tracer
        .threads
        .insert(child.pid, Thread { has_program_filter, ..Thread::new(child.pid, child.pid) });
    tracer.main = Some(child.pid);
    tracer.main_is_child = true;
    tracer.launching = true;
    tracer.affinity.begin();
    child.start();
    tracer.run();
    if tracer.launching {
        return Err(child.read_error(command));
    }
    Ok(tracer.finish())
}

/// Attaches to running processes and records them. Fails if one of them cannot be attached to.
fn attach_and_trace(
    pids: &[i32],
    options: &Options,
    journal: Journal,
    sealer: BackgroundSealer,
) -> Result<Outcome, Error> {
    let mut tracer = Tracer::new(&Options { seccomp: false, ..options.clone() }, journal, sealer);
    tracer.main = if let [one] = pids { Some(*one) } else { None };
    for pid in pids {
        tracer.attach(*pid)?;
    }
    options.on_start.call();
    tracer.affinity.begin();
    tracer.run();
    Ok(tracer.finish())
}
