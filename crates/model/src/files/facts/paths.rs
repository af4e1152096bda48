//! Where a path argument leads in the model: from its directory, through a link of procfs, or in
//! the view of a process with mounts or a root of its own.

use super::*;

impl Facts {
    /// Returns where the path in argument `arg` leads: from its directory, through a link of
    /// procfs, or by the mounts of the process. `reach` is how far the kernel followed it.
    pub(super) fn resolve(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        arg: u8,
        path_use: PathUse,
        reach: Reach,
    ) -> Walk {
        let follow = |path: &[u8]| follows_last_link(call, path_use, path.ends_with(b"/"));
        if let Some(behind) = &context.through[usize::from(arg)] {
            return self.resolve_behind_procfs_link(behind, follow, reach);
        }
        let path = call.path(arg).unwrap_or_default();
        let base = path_use.dir.filter(|&d| call.args[usize::from(d)] as i32 != abi::AT_FDCWD);
        if path.is_empty() {
            // AT_EMPTY_PATH, or a null path: the descriptor itself.
            let node = if !call.succeeded() {
                None
            } else if let Some(dir) = base {
                self.file_of_argument(context, dir)
            } else {
                context.cwd
            };
            return node.map_or(Walk::Blocked, |node| self.walk_ending_at(node));
        }
        let mut viewed_path = None;
        if let (Some(view), Some(path)) = (&context.view, &context.viewed[usize::from(arg)]) {
            let resolved = view.resolve(path, follow(path), &mut |path| self.names.link_at(path));
            let Some(path) = resolved.path else { return Walk::Virtual };
            viewed_path = Some(path);
        }
        let path = match viewed_path.as_deref() {
            Some(b"/") => return Walk::WithoutName(ROOT),
            Some(whole) => &whole[1..],
            None => path,
        };
        let root = context.root.unwrap_or(ROOT);
        let base = match base {
            _ if viewed_path.is_some() => ROOT,
            _ if path[0] == b'/' => root,
            Some(dir) => match self.file_of_argument(context, dir) {
                Some(node) => node,
                None => return Walk::Blocked,
            },
            None => match context.cwd {
                Some(cwd) => cwd,
                None => return Walk::Virtual,
            },
        };
        self.walk(call, spec, context, (root, base, path, follow(path)), reach)
    }

    /// Follows a path, given as (root, base, path, whether a symbolic link at its end is followed).
    /// The path of the file that the call opened shows where symbolic links on the way lead: they
    /// are added to the names.
    fn walk(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        (root, base, path, follow): (NodeId, NodeId, &[u8], bool),
        reach: Reach,
    ) -> Walk {
        let opened_path = call.identity(RESULT).filter(|(identity, real)| {
            call.succeeded() && spec.ret == Ret::Fd && identity.lost_name(real).is_none()
        });
        let opened_path = opened_path.map(|(_, real)| real);
        let original_path = context.view.as_ref().and_then(|view| view.original_path(opened_path?));
        let opened_path =
            if context.view.is_some() { original_path.as_deref() } else { opened_path };
        if let Some(real) = opened_path {
            // All components of the shown path but the last one are directories.
            let shown = self.names.walk(ROOT, ROOT, real, false, Reach::WithoutLinks);
            if self.names.leads_there_without_links(base, path, real) {
                return shown;
            }
            if let Walk::Entry(DirEntry { dir, name, .. }) = &shown
                && self.names.path_in(*dir, name).is_some_and(|path| path == real)
            {
                self.names.mark_path_shown(*dir);
            }
            self.add_links_shown_by_open(root, base, path, follow, real);
        }
        let mut walk = self.names.walk(root, base, path, follow, reach);
        while let Walk::Stopped(dir_entry, rest) = &walk
            && (call.succeeded() || reach == Reach::Proven && (follow || !rest.is_empty()))
            && self.names.note_link_followed(dir_entry, rest, opened_path)
        {
            walk = self.names.walk(root, base, path, follow, reach);
        }
        match (&walk, opened_path) {
            // An unknown link led elsewhere. The path that the kernel showed says where.
            (Walk::Virtual | Walk::Stopped(..) | Walk::Blocked, Some(real))
                if real.first() == Some(&b'/') =>
            {
                self.names.walk(ROOT, ROOT, real, false, Reach::Proven)
            }
            _ => walk,
        }
    }

