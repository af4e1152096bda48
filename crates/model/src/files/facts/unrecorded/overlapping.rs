//! Calls that may have changed what another call found: those that overlapped it.
//!
//! When calls overlap, it is unknown which one acted first. So a state that no earlier call
//! explains is put down to an unrecorded process only if no overlapping call can have made it.

use abi::{CallSpec, Effect, Kind, PathUse, Role, argument_indices};
use ahash::HashMap;
use linux_raw_sys::general::{O_CREAT, O_TRUNC};
use processes::Operands;
use std::collections::VecDeque;
use std::sync::Arc;
use trace::call::Call;

/// So many calls that have returned are kept while others are under way.
const MOST: usize = 256;

/// A call that changes files.
pub struct OverlappingCall {
    call: Arc<Call>,
    spec: &'static CallSpec,
    /// The open files behind its descriptors, by their numbers in [`processes::Processes`].
    files: [Option<u64>; 6],
}

/// The calls that change files and are under way, or overlapped one that is.
#[derive(Default)]
pub struct OverlappingCalls {
    open: HashMap<usize, OverlappingCall>,
    /// Those that have returned, by when they did.
    done: VecDeque<(u64, OverlappingCall)>,
    /// When the last of those returned that are not kept.
    forgotten: u64,
    /// Calls under way that close descriptors.
    closing: HashMap<usize, Closing>,
    /// How many of these close what.
    closed: HashMap<Closing, usize>,
    /// How many calls that change files and are under way may lose a descriptor to which of these.
    exposed: HashMap<Closing, usize>,
}

/// What a call under way closes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Closing {
    pid: u32,
    /// Which descriptor; `None`: several.
    fd: Option<u64>,
}

impl Closing {
    /// Returns the call if it closes all that its process has open.
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

    /// Returns the kinds of calls that can have taken a descriptor away from this call, if the
    /// kernel did not show which file it used.
    fn closing_calls_of(call: &Call, spec: &CallSpec) -> impl Iterator<Item = Self> {
        let (pid, args) = (call.pid, call.args);
        let fds = argument_indices(spec.uses.fd_args).filter(move |_| call.fd_snapshot.mode == 0);
        let several =
            argument_indices(spec.uses.fd_args).next().filter(|_| call.fd_snapshot.mode == 0);
        let which = fds.map(move |i| Some(args[i])).chain(several.map(|_| None));
        which.map(move |fd| Self { pid, fd })
    }
}

/// Counts one call more, or one less, of a kind.
fn count(of: &mut HashMap<Closing, usize>, what: Closing, more: bool) {
    let n = of.entry(what).or_default();
    *n = if more { *n + 1 } else { n.saturating_sub(1) };
    if *n == 0 {
        of.remove(&what);
    }
}

impl OverlappingCalls {
    /// Notes that a call begins; `number` identifies it until it returns.
    pub fn enter<T>(&mut self, number: usize, call: &Arc<Call>, operands: &Operands<T>) {
        let Some(spec) = call.spec().filter(|spec| changes(call, spec)) else { return };
        let files = std::array::from_fn(|i| operands.fds[i].as_ref().map(|d| d.file.id));
        for closing in Closing::closing_calls_of(call, spec) {
            count(&mut self.exposed, closing, true);
        }
        self.open.insert(number, OverlappingCall { call: call.clone(), spec, files });
    }

    /// Notes that a call begins. Returns whether a call that changes files overlaps one that closes
    /// its descriptor: the number may then refer to another file, so that it is unknown which one
    /// was changed.
    pub fn lose_track(&mut self, number: usize, call: &Call) -> bool {
        if let Some(closing) = Closing::closing_of(call) {
            let lost = self.exposed.contains_key(&closing);
            count(&mut self.closed, closing, true);
            self.closing.insert(number, closing);
            return lost;
        }
        call.spec().filter(|spec| changes(call, spec)).is_some_and(|spec| {
            Closing::closing_calls_of(call, spec).any(|closing| self.closed.contains_key(&closing))
        })
    }

    /// Removes and returns a call that is over, which is then compared with the others.
    pub fn leave(&mut self, number: usize) -> Option<OverlappingCall> {
        if let Some(closing) = self.closing.remove(&number) {
            count(&mut self.closed, closing, false);
        }
        let overlapping = self.open.remove(&number)?;
        for closing in Closing::closing_calls_of(&overlapping.call, overlapping.spec) {
            count(&mut self.exposed, closing, false);
        }
        Some(overlapping)
    }

    /// Keeps a call that has been compared, while others overlap it. `alone` is whether no other
    /// call is under way.
    pub fn left(&mut self, overlapping: Option<OverlappingCall>, alone: bool) {
        if alone {
            self.done.clear();
            return;
        }
        let Some(overlapping) = overlapping else { return };
        self.done.push_back((overlapping.call.exited.unwrap_or(u64::MAX), overlapping));
        if self.done.len() > MOST
            && let Some((left, _)) = self.done.pop_front()
        {
            self.forgotten = self.forgotten.max(left);
        }
    }

    /// Returns whether a call that overlapped this one satisfies `can`.
    fn any_overlaps(&self, call: &Call, can: impl Fn(&OverlappingCall) -> bool) -> bool {
        if self.open.is_empty() && self.done.is_empty() {
            return call.entered <= self.forgotten;
        }
        call.entered <= self.forgotten
            || self.open.values().any(&can)
            || self.done.iter().any(|(left, overlapping)| *left >= call.entered && can(overlapping))
    }

    /// Returns whether an overlapping call can have created, removed or replaced something called
    /// `name`, or moved a directory above it.
    pub fn may_have_changed_name(&self, call: &Call, name: &[u8]) -> bool {
        self.any_overlaps(call, |other| {
            other.paths().any(|(arg, used)| {
                let last = other.call.path(arg).map(last);
                matches!(used.role, Role::Source | Role::Target)
                    || last.is_none_or(|last| last == name || matches!(last, b"" | b"." | b".."))
            })
        })
    }

    /// Returns whether an overlapping call can have changed the content of a file. `is` returns
    /// whether an open file refers to that file, as far as it is known.
    pub fn may_have_changed_content(&self, call: &Call, is: impl Fn(u64) -> Option<bool>) -> bool {
        self.any_overlaps(call, |other| {
            let by_path = other.spec.effect == Effect::Truncate && other.paths().next().is_some();
            let empties = other.paths().any(|(_, used)| {
                matches!(used.role, Role::Open(from) if other.call.open_flags(from) & O_TRUNC != 0)
            });
            by_path
                || empties
                || argument_indices(other.spec.uses.fd_args)
                    .filter(|i| !matches!(other.spec.args[*i].kind, Kind::DirFd))
                    .any(|i| other.files[i].is_none_or(|file| is(file).unwrap_or(true)))
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
fn last(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    path[..end].rsplit(|&b| b == b'/').next().unwrap_or_default()
}
