//! Errors of calls with two paths (renames and links), and what a rename shows of the file that it
//! replaced.

use super::*;

impl Solver<'_> {
    /// Returns the possible explanations of an ENOTDIR of a rename: a path leads through a file
    /// that is no directory; the source is no directory, and a path ends in a slash; or the source
    /// is a directory, and the target is none. Returns `None` if nothing can be said.
    pub(super) fn explain_rename(
        &mut self,
        error_index: usize,
        from: &Path,
        to: &Path,
    ) -> Explanations {
        let PathOutcome { stopped_before_last: mut explanations, reached_last } =
            self.path_outcome(error_index, from, true, &[InitialState::NotDirectory])?;
        let Some((before, source)) = reached_last else { return Some(explanations) };
        let path_outcome =
            self.path_outcome(error_index, to, true, &[InitialState::NotDirectory])?;
        let join = |explanation: Assumptions| [&before[..], &explanation].concat();
        explanations.extend(path_outcome.stopped_before_last.into_iter().map(join));
        let Some((before_target, target)) = path_outcome.reached_last else {
            return Some(explanations);
        };
        let (source, target) =
            (self.without_following(source, from), self.without_following(target, to));
        let before = join(before_target);
        if from.ends_in_slash || to.ends_in_slash {
            explanations.extend(self.assume(&before, source, InitialState::NotDirectory));
        }
        for explanation in self.assume(&before, source, InitialState::Directory) {
            explanations.extend(self.assume(&explanation, target, InitialState::NotDirectory));
        }
        Some(explanations)
    }

    /// Returns what a call finds at the last name of a path if it does not follow a link there: of
    /// a link something that is no directory, unless the path ends in a slash.
    fn without_following(&self, last: LastName, path: &Path) -> LastName {
        match last {
            LastName::Variable(Variable::Node(id))
                if !path.ends_in_slash && self.names.node(id).kind == FileType::Link =>
            {
                LastName::Known(InitialState::NotDirectory)
            }
            last => last,
        }
    }

    /// Returns the possible explanations of an ENOTDIR of a link(2): a path leads through a file
    /// that is no directory, or the old name ends in a slash and is that of such a file. Returns
    /// `None` if nothing can be said.
    pub(super) fn explain_link(
        &mut self,
        error_index: usize,
        from: &Path,
        to: &Path,
    ) -> Explanations {
        let PathOutcome { stopped_before_last: mut explanations, reached_last } =
            self.path_outcome(error_index, from, false, &[InitialState::NotDirectory])?;
        let Some((mut before, source)) = reached_last else { return Some(explanations) };
        if from.ends_in_slash || from.ends_in_dot {
            explanations.extend(self.assume(&before, source, InitialState::NotDirectory));
            match self.assume(&before, source, InitialState::Directory).pop() {
                Some(explanation) => before = explanation,
                None => return Some(explanations),
            }
        }
        let path_outcome =
            self.path_outcome(error_index, to, true, &[InitialState::NotDirectory])?;
        let target_explanations = path_outcome.stopped_before_last.into_iter();
        explanations
            .extend(target_explanations.map(|explanation| [&before[..], &explanation].concat()));
        Some(explanations)
    }

    /// If a file was renamed to this name, and the name was in `state` before, that file is of the
    /// same type: both are directories, or none is. Returns the assumption about the file that
    /// follows, which is none if nothing was renamed there or its type is known. Returns `None` if
    /// the file has another type, so that the name cannot have been in this state.
    pub(super) fn implied_for_renamed(
        &mut self,
        variable: Variable,
        state: InitialState,
    ) -> Option<Assumptions> {
        let Variable::UnknownName(index) = variable else { return Some(Vec::new()) };
        let (Variable::Node(dir), name) = self.unknown_names[index].clone() else {
            return Some(Vec::new());
        };
        let renamed = self.names.renamed_over_unknown.get(&(dir, name)).copied();
        let Some(renamed) = renamed.filter(|_| state != InitialState::Absent) else {
            return Some(Vec::new());
        };
        let was_directory = state == InitialState::Directory;
        let (node, variable) = (self.names.node(renamed), Variable::Node(renamed));
        let is_directory = match node.kind {
            _ if self.names.may_be_behind_a_link(renamed) => return Some(Vec::new()),
            FileType::Unknown => match self.what_is_known(variable) {
                Knowledge::Known(is_directory) => is_directory == InitialState::Directory,
                Knowledge::Open => {
                    let implied = if was_directory {
                        InitialState::Directory
                    } else {
                        InitialState::NotDirectory
                    };
                    return Some(vec![(variable, implied)]);
                }
                Knowledge::Unavailable => return Some(Vec::new()),
            },
            kind => kind == FileType::Directory,
        };
        (is_directory == was_directory).then(Vec::new)
    }
}
