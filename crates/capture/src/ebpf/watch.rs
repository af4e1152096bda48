//! Recording a command, running processes, a cgroup or the whole machine from the start to the end.

mod system;

use super::back_pressure::{Cgroup, SharedStopMethod, StopMethod, Throttle};
use super::calls_under_way;
use super::file_data::FileReaders;
use super::libbpf_error::refused;
use super::load::{Probe, Scope, load};
use super::mapped::Mapped;
use super::on_demand::OnDemand;
use super::rings::{Consumers, LowWaterMark};
use super::skel::types::common_state;
use crate::command::launch;
use crate::inspect::open_files::OpenFiles;
use crate::inspect::procfs;
use crate::ptrace::stop_process::stop_process;
use crate::records::at_start;
use crate::records::{RecordWriter, monotonic_ns};
use crate::signals::{EndRequests, Handlers, stop_recorder};
use crate::threads::seal_ahead::SealAheadThread;
use crate::{Command, Error, Options, Outcome, ProgramEnd};
use libbpf_rs::{MapCore, MapFlags};
use rustix::thread::{MembarrierCommand, membarrier};
use std::fs::File;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use system::{cpus_online, exists, members, process_descriptor, processes, wait};
use trace::Recording;
use trace::record::RecordKind;

/// A value of the probe's map `joined`: the process is recorded from now on.
const NOW: u32 = 1;
/// A value of the probe's map `joined`: the process is recorded from its next exec on.
const FROM_EXEC: u32 = 2;

/// A recording: the probe and all threads of the recorder.
struct Watch<'o> {
    probe: Probe<'o>,
    /// `struct common_state`, shared with the probe.
    common: Arc<Mapped>,
    consumers: Consumers,
    /// The threads that read files for the probe.
    files: FileReaders,
    /// The threads that have operations of io_uring and libaio recorded, once they are started.
    on_demand: Vec<OnDemand>,
    throttle: Option<Throttle>,
    /// The thread that seals ahead.
    sealing: Option<SealAheadThread>,
    /// The journal of the recorder's own records.
    out: RecordWriter,
    handlers: Handlers,
    /// The command's process, or the only one that was attached to.
    main: Option<i32>,
    /// Whether that is the recorder's child.
    runs_command: bool,
    end: ProgramEnd,
    end_requests: EndRequests,
    /// When the terminal last stopped the recorder's process group.
    stop_requested: Option<Instant>,
}

/// Runs a command and records it.
pub(super) fn command(
    command: &Command,
    options: &Options,
    recording: &Recording,
) -> Result<Outcome, Error> {
    let mut object = MaybeUninit::uninit();
    let mut watch = Watch::start(&mut object, options, recording, Scope::ProcessTree, None)?;
    if let Some(signal) = watch.handlers.take_end_signal() {
        watch.abort();
        return Err(Error::Interrupted { signal });
    }
    let cgroup = if options.drops { None } else { Cgroup::create() };
    let directory = cgroup.as_ref().and_then(Cgroup::directory);
    let settings = Options { seccomp: false, ..options.clone() };
    let mut child = launch::fork(command, &settings, directory.as_ref())?;
    let pid = child.pid;
    let cgroup = cgroup.filter(|cgroup| child.in_cgroup || cgroup.add_process(pid));
    (watch.main, watch.runs_command) = (Some(pid), true);
    watch.out.write_event(RecordKind::Start, monotonic_ns(), pid, pid, [0, 0, 0, 1, 0, 0]);
    at_start::write_child_before_exec(&mut watch.out, monotonic_ns(), pid, command);
    watch.out.flush();
    watch.add_process(pid, FROM_EXEC)?;
    let method = watch.start_throttle(options, cgroup)?;
    watch.start_on_demand(Some(method))?;
    child.start();
    if let Some(error) = child.wait_for_exec(command) {
        watch.abort();
        return Err(error);
    }
    // Descendants are recorded from their start.
    watch.common.word(offset_of!(common_state, joining)).store(0, Ordering::Release);
    watch.start_sealing(options, recording);
    watch.run();
    Ok(watch.finish(recording))
}

