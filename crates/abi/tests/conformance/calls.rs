//! Calls: against `/sys/kernel/tracing/events/syscalls/*/format`, and against the `syscalls` crate.

use abi::{Kind, Row};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Calls whose tracepoint goes by another name.
const SPELT: &[(&str, &str)] = &[
    ("stat", "newstat"),
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("uname", "newuname"),
    ("sendfile", "sendfile64"),
    ("umount2", "umount"),
];

/// Calls without a tracepoint here, and why.
const UNTRACED: &[(&str, &str)] = &[
    ("uselib", "CONFIG_USELIB is off, and gone since 6.16"),
    ("_sysctl", "removed in 5.5"),
    ("create_module", "removed in 2.6"),
    ("init_module", "CONFIG_MODULES is off in this kernel"),
    ("delete_module", "CONFIG_MODULES is off in this kernel"),
    ("finit_module", "CONFIG_MODULES is off in this kernel"),
    ("get_kernel_syms", "removed in 2.6"),
    ("query_module", "removed in 2.6"),
    ("nfsservctl", "removed in 3.1"),
    ("getpmsg", "never implemented"),
    ("putpmsg", "never implemented"),
    ("afs_syscall", "never implemented"),
    ("tuxcall", "never implemented"),
    ("security", "never implemented"),
    ("set_thread_area", "32-bit only"),
    ("get_thread_area", "32-bit only"),
    ("lookup_dcookie", "removed in 6.7"),
    ("epoll_ctl_old", "never implemented on x86-64"),
    ("epoll_wait_old", "never implemented on x86-64"),
    ("vserver", "never implemented"),
    ("kexec_load", "CONFIG_KEXEC is off in this kernel"),
    ("kexec_file_load", "CONFIG_KEXEC_FILE is off in this kernel"),
    ("map_shadow_stack", "CONFIG_X86_USER_SHADOW_STACK is off in this kernel"),
];

/// Arguments that are pointers in the kernel's signature, but that the plan does not follow, and
/// why.
const NOT_FOLLOWED: &[(&str, &str, &str)] = &[
    ("mincore", "vec", "a byte for each page: the length is no argument"),
    ("shmat", "shmaddr", "where to map"),
    ("shmdt", "shmaddr", "where it is mapped"),
    ("shmctl", "buf", "what it is depends on cmd; nothing on disk"),
    ("msgctl", "buf", "what it is depends on cmd; nothing on disk"),
    (
        "clone",
        "parent_tidptr",
        "written only with CLONE_PARENT_SETTID; else the register may hold anything",
    ),
    ("clone", "child_tidptr", "the child's memory"),
    ("modify_ldt", "ptr", "depends on func"),
    ("reboot", "arg", "depends on cmd"),
    ("syslog", "buf", "the kernel's log"),
    ("quotactl", "addr", "by variants"),
    ("quotactl_fd", "addr", "by variants"),
    ("futex", "uaddr", "a word that others change meanwhile"),
    ("futex", "uaddr2", "a word that others change meanwhile"),
    ("futex", "utime", "by variants: a number for some operations"),
    ("futex_wake", "uaddr", "a word that others change meanwhile"),
    ("futex_wait", "uaddr", "a word that others change meanwhile"),
    ("set_tid_address", "tidptr", "written when the thread ends"),
    ("set_robust_list", "head", "read when the thread ends"),
    ("rseq", "rseq", "shared with the kernel for the thread's life"),
    ("pselect6", "sig", "a pointer to a pointer to a mask"),
    ("io_pgetevents", "usig", "a struct that points to a mask"),
    ("io_uring_register", "arg", "by variants"),
    ("fsconfig", "_value", "by variants"),
    ("getcpu", "unused", "unused"),
];

/// Arguments that are numbers in the kernel's signature, but pointers by their meaning.
const FOLLOWED: &[(&str, &str)] = &[];

/// Arguments named otherwise than by the kernel, and why.
const RENAMED: &[(&str, &str, &str)] = &[];

fn tracefs() -> PathBuf {
    let dir = Path::new("/sys/kernel/tracing");
    let events = dir.join("events/syscalls");
    if !events.is_dir() {
        let done = Command::new("mount").args(["-t", "tracefs", "none"]).arg(dir).status();
        assert!(
            events.is_dir(),
            "this test compares the table with the running kernel and needs tracefs: \
             `mount -t tracefs none /sys/kernel/tracing` as root (tried: {done:?})"
        );
    }
    events
}

/// Type and name of each argument.
fn signature(events: &Path, call: &str) -> Option<Vec<(String, String)>> {
    let name = SPELT.iter().find(|(ours, _)| *ours == call).map_or(call, |(_, theirs)| theirs);
    let text = std::fs::read_to_string(events.join(format!("sys_enter_{name}/format"))).ok()?;
    let fields = text.lines().filter_map(|line| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';');
        let declaration = parts.next()?;
        let offset: u32 = parts.next()?.trim().strip_prefix("offset:")?.parse().ok()?;
        let at = declaration.rfind([' ', '*'])? + 1;
        (offset >= 16).then(|| (declaration[..at].trim().to_owned(), declaration[at..].to_owned()))
    });
    Some(fields.collect())
}

