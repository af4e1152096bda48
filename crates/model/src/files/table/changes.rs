//! `outside.parquet`: changes that no recorded call made. What a call found, and no earlier call
//! explains, came into being right before it.

use super::{Columns, Table, plain, properties, reader, state_columns, trouble, written, wrong};
use crate::files::row::State;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::ArrowWriter;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;
use trace::storage::Sink;

/// What an unrecorded process did to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came into being under a name that did not exist.
    Made,
    /// Another file took the place of the one that had the name.
    Replaced,
    /// The name went away, with all below it.
    Removed,
    /// Its size became another one; what lies beyond the old one is new.
    Resized,
}

impl ChangeKind {
    /// Returns the word for the change in tables and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Resized => "resized",
        }
    }
    /// Returns the kind of change with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Made, Self::Replaced, Self::Removed, Self::Resized]
            .into_iter()
            .find(|done| done.name() == name)
    }
}

/// A change that no recorded call made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// [`trace::Call::seq`] of the call that found it: it happened before that.
    pub before: u64,
    /// The last call before that one that had to do with the file.
    pub after: Option<u64>,
    /// The file's name then, as in [`super::Row::path`].
    pub path: Vec<u8>,
    /// What was done.
    pub done: ChangeKind,
    /// The number by which `initial.parquet` means the bytes that came; `None`: none came.
    pub file: Option<u32>,
    /// The size that the file had before ([`ChangeKind::Resized`]); else 0.
    pub from: u64,
    /// What stands there now; `None` if it was removed.
    pub state: Option<State>,
}

/// Writes the table.
pub fn write(file: Box<dyn Sink>, changes: &[Change]) -> io::Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns(changes).into_iter().map(|(name, array)| (name, array, true)),
    )
    .map_err(trouble)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties(changes.len())))
        .map_err(written)?;
    writer.write(&batch).map_err(written)?;
    writer.into_inner().map_err(written)?.sync()
}

/// Returns the columns of the table.
fn columns(changes: &[Change]) -> Columns {
    let wide = |get: fn(&Change) -> Option<u64>| -> ArrayRef {
        Arc::new(changes.iter().map(get).collect::<UInt64Array>())
    };
    let path: ArrayRef =
        Arc::new(changes.iter().map(|c| Some(&c.path[..])).collect::<BinaryArray>());
    let done: ArrayRef =
        Arc::new(changes.iter().map(|c| Some(c.done.name())).collect::<StringArray>());
    let file: ArrayRef = Arc::new(changes.iter().map(|c| c.file).collect::<UInt32Array>());
    let mut all: Columns = [
        ("before", wide(|c| Some(c.before))),
        ("after", wide(|c| c.after)),
        ("path", path),
        ("done", done),
        ("file", file),
        ("from", wide(|c| Some(c.from))),
    ]
    .into_iter()
    .map(|(name, array)| (name.to_owned(), array))
    .collect();
    state_columns("state", &changes.iter().map(|c| c.state.as_ref()), &mut all);
    all
}

/// Reads the table. Fails if it is damaged, or a path is not plain.
pub fn read(file: File) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for batch in reader(file)? {
        let batch = batch.map_err(trouble)?;
        let table = Table { batch: &batch };
        for i in 0..batch.num_rows() {
            let path = table.bytes("path", i)?.filter(|path| plain(path));
            let done = table.text("done", i)?.and_then(ChangeKind::by_name);
            let (Some(before), Some(path), Some(done)) = (table.u64("before", i)?, path, done)
            else {
                return Err(wrong("a change without a call, a path or a kind"));
            };
            changes.push(Change {
                before,
                after: table.u64("after", i)?,
                path: path.to_vec(),
                done,
                file: table.u32("file", i)?,
                from: table.u64("from", i)?.unwrap_or(0),
                state: table.state("state", i)?,
            });
        }
    }
    Ok(changes)
}

/// Returns how many files were changed. `late` are those that no call looked at afterwards, in
/// order.
pub fn files(changes: &[Change], late: &[Vec<u8>]) -> u64 {
    let all: BTreeSet<&[u8]> =
        changes.iter().map(|c| &c.path[..]).chain(late.iter().map(|path| &path[..])).collect();
    all.len() as u64
}

/// Describes what happened to the first few files, once for each.
pub fn told(changes: &[Change], late: &[Vec<u8>]) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut seen = BTreeSet::new();
    let name = |path: &[u8]| path.escape_ascii().to_string();
    let one = |c: &Change| {
        let when = match c.after {
            Some(after) => format!("between the calls {after} and {}", c.before),
            None => format!("before the call {}", c.before),
        };
        format!("{} was {} {when}", name(&c.path), c.done.name())
    };
    let changes = changes.iter().filter(|c| seen.insert(&c.path)).map(one).take(SHOWN);
    let late = late.iter().map(|path| format!("{} was changed after the last call", name(path)));
    changes.chain(late).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsFd;
    use trace::storage::{Disk, Storage};

    #[test]
    fn what_is_written_is_read() {
        let dir_entry = tempfile::tempdir().expect("a directory");
        let dir = open(dir_entry.path(), OFlags::RDONLY, Mode::empty()).expect("to open it");
        let change = |done, state| Change {
            before: 7,
            after: Some(3),
            path: b"/w/\xff".to_vec(),
            done,
            file: Some(9),
            from: 5,
            state,
        };
        let state = State {
            kind: crate::files::FileType::Regular,
            mode: Some(0o640),
            uid: None,
            gid: Some(4),
            size: Some(77),
            links: None,
            target: None,
            group: None,
            xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        };
        let all = [change(ChangeKind::Made, Some(state)), change(ChangeKind::Removed, None)];
        write(Disk.create(dir.as_fd(), "t").expect("a file"), &all).expect("to write it");
        let file = File::open(dir_entry.path().join("t")).expect("the file");
        assert_eq!(read(file).expect("to read it"), all);
        assert_eq!(files(&all, &[b"/w/other".to_vec()]), 2);
        assert_eq!(
            told(&all, &[b"/w/other".to_vec()]),
            [
                "/w/\\xff was made between the calls 3 and 7",
                "/w/other was changed after the last call"
            ]
        );
        let bad = [Change { path: b"/w/../etc".to_vec(), ..all[0].clone() }];
        write(Disk.create(dir.as_fd(), "u").expect("a file"), &bad).expect("to write it");
        assert!(read(File::open(dir_entry.path().join("u")).expect("the file")).is_err());
    }
}
