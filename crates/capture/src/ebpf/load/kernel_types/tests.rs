//! The subset says of a struct what the whole says, and no bytes make the search panic.

use super::{KernelTypes, find_types};
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Struct;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};

const NAMES: [&[u8]; 3] = [b"task_struct", b"file", b"btf_trace_sys_exit"];

/// Offsets of a struct's members, in bits, by name.
fn members(types: &Btf<'_>, name: &str) -> BTreeMap<OsString, String> {
    let of = types.type_by_name::<Struct<'_>>(name).expect("the kernel has it");
    let offset = |m: &libbpf_rs::btf::types::StructMember<'_>| format!("{:?}", m.attr);
    of.iter().map(|m| (m.name.map(OsStr::to_owned).unwrap_or_default(), offset(&m))).collect()
}

#[test]
fn members_stand_where_they_stand_in_the_kernel() {
    let kernel = KernelTypes::open().unwrap();
    let found = find_types(&kernel, &HashSet::from(NAMES)).unwrap();
    let subset = found.subset().unwrap();
    assert!(subset.len() < kernel.len() / 4, "{} of {}", subset.len(), kernel.len());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &subset).unwrap();
    let (ours, all) = (Btf::from_path(file.path()).unwrap(), Btf::from_vmlinux().unwrap());
    for name in ["task_struct", "file"] {
        assert_eq!(members(&ours, name), members(&all, name));
        assert!(members(&ours, name).len() > 10);
    }
}

#[test]
fn damaged_types_are_no_types() {
    let kernel = KernelTypes::open().unwrap();
    let names = HashSet::from(NAMES);
    let whole = find_types(&kernel, &names).unwrap().subset().unwrap();
    assert!(find_types(&[], &names).is_none());
    for len in 0..whole.len().min(5_000) {
        assert!(find_types(&whole[..len], &names).is_none(), "{len}");
    }
    for at in 0..whole.len().min(20_000) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let _any = find_types(&damaged, &names).and_then(|found| found.subset());
    }
}
