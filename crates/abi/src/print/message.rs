//! Prints vectors of buffers and messages. A record holds their headers and their data apart.

use super::{Captured, CapturedKind, Options, list, number, put, quote};

/// Appends `[{iov_base="...", iov_len=5}, ...]`, or only the data if the vectors were not captured.
/// Returns false if nothing was captured.
pub(super) fn vectors(captured: &impl Captured, arg: u8, o: &Options, out: &mut String) -> bool {
    let data = captured.payload(arg, CapturedKind::Data, true);
    let Some(vectors) = captured.payload(arg, CapturedKind::Iovecs, true) else {
        let Some(data) = data else { return false };
        quote(data.bytes, o.strings, data.more, o.hex, out);
        return true;
    };
    let mut rest = data.map_or(&[][..], |p| p.bytes);
    iovecs(vectors.bytes, &mut rest, data.is_some_and(|p| p.more), o, out);
    true
}

/// Appends the vectors, each with its part of `rest`. `more`: not all data were captured.
fn iovecs(vectors: &[u8], rest: &mut &[u8], more: bool, o: &Options, out: &mut String) {
    list(vectors.chunks_exact(16), o.elements, out, |iov, out| {
        let len = number(iov, 8, 8).unwrap_or(0);
        let mine = take(rest, len);
        out.push_str("{iov_base=");
        quote(mine, o.strings, more && rest.is_empty() && len > mine.len() as u64, o.hex, out);
        put!(out, ", iov_len={len}}}");
    });
}

/// Appends one `struct msghdr`, or `struct mmsghdr[]` if `many`, with names, buffers and data.
/// Returns false if nothing was captured.
pub(super) fn messages(
    captured: &impl Captured,
    arg: u8,
    many: bool,
    o: &Options,
    out: &mut String,
) -> bool {
    let Some(heads) = captured.payload(arg, CapturedKind::Msg, true) else {
        return vectors(captured, arg, o, out);
    };
    let part = |part| captured.payload(arg, part, true).map_or(&[][..], |p| p.bytes);
    let more = captured.payload(arg, CapturedKind::Data, true).is_some_and(|p| p.more);
    let (mut names, mut vectors, mut controls, mut data) = (
        part(CapturedKind::Name),
        part(CapturedKind::Iovecs),
        part(CapturedKind::Control),
        part(CapturedKind::Data),
    );
    let mut one = |head: &[u8], out: &mut String| {
        let word = |at, width| number(head, at, width).unwrap_or(0);
        out.push_str("{msg_name=");
        match take(&mut names, if word(0, 8) == 0 { 0 } else { word(8, 4) }) {
            [] => out.push_str("NULL"),
            name => super::form::sockaddr(name, o, out),
        }
        put!(out, ", msg_namelen={}, msg_iov=", word(8, 4));
        let mine = take(&mut vectors, word(24, 8).saturating_mul(16));
        let mut share = if many { take(&mut data, word(56, 4)) } else { data };
        iovecs(mine, &mut share, more, o, out);
        put!(out, ", msg_iovlen={}", word(24, 8));
        if word(32, 8) != 0 {
            out.push_str(", msg_control=");
            quote(take(&mut controls, word(40, 8)), o.strings, false, o.hex, out);
        }
        put!(out, ", msg_controllen={}, msg_flags=", word(40, 8));
        super::flags(&crate::flags::net::MSG, word(48, 4), out);
        out.push('}');
    };
    if many {
        list(heads.bytes.chunks_exact(64), o.elements, out, |head, out| {
            out.push_str("{msg_hdr=");
            one(head, out);
            put!(out, ", msg_len={}}}", number(head, 56, 4).unwrap_or(0));
        });
    } else {
        one(heads.bytes, out);
    }
    true
}

/// Removes the first `len` bytes from `rest` and returns them, or all bytes if there are fewer.
fn take<'a>(rest: &mut &'a [u8], len: u64) -> &'a [u8] {
    let (mine, after) = rest.split_at(rest.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
    *rest = after;
    mine
}
