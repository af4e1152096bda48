//! Compares what a call brought back with what was recorded: result, errno and every byte, by kind and layout. What cannot be equal is told by the layout's fields
//! (times, inodes, devices, ...), never by the call's name; `docs/replay-semantics.md` lists it.

mod layout;
mod listing;

pub(crate) use layout::made_up;
pub(crate) use listing::Listings;

use crate::issue::{Arguments, Scratch};
use crate::job::Issue;
use abi::{Effect, Form, Kind, Layout, Ret, Shape};
use ahash::HashMap;
use trace::record::{AT_EXIT, PieceKind};
use trace::{Call, Piece};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub what: String,
    pub expected: String,
    pub got: String,
    /// The call failed, and did not in the recording, or with another error.
    pub failed: bool,
}

impl Difference {
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), got: got.into(), failed: false }
    }
}

fn failed(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// A result as people read it.
pub(crate) fn result(value: i64) -> String {
    match value {
        -4095..0 => errno(-value as i32),
        value => value.to_string(),
    }
}

fn errno(number: i32) -> String {
    match nix::errno::Errno::from_raw(number) {
        nix::errno::Errno::UnknownErrno => format!("errno {number}"),
        known => format!("{known:?}"),
    }
}

/// What of the recorded machine can be equal here.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Owners and groups.
    pub owners: bool,
    /// Others can reach the root: what lets them act as its owner is not set on files.
    pub withhold: bool,
    /// By inode: links under names that the trace does not know, which a file does not have here.
    pub links_elsewhere: HashMap<u64, u64>,
}

/// What a call is to bring.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub ret: i64,
    pub shape: &'static Shape,
    /// The file is written through a mapping.
    pub mapped: bool,
}

impl Expected {
    /// A call that failed otherwise than recorded.
    pub fn failure(&self, got: i64) -> Option<Difference> {
        (failed(got) && got != self.ret).then(|| Difference {
            failed: true,
            ..Difference::new("result", result(self.ret), result(got))
        })
    }

    /// Compares a result by its meaning.
    pub fn compare(&self, got: i64) -> Option<Difference> {
        let same = match (failed(self.ret), failed(got)) {
            (true, true) => self.ret == got,
            (false, false) => match self.shape.ret {
                Ret::Zero | Ret::Off | Ret::Int => {
                    self.ret == got || reads_descriptor_flags(self.shape)
                }
                Ret::Bytes => self.ret == got || self.mapped,
                Ret::Count => {
                    self.ret == got || self.shape.args.iter().any(|a| counts_freely(a.kind))
                }
                Ret::Fd | Ret::Pid | Ret::Addr | Ret::Host | Ret::Never => true,
            },
            _ => false,
        };
        (!same).then(|| Difference {
            failed: failed(got),
            ..Difference::new("result", result(self.ret), result(got))
        })
    }
}

/// Compares the result of a call by its meaning.
pub(crate) fn compare_result(issue: &Issue, got: i64) -> Option<Difference> {
    issue.expected().compare(got)
}

/// Close-on-exec of a descriptor belongs to each process that inherited it; replay has one descriptor for all of them.
fn reads_descriptor_flags(shape: &Shape) -> bool {
    shape.name == "F_GETFD"
}

/// Buffers whose contents are compared as sets: how many bytes they take is the file system's affair.
fn counts_freely(kind: Kind) -> bool {
    match kind {
        Kind::Out(_, l) => {
            matches!(l.form, Form::Dirents | Form::Dirents64 | Form::Names | Form::Host)
        }
        _ => false,
    }
}

/// Compares the bytes that came back with those recorded. Listings are compared by [`Listings`].
pub(crate) fn compare_bytes(
    issue: &Issue,
    arguments: &Arguments,
    scratch: &Scratch,
    got: i64,
    rules: &Rules,
) -> Option<Difference> {
    let (call, shape) = (&issue.call, issue.shape);
    if !call.succeeded() || got < 0 {
        return None;
    }
    let rooms = |i: usize| arguments.rooms(i).iter().map(|r| scratch.bytes(*r));
    for (i, arg) in shape.args.iter().enumerate() {
        let difference = match arg.kind {
            Kind::OutIov { .. } => compare_data(data_of(call, i), || rooms(i), issue.mapped, got),
            Kind::Out(_, layout) | Kind::InOut(_, layout) if layout.form == Form::Data => {
                compare_data(data_of(call, i), || rooms(i), issue.mapped, got)
            }
            Kind::Out(_, layout) | Kind::InOut(_, layout) if shape.effect != Effect::Seek => {
                let both = come_of(call, i).zip(arguments.rooms(i).first());
                both.and_then(|(piece, room)| {
                    compare_layout(
                        issue.expected(),
                        i,
                        layout,
                        &piece.into(),
                        scratch.bytes(*room),
                        got,
                        rules,
                    )
                })
            }
            _ => None,
        };
        if difference.is_some() {
            return difference;
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

/// The recorded data that argument `i` brought.
pub(crate) fn data_of(call: &Call, i: usize) -> impl Iterator<Item = &Piece> {
    call.pieces
        .iter()
        .filter(move |p| p.arg as usize == i && p.kind == PieceKind::Data && p.flags & AT_EXIT != 0)
}

/// The struct, or another small buffer, that argument `i` brought.
pub(crate) fn come_of(call: &Call, i: usize) -> Option<&Piece> {
    call.pieces
        .iter()
        .find(|p| p.arg as usize == i && p.kind == PieceKind::Bytes && p.flags & AT_EXIT != 0)
}

/// Compares recorded data with `got` bytes that came into rooms, one after the other.
pub(crate) fn compare_data<'a, R: Iterator<Item = &'a [u8]>>(
    pieces: impl Iterator<Item = &'a Piece>,
    rooms: impl FnOnce() -> R,
    mapped: bool,
    got: i64,
) -> Option<Difference> {
    if mapped || got < 0 {
        return None;
    }
    let mut left = got as usize;
    let mut rooms = rooms();
    let mut room: &[u8] = &[];
    let mut at = 0usize;
    for piece in pieces {
        let mut recorded = piece.bytes.as_slice();
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
        // What follows a piece that was cut short is not where the next one begins.
        if (piece.bytes.len() as u64) < piece.wanted {
            return None;
        }
    }
    None
}

/// Recorded bytes, and whether they are all that there were.
pub(crate) struct Recorded<'a> {
    pub bytes: &'a [u8],
    pub whole: bool,
}

impl<'a> From<&'a Piece> for Recorded<'a> {
    fn from(piece: &'a Piece) -> Self {
        Self { bytes: piece.bytes.as_slice(), whole: piece.bytes.len() as u64 >= piece.wanted }
    }
}

/// Compares what came into the room of argument `i`, by its layout.
pub(crate) fn compare_layout(
    of: Expected,
    i: usize,
    layout: &Layout,
    recorded: &Recorded<'_>,
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
            (recorded != come && *whole).then(|| Difference::new(name, text(recorded), text(come)))
        }
        Form::Names => {
            layout::names(name, recorded, &room[..(got as usize).min(room.len())], rules)
        }
        Form::Struct | Form::Array => layout::structs(name, layout, recorded, room, rules),
    }
}

fn text(bytes: &[u8]) -> String {
    let shown: String = bytes
        .iter()
        .take(80)
        .flat_map(|b| std::ascii::escape_default(*b))
        .map(char::from)
        .collect();
    format!("\"{shown}\"{}", if bytes.len() > 80 { "..." } else { "" })
}
