//! A trace under other names, or with other data: everything that reads it sees the same
//! alteration, so that replay and comparison stay what they are.
//!
//! Names: prefixes of absolute paths, wherever they stand. Data: every byte that calls moved, and
//! the initial content; the final content is not known then, all else is compared as ever.

use super::{Cause, Reading, Source};
use abi::{CallSpec, Form, Kind};
use model::files::{Change, Content, Copied, FileType, Final, Origin, Row, State, Unnamed};
use model::processes::{Mounts, parent};
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use trace::record::{AT_EXIT, CUT, Identity, PayloadKind};
use trace::{Call, Item, Payload};

/// Which bytes stand for the recorded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// Themselves.
    #[default]
    Recorded,
    /// Zeros.
    Zero,
    /// Each byte another one, chosen at random but for zero: what was equal stays equal, and
    /// compresses as well.
    Random(u64),
    /// These, over and over from the beginning of each buffer.
    Pattern(Vec<u8>),
}

/// What is altered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alteration {
    /// Prefixes of absolute paths, without slashes at their ends, and what stands for them; the
    /// first that fits.
    pub map: Vec<(Vec<u8>, Vec<u8>)>,
    /// The data.
    pub data: Data,
}

/// Bytes before the path in an identity.
const IDENTITY: usize = size_of::<Identity>();
/// Bytes made up for one call at most.
const MOST: u64 = 256 << 20;

/// An altered trace.
pub struct Altered<'a> {
    inner: &'a dyn Source,
    by: Alteration,
    bytes: [u8; 256],
}

impl<'a> Altered<'a> {
    /// Creates a source that alters the calls and files of `inner`.
    pub fn new(inner: &'a dyn Source, by: Alteration) -> Self {
        let bytes = if let Data::Random(seed) = by.data { shuffle_bytes(seed) } else { [0; 256] };
        Self { inner, by, bytes }
    }

    /// Returns the path that replaces this one, or `None` if it stays.
    fn map_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.by.map.iter().find_map(|(old, new)| {
            let rest =
                path.strip_prefix(&old[..]).filter(|rest| rest.is_empty() || rest[0] == b'/')?;
            let mapped = [new, rest].concat();
            Some(if mapped.is_empty() { b"/".to_vec() } else { mapped })
        })
    }

    /// Replaces written data as the alteration says.
    fn alter_data(&self, bytes: &mut [u8]) {
        match &self.by.data {
            Data::Recorded => {}
            Data::Zero => bytes.fill(0),
            Data::Random(_) => bytes.iter_mut().for_each(|b| *b = self.bytes[usize::from(*b)]),
            Data::Pattern(pattern) => {
                bytes.iter_mut().zip(pattern.iter().cycle()).for_each(|(b, p)| *b = *p);
            }
        }
    }

    /// Alters one payload of a call. `into` is whether the program passed the bytes to the kernel;
    /// then bytes that were not recorded can be replaced by any others.
    fn alter_payload(&self, payload: &mut Payload, into: bool) {
        let bytes = payload.bytes.as_slice();
        let new = match payload.kind {
            PayloadKind::Data
                if into
                    && self.by.data != Data::Recorded
                    && payload.wanted > bytes.len() as u64
                    && payload.wanted <= MOST =>
            {
                let mut all = self.placeholder_bytes(payload.wanted as usize);
                all[..bytes.len()].copy_from_slice(bytes);
                self.alter_data(&mut all);
                *payload = Payload {
                    len: payload.wanted,
                    flags: payload.flags & !CUT,
                    bytes: all.into(),
                    ..payload.clone()
                };
                None
            }
            PayloadKind::Data if self.by.data != Data::Recorded => {
                let mut bytes = bytes.to_vec();
                self.alter_data(&mut bytes);
                Some(bytes)
            }
            PayloadKind::String => self.map_path(bytes),
            PayloadKind::Identity => bytes
                .split_at_checked(IDENTITY)
                .and_then(|(head, path)| Some([head, &self.map_path(path)?].concat())),
            _ => None,
        };
        if let Some(new) = new {
            *payload = payload.with_bytes(new);
        }
    }

    /// Alters the paths and the written data of a call.
    fn alter_call(&self, call: &mut Call) {
        if let Some(spec) = call.spec().filter(|_| call.succeeded() && !self.by.map.is_empty()) {
            self.alter_returned_paths(call, spec);
        }
        let writes = call.spec().is_some_and(|s| s.changes);
        call.payloads.iter_mut().for_each(|p| self.alter_payload(p, writes));
    }

    /// Returns `len` bytes in place of unrecorded ones. They do not compress well, and are the same
    /// in each run.
    fn placeholder_bytes(&self, len: usize) -> Vec<u8> {
        let Data::Random(seed) = self.by.data else { return vec![0; len] };
        let mut state = seed ^ len as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    /// Alters paths that the kernel returned (readlink, getcwd), and the result, which is their
    /// length.
    fn alter_returned_paths(&self, call: &mut Call, spec: &CallSpec) {
        for (i, arg) in spec.args.iter().enumerate() {
            let Kind::Out(_, layout) = arg.kind else { continue };
            let text = |p: &&mut Payload| {
                p.arg as usize == i && p.kind == PayloadKind::Bytes && p.flags & AT_EXIT != 0
            };
            let Some(payload) =
                call.payloads.iter_mut().find(text).filter(|_| layout.form == Form::Text)
            else {
                continue;
            };
            let ended = payload.bytes.as_slice().ends_with(b"\0");
            let path =
                payload.bytes.as_slice().strip_suffix(b"\0").unwrap_or(payload.bytes.as_slice());
            let Some(mut new) = self.map_path(path) else { continue };
            call.ret += new.len() as i64 - path.len() as i64;
            new.extend(ended.then_some(0));
            *payload = payload.with_bytes(new);
        }
    }

    /// Alters the target of a symbolic link in a file's state.
    fn alter_state(&self, state: &mut State) {
        if let Some(new) = state.target.as_deref().and_then(|target| self.map_path(target)) {
            state.target = Some(new);
        }
    }

    /// Alters the paths of a row of the manifest.
    fn alter_row(&self, mut row: Row) -> Row {
        if let Some(new) = self.map_path(&row.path) {
            row.path = new;
        }
        row.initial.iter_mut().for_each(|state| self.alter_state(state));
        if let Final::Present(state, content) = &mut row.last {
            self.alter_state(state);
            if matches!(content, Content::Hash(..)) && self.by.data != Data::Recorded {
                *content = Content::Not("other data were written than were recorded".to_owned());
            }
        }
        row
    }
}

