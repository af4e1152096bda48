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
    /// `inner`, altered.
    pub fn new(inner: &'a dyn Source, by: Alteration) -> Self {
        let bytes = if let Data::Random(seed) = by.data { shuffled(seed) } else { [0; 256] };
        Self { inner, by, bytes }
    }

    /// What stands for a path; `None`: itself.
    fn path(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.by.map.iter().find_map(|(old, new)| {
            let rest =
                path.strip_prefix(&old[..]).filter(|rest| rest.is_empty() || rest[0] == b'/')?;
            let mapped = [new, rest].concat();
            Some(if mapped.is_empty() { b"/".to_vec() } else { mapped })
        })
    }

    fn data(&self, bytes: &mut [u8]) {
        match &self.by.data {
            Data::Recorded => {}
            Data::Zero => bytes.fill(0),
            Data::Random(_) => bytes.iter_mut().for_each(|b| *b = self.bytes[usize::from(*b)]),
            Data::Pattern(pattern) => {
                bytes.iter_mut().zip(pattern.iter().cycle()).for_each(|(b, p)| *b = *p);
            }
        }
    }

    /// `into`: the program gave the bytes, so that those which were not recorded can be any.
    fn payload(&self, payload: &mut Payload, into: bool) {
        let bytes = payload.bytes.as_slice();
        let new = match payload.kind {
            PayloadKind::Data
                if into
                    && self.by.data != Data::Recorded
                    && payload.wanted > bytes.len() as u64
                    && payload.wanted <= MOST =>
            {
                let mut all = self.made_up(payload.wanted as usize);
                all[..bytes.len()].copy_from_slice(bytes);
                self.data(&mut all);
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
                self.data(&mut bytes);
                Some(bytes)
            }
            PayloadKind::String => self.path(bytes),
            PayloadKind::Identity => bytes
                .split_at_checked(IDENTITY)
                .and_then(|(head, path)| Some([head, &self.path(path)?].concat())),
            _ => None,
        };
        if let Some(new) = new {
            *payload = payload.with_bytes(new);
        }
    }

    fn call(&self, call: &mut Call) {
        if let Some(spec) = call.spec().filter(|_| call.succeeded() && !self.by.map.is_empty()) {
            self.told(call, spec);
        }
        let writes = call.spec().is_some_and(|s| s.changes);
        call.payloads.iter_mut().for_each(|p| self.payload(p, writes));
    }

    /// Bytes for what was not recorded: some that do not compress, the same in each run.
    fn made_up(&self, len: usize) -> Vec<u8> {
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

    /// Paths that the kernel told (readlink, getcwd): they are as long as those that stand for
    /// them.
    fn told(&self, call: &mut Call, spec: &CallSpec) {
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
            let Some(mut new) = self.path(path) else { continue };
            call.ret += new.len() as i64 - path.len() as i64;
            new.extend(ended.then_some(0));
            *payload = payload.with_bytes(new);
        }
    }

    fn state(&self, state: &mut State) {
        if let Some(new) = state.target.as_deref().and_then(|target| self.path(target)) {
            state.target = Some(new);
        }
    }

    fn row(&self, mut row: Row) -> Row {
        if let Some(new) = self.path(&row.path) {
            row.path = new;
        }
        row.initial.iter_mut().for_each(|state| self.state(state));
        if let Final::Present(state, content) = &mut row.last {
            self.state(state);
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
                    Item::Call(call) => self.call(call),
                    Item::Event(event) => {
                        event.payloads.iter_mut().for_each(|p| self.payload(p, false));
                    }
                }
                item
            })
        })))
    }
    fn rows(&self) -> Result<Vec<Row>, Cause> {
        let mut rows: Vec<Row> = self.inner.rows()?.into_iter().map(|row| self.row(row)).collect();
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
        rows.extend(missing.into_iter().map(directory));
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
            if let Some(new) = self.path(&change.path) {
                change.path = new;
            }
            change.state.iter_mut().for_each(|state| self.state(state));
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

/// A directory above a new name.
fn directory(path: Vec<u8>) -> Row {
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

/// All bytes in a random order, but zero, which stays where it is: what was never written reads as
/// zeros.
fn shuffled(seed: u64) -> [u8; 256] {
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
        let mut bytes = shuffled(7);
        assert_eq!(bytes[0], 0);
        assert!(
            bytes.iter().enumerate().filter(|(i, b)| *i == usize::from(**b)).count() < 10,
            "hardly any stays itself"
        );
        bytes.sort_unstable();
        assert!(bytes.iter().enumerate().all(|(i, b)| i == usize::from(*b)), "each comes once");
    }
}
