//! The ptrace engine: works everywhere, stops the program twice a call.
//!
//! It runs on a thread of its own, for whatever happens to it the kernel lets go of all its tracees
//! when that thread ends, and they go on. Every stop is handled in turn by this one thread, so that
//! records of one recording have one order, and a call that had returned before another was entered
//! says so.

mod affinity;
mod births;
mod clone;
pub(crate) mod hold;
mod missing;
mod steps;
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
            launched(command, options, journal, sealer)
        })
    }
    fn record_attach(
        &self,
        pids: &[i32],
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error> {
        let journal = recording.journal(0).map_err(Error::Journal)?;
        while_sealing_ahead(recording, options, |sealer| joined(pids, options, journal, sealer))
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

/// The journal: one, so its own order is that of the records.
struct SingleJournal {
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

/// Watches on a thread of its own, and has the journal sealed meanwhile.
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
    let outcome = on_its_own_thread(|| watch(sealer))?;
    if let Some(sealing) = sealing {
        sealing.finish(recording);
    }
    Ok(outcome)
}

fn on_its_own_thread<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let engine = std::thread::Builder::new()
            .name("ptrace".to_owned())
            .spawn_scoped(scope, work)
            .map_err(Error::refused("start a thread"))?;
        engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn launched(
    command: &Command,
    options: &Options,
    journal: Journal,
    sealer: BackgroundSealer,
) -> Result<Outcome, Error> {
    let mut tracer = Tracer::new(options, journal, sealer);
    if let Some(signal) = tracer.handlers.early() {
        return Err(Error::Interrupted { signal });
    }
    let mut child = launch::fork(command, options, None)?;
    let requests =
        if options.seccomp { stopped::TRACE_OPTIONS_SECCOMP } else { stopped::TRACE_OPTIONS };
    let held = stopped::seize(child.pid, requests)
        .and_then(|()| stopped::interrupt(child.pid).map_err(|_| io::ErrorKind::NotFound.into()));
    if let Err(source) = held {
        // Its pipe closes, and it ends.
        return Err(Error::Refused { doing: "attach to a process with ptrace", source });
    }
    // What a filter answers that we were started under never comes to ours.
    let filtered = options.seccomp && procfs::status_number(child.pid, "Seccomp:") != Some(0);
    tracer.filters = filtered;
    tracer.threads.insert(child.pid, Thread { filtered, ..Thread::new(child.pid, child.pid) });
    tracer.main = Some(child.pid);
    tracer.ours = true;
    tracer.launching = true;
    tracer.affinity.begin();
    child.go();
    tracer.run();
    if tracer.launching {
        return Err(child.trouble(command));
    }
    Ok(tracer.finish())
}

fn joined(
    pids: &[i32],
    options: &Options,
    journal: Journal,
    sealer: BackgroundSealer,
) -> Result<Outcome, Error> {
    let mut tracer = Tracer::new(&Options { seccomp: false, ..options.clone() }, journal, sealer);
    tracer.main = if let [one] = pids { Some(*one) } else { None };
    for pid in pids {
        tracer.join(*pid)?;
    }
    options.on_start.call();
    tracer.affinity.begin();
    tracer.run();
    Ok(tracer.finish())
}
