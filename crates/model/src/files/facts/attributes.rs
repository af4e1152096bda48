//! What calls say of a file and set on it: stat results, listings, link targets, permissions,
//! owners, extended attributes.

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
        if let Some(seen) = stat_result(call, spec)
            && spec.args.iter().all(|a| !matches!(a.kind, Kind::Path(_)))
        {
            self.names.node_mut(node).observe(&seen);
        }
        for (i, a) in spec.args.iter().enumerate() {
            let Kind::Out(_, layout) = a.kind else { continue };
            let Some(payload) = call.payload(i as u8, PayloadKind::Bytes) else { continue };
            match layout.form {
                Form::Text
                    if matches!(self.names.node(node).kind, FileType::Link | FileType::Unknown) =>
                {
                    let room = spec
                        .args
                        .iter()
                        .position(|a| a.kind == Kind::Size)
                        .map_or(u64::MAX, |i| call.args[i]);
                    let node = self.names.node_mut(node);
                    node.kind = FileType::Link;
                    if (call.ret as u64) < room {
                        node.target = Some(payload.bytes.as_slice().to_vec());
                    }
                }
                Form::Dirents | Form::Dirents64 => {
                    self.names.node_mut(node).kind = FileType::Directory;
                    self.names.node_mut(node).listed = true;
                    for (name, kind) in layouts::listing(layout.form, payload.bytes.as_slice()) {
                        if !self.names.node(node).is_virtual {
                            let dir_entry = DirEntry {
                                dir: node,
                                name: name.into(),
                                state: EntryState::Unknown,
                            };
                            self.names.listed(&dir_entry, kind);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Applies a change of permissions, owners or extended attributes.
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
                    node.now.mode = Some(value & 0o7777);
                    node.changed.0 = true;
                }
                Kind::Uid | Kind::Gid if spec.changes => {
                    node.changed.1 = true;
                    if value != u32::MAX {
                        *(if a.kind == Kind::Uid {
                            &mut node.now.uid
                        } else {
                            &mut node.now.gid
                        }) = Some(value);
                    }
                    if node.kind != FileType::Directory
                        && node.now.mode.is_some_and(|m| m & (S_ISUID | S_ISGID) != 0)
                    {
                        node.now.mode = None; // the kernel takes set-id bits away
                        node.changed.0 = true;
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
                // What can be removed was there, whatever its value.
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

/// Returns what reading a symbolic link shows of it: its type, and its target unless the buffer was
/// full.
pub(super) fn link_read(call: &Call, spec: &CallSpec) -> Option<Observed> {
    let text = spec
        .args
        .iter()
        .position(|a| matches!(a.kind, Kind::Out(_, layout) if layout.form == Form::Text))?;
    let room =
        spec.args.iter().position(|a| a.kind == Kind::Size).map_or(u64::MAX, |i| call.args[i]);
    let target = call
        .payload(text as u8, PayloadKind::Bytes)
        .filter(|_| (call.ret as u64) < room)
        .map(|p| p.bytes.as_slice().to_vec());
    Some(Observed { target, ..Observed::kind(FileType::Link) })
}

/// Returns what a stat(2) or similar call shows of its file.
pub(super) fn stat_result(call: &Call, spec: &CallSpec) -> Option<Observed> {
    spec.args.iter().enumerate().find_map(|(i, a)| match a.kind {
        Kind::Out(_, layout) => {
            layouts::seen(layout, call.payload(i as u8, PayloadKind::Bytes)?.bytes.as_slice())
        }
        _ => None,
    })
}
