//! Whether a call is performed, and if not, why. The reasons are the words of the report's
//! `skipped_by`.

use crate::execute::Shared;
use crate::issue::RealFd;
use crate::issue::arguments::MOUNTED_BY_PROGRAM;
use crate::issue::handlers::{lock, transfer::file_end};
use crate::issue::refusal::{self, ErrorOrigin};
use crate::verify::incomparable_xattr;
use abi::{
    AIO, AT_FDCWD, CallSpec, Class, Effect, FieldKind, Form, Kind, Len, OPERATIONS, OpenFlags,
    PathUse, Replay, Ret, Role, registered_index,
};
use linux_raw_sys::general::O_CREAT;
use model::files::FileType;
use model::processes::{Descriptor, LinkRoute, LinkTarget, OpenFile, Operands};
use rustix::io::Errno;
use sandbox::CAPABILITY;
use std::sync::atomic::Ordering::Relaxed;
use trace::Call;
use trace::record::{NO_ENTRY, PayloadKind};

/// Returns the reason in the report for skipping a class of calls.
pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::Memory => "memory",
        Class::Network => "network",
        Class::Ipc => "ipc",
        Class::Signal => "signal",
        Class::Process => "process",
        Class::Wait => "wait",
        Class::Credentials => "credentials",
        Class::Mounts => "mounts",
        Class::System => "system",
        Class::Watch => "watch",
        Class::Async => "async",
        Class::Unknown => "unknown call",
    }
}

/// The reason for not performing a call that sets up a ring of io_uring or a context of libaio, or
/// submits operations to it, if these are recorded.
pub(crate) const RING: &str = "ring of recorded operations";

/// The reason for not making a device. Later calls will not find it.
pub(crate) const DEVICE: &str = "device";

/// Checks whether a call is performed. Returns its specification, or the reason to skip it.
pub(crate) fn check_performed(
    call: &Call,
    operands: &Operands<RealFd>,
    shared: &Shared,
) -> Result<&'static CallSpec, &'static str> {
    if !call.was_executed() {
        return Err("answered by a seccomp filter");
    }
    let (mounts, any_user) = (&shared.mounts, shared.privileges.any_user);
    let spec = call.spec().ok_or("unknown call")?;
    if let Replay::Skip(why) = spec.replay {
        return Err(class(why));
    }
    if !call.returned() {
        return Err("never returned");
    }
    if call.flags & NO_ENTRY != 0 {
        return Err("begun before the recording");
    }
    if let Some(errno) = call.errno() {
        if (OPERATIONS..AIO).contains(&call.nr) && refusal::is_of_ring(errno) {
            return Err("refused or cancelled by io_uring");
        }
        lock::check_conflict(spec, errno)?;
        if let ErrorOrigin::Outside(why) = refusal::error_origin(spec, errno) {
            return Err(why);
        }
        if !any_user && matches!(Errno::from_raw_os_error(errno), Errno::PERM | Errno::ACCESS) {
            return Err("permission, without the owners");
        }
    }
    if spec.copies.is_some_and(|copies| file_end(call, copies, operands).is_some()) {
        return Ok(spec);
    }
    let binds = spec.effect == Effect::Bind;
    if binds && !operands.paths.has_any() {
        return Err(class(Class::Network));
    }
    if spec.returns_a_path() {
        if operands.view.is_some() {
            return Err(class(Class::Mounts));
        }
        if let Some(cwd) = &operands.cwd {
            cwd.real.unperformed_reason().map_or(Ok(()), Err)?;
            if mounts.is_virtual(&cwd.path) {
                return Err("virtual file");
            }
        }
    }
    for i in 0..spec.args.len() {
        check_argument(call, spec, operands, shared, i)?;
    }
    if operands.inner.iter().any(|(_, _, d)| !d.file.is_stored()) {
        return Err("descriptor without stored state");
    }
    if spec.ret == Ret::Fd
        && spec.effect == Effect::None
        && !spec.args.iter().any(|a| matches!(a.kind, Kind::Path(_)))
        && call.succeeded()
    {
        check_opened(operands)?;
    }
    Ok(spec)
}

