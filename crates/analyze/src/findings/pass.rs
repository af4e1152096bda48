//! The pass over all calls: follows the processes, and shows each call to the rules.

use super::definition::{Definition, Rule};
use super::files::{At, FileId, Files};
use super::view::{Name, View, asked_bytes};
use abi::{CallSpec, Effect, IoClass, Role, argument_indices};
use ahash::HashMap;
use linux_raw_sys::errno::{EEXIST, ENOENT, ENOTDIR};
use linux_raw_sys::general::{O_CREAT, O_EXCL};
use processes::{Descriptor, Mounts, OpenFile, Operands, Processes, Timeline, TimelineItem};
use std::sync::Arc;
use trace::{Call, Error, ReadOptions, RecordKind, Trace};

/// The coarsest tick of the clock by which file systems set times: nanoseconds.
const TICK: u64 = 10_000_000;

/// What a pass has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub calls: u64,
    /// Nanoseconds during which at least one thread was in a call on files.
    pub io: u64,
    pub files: Files,
    /// For each thread its first entry and last return.
    pub threads: HashMap<u32, (u64, u64)>,
    pub rules: Vec<(&'static Definition, Box<dyn Rule>)>,
    pub coverage: Coverage,
}

/// How much of what rules need is known.
#[derive(Default)]
pub(super) struct Coverage {
    with_file: u64,
    without_file: u64,
    with_offset: u64,
    without_offset: u64,
}

impl Coverage {
    /// Returns why a rule cannot be decided: what it needs is not known of most calls.
    pub fn lacks(&self, rule: &Definition) -> Option<String> {
        if rule.needs_files && self.without_file > self.with_file {
            return Some(format!(
                "of {} calls on descriptors, the trace does not tell the file; record with \
                 reanimator, or import a trace that has the opens",
                self.without_file
            ));
        }
        (rule.needs_offsets && self.without_offset > self.with_offset).then(|| {
            format!(
                "of {} reads and writes, the trace does not tell the offset; record with \
                 reanimator",
                self.without_offset
            )
        })
    }
}

/// The calls that count as time in I/O.
const ON_FILES: [IoClass; 11] = [
    IoClass::Read,
    IoClass::Write,
    IoClass::Open,
    IoClass::Close,
    IoClass::Stat,
    IoClass::Change,
    IoClass::Name,
    IoClass::Dir,
    IoClass::Seek,
    IoClass::Sync,
    IoClass::Lock,
];

/// The time that is covered by calls on files.
#[derive(Default)]
struct Busy {
    active: u32,
    since: u64,
    total: u64,
}

impl Busy {
    fn enter(&mut self, at: u64) {
        if self.active == 0 {
            self.since = at;
        }
        self.active += 1;
    }
    fn leave(&mut self, at: u64) {
        self.active = self.active.saturating_sub(1);
        if self.active == 0 {
            self.total += at.saturating_sub(self.since);
        }
    }
}

/// A call that is under way.
struct UnderWay {
    operands: Operands<()>,
    class: IoClass,
}

struct Pass {
    processes: Processes,
    busy: Busy,
    seen: Seen,
    /// When the recording began, in nanoseconds of `CLOCK_REALTIME`.
    began: u64,
    /// For each class the rules that look at it.
    by_class: [Vec<usize>; IoClass::ALL.len()],
}

