//! One call as a line of strace.

use super::quote::{Hex, quote};
use super::{Seen, value};
use abi::{Form, Kind, Layout, Ret};
use nix::errno::Errno;
use trace::Piece;
use trace::record::{AT_EXIT, PieceKind};

/// What a line shows.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Paths of descriptors.
    pub paths: bool,
    /// Environments and vectors in full.
    pub verbose: bool,
    /// Which strings stand in hexadecimal.
    pub hex: Hex,
    /// At most so many bytes of a string that is no path.
    pub strings: usize,
}

/// Where strace puts the result.
const COLUMN: usize = 40;

/// The line, without what stands before and after it.
pub fn call(seen: &Seen<'_>, o: &Options) -> String {
    let call = seen.call;
    let Some(shape) = call.shape() else {
        let args: Vec<String> = call.args.iter().map(|a| format!("{a:#x}")).collect();
        return format!("{}({}) = {}", name(call), args.join(", "), result(seen, Ret::Int, o));
    };
    let args: Vec<String> = shape.args.iter().enumerate().map(|(i, arg)| argument(seen, i as u8, arg.name, arg.kind, o)).collect();
    let head = format!("{}({})", name(call), args.join(", "));
    format!("{head:<width$} = {}", result(seen, shape.ret, o), width = COLUMN - 1)
}

/// The call's name.
pub fn name(call: &trace::Call) -> String {
    if call.flags & trace::record::COMPAT != 0 {
        return format!("compat_syscall_{}", call.nr);
    }
    abi::by_number(call.nr).map_or_else(|| format!("syscall_{:#x}", call.nr), |row| row.name().to_owned())
}

fn argument(seen: &Seen<'_>, arg: u8, name: &str, kind: Kind, o: &Options) -> String {
    let raw = seen.call.args[usize::from(arg)];
    let address = || if raw == 0 { "NULL".to_owned() } else { format!("{raw:#x}") };
    let text = |kind: PieceKind, most| seen.call.piece(arg, kind).map(|p| string(p, most, o));
    match kind {
        Kind::Fd => with_path((raw as i32).to_string(), seen.descriptor(arg), o),
        Kind::DirFd => {
            let cwd = seen.bound.cwd.as_ref().map(|d| &*d.path);
            let path = if raw as i32 == abi::AT_FDCWD { cwd } else { seen.descriptor(arg) };
            with_path(value::scalar(kind, raw), path, o)
        }
        Kind::Path(_) => text(PieceKind::String, usize::MAX).unwrap_or_else(address),
        Kind::Str => text(PieceKind::String, o.strings).unwrap_or_else(address),
        Kind::StrVec => seen.call.piece(arg, PieceKind::StrVec).map_or_else(address, |p| vector(p, raw, name == "envp", o)),
        Kind::In(_, layout) | Kind::Out(_, layout) | Kind::InOut(_, layout) => buffer(seen, arg, layout, o).unwrap_or_else(address),
        Kind::InIov { .. } | Kind::OutIov { .. } | Kind::InMsg | Kind::OutMsg | Kind::InMsgs { .. } | Kind::OutMsgs { .. } => {
            buffers(seen, arg, o).unwrap_or_else(address)
        }
        Kind::Iocbs { .. } => seen.call.piece(arg, PieceKind::Iocbs).map_or_else(address, |p| format!("[{} iocbs]", p.bytes.len() / 64)),
        _ => value::scalar(kind, raw),
    }
}

fn with_path(number: String, path: Option<&[u8]>, o: &Options) -> String {
    match path {
        Some(path) if o.paths => format!("{number}<{}>", trace::text::escape(path)),
        _ => number,
    }
}

fn string(piece: &Piece, most: usize, o: &Options) -> String {
    quote(piece.bytes.as_slice(), most, piece.wanted > piece.bytes.len() as u64, o.hex)
}

/// `["ls", "-l"]`; an environment only as how many there are, unless all is asked for.
fn vector(piece: &Piece, raw: u64, is_environment: bool, o: &Options) -> String {
    let bytes = piece.bytes.as_slice();
    let words = bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|b| *b == 0);
    let count = if bytes.is_empty() { 0 } else { words.clone().count() };
    if is_environment && !o.verbose {
        return format!("{raw:#x} /* {count} vars */");
    }
    let shown: Vec<String> = words.take(count).map(|w| quote(w, usize::MAX, false, o.hex)).collect();
    format!("[{}]", shown.join(", "))
}

/// What a pointer leads to: before the call, after it, or `[before => after]`.
fn buffer(seen: &Seen<'_>, arg: u8, layout: &Layout, o: &Options) -> Option<String> {
    let kind = if layout.form == Form::Data { PieceKind::Data } else { PieceKind::Bytes };
    let at = |flag| seen.call.pieces.iter().find(|p| p.arg == arg && p.kind == kind && p.flags & AT_EXIT == flag);
    match (at(0), at(AT_EXIT)) {
        (Some(before), Some(after)) if before.bytes != after.bytes => Some(format!("[{} => {}]", formed(layout, before, o), formed(layout, after, o))),
        (Some(piece), _) | (None, Some(piece)) => Some(formed(layout, piece, o)),
        (None, None) => None,
    }
}