/// Fails with the reason to skip the call if argument `i` gives one.
fn check_argument(
    call: &Call,
    spec: &CallSpec,
    operands: &Operands<RealFd>,
    shared: &Shared,
    i: usize,
) -> Result<(), &'static str> {
    let arg = &spec.args[i];
    match arg.kind {
        // The file is made, the socket is not.
        Kind::Fd if spec.effect == Effect::Bind => {}
        Kind::DirFd if !is_path_start(call, spec, operands, i) => {}
        Kind::Fd | Kind::DirFd => check_descriptor(call, i, arg.kind, operands)?,
        kind if let Some(way) = kind.path_use() => check_path(call, operands, shared, i, way)?,
        Kind::Mode
            if is_device(call.args[i] as u32) && spec.args.iter().any(|a| a.kind == Kind::Dev) =>
        {
            return Err(DEVICE);
        }
        Kind::Str => {
            check_recorded(call, i)?;
            check_xattr(call, i, shared)?;
        }
        Kind::In(len, layout)
            if layout.form != Form::Data
                && !matches!(len, Len::Arg { n, .. } if call.args[usize::from(n)] == 0) =>
        {
            check_recorded(call, i)?;
        }
        Kind::Out(_, layout) => check_not_special(call, i, layout.form, layout.fields)?,
        Kind::Pid | Kind::Signal | Kind::StrVec => return Err("process"),
        Kind::InMsg | Kind::OutMsg | Kind::InMsgs { .. } | Kind::OutMsgs { .. } => {
            return Err("network");
        }
        Kind::Iocbs { .. } => return Err("async"),
        _ => {}
    }
    Ok(())
}

/// Fails with the reason to skip the call if the path in argument `i` gives one.
fn check_path(
    call: &Call,
    operands: &Operands<RealFd>,
    shared: &Shared,
    i: usize,
    way: PathUse,
) -> Result<(), &'static str> {
    let Some(check_path) = &operands.paths[i] else {
        check_recorded(call, i)?;
        if call.succeeded() && call.path(i as u8).is_some() {
            return Err("unknown descriptor"); // that the path starts from
        }
        return Ok(());
    };
    check_start(call, operands, i, way.dir)?;
    if operands.through[i].as_ref().and_then(LinkRoute::descriptor).is_none()
        && shared.mounts.is_virtual(check_path)
    {
        return Err("virtual file");
    }
    if matches!(way.role, Role::Open(_)) && call.succeeded() {
        check_opened(operands)?;
    }
    if let Role::Open(OpenFlags::Arg(n)) = way.role {
        // An open that waits for a FIFO's other end.
        let check_not_special =
            is_errno(call, Errno::NXIO) && call.args[n as usize] as u32 & O_CREAT == 0;
        if check_not_special {
            return Err("special file");
        }
    }
    Ok(())
}

/// Fails with the reason to skip the call if the descriptor in argument `i` gives one.
fn check_descriptor(
    call: &Call,
    i: usize,
    kind: Kind,
    operands: &Operands<RealFd>,
) -> Result<(), &'static str> {
    match &operands.fds[i] {
        Some(d) => check_stored(d),
        None if kind == Kind::DirFd && call.args[i] as i32 == AT_FDCWD => Ok(()),
        None if registered_index(call.args[i] as i32).is_some() => Err("unknown descriptor"),
        None if (call.args[i] as i32) < 0 => Ok(()),
        // Absolute paths do not look at the descriptor, and a descriptor that is none fails alike.
        None if is_errno(call, Errno::BADF) => Ok(()),
        None if call.spec().is_some_and(|s| {
            s.args.iter().any(|a| a.kind.path_use().is_some_and(|p| p.dir == Some(i as u8)))
        }) =>
        {
            Ok(())
        }
        None => Err("unknown descriptor"),
    }
}

/// Fails if a descriptor does not refer to a stored file, or is not open here.
fn check_stored(check_descriptor: &Descriptor<RealFd>) -> Result<(), &'static str> {
    if !check_descriptor.file.is_stored() {
        return Err(unstored_reason(&check_descriptor.file));
    }
    check_descriptor.real.unperformed_reason().map_or(Ok(()), Err)
}

/// Returns whether a path starts from the directory descriptor in argument `i`. An absolute path
/// does not, nor one that is translated otherwise, as it leads through procfs or other mounts.
fn is_path_start(call: &Call, spec: &CallSpec, operands: &Operands<RealFd>, i: usize) -> bool {
    let mut from = abi::argument_indices(spec.uses.path_args)
        .filter(|p| spec.args[*p].kind.path_use().is_some_and(|way| way.dir == Some(i as u8)));
    from.next().is_none_or(|check_path| {
        operands.viewed[check_path].is_none()
            && operands.through[check_path].is_none()
            && call
                .path(check_path as u8)
                .is_none_or(|check_path| check_path.first() != Some(&b'/'))
    })
}

