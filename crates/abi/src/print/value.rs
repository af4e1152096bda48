//! Prints numbers and structs by their kinds.

use super::{brief, field, put};
use crate::layout::{Brief, Style};
use crate::{Field, FieldKind, Flags, Kind, Layout, mapping_number, registered_index};
use linux_raw_sys::general as raw;

/// Appends the value of an argument that is not dereferenced, by its kind.
pub fn scalar(kind: Kind, raw: u64, out: &mut String) {
    match kind {
        Kind::Fd | Kind::DirFd if let Some(index) = registered_index(raw as i32) => {
            put!(out, "registered:{index}");
        }
        Kind::Fd if let Some(number) = mapping_number(raw as i32) => put!(out, "mapped:{number}"),
        Kind::Int | Kind::Fd | Kind::Pid | Kind::Uid | Kind::Gid => put!(out, "{}", raw as i32),
        Kind::DirFd if raw as i32 == crate::AT_FDCWD => out.push_str("AT_FDCWD"),
        Kind::DirFd => put!(out, "{}", raw as i32),
        Kind::Off | Kind::Pos | Kind::Length => put!(out, "{}", raw.cast_signed()),
        Kind::Uint | Kind::Size | Kind::PosHigh => put!(out, "{raw}"),
        Kind::Mode if raw as u32 >> 12 == 0 => put!(out, "0{:02o}", raw as u32),
        Kind::Mode => mode(raw & 0xffff_ffff, out),
        Kind::Dev => device(raw, out),
        Kind::Signal => signal_name(raw, out),
        Kind::Flags(set) => flags(set, raw, out),
        Kind::Hex if raw == 0 => out.push('0'),
        Kind::Hex => put!(out, "{raw:#x}"),
        Kind::Addr | Kind::Unused => address(raw, out),
        _ => {
            debug_assert!(kind.is_followed(), "{kind:?} is printed as an address");
            address(raw, out);
        }
    }
}

/// Appends an address in hexadecimal, or `NULL`.
fn address(raw: u64, out: &mut String) {
    if raw == 0 { out.push_str("NULL") } else { put!(out, "{raw:#x}") }
}

/// Appends a device number, such as `makedev(0x8, 0x1)` (`include/linux/kdev_t.h`:
/// `new_encode_dev`).
fn device(raw: u64, out: &mut String) {
    let (major, minor) = (raw >> 8 & 0xfff, (raw & 0xff) | (raw >> 12 & 0xf_ff00));
    put!(out, "makedev({major:#x}, {minor:#x})");
}

/// Appends the name of a signal, such as `SIGCHLD` for 17 and `SIGRT_2` for 34.
pub fn signal_name(raw: u64, out: &mut String) {
    let number = raw & 0xffff_ffff;
    match crate::flags::process::SIGNALS.iter().find(|(n, _)| *n == number) {
        Some((_, name)) => out.push_str(name),
        None if number == 32 => out.push_str("SIGRTMIN"),
        None if (33..=64).contains(&number) => put!(out, "SIGRT_{}", number - 32),
        None => put!(out, "{}", number as i32),
    }
}

/// Appends the names of bits or of an enumerated value; bits without a name are printed as a
/// number.
pub fn flags(set: &Flags, raw: u64, out: &mut String) {
    if std::ptr::eq(set, &crate::layout::SIGSET_BITS) {
        return signals(raw, out);
    }
    // Arguments of 32 bits may come with anything, often the sign, in the register's upper half.
    let raw = if raw >> 32 == 0xffff_ffff { raw & 0xffff_ffff } else { raw };
    if set.one_of {
        let value = raw & 0xffff_ffff;
        match set.bits.iter().find(|(v, _)| *v == value) {
            Some((_, name)) => out.push_str(name),
            None if value == 0 => out.push('0'),
            None => put!(out, "{value:#x}"),
        }
        return;
    }
    let mut left = raw;
    let mut any = false;
    let mut add = |name: &str, out: &mut String| {
        if std::mem::replace(&mut any, true) {
            out.push('|');
        }
        out.push_str(name);
    };
    if let Some((mask, names)) = set.field
        && let Some((_, name)) = names.iter().find(|(v, _)| *v == raw & mask)
    {
        add(name, out);
        left &= !mask;
    }
    for (bits, name) in set.bits {
        if *bits != 0 && left & bits == *bits {
            add(name, out);
            left &= !bits;
        }
    }
    if left != 0 {
        add(&format!("{left:#x}"), out);
    }
    if !any {
        let none = set.bits.iter().find(|(v, _)| *v == 0).map_or("0", |(_, name)| name);
        out.push_str(none);
    }
}

