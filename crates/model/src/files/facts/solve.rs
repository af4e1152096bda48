//! Explains the errors that several names could explain ([`super::doubts`]), all together.
//!
//! Each error is a choice between explanations, and each explanation says what some names were at
//! first. What leaves one explanation only is taken for true, and may decide others. What is open
//! then gets the simplest explanation that leaves every other error one. Nothing that calls have
//! shown is changed by it.

use super::Facts;
use super::doubts::{Doubt, End, Path};
use super::errors::{ELOOP, ENOENT, ENOTDIR};
use crate::files::names::{Names, Place, Slot};
use crate::files::node::{NodeId, Seen};
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
enum Is {
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
enum Sight {
    Is(Is),
    Open,
    /// It cannot be asked.
    Lost,
}

/// Explanations, each of which says what some names were. `None`: nothing can be said.
type Ways = Option<Vec<Vec<(Var, Is)>>>;

/// How a path can have failed.
struct Course {
    /// At a name before the last.
    stopped: Vec<Vec<(Var, Is)>>,
    /// Not before the last: what the names before it were then, and what the last is.
    arrived: Option<(Vec<(Var, Is)>, Last)>,
}

#[derive(Clone, Copy)]
enum Last {
    Var(Var),
    Is(Is),
}

struct Solver<'a> {
    names: &'a mut Names,
    doubts: Vec<Doubt>,
    /// Names of which nothing is known, by their directories.
    names_of: Vec<(Var, Box<[u8]>)>,
    numbers: HashMap<(Var, Box<[u8]>), usize>,
    found: HashMap<Var, Is>,
    /// What was found, in this order.
    trail: Vec<Var>,
    /// The doubts that a name may decide.
    watched: HashMap<Var, Vec<usize>>,
}

impl Facts {
    /// Explains all errors that are in doubt, at the end.
    pub fn settle_doubts(&mut self) {
        let mut doubts: Vec<(Doubt, usize)> =
            std::mem::take(&mut self.doubts).into_iter().collect();
        doubts.sort_unstable_by_key(|(_, number)| *number);
        let mut solver = Solver {
            names: &mut self.names,
            doubts: doubts.into_iter().map(|(doubt, _)| doubt).collect(),
            names_of: Vec::new(),
            numbers: HashMap::default(),
            found: HashMap::default(),
            trail: Vec::new(),
            watched: HashMap::default(),
        };
        solver.solve();
        solver.tell();
    }
}

