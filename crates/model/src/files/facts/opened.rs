//! Files that a call opened or created, and whether they existed before.

use super::*;

impl Facts {
    /// Applies a successful open by path. `flags` are those of open(2), `walk` is where its path
    /// leads.
    pub(super) fn apply_open(&mut self, call: &Call, context: &Context, flags: u64, walk: &Walk) {
        let identity =
            call.identity(RESULT).map(|(identity, _)| identity).filter(|i| !i.is_synthetic());
        let mut seen = call.identity(RESULT).map_or_else(
            || Observed::of_type(FileType::Unknown),
            |(identity, _)| Observed::of_identity(&identity),
        );
        let is_tmpfile = flags & O_TMPFILE == O_TMPFILE;
        if flags & O_DIRECTORY != 0 && !is_tmpfile && seen.kind == FileType::Unknown {
            seen.kind = FileType::Directory;
        }
        let node = match walk {
            _ if is_tmpfile => {
                if let Walk::Entry(dir) = walk {
                    self.names.note_exists(dir, &Observed::of_type(FileType::Directory));
                }
                seen.kind = FileType::Regular;
                self.names.add_nameless(false, &seen)
            }
            Walk::Entry(dir_entry) => {
                if flags & O_CREAT != 0
                    && self.was_created(dir_entry, flags, identity.as_ref(), &seen)
                {
                    seen.kind = FileType::Regular;
                    let node = match dir_entry.state {
                        // Another open that overlapped this one, and returned earlier, has found
                        // the file already.
                        EntryState::Node(node)
                            if seen.id.is_some() && self.names.node(node).id == seen.id =>
                        {
                            self.names.mark_new(dir_entry, node);
                            node
                        }
                        _ => self.names.note_created(dir_entry, &seen),
                    };
                    self.names.node_mut(node).path_shown |= self.shows_own_path(call, node);
                    node
                } else {
                    let mut found_there = seen.clone();
                    if flags & O_TRUNC != 0 {
                        found_there.attributes.size = None;
                    }
                    let node = self.names.note_exists(dir_entry, &found_there);
                    let path_shown = self.shows_own_path(call, node);
                    if flags & O_NOFOLLOW == 0 {
                        self.names.mark_followed(node);
                    }
                    let opened = self.names.node_mut(node);
                    opened.path_shown |= path_shown;
                    opened.confirmed |= path_shown && opened.kind != FileType::Unknown;
                    if flags & O_TRUNC != 0
                        && matches!(
                            self.names.node(node).kind,
                            FileType::Regular | FileType::Unknown
                        )
                    {
                        self.names.node_mut(node).kind = FileType::Regular;
                        self.names.node_mut(node).truncate(0);
                    }
                    node
                }
            }
            Walk::WithoutName(file) => {
                let truncates = flags & O_TRUNC != 0;
                if truncates {
                    seen.attributes.size = None;
                }
                let node = self.names.node_mut(*file);
                node.observe(&seen);
                if truncates && node.kind == FileType::Regular {
                    node.truncate(0);
                }
                self.names.follow_merges(*file)
            }
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
        };
        if let Some(file) = &context.opened {
            self.add_open_file(file, node);
        }
    }

    /// Returns whether the path of the opened file that the kernel showed is the path of `node` in
    /// the model, so that no symbolic link led there.
    fn shows_own_path(&self, call: &Call, node: NodeId) -> bool {
        let shown_path = call.identity(RESULT).map(|(_, shown_path)| shown_path);
        shown_path
            .is_some_and(|shown_path| self.names.path(node).is_some_and(|path| path == shown_path))
    }

