//! The one place where bytes that a call brought back are compared with those recorded.

use super::{Difference, Expected, Rules, layout, text};
use abi::{Effect, Form, Kind, Layout};
use trace::record::{AT_EXIT, PayloadKind};
use trace::{Call, Payload};

/// Recorded bytes, and whether they are all that there were.
#[derive(Clone, Copy)]
pub(crate) struct Recorded<'a> {
    pub bytes: &'a [u8],
    pub whole: bool,
}

impl<'a> From<&'a Payload> for Recorded<'a> {
    fn from(payload: &'a Payload) -> Self {
        Self {
            bytes: payload.bytes.as_slice(),
            whole: payload.bytes.len() as u64 >= payload.wanted,
        }
    }
}

/// What argument `i` of a call brought: payloads of data, or (`clean`) a struct or another small
/// buffer.
pub(crate) fn brought(call: &Call, i: usize, clean: bool) -> impl Iterator<Item = &Payload> {
    let kind = if clean { PayloadKind::Bytes } else { PayloadKind::Data };
    let here = move |p: &&Payload| usize::from(p.arg) == i && p.kind == kind;
    call.payloads.iter().filter(move |p| here(p) && p.flags & AT_EXIT != 0)
}

/// Compares all that a call brought. `rooms` gives the bytes that came back into an argument's
/// buffers. Listings are compared by [`super::Listings`].
pub(crate) fn compare_bytes<'a, R: Iterator<Item = &'a [u8]>>(
    call: &Call,
    of: Expected,
    rooms: impl Fn(usize) -> R,
    got: i64,
    rules: &Rules,
) -> Option<Difference> {
    if !call.succeeded() {
        return None;
    }
    of.shape.args.iter().enumerate().find_map(|(i, arg)| {
        let clean = match arg.kind {
            Kind::OutIov { .. } => false,
            Kind::Out(_, layout) | Kind::InOut(_, layout) => layout.form != Form::Data,
            _ => return None,
        };
        let recorded = brought(call, i, clean).map(Recorded::from);
        compare_argument(of, i, recorded, rooms(i), got, rules)
    })
}

/// Compares what one argument brought: recorded payloads with the buffers that came back, one after
/// the other.
pub(crate) fn compare_argument<'a, 'b>(
    of: Expected,
    i: usize,
    mut recorded: impl Iterator<Item = Recorded<'a>>,
    mut rooms: impl Iterator<Item = &'b [u8]>,
    got: i64,
    rules: &Rules,
) -> Option<Difference> {
    if got < 0 {
        return None;
    }
    match of.shape.args[i].kind {
        Kind::Out(_, layout) | Kind::InOut(_, layout) if layout.form != Form::Data => {
            if of.shape.effect == Effect::Seek {
                return None;
            }
            let (recorded, room) = recorded.next().zip(rooms.next())?;
            compare_layout(of, i, layout, recorded, room, got, rules)
        }
        _ if of.mapped => None,
        _ => compare_data(recorded, rooms, got as usize),
    }
}

/// Compares recorded data with the first `left` bytes that came into rooms.
fn compare_data<'a, 'b>(
    payloads: impl Iterator<Item = Recorded<'a>>,
    mut rooms: impl Iterator<Item = &'b [u8]>,
    mut left: usize,
) -> Option<Difference> {
    let mut room: &[u8] = &[];
    let mut at = 0usize;
    for Recorded { bytes: mut recorded, whole } in payloads {
        while !recorded.is_empty() && left > 0 {
            if room.is_empty() {
                room = rooms.next()?;
                if room.is_empty() {
                    continue;
                }
            }
            let n = recorded.len().min(room.len()).min(left);
            if let Some(difference) = differing(at, &recorded[..n], &room[..n]) {
                return Some(difference);
            }
            recorded = &recorded[n..];
            room = &room[n..];
            left -= n;
            at += n;
        }
        // What follows a payload that was cut short is not where the next one begins.
        if !whole {
            return None;
        }
    }
    None
}

/// Where two stretches of data differ that begin at byte `at` of what the call moved.
pub(crate) fn differing(at: usize, recorded: &[u8], come: &[u8]) -> Option<Difference> {
    if recorded == come {
        return None;
    }
    let first = recorded.iter().zip(come).position(|(a, b)| a != b).unwrap_or(0);
    let show = |bytes: &[u8]| {
        bytes[first..].iter().take(16).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    };
    Some(Difference::new(format!("byte {} of the data", at + first), show(recorded), show(come)))
}

/// Compares what came into the room of argument `i`, by its layout.
fn compare_layout(
    of: Expected,
    i: usize,
    layout: &Layout,
    recorded: Recorded<'_>,
    room: &[u8],
    got: i64,
    rules: &Rules,
) -> Option<Difference> {
    let (Expected { shape, ret, .. }, Recorded { bytes: recorded, whole }) = (of, recorded);
    let name = shape.args[i].name;
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
            let n = recorded.len().min(room.len());
            (recorded[..n] != room[..n])
                .then(|| Difference::new(name, text(&recorded[..n]), text(&room[..n])))
        }
        Form::Text => {
            let come = &room[..(got as usize).min(room.len())];
            let recorded = &recorded[..recorded.len().min(ret.max(0) as usize)];
            let come = &come[..come.len().min(recorded.len().max(come.len()))];
            (recorded != come && whole).then(|| Difference::new(name, text(recorded), text(come)))
        }
        Form::Names => {
            layout::names(name, recorded, &room[..(got as usize).min(room.len())], rules)
        }
        Form::Struct | Form::Array => layout::structs(name, layout, recorded, room, rules),
    }
}
