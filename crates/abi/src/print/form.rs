//! Prints buffers by their layout.

use super::{Options, Payload, list, number, put, quote, structure};
use crate::{Form, Layout};
use linux_raw_sys::{general as raw, net};

/// Appends the content of a buffer, as its layout says.
pub fn formed(layout: &Layout, payload: Payload<'_>, o: &Options, out: &mut String) {
    let bytes = payload.bytes;
    match layout.form {
        Form::Struct => structure(layout, bytes, o.whole, out),
        Form::Array if layout.size > 0 => {
            list(bytes.chunks_exact(layout.size as usize), o.elements, out, |b, out| {
                structure(layout, b, o.whole, out);
            });
        }
        Form::Fds => list(bytes.chunks_exact(4), o.elements, out, |b, out| {
            put!(out, "{}", number(b, 0, 4).unwrap_or(0) as i32);
        }),
        Form::Names => list(names(bytes), o.elements, out, |name, out| {
            quote(name, usize::MAX, false, o.hex, out);
        }),
        Form::Dirents | Form::Dirents64 => {
            let head = entry_head(layout).unwrap_or_default();
            list(entries(bytes, head), o.elements, out, |e, out| dirent(&e, o, out));
        }
        Form::Sockaddr | Form::SocketName => sockaddr(bytes, o, out),
        Form::BitSet => bits(bytes, o.elements, out),
        // getcwd gives the NUL with it, readlink does not.
        Form::Text => {
            quote(bytes.strip_suffix(b"\0").unwrap_or(bytes), usize::MAX, payload.more, o.hex, out);
        }
        Form::Data | Form::Opaque | Form::Host | Form::Array => {
            quote(bytes, o.strings, payload.more, o.hex, out);
        }
    }
}

/// Splits concatenated NUL-terminated names.
fn names(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    inner.split(|b| *b == 0).take(if bytes.is_empty() { 0 } else { usize::MAX })
}

/// A directory entry.
pub(super) struct Dirent<'a> {
    ino: u64,
    kind: u8,
    name: &'a [u8],
}

/// Returns the offset of the name in a directory entry of this layout, or `None` if the layout has
/// no entries.
pub(super) fn entry_head(layout: &Layout) -> Option<usize> {
    match layout.form {
        Form::Dirents => Some(18),
        Form::Dirents64 => Some(19),
        _ => None,
    }
}

/// Iterates over directory entries whose names begin at offset `head`; ends at the first invalid
/// one.
pub(super) fn entries(bytes: &[u8], head: usize) -> impl Iterator<Item = Dirent<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = number(rest, 16, 2)? as usize;
        let entry = rest.get(..len).filter(|_| len > head)?;
        rest = &rest[len..];
        let name = &entry[head..];
        let name = &name[..name.iter().position(|b| *b == 0).unwrap_or(name.len())];
        // The older struct has the type in its last byte, the newer one before the name.
        let kind = if head == 18 { entry[len - 1] } else { entry[18] };
        Some(Dirent { ino: number(entry, 0, 8)?, kind, name })
    })
}

/// Appends a directory entry.
fn dirent(e: &Dirent<'_>, o: &Options, out: &mut String) {
    const TYPES: [(u32, &str); 9] = [
        (raw::DT_UNKNOWN, "DT_UNKNOWN"),
        (raw::DT_FIFO, "DT_FIFO"),
        (raw::DT_CHR, "DT_CHR"),
        (raw::DT_DIR, "DT_DIR"),
        (raw::DT_BLK, "DT_BLK"),
        (raw::DT_REG, "DT_REG"),
        (raw::DT_LNK, "DT_LNK"),
        (raw::DT_SOCK, "DT_SOCK"),
        // Whiteouts of overlay file systems (include/linux/fs_types.h).
        (14, "DT_WHT"),
    ];
    put!(out, "{{d_ino={}, d_type=", e.ino);
    match TYPES.iter().find(|(v, _)| *v == u32::from(e.kind)) {
        Some((_, name)) => out.push_str(name),
        None => put!(out, "{:#x}", e.kind),
    }
    out.push_str(", d_name=");
    quote(e.name, usize::MAX, false, o.hex, out);
    out.push('}');
}

