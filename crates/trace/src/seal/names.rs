//! The columns that people ask for: the call's name, the file behind a descriptor, absolute paths, the offset. Derived from what is stored losslessly beside them.

use super::window::Row;
use crate::journal::Pieces;
use crate::record::{COMPAT, Header, Identity, NO_EXIT, PieceKind};
use abi::{Kind, Ret, Shape};
use std::collections::HashMap;
use zerocopy::FromBytes;

/// Answers about one row.
#[derive(Default)]
pub(super) struct Name<'a> {
    pub call: &'a str,
    pub variant: Option<&'a str>,
    pub error: Option<&'a str>,
    pub fd: Option<i32>,
    pub file: Option<String>,
    pub path: Option<String>,
    pub path2: Option<String>,
    pub offset: Option<i64>,
    pub bytes: Option<i64>,
}

/// Finds the answers.
#[derive(Default)]
pub(super) struct Names {
    unknown: HashMap<u32, String>,
}

impl Names {
    /// The answers about `row`, whose pieces are `pieces` (data pieces without their bytes).
    pub fn of(&mut self, row: &Row, pieces: &[u8]) -> Name<'_> {
        let header = &row.header;
        let known = if header.flags & COMPAT == 0 { abi::by_number(header.nr) } else { None };
        let Some(known) = known else {
            let compat = if header.flags & COMPAT == 0 { "" } else { "compat_" };
            let call = self.unknown.entry(header.nr ^ u32::from(header.flags & COMPAT) << 24).or_insert_with(|| format!("{compat}syscall_{}", header.nr));
            return Name { call, error: error(header), ..Name::default() };
        };
        let shape = known.shape(&header.args);
        let mut paths = shape.args.iter().enumerate().filter(|(_, a)| matches!(a.kind, Kind::Path(_))).map(|(i, _)| string(pieces, i as u8));
        Name {
            call: known.name(),
            variant: (shape.name != known.name()).then_some(shape.name),
            error: error(header),
            fd: descriptor(header, shape),
            file: file(pieces),
            path: paths.next().flatten(),
            path2: paths.next().flatten(),
            offset: None,
            bytes: (shape.ret == Ret::Bytes && header.flags & NO_EXIT == 0 && header.ret >= 0).then_some(header.ret),
        }
    }
}

fn error(header: &Header) -> Option<&'static str> {
    let failed = header.flags & NO_EXIT == 0 && (-4095..0).contains(&header.ret);
    failed.then(|| abi::errno_name(-header.ret as i32).unwrap_or("unknown"))
}

/// The first descriptor among the arguments, else the one that the call returned.
fn descriptor(header: &Header, shape: &Shape) -> Option<i32> {
    let argument = shape.args.iter().position(|a| a.kind == Kind::Fd).map(|i| header.args[i] as i32);
    argument.or_else(|| (shape.ret == Ret::Fd && header.flags & NO_EXIT == 0 && header.ret >= 0).then_some(header.ret as i32))
}

/// The pieces of a row as `pieces` holds them.
fn stored(pieces: &[u8]) -> impl Iterator<Item = (crate::record::PieceHeader, &[u8])> {
    Pieces::without_data(pieces)
}

fn string(pieces: &[u8], arg: u8) -> Option<String> {
    stored(pieces).find(|(h, _)| h.arg == arg && h.kind == PieceKind::String as u8).map(|(_, bytes)| crate::text::escape(bytes))
}

fn file(pieces: &[u8]) -> Option<String> {
    let (_, bytes) = stored(pieces).find(|(h, _)| h.arg == abi::plan::RESULT && h.kind == PieceKind::Identity as u8)?;
    Identity::read_from_prefix(bytes).ok().map(|(_, path)| crate::text::escape(path))
}
