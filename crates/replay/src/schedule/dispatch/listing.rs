//! What makes a call's data or listing incomparable: mappings, and changes to a directory that is being listed.

use super::Dispatcher;
use crate::issue::Real;
use abi::{Form, Kind, Role, Shape};
use model::world::{Bound, lexical, parent};
use trace::Call;

const O_CREAT: u32 = 0o100;

impl Dispatcher<'_> {
    /// Files that can change from now on without a call: what is read from them cannot be compared.
    pub(super) fn note_unseen(&mut self, call: &Call, bound: &Bound<Real>) {
        let changed = self.unrecorded.returned(&self.world, call, bound);
        self.mapped.extend(changed.into_iter().map(|(file, _)| file.inode.key));
    }

    /// Keeps account of changes to directories; says whether the directory that this call lists changed since its listing began.
    pub(super) fn listing(&mut self, call: &Call, shape: &Shape, bound: &Bound<Real>) -> bool {
        if call.succeeded() && !self.listings.is_empty() {
            for (i, arg) in shape.args.iter().enumerate() {
                let (Some(way), Some(path)) = (arg.kind.path(), &bound.paths[i]) else { continue };
                let changes = match way.role {
                    Role::Lookup => false,
                    Role::Open(from) => call.open_flags(from) & O_CREAT != 0,
                    Role::Create
                    | Role::Remove
                    | Role::RemoveDirectory
                    | Role::Source
                    | Role::Target => shape.changes,
                };
                if changes {
                    let clean = lexical(path);
                    *self.changes.entry(parent(&clean).into()).or_default() += 1;
                }
            }
        }
        let lists = shape.args.iter().any(|a| matches!(a.kind, Kind::Out(_, l) if matches!(l.form, Form::Dirents | Form::Dirents64)));
        let Some(file) =
            bound.fds[0].as_ref().filter(|_| lists && call.succeeded()).map(|d| &d.file)
        else {
            return false;
        };
        let now = self.changes.get(&file.path).copied().unwrap_or(0);
        let began = *self.listings.entry(file.id).or_insert(now);
        if call.ret == 0 {
            self.listings.remove(&file.id);
            if self.listings.is_empty() {
                self.changes.clear();
            }
        }
        began != now
    }
}