/// Records running processes.
pub(super) fn attach(
    pids: &[i32],
    options: &Options,
    recording: &Recording,
) -> Result<Outcome, Error> {
    let mut object = MaybeUninit::uninit();
    let mut watch = Watch::start(&mut object, options, recording, Scope::ProcessTree, None)?;
    // Operations on rings and contexts that the processes have already are recorded from the start.
    let uses_async_io = pids.iter().any(|pid| procfs::uses_async_io(*pid));
    if uses_async_io {
        watch.start_on_demand(None)?;
    }
    watch.main = if let [one] = pids { Some(*one) } else { None };
    let mut files = OpenFiles::default();
    for pid in pids {
        let (process, held) = stop_process(*pid)?;
        let time = monotonic_ns();
        watch.add_process(process, NOW)?;
        at_start::write_process(
            &mut watch.out,
            &mut files,
            time,
            process,
            held.threads.iter().copied().collect(),
        );
    }
    watch.out.flush();
    let method = watch.start_throttle(options, None)?;
    if !uses_async_io {
        watch.start_on_demand(Some(method))?;
    }
    watch.start_sealing(options, recording);
    options.on_start.call();
    watch.run();
    Ok(watch.finish(recording))
}

/// Records a cgroup, or the whole machine except the recorder. No process is stopped, so the state
/// at the start is read while the processes run.
pub(super) fn system_wide(
    cgroup: Option<&Path>,
    options: &Options,
    recording: &Recording,
) -> Result<Outcome, Error> {
    let directory =
        cgroup.map(File::open).transpose().map_err(Error::refused("open the cgroup"))?;
    let mut object = MaybeUninit::uninit();
    let begun = monotonic_ns();
    let scope = if cgroup.is_some() { Scope::Cgroup } else { Scope::SystemWide };
    let mut watch = Watch::start(&mut object, options, recording, scope, directory.as_ref())?;
    let mut files = OpenFiles::default();
    for pid in cgroup.map_or_else(processes, members) {
        let Ok(threads) = procfs::list_threads(pid) else { continue };
        at_start::write_process(&mut watch.out, &mut files, begun, pid, threads.collect());
    }
    watch.out.flush();
    watch.start_on_demand(None)?;
    if let Some(cgroup) = cgroup {
        watch.start_throttle(options, Cgroup::open(cgroup))?;
    }
    watch.start_sealing(options, recording);
    options.on_start.call();
    while !watch.handlers.has_received() || !watch.handle_signals() {
        if watch.consumers.written.has_failed() {
            break;
        }
        wait(None, Duration::from_millis(100));
    }
    Ok(watch.finish(recording))
}

