//! Errors of calls with two paths, renames and links, and what renames show of what they replaced.

use super::*;

impl Solver<'_> {
    /// Returns the possible explanations of an ENOTDIR of a rename: a path leads through a file
    /// that is no directory; a file was to get, or had, a name with a slash at its end; or a
    /// directory was to replace a file.
    pub(super) fn explain_rename(&mut self, number: usize, from: &Path, to: &Path) -> Explanations {
        let PathOutcome { mut stopped, arrived } =
            self.path_outcome(number, from, true, &[InitialState::Leaf])?;
        let Some((before, source)) = arrived else { return Some(stopped) };
        let path_outcome = self.path_outcome(number, to, true, &[InitialState::Leaf])?;
        let join = |explanation: Vec<(Var, InitialState)>| [&before[..], &explanation].concat();
        stopped.extend(path_outcome.stopped.into_iter().map(join));
        let Some((beyond, target)) = path_outcome.arrived else { return Some(stopped) };
        let (source, target) = (self.of_the_name(source, from), self.of_the_name(target, to));
        let before = join(beyond);
        if from.slash || to.slash {
            stopped.extend(self.with(&before, source, InitialState::Leaf));
        }
        for explanation in self.with(&before, source, InitialState::Directory) {
            stopped.extend(self.with(&explanation, target, InitialState::Leaf));
        }
        Some(stopped)
    }

    /// Returns what a call finds at the last name of a path if it does not follow links there.
    fn of_the_name(&self, last: Last, path: &Path) -> Last {
        match last {
            Last::Var(Var::Node(id))
                if !path.slash && self.names.node(id).kind == FileType::Link =>
            {
                Last::InitialState(InitialState::Leaf)
            }
            last => last,
        }
    }

    /// Returns the possible explanations of an ENOTDIR of a link(2): a path leads through a file
    /// that is no directory, or the old name is that of such a file and ends in a slash.
    pub(super) fn explain_link(&mut self, number: usize, from: &Path, to: &Path) -> Explanations {
        let PathOutcome { mut stopped, arrived } =
            self.path_outcome(number, from, false, &[InitialState::Leaf])?;
        let Some((mut before, source)) = arrived else { return Some(stopped) };
        if from.slash || from.dot {
            stopped.extend(self.with(&before, source, InitialState::Leaf));
            match self.with(&before, source, InitialState::Directory).pop() {
                Some(explanation) => before = explanation,
                None => return Some(stopped),
            }
        }
        let path_outcome = self.path_outcome(number, to, true, &[InitialState::Leaf])?;
        let beyond = path_outcome.stopped.into_iter();
        stopped.extend(beyond.map(|explanation| [&before[..], &explanation].concat()));
        Some(stopped)
    }

    /// Returns what follows for the file that was renamed to a name, if the name was this: both are
    /// directories, or none is. Returns `None` if that is impossible.
    pub(super) fn replaced_alike(
        &mut self,
        var: Var,
        is: InitialState,
    ) -> Option<Vec<(Var, InitialState)>> {
        let Var::Name(number) = var else { return Some(Vec::new()) };
        let (Var::Node(dir), name) = self.names_of[number].clone() else { return Some(Vec::new()) };
        let renamed = self.names.covered.get(&(dir, name)).copied();
        let Some(renamed) = renamed.filter(|_| is != InitialState::Nothing) else {
            return Some(Vec::new());
        };
        let directory = is == InitialState::Directory;
        let (node, var) = (self.names.node(renamed), Var::Node(renamed));
        let known = match node.kind {
            _ if self.names.may_be_behind_a_link(renamed) => return Some(Vec::new()),
            FileType::Unknown => match self.knowledge(var) {
                Knowledge::InitialState(known) => known == InitialState::Directory,
                Knowledge::Open => {
                    let alike =
                        if directory { InitialState::Directory } else { InitialState::Leaf };
                    return Some(vec![(var, alike)]);
                }
                Knowledge::Lost => return Some(Vec::new()),
            },
            kind => kind == FileType::Directory,
        };
        (known == directory).then(Vec::new)
    }
}
