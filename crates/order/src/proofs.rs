//! Which of two overlapping calls acted first, as far as their results prove it.
//!
//! A call that found what another one made came after it, and one that did not find it came before:
//! descriptors' numbers, names, sizes and bytes. A mkdir that made a name came after the lookup
//! that missed it; a rmdir came after the open that found the directory. Names are compared as they
//! are written, without links.

use crate::Readiness;
use crate::claims::{Claim, Resource, ResourceState};
use crate::data_access::DataAccess;
use crate::in_flight::{InFlight, InFlightCalls};
use crate::reorder::ReorderBuffer;
use abi::{Effect, Ret};
use linux_raw_sys::io_uring::io_uring_sqe_flags_bit::{IOSQE_IO_HARDLINK_BIT, IOSQE_IO_LINK_BIT};
use model::processes::{Processes, TimelineItem};
use trace::Call;
use trace::record::PayloadKind;

/// Returns a call that is still in flight and must have acted before the one in `slot`, which
/// returns now.
pub(crate) fn proven_predecessor<R: Readiness>(
    in_flight: &InFlightCalls<R>,
    processes: &Processes<R>,
    slot: usize,
) -> Option<usize> {
    if !in_flight.others_have_claims(slot) {
        return None;
    }
    let this = in_flight.get(slot)?;
    this.spec()?;
    predecessor_by_number(in_flight, processes, slot, this)
        .or_else(|| predecessor_by_name(in_flight, slot, this))
        .or_else(|| predecessor_by_size(in_flight, slot, this))
        .or_else(|| predecessor_by_data(in_flight, slot, this))
        .filter(|other| in_flight.get(*other).is_none_or(|other| !is_linked(this, other)))
}

/// Returns whether `other` may be an operation that was linked to `this`, so that it began when
/// `this` was done, whatever their data are.
fn is_linked<R: Readiness>(this: &InFlight<R>, other: &InFlight<R>) -> bool {
    const LINK_FLAGS: u8 = 1 << IOSQE_IO_LINK_BIT as u8 | 1 << IOSQE_IO_HARDLINK_BIT as u8;
    let has_link = this.call.sqe_word().is_some_and(|word| word.flags() & LINK_FLAGS != 0);
    let position = |call: &Call| (call.entered, call.seq);
    has_link && other.call.tid == this.call.tid && position(&other.call) > position(&this.call)
}

/// Returns a call in flight that must have opened a descriptor before: this call found the number
/// in use, and it was free when the call began.
fn predecessor_by_number<R: Readiness>(
    in_flight: &InFlightCalls<R>,
    processes: &Processes<R>,
    slot: usize,
    this: &InFlight<R>,
) -> Option<usize> {
    let closes = matches!(this.spec()?.effect, Effect::Close { .. });
    let tid = this.call.tid;
    let unbound = |claim: &Claim| match claim.resource {
        Resource::Number(number) if !claim.changes => match closes {
            true => !processes.is_closing(tid, number),
            false => this.operands.fds[usize::from(claim.argument)].is_none(),
        },
        _ => false,
    };
    let claim = this.claims().iter().find(|claim| unbound(claim))?;
    let Resource::Number(number @ 0..) = claim.resource else { return None };
    if claim.before != ResourceState::Present || processes.descriptor(tid, number).is_some() {
        return None;
    }
    let givers = in_flight.givers(processes, slot, tid, number);
    givers.min_by_key(|(_, o)| o.call.exited).map(|(other, _)| other)
}

/// Returns the claims on names.
fn name_claims(claims: &[Claim]) -> impl Iterator<Item = &Claim> {
    let named = |c: &&Claim| matches!(c.resource, Resource::Name(_));
    claims.iter().filter(move |c| named(c) && c.after != ResourceState::Unknown)
}

/// Returns whether the call with the claims `theirs` must have acted before the one with `mine`, as
/// otherwise that one would have found another state.
fn is_after(mine: &[Claim], theirs: &[Claim]) -> bool {
    name_claims(mine).any(|mine| {
        let theirs = name_claims(theirs).find(|theirs| theirs.resource == mine.resource);
        theirs.is_some_and(|theirs| {
            theirs.before == mine.after.opposite()
                && (mine.before == ResourceState::Unknown || mine.before == theirs.after)
        })
    })
}

/// Returns whether a call created or removed a name on which the other one has a claim.
fn changes_a_name_of(mine: &[Claim], theirs: &[Claim]) -> bool {
    let changed = name_claims(mine).filter(|c| c.before != c.after);
    changed.into_iter().any(|c| name_claims(theirs).any(|o| o.resource == c.resource))
}

