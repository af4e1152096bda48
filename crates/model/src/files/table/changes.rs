//! `outside.parquet`: changes of files by processes that were not recorded. Such a change is found
//! by a call that no earlier call explains; it is taken to have happened right before that call.

use super::{
    BatchReader, Columns, damaged_manifest, invalid_data, is_plain, open_table, state_columns,
    write_error, writer_properties,
};
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
    /// A file appeared at a name that did not exist.
    Made,
    /// Another file replaced the one that had the name.
    Replaced,
    /// The name was removed, with all below it.
    Removed,
    /// The size of the file changed. Bytes beyond the old size are new.
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
            .find(|kind| kind.name() == name)
    }
}

/// A change of a file by a process that was not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// [`trace::Call::seq`] of the call that found the change, which happened before this call.
    pub before: u64,
    /// [`trace::Call::seq`] of the last call before that used the file. The change happened after
    /// it.
    pub after: Option<u64>,
    /// The path of the file at that time, as in [`super::Row::path`].
    pub path: Vec<u8>,
    /// What was done.
    pub done: ChangeKind,
    /// The id by which `initial.parquet` refers to the new bytes; `None`: there are none.
    pub file: Option<u32>,
    /// The offset of the first new byte: if the file grew ([`ChangeKind::Resized`]), its size
    /// before; else 0.
    pub from: u64,
    /// The file after the change; `None` if it was removed.
    pub state: Option<State>,
}

/// Writes `outside.parquet` and syncs it.
pub fn write(file: Box<dyn Sink>, changes: &[Change]) -> io::Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns(changes).into_iter().map(|(name, array)| (name, array, true)),
    )
    .map_err(invalid_data)?;
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(writer_properties(changes.len())))
            .map_err(write_error)?;
    writer.write(&batch).map_err(write_error)?;
    writer.into_inner().map_err(write_error)?.sync()
}

/// Builds the columns of `outside.parquet`.
fn columns(changes: &[Change]) -> Columns {
    let u64_column = |get: fn(&Change) -> Option<u64>| -> ArrayRef {
        Arc::new(changes.iter().map(get).collect::<UInt64Array>())
    };
    let path: ArrayRef =
        Arc::new(changes.iter().map(|c| Some(&c.path[..])).collect::<BinaryArray>());
    let kind: ArrayRef =
        Arc::new(changes.iter().map(|c| Some(c.done.name())).collect::<StringArray>());
    let file: ArrayRef = Arc::new(changes.iter().map(|c| c.file).collect::<UInt32Array>());
    let mut columns: Columns = [
        ("before", u64_column(|c| Some(c.before))),
        ("after", u64_column(|c| c.after)),
        ("path", path),
        ("done", kind),
        ("file", file),
        ("from", u64_column(|c| Some(c.from))),
    ]
    .into_iter()
    .map(|(name, array)| (name.to_owned(), array))
    .collect();
    state_columns("state", &changes.iter().map(|c| c.state.as_ref()), &mut columns);
    columns
}

/// Reads `outside.parquet`. Fails if it is damaged, or a path is not plain ([`super::is_plain`]).
pub fn read(file: File) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for batch in open_table(file)? {
        let batch = batch.map_err(invalid_data)?;
        let reader = BatchReader { batch: &batch };
        for i in 0..batch.num_rows() {
            let path = reader.bytes("path", i)?.filter(|path| is_plain(path));
            let done = reader.text("done", i)?.and_then(ChangeKind::by_name);
            let (Some(before), Some(path), Some(done)) = (reader.u64("before", i)?, path, done)
            else {
                return Err(damaged_manifest("a change without a call, a path or a kind"));
            };
            changes.push(Change {
                before,
                after: reader.u64("after", i)?,
                path: path.to_vec(),
                done,
                file: reader.u32("file", i)?,
                from: reader.u64("from", i)?.unwrap_or(0),
                state: reader.state("state", i)?,
            });
        }
    }
    Ok(changes)
}

/// Returns how many files were changed. `late` are the paths of files that were changed after the
/// last call that looked at them.
pub fn count_files(changes: &[Change], late: &[Vec<u8>]) -> u64 {
    let paths: BTreeSet<&[u8]> =
        changes.iter().map(|c| &c.path[..]).chain(late.iter().map(|path| &path[..])).collect();
    paths.len() as u64
}

/// Describes the changes of the first three changed files, one text for each file: in `changes`,
/// then in `late`, the paths of files that were changed after the last call.
pub fn describe_first(changes: &[Change], late: &[Vec<u8>]) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut described = BTreeSet::new();
    let escaped = |path: &[u8]| path.escape_ascii().to_string();
    let describe = |c: &Change| {
        let when = match c.after {
            Some(after) => format!("between the calls {after} and {}", c.before),
            None => format!("before the call {}", c.before),
        };
        format!("{} was {} {when}", escaped(&c.path), c.done.name())
    };
    let changes = changes.iter().filter(|c| described.insert(&c.path)).map(describe).take(SHOWN);
    let late = late.iter().map(|path| format!("{} was changed after the last call", escaped(path)));
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
        let place = tempfile::tempdir().expect("a directory");
        let dir = open(place.path(), OFlags::RDONLY, Mode::empty()).expect("to open it");
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
        let file = File::open(place.path().join("t")).expect("the file");
        assert_eq!(read(file).expect("to read it"), all);
        assert_eq!(count_files(&all, &[b"/w/other".to_vec()]), 2);
        assert_eq!(
            describe_first(&all, &[b"/w/other".to_vec()]),
            [
                "/w/\\xff was made between the calls 3 and 7",
                "/w/other was changed after the last call"
            ]
        );
        let bad = [Change { path: b"/w/../etc".to_vec(), ..all[0].clone() }];
        write(Disk.create(dir.as_fd(), "u").expect("a file"), &bad).expect("to write it");
        assert!(read(File::open(place.path().join("u")).expect("the file")).is_err());
    }
}