fn formed(layout: &Layout, piece: &Piece, o: &Options) -> String {
    let bytes = piece.bytes.as_slice();
    let size = layout.size as usize;
    match layout.form {
        Form::Struct => value::fields(layout, bytes),
        Form::Array if size > 0 => {
            let most = if o.verbose { usize::MAX } else { 32 };
            let each = bytes.chunks_exact(size);
            let more = if each.len() > most { ", ..." } else { "" };
            let shown: Vec<String> = each.take(most).map(|b| value::fields(layout, b)).collect();
            format!("[{}{more}]", shown.join(", "))
        }
        Form::Fds => {
            let fds: Vec<String> = bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]).to_string()).collect();
            format!("[{}]", fds.join(", "))
        }
        Form::Text => string(piece, usize::MAX, o),
        _ => string(piece, o.strings, o),
    }
}

/// `[{iov_base="...", iov_len=5}, ...]`, or the data alone where there are no vectors.
fn buffers(seen: &Seen<'_>, arg: u8, o: &Options) -> Option<String> {
    let empty = [].as_slice();
    let data = seen.call.piece(arg, PieceKind::Data);
    let Some(vectors) = seen.call.piece(arg, PieceKind::Iovecs) else { return data.map(|p| string(p, o.strings, o)) };
    let mut rest = data.map_or(empty, |p| p.bytes.as_slice());
    let one = |iov: &[u8]| {
        let word = |at: usize| iov.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let len = word(8);
        let (mine, after) = rest.split_at(rest.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
        rest = after;
        format!("{{iov_base={}, iov_len={len}}}", quote(mine, o.strings, len > mine.len() as u64, o.hex))
    };
    let shown: Vec<String> = vectors.bytes.chunks_exact(16).map(one).collect();
    Some(format!("[{}]", shown.join(", ")))
}

fn result(seen: &Seen<'_>, ret: Ret, o: &Options) -> String {
    let call = seen.call;
    if !call.returned() {
        return "?".to_owned();
    }
    if let Some(errno) = call.errno() {
        return match restart(errno) {
            Some(why) => format!("? {why}"),
            None => {
                let words = crate::failure::without_number(&std::io::Error::from_raw_os_error(errno).to_string());
                format!("-1 {} ({words})", error_name(errno))
            }
        };
    }
    match ret {
        Ret::Fd => with_path(call.ret.to_string(), seen.made(), o),
        Ret::Addr => format!("{:#x}", call.ret),
        _ => call.ret.to_string(),
    }
}

/// `ENOENT` for 2.
pub fn error_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => restart(errno).map_or_else(|| format!("errno {errno}"), |text| text.split(' ').next().unwrap_or(text).to_owned()),
        known => format!("{known:?}"),
    }
}

/// Results that the program never sees: the kernel makes the call again (`include/linux/errno.h`).
fn restart(errno: i32) -> Option<&'static str> {
    Some(match errno {
        512 => "ERESTARTSYS (To be restarted if SA_RESTART is set)",
        513 => "ERESTARTNOINTR (To be restarted)",
        514 => "ERESTARTNOHAND (To be restarted if no handler)",
        516 => "ERESTART_RESTARTBLOCK (Interrupted by signal)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::world::Bound;
    use trace::{Call, Piece};

    const O: Options = Options { paths: false, verbose: false, hex: Hex::Never, strings: 32 };

    fn piece(arg: u8, kind: PieceKind, flags: u8, bytes: &[u8]) -> Piece {
        Piece { arg, kind, flags, len: bytes.len() as u64, wanted: bytes.len() as u64, bytes: bytes.to_vec().into() }
    }
    fn made(name: &str, args: [u64; 6], ret: i64, pieces: Vec<Piece>) -> Call {
        let nr = abi::by_name(name).expect("a call of the table").number;
        Call { seq: 0, entered: 0, left: Some(1), pid: 1, tid: 1, nr, flags: 0, args, ret, pieces }
    }
    fn printed(call: &Call) -> String {
        super::call(&Seen { call, bound: &Bound::default() }, &O)
    }

    #[test]
    fn as_strace_prints_them() {
        let at_cwd = i64::from(abi::AT_FDCWD).cast_unsigned();
        let path = || vec![piece(1, PieceKind::String, 0, b"/etc/passwd")];
        let mut unfinished = made("read", [0, 0x7ffe_1000, 1, 0, 0, 0], 0, vec![]);
        unfinished.left = None;
        let lines = [
            printed(&made("openat", [at_cwd, 1, 0o2_000_000, 0, 0, 0], 3, path())),
            printed(&made("openat", [at_cwd, 1, 0o1102, 0o644, 0, 0], -13, path())),
            printed(&made("read", [3, 1, 64, 0, 0, 0], 5, vec![piece(1, PieceKind::Data, AT_EXIT, b"abc\n\0")])),
            printed(&made("write", [1, 1, 40, 0, 0, 0], 40, vec![piece(1, PieceKind::Data, AT_EXIT, &[b'x'; 40])])),
            printed(&made("read", [3, 0x7ffe_1000, 64, 0, 0, 0], -9, vec![])),
            printed(&made("read", [0, 0x7ffe_1000, 1, 0, 0, 0], -512, vec![])),
            printed(&unfinished),
            printed(&made("close", [3, 0, 0, 0, 0, 0], 0, vec![])),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 0000) = 3
        openat(AT_FDCWD, "/etc/passwd", O_RDWR|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)
        read(3, "abc\n\0", 64)                  = 5
        write(1, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 40) = 40
        read(3, 0x7ffe1000, 64)                 = -1 EBADF (Bad file descriptor)
        read(0, 0x7ffe1000, 1)                  = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
        read(0, 0x7ffe1000, 1)                  = ?
        close(3)                                = 0
        "#);
    }
}