    /// Returns whether a successful open with `O_CREAT` created the file, as far as flags, name and
    /// identity of the file show. `seen` is the same identity as an observation.
    fn was_created(
        &self,
        dir_entry: &DirEntry,
        flags: u64,
        identity: Option<&Identity>,
        seen: &Observed,
    ) -> bool {
        match dir_entry.state {
            _ if flags & O_EXCL != 0 => true,
            _ if let Some(created) = identity.and_then(Identity::was_created) => created,
            EntryState::Node(_) => false,
            // A new file that has another name already is a hard link that no recorded call made.
            _ if seen.id.is_some_and(|id| {
                self.names
                    .find_by_inode(id)
                    .is_some_and(|n| self.names.node(n).kind != FileType::Directory)
            }) && seen.links != Some(1) =>
            {
                false
            }
            EntryState::Absent => true,
            EntryState::Unknown => match identity {
                // A file that holds bytes right after the open was not created by it, unless
                // another thread wrote at once: only an empty file may seem to be born a tick
                // earlier.
                Some(identity) if identity.born != 0 => {
                    identity.born >= self.began + if identity.size > 0 { TICK } else { 0 }
                }
                // The file system has no times of birth: a file with bytes or with other names
                // existed before, unless the open truncated it.
                Some(identity) => identity.size == 0 && identity.links <= 1,
                None => true,
            },
        }
    }

    /// Notes which file a descriptor refers to that a call returned without opening a path:
    /// received, or of a new kind. Files that are not stored are left out.
    pub(super) fn add_received_descriptor(&mut self, call: &Call, context: &Context) {
        let (Some(file), Some((identity, path))) = (&context.opened, call.identity(RESULT)) else {
            return;
        };
        if self.open_files.contains_key(&file.id)
            || !file.is_stored()
            || !matches!(
                FileType::of_mode(identity.mode),
                FileType::Regular | FileType::Directory | FileType::Link
            )
        {
            return;
        }
        let seen = Observed::of_identity(&identity);
        let known_file = seen.id.and_then(|id| self.names.find_by_inode(id));
        let node = match known_file {
            Some(node) => node,
            None if path.first() != Some(&b'/') || identity.lost_name(path).is_some() => {
                self.names.add_nameless(identity.born != 0 && identity.born < self.began, &seen)
            }
            None => match self.names.walk(ROOT, ROOT, path, false, Reach::Proven) {
                Walk::Entry(dir_entry) => self.names.note_exists(&dir_entry, &seen),
                Walk::WithoutName(node) => node,
                Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
            },
        };
        self.add_open_file(file, node);
    }

    /// Applies a call that created a name: of an existing file, if the call has a path of the role
    /// `Lookup` (link(2)), else of a new file, whose type follows from the call's arguments.
    pub(super) fn apply_create(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        dir_entry: &DirEntry,
        paths: &[PathArg],
    ) {
        if let Some(old) = paths.iter().find(|l| l.path_use.role == Role::Lookup) {
            let node = match &old.walk {
                // Directories cannot have two names.
                Walk::Entry(dir_entry) => {
                    self.names.note_exists(dir_entry, &Observed::not_directory())
                }
                Walk::WithoutName(node) => *node,
                Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
            };
            self.names.node_mut(node).guess_type(FileType::Regular);
            self.names.link(dir_entry, node);
            return;
        }
        let target =
            spec.args.iter().position(|a| a.kind == Kind::Str).and_then(|i| call.string(i as u8));
        let mode = spec.args.iter().position(|a| a.kind == Kind::Mode).map(|i| call.args[i] as u32);
        let takes_device = spec.args.iter().any(|a| a.kind == Kind::Dev);
        let file_type = match (target, mode) {
            _ if spec.effect == Effect::Bind => FileType::Socket,
            (Some(_), _) => FileType::Link,
            (None, Some(mode)) if takes_device => match FileType::of_mode(mode) {
                FileType::Unknown => FileType::Regular,
                file_type => file_type,
            },
            (None, _) => FileType::Directory,
        };
        let mut seen = Observed::of_type(file_type);
        seen.target = target.map(<[u8]>::to_vec);
        // The mode is that of the socket's own inode (sock_alloc in net/socket.c).
        let mode = if file_type == FileType::Socket { Some(mode.unwrap_or(0o777)) } else { mode };
        seen.attributes.mode = mode.map(|m| m & (0o777 | S_ISVTX) & !context.umask);
        if file_type == FileType::Regular {
            seen.attributes.size = Some(0);
        }
        self.names.note_created(dir_entry, &seen);
    }
}
