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
    /// Applies data that the call moved between the program's memory and a file.
    pub(super) fn apply_data(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        if spec.ret != Ret::Bytes || call.ret <= 0 {
            return;
        }
        let Some(fd) = spec.uses.fd.map(usize::from) else { return };
        let (Some(file), Some(open_file)) =
            (self.file_of_argument(context, fd as u8), context.fds[fd].as_ref())
        else {
            return;
        };
        let moved = call.ret as u64;
        for (i, a) in spec.args.iter().enumerate() {
            let payloads = call.payloads.iter().filter(|p| {
                usize::from(p.arg) == i && p.kind == PayloadKind::Data && p.flags & FROM_FILE == 0
            });
            let recorded = saturating_sum(payloads.map(|p| p.len));
            let recorded = if context.shares_buffer { 0 } else { recorded };
            match a.kind {
                Kind::Out(_, layout) if is_data(layout) => {
                    self.note_read(file, open_file.offset, recorded.min(moved), moved, call.seq);
                }
                Kind::OutIov { .. } => {
                    self.note_read(file, open_file.offset, recorded.min(moved), moved, call.seq);
                }
                Kind::In(_, layout) if is_data(layout) => {
                    self.note_write(file, open_file.offset, moved, recorded.min(moved));
                }
                Kind::InIov { .. } => {
                    self.note_write(file, open_file.offset, moved, recorded.min(moved));
                }
                _ => {}
            }
        }
    }

    /// Applies a read of `moved` bytes by call number `seq`, of which the trace holds the first
    /// `recorded`. Bytes that no call had seen before become origins: the call shows the initial
    /// content. `offset` is `None` if it is not known where the call read.
    fn note_read(&mut self, id: NodeId, offset: Option<u64>, recorded: u64, moved: u64, seq: u64) {
        let node = self.names.node_mut(id);
        if node.kind == FileType::Unknown {
            node.kind = FileType::Regular;
        }
        let (true, Some(offset)) = (node.kind == FileType::Regular, offset) else { return };
        if recorded < moved {
            node.note_initial_size_at_least(offset, offset.saturating_add(moved));
        }
        for (start, end) in node.note_read(offset, recorded) {
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

    /// Applies a write of `moved` bytes, of which the trace holds the first `recorded`. `offset` is
    /// `None` if it is not known where the call wrote; the content is then uncertain.
    fn note_write(&mut self, id: NodeId, offset: Option<u64>, moved: u64, recorded: u64) {
        let node = self.names.node_mut(id);
        let Some(offset) = offset else {
            node.why_uncertain = Some("it was written at an unknown offset");
            node.changed.size = true;
            return;
        };
        node.note_write(offset, moved, recorded);
        if node
            .current_attributes
            .mode
            .is_some_and(|m| m & (general::S_ISUID | general::S_ISGID) != 0)
        {
            node.changed.mode = true; // file_remove_privs
        }
    }

    /// Applies data that the kernel copied from one file to another (sendfile(2),
    /// copy_file_range(2), FICLONE).
    pub(super) fn apply_copy(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        let Some(copies) = spec.copies else { return };
        let clones = matches!(spec.effect, Effect::Clone { .. });
        let sum_of = |fd: u8, length: fn(&Payload) -> u64| -> u64 {
            let payloads = call
                .payloads
                .iter()
                .filter(|p| p.arg == fd && p.kind == PayloadKind::Data && p.flags & FROM_FILE != 0);
            saturating_sum(payloads.map(length))
        };
        let (read, written) = (sum_of(copies.from.fd, |p| p.len), sum_of(copies.to.fd, |p| p.len));
        let moved = if clones {
            read.max(sum_of(copies.from.fd, |p| p.wanted))
        } else {
            call.ret.max(0) as u64
        };
        let offset_of = |end: CopyEnd| {
            call.copy_offset(end.at)
                .or_else(|| context.fds[usize::from(end.fd)].as_ref().and_then(|fd| fd.offset))
        };
        if let Some(source) = self.file_of_argument(context, copies.from.fd) {
            self.note_read(source, offset_of(copies.from), read.min(moved), moved, call.seq);
        }
        if let Some(target) = self.file_of_argument(context, copies.to.fd) {
            self.note_write(target, offset_of(copies.to), moved, read.max(written).min(moved));
        }
    }

    /// Applies a change of a file's length or allocation (truncate(2), fallocate(2)).
    pub(super) fn apply_resize(&mut self, call: &Call, spec: &CallSpec, file: NodeId) {
        let node = self.names.node_mut(file);
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
                    node.note_write(0, u64::MAX, u64::MAX);
                    node.current_attributes.size = None;
                    node.why_uncertain = Some("ranges of it were moved");
                } else if mode & ZEROES != 0 {
                    let size = node.current_attributes.size;
                    node.note_write(start, len, len);
                    if mode & KEEP_SIZE != 0 {
                        node.current_attributes.size = size;
                    }
                } else if mode & KEEP_SIZE == 0 {
                    node.extend(end);
                }
            }
            _ => {}
        }
    }

    /// Applies the hole or the data that lseek(2) found, also if it failed with ENXIO, as only a
    /// hole was left.
    pub(super) fn apply_seek(&mut self, call: &Call, spec: &CallSpec, context: &Context) {
        if spec.effect != Effect::Seek {
            return;
        }
        let Some(offset_arg) = spec.args.iter().position(|a| a.kind == Kind::Off) else { return };
        let Some(fd) = spec.uses.fd.map(usize::from) else { return };
        let (start, whence) =
            (call.args[offset_arg], call.args.get(offset_arg + 1).copied().unwrap_or(0));
        let Some(file) = self.file_of_argument(context, fd as u8) else { return };
        let node = self.names.node_mut(file);
        let found = call.ret.max(0) as u64;
        match (call.errno(), whence) {
            (None, SEEK_DATA) => {
                node.note_layout(start, found, true);
                node.note_layout(found, found + 1, false);
            }
            (None, SEEK_HOLE) => node.note_layout(start, found, false),
            (Some(ENXIO), SEEK_DATA) => {
                node.note_layout(start, node.current_attributes.size.unwrap_or(start), true);
            }
            _ => {}
        }
    }
}

/// Returns whether a buffer of this layout holds data of a file.
fn is_data(layout: &Layout) -> bool {
    layout.form == Form::Data
}
