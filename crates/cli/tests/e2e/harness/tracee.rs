//! The small C programs of `tests/tracees`, compiled when first asked for.

use crate::harness::run::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's top directory.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The program `tests/tracees/NAME.c`, compiled.
#[track_caller]
pub fn tracee(name: &str) -> PathBuf {
    compiled(&repository().join("tests/tracees").join(name).with_extension("c"), name)
}

/// A C program compiled into the build directory, anew if its source is newer.
#[track_caller]
pub fn compiled(source: &Path, name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tracees");
    fs::create_dir_all(&out).unwrap();
    let program = out.join(name);
    let changed = |p: &Path| fs::metadata(p).and_then(|m| m.modified());
    let wanted = changed(source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    if changed(&program).is_ok_and(|made| made > wanted) {
        return program;
    }
    // Tests run side by side: the rename is atomic, and the last one wins.
    let fresh = out.join(format!("{name}.{}", std::process::id()));
    run(Command::new("gcc")
        .args(["-O1", "-g", "-Wall", "-Wextra", "-pthread", "-o"])
        .arg(&fresh)
        .arg(source))
    .ok("gcc");
    fs::rename(&fresh, &program).unwrap();
    program
}
