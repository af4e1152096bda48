//! Manifests and traces made by hand.

use super::*;
use ::model::files::Final;
use trace::record::PayloadKind;
use trace::{Buffer, Call, Payload};

/// A name that stood there at first.
pub fn row(path: &str, kind: FileType) -> Row {
    let state = State::of(kind);
    let path = path.as_bytes().to_vec();
    let mode = match kind {
        FileType::Directory => Some(0o755),
        FileType::Regular | FileType::Fifo => Some(0o644),
        _ => None,
    };
    let size = (kind == FileType::Regular).then_some(0);
    Row {
        path,
        file: None,
        initial: Some(State { mode, size, ..state }),
        holes: Vec::new(),
        allocated: Vec::new(),
        last: Final::Absent,
    }
}

/// A file that stood there at first.
pub fn file(path: &str, content: &[u8], number: u32) -> Row {
    let mut row = row(path, FileType::Regular);
    row.file = Some(number);
    row.initial.as_mut().unwrap().size = Some(content.len() as u64);
    row
}

/// A call that moved these bytes.
pub fn call(seq: u64, bytes: &[u8]) -> Call {
    let payload = Payload {
        arg: 1,
        kind: PayloadKind::Data,
        flags: 0,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: Buffer::from(bytes),
    };
    Call {
        seq,
        entered: seq,
        exited: Some(seq),
        pid: 1,
        tid: 1,
        nr: 0,
        flags: 0,
        args: [0; 6],
        ret: bytes.len() as i64,
        fd_snapshot: Default::default(),
        payloads: vec![payload],
    }
}

/// Makes a tree whose files were read whole, by one call each.
pub fn make(
    rows: &[Row],
    contents: &[(u32, &[u8])],
    root: &Path,
) -> Result<CreatedFiles, PrepareError> {
    let origin = |(i, (file, bytes)): (usize, &(u32, &[u8]))| {
        Ok(Origin { file: *file, offset: 0, len: bytes.len() as u64, seq: i as u64, at: 0 })
    };
    let items = || {
        Ok(contents.iter().enumerate().map(|(i, (_, bytes))| Ok(Item::Call(call(i as u64, bytes)))))
    };
    prepare_from(
        rows,
        None,
        Contents {
            copied: std::iter::empty(),
            origins: contents.iter().enumerate().map(origin),
            items,
        },
        root,
        CreateOptions::default(),
        &crate::Quiet,
    )
}
