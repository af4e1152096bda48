//! Explains the errors that several names could explain ([`super::unexplained`]), all together.
//!
//! Each error is a choice between explanations, and each explanation says what some names were at
//! first. What leaves one explanation only is taken for true, and may decide others. What is open
//! then gets the simplest explanation that leaves every other error one. Nothing that calls have
//! shown is changed by it.

mod two_paths;

use super::unexplained::{End, Path, UnexplainedError};
use super::{ELOOP, ENOENT, ENOTDIR, Facts};
use crate::files::names::{DirEntry, EntryState, Names};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;
use ahash::HashMap;
use std::collections::VecDeque;

/// A name of which something is asked: a known file, or one of [`Solver::names_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Var {
    Node(NodeId),
    Name(usize),
}

/// What a name was at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InitialState {
    Directory,
    /// Something that is no directory.
    Leaf,
    /// A link that leads nowhere.
    Nowhere,
    /// A link to itself.
    Circle,
    Nothing,
}

/// What is known of a name.
enum Knowledge {
    InitialState(InitialState),
    Open,
    /// It cannot be asked.
    Lost,
}

/// Explanations, each of which says what some names were. `None`: nothing can be said.
type Explanations = Option<Vec<Vec<(Var, InitialState)>>>;

/// How a path can have failed.
struct PathOutcome {
    /// At a name before the last.
    stopped: Vec<Vec<(Var, InitialState)>>,
    /// Not before the last: what the names before it were then, and what the last is.
    arrived: Option<(Vec<(Var, InitialState)>, Last)>,
}

#[derive(Clone, Copy)]
enum Last {
    Var(Var),
    InitialState(InitialState),
}

struct Solver<'a> {
    names: &'a mut Names,
    unexplained_errors: Vec<UnexplainedError>,
    /// Names of which nothing is known, by their directories.
    names_of: Vec<(Var, Box<[u8]>)>,
    numbers: HashMap<(Var, Box<[u8]>), usize>,
    found: HashMap<Var, InitialState>,
    /// What was found, in this order.
    assigned: Vec<Var>,
    /// The errors that a name may decide.
    decides: HashMap<Var, Vec<usize>>,
}

impl Facts {
    /// Explains all errors that are still in doubt, when all calls are known.
    pub fn explain_errors(&mut self) {
        self.names.learn_replaced();
        let mut unexplained_errors: Vec<(UnexplainedError, usize)> =
            std::mem::take(&mut self.unexplained_errors).into_iter().collect();
        unexplained_errors.sort_unstable_by_key(|(_, number)| *number);
        let mut solver = Solver {
            names: &mut self.names,
            unexplained_errors: unexplained_errors.into_iter().map(|(doubt, _)| doubt).collect(),
            names_of: Vec::new(),
            numbers: HashMap::default(),
            found: HashMap::default(),
            assigned: Vec::new(),
            decides: HashMap::default(),
        };
        solver.solve();
        solver.apply();
    }
}

