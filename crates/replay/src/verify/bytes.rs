//! The one place where bytes that a call brought back are compared with those recorded.

use super::{Expected, Mismatch, Rules, layout, show_bytes};
use abi::{Effect, Form, Kind, Layout};
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload};

/// Recorded bytes, and whether they are all that there were.
#[derive(Clone, Copy)]
pub(crate) struct RecordedBytes<'a> {
    pub bytes: &'a [u8],
    pub complete: bool,
}

impl<'a> From<&'a Payload> for RecordedBytes<'a> {
    fn from(payload: &'a Payload) -> Self {
        Self {
            bytes: payload.bytes.as_slice(),
            complete: payload.bytes.len() as u64 >= payload.wanted,
        }
    }
}

/// Returns the payloads that the kernel wrote to argument `i` of a call: data, or (`structured`) a
/// struct or another small buffer.
pub(crate) fn output_payloads(
    call: &Call,
    i: usize,
    structured: bool,
) -> impl Iterator<Item = &Payload> {
    let kind = if structured { PayloadKind::Bytes } else { PayloadKind::Data };
    let here = move |p: &&Payload| usize::from(p.arg) == i && p.kind == kind;
    call.payloads.iter().filter(move |p| here(p) && p.flags & AT_EXIT != 0)
}

/// Compares everything that a call returned in memory. `buffers` returns the bytes that came back
/// in an argument's buffers. Listings of directories are compared by [`super::Listings`] instead.
pub(crate) fn compare_outputs<'a, R: Iterator<Item = &'a [u8]>>(
    call: &Call,
    of: Expected,
    buffers: impl Fn(usize) -> R,
    got: i64,
    rules: &Rules,
) -> Option<Mismatch> {
    if !call.succeeded() {
        return None;
    }
    of.spec.args.iter().enumerate().find_map(|(i, arg)| {
        let structured = match arg.kind {
            Kind::OutIov { .. } => false,
            Kind::Out(_, layout) | Kind::InOut(_, layout) => layout.form != Form::Data,
            _ => return None,
        };
        let recorded = output_payloads(call, i, structured).map(RecordedBytes::from);
        compare_argument(of, i, recorded, buffers(i), got, rules)
    })
}

/// Compares what one argument returned: the recorded payloads with the buffers that came back, in
/// order.
pub(crate) fn compare_argument<'a, 'b>(
    of: Expected,
    i: usize,
    mut recorded: impl Iterator<Item = RecordedBytes<'a>>,
    mut buffers: impl Iterator<Item = &'b [u8]>,
    got: i64,
    rules: &Rules,
) -> Option<Mismatch> {
    if got < 0 {
        return None;
    }
    match of.spec.args[i].kind {
        Kind::Out(_, layout) | Kind::InOut(_, layout) if layout.form != Form::Data => {
            if of.spec.effect == Effect::Seek {
                return None;
            }
            let (recorded, buffer) = recorded.next().zip(buffers.next())?;
            compare_layout(of, i, layout, recorded, buffer, got, rules)
        }
        _ if of.unseen_writes => None,
        _ => compare_data(recorded, buffers, got as usize),
    }
}

/// Compares recorded data with the first `left` bytes of the buffers.
fn compare_data<'a, 'b>(
    payloads: impl Iterator<Item = RecordedBytes<'a>>,
    mut buffers: impl Iterator<Item = &'b [u8]>,
    mut left: usize,
) -> Option<Mismatch> {
    let mut buffer: &[u8] = &[];
    let mut at = 0usize;
    for RecordedBytes { bytes: mut recorded, complete } in payloads {
        while !recorded.is_empty() && left > 0 {
            if buffer.is_empty() {
                buffer = buffers.next()?;
                if buffer.is_empty() {
                    continue;
                }
            }
            let n = recorded.len().min(buffer.len()).min(left);
            if let Some(difference) = first_difference(at, &recorded[..n], &buffer[..n]) {
                return Some(difference);
            }
            recorded = &recorded[n..];
            buffer = &buffer[n..];
            left -= n;
            at += n;
        }
        // What follows a payload that was cut short is not where the next one begins.
        if !complete {
            return None;
        }
    }
    None
}

/// Returns the first byte in which two pieces of data differ. They begin at byte `at` of all data
/// of the call.
pub(crate) fn first_difference(at: usize, recorded: &[u8], got: &[u8]) -> Option<Mismatch> {
    if recorded == got {
        return None;
    }
    let first = recorded.iter().zip(got).position(|(a, b)| a != b).unwrap_or(0);
    let show = |bytes: &[u8]| {
        bytes[first..].iter().take(16).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    };
    Some(Mismatch::new(format!("byte {} of the data", at + first), show(recorded), show(got)))
}

/// Compares what came back in the buffer of argument `i`, as its layout says.
fn compare_layout(
    of: Expected,
    i: usize,
    layout: &Layout,
    recorded: RecordedBytes<'_>,
    buffer: &[u8],
    got: i64,
    rules: &Rules,
) -> Option<Mismatch> {
    let (Expected { spec, ret, .. }, RecordedBytes { bytes: recorded, complete }) = (of, recorded);
    let name = spec.args[i].name;
    match layout.form {
        Form::Data
        | Form::Host
        | Form::Fds
        | Form::Dirents
        | Form::Dirents64
        | Form::Sockaddr
        | Form::SocketName
        | Form::BitSet => None,
        Form::Opaque => {
            let n = recorded.len().min(buffer.len());
            (recorded[..n] != buffer[..n])
                .then(|| Mismatch::new(name, show_bytes(&recorded[..n]), show_bytes(&buffer[..n])))
        }
        Form::Text => {
            let got = &buffer[..(got as usize).min(buffer.len())];
            let recorded = &recorded[..recorded.len().min(ret.max(0) as usize)];
            let got = &got[..got.len().min(recorded.len().max(got.len()))];
            (recorded != got && complete)
                .then(|| Mismatch::new(name, show_bytes(recorded), show_bytes(got)))
        }
        Form::Names => layout::compare_names(
            name,
            recorded,
            &buffer[..(got as usize).min(buffer.len())],
            rules,
        ),
        Form::Struct | Form::Array => {
            layout::compare_structs(name, layout, recorded, buffer, rules)
        }
    }
}
