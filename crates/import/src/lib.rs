//! Makes a trace of calls that another tool recorded.
//!
//! Calls are added in the order in which they returned. What replay needs and other tools do not
//! show is inferred from the calls: the parents of threads, and the files that opens lead to, whose
//! identities are marked as synthetic. Nothing is looked up on this machine.
#![forbid(unsafe_code)]

mod account;
mod call;
mod files;
mod moves;
mod threads;
mod tree;
mod write;

use abi::{Effect, Ret, Role};
pub use call::{ImportedCall, UNKNOWN_ADDRESS};
use linux_raw_sys::general::{self, S_IFDIR};
use model::Model;
use model::processes::Processes;

use account::Account;
use ahash::HashMap;
use files::Files;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use threads::Threads;
use trace::Buffer;
use trace::record::{AT_EXIT, Header, Identity, PayloadKind};
use trace::{
    Error, Event, Journal, Mount, Payload, RecordKind, Recording, RecordingEnd, RecordingInfo,
    Summary,
};
use write::write_payload;
use zerocopy::IntoBytes;

const CLONE_VFORK: u64 = general::CLONE_VFORK as u64;
const CLONE_THREAD: u64 = general::CLONE_THREAD as u64;
const DIRECTORY: u32 = S_IFDIR | 0o755;
/// The usual umask, where none is known.
const UMASK: u32 = 0o022;

/// The start of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    /// The thread that called clone(2) or fork(2).
    pub parent: u32,
    /// Flags of clone(2).
    pub flags: u64,
    /// When it started.
    pub time: u64,
}

/// What is known of the recorded run as a whole.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What goes into the trace's description. Times are nanoseconds since 1970.
    pub about: RecordingInfo,
    /// The working directory of the first thread, if it is known.
    pub directory: Option<Vec<u8>>,
    /// The starts of threads, by thread id; of an id that was used again, in order of time.
    pub forks: HashMap<u32, Vec<Fork>>,
}

/// A trace that is being written.
pub struct Import {
    recording: Recording,
    /// The journal of all records but inferred renames.
    journal: Journal,
    processes: Processes<()>,
    files: Files,
    /// The starts of threads that were not added yet, by thread id, in the order of time.
    pending_forks: HashMap<u32, VecDeque<Fork>>,
    /// The working directory of threads without a known parent.
    directory: Option<Vec<u8>>,
    /// The umask of threads without a known parent.
    umask: Option<u32>,
    threads: Threads,
    /// Notes for the user.
    notes: Vec<String>,
    /// What was not imported.
    not_imported: Account,
}

impl Import {
    /// Creates the trace `path`. Fails if there is a file of this name already, or it cannot be
    /// written.
    pub fn new(path: &Path, origin: Origin) -> Result<Self, Error> {
        let Origin { mut about, directory, forks } = origin;
        if about.mounts.is_empty() {
            let mount = |point: &str, fs: &str| Mount { point: point.into(), fs: fs.into() };
            about.mounts = vec![
                mount("/", "unknown"),
                mount("/proc", "proc"),
                mount("/sys", "sysfs"),
                mount("/dev", "devtmpfs"),
                mount("/dev/shm", "tmpfs"),
            ];
        }
        if about.page_size == 0 {
            about.page_size = 4096;
        }
        let recording = Recording::create(path, about, Arc::new(Model::foreign()))?;
        let journal = recording.journal(0)?;
        Ok(Self {
            recording,
            journal,
            processes: Processes::new(),
            files: Files::default(),
            pending_forks: forks.into_iter().map(|(tid, forks)| (tid, forks.into())).collect(),
            directory,
            umask: None,
            threads: Threads::default(),
            notes: Vec::new(),
            not_imported: Account::default(),
        })
    }

    /// Adds a note for the user to the summary.
    pub fn add_note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Counts `n` calls, or lines or events that may have been calls, that are not imported. The
    /// trace will be incomplete; its reasons name `what` they were.
    pub fn count_left_out(&mut self, what: &str, n: u64) {
        self.not_imported.add_left_out(what, n);
    }

    /// Counts `n` lines or events that are certainly no calls and are not imported.
    pub fn count_ignored(&mut self, what: &str, n: u64) {
        self.not_imported.add_ignored(what, n);
    }

    /// Adds a sentence to the reasons why the trace is incomplete: calls are missing, and their
    /// number is unknown.
    pub fn add_missing(&mut self, reason: &str) {
        self.not_imported.add_reason(reason);
    }

    /// Returns whether thread `tid` is known to be alive.
    pub fn is_alive(&self, tid: u32) -> bool {
        self.threads.process_of(tid).is_some()
    }

    /// Returns the counts of what was not imported until now, by name.
    pub fn not_imported(&self) -> BTreeMap<String, u64> {
        self.not_imported.all_counts()
    }

    /// Sets the umask of the threads without a known parent, if the tool shows it. Must come before
    /// the first call.
    pub fn set_umask(&mut self, umask: u32) {
        self.umask = Some(umask);
    }