/// Fails if the directory from which a path starts, or a descriptor that it leads through, is not
/// open here.
fn check_start(
    call: &Call,
    operands: &Operands<RealFd>,
    i: usize,
    dir: Option<u8>,
) -> Result<(), &'static str> {
    let real = match operands.through[i].as_ref().map(|way| &way.to) {
        Some(LinkTarget::File(check_descriptor)) => return check_stored(check_descriptor),
        Some(LinkTarget::Directory(directory)) => Some(&directory.real),
        Some(LinkTarget::Name) => None,
        None if operands.viewed[i].is_some() => None,
        Some(LinkTarget::Virtual) => return Err("virtual file"),
        Some(LinkTarget::Elsewhere) => return Err(MOUNTED_BY_PROGRAM),
        None if call.path(i as u8).is_some_and(|check_path| check_path.first() == Some(&b'/')) => {
            None
        }
        None => match dir.filter(|d| call.args[usize::from(*d)] as i32 != AT_FDCWD) {
            Some(d) => operands.fds[usize::from(d)].as_ref().map(|d| &d.real),
            None if operands.cwd.as_ref().is_some_and(|cwd| cwd.elsewhere) => {
                return Err(MOUNTED_BY_PROGRAM);
            }
            None => operands.cwd.as_ref().map(|cwd| &cwd.real),
        },
    };
    real.and_then(RealFd::unperformed_reason).map_or(Ok(()), Err)
}

/// Returns the reason to skip calls on a file that is not stored.
fn unstored_reason(file: &OpenFile) -> &'static str {
    match FileType::of_mode(file.file_type()) {
        _ if file.is_elsewhere() => MOUNTED_BY_PROGRAM,
        FileType::Regular if file.path.starts_with(b"/memfd:") => "memory",
        FileType::Regular | FileType::Directory | FileType::Link => "virtual file",
        FileType::Char | FileType::Block => "device",
        _ => "descriptor without stored state",
    }
}

/// Fails if the descriptor that the call opened refers to a file that is not stored.
fn check_opened(operands: &Operands<RealFd>) -> Result<(), &'static str> {
    match operands.opened.first() {
        Some((_, d)) if !d.file.is_stored() => Err(unstored_reason(&d.file)),
        _ => Ok(()),
    }
}

/// Returns whether a mode is that of a device.
fn is_device(mode: u32) -> bool {
    matches!(FileType::of_mode(mode), FileType::Char | FileType::Block)
}

/// Returns whether a call failed with `errno` in the recording.
fn is_errno(call: &Call, errno: Errno) -> bool {
    call.errno() == Some(errno.raw_os_error())
}

/// Fails if the memory of an argument could be read, but is not in the trace, as with traces of
/// other tools.
fn check_recorded(call: &Call, i: usize) -> Result<(), &'static str> {
    let check_recorded = call.args[i] == 0
        || is_errno(call, Errno::FAULT)
        || call.payloads.iter().any(|p| usize::from(p.arg) == i);
    if check_recorded { Ok(()) } else { Err("argument not recorded") }
}

/// Fails for extended attributes that the recorded machine generates, and for those that are
/// withheld.
fn check_xattr(call: &Call, i: usize, shared: &Shared) -> Result<(), &'static str> {
    match call.string(i as u8) {
        Some(name) if name == CAPABILITY && shared.context.rules.withhold => {
            let sets = call.succeeded() && call.spec().is_some_and(|spec| spec.changes);
            shared.withheld.fetch_add(u64::from(sets), Relaxed);
            Err("file capability withheld")
        }
        name => name.and_then(incomparable_xattr).map_or(Ok(()), Err),
    }
}

/// Fails if the call returned the status of a device, which replay does not create.
fn check_not_special(
    call: &Call,
    i: usize,
    form: Form,
    fields: &[abi::Field],
) -> Result<(), &'static str> {
    if form != Form::Struct || !call.succeeded() {
        return Ok(());
    }
    let Some(payload) = call.payload(i as u8, PayloadKind::Bytes) else { return Ok(()) };
    for field in fields.iter().filter(|f| f.kind == FieldKind::Mode) {
        let bytes = payload
            .bytes
            .as_slice()
            .get(field.at as usize..field.at as usize + 2)
            .unwrap_or(&[0, 0]);
        let mode = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        if is_device(mode) {
            return Err("special file");
        }
    }
    Ok(())
}
