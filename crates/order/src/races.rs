//! What the recording does not determine: into which file and where calls wrote, and which of two
//! overlapping writes came last. What calls find there, if it differs, is a race.

use crate::claims::{Claim, depends_on_status};
use crate::data_access::DataAccess;
use crate::in_flight::{Alternatives, InFlight};
use crate::{OrderBuilder, Readiness, ReturningCall};
use abi::plan::RESULT;
use abi::{CallSpec, Effect, Kind, Ret};
use linux_raw_sys::general::O_APPEND;
use model::processes::{Descriptor, OpenFile, Operands, Processes};
use rustix::io::Errno;
use std::sync::Arc;
use trace::Call;

/// Inode and name.
type NewMeaning = ((u64, u64), Box<[u8]>);

/// Returns the file behind the descriptor that a call in flight opens. A call that takes any free
/// number cannot have taken it while it was `taken`.
fn new_meaning<R>(open: &InFlight<R>, taken: bool) -> Option<NewMeaning> {
    let copied = |old: u8| {
        let descriptor = open.operands.fds[usize::from(old)].as_ref()?;
        Some((descriptor.file.inode.key, descriptor.file.path.clone()))
    };
    match open.spec()?.effect {
        Effect::DupTo { old, .. } => copied(old),
        _ if taken => None,
        Effect::Dup { old } => copied(old),
        _ => {
            let (identity, path) = open.call.identity(RESULT)?;
            Some(((identity.dev, identity.ino), path.into()))
        }
    }
}

/// Returns the open file whose flags a call sets or uses.
fn file<R>(operands: &Operands<R>) -> Option<&OpenFile> {
    operands.fds.iter().flatten().map(|d| &*d.file).find(|file| file.is_stored())
}

/// Returns whether a call that sets status flags changes `O_APPEND`, and thus where writes go.
fn changes_append<R>(call: &Call, operands: &Operands<R>) -> bool {
    call.succeeded() && (operands.status[0] ^ call.args[2] as u32) & O_APPEND != 0
}

/// Returns whether the call writes data.
fn writes(call: &Call, spec: &CallSpec) -> bool {
    spec.uses.writes_data && call.succeeded() && call.ret > 0
}

impl<R: Readiness> OrderBuilder<R> {
    /// Notes what a returning call leaves undetermined. Returns whether its own result depends on
    /// something undetermined.
    pub(crate) fn note_races(
        &mut self,
        processes: &Processes<R>,
        leaving: &ReturningCall<'_, R>,
        claims: &[Claim],
    ) -> bool {
        let ReturningCall { call, spec, in_flight_call } = *leaving;
        let InFlight { operands, alternatives, contested, .. } = in_flight_call;
        let writes = spec.changes && spec.ret == Ret::Bytes && call.succeeded() && call.ret > 0;
        let mut races = !alternatives.is_empty() | self.flags_are_ambiguous(call, spec, operands);
        if races && writes {
            self.write_location_unknown(call, operands, alternatives);
        }
        races |= self.number_is_ambiguous(processes, call, spec, operands, writes);
        if races && writes {
            return true;
        }
        let Some(mine) = DataAccess::of(call, claims) else {
            let of =
                |d: &Arc<Descriptor<R>>| self.undetermined.touches(d.file.inode.key, 0, u64::MAX);
            return races
                || (!self.undetermined.is_empty() && operands.fds.iter().flatten().any(of));
        };
        let span = mine.span;
        if !mine.writes {
            let end = span.end.max(span.start + 1);
            return races || self.undetermined.touches(span.file, span.start, end);
        }
        // Where an append went depends on what stood there before.
        if !self.undetermined.is_empty() && !contested && !mine.appends {
            self.undetermined.settle(span.file, span.start, span.end);
        }
        if !self.in_flight.any_may_be_issued() {
            return races;
        }
        races | self.note_contested_writes(&mine, operands)
    }

