//! Plans of calls that matter, step by step.

use abi::plan::{
    CLAMP, DATA, LengthSource, NONE, OWN_OFFSET, Plan, RESULT, Step, StepKind, WORKING_DIRECTORY,
    When,
};

fn plan(name: &str) -> Plan {
    Plan::derive(&abi::by_name(name).expect("a row").spec)
}

fn variant(name: &str, variant: &str) -> Plan {
    let row = abi::by_name(name).expect("a row");
    Plan::derive(&row.variants.iter().find(|(_, s)| s.name == variant).expect("a variant").1)
}

/// What, when, argument, where the length comes from, its argument, bytes per unit, flags.
fn told(s: &Step) -> (StepKind, When, u8, LengthSource, u8, u32, u8) {
    (s.kind, s.when, s.arg, s.from, s.len_arg, s.unit, s.flags)
}

fn all(plan: &Plan) -> Vec<(StepKind, When, u8, LengthSource, u8, u32, u8)> {
    plan.entry.iter().chain(&plan.exit).map(told).collect()
}

#[test]
fn data_is_read_after_the_call_and_no_more_than_it_moved() {
    assert_eq!(
        all(&plan("read")),
        [(StepKind::Bytes, When::Exit, 1, LengthSource::Ret, 2, 1, DATA)]
    );
    assert_eq!(
        all(&plan("pwrite64")),
        [(StepKind::Bytes, When::Exit, 1, LengthSource::Arg, 2, 1, DATA | CLAMP)]
    );
    assert_eq!(
        all(&plan("writev")),
        [(StepKind::Iov, When::Exit, 1, LengthSource::Arg, 2, 1, DATA | CLAMP)]
    );
    assert_eq!(
        all(&plan("preadv2")),
        [(StepKind::Iov, When::Exit, 1, LengthSource::Arg, 2, 1, DATA | CLAMP)]
    );
}

#[test]
fn names_are_read_before_the_call() {
    assert_eq!(
        all(&plan("renameat2")),
        [
            (StepKind::String, When::Entry, 1, LengthSource::Fixed, NONE, 0, 0),
            (StepKind::String, When::Entry, 3, LengthSource::Fixed, NONE, 0, 0)
        ]
    );
    let open = all(&plan("openat"));
    assert_eq!(
        open,
        [
            (StepKind::String, When::Entry, 1, LengthSource::Fixed, NONE, 0, 0),
            (StepKind::Identity, When::Exit, RESULT, LengthSource::Fixed, NONE, 0, 0)
        ]
    );
    assert_eq!(all(&plan("chdir"))[1].2, WORKING_DIRECTORY);
}

#[test]
fn structs_come_as_they_are_and_attributes_are_no_data() {
    assert_eq!(
        all(&plan("fstat")),
        [(StepKind::Bytes, When::Exit, 1, LengthSource::Fixed, NONE, 144, 0)]
    );
    assert_eq!(plan("statx").exit[0].unit, 256);
    assert_eq!(
        all(&plan("getdents64")),
        [(StepKind::Bytes, When::Exit, 1, LengthSource::Ret, 2, 1, 0)]
    );
    assert_eq!(
        all(&plan("fsetxattr"))[1],
        (StepKind::Bytes, When::Entry, 2, LengthSource::Arg, 3, 1, 0)
    );
    assert_eq!(
        all(&plan("fgetxattr"))[1],
        (StepKind::Bytes, When::Exit, 2, LengthSource::Ret, 3, 1, 0)
    );
    assert_eq!(
        all(&variant("fcntl", "F_SETLK")),
        [(StepKind::Bytes, When::Entry, 2, LengthSource::Fixed, NONE, 32, 0)]
    );
}

#[test]
fn what_the_kernel_moves_itself_is_read_from_its_source() {
    let step = told(&plan("sendfile").exit[1]);
    assert_eq!(step, (StepKind::SourceFile, When::Exit, 1, LengthSource::Ret, 3, 1, DATA));
    assert_eq!((plan("sendfile").exit[1].arg2, plan("copy_file_range").exit[2].arg2), (2, 1));
    assert_eq!(
        told(&variant("ioctl", "FICLONERANGE").exit[0]),
        (StepKind::SourceRange, When::Exit, 2, LengthSource::Fixed, NONE, u32::MAX, DATA)
    );
    let landed = plan("splice").exit.pop().expect("a step");
    assert_eq!(
        (told(&landed), landed.arg2, landed.arg3),
        ((StepKind::DestinationFile, When::Exit, 2, LengthSource::Ret, 4, 1, DATA), 3, 0)
    );
    assert_eq!(plan("sendfile").exit.last().expect("a step").arg2, OWN_OFFSET);
    let clone = variant("ioctl", "FICLONE").exit;
    assert_eq!(
        told(&clone[0]),
        (StepKind::SourceFile, When::Exit, 2, LengthSource::Fixed, NONE, u32::MAX, DATA)
    );
}

#[test]
fn lengths_in_memory_and_in_bits() {
    assert_eq!(
        all(&plan("getsockname"))[1],
        (StepKind::Bytes, When::Exit, 1, LengthSource::Deref, 2, 1, 0)
    );
    assert_eq!(
        all(&plan("select"))[0],
        (StepKind::Bytes, When::Entry, 1, LengthSource::Bits, 0, 0, 0)
    );
    assert_eq!(
        all(&plan("name_to_handle_at"))[1],
        (StepKind::Bytes, When::Entry, 2, LengthSource::Head, 0, 1, 0)
    );
}

#[test]
fn every_plan_refers_to_arguments_that_exist() {
    for row in abi::table() {
        for spec in std::iter::once(&row.spec).chain(row.variants.iter().map(|(_, s)| s)) {
            let plan = Plan::derive(spec);
            for step in plan.entry.iter().chain(&plan.exit) {
                let exists = |n: u8| (n as usize) < spec.args.len();
                assert!(
                    exists(step.arg) || step.arg >= abi::plan::ROOT_DIRECTORY,
                    "{}: {step:?}",
                    spec.name
                );
                assert!(
                    step.len_arg == NONE || step.from == LengthSource::Head || exists(step.len_arg),
                    "{}: {step:?}",
                    spec.name
                );
                assert!(step.arg3 == NONE || exists(step.arg3), "{}: {step:?}", spec.name);
                assert!(
                    matches!(step.arg2, NONE | OWN_OFFSET) || exists(step.arg2),
                    "{}: {step:?}",
                    spec.name
                );
            }
        }
    }
}