/// Reads all calls of the trace and shows them to the rules.
pub(super) fn run(
    trace: &Trace,
    rules: Vec<(&'static Definition, Box<dyn Rule>)>,
) -> Result<Seen, Error> {
    let info = trace.recording_info();
    let mounts = Mounts::new(info.mounts.iter().map(|m| (&m.point[..], &m.fs[..])));
    let mut by_class = [const { Vec::new() }; IoClass::ALL.len()];
    for (i, (rule, _)) in rules.iter().enumerate() {
        rule.classes.iter().for_each(|class| by_class[*class as usize].push(i));
    }
    let mut pass = Pass {
        processes: Processes::with_mounts(mounts),
        busy: Busy::default(),
        seen: Seen { rules, ..Seen::default() },
        began: info.began.saturating_add_signed(info.clock_offset),
        by_class,
    };
    let mut under_way: Vec<Option<UnderWay>> = Vec::new();
    let mut last = 0;
    for item in Timeline::new(trace.read(ReadOptions { data: false })) {
        match item? {
            TimelineItem::Event(event) => {
                last = event.time;
                if event.kind == RecordKind::Exit && event.pid == event.tid {
                    pass.process_ended(Some(event.pid), last);
                }
                let closed = pass.processes.event(&event);
                pass.close(&closed, &Operands::default());
            }
            TimelineItem::Enter(number, call) => {
                let class = class_of(&call);
                if ON_FILES.contains(&class) && call.exited.is_some() {
                    pass.busy.enter(call.entered);
                }
                let spec = call.spec();
                if spec.is_some_and(|spec| spec.effect == Effect::ExitGroup) {
                    pass.process_ended(Some(call.pid), call.entered);
                }
                under_way.resize_with(under_way.len().max(number + 1), || None);
                let operands = pass.processes.enter(&call);
                under_way[number] = Some(UnderWay { operands, class });
            }
            TimelineItem::Leave(number, call) => {
                let Some(mut under_way) = under_way[number].take() else { continue };
                last = call.exited.unwrap_or(call.entered);
                if ON_FILES.contains(&under_way.class) && call.exited.is_some() {
                    pass.busy.leave(last.max(call.entered));
                }
                pass.processes.leave(&call, &mut under_way.operands);
                pass.call(&call, &under_way);
            }
            TimelineItem::Unreturned(number, _) => {
                under_way[number] = None;
                pass.seen.calls += 1;
            }
        }
    }
    pass.process_ended(None, last);
    pass.seen.io = pass.busy.total;
    Ok(pass.seen)
}

/// Returns the class of a call from the table alone.
fn class_of(call: &Call) -> IoClass {
    match (abi::by_number(call.nr), call.spec()) {
        (Some(row), Some(spec)) => row.io_class(spec),
        _ => IoClass::Other,
    }
}

impl Pass {
    fn process_ended(&mut self, pid: Option<u32>, at: u64) {
        self.seen.rules.iter_mut().for_each(|(_, rule)| rule.process_ended(pid, at));
    }

    /// Tells the rules of open files whose last descriptor is among those that were closed.
    /// `operands` are those of the call that closed them.
    fn close(&mut self, closed: &[Arc<Descriptor<()>>], operands: &Operands<()>) {
        for descriptor in closed {
            let is_same = |other: &&Arc<Descriptor<()>>| Arc::ptr_eq(other, descriptor);
            let ours = closed.iter().filter(is_same).count()
                + operands.fds.iter().flatten().filter(is_same).count();
            if Arc::strong_count(descriptor) <= ours && Arc::strong_count(&descriptor.file) == 1 {
                for (_, rule) in &mut self.seen.rules {
                    rule.closed(descriptor.file.id, &self.seen.files);
                }
            }
        }
    }

    /// Shows a call that has returned to the rules.
    fn call(&mut self, call: &Call, under_way: &UnderWay) {
        let UnderWay { operands, class } = under_way;
        self.seen.calls += 1;
        let left = call.exited.unwrap_or(call.entered);
        let times = self.seen.threads.entry(call.tid).or_insert((call.entered, left));
        times.1 = times.1.max(left);
        let Some(spec) = call.spec().filter(|_| call.returned()) else { return };
        // Of a transfer from file to file, what counts is where the bytes go.
        let fd = spec.copies.map(|copies| copies.to.fd).or(spec.uses.fd);
        let descriptor = match fd {
            Some(i) => operands.fds[usize::from(i)].as_ref(),
            None => {
                operands.opened.iter().find(|(fd, _)| i64::from(*fd) == call.ret).map(|(_, d)| d)
            }
        };
        let handle = descriptor.map(|d| &*d.file);
        let class = class.on_file(
            handle.map(|h| h.identity.mode).filter(|mode| *mode != 0),
            handle.and_then(|h| std::str::from_utf8(&h.path).ok()),
        );
        let opens = class == IoClass::Open && call.succeeded();
        let names = self.names(call, spec, operands);
        let is_new = opens && handle.is_some_and(|h| self.created(call, spec, h, &names));
        let files = &mut self.seen.files;
        let file = match handle {
            Some(handle) if opens => files.opened(handle, is_new),
            Some(handle) if class != IoClass::Wait => files.of(handle),
            _ => None,
        };
        let moved = if spec.ret == abi::Ret::Bytes { call.ret.max(0) as u64 } else { 0 };
        let moves = matches!(class, IoClass::Read | IoClass::Write | IoClass::Sync);
        let view = View {
            call,
            spec,
            class,
            sync: spec.sync_scope(class),
            duration: left.saturating_sub(call.entered),
            errno: call.errno(),
            handle,
            file,
            status: fd.map_or(0, |i| operands.status[usize::from(i)]),
            offset: match spec.copies {
                Some(copies) => call
                    .copy_offset(copies.to.at)
                    .or_else(|| handle.map(|h| h.offset().saturating_sub(moved))),
                None => operands.offset,
            },
            asked: asked_bytes(call, spec),
            moved,
            names,
            is_new,
            files: &self.seen.files,
        };
        self.seen.coverage.add(&view, moves && spec.uses.fd.is_some());
        for i in &self.by_class[class as usize] {
            self.seen.rules[*i].1.call(&view);
        }
        self.apply_names(call, &names, file.filter(|_| opens));
        if !operands.closed.is_empty() {
            self.close(&operands.closed, operands);
        }
    }

    /// Returns the names that a call used, with what was there before it.
    fn names(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<()>,
    ) -> [Option<Name>; 2] {
        let mut names = [None, None];
        for (slot, i) in names.iter_mut().zip(argument_indices(spec.uses.path_args)) {
            // An empty path means the descriptor.
            if call.path(i as u8).is_none_or(<[u8]>::is_empty) {
                continue;
            }
            let files = &mut self.seen.files;
            let path = operands.paths[i].as_deref().and_then(|path| files.intern_path(path));
            if let (Some(path), Some(way)) = (path, spec.args[i].kind.path_use()) {
                *slot = Some(Name { role: way.role, path, before: files.at(path) });
            }
        }
        names
    }

    /// Applies what a call did to names. `opened` is the file that it opened.
    fn apply_names(&mut self, call: &Call, names: &[Option<Name>; 2], opened: Option<FileId>) {
        let files = &mut self.seen.files;
        let errno = call.errno().map(i32::unsigned_abs);
        match (errno, names) {
            (None, [first, second]) => {
                let moved = first.and_then(|name| match name.before {
                    At::File(file) => Some(file),
                    _ => None,
                });
                for name in [first, second].into_iter().flatten() {
                    let file = match name.role {
                        Role::Target | Role::Create => moved,
                        Role::Open(_) => opened,
                        _ => None,
                    };
                    files.apply(name.role, name.path, file);
                }
            }
            (Some(ENOENT | ENOTDIR), [Some(name), None]) => files.missing(name.path),
            (Some(EEXIST), [Some(name), None]) if name.before == At::Unknown => {
                files.apply(Role::Create, name.path, None);
            }
            _ => {}
        }
    }

    /// Returns whether an open created the file. Where the engine does not tell, it did if the name
    /// was known to be missing, or if the file is not known yet and was born during the recording.
    fn created(
        &self,
        call: &Call,
        spec: &CallSpec,
        opened: &OpenFile,
        names: &[Option<Name>; 2],
    ) -> bool {
        opened.identity.was_created().unwrap_or_else(|| {
            let flags = spec.args.iter().find_map(|arg| match arg.kind.path_use()?.role {
                Role::Open(from) => Some(call.open_flags(from)),
                _ => None,
            });
            let flags = flags.unwrap_or(0);
            let absent = names[0].is_some_and(|name| name.before == At::Absent);
            let born = opened.identity.born;
            // Only an empty file can have been born just now, perhaps a tick earlier.
            let tick = if opened.identity.size == 0 { TICK } else { 0 };
            let latest = born.saturating_add(tick);
            let is_young =
                || born != 0 && latest >= self.began && !self.seen.files.knows(opened, born);
            flags & O_CREAT != 0 && (flags & O_EXCL != 0 || absent || is_young())
        })
    }
}

impl Coverage {
    fn add(&mut self, view: &View<'_>, moves: bool) {
        if !moves || view.errno.is_some() {
            return;
        }
        *(if view.handle.is_some() { &mut self.with_file } else { &mut self.without_file }) += 1;
        let has_content =
            view.handle.is_none_or(|h| h.file_type() == 0o100_000) && view.sync.is_none();
        if has_content && view.spec.uses.moves_data {
            let known = view.offset.is_some();
            *(if known { &mut self.with_offset } else { &mut self.without_offset }) += 1;
        }
    }
}
