//! Calls that may have changed what another call found: those that overlapped it.
//!
//! When calls overlap, it is unknown which one acted first. So a state that no earlier call
//! explains is ascribed to an unrecorded process only if no overlapping call can have made it.

use abi::{CallSpec, Effect, Kind, PathUse, Role, argument_indices};
use ahash::HashMap;
use linux_raw_sys::general::{O_CREAT, O_TRUNC};
use processes::Operands;
use std::collections::VecDeque;
use std::sync::Arc;
use trace::call::Call;

/// The largest number of calls that are kept after they returned, while others are under way.
const MAX_RETURNED: usize = 256;

/// A call that changes files.
pub struct OverlappingCall {
    call: Arc<Call>,
    spec: &'static CallSpec,
    /// The open files behind its descriptors, by their numbers in [`processes::Processes`].
    open_file_ids: [Option<u64>; 6],
}

/// The calls that change files and are under way, or overlapped one that is.
#[derive(Default)]
pub struct OverlappingCalls {
    /// Those that have not returned, by the ids of their calls.
    under_way: HashMap<usize, OverlappingCall>,
    /// Those that have returned, with the times at which they did, in this order.
    returned: VecDeque<(u64, OverlappingCall)>,
    /// The time at which the last call returned that was dropped from `returned`. Which calls were
    /// under way before is unknown.
    dropped_until: u64,
    /// What calls under way close, by the ids of the calls.
    closing_calls: HashMap<usize, Closing>,
    /// How many calls under way close this.
    closing_counts: HashMap<Closing, usize>,
    /// How many calls under way change a file through a descriptor that a call which closes this
    /// would take from them.
    exposed_counts: HashMap<Closing, usize>,
}

/// Which descriptors a call closes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Closing {
    /// The process to which they belong.
    pid: u32,
    /// The descriptor; `None`: a range of descriptors.
    fd: Option<u64>,
}

impl Closing {
    /// Returns what the call closes. Returns `None` if it closes nothing.
    fn closing_of(call: &Call) -> Option<Self> {
        let fd = match call.spec()?.effect {
            Effect::Close { fd } | Effect::DupTo { new: fd, .. } => {
                Some(call.args[usize::from(fd)])
            }
            Effect::CloseRange => None,
            _ => return None,
        };
        Some(Self { pid: call.pid, fd })
    }

    /// Returns what a call under way may close so that it takes a descriptor from this call: none
    /// if the kernel showed which file this call used.
    fn closing_calls_of(call: &Call, spec: &CallSpec) -> impl Iterator<Item = Self> {
        let (pid, args) = (call.pid, call.args);
        let fds = argument_indices(spec.uses.fd_args).filter(move |_| call.fd_snapshot.mode == 0);
        let ranges =
            argument_indices(spec.uses.fd_args).next().filter(|_| call.fd_snapshot.mode == 0);
        let closed = fds.map(move |i| Some(args[i])).chain(ranges.map(|_| None));
        closed.map(move |fd| Self { pid, fd })
    }
}

/// Adds one to the count of `closing`, or subtracts one. Removes a count of 0.
fn adjust_count(counts: &mut HashMap<Closing, usize>, closing: Closing, increase: bool) {
    let count = counts.entry(closing).or_default();
    *count = if increase { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counts.remove(&closing);
    }
}

impl OverlappingCalls {
    /// Keeps a call that begins, if it changes files. `call_id` identifies it until it returns.
    pub fn enter<T>(&mut self, call_id: usize, call: &Arc<Call>, operands: &Operands<T>) {
        let Some(spec) = call.spec().filter(|spec| changes(call, spec)) else { return };
        let files = std::array::from_fn(|i| operands.fds[i].as_ref().map(|d| d.file.id));
        for closing in Closing::closing_calls_of(call, spec) {
            adjust_count(&mut self.exposed_counts, closing, true);
        }
        self.under_way
            .insert(call_id, OverlappingCall { call: call.clone(), spec, open_file_ids: files });
    }

    /// Notes that a call begins, if it closes descriptors. Returns whether a call that changes
    /// files through a descriptor overlaps one that closes the descriptor: the number may then
    /// refer to another file, so that it is unknown which file is changed.
    pub fn note_closing(&mut self, call_id: usize, call: &Call) -> bool {
        if let Some(closing) = Closing::closing_of(call) {
            let affects_other = self.exposed_counts.contains_key(&closing);
            adjust_count(&mut self.closing_counts, closing, true);
            self.closing_calls.insert(call_id, closing);
            return affects_other;
        }
        call.spec().filter(|spec| changes(call, spec)).is_some_and(|spec| {
            Closing::closing_calls_of(call, spec)
                .any(|closing| self.closing_counts.contains_key(&closing))
        })
    }