/// Returns a call in flight that must have acted before, by names that were found present or
/// absent.
fn predecessor_by_name<R: Readiness>(
    in_flight: &InFlightCalls<R>,
    slot: usize,
    this: &InFlight<R>,
) -> Option<usize> {
    let mine = this.claims();
    name_claims(mine).next()?;
    let alternatives = || in_flight.others(slot).map(|(p, o)| (p, o.claims()));
    let (first, theirs) = alternatives().find(|(_, theirs)| is_after(mine, theirs))?;
    // A third call that made or removed the name meanwhile may be why.
    let why = |third: &[Claim]| changes_a_name_of(third, mine) && changes_a_name_of(third, theirs);
    (!alternatives().any(|(p, third)| p != first && why(third))).then_some(first)
}

/// Returns the file, and the size that a call found (or, with `writes`, left) it to have.
fn size(claims: &[Claim], writes: bool) -> Option<((u64, u64), u64)> {
    claims.iter().find_map(|claim| match (claim.resource, claim.after) {
        (Resource::Size(file), ResourceState::Size(size)) if claim.changes == writes => {
            Some((file, size))
        }
        _ => None,
    })
}

/// Returns a call in flight that must have acted before, by sizes: this call found the file longer
/// than the known size, or shorter than a write made it.
fn predecessor_by_size<R: Readiness>(
    in_flight: &InFlightCalls<R>,
    slot: usize,
    this: &InFlight<R>,
) -> Option<usize> {
    let file = &this.operands.fds.iter().flatten().next().filter(|d| d.file.is_stored())?.file;
    let known = file.inode.size();
    let alternatives = |writes: bool, inode: (u64, u64)| {
        let size =
            move |o: &InFlight<R>| size(o.claims(), writes).filter(|(file, _)| *file == inode);
        in_flight.others(slot).filter_map(move |(p, o)| Some((p, size(o)?.1)))
    };
    if let Some((inode, found)) = size(this.claims(), false) {
        let longer = alternatives(true, inode).filter(|(_, end)| *end > known && *end <= found);
        return longer.min_by_key(|(_, end)| *end).map(|(p, _)| p);
    }
    let (inode, end) = size(this.claims(), true).filter(|(_, end)| *end > known)?;
    alternatives(false, inode).find(|(_, found)| *found < end).map(|(p, _)| p)
}

/// Returns a write in flight that must have acted before, as this call read its bytes.
fn predecessor_by_data<R: Readiness>(
    in_flight: &InFlightCalls<R>,
    slot: usize,
    this: &InFlight<R>,
) -> Option<usize> {
    let mine = DataAccess::of(&this.call, this.claims())?;
    let alternatives = || {
        let others = in_flight.others(slot);
        others.filter_map(|(p, o)| Some((p, DataAccess::of(&o.call, o.claims())?)))
    };
    // It brought other bytes than these: it came before, unless a third call that is under way put
    // them there.
    let third = |p: usize, read: &DataAccess<'_>| {
        alternatives()
            .any(|(q, third)| q != p && third.writes && read.observed(&third) == Some(true))
    };
    let mut on_file = alternatives().filter(|(_, other)| other.span.file == mine.span.file);
    let found = on_file.find(|(p, other)| match (mine.writes, other.writes) {
        (false, true) => mine.observed(other) == Some(true),
        (true, false) => other.observed(&mine) == Some(false) && !third(*p, other),
        _ => false,
    });
    found.map(|(p, _)| p)
}

/// Returns whether the read in slot `other`, which did not return the bytes of the write in `slot`,
/// returned those of a write that has not begun yet. Then it acted after both.
pub(crate) fn read_saw_later_write<R: Readiness, I: Iterator<Item = Result<TimelineItem, E>>, E>(
    in_flight: &InFlightCalls<R>,
    reorder: &mut ReorderBuffer<I>,
    slot: usize,
    other: usize,
) -> bool {
    let open = |slot: usize| in_flight.get(slot).map(|o| &o.call);
    let (Some(write), Some(read)) = (open(slot), open(other)) else { return false };
    let changes = |call: &Call| call.spec().is_some_and(|s| s.changes && s.ret == Ret::Bytes);
    let data = |call: &Call| {
        let data = |p: &&trace::Payload| p.kind == PayloadKind::Data && !p.bytes.is_empty();
        call.payloads.iter().find(data).map(|p| p.bytes.clone())
    };
    let (Some(until), Some(data_read), true, false) =
        (read.exited, data(read), changes(write), changes(read))
    else {
        return false;
    };
    reorder.begins_before(until, |call| {
        changes(call) && data(call).is_some_and(|data_access| data_access == data_read)
    })
}
