//! The file with the kernel's types (BTF) that libbpf reads to relocate the probe: it adapts the
//! probe's accesses to structs to their layout in the running kernel.

use super::{FoundTypes, KernelTypes, find_types};
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

/// The types of the tracepoints to which the programs of `parallel.rs` are attached:
/// exits and entries of system calls, and ends of threads.
const TRACEPOINT_TYPES: [&str; 3] =
    ["btf_trace_sys_exit", "btf_trace_sys_enter", "btf_trace_sched_process_exit"];
/// The structs to which the probe casts pointers (`CAST` in `bpf/identity.h`).
const CAST_STRUCTS: [&str; 5] = ["task_struct", "path", "file", "inode", "super_block"];

/// The BTF type ids, in the running kernel, of types that the probe needs.
pub(in crate::ebpf::load) struct TypeIds {
    /// Those of [`TRACEPOINT_TYPES`].
    pub tracepoints: [u32; 3],
    /// Those of [`CAST_STRUCTS`].
    cast_structs: [u32; 5],
}

impl TypeIds {
    /// Looks up the type ids by the names of the types. Fails if the kernel lacks one of them.
    fn look_up(types: &FoundTypes<'_>) -> Result<Self, Error> {
        let type_id = |kind, name| {
            types.type_id(kind, name).ok_or_else(|| unusable(format!("there is no type {name}")))
        };
        let mut ids = Self { tracepoints: [0; 3], cast_structs: [0; 5] };
        for (index, name) in TRACEPOINT_TYPES.into_iter().enumerate() {
            ids.tracepoints[index] = type_id(BTF_KIND_TYPEDEF, name)?;
        }
        for (index, name) in CAST_STRUCTS.into_iter().enumerate() {
            ids.cast_structs[index] = type_id(BTF_KIND_STRUCT, name)?;
        }
        Ok(ids)
    }

    /// Returns the type ids of [`CAST_STRUCTS`], in that order, for the probe's constants.
    pub fn cast_structs(&self) -> [u32; 5] {
        self.cast_structs
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

    /// Writes the kernel's types that `object` needs into the file. Returns the type ids that the
    /// recorder passes to the probe.
    pub fn fill(&self, kernel: &KernelTypes, object: &OpenObject) -> Result<TypeIds, Error> {
        // SAFETY: the object lives, and nothing changes its types.
        let own = unsafe { Btf::from_bpf_object(object.as_libbpf_object().as_ref()) }
            .map_err(refused(DOING))?
            .ok_or_else(|| unusable("the object has no types"))?;
        let names = (1..own.len() as u32)
            .filter_map(|id| own.type_by_id::<BtfType<'_>>(TypeId::from(id))?.name())
            // A suffix `___X` marks versions of one struct.
            .filter_map(|name| name.to_str()?.split("___").next());
        let names: HashSet<&[u8]> = names.chain(TRACEPOINT_TYPES).map(str::as_bytes).collect();
        let found = find_types(kernel, &names).ok_or_else(|| unusable("they are damaged"))?;
        // If the kernel has kinds of types that are unknown here, libbpf gets all types.
        let subset = found.subset();
        let bytes = subset.as_deref().unwrap_or(kernel);
        (&self.file).write_all(bytes).map_err(unusable)?;
        TypeIds::look_up(&found)
    }
}

/// Returns the error for types that cannot be used, with this cause.
fn unusable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::EbpfUnavailable { doing: DOING, source: io::Error::other(source), hint: None }
}