impl Source for Altered<'_> {
    fn items(&self) -> Result<Reading<'_, Item>, Cause> {
        let items = self.inner.items()?;
        Ok(Box::new(items.map(|item| {
            item.map(|mut item| {
                match &mut item {
                    Item::Call(call) => self.alter_call(call),
                    Item::Event(event) => {
                        event.payloads.iter_mut().for_each(|p| self.alter_payload(p, false));
                    }
                }
                item
            })
        })))
    }
    fn rows(&self) -> Result<Vec<Row>, Cause> {
        let mut rows: Vec<Row> =
            self.inner.rows()?.into_iter().map(|row| self.alter_row(row)).collect();
        let known: BTreeSet<Vec<u8>> = rows.iter().map(|row| row.path.clone()).collect();
        let mut missing = BTreeSet::new();
        for (_, new) in &self.by.map {
            let mut path = &new[..];
            while path.len() > 1 {
                path = parent(path);
                if !known.contains(path) {
                    missing.insert(path.to_vec());
                }
            }
        }
        rows.extend(missing.into_iter().map(directory_row));
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(rows)
    }
    fn origins(&self) -> Result<Reading<'_, Origin>, Cause> {
        self.inner.origins()
    }
    fn snapshot(&self) -> Result<Reading<'_, Copied>, Cause> {
        self.inner.snapshot()
    }
    fn unnamed(&self) -> Result<Vec<Unnamed>, Cause> {
        self.inner.unnamed()
    }
    fn outside(&self) -> Result<Vec<Change>, Cause> {
        let mut changes = self.inner.outside()?;
        for change in &mut changes {
            if let Some(new) = self.map_path(&change.path) {
                change.path = new;
            }
            change.state.iter_mut().for_each(|state| self.alter_state(state));
        }
        Ok(changes)
    }
    fn mounts(&self) -> Mounts {
        self.inner.mounts()
    }
    fn items_about(&self) -> u64 {
        self.inner.items_about()
    }
    fn span(&self) -> Option<u64> {
        self.inner.span()
    }
    fn is_of_one_thread(&self) -> bool {
        self.inner.is_of_one_thread()
    }
    fn is_torn(&self) -> bool {
        self.inner.is_torn()
    }
    fn complete_until(&self) -> Option<u64> {
        self.inner.complete_until()
    }
    fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.inner.directory()
    }
}

/// Returns the row for a directory above a new path.
fn directory_row(path: Vec<u8>) -> Row {
    let state = State { mode: Some(0o755), ..State::of(FileType::Directory) };
    Row {
        path,
        file: None,
        initial: Some(state),
        holes: Vec::new(),
        allocated: Vec::new(),
        last: Final::Unknown("it was made for a mapped name".to_owned()),
    }
}

/// Returns a random permutation of all bytes, for replacing data. Zero stays zero, as holes of
/// files read as zeros.
fn shuffle_bytes(seed: u64) -> [u8; 256] {
    let mut bytes: [u8; 256] = std::array::from_fn(|i| i as u8);
    let mut state = seed;
    for i in (2..256).rev() {
        // splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.swap(i, 1 + ((z ^ (z >> 31)) % i as u64) as usize);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shuffled_and_zero_stays() {
        let mut bytes = shuffle_bytes(7);
        assert_eq!(bytes[0], 0);
        assert!(
            bytes.iter().enumerate().filter(|(i, b)| *i == usize::from(**b)).count() < 10,
            "hardly any stays itself"
        );
        bytes.sort_unstable();
        assert!(bytes.iter().enumerate().all(|(i, b)| i == usize::from(*b)), "each comes once");
    }
}
