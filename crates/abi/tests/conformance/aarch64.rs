//! Numbers on aarch64, and structs as `linux-raw-sys` has them for it.
//!
//! The standard library for aarch64 cannot be had everywhere, so nothing is compiled for it: the
//! crate's aarch64 modules are plain `repr(C)` structs of the same basic types (both are LP64), and
//! a small program that includes them tells offsets and sizes.

use abi::{Arch, Form, Layout};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// The rows that exist on x86-64 only: calls that newer forms replace, and those of the processor.
/// Everything else must have a number on aarch64.
const X86_ONLY: &[&str] = &[
    "open",
    "stat",
    "lstat",
    "poll",
    "access",
    "pipe",
    "select",
    "dup2",
    "pause",
    "alarm",
    "fork",
    "vfork",
    "getdents",
    "rename",
    "mkdir",
    "rmdir",
    "creat",
    "link",
    "unlink",
    "symlink",
    "readlink",
    "chmod",
    "chown",
    "lchown",
    "getpgrp",
    "utime",
    "mknod",
    "uselib",
    "ustat",
    "sysfs",
    "modify_ldt",
    "_sysctl",
    "arch_prctl",
    "iopl",
    "ioperm",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "getpmsg",
    "putpmsg",
    "afs_syscall",
    "tuxcall",
    "security",
    "time",
    "set_thread_area",
    "get_thread_area",
    "epoll_create",
    "epoll_ctl_old",
    "epoll_wait_old",
    "epoll_wait",
    "utimes",
    "vserver",
    "inotify_init",
    "futimesat",
    "signalfd",
    "eventfd",
    "uretprobe",
    "uprobe",
];

/// Layouts that are not made from a struct of the crate, or from one of another name.
const SPELT: &[(&str, &str)] = &[
    ("struct timespec", "general::__kernel_timespec"),
    ("struct timeval", "general::__kernel_old_timeval"),
    ("struct itimerspec", "general::__kernel_itimerspec"),
    ("struct itimerval", "general::__kernel_old_itimerval"),
    ("struct rlimit", "general::rlimit64"),
    ("stack_t", "general::sigaltstack"),
    ("struct msghdr", "net::msghdr"),
    ("struct mmsghdr", "net::mmsghdr"),
    ("struct io_uring_params", "io_uring::io_uring_params"),
];

/// Fields that stand elsewhere on aarch64: field, offset there, size there. The capture and
/// printing of an aarch64 build use these through `linux-raw-sys`.
const ELSEWHERE: &[(&str, &str, u32, u32)] = &[
    ("struct stat", "st_nlink", 20, 4),
    ("struct stat", "st_mode", 16, 4),
    ("struct stat", "st_uid", 24, 4),
    ("struct stat", "st_gid", 28, 4),
    ("struct stat", "st_rdev", 32, 8),
    ("struct stat", "st_blksize", 56, 4),
];

#[test]
fn every_other_row_has_a_number_there() {
    let only: Vec<&str> = abi::table()
        .iter()
        .filter(|r| r.number_on(Arch::Aarch64).is_none())
        .map(abi::Row::name)
        .collect();
    assert_eq!(only, X86_ONLY);
    let number = |name: &str| abi::by_name(name).unwrap().number_on(Arch::Aarch64);
    assert_eq!(
        (number("openat"), number("read"), number("newfstatat"), number("file_setattr")),
        (Some(56), Some(63), Some(79), Some(469))
    );
}

#[test]
fn structs_there() {
    let source = crate_source("linux-raw-sys");
    let mut program =
        "#![allow(warnings)]\nmod ctypes { pub use core::ffi::*; }\nuse core::mem::offset_of;\n"
            .to_owned();
    for module in ["general", "net", "io_uring"] {
        writeln!(
            program,
            "#[path = {:?}] mod {module};",
            source.join("src/aarch64").join(module).with_extension("rs")
        )
        .unwrap();
    }
    program.push_str("fn w<T, F>(_: fn(&T) -> &F) -> usize { size_of::<F>() }\nfn main() {\n");
    let layouts: Vec<(&Layout, String)> =
        crate::structs::layouts().into_iter().filter_map(|l| Some((l, path(l)?))).collect();
    for (layout, path) in &layouts {
        for field in layout.fields {
            let (name, at) = (field.name, format!("offset_of!({path}, {})", field.name));
            writeln!(
                program,
                "println!({:?}, {at}, w::<{path}, _>(|s| &s.{name}));",
                format!("{}|{name}|{{}}|{{}}", layout.name)
            )
            .unwrap();
        }
    }
    program.push_str("}\n");
    let told = run(&program);
    assert!(layouts.len() > 30, "only {} structs", layouts.len());
    let mut wrong = String::new();
    for (layout, _) in &layouts {
        for field in layout.fields {
            let there = ELSEWHERE
                .iter()
                .find(|(l, f, ..)| *l == layout.name && *f == field.name)
                .map(|(_, _, at, size)| (*at, *size));
            let (at, size) = there.unwrap_or((field.at, u32::from(field.size)));
            let line = format!("{}|{}|{at}|{size}", layout.name, field.name);
            if !told.lines().any(|l| l == line) {
                let prefix = format!("{}|{}|", layout.name, field.name);
                writeln!(
                    wrong,
                    "expected {line}, the crate says {:?}",
                    told.lines().find(|l| l.starts_with(&prefix))
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn path(layout: &Layout) -> Option<String> {
    let made_by_hand = [
        "struct utimbuf",
        "struct ustat",
        "struct if_dqblk",
        "struct if_nextdqblk",
        "struct if_dqinfo",
        "struct epoll_event",
        "struct io_event",
    ];
    let more_by_hand = [
        "struct sigaction",
        "struct iocb",
        "struct mq_attr",
        "struct sembuf",
        "struct utsname",
        "struct sysinfo",
        "struct tms",
        "struct __user_cap_header_struct",
    ];
    if !matches!(layout.form, Form::Struct | Form::Array)
        || made_by_hand.contains(&layout.name)
        || more_by_hand.contains(&layout.name)
    {
        return None;
    }
    let spelt =
        SPELT.iter().find(|(ours, _)| *ours == layout.name).map(|(_, theirs)| (*theirs).to_owned());
    spelt.or_else(|| layout.name.strip_prefix("struct ").map(|name| format!("general::{name}")))
}

fn crate_source(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    // Only this platform's packages: others need not have been fetched.
    let platform = "--filter-platform=x86_64-unknown-linux-gnu";
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--format-version=1",
            platform,
            "--manifest-path",
            manifest,
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let start = format!("/{name}-");
    let found = text
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|p| p.contains(&start));
    let found = found.unwrap_or_else(|| {
        panic!("cargo does not know where {name} is: {}", String::from_utf8_lossy(&output.stderr))
    });
    PathBuf::from(found).parent().unwrap().to_owned()
}

fn run(program: &str) -> String {
    let dir = std::env::temp_dir().join(format!("abi-aarch64-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (source, binary) = (dir.join("main.rs"), dir.join("main"));
    std::fs::write(&source, program).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition", "2021", "-o"])
        .arg(&binary)
        .arg(&source)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let told = Command::new(&binary).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    String::from_utf8(told.stdout).unwrap()
}
