//! Where a path argument leads in the model: from its directory, through a link of procfs, or in
//! the view of a process with mounts or a root of its own.

use super::*;

impl Facts {
    /// Returns where the path in argument `arg` leads.
    pub(super) fn resolve(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        arg: u8,
        used: PathUse,
        reach: Reach,
    ) -> Walk {
        let follow = |path: &[u8]| looks_through(call, used, path.ends_with(b"/"));
        if let Some(via) = &context.through[usize::from(arg)] {
            return self.resolve_behind_procfs_link(via, follow, reach);
        }
        let path = call.path(arg).unwrap_or_default();
        let base = used.dir.filter(|&d| call.args[usize::from(d)] as i32 != abi::AT_FDCWD);
        if path.is_empty() {
            // AT_EMPTY_PATH, or a null path: the descriptor itself.
            let node = if !call.succeeded() {
                None
            } else if let Some(dir) = base {
                self.fd(context, dir)
            } else {
                context.cwd
            };
            return node.map_or(Walk::Blocked, |node| self.named(node));
        }
        let mut viewed = None;
        if let (Some(view), Some(path)) = (&context.view, &context.viewed[usize::from(arg)]) {
            let found = view.resolve(path, follow(path), &mut |path| self.names.link_at(path));
            let Some(path) = found.path else { return Walk::Virtual };
            viewed = Some(path);
        }
        let path = match viewed.as_deref() {
            Some(b"/") => return Walk::At(ROOT),
            Some(dir_entry) => &dir_entry[1..],
            None => path,
        };
        let root = context.root.unwrap_or(ROOT);
        let base = match base {
            _ if viewed.is_some() => ROOT,
            _ if path[0] == b'/' => root,
            Some(dir) => match self.fd(context, dir) {
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

    /// Follows a path, given as (root, base, path, whether a link at its end is followed). What the
    /// call opened shows where links on the way lead.
    fn walk(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        (root, base, path, follow): (NodeId, NodeId, &[u8], bool),
        reach: Reach,
    ) -> Walk {
        let opened = call.identity(RESULT).filter(|(identity, real)| {
            call.succeeded() && spec.ret == Ret::Fd && identity.lost_name(real).is_none()
        });
        let opened = opened.map(|(_, real)| real);
        let dir_entry = context.view.as_ref().and_then(|view| view.original_path(opened?));
        let opened = if context.view.is_some() { dir_entry.as_deref() } else { opened };
        if let Some(real) = opened {
            // All that is before the last name of what was opened is a directory.
            let shown = self.names.walk(ROOT, ROOT, real, false, Reach::Straight);
            if self.names.leads_straight(base, path, real) {
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
            && self.names.followed(dir_entry, rest, opened)
        {
            walk = self.names.walk(root, base, path, follow, reach);
        }
        match (&walk, opened) {
            // An unknown link led elsewhere: the kernel says where.
            (Walk::Virtual | Walk::Stopped(..) | Walk::Blocked, Some(real))
                if real.first() == Some(&b'/') =>
            {
                self.names.walk(ROOT, ROOT, real, false, Reach::Proven)
            }
            _ => walk,
        }
    }

    /// Adds links on a path. The opened file has another path than the one that was passed, so
    /// names on the way of which nothing is known must be links that lead there.
    fn add_links_shown_by_open(
        &mut self,
        root: NodeId,
        base: NodeId,
        path: &[u8],
        follow: bool,
        real: &[u8],
    ) {
        for _ in 0..path.len() {
            let (dir_entry, rest) = match self.names.walk(root, base, path, follow, Reach::Nowhere)
            {
                Walk::Entry(dir_entry) if follow => (dir_entry, Vec::new()),
                Walk::Stopped(dir_entry, rest) => (dir_entry, rest),
                _ => return,
            };
            if dir_entry.state == EntryState::Unknown && self.names.find_old_directory(&dir_entry) {
                continue;
            }
            let target = self.names.link_shown_by_open(&dir_entry, &rest, real);
            let Some(target) = target else { return };
            self.names.add_link(&dir_entry, &rest, target);
        }
    }

    /// Follows the rest of a path from where a link of procfs leads.
    fn resolve_behind_procfs_link(
        &mut self,
        via: &BehindProcfsLink,
        follow: impl Fn(&[u8]) -> bool,
        reach: Reach,
    ) -> Walk {
        let (base, rest) = match via {
            BehindProcfsLink::File(file, rest) => (self.directory_behind(file), rest),
            BehindProcfsLink::Directory(node, rest) => {
                (Some(self.names.follow_merges(*node)), rest)
            }
            BehindProcfsLink::Name(path) => (Some(ROOT), path),
            BehindProcfsLink::Elsewhere => return Walk::Virtual,
        };
        let Some(base) = base else { return Walk::Virtual };
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        match &rest[slashes..] {
            b"" if base != ROOT => self.named(base),
            rest => self.names.walk(ROOT, base, rest, follow(rest), reach),
        }
    }

    /// Returns a file as the end of a walk: under one of its names, if it has any.
    fn named(&self, node: NodeId) -> Walk {
        match self.names.node(node).names.first() {
            Some((dir, name)) => Walk::Entry(DirEntry {
                dir: *dir,
                name: name.clone(),
                state: EntryState::Node(node),
            }),
            None => Walk::At(node),
        }
    }
}

/// Returns whether a link in the last component is followed, because of the call or of a slash at
/// the end of the path. If only the directory is looked up, a slash changes nothing, nor if a file
/// is to be created, which fails (`open_last_lookups` in fs/namei.c).
pub(super) fn looks_through(call: &Call, used: PathUse, slash: bool) -> bool {
    match used.role {
        Role::Open(from) if slash && u64::from(call.open_flags(from)) & O_CREAT != 0 => false,
        Role::Lookup | Role::Open(_) if slash => true,
        _ => follows(call, used),
    }
}

/// Returns whether the call follows a link in the last component.
fn follows(call: &Call, used: PathUse) -> bool {
    match (used.role, used.follow) {
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
