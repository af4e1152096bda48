//! Compiles the eBPF engine's half in the kernel, and makes the Rust face of its maps and
//! variables.

use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/ebpf/bpf/engine.bpf.c";

fn main() {
    println!("cargo:rerun-if-changed=src/ebpf/bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
        .join("engine.skel.rs");
    // Debian keeps the headers that <linux/types.h> includes in a directory of the machine's.
    let headers = format!(
        "-I/usr/include/{}-linux-gnu",
        std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it")
    );
    let built = SkeletonBuilder::new()
        .source(SOURCE)
        .clang(clang())
        .clang_args(["-Wall", "-Wno-unused-function", "-mcpu=v3", &headers])
        .build_and_generate(&out);
    if let Err(e) = built {
        panic!(
            "cannot compile {SOURCE}: {e:#}; clang for the target bpf is needed \
             (apt-get install clang-19; the variable CLANG names another)"
        );
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
