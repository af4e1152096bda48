//! The kernel's type information (BTF), and the small part of it that the probe needs.
//!
//! libbpf searches all types of the kernel for each struct of the probe, by name. It gets a file
//! with the few types that have such names instead. The format is that of
//! Documentation/bpf/btf.rst.

mod for_libbpf;
mod subset;
#[cfg(test)]
mod tests;

pub(super) use for_libbpf::{TypeIds, TypesFile};

use crate::Error;
use libbpf_rs::libbpf_sys::{
    BTF_KIND_ARRAY, BTF_KIND_DATASEC, BTF_KIND_DECL_TAG, BTF_KIND_ENUM, BTF_KIND_ENUM64,
    BTF_KIND_FUNC_PROTO, BTF_KIND_INT, BTF_KIND_MAX, BTF_KIND_PTR, BTF_KIND_STRUCT,
    BTF_KIND_TYPEDEF, BTF_KIND_UNION, BTF_KIND_VAR,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::ptr::{self, NonNull};

const FILE: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;

/// The BTF of the running kernel.
pub(super) enum KernelTypes {
    /// In a mapping of the kernel's file.
    Mapped { address: NonNull<u8>, len: usize },
    /// In a copy.
    Read(Vec<u8>),
}

impl KernelTypes {
    /// Opens the BTF of the running kernel. Fails if it has none or it may not be read.
    pub fn open() -> Result<Self, Error> {
        let opened = || {
            let file = File::open(FILE)?;
            let len = file.metadata()?.len() as usize;
            // SAFETY: a new mapping of what the kernel never changes, at an address of its choice.
            let mapped =
                unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) };
            if let Some(address) = mapped.ok().and_then(|address| NonNull::new(address.cast())) {
                return Ok(Self::Mapped { address, len });
            }
            // Before Linux 6.16 the file can only be read, a page at a time.
            let mut bytes = Vec::with_capacity(len);
            (&file).read_to_end(&mut bytes)?;
            Ok(Self::Read(bytes))
        };
        opened().map_err(|source| Error::EbpfUnavailable {
            doing: "read the kernel's types (/sys/kernel/btf/vmlinux)",
            source,
            hint: None,
        })
    }

    /// Returns whether a function or type has this name.
    pub fn has_name(&self, name: &str) -> bool {
        let name = [b"\0", name.as_bytes(), b"\0"].concat();
        memchr::memmem::find(self, &name).is_some()
    }

    /// Returns how many arguments a tracepoint has, or `None` if the kernel does not have it.
    pub fn tracepoint_arguments(&self, name: &str) -> Option<usize> {
        let name = format!("btf_trace_{name}");
        let found = find_types(self, &HashSet::from([name.as_bytes()]))?;
        // typedef void (*btf_trace_NAME)(void *, arguments...);
        let mut type_id = found.type_id(BTF_KIND_TYPEDEF, &name)?;
        loop {
            let record = found.record(type_id)?;
            if record.kind == BTF_KIND_FUNC_PROTO {
                return record.members.checked_sub(1);
            }
            // A typedef or a pointer has the id of the type that it refers to.
            let is_reference = matches!(record.kind, BTF_KIND_TYPEDEF | BTF_KIND_PTR);
            type_id = is_reference.then(|| u32_at(found.types, record.start + 8))??;
        }
    }
}

impl Deref for KernelTypes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: the mapping lives as long as this value.
            Self::Mapped { address, len } => unsafe {
                std::slice::from_raw_parts(address.as_ptr(), *len)
            },
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for KernelTypes {
    fn drop(&mut self) {
        if let Self::Mapped { address, len } = self {
            // SAFETY: the mapping that `open` made, which nothing refers to any more.
            let _best = unsafe { munmap(address.as_ptr().cast(), *len) };
        }
    }
}

/// The types in BTF, of which those with certain names were searched for.
pub(super) struct FoundTypes<'b> {
    /// The section of types.
    types: &'b [u8],
    /// The section of names.
    strings: &'b [u8],
    /// The offset of each type in `types`, by its type id. Type 0 is `void`.
    offsets: Vec<u32>,
    /// The ids of the types that were searched for, by name.
    ids_by_name: HashMap<&'b [u8], Vec<u32>>,
}

