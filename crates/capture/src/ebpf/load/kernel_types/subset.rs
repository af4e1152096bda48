//! Writes the types that were searched for, and those of their members, as BTF of its own.

use super::{BTF_TYPE_SIZE, FoundTypes, MAGIC, TypeRecord, u32_at};
use libbpf_rs::libbpf_sys::{
    BTF_KIND_ARRAY, BTF_KIND_CONST, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FLOAT, BTF_KIND_FWD,
    BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG,
    BTF_KIND_TYPEDEF, BTF_KIND_UNION, BTF_KIND_VOLATILE,
};
use std::collections::HashMap;

impl FoundTypes<'_> {
    /// Returns BTF of the types that were searched for and of their members' types. Types that
    /// pointers lead to are left out, since libbpf does not need them. Returns `None` if the
    /// kernel's BTF has kinds that are unknown here.
    pub fn subset(&self) -> Option<Vec<u8>> {
        let mut out = Subset {
            kernel: self,
            types: Vec::new(),
            strings: vec![0],
            name_offsets: HashMap::from([(0, 0)]),
            ids: HashMap::from([(0, 0)]),
            kernel_ids: Vec::new(),
        };
        let mut searched: Vec<u32> = self.ids_by_name.values().flatten().copied().collect();
        searched.sort_unstable();
        for kernel_id in searched {
            out.assign_id(kernel_id);
        }
        let mut copied = 0;
        while let Some(&kernel_id) = out.kernel_ids.get(copied) {
            out.copy(self.record(kernel_id)?)?;
            copied += 1;
        }
        Some(out.into_bytes())
    }
}

/// The BTF that is being written.
struct Subset<'a> {
    kernel: &'a FoundTypes<'a>,
    /// The section of types, as far as it was written.
    types: Vec<u8>,
    /// The section of names, as far as it was written.
    strings: Vec<u8>,
    /// The offset of each name in `strings`, by its offset in the kernel's BTF.
    name_offsets: HashMap<u32, u32>,
    /// The id of each type in this BTF, by its id in the kernel's.
    ids: HashMap<u32, u32>,
    /// The kernel's ids of the types, in the order of their ids in this BTF, from 1 on.
    kernel_ids: Vec<u32>,
}

impl Subset<'_> {
    /// Returns the id in this BTF of a type of the kernel. If it has none, it gets the next one,
    /// and is copied later.
    fn assign_id(&mut self, kernel_id: u32) -> u32 {
        if let Some(&id) = self.ids.get(&kernel_id) {
            return id;
        }
        self.kernel_ids.push(kernel_id);
        let id = self.kernel_ids.len() as u32;
        self.ids.insert(kernel_id, id);
        id
    }

    /// Returns the offset in `strings` of the name at this offset of the kernel's names. Copies the
    /// name unless it is there. Returns `None` if the kernel has no name there.
    fn copy_name(&mut self, kernel_offset: u32) -> Option<u32> {
        if let Some(&offset) = self.name_offsets.get(&kernel_offset) {
            return Some(offset);
        }
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(self.kernel.name(kernel_offset)?);
        self.strings.push(0);
        self.name_offsets.insert(kernel_offset, offset);
        Some(offset)
    }

    /// Copies a type, with offsets of names and type ids replaced by those of this BTF. Returns
    /// `None` for an unknown kind.
    fn copy(&mut self, record: TypeRecord) -> Option<()> {
        let start = self.types.len();
        let bytes = self.kernel.types.get(record.start..record.start + record.len)?;
        self.types.extend_from_slice(bytes);
        self.replace_name(start)?;
        match record.kind {
            BTF_KIND_INT | BTF_KIND_FLOAT | BTF_KIND_FWD => {}
            BTF_KIND_PTR => self.write_u32(start + 8, 0),
            BTF_KIND_TYPEDEF | BTF_KIND_CONST | BTF_KIND_VOLATILE | BTF_KIND_RESTRICT
            | BTF_KIND_TYPE_TAG => self.replace_id(start + 8)?,
            BTF_KIND_ARRAY => {
                self.replace_id(start + BTF_TYPE_SIZE)?;
                self.replace_id(start + BTF_TYPE_SIZE + 4)?;
            }
            BTF_KIND_STRUCT | BTF_KIND_UNION => {
                for member in 0..record.members {
                    self.replace_name(start + BTF_TYPE_SIZE + member * 12)?;
                    self.replace_id(start + BTF_TYPE_SIZE + member * 12 + 4)?;
                }
            }
            BTF_KIND_ENUM | BTF_KIND_ENUM64 => {
                let len = if record.kind == BTF_KIND_ENUM { 8 } else { 12 };
                for member in 0..record.members {
                    self.replace_name(start + BTF_TYPE_SIZE + member * len)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Replaces the offset of a name of the kernel's, which is at `position` in `types`, by that of
    /// the same name in this BTF.
    fn replace_name(&mut self, position: usize) -> Option<()> {
        let name_offset = self.copy_name(u32_at(&self.types, position)?)?;
        self.write_u32(position, name_offset);
        Some(())
    }

    /// Replaces a type id of the kernel's, which is at `position` in `types`, by that of the same
    /// type in this BTF.
    fn replace_id(&mut self, position: usize) -> Option<()> {
        let id = self.assign_id(u32_at(&self.types, position)?);
        self.write_u32(position, id);
        Some(())
    }

    /// Writes a 32-bit number at `position` in `types`.
    fn write_u32(&mut self, position: usize, value: u32) {
        self.types[position..position + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Returns the whole BTF: header, types and names.
    fn into_bytes(self) -> Vec<u8> {
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
