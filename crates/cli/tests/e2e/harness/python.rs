//! A Python with what people query traces with, from PyPI, in the build directory.

use crate::harness::run::run;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// What the pages in docs/ use.
const PACKAGES: [&str; 4] = ["duckdb", "pandas", "polars", "pyarrow"];

/// `python3`, with the packages installed. The first test that asks installs them, once.
#[track_caller]
pub fn python() -> Command {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&here).unwrap();
    let lock = File::create(here.join("lock")).unwrap();
    lock.lock().unwrap();
    let (env, done) = (here.join("env"), here.join(PACKAGES.join("-")));
    if !done.exists() {
        run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&env)).ok("python3 -m venv");
        let install = ["install", "--quiet", "--disable-pip-version-check", "--retries", "10"];
        let mut pip = Command::new(env.join("bin/pip"));
        run(pip.args(install).args(PACKAGES)).ok("pip install (it needs PyPI)");
        fs::write(done, "").unwrap();
    }
    let mut python = Command::new(env.join("bin/python3"));
    python.arg("-I");
    python
}
