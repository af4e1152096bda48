//! Writing the types that were found, and those of their members, as BTF.

use super::{Found, HEAD, MAGIC, Record, number_at};
use libbpf_rs::libbpf_sys::{
    BTF_KIND_ARRAY, BTF_KIND_CONST, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FLOAT, BTF_KIND_FWD,
    BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG,
    BTF_KIND_TYPEDEF, BTF_KIND_UNION, BTF_KIND_VOLATILE,
};
use std::collections::HashMap;

impl Found<'_> {
    /// Returns BTF of the types that were found and of their members' types. Types that pointers
    /// lead to are left out, since libbpf does not need them. Returns `None` if the kernel's BTF
    /// has kinds that are unknown here.
    pub fn subset(&self) -> Option<Vec<u8>> {
        let mut out = Subset {
            from: self,
            types: Vec::new(),
            strings: vec![0],
            // Offsets of names in `strings`, by their offsets in the kernel's.
            names: HashMap::from([(0, 0)]),
            // Numbers of types, by their numbers in the kernel.
            numbers: HashMap::from([(0, 0)]),
            // The kernel's numbers of the types, ordered by their numbers here.
            queue: Vec::new(),
        };
        let mut roots: Vec<u32> = self.numbers.values().flatten().copied().collect();
        roots.sort_unstable();
        for number in roots {
            out.number(number);
        }
        let mut next = 0;
        while let Some(&number) = out.queue.get(next) {
            out.copy(self.record(number)?)?;
            next += 1;
        }
        Some(out.bytes())
    }
}

/// The BTF that is being written.
struct Subset<'a> {
    from: &'a Found<'a>,
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Offsets of names in `strings`, by their offsets in the kernel's.
    names: HashMap<u32, u32>,
    /// Numbers of types, by their numbers in the kernel.
    numbers: HashMap<u32, u32>,
    /// The kernel's numbers of the types, ordered by their numbers here.
    queue: Vec<u32>,
}

impl Subset<'_> {
    /// Returns the number of a type here. If it has none, it gets one and is copied later.
    fn number(&mut self, in_kernel: u32) -> u32 {
        if let Some(&here) = self.numbers.get(&in_kernel) {
            return here;
        }
        self.queue.push(in_kernel);
        let here = self.queue.len() as u32;
        self.numbers.insert(in_kernel, here);
        here
    }

    /// Returns the offset of a name here. If it is not there, it is copied.
    fn name(&mut self, in_kernel: u32) -> Option<u32> {
        if let Some(&here) = self.names.get(&in_kernel) {
            return Some(here);
        }
        let here = self.strings.len() as u32;
        self.strings.extend_from_slice(self.from.name(in_kernel)?);
        self.strings.push(0);
        self.names.insert(in_kernel, here);
        Some(here)
    }

    /// Copies a type, with names and numbers replaced by those of this BTF. Returns `None` for an
    /// unknown kind.
    fn copy(&mut self, record: Record) -> Option<()> {
        let start = self.types.len();
        let bytes = self.from.types.get(record.start..record.start + record.len)?;
        self.types.extend_from_slice(bytes);
        self.rename(start)?;
        match record.kind {
            BTF_KIND_INT | BTF_KIND_FLOAT | BTF_KIND_FWD => {}
            BTF_KIND_PTR => self.put(start + 8, 0),
            BTF_KIND_TYPEDEF | BTF_KIND_CONST | BTF_KIND_VOLATILE | BTF_KIND_RESTRICT
            | BTF_KIND_TYPE_TAG => self.renumber(start + 8)?,
            BTF_KIND_ARRAY => {
                self.renumber(start + HEAD)?;
                self.renumber(start + HEAD + 4)?;
            }
            BTF_KIND_STRUCT | BTF_KIND_UNION => {
                for member in 0..record.members {
                    self.rename(start + HEAD + member * 12)?;
                    self.renumber(start + HEAD + member * 12 + 4)?;
                }
            }
            BTF_KIND_ENUM | BTF_KIND_ENUM64 => {
                let len = if record.kind == BTF_KIND_ENUM { 8 } else { 12 };
                for member in 0..record.members {
                    self.rename(start + HEAD + member * len)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Replaces the offset of a name at `at`.
    fn rename(&mut self, at: usize) -> Option<()> {
        let here = self.name(number_at(&self.types, at)?)?;
        self.put(at, here);
        Some(())
    }

    /// Replaces the number of a type at `at`.
    fn renumber(&mut self, at: usize) -> Option<()> {
        let here = self.number(number_at(&self.types, at)?);
        self.put(at, here);
        Some(())
    }

    /// Writes a 32-bit number at `at`.
    fn put(&mut self, at: usize, value: u32) {
        self.types[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Returns header, types and names.
    fn bytes(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut all = Vec::with_capacity(24 + self.types.len() + self.strings.len());
        all.extend_from_slice(&MAGIC.to_ne_bytes());
        // Version and flags.
        all.extend_from_slice(&[1, 0]);
        for number in [24, 0, types, types, strings] {
            all.extend_from_slice(&number.to_ne_bytes());
        }
        all.extend_from_slice(&self.types);
        all.extend_from_slice(&self.strings);
        all
    }
}
