//! Explains the errors that several names could explain ([`super::unexplained`]), all together.
//!
//! Each error is a choice between explanations, and each explanation says what some names were when
//! the recording began. If an error has only one explanation, that is assumed to be true, which may
//! decide about other errors. Every remaining error then gets the simplest explanation that leaves
//! at least one to each other error. What calls have shown is not changed by this.

mod apply;
mod two_paths;

use super::unexplained::{End, Path, UnexplainedError};
use super::{ELOOP, ENOENT, ENOTDIR, Facts};
use crate::files::names::Names;
use crate::files::node::NodeId;
use crate::files::row::FileType;
use ahash::HashMap;
use std::collections::VecDeque;

/// A variable of the problem: a name whose initial state is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Variable {
    /// The name of a file that calls have shown.
    Node(NodeId),
    /// A name of which nothing is known: its index in [`Solver::unknown_names`].
    UnknownName(usize),
}

/// What a name was when the recording began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InitialState {
    /// A directory.
    Directory,
    /// Something that is no directory.
    NotDirectory,
    /// A symbolic link to a path that does not exist.
    DanglingLink,
    /// A symbolic link to itself.
    LinkToItself,
    /// The name did not exist.
    Absent,
}

/// What is known of the initial state of a name.
enum Knowledge {
    /// It was this.
    Known(InitialState),
    /// Nothing is known, so that something can be assumed.
    Open,
    /// Nothing is known, and nothing can be assumed.
    Unavailable,
}

/// An explanation of an error: what some names were when the recording began.
type Assumptions = Vec<(Variable, InitialState)>;

/// All explanations of an error that are possible. `None`: nothing can be said of it.
type Explanations = Option<Vec<Assumptions>>;

/// How a path can have failed.
struct PathOutcome {
    /// Explanations by which it failed at a name before the last.
    stopped_before_last: Vec<Assumptions>,
    /// What must be assumed so that it led to the last name, and that name. `None`: it cannot have
    /// led there.
    reached_last: Option<(Assumptions, LastName)>,
}

/// The last name of a path.
#[derive(Clone, Copy)]
enum LastName {
    /// Its initial state is to be found.
    Variable(Variable),
    /// Its initial state is known.
    Known(InitialState),
}

/// Finds initial states of names that explain all errors.
struct Solver<'a> {
    names: &'a mut Names,
    unexplained_errors: Vec<UnexplainedError>,
    /// Names of which nothing is known, as (directory, name). A directory precedes what is in it.
    unknown_names: Vec<(Variable, Box<[u8]>)>,
    /// The indices in `unknown_names`.
    unknown_name_indices: HashMap<(Variable, Box<[u8]>), usize>,
    /// The initial states that are assumed.
    assumed: HashMap<Variable, InitialState>,
    /// The keys of `assumed`, in the order in which they were added.
    assumed_in_order: Vec<Variable>,
    /// The errors whose explanations depend on a variable: indices in `unexplained_errors`.
    errors_by_variable: HashMap<Variable, Vec<usize>>,
}

impl Facts {
    /// Explains the errors of failed calls that several initial states could explain, and adds the
    /// initial states that explain them to the names. To be called when all calls have been
    /// applied.
    pub fn explain_errors(&mut self) {
        self.names.learn_types_of_replaced();
        let mut unexplained_errors: Vec<(UnexplainedError, usize)> =
            std::mem::take(&mut self.unexplained_errors).into_iter().collect();
        unexplained_errors.sort_unstable_by_key(|(_, position)| *position);
        let mut solver = Solver {
            names: &mut self.names,
            unexplained_errors: unexplained_errors.into_iter().map(|(error, _)| error).collect(),
            unknown_names: Vec::new(),
            unknown_name_indices: HashMap::default(),
            assumed: HashMap::default(),
            assumed_in_order: Vec::new(),
            errors_by_variable: HashMap::default(),
        };
        solver.solve();
        solver.apply();
    }
}

