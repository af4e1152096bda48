//! What calls show of a file, and what they set: results of stat(2), listings, targets of symbolic
//! links, permissions, owners, extended attributes.

use super::{Facts, layouts};
use crate::files::names::{DirEntry, EntryState};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;
use abi::{CallSpec, Effect, Form, Groups, Kind};
use linux_raw_sys::general::{S_ISGID, S_ISUID, X_OK};
use trace::call::Call;
use trace::record::PayloadKind;

impl Facts {
    /// Applies what the call returned about the file: the target of a link, directory entries, or a
    /// struct.
    pub(super) fn apply_output(&mut self, call: &Call, spec: &CallSpec, node: NodeId) {
        if let Some(observed) = observed_by_stat(call, spec)
            && spec.args.iter().all(|arg| !matches!(arg.kind, Kind::Path(_)))
        {
            self.names.node_mut(node).observe(&observed);
        }
        for (i, arg) in spec.args.iter().enumerate() {
            let Kind::Out(_, layout) = arg.kind else { continue };
            let Some(payload) = call.payload(i as u8, PayloadKind::Bytes) else { continue };
            match layout.form {
                Form::Text
                    if matches!(self.names.node(node).kind, FileType::Link | FileType::Unknown) =>
                {
                    let buffer_size = spec
                        .args
                        .iter()
                        .position(|arg| arg.kind == Kind::Size)
                        .map_or(u64::MAX, |i| call.args[i]);
                    let node = self.names.node_mut(node);
                    node.kind = FileType::Link;
                    if (call.ret as u64) < buffer_size {
                        node.target = Some(payload.bytes.as_slice().to_vec());
                    }
                }
                Form::Dirents | Form::Dirents64 => {
                    self.names.node_mut(node).kind = FileType::Directory;
                    self.names.node_mut(node).listed = true;
                    for (name, file_type) in
                        layouts::parse_listing(layout.form, payload.bytes.as_slice())
                    {
                        if !self.names.node(node).is_virtual {
                            let dir_entry = DirEntry {
                                dir: node,
                                name: name.into(),
                                state: EntryState::Unknown,
                            };
                            self.names.note_listed(&dir_entry, file_type);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Applies a change of permissions, owners or extended attributes, and what a query of extended
    /// attributes returned.
    pub(super) fn apply_attributes(&mut self, call: &Call, spec: &CallSpec, id: NodeId) {
        let node = self.names.node_mut(id);
        for (i, a) in spec.args.iter().enumerate() {
            let value = call.args[i] as u32;
            match a.kind {
                Kind::Flags(set) if std::ptr::eq(set, &abi::flags::file::ACCESS) => {
                    node.executable |= value & X_OK != 0;
                }
                Kind::StrVec if spec.effect == Effect::Exec => node.executable = true,
                Kind::Mode if spec.changes => {
                    node.current_attributes.mode = Some(value & 0o7777);
                    node.changed.mode = true;
                }
                Kind::Uid | Kind::Gid if spec.changes => {
                    node.changed.owner = true;
                    if value != u32::MAX {
                        *(if a.kind == Kind::Uid {
                            &mut node.current_attributes.uid
                        } else {
                            &mut node.current_attributes.gid
                        }) = Some(value);
                    }
                    if node.kind != FileType::Directory
                        && node
                            .current_attributes
                            .mode
                            .is_some_and(|m| m & (S_ISUID | S_ISGID) != 0)
                    {
                        node.current_attributes.mode = None; // the kernel takes set-id bits away
                        node.changed.mode = true;
                    }
                }
                _ => {}
            }
        }
        if !abi::by_number(call.nr).is_some_and(|row| row.groups.has(Groups::XATTR)) {
            return;
        }
        let name =
            spec.args.iter().position(|a| a.kind == Kind::Str).and_then(|i| call.string(i as u8));
        let value =
            spec.args.iter().position(|a| matches!(a.kind, Kind::Out(..) | Kind::InOut(..)));
        match (name, value) {
            (Some(name), _) if spec.changes => {
                // An attribute that can be removed existed, with an unknown value.
                let sets = spec.args.iter().any(|a| matches!(a.kind, Kind::In(..)));
                if !sets && node.initial && !node.xattrs_changed.contains(name) {
                    node.xattrs.entry(name.to_vec()).or_default();
                }
                node.xattrs_changed.insert(name.to_vec());
            }
            (Some(name), Some(value)) => {
                let payload = call.payloads.iter().find(|p| {
                    usize::from(p.arg) == value
                        && matches!(p.kind, PayloadKind::Bytes | PayloadKind::Data)
                });
                if let Some(payload) = payload.filter(|p| {
                    p.bytes.len() as i64 == call.ret
                        && node.initial
                        && !node.xattrs_changed.contains(name)
                }) {
                    node.xattrs.insert(name.to_vec(), payload.bytes.as_slice().to_vec());
                }
            }
            _ => {}
        }
    }
}

/// Returns what readlink(2) shows of the file: that it is a symbolic link, and its target unless
/// the buffer was full. Returns `None` for another call.
pub(super) fn observed_by_readlink(call: &Call, spec: &CallSpec) -> Option<Observed> {
    let buffer_arg = spec
        .args
        .iter()
        .position(|a| matches!(a.kind, Kind::Out(_, layout) if layout.form == Form::Text))?;
    let buffer_size =
        spec.args.iter().position(|a| a.kind == Kind::Size).map_or(u64::MAX, |i| call.args[i]);
    let target = call
        .payload(buffer_arg as u8, PayloadKind::Bytes)
        .filter(|_| (call.ret as u64) < buffer_size)
        .map(|p| p.bytes.as_slice().to_vec());
    Some(Observed { target, ..Observed::of_type(FileType::Link) })
}

/// Returns what stat(2) or a similar call shows of its file. Returns `None` for another call.
pub(super) fn observed_by_stat(call: &Call, spec: &CallSpec) -> Option<Observed> {
    spec.args.iter().enumerate().find_map(|(i, arg)| match arg.kind {
        Kind::Out(_, layout) => layouts::observed_by_struct(
            layout,
            call.payload(i as u8, PayloadKind::Bytes)?.bytes.as_slice(),
        ),
        _ => None,
    })
}