impl<'o> Watch<'o> {
    /// Loads and attaches the probe, and starts the threads and signal handlers.
    fn start(
        object: &'o mut MaybeUninit<libbpf_rs::OpenObject>,
        options: &Options,
        recording: &Recording,
        scope: Scope,
        cgroup: Option<&File>,
    ) -> Result<Self, Error> {
        let mut probe = load(object, options, scope)?;
        if let Some(cgroup) = cgroup {
            let fd = cgroup.as_raw_fd() as u32;
            probe
                .skel
                .maps
                .cgroup
                .update(&0u32.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
                .map_err(refused("read a cgroup's ID"))?;
        }
        let journal = |n: usize| recording.journal(n as u32).map_err(Error::Journal);
        let common =
            Arc::new(Mapped::new(&probe.skel.maps.common, 0, rustix::param::page_size(), true)?);
        common.word(offset_of!(common_state, cpus)).store(cpus_online(), Ordering::Release);
        // Attached before any thread is started: if the kernel refuses, there is nothing to undo.
        // Records wait in the rings meanwhile.
        probe.attach()?;
        let complete = recording.written_until().map_err(Error::Journal)?;
        let consumers = Consumers::start(
            &probe,
            (0..probe.cpus).map(journal).collect::<Result<_, _>>()?,
            &complete,
            options.write_rate,
        )?;
        let out = RecordWriter::new(journal(probe.cpus)?);
        let after = probe.cpus + 1;
        let files = FileReaders::start(
            &probe,
            &common,
            (after..after + FileReaders::JOURNALS).map(journal).collect::<Result<_, _>>()?,
            options,
        )?;
        let handlers = Handlers::install();
        Ok(Self {
            on_demand: Vec::new(),
            probe,
            common,
            consumers,
            files,
            throttle: None,
            sealing: None,
            out,
            handlers,
            main: None,
            runs_command: false,
            end: ProgramEnd::Running,
            end_requests: EndRequests::default(),
            stop_requested: None,
        })
    }

    /// Chooses how the recorded processes are stopped (cgroup freezer or signals), and starts the
    /// thread that stops them while the consumers cannot keep up with the records, unless the user
    /// lets records be dropped instead. Returns the chosen method.
    fn start_throttle(
        &mut self,
        options: &Options,
        cgroup: Option<Cgroup>,
    ) -> Result<SharedStopMethod, Error> {
        let method = Arc::new(Mutex::new(StopMethod::choose(&self.probe, cgroup)?));
        if !options.drops {
            let throttle = Throttle::start(&self.probe, &self.consumers, Arc::clone(&method))?;
            self.throttle = Some(throttle);
        }
        Ok(method)
    }

    /// Starts the threads that have operations of io_uring and libaio recorded: from the first ring
    /// or context on, for which they stop the processes by `method`, or at once.
    fn start_on_demand(&mut self, method: Option<SharedStopMethod>) -> Result<(), Error> {
        let (uring, aio) = self.probe.take_loaders();
        let uring = OnDemand::start(uring, &self.common, method.clone())?;
        self.on_demand.push(uring);
        self.on_demand.push(OnDemand::start(aio, &self.common, method)?);
        Ok(())
    }

    /// Starts the thread that seals while recording. The state at the start must have been written.
    fn start_sealing(&mut self, options: &Options, recording: &Recording) {
        let progress = LowWaterMark::new(
            Arc::clone(&self.consumers.written),
            Arc::clone(&self.common),
            self.probe.ring_bytes,
        );
        self.sealing = SealAheadThread::start(recording, progress, options.seal_ahead_bytes);
    }

    /// Has the probe record a process and its descendants, from `when` on ([`NOW`] or
    /// [`FROM_EXEC`]).
    fn add_process(&mut self, pid: i32, when: u32) -> Result<(), Error> {
        self.common.word(offset_of!(common_state, joining)).store(1, Ordering::Release);
        let joined = self.probe.skel.maps.joined.update(
            &(pid as u32).to_ne_bytes(),
            &when.to_ne_bytes(),
            MapFlags::ANY,
        );
        joined.map_err(refused("attach to a process"))
    }

    /// Returns how many recorded threads there are.
    fn alive_threads(&self) -> i64 {
        self.common.word(offset_of!(common_state, alive)).load(Ordering::Acquire) as i64
    }

    /// Waits until no recorded process is left, or until the recording is to end.
    fn run(&mut self) {
        let process = self.main.and_then(process_descriptor);
        loop {
            if self.handlers.has_received() && self.handle_signals() {
                return;
            }
            if self.runs_command && matches!(self.end, ProgramEnd::Running) {
                self.reap_child();
            }
            // A process that was attached to is counted when it makes its first call.
            let main_ended = if self.runs_command {
                !matches!(self.end, ProgramEnd::Running)
            } else {
                self.main.is_none_or(|pid| !exists(pid))
            };
            if main_ended && self.alive_threads() <= 0 {
                return;
            }
            if self.consumers.written.has_failed()
                && (!self.runs_command || main_ended || self.end_requests.times() > 1)
            {
                return;
            }
            wait(
                if main_ended { None } else { process.as_ref() },
                Duration::from_millis(if main_ended { 2 } else { 50 }),
            );
        }
    }

    /// Handles signals. Returns whether the recording is to end.
    fn handle_signals(&mut self) -> bool {
        let received = self.handlers.take_received();
        if received.stop {
            self.stop_requested = Some(Instant::now());
        }
        self.end_requests.count(
            received,
            self.main.filter(|_| self.runs_command && matches!(self.end, ProgramEnd::Running)),
        )
    }

    /// Checks whether the command has stopped or ended. If the terminal has stopped it and the
    /// recorder within the last second, stops the recorder.
    fn reap_child(&mut self) {
        let Some(pid) = self.main else { return };
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG | libc::WUNTRACED) } != pid {
            return;
        }
        if libc::WIFSTOPPED(status) {
            // The shell must see the recorder stopped, but only after the command has stopped,
            // which may ignore the signal.
            if self.stop_requested.take().is_some_and(|t| t.elapsed() < Duration::from_secs(1)) {
                stop_recorder();
            }
        } else if libc::WIFEXITED(status) {
            self.end = ProgramEnd::Exited(libc::WEXITSTATUS(status));
        } else {
            self.end = ProgramEnd::Signaled(libc::WTERMSIG(status));
        }
    }

    /// Ends the recording after a failed start.
    fn abort(self) {
        self.throttle.map(Throttle::finish);
        drop(self.probe);
        let mut out = self.out;
        self.on_demand.into_iter().for_each(|thread| drop(thread.finish(&mut out)));
        self.consumers.finish();
        self.files.finish();
        drop(self.handlers);
    }

    /// Ends the recording: detaches the probe, and writes all records to the journals.
    fn finish(mut self, recording: &Recording) -> Outcome {
        let sealing = self.sealing.take();
        // Records that are written from now on are of calls that began earlier.
        sealing.iter().for_each(SealAheadThread::stop);
        let detached = self.alive_threads() > 0;
        if detached {
            // While the probe is attached, a call is either recorded here, or the probe sees it
            // end.
            self.probe.stop_new_calls();
            calls_under_way::write_records(&self.probe, &mut self.out);
        }
        self.probe.detach();
        let threads = std::mem::take(&mut self.on_demand).into_iter();
        let missing: Vec<Option<String>> =
            threads.map(|thread| thread.finish(&mut self.out)).collect();
        if detached || missing.iter().any(Option::is_none) {
            // When this returns, a probe that was running has put its record into a ring.
            let _best = membarrier(MembarrierCommand::Global);
        }
        let stopped = self.throttle.take().map_or(Duration::ZERO, Throttle::finish);
        let files = self.files.finish();
        let consumed = self.consumers.finish();
        for gap in &consumed.gaps {
            self.out.write_event(
                RecordKind::Gap,
                monotonic_ns(),
                0,
                0,
                [gap.first, gap.records, u64::from(gap.cpu), 0, 0, 0],
            );
        }
        let count = |offset| self.common.word(offset).load(Ordering::Acquire);
        let missed =
            count(offset_of!(common_state, missed)) + count(offset_of!(common_state, refused));
        if missed > 0 {
            self.out.write_event(
                RecordKind::Gap,
                monotonic_ns(),
                0,
                0,
                [0, missed, u64::from(u32::MAX), 0, 0, 0],
            );
        }
        drop(self.handlers);
        let journal_error = consumed.error.or(files).or(self.out.finish());
        if let Some(sealing) = sealing {
            sealing.finish(recording);
        }
        Outcome {
            end: self.end,
            notes: Vec::new(),
            delay: Duration::from_nanos(consumed.delay_ns) + stopped,
            detached,
            journal_error,
            missing: missing.into_iter().flatten().collect(),
        }
    }
}
