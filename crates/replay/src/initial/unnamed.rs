//! Files that were open when the recording began and had lost their names: here-documents, logs
//! that were rotated away, removed directories.
//!
//! Each is created in a staging directory, which the trace does not have, opened as often as the
//! recorded processes had it open, and removed with that directory before the first call: what is
//! left is an open file without a name.

use super::PrepareError;
use crate::Error;
use crate::issue::raw::{self, OPEN_FLAGS};
use crate::source::Source;
use ahash::HashMap;
use model::files::{FileType, Final, Row, State, Unnamed};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, OFlags, fstat, unlinkat};
use sandbox::Tree;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use trace::Event;
use trace::record::{Identity, RecordKind};

/// Device and inode.
type FileKey = (u64, u64);

/// Returns the path of the staging directory: a name that no row has.
fn staging(rows: &[Row]) -> Vec<u8> {
    let mut name = b"/.open-without-name".to_vec();
    while rows.binary_search_by(|row| row.path.cmp(&name)).is_ok() {
        name.push(b'_');
    }
    name
}

/// The name in the staging directory of the file with the data that unrecorded processes wrote
/// ([`super::outside`]).
const BROUGHT: &[u8] = b"/brought";

/// Returns the row of a file in the staging directory.
fn row(path: Vec<u8>, kind: FileType, size: Option<u64>) -> Row {
    let mode = if kind == FileType::Directory { 0o700 } else { 0o600 };
    let state = State { mode: Some(mode), size, ..State::of(kind) };
    Row {
        path,
        file: None,
        initial: Some(state),
        holes: Vec::new(),
        allocated: Vec::new(),
        last: Final::Absent,
    }
}

/// Returns the row of the file with the data that unrecorded processes wrote. Returns `None` if
/// there are no data.
pub(crate) fn outside_data_row(rows: &[Row], bytes: u64) -> Option<Row> {
    let path = || [&staging(rows)[..], BROUGHT].concat();
    (bytes > 0).then(|| row(path(), FileType::Regular, Some(bytes)))
}

/// Returns the rows of the manifest together with those of the staging directory.
pub(crate) fn with_staging(
    rows: &[Row],
    unnamed: Vec<Unnamed>,
    outside_data: Option<&Row>,
) -> Vec<Row> {
    let mut all = rows.to_vec();
    if unnamed.is_empty() && outside_data.is_none() {
        return all;
    }
    let staging = staging(rows);
    all.push(row(staging.clone(), FileType::Directory, None));
    all.extend(outside_data.cloned());
    all.extend(unnamed.into_iter().map(|unnamed| {
        let path = [&staging[..], &unnamed.row.path].concat();
        Row { path, ..unnamed.row }
    }));
    all
}

/// Open files without names, to be taken as the recording tells of their descriptors.
#[derive(Default)]
pub(crate) struct UnnamedFiles {
    /// By the engine's key of the open file.
    files: BTreeMap<u64, i64>,
    directories: BTreeMap<FileKey, i64>,
    /// What others brought.
    pub outside_data: Option<OwnedFd>,
}

impl UnnamedFiles {
    /// Opens the files of the staging directory, and removes the directory. `links_elsewhere` gets,
    /// for each inode, the links that the recorded file had and this one does not have.
    pub fn open(
        source: &dyn Source,
        rows: &[Row],
        outside_data: Option<&Row>,
        root: &Path,
        links_elsewhere: &mut HashMap<u64, u64>,
    ) -> Result<Self, Error> {
        let unnamed = source.unnamed().map_err(Error::Trace)?;
        let mut unnamed_files = Self::default();
        if unnamed.is_empty() && outside_data.is_none() {
            return Ok(unnamed_files);
        }
        let staging = staging(rows);
        let removing = |e| {
            let path = trace::text::escape(&staging);
            Error::Prepare(PrepareError::Make { what: "removing", path, source: e })
        };
        if let Some(row) = outside_data {
            let mut tree = Tree::open(root).map_err(removing)?;
            // It is gone if calls were performed in this root before.
            unnamed_files.outside_data = tree.get(&row.path, OFlags::RDONLY).ok();
            if unnamed_files.outside_data.is_some() {
                let (dir, name) = tree.parent(&row.path).map_err(removing)?;
                unlinkat(dir, name, AtFlags::empty()).map_err(|e| removing(e.into()))?;
            }
        }
        let paths: BTreeMap<FileKey, Vec<u8>> =
            unnamed.iter().map(|u| (u.key, [&staging[..], &u.row.path].concat())).collect();
        for event in source.events().map_err(Error::Trace)? {
            unnamed_files.open_from_event(&event.map_err(Error::Trace)?, &paths);
        }
        unnamed_files
            .remove_staging(&unnamed, &paths, &staging, root, links_elsewhere)
            .map_err(removing)?;
        Ok(unnamed_files)
    }