impl Solver<'_> {
    /// Assumes initial states of names that explain all errors, as far as they contradict neither
    /// each other nor what is known.
    fn solve(&mut self) {
        let all_errors = 0..self.unexplained_errors.len();
        // An error without any explanation is ignored.
        for error in all_errors.clone() {
            self.assume_what_follows([error].into());
        }
        // A file that replaced a directory is one, unless it replaced a link to the directory.
        for node in self.names.replaced_directories() {
            let variable = Variable::Node(node);
            if self.errors_by_variable.contains_key(&variable)
                && matches!(self.what_is_known(variable), Knowledge::Open)
            {
                self.try_explanation(&[(variable, InitialState::Directory)]);
            }
        }
        let mut remaining: Vec<(usize, usize)> =
            all_errors.filter_map(|error| Some((self.explanations(error)?.len(), error))).collect();
        remaining.sort_unstable();
        for (_, error) in remaining {
            let Some(explanations) = self.explanations(error) else { continue };
            explanations
                .into_iter()
                .filter(|explanation| !explanation.is_empty())
                .any(|explanation| self.try_explanation(&explanation));
        }
    }

    /// Assumes an explanation and what follows from it. If that leaves another error without an
    /// explanation, takes both back. Returns whether the explanation was kept.
    fn try_explanation(&mut self, explanation: &[(Variable, InitialState)]) -> bool {
        let count_before = self.assumed_in_order.len();
        let affected = self.assign(explanation);
        let holds = self.assume_what_follows(affected);
        if !holds {
            for variable in self.assumed_in_order.drain(count_before..) {
                self.assumed.remove(&variable);
            }
        }
        holds
    }

    /// Assumes an explanation. Returns the indices of the errors whose explanations depend on it.
    fn assign(&mut self, explanation: &[(Variable, InitialState)]) -> VecDeque<usize> {
        let mut affected = VecDeque::new();
        for &(variable, state) in explanation {
            if self.assumed.insert(variable, state).is_none() {
                self.assumed_in_order.push(variable);
            }
            affected.extend(self.errors_by_variable.get(&variable).into_iter().flatten());
        }
        affected
    }

    /// Goes through the errors with the indices `pending`. If an error has only one explanation,
    /// assumes it, and goes on with the errors that depend on it. Returns false if an error has no
    /// explanation left.
    fn assume_what_follows(&mut self, mut pending: VecDeque<usize>) -> bool {
        let mut all_explained = true;
        while let Some(error_index) = pending.pop_front() {
            match self.explanations(error_index).as_deref() {
                None => {}
                Some([]) => all_explained = false,
                Some([explanation]) if !explanation.is_empty() => {
                    pending.extend(self.assign(explanation));
                }
                Some(_) => {}
            }
        }
        all_explained
    }

    /// Returns the explanations that are still possible for the error with index `error_index`, the
    /// simplest first. A single empty one means that the error is explained already. Returns `None`
    /// if nothing can be said of it.
    fn explanations(&mut self, error_index: usize) -> Explanations {
        let error = self.unexplained_errors[error_index].clone();
        let mut explanations = match &error.paths[..] {
            [path] => self.explain_one_path(error_index, &error, path),
            [from, to] if error.is_rename => self.explain_rename(error_index, from, to),
            [from, to] => self.explain_link(error_index, from, to),
            _ => None,
        }?;
        if explanations.iter().any(Vec::is_empty) {
            explanations = vec![Vec::new()];
        }
        Some(explanations)
    }

    /// Returns the possible explanations of the error with index `error_index`, which is that of a
    /// call with one path.
    fn explain_one_path(
        &mut self,
        error_index: usize,
        error: &UnexplainedError,
        path: &Path,
    ) -> Explanations {
        let obstacles: &[InitialState] = match error.errno {
            ENOENT => &[InitialState::Absent, InitialState::DanglingLink],
            ELOOP => &[InitialState::LinkToItself],
            _ => &[InitialState::NotDirectory],
        };
        let PathOutcome { stopped_before_last: mut explanations, reached_last } =
            self.path_outcome(error_index, path, error.creates_name, obstacles)?;
        let Some((before, last)) = reached_last.filter(|_| !error.creates_name) else {
            return Some(explanations);
        };
        let obstacles: &[InitialState] = match error.errno {
            // The directory of the last name exists. A file that may be created fails only if there
            // is a link to a path that does not exist.
            ENOENT if error.may_create && !path.ends_in_dot => &[InitialState::DanglingLink],
            ENOTDIR if !(error.must_be_directory || explanations.is_empty()) => &[],
            ELOOP if !error.follows_link => &[],
            _ => obstacles,
        };
        for &state in obstacles {
            explanations.extend(self.assume(&before, last, state));
        }
        // Links to paths that do not exist are rare.
        explanations.sort_by_key(|explanation| {
            explanation.iter().any(|(_, state)| *state == InitialState::DanglingLink)
        });
        Some(explanations)
    }

    /// Returns how far a path can have led when the recording began: which of `obstacles` can have
    /// stopped it at a name before the last, and what must be assumed so that it led to the last
    /// name. `looks_up_last` is whether the call looks the last name up in its directory, if that
    /// name is neither `.` nor `..`. Returns `None` if nothing can be said.
    ///
    /// Notes that the error with index `error_index` depends on the names of the path.
    fn path_outcome(
        &mut self,
        error_index: usize,
        path: &Path,
        looks_up_last: bool,
        obstacles: &[InitialState],
    ) -> Option<PathOutcome> {
        let (first_dir, names, first_file) = match &path.end {
            End::Directory => return Some(outcome_at(InitialState::Directory)),
            End::NotDirectory => return Some(outcome_at(InitialState::NotDirectory)),
            End::Absent => return Some(outcome_at(InitialState::Absent)),
            End::From(dir, names, known) => (self.names.follow_merges(*dir), names, *known),
        };
        if self.names.node(first_dir).presumed {
            return None;
        }
        let (mut stopped, mut before) = (Vec::new(), Vec::new());
        let mut dir = Variable::Node(first_dir);
        for (i, name) in names.iter().enumerate() {
            let variable = match first_file.filter(|_| i == 0) {
                Some(node) => Variable::Node(self.names.file_of_name_itself(node, first_dir, name)),
                None => self.variable_of_entry(dir, name)?,
            };
            let errors = self.errors_by_variable.entry(variable).or_default();
            if errors.last() != Some(&error_index) {
                errors.push(error_index);
            }
            if i + 1 == names.len() && !(looks_up_last && path.ends_in_dot) {
                return Some(PathOutcome {
                    stopped_before_last: stopped,
                    reached_last: Some((before, LastName::Variable(variable))),
                });
            }
            for &state in obstacles {
                stopped.extend(self.assume(&before, LastName::Variable(variable), state));
            }
            let [explanation] =
                &self.assume(&before, LastName::Variable(variable), InitialState::Directory)[..]
            else {
                return match self.what_is_known(variable) {
                    Knowledge::Unavailable => None,
                    _ => Some(PathOutcome { stopped_before_last: stopped, reached_last: None }),
                };
            };
            before.clone_from(explanation);
            dir = variable;
        }
        Some(PathOutcome { stopped_before_last: stopped, reached_last: None })
    }

    /// Returns the assumptions `before` together with the one that `name` was in this state when
    /// the recording began. Returns no element if that is impossible. Does not record it.
    fn assume(
        &mut self,
        before: &[(Variable, InitialState)],
        name: LastName,
        state: InitialState,
    ) -> Vec<Assumptions> {
        let known = match name {
            LastName::Known(known) => known == state,
            LastName::Variable(variable) => match self.what_is_known(variable) {
                Knowledge::Known(InitialState::NotDirectory)
                    if state == InitialState::DanglingLink =>
                {
                    return if self.can_have_been(variable, state) {
                        vec![[before, &[(variable, state)]].concat()]
                    } else {
                        Vec::new()
                    };
                }
                Knowledge::Known(known) => {
                    known == state
                        || known == InitialState::DanglingLink
                            && state == InitialState::NotDirectory
                }
                Knowledge::Open if self.can_have_been(variable, state) => {
                    let Some(other) = self.implied_for_renamed(variable, state) else {
                        return Vec::new();
                    };
                    return vec![[before, &[(variable, state)], &other[..]].concat()];
                }
                Knowledge::Open | Knowledge::Unavailable => false,
            },
        };
        if known { vec![before.to_vec()] } else { Vec::new() }
    }

    /// Returns whether a name can have been in this state when the recording began, if nothing is
    /// known of it but perhaps that a file existed there.
    fn can_have_been(&self, variable: Variable, state: InitialState) -> bool {
        let Variable::Node(id) = variable else { return true };
        match state {
            InitialState::Directory | InitialState::NotDirectory => true,
            InitialState::Absent => false,
            InitialState::DanglingLink | InitialState::LinkToItself => {
                let node = self.names.node(id);
                node.initial && node.kind == FileType::Unknown && !node.followed && !node.confirmed
            }
        }
    }

    /// Returns what is known, or assumed, of the initial state of a name.
    fn what_is_known(&mut self, variable: Variable) -> Knowledge {
        if let Some(state) = self.assumed.get(&variable) {
            return Knowledge::Known(*state);
        }
        let Variable::Node(id) = variable else { return Knowledge::Open };
        if !self.names.node(id).initial {
            return Knowledge::Unavailable;
        }
        self.names.learn_type(id);
        let node = self.names.node(id);
        let has_entries =
            || node.link_refused || node.entries.values().any(|e| e.initial.is_some());
        match node.kind {
            FileType::Directory if node.presumed => Knowledge::Unavailable,
            FileType::Directory => Knowledge::Known(InitialState::Directory),
            FileType::Unknown if node.not_directory => Knowledge::Known(InitialState::NotDirectory),
            FileType::Unknown if has_entries() => Knowledge::Known(InitialState::Directory),
            FileType::Unknown => Knowledge::Open,
            FileType::Link => Knowledge::Unavailable,
            _ => Knowledge::Known(InitialState::NotDirectory),
        }
    }

    /// Returns the variable for the initial state of `name` in a directory. If nothing is known of
    /// the name, it is added to `unknown_names`. Returns `None` if its initial state is known to be
    /// absent, or cannot be found: the name is `..`, the directory was created during the recording
    /// or is on a virtual file system.
    fn variable_of_entry(&mut self, dir: Variable, name: &[u8]) -> Option<Variable> {
        if name == b".." {
            return None;
        }
        if let Variable::Node(id) = dir {
            let node = self.names.node(self.names.follow_merges(id));
            if !node.initial || node.is_virtual {
                return None;
            }
            if let Some(entry) = node.entries.get(name) {
                // A rename to the name has hidden whether there was a file before.
                let was_hidden = self.names.renamed_over_unknown.contains_key(&(id, name.into()));
                if entry.initial.is_some() || !was_hidden {
                    return entry.initial.map(Variable::Node);
                }
            }
        }
        let next_index = self.unknown_names.len();
        let index = *self.unknown_name_indices.entry((dir, name.into())).or_insert(next_index);
        if index == next_index {
            self.unknown_names.push((dir, name.into()));
        }
        Some(Variable::UnknownName(index))
    }
}

/// Returns the outcome of a path whose last name is known to have been in this state.
fn outcome_at(state: InitialState) -> PathOutcome {
    PathOutcome {
        stopped_before_last: Vec::new(),
        reached_last: Some((Vec::new(), LastName::Known(state))),
    }
}