    /// Adds the symbolic links on a path that an open followed. The path `opened_path` of the
    /// opened file differs from the one that was passed, so that names on the way of which nothing
    /// is known must be links that lead there.
    fn add_links_shown_by_open(
        &mut self,
        root: NodeId,
        base: NodeId,
        path: &[u8],
        follow: bool,
        opened_path: &[u8],
    ) {
        for _ in 0..path.len() {
            let (dir_entry, rest) = match self.names.walk(root, base, path, follow, Reach::Unknown)
            {
                Walk::Entry(dir_entry) if follow => (dir_entry, Vec::new()),
                Walk::Stopped(dir_entry, rest) => (dir_entry, rest),
                _ => return,
            };
            if dir_entry.state == EntryState::Unknown && self.names.find_old_directory(&dir_entry) {
                continue;
            }
            let target = self.names.link_shown_by_open(&dir_entry, &rest, opened_path);
            let Some(target) = target else { return };
            self.names.add_link(&dir_entry, &rest, target);
        }
    }

    /// Follows the rest of a path behind a link of procfs. `follow` returns whether a symbolic link
    /// at the end of a path is followed.
    fn resolve_behind_procfs_link(
        &mut self,
        behind: &BehindProcfsLink,
        follow: impl Fn(&[u8]) -> bool,
        reach: Reach,
    ) -> Walk {
        let (base, rest) = match behind {
            BehindProcfsLink::File(file, rest) => (self.file_of_descriptor(file), rest),
            BehindProcfsLink::Directory(node, rest) => {
                (Some(self.names.follow_merges(*node)), rest)
            }
            BehindProcfsLink::Name(path) => (Some(ROOT), path),
            BehindProcfsLink::Elsewhere => return Walk::Virtual,
        };
        let Some(base) = base else { return Walk::Virtual };
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        match &rest[slashes..] {
            b"" if base != ROOT => self.walk_ending_at(base),
            rest => self.names.walk(ROOT, base, rest, follow(rest), reach),
        }
    }

    /// Returns the result of a walk that ended at a file: one of its names, if it has any.
    fn walk_ending_at(&self, node: NodeId) -> Walk {
        match self.names.node(node).names.first() {
            Some((dir, name)) => Walk::Entry(DirEntry {
                dir: *dir,
                name: name.clone(),
                state: EntryState::Node(node),
            }),
            None => Walk::WithoutName(node),
        }
    }
}

/// Returns whether a link in the last component is followed, because of the call or of a slash at
/// the end of the path. If only the directory is looked up, a slash changes nothing, nor if a file
/// is to be created, which fails (`open_last_lookups` in fs/namei.c).
pub(super) fn follows_last_link(call: &Call, path_use: PathUse, ends_in_slash: bool) -> bool {
    match path_use.role {
        Role::Open(from) if ends_in_slash && u64::from(call.open_flags(from)) & O_CREAT != 0 => {
            false
        }
        Role::Lookup | Role::Open(_) if ends_in_slash => true,
        _ => follows_link_by_flags(call, path_use),
    }
}

/// Returns whether the call follows a symbolic link in the last component of a path that does not
/// end in a slash.
fn follows_link_by_flags(call: &Call, path_use: PathUse) -> bool {
    match (path_use.role, path_use.follow) {
        (Role::Open(from), _) => {
            let flags = u64::from(call.open_flags(from));
            flags & O_NOFOLLOW == 0 && flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL
        }
        (_, Follow::Always) => true,
        (_, Follow::Never) => false,
        (_, Follow::Unless { arg, bit }) => call.args[usize::from(arg)] & bit == 0,
        (_, Follow::If { arg, bit }) => call.args[usize::from(arg)] & bit != 0,
    }
}
