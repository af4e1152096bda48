//! Operations of io_uring: against the running kernel's opcodes.

use crate::btf::Btf;
use abi::{MAPPINGS, SqeField, URING};

#[test]
fn every_opcode_of_the_running_kernel_has_its_row() {
    let btf = Btf::load();
    let opcodes = btf.enumeration("io_uring_op").expect("the kernel has io_uring");
    let mut checked = 0;
    for (name, opcode) in opcodes.iter().filter(|(name, _)| name != "IORING_OP_LAST") {
        let short = name.strip_prefix("IORING_OP_").expect("opcodes have this prefix");
        let row = abi::by_number(URING + opcode).unwrap_or_else(|| panic!("{name} has no row"));
        let short = short.strip_prefix("URING_").unwrap_or(short);
        assert_eq!(row.name(), format!("uring_{}", short.to_lowercase()));
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn each_argument_comes_from_a_field() {
    for row in abi::operations().iter().filter(|row| row.number < MAPPINGS) {
        let Some(operation) = row.operation else { continue };
        let arguments = row.spec.args.len();
        // An argument that a system call has and an operation has not is 0.
        assert!(operation.fields.len() <= arguments, "{}", row.name());
        let first = operation.fields.iter().position(|f| *f == SqeField::Zero);
        assert!(first.is_none_or(|i| i > 0), "{}", row.name());
        assert!(row.spec.name == row.name() && row.groups.has(abi::Groups::AIO), "{}", row.name());
    }
}
