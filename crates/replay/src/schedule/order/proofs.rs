//! Which of two overlapping calls acted first, as far as their results prove it.
//!
//! A call that found what another one made came after it, and one that did not find it came before:
//! descriptors' numbers, names, sizes and bytes. A mkdir that made a name came after the lookup
//! that missed it; a rmdir came after the open that found the directory. Names are compared as they
//! are written, without links.

use super::bytes::Moved;
use super::claims::{Claim, Resource, State};
use super::moments::Moments;
use super::under_way::{Open, UnderWay};
use crate::issue::Real;
use abi::{Effect, Ret};
use model::world::{Moment, World};
use trace::Call;
use trace::record::PayloadKind;

/// A call that is still under way and must have acted before the one at `place`, which returns now.
pub(super) fn came_first(under_way: &UnderWay, world: &World<Real>, place: usize) -> Option<usize> {
    under_way.beside(place).next()?;
    let this = under_way.get(place)?;
    this.shape()?;
    number_came_first(under_way, world, place, this)
        .or_else(|| name_came_first(under_way, place, this))
        .or_else(|| size_came_first(under_way, place, this))
        .or_else(|| bytes_came_first(under_way, place, this))
}

/// It found a number taken that was free when it began: the other had given it out.
fn number_came_first(
    under_way: &UnderWay,
    world: &World<Real>,
    place: usize,
    this: &Open,
) -> Option<usize> {
    let closes = matches!(this.shape()?.effect, Effect::Close { .. });
    let tid = this.call.tid;
    let unbound = |claim: &Claim| match claim.resource {
        Resource::Number(number) if !claim.changes => match closes {
            true => !world.closes(tid, number),
            false => this.bound.fds[usize::from(claim.argument)].is_none(),
        },
        _ => false,
    };
    let claim = this.claims().iter().find(|claim| unbound(claim))?;
    let Resource::Number(number @ 0..) = claim.resource else { return None };
    if claim.before != State::Present || world.descriptor(tid, number).is_some() {
        return None;
    }
    let givers = under_way.givers(world, place, tid, number);
    givers.min_by_key(|(_, o)| o.call.left).map(|(other, _)| other)
}

/// The claims that say something of names.
fn names(claims: &[Claim]) -> impl Iterator<Item = &Claim> {
    let named = |c: &&Claim| matches!(c.resource, Resource::Name(_));
    claims.iter().filter(move |c| named(c) && c.after != State::Unknown)
}

/// Whether the call with the claims `theirs` acted before the one with `mine`: afterwards it would
/// have found what it did not find.
fn is_after(mine: &[Claim], theirs: &[Claim]) -> bool {
    names(mine).any(|mine| {
        let theirs = names(theirs).find(|theirs| theirs.resource == mine.resource);
        theirs.is_some_and(|theirs| {
            theirs.before == mine.after.opposite()
                && (mine.before == State::Unknown || mine.before == theirs.after)
        })
    })
}

/// Whether a call made or removed a name of which another one says something.
fn disturbs(mine: &[Claim], theirs: &[Claim]) -> bool {
    let changed = names(mine).filter(|c| c.before != c.after);
    changed.into_iter().any(|c| names(theirs).any(|o| o.resource == c.resource))
}

/// By names that were found or missed.
fn name_came_first(under_way: &UnderWay, place: usize, this: &Open) -> Option<usize> {
    let mine = this.claims();
    names(mine).next()?;
    let others = || under_way.beside(place).map(|(p, o)| (p, o.claims()));
    let (first, theirs) = others().find(|(_, theirs)| is_after(mine, theirs))?;
    // A third call that made or removed the name meanwhile may be why.
    let why = |third: &[Claim]| disturbs(third, mine) && disturbs(third, theirs);
    (!others().any(|(p, third)| p != first && why(third))).then_some(first)
}

/// The size that a call found (`writes`: left) a file to have.
fn size(claims: &[Claim], writes: bool) -> Option<((u64, u64), u64)> {
    claims.iter().find_map(|claim| match (claim.resource, claim.after) {
        (Resource::Size(file), State::Size(size)) if claim.changes == writes => Some((file, size)),
        _ => None,
    })
}

/// By sizes that were found: longer than anybody knows of, or shorter than a write made it.
fn size_came_first(under_way: &UnderWay, place: usize, this: &Open) -> Option<usize> {
    let file = &this.bound.fds.iter().flatten().next().filter(|d| d.file.is_stored())?.file;
    let known = file.inode.size();
    let others = |writes: bool, inode: (u64, u64)| {
        let size = move |o: &Open| size(o.claims(), writes).filter(|(file, _)| *file == inode);
        under_way.beside(place).filter_map(move |(p, o)| Some((p, size(o)?.1)))
    };
    if let Some((inode, found)) = size(this.claims(), false) {
        let longer = others(true, inode).filter(|(_, end)| *end > known && *end <= found);
        return longer.min_by_key(|(_, end)| *end).map(|(p, _)| p);
    }
    let (inode, end) = size(this.claims(), true).filter(|(_, end)| *end > known)?;
    others(false, inode).find(|(_, found)| *found < end).map(|(p, _)| p)
}

/// By bytes that were read.
fn bytes_came_first(under_way: &UnderWay, place: usize, this: &Open) -> Option<usize> {
    let mine = Moved::of(&this.call, this.claims())?;
    let others = || {
        let beside = under_way.beside(place);
        beside.filter_map(|(p, o)| Some((p, Moved::of(&o.call, o.claims())?)))
    };
    // It brought other bytes than these: it came before, unless a third call that is under way put
    // them there.
    let third = |p: usize, read: &Moved<'_>| {
        others().any(|(q, third)| q != p && third.writes && read.saw(&third) == Some(true))
    };
    let mut on_file = others().filter(|(_, other)| other.span.file == mine.span.file);
    let found = on_file.find(|(p, other)| match (mine.writes, other.writes) {
        (false, true) => mine.saw(other) == Some(true),
        (true, false) => other.saw(&mine) == Some(false) && !third(*p, other),
        _ => false,
    });
    found.map(|(p, _)| p)
}

/// Whether the read at `other`, which did not bring the bytes of the write at `place`, brought
/// those of a write that has not begun yet: then it came after both.
pub(super) fn brought_by_a_later<I: Iterator<Item = Result<Moment, E>>, E>(
    under_way: &UnderWay,
    moments: &mut Moments<I>,
    place: usize,
    other: usize,
) -> bool {
    let open = |place: usize| under_way.get(place).map(|o| &o.call);
    let (Some(write), Some(read)) = (open(place), open(other)) else { return false };
    let changes = |call: &Call| call.shape().is_some_and(|s| s.changes && s.ret == Ret::Bytes);
    let data = |call: &Call| {
        let data = |p: &&trace::Payload| p.kind == PayloadKind::Data && !p.bytes.is_empty();
        call.payloads.iter().find(data).map(|p| p.bytes.clone())
    };
    let (Some(until), Some(brought), true, false) =
        (read.left, data(read), changes(write), changes(read))
    else {
        return false;
    };
    moments.begins_before(until, |call| {
        changes(call) && data(call).is_some_and(|bytes| bytes == brought)
    })
}
