//! Compiles the parts of the eBPF engine that run in the kernel, and makes the Rust face of their
//! maps and variables.

use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;
use std::process::Command;

/// The names of the C programs.
const SOURCES: [&str; 3] = ["engine", "uring", "aio"];

fn main() {
    println!("cargo:rerun-if-changed=src/ebpf/bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    // Debian keeps the headers that <linux/types.h> includes in a directory of the machine's.
    let headers = format!(
        "-I/usr/include/{}-linux-gnu",
        std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it")
    );
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in SOURCES {
        let source = format!("src/ebpf/bpf/{name}.bpf.c");
        let built = SkeletonBuilder::new()
            .source(&source)
            .clang(clang())
            .clang_args(["-Wall", "-Wno-unused-function", "-mcpu=v3", &headers])
            .build_and_generate(out.join(format!("{name}.skel.rs")));
        if let Err(e) = built {
            panic!(
                "cannot compile {source}: {e:#}; clang for the target bpf is needed \
                 (apt-get install clang-19; the variable CLANG names another)"
            );
        }
    }
}

/// The newest clang that is here.
fn clang() -> PathBuf {
    if let Some(named) = std::env::var_os("CLANG") {
        return named.into();
    }
    let there =
        |name: &str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    (if there("clang-19") { "clang-19" } else { "clang" }).into()
}
