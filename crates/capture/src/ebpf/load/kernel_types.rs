//! The kernel's type information (BTF), and the small part of it that the probe needs.
//!
//! libbpf searches all types of the kernel for each struct of the probe, by name. It gets a file
//! with the few types that have such names instead. The format is that of
//! Documentation/bpf/btf.rst.

mod for_libbpf;
mod subset;
#[cfg(test)]
mod tests;

pub(super) use for_libbpf::{Numbers, TypesFile};

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
    Mapped { at: NonNull<u8>, len: usize },
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
            if let Some(at) = mapped.ok().and_then(|at| NonNull::new(at.cast())) {
                return Ok(Self::Mapped { at, len });
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
    pub fn have_name(&self, name: &str) -> bool {
        let name = [b"\0", name.as_bytes(), b"\0"].concat();
        memchr::memmem::find(self, &name).is_some()
    }

    /// Returns how many arguments a tracepoint has, or `None` if the kernel does not have it.
    pub fn tracepoint_arguments(&self, name: &str) -> Option<usize> {
        let name = format!("btf_trace_{name}");
        let found = find(self, &HashSet::from([name.as_bytes()]))?;
        // typedef void (*btf_trace_NAME)(void *, arguments...);
        let mut number = found.number(BTF_KIND_TYPEDEF, &name)?;
        loop {
            let record = found.record(number)?;
            if record.kind == BTF_KIND_FUNC_PROTO {
                return record.members.checked_sub(1);
            }
            // A typedef or a pointer: what it refers to stands behind its kind.
            let refers = matches!(record.kind, BTF_KIND_TYPEDEF | BTF_KIND_PTR);
            number = refers.then(|| number_at(found.types, record.start + 8))??;
        }
    }
}

impl Deref for KernelTypes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: the mapping lives as long as this value.
            Self::Mapped { at, len } => unsafe { std::slice::from_raw_parts(at.as_ptr(), *len) },
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for KernelTypes {
    fn drop(&mut self) {
        if let Self::Mapped { at, len } = self {
            // SAFETY: the mapping that `open` made, which nothing refers to any more.
            let _best = unsafe { munmap(at.as_ptr().cast(), *len) };
        }
    }
}

/// Types with certain names, found in BTF.
pub(super) struct Found<'b> {
    /// The section of types.
    types: &'b [u8],
    /// The section of names.
    strings: &'b [u8],
    /// Where each type begins in `types`, by its number. Type 0 is `void`.
    starts: Vec<u32>,
    /// The numbers of the types that were searched for, by name.
    numbers: HashMap<&'b [u8], Vec<u32>>,
}

/// Searches BTF for structs, unions, enums and typedefs with these names. Returns `None` if the
/// bytes are not valid BTF.
pub(super) fn find<'b>(bytes: &'b [u8], names: &HashSet<&[u8]>) -> Option<Found<'b>> {
    let u32_at = |at| number_at(bytes, at).map(|n| n as usize);
    if bytes.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    // struct btf_header: hdr_len, type_off, type_len, str_off, str_len.
    let [header, type_off, type_len, str_off, str_len] = [4, 8, 12, 16, 20].map(u32_at);
    let section = |off: Option<usize>, len: Option<usize>| {
        let from = header?.checked_add(off?)?;
        bytes.get(from..from.checked_add(len?)?)
    };
    let types = section(type_off, type_len)?;
    let mut found = Found {
        types,
        strings: section(str_off, str_len)?,
        starts: vec![0],
        numbers: HashMap::new(),
    };
    let mut at = 0;
    while at < types.len() {
        let record = Record::at(types, at)?;
        let named = [BTF_KIND_STRUCT, BTF_KIND_UNION, BTF_KIND_ENUM, BTF_KIND_ENUM64]
            .contains(&record.kind)
            || record.kind == BTF_KIND_TYPEDEF;
        if named {
            let name = found.name(record.name)?;
            if names.contains(name) {
                found.numbers.entry(name).or_default().push(found.starts.len() as u32);
            }
        }
        found.starts.push(at as u32);
        at += record.len;
    }
    Some(found)
}

impl<'b> Found<'b> {
    /// Returns the number of the first type of this kind and name, or `None` if there is none.
    pub fn number(&self, kind: u32, name: &str) -> Option<u32> {
        let numbers = self.numbers.get(name.as_bytes())?;
        numbers.iter().copied().find(|&n| self.record(n).is_some_and(|r| r.kind == kind))
    }
    /// Returns the type with this number, or `None` if there is none.
    fn record(&self, number: u32) -> Option<Record> {
        let start = self.starts.get(number as usize).filter(|_| number != 0)?;
        Record::at(self.types, *start as usize)
    }
    /// Returns the name at this offset of the names.
    fn name(&self, offset: u32) -> Option<&'b [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        rest.get(..memchr::memchr(0, rest)?)
    }
}

/// A `struct btf_type` and what follows it.
#[derive(Clone, Copy)]
struct Record {
    /// Where it begins.
    start: usize,
    /// The offset of its name.
    name: u32,
    /// A `BTF_KIND_*`.
    kind: u32,
    /// How many members it has.
    members: usize,
    /// Its length in bytes, with what follows it.
    len: usize,
}

/// The length of `struct btf_type`.
const HEAD: usize = 12;

impl Record {
    /// Decodes the type at `start`. Returns `None` if it is not valid.
    fn at(types: &[u8], start: usize) -> Option<Self> {
        let name = number_at(types, start)?;
        let info = number_at(types, start + 4)?;
        let (kind, members) = (info >> 24 & 31, (info & 0xffff) as usize);
        let rest = match kind {
            BTF_KIND_INT | BTF_KIND_VAR | BTF_KIND_DECL_TAG => 4,
            BTF_KIND_ARRAY => 12,
            BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_DATASEC | BTF_KIND_ENUM64 => members * 12,
            BTF_KIND_ENUM | BTF_KIND_FUNC_PROTO => members * 8,
            1..=BTF_KIND_MAX => 0,
            _ => return None,
        };
        let len = HEAD + rest;
        types.get(start..start.checked_add(len)?)?;
        Some(Self { start, name, kind, members, len })
    }
}

/// Returns the 32-bit number at this offset, or `None` behind the end.
fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}
