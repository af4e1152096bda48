//! Where others can reach the root, nothing is made that lets them act as its owner: calls that
//! would set set-user-ID or set-group-ID bits on files are issued without them, from the first
//! moment on. File capabilities are left out in the same case (`schedule::decide`).
//!
//! On directories these bits mean something else, and are set: [`chmod_directory`].

use super::handled::HandledCall;
use super::{Arguments, raw};
use abi::{CallSpec, FieldKind, Form, Kind, Role};
use linux_raw_sys::general::{__O_TMPFILE, O_CREAT};
use sandbox::SET_ID;
use std::sync::Arc;
use trace::Call;
use trace::record::PayloadKind;

/// A call without what must not be set.
pub(crate) struct Withheld {
    pub call: Arc<Call>,
    /// The whole mode, where the call changes that of a file which is there: a directory gets it.
    pub mode: Option<u32>,
    /// It would have set something.
    pub counts: bool,
}

/// Returns the call without the mode bits that must not be set. Returns `None` if it would set
/// none.
pub(crate) fn withheld(call: &Arc<Call>, spec: &CallSpec) -> Option<Withheld> {
    let mut reduced: Option<Call> = None;
    let mut mode = None;
    for i in abi::argument_indices(spec.uses.mode_args) {
        match spec.args[i].kind {
            Kind::Mode if call.args[i] as u32 & SET_ID != 0 => {
                reduced.get_or_insert_with(|| Call::clone(call)).args[i] &= !u64::from(SET_ID);
                mode = Some(call.args[i] as u32 & 0o7777);
            }
            Kind::In(_, layout) if layout.form == Form::Struct => {
                for field in layout.fields.iter().filter(|f| f.kind == FieldKind::Mode) {
                    clear_bits(call, &mut reduced, i, field.at as usize);
                }
            }
            _ => {}
        }
    }
    let counts = call.succeeded() && creates(call, spec).unwrap_or(true);
    let changes = |spec: &CallSpec| {
        !spec.args.iter().any(|arg| match arg.kind.path_use() {
            Some(path) => !matches!(path.role, Role::Lookup),
            None => false,
        })
    };
    let mode = mode.filter(|_| changes(spec));
    reduced.map(|reduced| Withheld { call: Arc::new(reduced), mode, counts })
}

/// Clears the bits in the mode at byte `at` of the struct that argument `i` points to.
fn clear_bits(call: &Call, reduced: &mut Option<Call>, i: usize, at: usize) {
    const HIGH: u8 = (SET_ID >> 8) as u8;
    let is_struct = |p: &trace::Payload| usize::from(p.arg) == i && p.kind == PayloadKind::Bytes;
    let Some(n) = call.payloads.iter().position(is_struct) else { return };
    let mut bytes = call.payloads[n].bytes.as_slice().to_vec();
    let Some(high) = bytes.get_mut(at + 1).filter(|byte| **byte & HIGH != 0) else { return };
    *high &= !HIGH;
    let payload = call.payloads[n].with_bytes(bytes);
    reduced.get_or_insert_with(|| Call::clone(call)).payloads[n] = payload;
}

/// Returns whether an open can create a file. Returns `None` for other calls.
fn creates(call: &Call, spec: &CallSpec) -> Option<bool> {
    let path = spec.args.iter().find_map(|arg| arg.kind.path_use())?;
    let Role::Open(flags) = path.role else { return None };
    Some(call.open_flags(flags) & (O_CREAT | __O_TMPFILE) != 0)
}

/// Changes the mode of a directory to the whole recorded one. Returns `None` if the path or
/// descriptor leads to another type of file. The check and the change are made on the same
/// descriptor.
pub(crate) fn chmod_directory(handled: &HandledCall, arguments: &Arguments) -> Option<i64> {
    let mode = handled.full_mode?;
    let (args, value) = (handled.spec.args, |i: usize| arguments.value(i));
    let path = args.iter().position(|arg| arg.kind.path_use().is_some());
    let Some((i, way)) = path.and_then(|i| Some((i, args[i].kind.path_use()?))) else {
        return raw::chmod_if_directory(value(usize::from(handled.spec.uses.fd?)) as i32, mode);
    };
    let dir = way.dir.map_or(abi::AT_FDCWD, |dir| value(usize::from(dir)) as i32);
    let follow = way.follows_symlink(&handled.call.args, None);
    let fd = arguments.with_cwd(|| raw::open_directory_at(dir, value(i), follow));
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    let result = raw::chmod_if_directory(fd, mode);
    raw::close(fd);
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use trace::Buffer;
    use trace::Payload;

    fn call(name: &str, args: &[u64], payloads: Vec<Payload>) -> (Arc<Call>, &'static CallSpec) {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        let call = Call {
            seq: 0,
            entered: 1,
            exited: Some(2),
            pid: 1,
            tid: 1,
            nr: abi::by_name(name).unwrap().number,
            flags: 0,
            args: six,
            ret: 0,
            fd_snapshot: trace::record::FdSnapshot::default(),
            payloads,
        };
        let spec = call.spec().unwrap();
        (Arc::new(call), spec)
    }

    /// Every call of the table that gives a file a mode, by the table's own word.
    #[test]
    fn no_call_sets_them() {
        let rows = abi::table().iter().filter(|row| row.spec.uses.mode_args != 0);
        let mut calls = 0;
        for row in rows.filter(|row| row.spec.replay == abi::Replay::Issue) {
            for i in abi::argument_indices(row.spec.uses.mode_args) {
                if row.spec.args[i].kind != Kind::Mode {
                    continue;
                }
                let mut args = [0; 6];
                args[i] = 0o107_755;
                let (call, spec) = call(row.name(), &args, Vec::new());
                let reduced = withheld(&call, spec).unwrap_or_else(|| panic!("{}", row.name()));
                assert_eq!(reduced.call.args[i], 0o101_755, "{}", row.name());
                calls += 1;
            }
        }
        assert!(calls >= 9, "{calls}");
    }

    #[test]
    fn modes_in_structs_and_whole_modes() {
        let how = [0o101u64, 0o4755, 0].map(u64::to_le_bytes).concat();
        let payload = Payload {
            arg: 2,
            kind: PayloadKind::Bytes,
            flags: 0,
            len: 24,
            wanted: 24,
            bytes: Buffer::from_vec(how),
        };
        let (openat2, spec) = call("openat2", &[0, 1, 2, 24], vec![payload]);
        let reduced = withheld(&openat2, spec).unwrap();
        let expected = [0o101u64, 0o755, 0].map(u64::to_le_bytes).concat();
        assert_eq!(reduced.call.payloads[0].bytes.as_slice(), expected);
        assert!(reduced.counts && reduced.mode.is_none());
        let (chmod, spec) = call("chmod", &[1, 0o2775], Vec::new());
        let reduced = withheld(&chmod, spec).unwrap();
        assert_eq!((reduced.call.args[1], reduced.mode), (0o775, Some(0o2775)));
        // A file that was there: what stands where a mode would is none.
        let (open, spec) = call("open", &[1, 2, 0o7777], Vec::new());
        assert!(!withheld(&open, spec).unwrap().counts);
        let (plain, spec) = call("chmod", &[1, 0o1777], Vec::new());
        assert!(withheld(&plain, spec).is_none());
    }
}
