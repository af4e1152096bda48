//! `make install`, as it is run under sudo: with a PATH that has no cargo.

use crate::harness::run::run;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// `make install` of the sources in `dir`, into `to`.
fn install(dir: &Path, to: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("install").arg(format!("DESTDIR={}", to.display())).current_dir(dir);
    make.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CARGO", "/nonexistent/cargo");
    make
}

#[test]
fn what_was_built_is_copied_without_cargo() {
    let to = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run(&mut install(&sources, to.path())).ok("make install");
    let prefix = to.path().join("usr/local");
    for file in [
        "share/man/man1/reanimator.1",
        "share/man/man1/reanimator-record.1",
        "share/bash-completion/completions/reanimator",
        "share/zsh/site-functions/_reanimator",
        "share/fish/vendor_completions.d/reanimator.fish",
        "lib/libreanimator.so",
        "lib/libreanimator.a",
        "lib/pkgconfig/reanimator.pc",
        "include/reanimator.h",
    ] {
        let length = std::fs::metadata(prefix.join(file)).map_or(0, |m| m.len());
        assert!(length > 0, "{file} is missing or empty");
    }
    for (built, installed) in
        [("reanimator", "bin/reanimator"), ("libreanimator.so", "lib/libreanimator.so")]
    {
        let built = std::fs::metadata(sources.join("target/release").join(built)).unwrap().len();
        let stripped = std::fs::metadata(prefix.join(installed)).unwrap().len();
        assert!(stripped < built * 3 / 4, "{installed}: {stripped} of {built} bytes");
    }
    run(Command::new(prefix.join("bin/reanimator")).arg("--version")).ok("reanimator --version");
}

/// Programs find the library at once. A package that is built with DESTDIR does this later.
#[test]
fn the_library_is_made_known_where_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (tool, said) = (dir.path().join("ldconfig"), dir.path().join("ran"));
    std::fs::write(&tool, format!("#!/bin/sh\n: >{}\n", said.display())).unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", dir.path().display());
    for destination in [Some(dir.path()), None] {
        let mut make = Command::new("make");
        make.arg("install").arg(format!("PREFIX={}", dir.path().join("prefix").display()));
        make.args(destination.map(|to| format!("DESTDIR={}", to.display())));
        run(make.current_dir(&sources).env("PATH", &path)).ok("make install");
        let expected = destination.is_none() && nix::unistd::Uid::effective().is_root();
        assert_eq!(said.exists(), expected, "DESTDIR: {destination:?}");
    }
}

#[test]
fn without_a_build_it_says_what_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Makefile");
    std::fs::copy(makefile, dir.path().join("Makefile")).unwrap();
    let output = install(dir.path(), dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("run 'make build' first"), "{said}");
}
