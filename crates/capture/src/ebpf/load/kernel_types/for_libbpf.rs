//! The file of types that libbpf relocates the probe against.

use super::{Found, KernelTypes, find};
use crate::Error;
use crate::ebpf::libbpf_error::refused;
use libbpf_rs::btf::{Btf, BtfType, TypeId};
use libbpf_rs::libbpf_sys::{BTF_KIND_STRUCT, BTF_KIND_TYPEDEF, bpf_object_open_opts};
use libbpf_rs::{AsRawLibbpf, OpenObject};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

const DOING: &str = "find the kernel's types for the eBPF program";

/// The types of the tracepoints to which the programs that are loaded by separate threads are
/// attached: exits and entries of calls, and ends of threads.
const CALLED_AT: [&str; 3] =
    ["btf_trace_sys_exit", "btf_trace_sys_enter", "btf_trace_sched_process_exit"];
/// Structs to which the probe casts (`CAST` in `bpf/identity.h`).
const CAST_TO: [&str; 5] = ["task_struct", "path", "file", "inode", "super_block"];

/// Numbers of types of the kernel.
pub(in crate::ebpf::load) struct Numbers {
    /// See [`CALLED_AT`].
    pub called_at: [u32; 3],
    /// See [`CAST_TO`].
    cast_to: [u32; 5],
}

impl Numbers {
    /// Looks up the numbers. Fails if a type does not exist.
    fn of(found: &Found<'_>) -> Result<Self, Error> {
        let number = |kind, name| {
            found.number(kind, name).ok_or_else(|| unusable(format!("there is no type {name}")))
        };
        let mut numbers = Self { called_at: [0; 3], cast_to: [0; 5] };
        for (at, name) in CALLED_AT.into_iter().enumerate() {
            numbers.called_at[at] = number(BTF_KIND_TYPEDEF, name)?;
        }
        for (at, name) in CAST_TO.into_iter().enumerate() {
            numbers.cast_to[at] = number(BTF_KIND_STRUCT, name)?;
        }
        Ok(numbers)
    }

    /// Returns the numbers of [`CAST_TO`], for the probe's constants.
    pub fn cast_to(&self) -> [u32; 5] {
        self.cast_to
    }
}

/// A file in memory that libbpf reads when the probe is loaded.
pub(in crate::ebpf::load) struct TypesFile {
    file: File,
    path: CString,
}

impl TypesFile {
    /// Creates an empty file.
    pub fn new() -> Result<Self, Error> {
        let file: File = memfd_create("kernel types", MemfdFlags::CLOEXEC)
            .map_err(|e| unusable(io::Error::from(e)))?
            .into();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(Self { file, path: CString::new(path).expect("numbers have no NUL") })
    }

    /// Returns options for libbpf that name the file. They are valid as long as this value.
    pub fn open_options(&self) -> bpf_object_open_opts {
        bpf_object_open_opts {
            sz: size_of::<bpf_object_open_opts>() as u64,
            btf_custom_path: self.path.as_ptr(),
            ..Default::default()
        }
    }

    /// Writes the kernel's types that `object` needs into the file. Returns the numbers of those
    /// that the probe is given.
    pub fn fill(&self, kernel: &KernelTypes, object: &OpenObject) -> Result<Numbers, Error> {
        // SAFETY: the object lives, and nothing changes its types.
        let own = unsafe { Btf::from_bpf_object(object.as_libbpf_object().as_ref()) }
            .map_err(refused(DOING))?
            .ok_or_else(|| unusable("the object has no types"))?;
        let names = (1..own.len() as u32)
            .filter_map(|id| own.type_by_id::<BtfType<'_>>(TypeId::from(id))?.name())
            // A suffix `___X` marks versions of one struct.
            .filter_map(|name| name.to_str()?.split("___").next());
        let names: HashSet<&[u8]> = names.chain(CALLED_AT).map(str::as_bytes).collect();
        let found = find(kernel, &names).ok_or_else(|| unusable("they are damaged"))?;
        // If there are kinds that are unknown here, libbpf gets all types.
        let subset = found.subset();
        let bytes = subset.as_deref().unwrap_or(kernel);
        (&self.file).write_all(bytes).map_err(unusable)?;
        Numbers::of(&found)
    }
}

/// Makes an error.
fn unusable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::EbpfUnavailable { doing: DOING, source: io::Error::other(source), hint: None }
}
