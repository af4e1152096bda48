//! What calls do with a file's bytes: reads, writes, copies within the kernel, lengths, holes.

use super::{Context, Facts};
use crate::files::node::NodeId;
use crate::files::row::{FileType, Origin};
use abi::{CallSpec, CopyEnd, Effect, Form, Kind, Layout, Ret};
use linux_raw_sys::{errno, general};
use trace::call::{Call, Payload, saturating_sum};
use trace::record::{FROM_FILE, PayloadKind};

const ENXIO: i32 = errno::ENXIO as i32;
const SEEK_DATA: u64 = general::SEEK_DATA as u64;
const SEEK_HOLE: u64 = general::SEEK_HOLE as u64;

impl Facts {
    /// Applies data that moved between the program's memory and a file.
    pub(super) fn apply_data(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        if spec.ret != Ret::Bytes || call.ret <= 0 {
            return;
        }
        let Some(fd) = spec.uses.fd.map(usize::from) else { return };
        let (Some(id), Some(at)) = (self.fd(context, fd as u8), context.fds[fd].as_ref()) else {
            return;
        };
        let moved = call.ret as u64;
        for (i, a) in spec.args.iter().enumerate() {
            let payloads = call.payloads.iter().filter(|p| {
                usize::from(p.arg) == i && p.kind == PayloadKind::Data && p.flags & FROM_FILE == 0
            });
            let held = saturating_sum(payloads.map(|p| p.len));
            let held = if context.shares_buffer { 0 } else { held };
            match a.kind {
                Kind::Out(_, layout) if is_data(layout) => {
                    self.read(id, at.offset, held.min(moved), moved, call.seq);
                }
                Kind::OutIov { .. } => self.read(id, at.offset, held.min(moved), moved, call.seq),
                Kind::In(_, layout) if is_data(layout) => {
                    self.written(id, at.offset, moved, held.min(moved));
                }
                Kind::InIov { .. } => self.written(id, at.offset, moved, held.min(moved)),
                _ => {}
            }
        }
    }

    /// Applies a read of `moved` bytes, of which the trace holds the first `held`, by call number
    /// `seq`. Bytes that no call had seen before are origins: the call shows the initial content.
    fn read(&mut self, id: NodeId, offset: Option<u64>, held: u64, moved: u64, seq: u64) {
        let node = self.names.node_mut(id);
        if node.kind == FileType::Unknown {
            node.kind = FileType::Regular;
        }
        let (true, Some(offset)) = (node.kind == FileType::Regular, offset) else { return };
        if held < moved {
            node.reached(offset, offset.saturating_add(moved));
        }
        for (start, end) in node.read(offset, held) {
            for (file, start, end) in node.origins_of(id, start, end) {
                self.origins.push(Origin {
                    file,
                    offset: start,
                    len: end - start,
                    seq,
                    at: start - offset,
                });
            }
        }
    }

    /// Applies a write of `moved` bytes, of which the trace holds the first `held`.
    fn written(&mut self, id: NodeId, offset: Option<u64>, moved: u64, held: u64) {
        let node = self.names.node_mut(id);
        let Some(offset) = offset else {
            node.uncertain = Some("it was written at an unknown offset");
            node.changed.2 = true;
            return;
        };
        node.write(offset, moved, held);
        if node.now.mode.is_some_and(|m| m & (general::S_ISUID | general::S_ISGID) != 0) {
            node.changed.0 = true; // file_remove_privs
        }
    }

    /// Applies data that the kernel copied from one file to another.
    pub(super) fn apply_copy(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        let Some(copies) = spec.copies else { return };
        let clones = matches!(spec.effect, Effect::Clone { .. });
        let sum = |fd: u8, of: fn(&Payload) -> u64| -> u64 {
            let payloads = call
                .payloads
                .iter()
                .filter(|p| p.arg == fd && p.kind == PayloadKind::Data && p.flags & FROM_FILE != 0);
            saturating_sum(payloads.map(of))
        };
        let (read, landed) = (sum(copies.from.fd, |p| p.len), sum(copies.to.fd, |p| p.len));
        let moved = if clones {
            read.max(sum(copies.from.fd, |p| p.wanted))
        } else {
            call.ret.max(0) as u64
        };
        let dir_entry = |end: CopyEnd| {
            call.copy_offset(end.at)
                .or_else(|| context.fds[usize::from(end.fd)].as_ref().and_then(|fd| fd.offset))
        };
        if let Some(source) = self.fd(context, copies.from.fd) {
            self.read(source, dir_entry(copies.from), read.min(moved), moved, call.seq);
        }
        if let Some(target) = self.fd(context, copies.to.fd) {
            self.written(target, dir_entry(copies.to), moved, read.max(landed).min(moved));
        }
    }

    /// Applies a change of a file's length, allocation, or mapping.
    pub(super) fn apply_resize(&mut self, call: &Call, spec: &CallSpec, id: NodeId) {
        let node = self.names.node_mut(id);
        match spec.effect {
            Effect::Truncate => {
                if let Some(i) = spec.args.iter().position(|a| a.kind == Kind::Length) {
                    if node.kind == FileType::Unknown {
                        node.kind = FileType::Regular;
                    }
                    node.truncate(call.args[i]);
                }
            }
            Effect::Allocate => {
                let (mode, start, len) = (call.args[1], call.args[2], call.args[3]);
                let end = start.saturating_add(len);
                const KEEP_SIZE: u64 = general::FALLOC_FL_KEEP_SIZE as u64;
                const ZEROES: u64 =
                    (general::FALLOC_FL_PUNCH_HOLE | general::FALLOC_FL_ZERO_RANGE) as u64;
                const MOVES: u64 =
                    (general::FALLOC_FL_COLLAPSE_RANGE | general::FALLOC_FL_INSERT_RANGE) as u64;
                if mode & MOVES != 0 {
                    node.write(0, u64::MAX, u64::MAX);
                    node.now.size = None;
                    node.uncertain = Some("ranges of it were moved");
                } else if mode & ZEROES != 0 {
                    let size = node.now.size;
                    node.write(start, len, len);
                    if mode & KEEP_SIZE != 0 {
                        node.now.size = size;
                    }
                } else if mode & KEEP_SIZE == 0 {
                    node.extend(end);
                }
            }
            _ => {}
        }
    }

    /// Applies holes and data that a seek found.
    pub(super) fn apply_seek(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        if spec.effect != Effect::Seek {
            return;
        }
        let Some(off) = spec.args.iter().position(|a| a.kind == Kind::Off) else { return };
        let Some(fd) = spec.uses.fd.map(usize::from) else { return };
        let (from, whence) = (call.args[off], call.args.get(off + 1).copied().unwrap_or(0));
        let Some(id) = self.fd(context, fd as u8) else { return };
        let node = self.names.node_mut(id);
        let found = call.ret.max(0) as u64;
        match (call.errno(), whence) {
            (None, SEEK_DATA) => {
                node.lay_out(from, found, true);
                node.lay_out(found, found + 1, false);
            }
            (None, SEEK_HOLE) => node.lay_out(from, found, false),
            (Some(ENXIO), SEEK_DATA) => node.lay_out(from, node.now.size.unwrap_or(from), true),
            _ => {}
        }
    }
}

/// Returns whether a buffer of this layout is plain data.
fn is_data(layout: &Layout) -> bool {
    layout.form == Form::Data
}