/// Searches BTF for structs, unions, enums and typedefs with these names. Returns `None` if the
/// bytes are not valid BTF.
pub(super) fn find_types<'b>(bytes: &'b [u8], names: &HashSet<&[u8]>) -> Option<FoundTypes<'b>> {
    let usize_at = |offset| u32_at(bytes, offset).map(|n| n as usize);
    if bytes.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    // struct btf_header: hdr_len, type_off, type_len, str_off, str_len.
    let [header, type_off, type_len, str_off, str_len] = [4, 8, 12, 16, 20].map(usize_at);
    let section = |off: Option<usize>, len: Option<usize>| {
        let from = header?.checked_add(off?)?;
        bytes.get(from..from.checked_add(len?)?)
    };
    let types = section(type_off, type_len)?;
    let mut found = FoundTypes {
        types,
        strings: section(str_off, str_len)?,
        offsets: vec![0],
        ids_by_name: HashMap::new(),
    };
    let mut offset = 0;
    while offset < types.len() {
        let record = TypeRecord::decode(types, offset)?;
        let is_candidate = [BTF_KIND_STRUCT, BTF_KIND_UNION, BTF_KIND_ENUM, BTF_KIND_ENUM64]
            .contains(&record.kind)
            || record.kind == BTF_KIND_TYPEDEF;
        if is_candidate {
            let name = found.name(record.name)?;
            if names.contains(name) {
                found.ids_by_name.entry(name).or_default().push(found.offsets.len() as u32);
            }
        }
        found.offsets.push(offset as u32);
        offset += record.len;
    }
    Some(found)
}

impl<'b> FoundTypes<'b> {
    /// Returns the id of the first type of this kind (`BTF_KIND_*`) and name, or `None` if there is
    /// none. The name must be one of those that were searched for.
    pub fn type_id(&self, kind: u32, name: &str) -> Option<u32> {
        let ids = self.ids_by_name.get(name.as_bytes())?;
        ids.iter().copied().find(|&id| self.record(id).is_some_and(|r| r.kind == kind))
    }
    /// Returns the type with this id, or `None` if there is none.
    fn record(&self, type_id: u32) -> Option<TypeRecord> {
        let offset = self.offsets.get(type_id as usize).filter(|_| type_id != 0)?;
        TypeRecord::decode(self.types, *offset as usize)
    }
    /// Returns the name at this offset of the section of names, or `None` if it has no end there.
    fn name(&self, offset: u32) -> Option<&'b [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        rest.get(..memchr::memchr(0, rest)?)
    }
}

/// A `struct btf_type` and what follows it.
#[derive(Clone, Copy)]
struct TypeRecord {
    /// Its offset in the section of types.
    start: usize,
    /// The offset of its name in the section of names.
    name: u32,
    /// A `BTF_KIND_*`.
    kind: u32,
    /// How many members it has.
    members: usize,
    /// Its length in bytes, with what follows it.
    len: usize,
}

/// The length in bytes of `struct btf_type`.
const BTF_TYPE_SIZE: usize = 12;

impl TypeRecord {
    /// Decodes the type at the offset `start`. Returns `None` if it is not valid.
    fn decode(types: &[u8], start: usize) -> Option<Self> {
        let name = u32_at(types, start)?;
        let info = u32_at(types, start + 4)?;
        let (kind, members) = (info >> 24 & 31, (info & 0xffff) as usize);
        let rest = match kind {
            BTF_KIND_INT | BTF_KIND_VAR | BTF_KIND_DECL_TAG => 4,
            BTF_KIND_ARRAY => 12,
            BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_DATASEC | BTF_KIND_ENUM64 => members * 12,
            BTF_KIND_ENUM | BTF_KIND_FUNC_PROTO => members * 8,
            1..=BTF_KIND_MAX => 0,
            _ => return None,
        };
        let len = BTF_TYPE_SIZE + rest;
        types.get(start..start.checked_add(len)?)?;
        Some(Self { start, name, kind, members, len })
    }
}

/// Returns the 32-bit number at this offset, or `None` if the bytes end before it does.
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}
