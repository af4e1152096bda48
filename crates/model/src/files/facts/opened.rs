//! Files that a call opened or made: whether they were there before.

use super::*;

impl Facts {
    /// Applies a successful open by path.
    pub(super) fn apply_open(&mut self, call: &Call, context: &Context, flags: u64, walk: &Walk) {
        let identity =
            call.identity(RESULT).map(|(identity, _)| identity).filter(|i| !i.is_synthetic());
        let mut seen = call.identity(RESULT).map_or_else(
            || Observed::kind(FileType::Unknown),
            |(identity, _)| Observed::of_identity(&identity),
        );
        let unnamed = flags & O_TMPFILE == O_TMPFILE;
        if flags & O_DIRECTORY != 0 && !unnamed && seen.kind == FileType::Unknown {
            seen.kind = FileType::Directory;
        }
        let node = match walk {
            _ if unnamed => {
                if let Walk::Entry(dir) = walk {
                    self.names.note_exists(dir, &Observed::kind(FileType::Directory));
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
                        // An open that overlapped this one and returned before it has found the
                        // file already.
                        EntryState::Node(node)
                            if seen.id.is_some() && self.names.node(node).id == seen.id =>
                        {
                            self.names.mark_new(dir_entry, node);
                            node
                        }
                        _ => self.names.create(dir_entry, &seen),
                    };
                    self.names.node_mut(node).straight |= self.is_straight(call, node);
                    node
                } else {
                    let mut found = seen.clone();
                    if flags & O_TRUNC != 0 {
                        found.attributes.size = None;
                    }
                    let node = self.names.note_exists(dir_entry, &found);
                    let straight = self.is_straight(call, node);
                    if flags & O_NOFOLLOW == 0 {
                        self.names.mark_followed(node);
                    }
                    let this = self.names.node_mut(node);
                    this.straight |= straight;
                    this.confirmed |= straight && this.kind != FileType::Unknown;
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
            Walk::At(at) => {
                let emptied = flags & O_TRUNC != 0;
                if emptied {
                    seen.attributes.size = None;
                }
                let node = self.names.node_mut(*at);
                node.observe(&seen);
                if emptied && node.kind == FileType::Regular {
                    node.truncate(0);
                }
                self.names.follow_merges(*at)
            }
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
        };
        if let Some(file) = &context.opened {
            self.add_open_file(file, node);
        }
    }

    /// Returns whether the kernel showed the file's own path as the path that was opened.
    fn is_straight(&self, call: &Call, node: NodeId) -> bool {
        let real = call.identity(RESULT).map(|(_, real)| real);
        real.is_some_and(|real| self.names.path(node).is_some_and(|path| path == real))
    }

    /// Returns whether an open with `O_CREAT` created the file.
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
            // A file born in the recording that stands under another name already is a link that we
            // did not see being made.
            _ if seen.id.is_some_and(|id| {
                self.names.named(id).is_some_and(|n| self.names.node(n).kind != FileType::Directory)
            }) && seen.links != Some(1) =>
            {
                false
            }
            EntryState::Absent => true,
            EntryState::Unknown => match identity {
                // What holds bytes right after its open was not made by it, unless another thread
                // was quick: the tick's benefit of the doubt is for the empty ones.
                Some(identity) if identity.born != 0 => {
                    identity.born >= self.began + if identity.size > 0 { TICK } else { 0 }
                }
                // A file system that does not tell births: a file with bytes in it or with other
                // names was there, unless it was emptied just now.
                Some(identity) => identity.size == 0 && identity.links <= 1,
                None => true,
            },
        }
    }

    /// Adds the file of a descriptor that was not opened by path.
    pub(super) fn add_received_descriptor(&mut self, call: &Call, context: &Context) {
        let (Some(file), Some((identity, path))) = (&context.opened, call.identity(RESULT)) else {
            return;
        };
        if self.open.contains_key(&file.id)
            || !file.is_stored()
            || !matches!(
                FileType::of_mode(identity.mode),
                FileType::Regular | FileType::Directory | FileType::Link
            )
        {
            return;
        }
        let seen = Observed::of_identity(&identity);
        let known = seen.id.and_then(|id| self.names.named(id));
        let node = match known {
            Some(node) => node,
            None if path.first() != Some(&b'/') || identity.lost_name(path).is_some() => {
                self.names.add_nameless(identity.born != 0 && identity.born < self.began, &seen)
            }
            None => match self.names.walk(ROOT, ROOT, path, false, Reach::Proven) {
                Walk::Entry(dir_entry) => self.names.note_exists(&dir_entry, &seen),
                Walk::At(node) => node,
                Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
            },
        };
        self.add_open_file(file, node);
    }

    /// Applies a call that created a name.
    pub(super) fn apply_create(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        dir_entry: &DirEntry,
        paths: &[PathArg],
    ) {
        if let Some(old) = paths.iter().find(|l| l.used.role == Role::Lookup) {
            let node = match &old.walk {
                // Directories have no second name.
                Walk::Entry(dir_entry) => self.names.note_exists(dir_entry, &Observed::leaf()),
                Walk::At(node) => *node,
                Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return,
            };
            self.names.node_mut(node).guess(FileType::Regular);
            self.names.link(dir_entry, node);
            return;
        }
        let string =
            spec.args.iter().position(|a| a.kind == Kind::Str).and_then(|i| call.string(i as u8));
        let mode = spec.args.iter().position(|a| a.kind == Kind::Mode).map(|i| call.args[i] as u32);
        let device = spec.args.iter().any(|a| a.kind == Kind::Dev);
        let kind = match (string, mode) {
            _ if spec.effect == Effect::Bind => FileType::Socket,
            (Some(_), _) => FileType::Link,
            (None, Some(mode)) if device => match FileType::of_mode(mode) {
                FileType::Unknown => FileType::Regular,
                kind => kind,
            },
            (None, _) => FileType::Directory,
        };
        let mut seen = Observed::kind(kind);
        seen.target = string.map(<[u8]>::to_vec);
        // A socket's own mode is all there is (sock_alloc in net/socket.c).
        let mode = if kind == FileType::Socket { Some(mode.unwrap_or(0o777)) } else { mode };
        seen.attributes.mode = mode.map(|m| m & (0o777 | S_ISVTX) & !context.umask);
        if kind == FileType::Regular {
            seen.attributes.size = Some(0);
        }
        self.names.create(dir_entry, &seen);
    }
}