    /// Notes that a call has returned. Returns it, if it was kept, to be passed to
    /// [`Self::keep_returned`] when its effects have been applied.
    pub fn leave(&mut self, call_id: usize) -> Option<OverlappingCall> {
        if let Some(closing) = self.closing_calls.remove(&call_id) {
            adjust_count(&mut self.closing_counts, closing, false);
        }
        let overlapping = self.under_way.remove(&call_id)?;
        for closing in Closing::closing_calls_of(&overlapping.call, overlapping.spec) {
            adjust_count(&mut self.exposed_counts, closing, false);
        }
        Some(overlapping)
    }

    /// Keeps a call that has returned while others overlap it. `is_last` is whether no other call
    /// is under way; all calls that have returned are then dropped.
    pub fn keep_returned(&mut self, overlapping: Option<OverlappingCall>, is_last: bool) {
        if is_last {
            self.returned.clear();
            return;
        }
        let Some(overlapping) = overlapping else { return };
        self.returned.push_back((overlapping.call.exited.unwrap_or(u64::MAX), overlapping));
        if self.returned.len() > MAX_RETURNED
            && let Some((time, _)) = self.returned.pop_front()
        {
            self.dropped_until = self.dropped_until.max(time);
        }
    }

    /// Returns whether a call that overlapped this one satisfies `condition`, or may do so as it
    /// was dropped.
    fn any_overlapping(&self, call: &Call, condition: impl Fn(&OverlappingCall) -> bool) -> bool {
        if self.under_way.is_empty() && self.returned.is_empty() {
            return call.entered <= self.dropped_until;
        }
        call.entered <= self.dropped_until
            || self.under_way.values().any(&condition)
            || self
                .returned
                .iter()
                .any(|(time, overlapping)| *time >= call.entered && condition(overlapping))
    }

    /// Returns whether an overlapping call can have created, removed or replaced something called
    /// `name`, in whatever directory, or moved a directory above it.
    pub fn may_have_changed_name(&self, call: &Call, name: &[u8]) -> bool {
        self.any_overlapping(call, |other| {
            other.paths().any(|(arg, used)| {
                let last = other.call.path(arg).map(last_component);
                matches!(used.role, Role::Source | Role::Target)
                    || last.is_none_or(|last| last == name || matches!(last, b"" | b"." | b".."))
            })
        })
    }

    /// Returns whether an overlapping call can have changed the content of a file. `is_the_file`
    /// returns whether the open file with an id refers to that file; `None`: it is not known.
    pub fn may_have_changed_content(
        &self,
        call: &Call,
        is_the_file: impl Fn(u64) -> Option<bool>,
    ) -> bool {
        self.any_overlapping(call, |other| {
            let by_path = other.spec.effect == Effect::Truncate && other.paths().next().is_some();
            let truncates = other.paths().any(|(_, used)| {
                matches!(used.role, Role::Open(from) if other.call.open_flags(from) & O_TRUNC != 0)
            });
            by_path
                || truncates
                || argument_indices(other.spec.uses.fd_args)
                    .filter(|i| !matches!(other.spec.args[*i].kind, Kind::DirFd))
                    .any(|i| {
                        other.open_file_ids[i].is_none_or(|file| is_the_file(file).unwrap_or(true))
                    })
        })
    }
}

impl OverlappingCall {
    /// Returns the path arguments of the call, with how it uses them.
    fn paths(&self) -> impl Iterator<Item = (u8, PathUse)> + '_ {
        let args = self.spec.args.iter().enumerate();
        args.filter_map(|(i, a)| Some((i as u8, a.kind.path_use()?)))
    }
}

/// Returns whether a call changes files, as far as its arguments show.
fn changes(call: &Call, spec: &CallSpec) -> bool {
    let opens = |from| call.open_flags(from) & (O_CREAT | O_TRUNC) != 0;
    spec.changes
        || spec.uses.writes_data
        || spec.copies.is_some()
        || spec.args.iter().filter_map(|a| a.kind.path_use()).any(|used| match used.role {
            Role::Lookup => false,
            Role::Open(from) => opens(from),
            _ => true,
        })
}

/// Returns the last component of a path.
fn last_component(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    path[..end].rsplit(|&b| b == b'/').next().unwrap_or_default()
}
