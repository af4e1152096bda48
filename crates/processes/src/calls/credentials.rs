//! Changes of users and groups (credentials(7)).

use crate::Processes;
use abi::{Arg, CallSpec, Class, Kind, Replay, Ret};
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

impl<T: Default> Processes<T> {
    /// Applies a change of user, group or supplementary groups. Saved ids are not kept: they only
    /// allow what the recording shows to have happened.
    pub(super) fn change_credentials(&mut self, call: &Call, spec: &CallSpec) {
        if spec.replay != Replay::Skip(Class::Credentials) || spec.ret == Ret::Host {
            return;
        }
        let Some(current) = self.threads.get(&call.tid).and_then(|t| t.credentials.as_deref())
        else {
            return;
        };
        let mut changed = current.clone();
        let is_privileged = changed.euid == 0;
        match spec.args {
            [Arg { kind: Kind::Uid, .. }, ..] => {
                change_ids(call, spec, is_privileged, &mut changed.uid, &mut changed.euid);
            }
            [Arg { kind: Kind::Gid, .. }, ..] => {
                change_ids(call, spec, is_privileged, &mut changed.gid, &mut changed.egid);
            }
            [Arg { kind: Kind::Int, .. }, Arg { kind: Kind::In(..), .. }] => {
                let list = call.payload(1, PayloadKind::Bytes);
                let (groups, _) = list.map_or(&[][..], |p| p.bytes.as_slice()).as_chunks::<4>();
                changed.groups = groups.iter().map(|group| u32::from_le_bytes(*group)).collect();
            }
            _ => return,
        }
        if let Some(thread) = self.threads.get_mut(&call.tid) {
            thread.credentials = Some(Arc::new(changed));
        }
    }
}

/// Sets a real and an effective id as a call does that takes one or several ids. -1 leaves an id
/// unchanged. A call that takes one id sets both if the process is privileged.
fn change_ids(call: &Call, spec: &CallSpec, privileged: bool, real: &mut u32, effective: &mut u32) {
    const SAME: u32 = u32::MAX;
    let [first, second, ..] = call.args.map(|value| value as u32);
    let (to_real, to_effective) = match spec.args.len() {
        1 if privileged => (first, first),
        1 => (SAME, first),
        _ => (first, second),
    };
    for (id, to) in [(real, to_real), (effective, to_effective)] {
        if to != SAME {
            *id = to;
        }
    }
}