impl Solver<'_> {
    fn solve(&mut self) {
        let all = 0..self.doubts.len();
        // An error that nothing explains is left alone.
        for doubt in all.clone() {
            self.follow_from([doubt].into());
        }
        let mut open: Vec<(usize, usize)> =
            all.filter_map(|doubt| Some((self.ways(doubt)?.len(), doubt))).collect();
        open.sort_unstable();
        for (_, doubt) in open {
            let Some(ways) = self.ways(doubt) else { continue };
            let mark = self.trail.len();
            for way in ways.into_iter().filter(|way| !way.is_empty()) {
                let touched = self.take(&way);
                if self.follow_from(touched) {
                    break;
                }
                for var in self.trail.drain(mark..) {
                    self.found.remove(&var);
                }
            }
        }
    }

    /// Takes an explanation for true. The doubts that it may decide.
    fn take(&mut self, way: &[(Var, Is)]) -> VecDeque<usize> {
        let mut touched = VecDeque::new();
        for &(var, is) in way {
            if self.found.insert(var, is).is_none() {
                self.trail.push(var);
            }
            touched.extend(self.watched.get(&var).into_iter().flatten());
        }
        touched
    }

    /// Takes what follows. Whether each of these errors still has an explanation.
    fn follow_from(&mut self, mut doubts: VecDeque<usize>) -> bool {
        let mut all = true;
        while let Some(doubt) = doubts.pop_front() {
            match self.ways(doubt).as_deref() {
                None => {}
                Some([]) => all = false,
                Some([way]) if !way.is_empty() => doubts.extend(self.take(way)),
                Some(_) => {}
            }
        }
        all
    }

    /// The explanations of an error that are possible still, the simplest first. An empty one is
    /// true already.
    fn ways(&mut self, number: usize) -> Ways {
        let doubt = self.doubts[number].clone();
        let mut ways = match &doubt.paths[..] {
            [path] => self.one_path(number, &doubt, path),
            [from, to] => self.two_paths(number, from, to),
            _ => None,
        }?;
        if ways.iter().any(Vec::is_empty) {
            ways = vec![Vec::new()];
        }
        Some(ways)
    }

    fn one_path(&mut self, number: usize, doubt: &Doubt, path: &Path) -> Ways {
        let obstacles: &[Is] = match doubt.errno {
            ENOENT => &[Is::Nothing, Is::Nowhere],
            ELOOP => &[Is::Circle],
            _ => &[Is::Leaf],
        };
        let Course { mut stopped, arrived } = self.course(number, path, doubt.makes, obstacles)?;
        let Some((before, last)) = arrived.filter(|_| !doubt.makes) else { return Some(stopped) };
        let obstacles: &[Is] = match doubt.errno {
            // Where its directory was, a file that is to be created is kept off by such a link.
            ENOENT if doubt.creates && !path.dot => &[Is::Nowhere],
            ENOTDIR if !(doubt.directory || stopped.is_empty()) => &[],
            _ => obstacles,
        };
        for is in obstacles {
            stopped.extend(self.with(&before, last, *is));
        }
        // Links that lead nowhere are rare.
        stopped.sort_by_key(|way| way.iter().any(|(_, is)| *is == Is::Nowhere));
        Some(stopped)
    }

    /// A rename failed with ENOTDIR: a path leads through what is no directory; or what is none was
    /// to get or had a name with a slash; or a directory was to replace what is none.
    fn two_paths(&mut self, number: usize, from: &Path, to: &Path) -> Ways {
        let Course { mut stopped, arrived } = self.course(number, from, true, &[Is::Leaf])?;
        let Some((before, source)) = arrived else { return Some(stopped) };
        let course = self.course(number, to, true, &[Is::Leaf])?;
        let join = |way: Vec<(Var, Is)>| [&before[..], &way].concat();
        stopped.extend(course.stopped.into_iter().map(join));
        let Some((beyond, target)) = course.arrived else { return Some(stopped) };
        let before = join(beyond);
        if from.slash || to.slash {
            stopped.extend(self.with(&before, source, Is::Leaf));
        }
        for way in self.with(&before, source, Is::Directory) {
            stopped.extend(self.with(&way, target, Is::Leaf));
        }
        Some(stopped)
    }

    /// How far a path may have led in the tree as it was at first. `apart`: the call looks the last
    /// name up in its directory, if it is no dot.
    fn course(
        &mut self,
        number: usize,
        path: &Path,
        apart: bool,
        obstacles: &[Is],
    ) -> Option<Course> {
        let (dir, names, known) = match &path.end {
            End::Directory => return Some(arrived(Is::Directory)),
            End::Leaf => return Some(arrived(Is::Leaf)),
            End::Absent => return Some(arrived(Is::Nothing)),
            End::From(dir, names, known) => (self.names.itself(*dir), names, *known),
        };
        if self.names.node(dir).presumed {
            return None;
        }
        let (mut stopped, mut before) = (Vec::new(), Vec::new());
        let mut at = Var::Node(dir);
        for (i, name) in names.iter().enumerate() {
            let var = match known.filter(|_| i == 0) {
                Some(node) => Var::Node(node),
                None => self.child(at, name)?,
            };
            let watched = self.watched.entry(var).or_default();
            if watched.last() != Some(&number) {
                watched.push(number);
            }
            if i + 1 == names.len() && !(apart && path.dot) {
                return Some(Course { stopped, arrived: Some((before, Last::Var(var))) });
            }
            for is in obstacles {
                stopped.extend(self.with(&before, Last::Var(var), *is));
            }
            let [way] = &self.with(&before, Last::Var(var), Is::Directory)[..] else {
                return match self.sight(var) {
                    Sight::Lost => None,
                    _ => Some(Course { stopped, arrived: None }),
                };
            };
            before.clone_from(way);
            at = var;
        }
        Some(Course { stopped, arrived: None })
    }

    /// `before`, and the name is this besides: one explanation, if it is possible.
    fn with(&mut self, before: &[(Var, Is)], last: Last, is: Is) -> Vec<Vec<(Var, Is)>> {
        let known = match last {
            Last::Is(known) => known == is,
            Last::Var(var) => match self.sight(var) {
                Sight::Is(Is::Leaf) if is == Is::Nowhere => {
                    return if self.may_be(var, is) {
                        vec![[before, &[(var, is)]].concat()]
                    } else {
                        Vec::new()
                    };
                }
                Sight::Is(known) => known == is || known == Is::Nowhere && is == Is::Leaf,
                Sight::Open if self.may_be(var, is) => {
                    return vec![[before, &[(var, is)]].concat()];
                }
                Sight::Open | Sight::Lost => false,
            },
        };
        if known { vec![before.to_vec()] } else { Vec::new() }
    }

    /// Whether a name may be this, if nothing is known of it but that a file stood there.
    fn may_be(&self, var: Var, is: Is) -> bool {
        let Var::Node(id) = var else { return true };
        match is {
            Is::Directory | Is::Leaf => true,
            Is::Nothing | Is::Circle => false,
            Is::Nowhere => {
                let node = self.names.node(id);
                node.initial && node.kind == FileType::Unknown && !node.followed && !node.confirmed
            }
        }
    }

    fn sight(&mut self, var: Var) -> Sight {
        if let Some(is) = self.found.get(&var) {
            return Sight::Is(*is);
        }
        let Var::Node(id) = var else { return Sight::Open };
        if !self.names.node(id).initial {
            return Sight::Lost;
        }
        self.names.learn(id);
        let node = self.names.node(id);
        let holds = || node.unlinkable || node.entries.values().any(|e| e.first.is_some());
        match node.kind {
            FileType::Directory if node.presumed => Sight::Lost,
            FileType::Directory => Sight::Is(Is::Directory),
            FileType::Unknown if node.leaf => Sight::Is(Is::Leaf),
            FileType::Unknown if holds() => Sight::Is(Is::Directory),
            FileType::Unknown => Sight::Open,
            FileType::Link => Sight::Lost,
            _ => Sight::Is(Is::Leaf),
        }
    }

    /// A name in a directory as it was at first; `None`: nothing is known of it.
    fn child(&mut self, dir: Var, name: &[u8]) -> Option<Var> {
        if name == b".." {
            return None;
        }
        if let Var::Node(id) = dir {
            let node = self.names.node(self.names.itself(id));
            if !node.initial || node.is_virtual {
                return None;
            }
            if let Some(entry) = node.entries.get(name) {
                let covered = self.names.covered.contains(&(id, name.into()));
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

    /// Puts what was found into the tree.
    fn tell(mut self) {
        let mut files: Vec<Option<NodeId>> = vec![None; self.names_of.len()];
        for var in std::mem::take(&mut self.trail) {
            if let (Var::Node(id), Some(is)) = (var, self.found.get(&var)) {
                match is {
                    Is::Directory => self.names.node_mut(id).kind = FileType::Directory,
                    Is::Leaf => self.names.node_mut(id).observe(&Seen::leaf()),
                    Is::Nowhere => self.names.node_mut(id).kind = FileType::Link,
                    Is::Circle | Is::Nothing => {}
                }
            }
        }
        // A directory comes before what is in it.
        for number in 0..self.names_of.len() {
            let Some(is) = self.found.get(&Var::Name(number)) else { continue };
            let (dir, name) = self.names_of[number].clone();
            let dir = match dir {
                Var::Node(id) => Some(self.names.itself(id)),
                Var::Name(number) => files[number],
            };
            let Some(dir) = dir else { continue };
            let place = Place { dir, name, slot: Slot::Unknown };
            let seen = match is {
                Is::Directory => Seen::kind(FileType::Directory),
                Is::Leaf => Seen::leaf(),
                Is::Nowhere => Seen::kind(FileType::Link),
                Is::Circle => {
                    Seen { target: Some(place.name.to_vec()), ..Seen::kind(FileType::Link) }
                }
                Is::Nothing => continue,
            };
            let id = match self.names.node(dir).entries.contains_key(&place.name) {
                true => self.names.stood(&place, &seen),
                false => self.names.present(&place, &seen),
            };
            let node = self.names.node_mut(id);
            if *is == Is::Leaf && node.likely_kind() == FileType::Unknown {
                node.guess = FileType::Regular;
            }
            files[number] = Some(id);
        }
    }
}

fn arrived(is: Is) -> Course {
    Course { stopped: Vec::new(), arrived: Some((Vec::new(), Last::Is(is))) }
}
