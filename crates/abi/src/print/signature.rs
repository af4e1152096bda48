//! Describes rows of the table as text.

use crate::{Arg, CallSpec, Kind, Ret};

/// Returns the signature of a call, such as `pread64(fd: fd, buf: out data[ret <= count], count:
/// size, pos: position) -> bytes`.
pub fn signature(spec: &CallSpec) -> String {
    let args: Vec<String> =
        spec.args.iter().map(|a| format!("{}: {}", a.name, kind_name(a.kind, spec.args))).collect();
    format!("{}({}) -> {}", spec.name, args.join(", "), ret_name(spec.ret))
}

/// Returns the kind of an argument in words. `args` are the arguments of its spec, which lengths
/// refer to.
pub fn kind_name(kind: Kind, args: &[Arg]) -> String {
    match kind {
        Kind::Flags(set) if set.name.is_empty() => return "flags".to_owned(),
        Kind::Flags(set) => return format!("{}*", set.name),
        Kind::In(len, layout) => return format!("in {}{}", layout.name, length(len, args)),
        Kind::Out(len, layout) => return format!("out {}{}", layout.name, length(len, args)),
        Kind::InOut(len, layout) => return format!("inout {}{}", layout.name, length(len, args)),
        Kind::Int => "int",
        Kind::Uint => "uint",
        Kind::Hex => "hex",
        Kind::Off => "offset",
        Kind::Pos => "position",
        Kind::PosHigh => "position-high",
        Kind::Size => "size",
        Kind::Length => "length",
        Kind::Fd => "fd",
        Kind::DirFd => "dirfd",
        Kind::Pid => "pid",
        Kind::Uid => "uid",
        Kind::Gid => "gid",
        Kind::Mode => "mode",
        Kind::Dev => "dev",
        Kind::Signal => "signal",
        Kind::Addr => "address",
        Kind::Path(_) => "path",
        Kind::Str => "string",
        Kind::StrVec => "strings",
        Kind::InIov { .. } => "in iovec[]",
        Kind::OutIov { .. } => "out iovec[]",
        Kind::InMsg => "in msghdr",
        Kind::OutMsg => "out msghdr",
        Kind::InMsgs { .. } => "in mmsghdr[]",
        Kind::OutMsgs { .. } => "out mmsghdr[]",
        Kind::Iocbs { .. } => "iocb*[]",
        Kind::Unused => "unused",
    }
    .to_owned()
}

/// Returns in a word what a result means.
pub const fn ret_name(ret: Ret) -> &'static str {
    match ret {
        Ret::Zero => "0",
        Ret::Bytes => "bytes",
        Ret::Count => "count",
        Ret::Fd => "fd",
        Ret::Off => "offset",
        Ret::Pid => "pid",
        Ret::Addr => "address",
        Ret::Int => "int",
        Ret::Host => "host's own",
        Ret::Never => "never",
    }
}

/// Returns the length of a buffer in brackets, such as `[ret <= count]`.
fn length(len: crate::Len, args: &[Arg]) -> String {
    use crate::Len;
    let name = |n: u8| args.get(n as usize).map_or("?", |a| a.name);
    let times = |unit: u32| if unit == 1 { String::new() } else { format!(" * {unit}") };
    match len {
        Len::Fixed(_) => String::new(),
        Len::Arg { n, unit } => format!("[{}{}]", name(n), times(unit)),
        Len::Ret { max: Some(n), unit } => format!("[ret{} <= {}]", times(unit), name(n)),
        Len::Ret { max: None, unit } => format!("[ret{}]", times(unit)),
        Len::Deref { n, unit } => format!("[*{}{}]", name(n), times(unit)),
        Len::Head { .. } => "[its own size]".to_owned(),
        Len::Bits { n } => format!("[{} bits]", name(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_as_text() {
        let of = |name: &str| signature(&crate::by_name(name).expect("a row").spec);
        assert_eq!(
            of("pread64"),
            "pread64(fd: fd, buf: out data[ret <= count], count: size, pos: position) -> bytes"
        );
        assert_eq!(
            of("openat"),
            "openat(dfd: dirfd, filename: path, flags: O_*, mode: mode) -> fd"
        );
        assert_eq!(
            of("poll"),
            "poll(ufds: inout struct pollfd[nfds * 8], nfds: uint, timeout_msecs: int) -> int"
        );
        assert_eq!(of("getpid"), "getpid() -> pid");
    }
}
