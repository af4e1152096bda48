//! Plans of calls that matter, step by step.

use abi::plan::{CLAMP, DATA, From, NONE, OWN, Plan, RESULT, Step, WORKING_DIRECTORY, What, When};

fn plan(name: &str) -> Plan {
    Plan::of(&abi::by_name(name).expect("a row").shape)
}

fn variant(name: &str, variant: &str) -> Plan {
    let row = abi::by_name(name).expect("a row");
    Plan::of(&row.variants.iter().find(|(_, s)| s.name == variant).expect("a variant").1)
}

/// What, when, argument, where the length comes from, its argument, bytes per unit, flags.
fn told(s: &Step) -> (What, When, u8, From, u8, u32, u8) {
    (s.what, s.when, s.arg, s.from, s.len_arg, s.unit, s.flags)
}

fn all(plan: &Plan) -> Vec<(What, When, u8, From, u8, u32, u8)> {
    plan.entry.iter().chain(&plan.exit).map(told).collect()
}

#[test]
fn data_is_read_after_the_call_and_no_more_than_it_moved() {
    assert_eq!(all(&plan("read")), [(What::Bytes, When::Exit, 1, From::Ret, 2, 1, DATA)]);
    assert_eq!(
        all(&plan("pwrite64")),
        [(What::Bytes, When::Exit, 1, From::Arg, 2, 1, DATA | CLAMP)]
    );
    assert_eq!(all(&plan("writev")), [(What::Iov, When::Exit, 1, From::Arg, 2, 1, DATA | CLAMP)]);
    assert_eq!(all(&plan("preadv2")), [(What::Iov, When::Exit, 1, From::Arg, 2, 1, DATA | CLAMP)]);
}

#[test]
fn names_are_read_before_the_call() {
    assert_eq!(
        all(&plan("renameat2")),
        [
            (What::String, When::Entry, 1, From::Fixed, NONE, 0, 0),
            (What::String, When::Entry, 3, From::Fixed, NONE, 0, 0)
        ]
    );
    let open = all(&plan("openat"));
    assert_eq!(
        open,
        [
            (What::String, When::Entry, 1, From::Fixed, NONE, 0, 0),
            (What::Identity, When::Exit, RESULT, From::Fixed, NONE, 0, 0)
        ]
    );
    assert_eq!(all(&plan("chdir"))[1].2, WORKING_DIRECTORY);
}

#[test]
fn structs_come_as_they_are_and_attributes_are_no_data() {
    assert_eq!(all(&plan("fstat")), [(What::Bytes, When::Exit, 1, From::Fixed, NONE, 144, 0)]);
    assert_eq!(plan("statx").exit[0].unit, 256);
    assert_eq!(all(&plan("getdents64")), [(What::Bytes, When::Exit, 1, From::Ret, 2, 1, 0)]);
    assert_eq!(all(&plan("fsetxattr"))[1], (What::Bytes, When::Entry, 2, From::Arg, 3, 1, 0));
    assert_eq!(all(&plan("fgetxattr"))[1], (What::Bytes, When::Exit, 2, From::Ret, 3, 1, 0));
    assert_eq!(
        all(&variant("fcntl", "F_SETLK")),
        [(What::Bytes, When::Entry, 2, From::Fixed, NONE, 32, 0)]
    );
}

#[test]
fn what_the_kernel_moves_itself_is_read_from_its_source() {
    let step = told(&plan("sendfile").exit[1]);
    assert_eq!(step, (What::File, When::Exit, 1, From::Ret, 3, 1, DATA));
    assert_eq!((plan("sendfile").exit[1].arg2, plan("copy_file_range").exit[2].arg2), (2, 1));
    assert_eq!(
        told(&variant("ioctl", "FICLONERANGE").exit[0]),
        (What::Range, When::Exit, 2, From::Fixed, NONE, u32::MAX, DATA)
    );
    let landed = plan("splice").exit.pop().expect("a step");
    assert_eq!(
        (told(&landed), landed.arg2, landed.arg3),
        ((What::Landed, When::Exit, 2, From::Ret, 4, 1, DATA), 3, 0)
    );
    assert_eq!(plan("sendfile").exit.last().expect("a step").arg2, OWN);
    let clone = variant("ioctl", "FICLONE").exit;
    assert_eq!(told(&clone[0]), (What::File, When::Exit, 2, From::Fixed, NONE, u32::MAX, DATA));
}

#[test]
fn lengths_in_memory_and_in_bits() {
    assert_eq!(all(&plan("getsockname"))[1], (What::Bytes, When::Exit, 1, From::Deref, 2, 1, 0));
    assert_eq!(all(&plan("select"))[0], (What::Bytes, When::Entry, 1, From::Bits, 0, 0, 0));
    assert_eq!(
        all(&plan("name_to_handle_at"))[1],
        (What::Bytes, When::Entry, 2, From::Head, 0, 1, 0)
    );
}

#[test]
fn every_plan_refers_to_arguments_that_exist() {
    for row in abi::table() {
        for shape in std::iter::once(&row.shape).chain(row.variants.iter().map(|(_, s)| s)) {
            let plan = Plan::of(shape);
            for step in plan.entry.iter().chain(&plan.exit) {
                let exists = |n: u8| (n as usize) < shape.args.len();
                assert!(
                    exists(step.arg) || step.arg >= abi::plan::ROOT_DIRECTORY,
                    "{}: {step:?}",
                    shape.name
                );
                assert!(
                    step.len_arg == NONE || step.from == From::Head || exists(step.len_arg),
                    "{}: {step:?}",
                    shape.name
                );
                assert!(step.arg3 == NONE || exists(step.arg3), "{}: {step:?}", shape.name);
                assert!(
                    matches!(step.arg2, NONE | OWN) || exists(step.arg2),
                    "{}: {step:?}",
                    shape.name
                );
            }
        }
    }
}