#[test]
fn every_row_agrees_with_the_running_kernel() {
    let events = tracefs();
    let mut wrong = Vec::new();
    for row in abi::table() {
        let name = row.name();
        let Some(theirs) = signature(&events, name) else {
            if !UNTRACED.iter().any(|(n, _)| *n == name) {
                wrong.push(format!("{name}: no tracepoint, and no reason listed"));
            }
            continue;
        };
        if UNTRACED.iter().any(|(n, why)| *n == name && !why.contains("in this kernel")) {
            wrong.push(format!("{name}: listed as untraced, but has a tracepoint"));
        }
        compare(row, &theirs, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(row: &Row, theirs: &[(String, String)], wrong: &mut Vec<String>) {
    let name = row.name();
    if theirs.len() != row.spec.args.len() {
        wrong.push(format!("{name}: {} arguments, the kernel has {theirs:?}", row.spec.args.len()));
        return;
    }
    for (arg, (ty, theirs)) in row.spec.args.iter().zip(theirs) {
        if arg.name != theirs && !RENAMED.iter().any(|(c, a, _)| *c == name && *a == arg.name) {
            wrong.push(format!("{name}: argument {} is called {theirs} by the kernel", arg.name));
        }
        let pointer = ty.contains('*') || ty.contains("cap_user_");
        let listed = NOT_FOLLOWED.iter().any(|(c, a, _)| *c == name && *a == arg.name);
        match (pointer, arg.kind.is_followed()) {
            (true, false) if !listed => {
                wrong.push(format!("{name}: {ty} {theirs} is not followed, and no reason listed"));
            }
            (true, false) if !matches!(arg.kind, Kind::Addr | Kind::Unused) => {
                wrong.push(format!("{name}: {ty} {theirs} is {:?}", arg.kind));
            }
            (true, true) if listed => {
                wrong.push(format!("{name}: {theirs} is listed as not followed, but is"));
            }
            (false, true) if !FOLLOWED.contains(&(name, arg.name)) => {
                wrong.push(format!("{name}: {ty} {theirs} is no pointer"));
            }
            _ => {}
        }
        let kind_fits = match arg.kind {
            Kind::Mode => ty == "umode_t" || name == "umask",
            Kind::Uid => ty == "uid_t",
            Kind::Gid => ty == "gid_t",
            Kind::Pos => ty == "loff_t" || theirs == "pos_l",
            Kind::DirFd => ty == "int" && (theirs.contains("fd") || theirs == "aux"),
            Kind::Pid => ty == "pid_t" || name == "ptrace" || name == "get_robust_list",
            _ => !matches!(ty.as_str(), "umode_t" | "uid_t" | "gid_t"),
        };
        if !kind_fits {
            wrong.push(format!("{name}: {ty} {theirs} is {:?}", arg.kind));
        }
    }
}

#[test]
fn every_tracepoint_has_a_row() {
    let rows: BTreeSet<String> = abi::table()
        .iter()
        .map(|r| {
            SPELT
                .iter()
                .find(|(ours, _)| *ours == r.name())
                .map_or(r.name(), |(_, theirs)| theirs)
                .to_owned()
        })
        .collect();
    let entries = std::fs::read_dir(tracefs()).expect("tracefs is mounted");
    let theirs = entries
        .filter_map(|e| Some(e.ok()?.file_name().to_str()?.strip_prefix("sys_enter_")?.to_owned()));
    let missing: Vec<String> = theirs.filter(|name| !rows.contains(name)).collect();
    assert!(missing.is_empty(), "calls of the running kernel without a row: {missing:?}");
}

#[test]
fn every_number_of_the_crate_has_a_row() {
    for sysno in syscalls::x86_64::Sysno::iter() {
        let row =
            abi::by_number(sysno as u32).unwrap_or_else(|| panic!("{} has no row", sysno.name()));
        assert_eq!(row.name(), sysno.name());
    }
}

#[test]
fn variants_differ_in_what_they_are_by_and_nowhere_before() {
    for row in abi::table() {
        for (value, variant) in row.variants {
            assert_eq!(
                value & u64::from(row.mask),
                *value,
                "{}: {} can never be chosen",
                row.name(),
                variant.name
            );
            let by = row.selector as usize;
            for (arg, ours) in variant.args.iter().zip(row.spec.args) {
                assert_eq!(arg.name, ours.name, "{}: {}", row.name(), variant.name);
            }
            assert_eq!(
                row.variants.iter().filter(|(v, _)| v == value).count(),
                1,
                "{}: {value:#x} twice",
                row.name()
            );
            let mut args = [0; 6];
            args[by] = *value;
            assert_eq!(row.spec(&args).name, variant.name);
        }
    }
}

#[test]
fn every_request_of_ioctl_prints_by_its_name() {
    let row = abi::by_name("ioctl").expect("a row");
    for (value, variant) in row.variants {
        let mut out = String::new();
        abi::print::scalar(row.spec.args[1].kind, *value, &mut out);
        assert_eq!(out, variant.name);
    }
}