    /// Notes that it is not known into which of several files a call wrote.
    fn write_location_unknown(
        &mut self,
        call: &Call,
        operands: &Operands<R>,
        alternatives: &Alternatives<R>,
    ) {
        let end = |start: u64| start.saturating_add(call.ret as u64);
        for file in operands.fds.iter().flatten().map(|d| &d.file) {
            let start =
                operands.offset.filter(|start| end(*start) < file.inode.size() && !file.appends());
            let (start, end) = (start.unwrap_or(0), start.map_or(u64::MAX, end));
            self.undetermined.add(file.inode.key, &file.path, start, end);
        }
        for file in alternatives.iter().map(|(_, d)| &d.file) {
            self.undetermined.add(file.inode.key, &file.path, 0, u64::MAX);
        }
    }

    /// Returns whether a call in flight opens one of this call's descriptor numbers anew, and may
    /// have done so before this call.
    fn number_is_ambiguous(
        &mut self,
        processes: &Processes<R>,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<R>,
        writes: bool,
    ) -> bool {
        if !self.in_flight.any_may_be_issued()
            || !call.returned()
            || call.errno() == Some(Errno::BADF.raw_os_error())
        {
            return false;
        }
        let mut open = false;
        for (i, _) in spec.args.iter().enumerate().filter(|(_, a)| a.kind == Kind::Fd) {
            let (number, Some(meant)) = (call.args[i] as i32, &operands.fds[i]) else { continue };
            let taken = processes.descriptor(call.tid, number).is_some();
            let givers = self.in_flight.givers(processes, usize::MAX, call.tid, number);
            for (inode, path) in givers.filter_map(|(_, o)| new_meaning(o, taken)) {
                open = true;
                if writes {
                    self.undetermined.add(inode, &path, 0, u64::MAX);
                    let meant = &meant.file;
                    self.undetermined.add(meant.inode.key, &meant.path, 0, u64::MAX);
                }
            }
        }
        open
    }

    /// Notes bytes that this write and one in flight wrote differently. Returns whether there are
    /// any.
    fn note_contested_writes(&mut self, mine: &DataAccess<'_>, operands: &Operands<R>) -> bool {
        let Some(file) = operands.fds.iter().flatten().next().map(|d| &d.file) else {
            return false;
        };
        let mut races = false;
        let writes = |o: &&mut InFlight<R>| {
            let writes = |s: &CallSpec| s.changes && s.ret == Ret::Bytes;
            o.spec().is_some_and(writes) && o.call.succeeded()
        };
        for open in self.in_flight.all_mut().filter(writes) {
            let other = DataAccess::of(&open.call, open.claims());
            let known = other.and_then(|other| mine.contested_range(&other));
            // It may have written here, if its descriptor came to mean this file while it ran;
            // where is not known.
            let meant = |(_, d): &(usize, Arc<Descriptor<R>>)| d.file.inode.key == mine.span.file;
            let perhaps = || open.alternatives.iter().any(meant).then_some((0, u64::MAX));
            if let Some((start, end)) = known.or_else(perhaps) {
                self.undetermined.add(file.inode.key, &file.path, start, end);
                open.contested = true;
                races = true;
            }
        }
        races
    }

    /// Returns whether another call in flight sets the status flags that this call uses. Notes
    /// where writes may have gone, also those of writes in flight if this call sets flags.
    fn flags_are_ambiguous(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<R>,
    ) -> bool {
        let sets = spec.effect == Effect::SetStatusFlags;
        let uses = self.in_flight.any_sets_flags() && depends_on_status(spec);
        let counts = self.in_flight.any_may_be_issued();
        let Some(mine) = file(operands).filter(|_| counts && (sets || uses)) else { return false };
        let mut open_writes = false;
        let mut found = false;
        let same =
            |open: &&mut InFlight<R>| file(&open.operands).is_some_and(|other| other.id == mine.id);
        for open in self.in_flight.all_mut().filter(same) {
            if open.sets_flags {
                found = true;
                open_writes |= writes(call, spec) && changes_append(&open.call, &open.operands);
            } else if sets
                && changes_append(call, operands)
                && open.spec().is_some_and(|spec| writes(&open.call, spec))
            {
                open.contested = true;
                open_writes = true;
            }
            // Whether it appends follows from them.
            open.claims.take();
        }
        if open_writes {
            self.undetermined.add(mine.inode.key, &mine.path, 0, u64::MAX);
        }
        found
    }
}