impl Solver<'_> {
    /// Searches for explanations of all errors that contradict neither each other nor what is
    /// known.
    fn solve(&mut self) {
        let all = 0..self.unexplained_errors.len();
        // An error that nothing explains is left alone.
        for doubt in all.clone() {
            self.propagate([doubt].into());
        }
        // What replaced a directory is one, unless it replaced a link.
        for node in self.names.replaced_directories() {
            let var = Var::Node(node);
            if self.decides.contains_key(&var) && matches!(self.knowledge(var), Knowledge::Open) {
                self.try_explanation(&[(var, InitialState::Directory)]);
            }
        }
        let mut open: Vec<(usize, usize)> =
            all.filter_map(|doubt| Some((self.explanations(doubt)?.len(), doubt))).collect();
        open.sort_unstable();
        for (_, doubt) in open {
            let Some(explanations) = self.explanations(doubt) else { continue };
            explanations
                .into_iter()
                .filter(|explanation| !explanation.is_empty())
                .any(|explanation| self.try_explanation(&explanation));
        }
    }

    /// Assumes an explanation, unless it leaves another error none. Returns whether it holds.
    fn try_explanation(&mut self, explanation: &[(Var, InitialState)]) -> bool {
        let mark = self.assigned.len();
        let touched = self.assign(explanation);
        let holds = self.propagate(touched);
        if !holds {
            for var in self.assigned.drain(mark..) {
                self.found.remove(&var);
            }
        }
        holds
    }

    /// Assumes an explanation. Returns the errors that it may decide.
    fn assign(&mut self, explanation: &[(Var, InitialState)]) -> VecDeque<usize> {
        let mut touched = VecDeque::new();
        for &(var, is) in explanation {
            if self.found.insert(var, is).is_none() {
                self.assigned.push(var);
            }
            touched.extend(self.decides.get(&var).into_iter().flatten());
        }
        touched
    }

    /// Assumes what follows necessarily for these errors. Returns false if one of them has no
    /// explanation left.
    fn propagate(&mut self, mut unexplained_errors: VecDeque<usize>) -> bool {
        let mut all = true;
        while let Some(doubt) = unexplained_errors.pop_front() {
            match self.explanations(doubt).as_deref() {
                None => {}
                Some([]) => all = false,
                Some([explanation]) if !explanation.is_empty() => {
                    unexplained_errors.extend(self.assign(explanation));
                }
                Some(_) => {}
            }
        }
        all
    }

    /// Returns the explanations of an error that are still possible, the simplest first. An empty
    /// one means that it is explained already.
    fn explanations(&mut self, number: usize) -> Explanations {
        let doubt = self.unexplained_errors[number].clone();
        let mut explanations = match &doubt.paths[..] {
            [path] => self.explain_one_path(number, &doubt, path),
            [from, to] if doubt.renames => self.explain_rename(number, from, to),
            [from, to] => self.explain_link(number, from, to),
            _ => None,
        }?;
        if explanations.iter().any(Vec::is_empty) {
            explanations = vec![Vec::new()];
        }
        Some(explanations)
    }

    /// Returns the possible explanations of the error of a call with one path.
    fn explain_one_path(
        &mut self,
        number: usize,
        doubt: &UnexplainedError,
        path: &Path,
    ) -> Explanations {
        let obstacles: &[InitialState] = match doubt.errno {
            ENOENT => &[InitialState::Nothing, InitialState::Nowhere],
            ELOOP => &[InitialState::Circle],
            _ => &[InitialState::Leaf],
        };
        let PathOutcome { mut stopped, arrived } =
            self.path_outcome(number, path, doubt.makes, obstacles)?;
        let Some((before, last)) = arrived.filter(|_| !doubt.makes) else { return Some(stopped) };
        let obstacles: &[InitialState] = match doubt.errno {
            // Where its directory was, a file that is to be created is kept off by such a link.
            ENOENT if doubt.creates && !path.dot => &[InitialState::Nowhere],
            ENOTDIR if !(doubt.directory || stopped.is_empty()) => &[],
            ELOOP if !doubt.follow => &[],
            _ => obstacles,
        };
        for is in obstacles {
            stopped.extend(self.with(&before, last, *is));
        }
        // Links that lead nowhere are rare.
        stopped.sort_by_key(|explanation| {
            explanation.iter().any(|(_, is)| *is == InitialState::Nowhere)
        });
        Some(stopped)
    }

    /// Returns how far a path can lead in the initial tree, with the assumptions that this needs.
    /// `apart` is whether the call looks the last name up in its directory, if it is neither `.`
    /// nor `..`.
    fn path_outcome(
        &mut self,
        number: usize,
        path: &Path,
        apart: bool,
        obstacles: &[InitialState],
    ) -> Option<PathOutcome> {
        let (dir, names, known) = match &path.end {
            End::Directory => return Some(arrived(InitialState::Directory)),
            End::Leaf => return Some(arrived(InitialState::Leaf)),
            End::Absent => return Some(arrived(InitialState::Nothing)),
            End::From(dir, names, known) => (self.names.follow_merges(*dir), names, *known),
        };
        if self.names.node(dir).presumed {
            return None;
        }
        let (mut stopped, mut before) = (Vec::new(), Vec::new());
        let mut at = Var::Node(dir);
        for (i, name) in names.iter().enumerate() {
            let var = match known.filter(|_| i == 0) {
                Some(node) => Var::Node(self.names.name_of(node, dir, name)),
                None => self.child(at, name)?,
            };
            let decides = self.decides.entry(var).or_default();
            if decides.last() != Some(&number) {
                decides.push(number);
            }
            if i + 1 == names.len() && !(apart && path.dot) {
                return Some(PathOutcome { stopped, arrived: Some((before, Last::Var(var))) });
            }
            for is in obstacles {
                stopped.extend(self.with(&before, Last::Var(var), *is));
            }
            let [explanation] = &self.with(&before, Last::Var(var), InitialState::Directory)[..]
            else {
                return match self.knowledge(var) {
                    Knowledge::Lost => None,
                    _ => Some(PathOutcome { stopped, arrived: None }),
                };
            };
            before.clone_from(explanation);
            at = var;
        }
        Some(PathOutcome { stopped, arrived: None })
    }

    /// Adds to the assumptions `before` that the name `last` was this initially. Returns no
    /// explanation if that is impossible.
    fn with(
        &mut self,
        before: &[(Var, InitialState)],
        last: Last,
        is: InitialState,
    ) -> Vec<Vec<(Var, InitialState)>> {
        let known = match last {
            Last::InitialState(known) => known == is,
            Last::Var(var) => match self.knowledge(var) {
                Knowledge::InitialState(InitialState::Leaf) if is == InitialState::Nowhere => {
                    return if self.may_be(var, is) {
                        vec![[before, &[(var, is)]].concat()]
                    } else {
                        Vec::new()
                    };
                }
                Knowledge::InitialState(known) => {
                    known == is || known == InitialState::Nowhere && is == InitialState::Leaf
                }
                Knowledge::Open if self.may_be(var, is) => {
                    let Some(other) = self.replaced_alike(var, is) else { return Vec::new() };
                    return vec![[before, &[(var, is)], &other[..]].concat()];
                }
                Knowledge::Open | Knowledge::Lost => false,
            },
        };
        if known { vec![before.to_vec()] } else { Vec::new() }
    }

    /// Returns whether a name can have been this initially, if it is only known that a file existed
    /// there.
    fn may_be(&self, var: Var, is: InitialState) -> bool {
        let Var::Node(id) = var else { return true };
        match is {
            InitialState::Directory | InitialState::Leaf => true,
            InitialState::Nothing => false,
            InitialState::Nowhere | InitialState::Circle => {
                let node = self.names.node(id);
                node.initial && node.kind == FileType::Unknown && !node.followed && !node.confirmed
            }
        }
    }

    /// Returns what is known, or assumed, of the initial state of a name.
    fn knowledge(&mut self, var: Var) -> Knowledge {
        if let Some(is) = self.found.get(&var) {
            return Knowledge::InitialState(*is);
        }
        let Var::Node(id) = var else { return Knowledge::Open };
        if !self.names.node(id).initial {
            return Knowledge::Lost;
        }
        self.names.learn_type(id);
        let node = self.names.node(id);
        let holds = || node.unlinkable || node.entries.values().any(|e| e.first.is_some());
        match node.kind {
            FileType::Directory if node.presumed => Knowledge::Lost,
            FileType::Directory => Knowledge::InitialState(InitialState::Directory),
            FileType::Unknown if node.leaf => Knowledge::InitialState(InitialState::Leaf),
            FileType::Unknown if holds() => Knowledge::InitialState(InitialState::Directory),
            FileType::Unknown => Knowledge::Open,
            FileType::Link => Knowledge::Lost,
            _ => Knowledge::InitialState(InitialState::Leaf),
        }
    }

    /// Returns a name in a directory of the initial tree. Returns `None` if nothing can be known of
    /// it.
    fn child(&mut self, dir: Var, name: &[u8]) -> Option<Var> {
        if name == b".." {
            return None;
        }
        if let Var::Node(id) = dir {
            let node = self.names.node(self.names.follow_merges(id));
            if !node.initial || node.is_virtual {
                return None;
            }
            if let Some(entry) = node.entries.get(name) {
                let covered = self.names.covered.contains_key(&(id, name.into()));
                if entry.first.is_some() || !covered {
                    return entry.first.map(Var::Node);
                }
            }
        }
        let next = self.names_of.len();
        let number = *self.numbers.entry((dir, name.into())).or_insert(next);
        if number == next {
            self.names_of.push((dir, name.into()));
        }
        Some(Var::Name(number))
    }

    /// Applies the explanations that were found to the tree.
    fn apply(mut self) {
        let mut files: Vec<Option<NodeId>> = vec![None; self.names_of.len()];
        for var in std::mem::take(&mut self.assigned) {
            if let (Var::Node(id), Some(is)) = (var, self.found.get(&var)) {
                match is {
                    InitialState::Directory => self.names.node_mut(id).kind = FileType::Directory,
                    InitialState::Leaf => self.names.node_mut(id).observe(&Observed::leaf()),
                    InitialState::Nowhere => self.names.node_mut(id).kind = FileType::Link,
                    InitialState::Circle => self.names.leads_to_itself(id),
                    InitialState::Nothing => {}
                }
            }
        }
        // A directory comes before what is in it.
        for number in 0..self.names_of.len() {
            let Some(is) = self.found.get(&Var::Name(number)) else { continue };
            let (dir, name) = self.names_of[number].clone();
            let dir = match dir {
                Var::Node(id) => Some(self.names.follow_merges(id)),
                Var::Name(number) => files[number],
            };
            let Some(dir) = dir else { continue };
            let dir_entry = DirEntry { dir, name, state: EntryState::Unknown };
            let seen = match is {
                InitialState::Directory => Observed::kind(FileType::Directory),
                InitialState::Leaf => Observed::leaf(),
                InitialState::Nowhere => Observed::kind(FileType::Link),
                InitialState::Circle => Observed {
                    target: Some(dir_entry.name.to_vec()),
                    ..Observed::kind(FileType::Link)
                },
                InitialState::Nothing => continue,
            };
            let id = match self.names.node(dir).entries.contains_key(&dir_entry.name) {
                true => self.names.add_initial(&dir_entry, &seen),
                false => self.names.note_exists(&dir_entry, &seen),
            };
            let node = self.names.node_mut(id);
            if *is == InitialState::Leaf {
                node.guess(FileType::Regular);
            }
            files[number] = Some(id);
        }
    }
}

/// Returns the outcome of a path that leads to a file of this initial state.
fn arrived(is: InitialState) -> PathOutcome {
    PathOutcome { stopped: Vec::new(), arrived: Some((Vec::new(), Last::InitialState(is))) }
}
