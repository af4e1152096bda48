//! The header is that of the source; the examples are compiled and run.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put the library: beside the test.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libreanimator.so")
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn compiled(dir: &Path, name: &str, options: &[&str]) -> PathBuf {
    let out = dir.join(name);
    let library = library();
    let folder = library.parent().unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-I"])
        .arg(crate_dir().join("include"))
        .args(options)
        .arg("-o")
        .arg(&out);
    gcc.arg(crate_dir().join("examples").join(name).with_extension("c"))
        .arg("-L")
        .arg(folder)
        .arg(format!("-Wl,-rpath,{}", folder.display()));
    run(gcc.args(["-lreanimator", "-lpthread", "-ldl"]));
    out
}

/// `make header` writes it anew.
#[test]
fn the_header_is_that_of_the_source() {
    let header = fs::read_to_string(crate_dir().join("include/reanimator.h")).unwrap();
    let mut checked = 0;
    for file in ["error.rs", "writer.rs", "reader.rs"] {
        let source = fs::read_to_string(crate_dir().join("src").join(file)).unwrap();
        for line in source.lines() {
            let line = line.trim();
            let name = |rest: &str| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()
            };
            let function =
                line.split_once("extern \"C\" fn ").map(|(_, rest)| format!("{}(", name(rest)));
            let field = line
                .strip_prefix("pub ")
                .filter(|rest| {
                    rest.contains(": ") && !rest.contains("fn ") && !rest.starts_with("const")
                })
                .map(name);
            if function.is_some() || field.is_some() {
                checked += 1;
            }
            if let Some(function) = &function {
                // In comments stands the name with both parentheses.
                let declared = header.matches(function).count()
                    - header.matches(&format!("{function})")).count();
                assert_eq!(declared, 1, "{file}: {function}");
            }
            for wanted in [function, field].into_iter().flatten() {
                assert!(header.contains(&wanted), "{file}: {wanted}: run `make header`");
            }
        }
    }
    assert!(checked > 30);
    // C++ takes it too.
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("x.cc");
    fs::write(
        &source,
        "#include \"reanimator.h\"\nint main() { return ra_finish(0) == nullptr; }\n",
    )
    .unwrap();
    run(Command::new("g++")
        .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(crate_dir().join("include"))
        .arg(&source));
}

#[test]
fn many_threads_write_and_misuse_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("t.ra");
    run(Command::new(compiled(dir.path(), "threads", &[])).arg(&trace));
    let opened = trace::Trace::open(&trace).unwrap();
    assert_eq!((opened.summary().calls, opened.summary().threads), (8 * 2001, 8));
    let output = run(Command::new("python3")
        .arg(crate_dir().join("examples/reader.py"))
        .arg(library())
        .arg(&trace))
    .stdout;
    assert_eq!(String::from_utf8(output).unwrap(), "48000 [('openat', 8), ('pwrite64', 16000)]\n");
}

/// A tracer as a library that the program loads first: what it noted is what the program did.
#[test]
fn a_preloaded_tracer() {
    let dir = tempfile::tempdir().unwrap();
    let preload = compiled(dir.path(), "preload", &["-shared", "-fPIC"]);
    let reader = compiled(dir.path(), "reader", &[]);
    let (work, trace) = (dir.path().join("work"), dir.path().join("t.ra"));
    fs::create_dir(&work).unwrap();
    let program = "import os\nos.mkdir('d'); f = os.open('d/f', os.O_CREAT | os.O_RDWR, 0o600); os.write(f, b'hello'); os.pwrite(f, b'J', 0); os.close(f)\n\
        os.rename('d/f', 'd/g'); print(open('d/g').read())\ntry: os.unlink('nothing')\nexcept OSError: pass\n";
    let output = run(Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", program])
        .current_dir(&work)
        .env("TRACE", &trace)
        .env("LD_PRELOAD", &preload));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!((&output.stdout[..], &*complaints), (&b"Jello\n"[..], ""));
    let output = String::from_utf8(run(Command::new(reader).arg(&trace)).stdout).unwrap();
    for line in [
        "mkdir = 0 \"d\"",
        "write = 5 5 bytes",
        "pwrite64 = 1 1 bytes",
        "rename = 0 \"d/f\" \"d/g\"",
        "unlink = -2 \"nothing\"",
    ] {
        assert!(output.lines().any(|l| l.ends_with(line)), "{line} in:\n{output}");
    }
    // It replays: where the program that does so is built.
    let reanimator = library().parent().unwrap().with_file_name("reanimator");
    let root = dir.path().join("root");
    run(Command::new(reanimator).arg("replay").arg("--root").arg(&root).arg(&trace));
    assert_eq!(fs::read(root.join(work.strip_prefix("/").unwrap()).join("d/g")).unwrap(), b"Jello");
}
