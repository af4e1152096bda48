//! Calls that overlap: which of them acted first, as far as their results prove it, and what stays undecided.

use super::{Dispatcher, Open, Proven};
use crate::issue::Real;
use crate::schedule::order::presence::Presence;
use crate::schedule::order::proof::{Access, size_found};
use abi::plan::RESULT;
use abi::{Effect, Kind, Ret, Shape};
use model::world::{Bound, Descriptor, Moment};
use std::sync::Arc;
use trace::Call;
use trace::record::PieceKind;

const EBADF: i32 = 9;

/// The descriptor number that a call gave out.
fn gives(call: &Call, shape: &Shape) -> Option<i32> {
    match shape.effect {
        _ if !call.succeeded() => None,
        Effect::DupTo { old, new }
            if call.args[old as usize] as i32 != call.args[new as usize] as i32 =>
        {
            Some(call.args[new as usize] as i32)
        }
        _ if shape.ret == Ret::Fd => Some(call.ret as i32),
        _ => None,
    }
}

/// Whether the call found `number` taken.
fn uses(call: &Call, shape: &Shape, number: i32) -> bool {
    let named = shape
        .args
        .iter()
        .zip(call.args)
        .any(|(a, v)| matches!(a.kind, Kind::Fd | Kind::DirFd) && v as i32 == number);
    named && call.returned() && call.errno() != Some(EBADF)
}

/// Inode and name.
type Given = ((u64, u64), Box<[u8]>);

/// The file behind the descriptor that a call under way gives out. One that takes any free number had not done so while its number was `taken`.
fn given(open: &Open, taken: bool) -> Option<Given> {
    match open.call.shape()?.effect {
        Effect::DupTo { old, .. } => {
            open.bound.fds[old as usize].as_ref().map(|d| (d.file.inode.key, d.file.path.clone()))
        }
        _ if taken => None,
        Effect::Dup { old } => {
            open.bound.fds[old as usize].as_ref().map(|d| (d.file.inode.key, d.file.path.clone()))
        }
        _ => open
            .call
            .identity(RESULT)
            .map(|(identity, path)| ((identity.dev, identity.ino), path.into())),
    }
}

impl Open {
    fn presence(&self, shape: &Shape) -> &Presence {
        self.presence.get_or_init(|| Presence::of(&self.call, shape, &self.bound))
    }
}

