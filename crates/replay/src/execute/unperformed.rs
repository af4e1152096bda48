//! Files that calls changed in the recording, where the calls were not performed here: the report
//! lists them, so that the final comparison does not silently call them equal.

use abi::{CallSpec, Kind, Ret, Role};
use model::processes::{LinkRoute, LinkTarget, Mounts, Operands, lexical};
use std::collections::BTreeMap;
use trace::Call;

/// Names that are kept.
const MOST: usize = 100_000;

/// Names, each with the first call that was not performed and why.
#[derive(Default)]
pub(crate) struct Unperformed {
    files: BTreeMap<Box<[u8]>, String>,
}

impl Unperformed {
    /// Notes the files that an unperformed call changed in the recording. `why` is the reason for
    /// not performing it.
    pub fn note<R>(&mut self, call: &Call, operands: &Operands<R>, mounts: &Mounts, why: &str) {
        let Some(spec) = call.spec() else { return };
        if !changed(call, spec) {
            return;
        }
        for (i, arg) in spec.args.iter().enumerate() {
            let path = match arg.kind {
                Kind::Fd if spec.copies.is_some_and(|c| usize::from(c.from.fd) == i) => None,
                Kind::Fd => operands.fds[i]
                    .as_ref()
                    .filter(|d| d.file.is_stored())
                    .map(|d| d.file.path.to_vec()),
                // An open that made or emptied a file is performed, unless what it found is none.
                kind if kind.path_use().is_some_and(|way| !matches!(way.role, Role::Open(_))) => {
                    let here = |way: &LinkRoute<_>| !matches!(way.to, LinkTarget::Elsewhere);
                    let path = operands.paths[i].as_deref();
                    path.filter(|_| operands.through[i].as_ref().is_none_or(here)).map(lexical)
                }
                _ => None,
            };
            if let Some(path) = path.filter(|p| self.files.len() < MOST && !mounts.is_virtual(p)) {
                self.files.entry(path.into()).or_insert_with(|| {
                    format!("{} of call {} was not performed ({why})", spec.name, call.seq)
                });
            }
        }
    }

    /// Returns the noted files, each with the reason.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.files.iter().map(|(path, why)| (&**path, &**why))
    }
}

/// Returns whether the call changed files when it was recorded.
fn changed(call: &Call, spec: &CallSpec) -> bool {
    spec.changes && call.succeeded() && (spec.ret != Ret::Bytes || call.ret > 0)
}