/// Appends a socket address, such as `{sa_family=AF_INET, sin_port=htons(80),
/// sin_addr=inet_addr("127.0.0.1")}`.
pub(super) fn sockaddr(bytes: &[u8], o: &Options, out: &mut String) {
    let Some(family) = number(bytes, 0, 2) else {
        return quote(bytes, o.strings, false, o.hex, out);
    };
    out.push_str("{sa_family=");
    super::flags(&crate::flags::net::FAMILY, family, out);
    let port = number(bytes, 2, 2).map_or(0, |p| (p as u16).swap_bytes());
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    match family as u32 {
        net::AF_UNIX => {
            let path = bytes.get(2..).unwrap_or_default();
            let is_abstract = path.len() > 1 && path[0] == 0;
            let path = if is_abstract {
                &path[1..]
            } else {
                &path[..path.iter().position(|b| *b == 0).unwrap_or(path.len())]
            };
            if !path.is_empty() {
                out.push_str(if is_abstract { ", sun_path=@" } else { ", sun_path=" });
                quote(path, usize::MAX, false, o.hex, out);
            }
        }
        net::AF_INET if bytes.len() >= 8 => {
            put!(
                out,
                ", sin_port=htons({port}), sin_addr=inet_addr(\"{}.{}.{}.{}\")",
                byte(4),
                byte(5),
                byte(6),
                byte(7)
            );
        }
        net::AF_INET6 if bytes.len() >= 24 => {
            let mut address = [0; 16];
            address.copy_from_slice(&bytes[8..24]);
            let address = std::net::Ipv6Addr::from(address);
            put!(
                out,
                ", sin6_port=htons({port}), sin6_addr=inet_pton(\"{address}\"), sin6_scope_id={}",
                number(bytes, 24, 4).unwrap_or(0)
            );
        }
        net::AF_NETLINK if bytes.len() >= 12 => put!(
            out,
            ", nl_pid={}, nl_groups={:#x}",
            number(bytes, 4, 4).unwrap_or(0),
            number(bytes, 8, 4).unwrap_or(0)
        ),
        _ => {
            out.push_str(", sa_data=");
            quote(bytes.get(2..).unwrap_or_default(), o.strings, false, o.hex, out);
        }
    }
    out.push('}');
}

/// Appends the numbers of the bits that are set, such as `[0 3 5]`, at most `most` of them.
fn bits(bytes: &[u8], most: usize, out: &mut String) {
    let set = (0..bytes.len() * 8).filter(|i| bytes[i / 8] >> (i % 8) & 1 == 1);
    out.push('[');
    for (n, bit) in set.enumerate() {
        if n > 0 {
            out.push(' ');
        }
        if n >= most {
            out.push_str("...");
            break;
        }
        put!(out, "{bit}");
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout as l;

    fn printed(layout: &Layout, bytes: &[u8]) -> String {
        let mut out = String::new();
        formed(layout, Payload { bytes, more: false }, &Options::default(), &mut out);
        out
    }

    #[test]
    fn as_strace_prints_them() {
        let mut dirents = Vec::new();
        for (ino, kind, name) in [(7u64, 4u8, &b".\0"[..]), (8, 8, b"a\0")] {
            dirents.extend(ino.to_le_bytes());
            dirents.extend(0u64.to_le_bytes());
            dirents.extend(24u16.to_le_bytes());
            dirents.push(kind);
            dirents.extend(name);
            dirents.resize(dirents.len().next_multiple_of(8), 0);
        }
        assert_eq!(
            printed(&l::DIRENTS64, &dirents),
            r#"[{d_ino=7, d_type=DT_DIR, d_name="."}, {d_ino=8, d_type=DT_REG, d_name="a"}]"#
        );
        assert_eq!(printed(&l::NAMES, b"user.a\0user.b\0"), r#"["user.a", "user.b"]"#);
        assert_eq!(printed(&l::NAMES, b""), "[]");
        assert_eq!(printed(&l::FDS, &[3, 0, 0, 0, 4, 0, 0, 0]), "[3, 4]");
        assert_eq!(printed(&l::BITS, &[0b1001, 1]), "[0 3 8]");
        assert_eq!(printed(&l::TEXT, b"/tmp\0"), r#""/tmp""#);
        assert_eq!(
            printed(&l::SOCKADDR, b"\x01\0/run/x\0"),
            r#"{sa_family=AF_UNIX, sun_path="/run/x"}"#
        );
        assert_eq!(
            printed(&l::SOCKADDR, b"\x01\0\0abc"),
            r#"{sa_family=AF_UNIX, sun_path=@"abc"}"#
        );
        assert_eq!(
            printed(&l::SOCKADDR, b"\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0"),
            r#"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}"#
        );
        assert_eq!(
            printed(&l::POLLFD, &[3, 0, 0, 0, 1, 0, 0, 0]),
            "[{fd=3, events=POLLIN, revents=0}]"
        );
    }
}
