//! Every example of README.md and the other pages: all fenced blocks are run, compiled or looked
//! up.
//!
//! The blocks of a page run from top to bottom in one new directory, as a reader would paste them,
//! with `reanimator` in PATH. The word behind the fence says how:
//!
//! | word | how |
//! |---|---|
//! | `sh` | `sh -eu`; it ends with status 0, or with `status=N` |
//! | `console` | what follows `$ ` (and `> `) is run, line by line; the rest is output |
//! | `c` | compiled with the C library, without warnings, and run |
//! | `python`, `sql` | run by the Python of python.rs; SQL is DuckDB's, and finds rows |
//! | `rust` | stands so in a source file of crates/ |
//! | `json` | can be read |
//! | `text` | is none |
//!
//! `norun="WHY"` behind it: it cannot be run here, and WHY says what it would take.

mod blocks;

use self::blocks::{Block, blocks};
use crate::documents::pages::pages;
use crate::harness::place::{Place, REANIMATOR};
use crate::harness::python::python;
use crate::harness::run::{Ran, run};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn all_that_can_run_runs() {
    let mut wrong = Vec::new();
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&page).unwrap();
        match blocks(&text) {
            Ok(blocks) if blocks.is_empty() => {}
            Ok(blocks) => run_page(&name, &blocks, &mut wrong),
            Err(why) => wrong.extend(why.iter().map(|why| format!("{name}: {why}"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Runs the blocks of a page in order. After one that fails, the others of the page may lack what
/// it makes: they are left out.
fn run_page(name: &str, blocks: &[Block], wrong: &mut Vec<String>) {
    let place = Place::new();
    let bin = place.directory("bin");
    symlink(REANIMATOR, bin.join("reanimator")).unwrap();
    let page = Page { place, bin };
    let mut rest = blocks;
    while let [block, ..] = rest {
        // One interpreter for all that follow one another: it takes longer to start than to run.
        let asks = |b: &&Block| b.queries() && b.norun.is_none();
        let together = rest.iter().take_while(asks).count().max(1);
        let (these, others) = rest.split_at(together);
        rest = others;
        let done = if block.norun.is_some() { Ok(()) } else { page.run(these) };
        if let Err(why) = done {
            return wrong.push(format!("{name}:{}: ```{}: {why}", block.line, block.language));
        }
    }
}

struct Page {
    place: Place,
    bin: PathBuf,
}

impl Page {
    fn run(&self, blocks: &[Block]) -> Result<(), String> {
        let block = &blocks[0];
        match &*block.language {
            "sh" => self.script(&block.text, block.status),
            "console" => {
                let commands = block.commands();
                let last = commands.len().saturating_sub(1);
                for (i, command) in commands.iter().enumerate() {
                    self.script(command, if i == last { block.status } else { 0 })?;
                }
                if commands.is_empty() { Err("no line begins with `$ `".into()) } else { Ok(()) }
            }
            "c" => self.c(&block.text),
            "python" | "sql" => self.queries(blocks),
            "rust" => stands_in_source(&block.text),
            "json" => serde_json::from_str::<serde_json::Value>(&block.text)
                .map(drop)
                .map_err(|e| e.to_string()),
            "text" => Ok(()),
            "" => Err("the fence does not say what the block is".to_owned()),
            other => Err(format!("nothing here runs {other}: add it, or say norun=\"WHY\"")),
        }
    }

    /// In the page's directory, with the program in PATH.
    fn command(&self, program: &Path) -> Command {
        let mut command = self.place.command([program]);
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", self.bin.display());
        command.env("PATH", path);
        command
    }

    fn script(&self, text: &str, status: i32) -> Result<(), String> {
        let ran = run(self.command(Path::new("/bin/sh")).args(["-euc", text]));
        if ran.code == Some(status) { Ok(()) } else { Err(failure(text, &ran)) }
    }

    fn c(&self, text: &str) -> Result<(), String> {
        let source = self.place.file("example.c", text);
        let program = self.place.path("example");
        let libraries = std::env::current_exe().unwrap();
        let libraries = libraries.parent().unwrap();
        let ran = run(self
            .command(Path::new("/usr/bin/gcc"))
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I"])
            .arg(top().join("crates/capi/include"))
            .arg("-o")
            .args([&program, &source])
            .arg(format!("-L{}", libraries.display()))
            .arg(format!("-Wl,-rpath,{}", libraries.display()))
            .arg("-lreanimator"));
        if ran.code != Some(0) {
            return Err(failure(text, &ran));
        }
        let ran = run(&mut self.command(&program));
        if ran.code == Some(0) { Ok(()) } else { Err(failure(text, &ran)) }
    }

    fn queries(&self, blocks: &[Block]) -> Result<(), String> {
        let script = self.place.file("queries.py", RUN_QUERIES);
        let list: Vec<_> = blocks.iter().map(|b| (b.line, &b.language, &b.text)).collect();
        let list = self.place.file("queries.json", &serde_json::to_string(&list).unwrap());
        let mut python = python();
        python.arg(script).arg(list).current_dir(self.place.work());
        let ran = run(&mut python);
        if ran.code == Some(0) { Ok(()) } else { Err(failure("", &ran)) }
    }
}

const RUN_QUERIES: &str = r#"
import json, sys, traceback
for line, language, text in json.load(open(sys.argv[1])):
    try:
        if language == "sql":
            import duckdb
            assert duckdb.sql(text).fetchall(), "it finds no rows"
        else:
            exec(compile(text, f"line {line}", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        sys.exit(f"the block of line {line} failed:\n{text}")
"#;

fn failure(text: &str, ran: &Ran) -> String {
    let Ran { stdout, stderr, code, signal } = ran;
    format!("status {code:?}, signal {signal:?}\n{text}\nstdout: {stdout}\nstderr: {stderr}")
}

/// Whether the lines stand in a source file, whatever their layout.
fn stands_in_source(text: &str) -> Result<(), String> {
    let bare = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        text.replace(",)", ")").replace(",]", "]")
    };
    let wanted = bare(text);
    let mut directories = vec![top().join("crates")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && bare(&fs::read_to_string(&path).unwrap()).contains(&wanted)
            {
                return Ok(());
            }
        }
    }
    Err(format!("no source file has it\n{text}"))
}