    /// Adds a call to the trace.
    pub fn add_call(&mut self, imported: ImportedCall) -> Result<(), Error> {
        let ImportedCall { mut call, .. } = imported;
        self.ensure_thread(call.tid, call.entered)?;
        call.pid = self.process_of(call.tid);
        let mut operands = self.processes.enter(&call);
        let spec = call.spec();
        if let Some(spec) =
            spec.filter(|s| s.ret == Ret::Fd && s.effect == Effect::None && call.succeeded())
            && let Some((i, Role::Open(from))) =
                spec.args.iter().enumerate().find_map(|(i, a)| Some((i, a.kind.path_use()?.role)))
            && let Some(path) = &operands.paths[i]
        {
            let flags = call.open_flags(from);
            let (identity, path) = self.files.infer_opened(path, flags);
            let bytes = [identity.as_bytes(), &path].concat();
            let len = bytes.len() as u64;
            let arg = abi::plan::RESULT;
            call.payloads.push(Payload {
                arg,
                kind: PayloadKind::Identity,
                flags: AT_EXIT,
                len,
                wanted: len,
                bytes: Buffer::from_vec(bytes),
            });
        }
        self.processes.leave(&call, &mut operands);
        if let Some(spec) = spec {
            self.files.observe(&call, spec, &operands);
        }
        Self::write_call(&mut self.journal, &call)?;
        let Some(spec) = spec else { return Ok(()) };
        let time = call.exited.unwrap_or(call.entered);
        match spec.effect {
            Effect::Exec if call.succeeded() => {
                let path = call.string(0).unwrap_or_default().to_vec();
                self.add_event(
                    RecordKind::Exec,
                    time,
                    call.pid,
                    call.pid,
                    [u64::from(call.tid), 0, 0, 0, 0, 0],
                    &[(0, PayloadKind::String, &path)],
                )?;
                self.threads.apply_exec(call.pid);
            }
            Effect::Exit => self.add_exit(call.tid, time, (call.args[0] & 0xff) << 8)?,
            Effect::ExitGroup => {
                for tid in self.threads.of_process(call.pid) {
                    self.add_exit(tid, time, (call.args[0] & 0xff) << 8)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the start of thread `tid`.
    pub fn add_fork(&mut self, tid: u32, fork: Fork) -> Result<(), Error> {
        self.add_exit(tid, fork.time, 0)?;
        if fork.parent == tid {
            return self.start_root(tid, fork.time, None);
        }
        self.start_child(tid, fork)
    }

    /// Adds thread `tid` as one that was running when the recording began, in `directory` if that
    /// is known.
    pub fn add_existing_thread(
        &mut self,
        tid: u32,
        time: u64,
        directory: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.add_exit(tid, time, 0)?;
        self.start_root(tid, time, directory)
    }

    /// Adds the end of thread `tid`, with its wait status. Does nothing if the thread is not known,
    /// or has ended.
    pub fn add_exit(&mut self, tid: u32, time: u64, status: u64) -> Result<(), Error> {
        let Some((pid, was_last)) = self.threads.remove(tid) else { return Ok(()) };
        self.add_event(
            RecordKind::Exit,
            time,
            pid,
            tid,
            [status, u64::from(was_last), 0, 0, 0, 0],
            &[],
        )
    }

    /// Adds a signal that was delivered to thread `tid`.
    pub fn add_signal(&mut self, tid: u32, time: u64, signal: u64) -> Result<(), Error> {
        self.ensure_thread(tid, time)?;
        let pid = self.process_of(tid);
        self.add_event(RecordKind::Signal, time, pid, tid, [signal, 0, 0, 0, 0, 0], &[])
    }

    /// Adds a descriptor that was open when the recording began, with its path and its `O_*` flags.
    pub fn add_open_descriptor(
        &mut self,
        tid: u32,
        time: u64,
        fd: i32,
        path: &[u8],
        flags: u32,
    ) -> Result<(), Error> {
        let (identity, path) = self.files.infer_opened(path, flags);
        self.add_descriptor(tid, time, fd, (identity, path), flags)
    }

    /// Adds a descriptor that was open when the recording began, of a file that has no name any
    /// more.
    pub fn add_unlinked_descriptor(
        &mut self,
        tid: u32,
        time: u64,
        fd: i32,
        path: &[u8],
        flags: u32,
    ) -> Result<(), Error> {
        let file = self.files.infer_unlinked(path);
        self.add_descriptor(tid, time, fd, file, flags)
    }

    /// Adds the event of a descriptor that was open when the recording began. Descriptors of one
    /// process and number share an open file.
    fn add_descriptor(
        &mut self,
        tid: u32,
        time: u64,
        fd: i32,
        (mut identity, path): (Identity, Vec<u8>),
        flags: u32,
    ) -> Result<(), Error> {
        self.ensure_thread(tid, time)?;
        let pid = self.process_of(tid);
        identity.status = flags;
        let bytes = [identity.as_bytes(), &path].concat();
        self.add_event(
            RecordKind::Descriptor,
            time,
            pid,
            tid,
            [fd as u64, u64::from(flags >> 19 & 1), u64::from(pid) << 32 | fd as u64, 0, 0, 0],
            &[(0, PayloadKind::Identity, &bytes)],
        )
    }

    /// Returns the process of thread `tid`, as far as it is known.
    pub fn process_of(&self, tid: u32) -> u32 {
        self.threads.process_of(tid).unwrap_or(tid)
    }

    /// Returns whether thread `tid` has a descriptor `fd`, as far as it is known.
    pub fn has_descriptor(&self, tid: u32, fd: i32) -> bool {
        self.processes.descriptor(tid, fd).is_some()
    }

    /// Adds a gap: `lost` calls or events are missing here.
    pub fn add_gap(&mut self, time: u64, lost: u64) -> Result<(), Error> {
        self.add_event(RecordKind::Gap, time, 0, 0, [0, lost, 0, 0, 0, 0], &[])
    }

    /// Adds the start of thread `tid` if the thread is unknown. Must be called before something
    /// that the thread does is added.
    pub fn ensure_thread(&mut self, tid: u32, time: u64) -> Result<(), Error> {
        if self.is_alive(tid) {
            return Ok(());
        }
        // If threads with this id have started several times until now, the last start counts.
        let mut fork = None;
        if let Some(forks) = self.pending_forks.get_mut(&tid) {
            while forks.front().is_some_and(|f| f.time <= time) {
                fork = forks.pop_front();
            }
        }
        match fork.filter(|f| f.parent != tid) {
            Some(fork) => self.start_child(tid, fork),
            None => self.start_root(tid, time, None),
        }
    }

    /// Adds a thread that another one started, and the parent if that is unknown.
    fn start_child(&mut self, tid: u32, fork: Fork) -> Result<(), Error> {
        self.ensure_thread(fork.parent, fork.time)?;
        let ppid = self.process_of(fork.parent);
        let pid = if fork.flags & CLONE_THREAD != 0 { ppid } else { tid };
        self.threads.add(tid, pid);
        let is_process = u64::from(pid == tid);
        self.add_event(
            RecordKind::Start,
            fork.time,
            pid,
            tid,
            [u64::from(ppid), u64::from(fork.parent), fork.flags & !CLONE_VFORK, is_process, 0, 0],
            &[],
        )
    }

    /// Adds a thread that was running when the recording began, or whose parent is unknown, and the
    /// state of its process if the working directory or the umask is known.
    fn start_root(&mut self, tid: u32, time: u64, directory: Option<&[u8]>) -> Result<(), Error> {
        self.threads.add(tid, tid);
        self.add_event(RecordKind::Start, time, tid, tid, [0, 0, 0, 1, 0, 0], &[])?;
        let directory = directory.or(self.directory.as_deref());
        // An event with nothing but the usual umask is not needed.
        let umask = self.umask.filter(|umask| *umask != UMASK);
        if directory.is_none() && umask.is_none() {
            return Ok(());
        }
        let identity = Identity {
            dev: 1,
            mode: DIRECTORY,
            created: trace::record::SYNTHETIC,
            ..Identity::default()
        };
        let identities = directory.iter().map(|d| [identity.as_bytes(), d].concat());
        let bytes: Vec<Vec<u8>> = identities.collect();
        let payloads: Vec<(u8, PayloadKind, &[u8])> = bytes
            .iter()
            .map(|b| (abi::plan::WORKING_DIRECTORY, PayloadKind::Identity, &b[..]))
            .collect();
        let umask = u64::from(umask.unwrap_or(UMASK));
        self.add_event(RecordKind::State, time, tid, tid, [umask, 0, 0, 0, 0, 0], &payloads)
    }

    /// Adds an event to the journal, and applies it to the model of the processes.
    fn add_event(
        &mut self,
        kind: RecordKind,
        time: u64,
        pid: u32,
        tid: u32,
        args: [u64; 6],
        payloads: &[(u8, PayloadKind, &[u8])],
    ) -> Result<(), Error> {
        let payload = |&(arg, kind, bytes): &(u8, PayloadKind, &[u8])| {
            let len = bytes.len() as u64;
            Payload { arg, kind, flags: 0, len, wanted: len, bytes: Buffer::from_slice_ref(bytes) }
        };
        let event =
            Event { time, kind, pid, tid, args, payloads: payloads.iter().map(payload).collect() };
        self.processes.event(&event);
        self.journal.begin(Header {
            kind: kind as u8,
            pid,
            tid,
            entered: time,
            left: time,
            args,
            ..Header::default()
        });
        for p in &event.payloads {
            write_payload(&mut self.journal, p, p.bytes.as_slice());
        }
        self.journal.commit()
    }

    /// Seals the trace. `whole` is whether the other tool's recording was read to its end.
    pub fn finish(mut self, whole: bool, progress: trace::Progress<'_>) -> Result<Summary, Error> {
        self.write_renames()?;
        self.journal.finish()?;
        let end = RecordingEnd {
            finished: whole,
            missing: self.not_imported.reasons(),
            notes: self.notes,
            ..RecordingEnd::default()
        };
        self.recording.seal(end, progress)
    }
}