/// Appends a struct, such as `{st_mode=S_IFREG|0644, st_size=5, ...}`: all fields if `whole`, else
/// those that strace shows. Fields beyond the end of `bytes` are left out. A single number without
/// a name has no braces.
pub fn structure(layout: &Layout, bytes: &[u8], whole: bool, out: &mut String) {
    if let [only @ Field { name: "", .. }] = layout.fields {
        return match field(only, bytes) {
            Some(status) if only.style == Style::WaitStatus => wait_status(status, out),
            _ => value(only, bytes, out),
        };
    }
    out.push('{');
    let end = |f: &Field| f.at as usize + f.size as usize;
    let there = layout.fields.iter().filter(|f| f.kind != FieldKind::Pad && bytes.len() >= end(f));
    let (mut within, mut first, mut left_out) = ("", true, false);
    for f in there {
        if !brief::shows(layout, f, bytes, whole) {
            left_out = !whole && f.brief != Brief::IfSet;
            continue;
        }
        // `ru_utime.tv_sec` is a field of a struct within the struct.
        let (outer, name) = f.name.split_once('.').unwrap_or(("", f.name));
        if outer != within && !within.is_empty() {
            out.push('}');
        }
        if !std::mem::take(&mut first) {
            out.push_str(", ");
        }
        if outer != within && !outer.is_empty() {
            put!(out, "{outer}={{");
        }
        within = outer;
        put!(out, "{}=", name.trim_end_matches('_'));
        value(f, bytes, out);
    }
    if !within.is_empty() {
        out.push('}');
    }
    if left_out {
        out.push_str(if first { "..." } else { ", ..." });
    }
    out.push('}');
}

/// Appends the value of a field.
fn value(f: &Field, bytes: &[u8], out: &mut String) {
    if f.kind == FieldKind::Text {
        let text = bytes.get(f.at as usize..).unwrap_or_default();
        let text = &text[..text.len().min(f.size as usize)];
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        return super::quote(&text[..end], usize::MAX, false, super::Hex::Never, out);
    }
    let Some(raw) = field(f, bytes) else { return out.push('?') };
    let unused = 64 - u32::from(f.size.clamp(1, 8)) * 8;
    let signed = (raw << unused).cast_signed() >> unused;
    match f.style {
        Style::Plain | Style::WaitStatus => {}
        Style::Names(set) => return flags(set, raw, out),
        Style::EpollData => return put!(out, "{{u32={}, u64={raw}}}", raw as u32),
        Style::FsId => return put!(out, "{{val=[{:#x}, {:#x}]}}", raw as u32, raw >> 32),
        Style::Limit => return limit(raw, out),
    }
    match f.kind {
        FieldKind::Int
        | FieldKind::Fd
        | FieldKind::Pid
        | FieldKind::Time
        | FieldKind::Uid
        | FieldKind::Gid => put!(out, "{signed}"),
        FieldKind::Mode => mode(raw, out),
        FieldKind::Flags(set) => flags(set, raw, out),
        FieldKind::Addr => address(raw, out),
        FieldKind::Dev if f.size == 8 => device(raw, out),
        FieldKind::Uint
        | FieldKind::Size
        | FieldKind::Links
        | FieldKind::Dev
        | FieldKind::Ino
        | FieldKind::Host
        | FieldKind::Pad
        | FieldKind::Text => {
            put!(out, "{raw}");
        }
    }
}

