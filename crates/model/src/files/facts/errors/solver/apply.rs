//! What was assumed of names becomes part of the initial tree.

use super::{InitialState, Solver, Variable};
use crate::files::names::{DirEntry, EntryState};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;

impl Solver<'_> {
    /// Adds the initial states that were assumed to the names.
    pub(super) fn apply(mut self) {
        let mut file_of_unknown_name: Vec<Option<NodeId>> = vec![None; self.unknown_names.len()];
        for variable in std::mem::take(&mut self.assumed_in_order) {
            if let (Variable::Node(id), Some(state)) = (variable, self.assumed.get(&variable)) {
                match state {
                    InitialState::Directory => self.names.node_mut(id).kind = FileType::Directory,
                    InitialState::NotDirectory => {
                        self.names.node_mut(id).observe(&Observed::not_directory());
                    }
                    InitialState::DanglingLink => self.names.node_mut(id).kind = FileType::Link,
                    InitialState::LinkToItself => self.names.mark_link_to_itself(id),
                    InitialState::Absent => {}
                }
            }
        }
        // The name of a directory precedes those of its entries.
        for index in 0..self.unknown_names.len() {
            let Some(state) = self.assumed.get(&Variable::UnknownName(index)) else { continue };
            let (dir, name) = self.unknown_names[index].clone();
            let dir = match dir {
                Variable::Node(id) => Some(self.names.follow_merges(id)),
                Variable::UnknownName(index) => file_of_unknown_name[index],
            };
            let Some(dir) = dir else { continue };
            let dir_entry = DirEntry { dir, name, state: EntryState::Unknown };
            let seen = match state {
                InitialState::Directory => Observed::of_type(FileType::Directory),
                InitialState::NotDirectory => Observed::not_directory(),
                InitialState::DanglingLink => Observed::of_type(FileType::Link),
                InitialState::LinkToItself => Observed {
                    target: Some(dir_entry.name.to_vec()),
                    ..Observed::of_type(FileType::Link)
                },
                InitialState::Absent => continue,
            };
            let id = match self.names.node(dir).entries.contains_key(&dir_entry.name) {
                true => self.names.add_replaced_file(&dir_entry, &seen),
                false => self.names.note_exists(&dir_entry, &seen),
            };
            let node = self.names.node_mut(id);
            if *state == InitialState::NotDirectory {
                node.guess_type(FileType::Regular);
            }
            file_of_unknown_name[index] = Some(id);
        }
    }
}
