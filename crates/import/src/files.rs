//! Which file a path leads to, as far as the calls show. Each file gets an inode number of our own,
//! so that replay knows which paths lead to the same file.

use super::moves::Moves;
use super::tree::{File, Tree};
use abi::{CallSpec, FieldKind, Kind, Role};
use linux_raw_sys::general;
use linux_raw_sys::general::{
    O_CREAT, O_DIRECTORY, O_EXCL, O_TMPFILE, O_TRUNC, S_IFDIR, S_IFMT, S_IFREG,
};
use model::processes::{Operands, lexical};
use trace::Call;
use trace::record::{Identity, SYNTHETIC};

/// `statfs.f_type` of proc: files there are not stored.
const PROC: u32 = general::PROC_SUPER_MAGIC;

/// The files by path.
#[derive(Default)]
pub(super) struct Files {
    by_path: Tree,
    /// The last inode number that a file got.
    last_inode: u64,
    /// Returned if a file was added, but is not found.
    fallback: File,
    /// Renames that were not recorded.
    pub moves: Moves,
}

impl Files {
    /// Returns the file at a clean path. Adds one if none is known.
    fn get_or_add(&mut self, path: &[u8]) -> &mut File {
        if self.by_path.get_file(path).is_none() {
            self.last_inode += 1;
            self.by_path.insert_file(path, File { inode: self.last_inode, ..File::default() });
        }
        self.by_path.get_file(path).unwrap_or(&mut self.fallback)
    }

    /// Returns the identity of the file that an open of `path` (absolute, not necessarily clean)
    /// with these flags leads to, as far as it can be inferred, and the clean path. Adds the file
    /// if it is not known.
    pub fn infer_opened(&mut self, path: &[u8], flags: u32) -> (Identity, Vec<u8>) {
        let clean_path = lexical(path);
        if [&b"/proc"[..], b"/sys", b"/dev"].iter().any(|virtual_root| {
            clean_path
                .strip_prefix(*virtual_root)
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        }) && !clean_path.starts_with(b"/dev/shm/")
        {
            return (
                Identity {
                    dev: 2,
                    mode: S_IFREG,
                    links: 1,
                    fs_type: PROC,
                    created: SYNTHETIC,
                    ..Identity::default()
                },
                clean_path,
            );
        }
        // O_TMPFILE makes a file without a name in this directory.
        if flags & O_TMPFILE == O_TMPFILE {
            return self.infer_unlinked(&[&clean_path, &b"/#"[..]].concat());
        }
        let names_directory = path.ends_with(b"/")
            || path.ends_with(b"/.")
            || path.ends_with(b"/..")
            || clean_path == b"/";
        let file = self.get_or_add(&clean_path);
        file.is_directory |= flags & O_DIRECTORY != 0 || names_directory;
        if flags & O_TRUNC != 0 {
            file.size = 0;
        }
        let mode = if file.is_directory { S_IFDIR } else { S_IFREG };
        (
            Identity {
                dev: 1,
                ino: file.inode,
                size: file.size,
                links: 1,
                mode,
                created: SYNTHETIC,
                ..Identity::default()
            },
            clean_path,
        )
    }

    /// Returns the identity of a new file that has no name any more, and the clean form of the path
    /// that it had.
    pub fn infer_unlinked(&mut self, path: &[u8]) -> (Identity, Vec<u8>) {
        self.last_inode += 1;
        let identity = Identity {
            dev: 1,
            ino: self.last_inode,
            mode: S_IFREG,
            created: SYNTHETIC,
            ..Identity::default()
        };
        (identity, lexical(path))
    }

    /// Updates what is known of files from a call that returned.
    pub fn observe(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<()>) {
        if !call.succeeded() {
            return;
        }
        let path = |(i, a): (usize, &abi::Arg)| {
            Some((a.kind.path_use()?.role, lexical(operands.paths[i].as_ref()?)))
        };
        let paths: Vec<(Role, Vec<u8>)> = spec.args.iter().enumerate().filter_map(path).collect();
        for (role, path) in &paths {
            self.moves.note_used(path, call);
            if let Some(file) = self.by_path.get_file(path) {
                file.last_used = call.entered;
            }
            match role {
                Role::Create => self.moves.note_created(path, makes_directory(spec)),
                Role::Target => self.moves.note_created(path, false),
                Role::Open(from)
                    if call.open_flags(*from) & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL =>
                {
                    self.moves.note_created(path, false);
                }
                Role::Remove | Role::RemoveDirectory | Role::Source => {
                    self.moves.note_removed(path);
                }
                Role::Lookup | Role::Open(_) => {}
            }
        }
        let mut paths = paths.into_iter();
        match (paths.next(), paths.next()) {
            (Some((Role::Source, old)), Some((_, new))) => self.by_path.rename(&old, &new),
            (Some((Role::Lookup, old)), Some((Role::Create, new))) => {
                let file = *self.get_or_add(&old);
                self.by_path.insert_file(&new, file);
            }
            (Some((Role::Create, path)), None) if makes_directory(spec) => {
                self.get_or_add(&path).is_directory = true;
            }
            (Some((Role::Remove | Role::RemoveDirectory, path)), None) => {
                self.by_path.remove(&path);
            }
            (Some((Role::Lookup, path)), None) => self.observe_struct(call, spec, &path),
            _ => {}
        }
        for descriptor in
            operands.fds.iter().flatten().chain(&operands.closed).filter(|d| d.file.is_stored())
        {
            if let Some(file) = self
                .by_path
                .get_file(&descriptor.file.path)
                .filter(|f| f.inode == descriptor.file.inode.key.1)
            {
                file.size = descriptor.file.inode.size();
            }
        }
    }

    /// Updates the file at `path` from a `struct stat` or `struct statx` that the call filled in.
    fn observe_struct(&mut self, call: &Call, spec: &CallSpec, path: &[u8]) {
        for (i, layout) in spec.args.iter().enumerate().filter_map(|(i, a)| {
            if let Kind::Out(_, l) = a.kind { Some((i as u8, l)) } else { None }
        }) {
            let field_and_size = |kind: FieldKind| {
                layout
                    .fields
                    .iter()
                    .find(|f| f.kind == kind)
                    .map(|f| (call.struct_u64(i, f.at as u8), f.size))
            };
            let (Some((mode, mode_bytes)), Some((size, _))) =
                (field_and_size(FieldKind::Mode), field_and_size(FieldKind::Size))
            else {
                continue;
            };
            let mode = if mode_bytes == 2 { mode & 0xffff } else { mode & 0xffff_ffff } as u32;
            if mode & S_IFMT != 0 {
                let file = self.get_or_add(path);
                (file.is_directory, file.size) = (mode & S_IFMT == S_IFDIR, size);
                let recorded_inode = field_and_size(FieldKind::Dev)
                    .zip(field_and_size(FieldKind::Ino))
                    .map(|((dev, _), (ino, _))| (dev, ino))
                    .filter(|_| mode & S_IFMT == S_IFREG);
                let links = field_and_size(FieldKind::Links).map_or(1, |(links, _)| links);
                if let Some(inode) = recorded_inode
                    .and_then(|n| self.moves.observe_inode(path, n, links, &mut self.by_path))
                {
                    let file = *self.get_or_add(path);
                    self.by_path.insert_file(path, File { inode, ..file });
                }
            }
        }
    }
}

/// Returns whether the call creates a directory.
fn makes_directory(spec: &CallSpec) -> bool {
    spec.args.iter().any(|a| a.kind == Kind::Mode) && !spec.args.iter().any(|a| a.kind == Kind::Dev)
}