/// Appends a wait status, such as `{WIFEXITED(s) && WEXITSTATUS(s) == 3}`.
fn wait_status(status: u64, out: &mut String) {
    let (low, high) = (status & 0x7f, status >> 8 & 0xff);
    match low {
        0 => put!(out, "{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}"),
        0x7f if status == 0xffff => out.push_str("{WIFCONTINUED(s)}"),
        0x7f => {
            out.push_str("{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            signal_name(high, out);
            out.push('}');
        }
        _ => {
            out.push_str("{WIFSIGNALED(s) && WTERMSIG(s) == ");
            signal_name(low, out);
            out.push_str(if status & 0x80 != 0 { " && WCOREDUMP(s)}" } else { "}" });
        }
    }
}

/// Appends a resource limit, such as `8192*1024` or `RLIM64_INFINITY`.
fn limit(raw: u64, out: &mut String) {
    match raw {
        u64::MAX => out.push_str("RLIM64_INFINITY"),
        _ if raw > 1024 && raw.is_multiple_of(1024) => put!(out, "{}*1024", raw / 1024),
        _ => put!(out, "{raw}"),
    }
}

/// Appends a signal set, such as `[INT CHLD]`, or `~[KILL STOP]` if most signals are in it.
fn signals(set: u64, out: &mut String) {
    let (sign, set) = if set.count_ones() > 32 { ("~", !set) } else { ("", set) };
    put!(out, "{sign}[");
    for (i, number) in (1..=64).filter(|n| set >> (n - 1) & 1 == 1).enumerate() {
        out.push_str(if i > 0 { " " } else { "" });
        match crate::flags::process::SIGNALS.iter().find(|(n, _)| *n == number) {
            Some((_, name)) => out.push_str(name.trim_start_matches("SIG")),
            None if number == 32 => out.push_str("RTMIN"),
            None => put!(out, "RT_{}", number - 32),
        }
    }
    out.push(']');
}

/// Appends a file type and mode, such as `S_IFREG|0644` or `S_IFDIR|S_ISVTX|0777`.
fn mode(mode: u64, out: &mut String) {
    const TYPES: [(u32, &str); 7] = [
        (raw::S_IFSOCK, "S_IFSOCK"),
        (raw::S_IFLNK, "S_IFLNK"),
        (raw::S_IFREG, "S_IFREG"),
        (raw::S_IFBLK, "S_IFBLK"),
        (raw::S_IFDIR, "S_IFDIR"),
        (raw::S_IFCHR, "S_IFCHR"),
        (raw::S_IFIFO, "S_IFIFO"),
    ];
    const BITS: [(u32, &str); 3] =
        [(raw::S_ISUID, "S_ISUID|"), (raw::S_ISGID, "S_ISGID|"), (raw::S_ISVTX, "S_ISVTX|")];
    let of_type = mode & !0o7777;
    if let Some((_, name)) = TYPES.iter().find(|(v, _)| u64::from(*v) == of_type) {
        put!(out, "{name}|");
    } else if of_type != 0 {
        put!(out, "{of_type:#o}|");
    }
    for (bit, name) in BITS {
        if mode & u64::from(bit) != 0 {
            out.push_str(name);
        }
    }
    put!(out, "0{:02o}", mode & 0o777);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(kind: Kind, raw: u64) -> String {
        let mut out = String::new();
        scalar(kind, raw, &mut out);
        out
    }

    #[test]
    fn as_strace_prints_them() {
        let open = |raw| printed(Kind::Flags(&crate::flags::file::OPEN), raw);
        assert_eq!(open(0), "O_RDONLY");
        assert_eq!(open(0o1102), "O_RDWR|O_CREAT|O_TRUNC");
        assert_eq!(open(0o2_000_003), "O_CLOEXEC|0x3");
        assert_eq!(open(0o20_200_000), "O_RDONLY|O_TMPFILE");
        assert_eq!(open(0x4000_0000), "O_RDONLY|0x40000000");
        let access = |raw| printed(Kind::Flags(&crate::flags::file::ACCESS), raw);
        assert_eq!((access(0), access(6)), ("F_OK".to_owned(), "R_OK|W_OK".to_owned()));
        assert_eq!(printed(Kind::Flags(&crate::flags::io::WHENCE), 0xdead_0000_0002), "SEEK_END");
        assert_eq!(printed(Kind::Flags(&crate::flags::file::AT), 0), "0");
        assert_eq!(
            printed(Kind::Flags(&crate::flags::process::CLONE), 0x0120_0011),
            "SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID"
        );
        assert_eq!(printed(Kind::DirFd, -100i64 as u64), "AT_FDCWD");
        assert_eq!(printed(Kind::DirFd, 0xffff_ff9c), "AT_FDCWD");
        assert_eq!(
            (printed(Kind::Mode, 0), printed(Kind::Mode, 0o644)),
            ("000".to_owned(), "0644".to_owned())
        );
        assert_eq!(printed(Kind::Mode, 0o10_666), "S_IFIFO|0666");
        assert_eq!(printed(Kind::Dev, 0x801), "makedev(0x8, 0x1)");
        assert_eq!(
            (printed(Kind::Signal, 17), printed(Kind::Signal, 34), printed(Kind::Signal, 0)),
            ("SIGCHLD".into(), "SIGRT_2".into(), "0".into())
        );
    }

    #[test]
    fn structs() {
        let mut stat = [0u8; 144];
        stat[24..28].copy_from_slice(&0o100_644u32.to_le_bytes());
        stat[48..56].copy_from_slice(&5u64.to_le_bytes());
        let mut out = String::new();
        structure(&crate::layout::STAT, &stat, true, &mut out);
        assert!(out.contains(", st_mode=S_IFREG|0644, "), "{out}");
        assert!(out.contains("st_size=5, "), "{out}");
        out.clear();
        structure(&crate::layout::STAT, &stat[..30], true, &mut out);
        assert!(
            out.ends_with("st_mode=S_IFREG|0644, st_nlink=0}"),
            "what is not there is left out: {out}"
        );
        out.clear();
        structure(&crate::layout::LOFF, &(-1i64).to_le_bytes(), true, &mut out);
        assert_eq!(out, "-1");
    }
}