    /// Opens the nameless file that an event of the start refers to: a descriptor, or a working
    /// directory.
    fn open_from_event(&mut self, event: &Event, paths: &BTreeMap<FileKey, Vec<u8>>) {
        match event.kind {
            RecordKind::Descriptor if !event.is_mapping() => {
                let Some(((identity, _), path)) =
                    nameless(event, 0).and_then(|it| Some((it, paths.get(&key(&it.0))?)))
                else {
                    return;
                };
                self.files
                    .entry(event.args[2])
                    .or_insert_with(|| raw::open(path, identity.status & OPEN_FLAGS));
            }
            RecordKind::State => {
                let directory = nameless(event, abi::plan::WORKING_DIRECTORY).map(|it| key(&it.0));
                if let Some((key, path)) = directory.and_then(|key| Some((key, paths.get(&key)?))) {
                    self.directories.entry(key).or_insert_with(|| raw::open_directory(path));
                }
            }
            _ => {}
        }
    }

    /// Removes the names of the staging directory and the directory itself, and counts the links
    /// that files have lost.
    fn remove_staging(
        &self,
        unnamed: &[Unnamed],
        paths: &BTreeMap<FileKey, Vec<u8>>,
        staging: &[u8],
        root: &Path,
        links_elsewhere: &mut HashMap<u64, u64>,
    ) -> io::Result<()> {
        let mut tree = Tree::open(root)?;
        for file in unnamed {
            let (Some(state), Some(path)) = (&file.row.initial, paths.get(&file.key)) else {
                continue;
            };
            let Ok(fd) = tree.get(path, OFlags::PATH) else { continue };
            let directory = state.kind == FileType::Directory;
            let (dir, name) = tree.parent(path)?;
            unlinkat(dir, name, if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() })?;
            let stat = fstat(&fd)?;
            if let Some(links) = state.links.filter(|_| !directory) {
                let elsewhere = u64::from(links).saturating_sub(stat.st_nlink);
                if elsewhere > 0 {
                    links_elsewhere.insert(stat.st_ino, elsewhere);
                } else {
                    links_elsewhere.remove(&stat.st_ino);
                }
            }
        }
        match tree
            .parent(staging)
            .and_then(|(dir, name)| Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?))
        {
            // It was removed by a replay in this root before.
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Returns the descriptor for the open file of a `Descriptor` event. Returns `None` if the file
    /// has a name.
    pub fn file(&mut self, event: &Event) -> Option<i64> {
        nameless(event, 0)?;
        self.files.remove(&event.args[2])
    }

    /// Returns the descriptor for the working directory of a `State` event. Returns `None` if the
    /// directory has a name.
    pub fn directory(&self, event: &Event) -> Option<i64> {
        let (identity, _) = nameless(event, abi::plan::WORKING_DIRECTORY)?;
        let fd = i32::try_from(*self.directories.get(&key(&identity))?).ok()?;
        Some(raw::dup(fd, true))
    }
}

/// Returns the identity and path of the file of an event, if the file had lost its name.
fn nameless(event: &Event, arg: u8) -> Option<(Identity, &[u8])> {
    event.identity(arg).filter(|(identity, path)| identity.lost_name(path).is_some())
}

/// Returns the device and inode by which the file is found.
fn key(identity: &Identity) -> FileKey {
    (identity.dev, identity.ino)
}
