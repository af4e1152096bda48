//! Names that links and renames gave: a file's links are counted under all of its names, and a call
//! that tells where its thread is (getcwd) looks at the names that the directory had and has.

use crate::claims::{Claim, Resource, ResourceState, hash};
use abi::{CallSpec, Role};
use ahash::HashMap;
use model::processes::{Operands, lexical, parent};
use trace::Call;

/// Names of files with several that are remembered.
const NAMES: usize = 1 << 17;
/// So many renames of a directory are followed.
const MAX_FOLLOWED_RENAMES: usize = 8;

#[derive(Default)]
pub(crate) struct Aliases {
    /// Names that links made of one file, by the file.
    aliases: HashMap<Vec<u8>, u64>,
    /// Names that renames gave, by the old ones.
    renamed: HashMap<Vec<u8>, Vec<u8>>,
}

/// Adds the claim that a call uses a resource, and whether it changes it.
fn claim_use(list: &mut Vec<Claim>, resource: Resource, changes: bool) {
    let (before, after) = (ResourceState::Unknown, ResourceState::Unknown);
    list.push(Claim { resource, changes, before, after, argument: u8::MAX });
}

impl Aliases {
    /// Adds the claims of call `number` that follow from other names of its files, which earlier
    /// calls created, and remembers the names that this call creates.
    pub fn claims<R>(
        &mut self,
        list: &mut Vec<Claim>,
        number: u64,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<R>,
    ) {
        if let Some(directory) = operands.cwd.as_ref().filter(|_| spec.returns_a_path()) {
            self.claim_working_directory_names(list, &directory.path);
        }
        if operands.paths.has_any() || !self.aliases.is_empty() {
            self.link_claims(list, number, call, spec, operands);
        }
    }

    /// Adds to `list` that the call depends on the names of the working directory `directory`, so
    /// that it is ordered after renames of it: the given path, and those that it got by later
    /// renames of it or of a directory above it.
    fn claim_working_directory_names(&self, list: &mut Vec<Claim>, directory: &[u8]) {
        claim_use(list, Resource::AllNames, false);
        let mut path = directory.to_vec();
        for _ in 0..MAX_FOLLOWED_RENAMES {
            claim_use(list, Resource::Name(hash(&path)), false);
            let mut above = &path[..];
            let new = loop {
                match self.renamed.get(above) {
                    Some(new) => break Some([new, &path[above.len()..]].concat()),
                    None if above.len() <= 1 => break None,
                    None => above = parent(above),
                }
            };
            match new {
                Some(new) => path = new,
                None => break,
            }
        }
    }

    /// Adds claims on files that have several names by link(2), and remembers the links and renames
    /// that the call makes.
    fn link_claims<R>(
        &mut self,
        list: &mut Vec<Claim>,
        number: u64,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<R>,
    ) {
        let args = spec.args.iter().enumerate();
        let paths: Vec<(Role, Vec<u8>)> = args
            .filter_map(|(i, a)| {
                Some((a.kind.path_use()?.role, lexical(operands.paths[i].as_ref()?)))
            })
            .collect();
        if let [(Role::Lookup, old), (Role::Create, new)] = &paths[..]
            && call.succeeded()
            && self.aliases.len() < NAMES
        {
            let file = *self.aliases.entry(old.clone()).or_insert(number);
            self.aliases.insert(new.clone(), file);
        }
        if let [(Role::Source, old), (Role::Target, new)] = &paths[..]
            && call.succeeded()
            && self.renamed.len() < NAMES
        {
            self.renamed.remove(new);
            self.renamed.insert(old.clone(), new.clone());
        }
        if self.aliases.is_empty() {
            return;
        }
        for (role, path) in &paths {
            if let Some(file) = self.aliases.get(path) {
                let changes = spec.changes && !matches!(role, Role::Open(_));
                claim_use(list, Resource::Alias(*file), changes);
            }
        }
        for file in operands.fds.iter().flatten().filter_map(|d| self.aliases.get(&d.file.path[..]))
        {
            claim_use(list, Resource::Alias(*file), false);
        }
        if let [(Role::Source, old), (Role::Target, new)] = &paths[..]
            && call.succeeded()
            && let Some(file) = self.aliases.remove(old)
        {
            self.aliases.insert(new.clone(), file);
        }
    }
}