impl Dispatcher<'_> {
    /// The calls under way with the one at `place`, itself not among them.
    fn beside(&self, place: usize) -> impl Iterator<Item = (usize, &Open)> {
        let others = if self.counting > 1 || self.open.len() > 1 { &self.open[..] } else { &[] };
        others
            .iter()
            .enumerate()
            .filter(move |(p, _)| *p != place)
            .filter_map(|(p, o)| Some((p, o.as_ref()?)))
    }

    /// The calls under way that give out `number` in the table of thread `tid`.
    fn givers(&self, place: usize, tid: u32, number: i32) -> impl Iterator<Item = (usize, &Open)> {
        let gives = move |o: &Open| o.call.shape().and_then(|s| gives(&o.call, s)) == Some(number);
        self.beside(place).filter(move |(_, o)| gives(o) && self.world.share_table(tid, o.call.tid))
    }

    /// A call that is still under way and must have acted before the one at `place`, which returns now.
    pub(super) fn came_first(&self, place: usize) -> Option<usize> {
        self.beside(place).next()?;
        let this = self.open.get(place)?.as_ref()?;
        let shape = this.call.shape()?;
        // It found a number taken that was free when it began: the other had given it out.
        let found = |i: usize| match shape.effect {
            Effect::Close { .. } => self.world.closes(this.call.tid, this.call.args[i] as i32),
            _ => this.bound.fds[i].is_some(),
        };
        let unbound = shape
            .args
            .iter()
            .enumerate()
            .find(|(i, a)| matches!(a.kind, Kind::Fd | Kind::DirFd) && !found(*i));
        if let Some(number) = unbound
            .map(|(i, _)| this.call.args[i] as i32)
            .filter(|n| *n >= 0 && uses(&this.call, shape, *n))
            && self.world.descriptor(this.call.tid, number).is_none()
            && let Some((other, _)) =
                self.givers(place, this.call.tid, number).min_by_key(|(_, o)| o.call.left)
        {
            return Some(other);
        }
        if let Some(other) = self.name_came_first(place, this, shape) {
            return Some(other);
        }
        if let Some(other) = self.size_came_first(place, this, shape) {
            return Some(other);
        }
        let mine = Access::of(&this.call, shape, &this.bound)?;
        let access = |o: &'_ Open| {
            o.call
                .shape()
                .and_then(|s| Access::of(&o.call, s, &o.bound))
                .map(|a| (a.writes, a.common(&mine).is_some(), a.inode))
        };
        if !self
            .beside(place)
            .any(|(_, o)| access(o).is_some_and(|(_, _, inode)| inode == mine.inode))
        {
            return None;
        }
        let others: Vec<(usize, Access<'_>)> = self
            .beside(place)
            .filter_map(|(p, o)| Some((p, Access::of(&o.call, o.call.shape()?, &o.bound)?)))
            .collect();
        let found = others.iter().find(|(p, other)| match (mine.writes, other.writes) {
            (false, true) => mine.saw(other) == Some(true),
            // It brought other bytes than these: it came before, unless a third call that is under way put them there.
            (true, false) => {
                other.saw(&mine) == Some(false)
                    && !others
                        .iter()
                        .any(|(q, third)| q != p && third.writes && other.saw(third) == Some(true))
            }
            _ => false,
        });
        found.map(|(p, _)| *p)
    }

    /// Whether the read at `other`, which did not bring the bytes of the write at `place`, brought those of a write that has not begun yet: then it came after both.
    pub(super) fn brought_by_a_later<I: Iterator<Item = Result<Moment, E>>, E>(
        &self,
        moments: &mut Proven<I>,
        place: usize,
        other: usize,
    ) -> bool {
        let open = |place: usize| self.open.get(place)?.as_ref().map(|o| &o.call);
        let (Some(write), Some(read)) = (open(place), open(other)) else { return false };
        let changes = |call: &Call| call.shape().is_some_and(|s| s.changes && s.ret == Ret::Bytes);
        let data = |call: &Call| {
            call.pieces
                .iter()
                .find(|p| p.kind == PieceKind::Data && !p.bytes.is_empty())
                .map(|p| p.bytes.clone())
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

    /// The same by sizes that were found: longer than anybody knows of, or shorter than a write made it.
    fn size_came_first(&self, place: usize, this: &Open, shape: &Shape) -> Option<usize> {
        let file = &this.bound.fds.iter().flatten().next().filter(|d| d.file.is_stored())?.file;
        let known = file.inode.size();
        let others = self.beside(place).filter_map(|(p, o)| Some((p, o, o.call.shape()?)));
        if let Some((inode, found)) = size_found(&this.call, shape, &this.bound) {
            let longer = others.filter_map(|(p, o, s)| {
                Some((
                    p,
                    Access::of(&o.call, s, &o.bound).filter(|a| a.writes && a.inode == inode)?.end,
                ))
            });
            return longer
                .filter(|(_, end)| *end > known && *end <= found)
                .min_by_key(|(_, end)| *end)
                .map(|(p, _)| p);
        }
        let mine =
            Access::of(&this.call, shape, &this.bound).filter(|a| a.writes && a.end > known)?;
        let mut shorter = others.filter_map(|(p, o, s)| {
            Some((p, size_found(&o.call, s, &o.bound).filter(|(inode, _)| *inode == mine.inode)?.1))
        });
        shorter.find(|(_, found)| *found < mine.end).map(|(p, _)| p)
    }

    /// The same by names that were found or missed.
    fn name_came_first(&self, place: usize, this: &Open, shape: &Shape) -> Option<usize> {
        let mine = this.presence(shape);
        if mine.is_empty() {
            return None;
        }
        let others =
            || self.beside(place).filter_map(|(p, o)| Some((p, o.presence(o.call.shape()?))));
        let (first, names) = others().find(|(_, other)| mine.came_after(other))?;
        // A third call that made or removed the name meanwhile may be why.
        let alone =
            !others().any(|(p, third)| p != first && third.disturbs(mine) && third.disturbs(names));
        alone.then_some(first)
    }

    /// Descriptors that came into being give calls under way another possible meaning of their numbers.
    pub(super) fn reinterpret(&mut self, bound: &Bound<Real>) {
        if bound.opened.is_empty() || self.counting == 0 {
            return;
        }
        for open in self.open.iter_mut().flatten().filter(|o| o.counts) {
            let Some(shape) = open.call.shape() else { continue };
            for (i, arg) in shape.args.iter().enumerate() {
                let number = open.call.args[i] as i32;
                let Some((_, new)) =
                    bound.opened.iter().find(|(n, _)| arg.kind == Kind::Fd && *n == number)
                else {
                    continue;
                };
                let here = self
                    .world
                    .descriptor(open.call.tid, number)
                    .is_some_and(|now| Arc::ptr_eq(now, new));
                if here {
                    open.others.push((i, new.clone()));
                }
            }
        }
    }

    /// Enters what a call that returns leaves undecided. Whether it depends on something undecided itself.
    pub(super) fn weigh(
        &mut self,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        others: &[(usize, Arc<Descriptor<Real>>)],
        contested: bool,
    ) -> bool {
        let writes = shape.changes && shape.ret == Ret::Bytes && call.succeeded() && call.ret > 0;
        let mut races = !others.is_empty() | self.flags_are_open(call, shape, bound);
        if races && writes {
            // It is not known into which file; where in it, only of the one whose offset and flags were asked.
            let end = |start: u64| start.saturating_add(call.ret as u64);
            for file in bound.fds.iter().flatten().map(|d| &d.file) {
                let place =
                    bound.offset.filter(|start| end(*start) < file.inode.size() && !file.appends());
                self.undecided.add(
                    file.inode.key,
                    &file.path,
                    place.unwrap_or(0),
                    place.map_or(u64::MAX, end),
                );
            }
            for file in others.iter().map(|(_, d)| &d.file) {
                self.undecided.add(file.inode.key, &file.path, 0, u64::MAX);
            }
        }
        // A call under way gives the number out anew: it may have done so already.
        for (i, _) in shape.args.iter().enumerate().filter(|(_, a)| a.kind == Kind::Fd) {
            let (number, Some(meant)) = (call.args[i] as i32, &bound.fds[i]) else { continue };
            if self.counting == 0 || !uses(call, shape, number) {
                continue;
            }
            let taken = self.world.descriptor(call.tid, number).is_some();
            for file in self
                .givers(usize::MAX, call.tid, number)
                .filter_map(|(_, o)| given(o, taken))
                .collect::<Vec<_>>()
            {
                races = true;
                if writes {
                    self.undecided.add(file.0, &file.1, 0, u64::MAX);
                    self.undecided.add(meant.file.inode.key, &meant.file.path, 0, u64::MAX);
                }
            }
        }
        if races && writes {
            return true;
        }
        let Some(mine) = Access::of(call, shape, bound) else {
            let of =
                |d: &Arc<Descriptor<Real>>| self.undecided.touches(d.file.inode.key, 0, u64::MAX);
            return races || (!self.undecided.is_empty() && bound.fds.iter().flatten().any(of));
        };
        if !mine.writes {
            return races
                || self.undecided.touches(mine.inode, mine.start, mine.end.max(mine.start + 1));
        }
        // Where an append went depends on what stood there before.
        if !self.undecided.is_empty() && !contested && !mine.appends {
            self.undecided.settle(mine.inode, mine.start, mine.end);
        }
        if self.counting == 0 {
            return races;
        }
        let Some(file) = bound.fds.iter().flatten().next().map(|d| d.file.clone()) else {
            return races;
        };
        for open in self.open.iter_mut().flatten() {
            let Some(shape) = open
                .call
                .shape()
                .filter(|s| s.changes && s.ret == Ret::Bytes && open.call.succeeded())
            else {
                continue;
            };
            let known =
                Access::of(&open.call, shape, &open.bound).and_then(|other| mine.contests(&other));
            // It may have written here by a number that came to mean this file while it ran: nobody knows where.
            let perhaps = || {
                open.others
                    .iter()
                    .any(|(_, d)| d.file.inode.key == mine.inode)
                    .then_some((0, u64::MAX))
            };
            if let Some((start, end)) = known.or_else(perhaps) {
                self.undecided.add(file.inode.key, &file.path, start, end);
                open.contested = true;
                races = true;
            }
        }
        races
    }
}
