//! Prints the arguments of a call, each by its kind.

use super::{Captured, CapturedKind, Options, formed, list, message, put, quote, scalar};
use crate::kind::Pointee;
use crate::{CallSpec, FieldKind, Form, Kind, Layout, OpenFlags, Ret, Role};

/// Appends the arguments of a call to `out`, separated by commas.
pub fn arguments(
    spec: &CallSpec,
    args: &[u64; 6],
    captured: &impl Captured,
    o: &Options,
    out: &mut String,
) {
    let shown = if needs_mode(spec, args) { spec.args } else { &spec.args[..spec.args.len() - 1] };
    for (i, (arg, raw)) in shown.iter().zip(args).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        // Where something is mapped from reads best beside addresses.
        let kind =
            if spec.ret == Ret::Addr && arg.kind == Kind::Off { Kind::Hex } else { arg.kind };
        argument(kind, arg.name, i as u8, *raw, captured, o, out);
    }
}

/// Appends the six argument registers of a call that the table does not have, in hexadecimal.
pub fn unknown(args: &[u64; 6], out: &mut String) {
    for (i, raw) in args.iter().enumerate() {
        put!(out, "{}{raw:#x}", if i > 0 { ", " } else { "" });
    }
}

/// Returns whether the last argument is printed. The mode of an open is only meaningful if the
/// flags may create a file.
fn needs_mode(spec: &CallSpec, args: &[u64; 6]) -> bool {
    let [.., last] = spec.args else { return true };
    let creates = u64::from(
        linux_raw_sys::general::O_CREAT
            | linux_raw_sys::general::O_TMPFILE & !linux_raw_sys::general::O_DIRECTORY,
    );
    let flags = spec.args.iter().find_map(|a| match a.kind {
        Kind::Path(p) => match p.role {
            Role::Open(OpenFlags::Arg(n)) => Some(args[n as usize]),
            _ => None,
        },
        _ => None,
    });
    last.kind != Kind::Mode || flags.is_none_or(|f| f & creates != 0)
}

/// Appends one argument: what it points to if that was captured, else its value.
fn argument(
    kind: Kind,
    name: &str,
    arg: u8,
    raw: u64,
    captured: &impl Captured,
    o: &Options,
    out: &mut String,
) {
    let string = |most, out: &mut String| {
        let payload = captured.payload(arg, CapturedKind::String, false);
        payload.map(|p| quote(p.bytes, most, p.more, o.hex, out)).is_some()
    };
    let done = match kind.pointee() {
        Pointee::Nothing => false,
        Pointee::String if kind == Kind::Str => string(o.strings, out),
        Pointee::String => string(usize::MAX, out),
        Pointee::Strings => strings(name, arg, raw, captured, o, out),
        Pointee::Buffer(_, _, layout) => buffer(layout, arg, raw, captured, o, out),
        Pointee::Iovecs { .. } => message::vectors(captured, arg, o, out),
        Pointee::Message(_) => message::messages(captured, arg, false, o, out),
        Pointee::Messages(..) => message::messages(captured, arg, true, o, out),
        Pointee::Iocbs { .. } => {
            let payload = captured.payload(arg, CapturedKind::Iocbs, false);
            payload.map(|p| formed(&crate::layout::IOCB, p, o, out)).is_some()
        }
    };
    if !done {
        scalar(kind, raw, out);
        if let Some(note) =
            matches!(kind, Kind::Fd | Kind::DirFd).then(|| captured.note(arg)).flatten()
        {
            put!(out, "<{note}>");
        }
    }
}

/// Appends a vector of strings as `["ls", "-l"]`, or the number of variables in an environment
/// unless all is printed. Returns false if nothing was captured.
fn strings(
    name: &str,
    arg: u8,
    raw: u64,
    captured: &impl Captured,
    o: &Options,
    out: &mut String,
) -> bool {
    let Some(payload) = captured.payload(arg, CapturedKind::StrVec, false) else { return false };
    let count = payload.bytes.iter().filter(|b| **b == 0).count();
    if name == "envp" && !o.whole {
        put!(out, "{raw:#x} /* {count} vars */");
    } else {
        let inner = payload.bytes.strip_suffix(b"\0").unwrap_or(payload.bytes).split(|b| *b == 0);
        list(inner.take(count), o.elements, out, |word, out| {
            quote(word, o.strings, false, o.hex, out);
        });
    }
    true
}

/// Appends what a pointer leads to: its content at entry, at return, or `[before => after]` if they
/// differ. Returns false if nothing was captured.
fn buffer(
    layout: &Layout,
    arg: u8,
    raw: u64,
    captured: &impl Captured,
    o: &Options,
    out: &mut String,
) -> bool {
    if let Some(entries) = (!o.whole).then(|| listed(layout, arg, captured)).flatten() {
        put!(out, "{raw:#x} /* {entries} entries */");
        return true;
    }
    let part = if layout.form == Form::Data { CapturedKind::Data } else { CapturedKind::Bytes };
    match (captured.payload(arg, part, false), captured.payload(arg, part, true)) {
        (Some(before), Some(after)) if before.bytes != after.bytes => {
            out.push('[');
            formed(layout, before, o, out);
            out.push_str(" => ");
            formed(layout, after, o, out);
            out.push(']');
        }
        // A number that is pointed to, as strace shows it.
        (Some(payload), _) | (None, Some(payload)) if is_number(layout) => {
            out.push('[');
            formed(layout, payload, o, out);
            out.push(']');
        }
        (Some(payload), _) | (None, Some(payload)) => formed(layout, payload, o, out),
        (None, None) => return false,
    }
    true
}

/// Returns whether the layout is a single number without a name. It is printed in brackets; a
/// signal set has its own.
fn is_number(layout: &Layout) -> bool {
    match layout.fields {
        [field] => {
            field.name.is_empty()
                && layout.form == Form::Struct
                && !matches!(field.kind, FieldKind::Flags(_))
        }
        _ => false,
    }
}

/// Returns the number of directory entries that were captured, or `None` if the layout has none.
fn listed(layout: &Layout, arg: u8, captured: &impl Captured) -> Option<usize> {
    let head = super::form::entry_head(layout)?;
    let payload = captured.payload(arg, CapturedKind::Bytes, true)?;
    Some(super::form::entries(payload.bytes, head).count())
}
