//! What the results of overlapping calls prove of their order by the names that they found or missed.
//!
//! A mkdir that made a name came after the lookup that missed it; a rmdir came after the open that found the directory; a call below a directory came after the mkdir
//! of it. Names are compared as they are written, without links.

use crate::issue::Real;
use abi::{Role, Shape};
use model::world::{Bound, lexical, parent};
use std::hash::{Hash, Hasher};
use trace::Call;

const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const EADDRINUSE: i32 = 98;

/// That a name was there, or not, when the call acted, and afterwards; `None`: nobody knows.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    /// A hash: names are only compared.
    path: u64,
    before: Option<bool>,
    after: bool,
}

/// What a call's result says of names.
#[derive(Debug, Default)]
pub(crate) struct Presence(Vec<Claim>);

impl Presence {
    /// What `call` found, made and removed.
    pub fn of(call: &Call, shape: &Shape, bound: &Bound<Real>) -> Self {
        let mut claims = Vec::new();
        let mut claim =
            |path: &[u8], before, after| claims.push(Claim { path: hash(path), before, after });
        let paths =
            || {
                shape.args.iter().enumerate().filter_map(|(i, a)| {
                    Some((a.kind.path()?.role, lexical(bound.paths[i].as_ref()?)))
                })
            };
        let alone = paths().count() == 1;
        for (role, path) in paths() {
            let above = parent(&path);
            let flags = if let Role::Open(from) = role { call.open_flags(from) } else { 0 };
            let makes = role == Role::Create || flags & O_CREAT != 0;
            match call.errno() {
                None if call.returned() => {
                    let before = match role {
                        Role::Create => Some(false),
                        Role::Target => None,
                        Role::Open(_) if flags & O_CREAT != 0 => {
                            (flags & O_EXCL != 0).then_some(false)
                        }
                        _ => Some(true),
                    };
                    claim(
                        &path,
                        before,
                        !matches!(role, Role::Remove | Role::RemoveDirectory | Role::Source),
                    );
                    claim(above, Some(true), true);
                }
                Some(ENOENT) if alone => {
                    claim(if makes { above } else { &path }, Some(false), false);
                }
                Some(EEXIST | EADDRINUSE) if makes => claim(&path, Some(true), true),
                _ => {}
            }
        }
        Self(claims)
    }

    /// Whether the call that says `other` acted before this one: afterwards it would have found what it did not find.
    pub fn came_after(&self, other: &Self) -> bool {
        self.0.iter().any(|mine| {
            let theirs = other.0.iter().find(|c| c.path == mine.path);
            theirs.is_some_and(|theirs| {
                theirs.before == Some(!mine.after)
                    && mine.before.is_none_or(|before| before == theirs.after)
            })
        })
    }

    /// Whether the call made or removed a name of which `other` says something.
    pub fn disturbs(&self, other: &Self) -> bool {
        let changed = self.0.iter().filter(|c| c.before != Some(c.after));
        changed.into_iter().any(|c| other.0.iter().any(|o| o.path == c.path))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = ahash::AHasher::default();
    path.hash(&mut hasher);
    hasher.finish()
}
