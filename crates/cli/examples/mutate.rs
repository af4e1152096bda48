//! `mutate PROGRAM DIR COUNT [FIRST]`: gives PROGRAM mutants FIRST (1), FIRST + 1, … of traces,
//! journals and logs, in processes of 200 mutants each, and says how they ended. What must not be
//! is printed, and makes the status 1. DIR holds the corpus, which is made if it is not there;
//! `mutate PROGRAM DIR 1 N` makes mutant N again and leaves it in DIR/mutant.

#![allow(clippy::print_stdout, reason = "it is a program")]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/e2e/harness/forge.rs"]
mod forge;
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the tests use the rest")]
#[path = "../tests/mutations/mod.rs"]
mod mutations;

use mutations::{Corpus, Judge, Tally};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Mutants of one process: what the kernel says of memory is the most of all its children.
const SHARD: u64 = 200;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().expect("COUNT and FIRST are numbers");
    match words[..] {
        ["--shard", program, top, from, to] => {
            shard(Path::new(program), Path::new(top), number(from), number(to))
        }
        [program, top, count] => all(program, top, 1, number(count)),
        [program, top, count, first] => all(program, top, number(first), number(count)),
        _ => {
            eprintln!("usage: mutate PROGRAM DIR COUNT [FIRST]");
            ExitCode::from(2)
        }
    }
}

fn all(program: &str, top: &str, first: u64, count: u64) -> ExitCode {
    let program = std::fs::canonicalize(program).expect("PROGRAM is there");
    std::fs::create_dir_all(top).expect("DIR can be made");
    let top = std::fs::canonicalize(top).expect("DIR can be made");
    if !top.join("corpus").exists() {
        Corpus::record(&program, &top);
    }
    let (mut tally, mut wrong) = (Tally::default(), 0);
    let mut next = first;
    while next < first + count {
        let to = (next + SHARD).min(first + count);
        let mut child = Command::new(std::env::current_exe().expect("this program has a name"))
            .arg("--shard")
            .args([&program, &top])
            .args([next.to_string(), to.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be run");
        for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
            match line.expect("it can be read").split_once(' ') {
                Some(("count", rest)) => tally.add(rest),
                Some(("next", rest)) => next = rest.parse().expect("a number"),
                Some((_, rest)) => {
                    wrong += 1;
                    println!("WRONG: {rest}");
                }
                None => {}
            }
        }
        assert!(child.wait().expect("it ended").success(), "a shard from {next} on failed");
        if (next - first) % 5000 < SHARD {
            println!("{} mutants, {wrong} wrong", next - first);
        }
    }
    print!("{tally}");
    println!("{count} mutants from {first} on: {wrong} wrong");
    ExitCode::from(u8::from(wrong > 0))
}

/// Some mutants; ends early if what is measured means nothing any more.
fn shard(program: &Path, top: &Path, from: u64, to: u64) -> ExitCode {
    let mut judge = Judge::new(program, &PathBuf::from(top));
    let mut tally = Tally::default();
    let mut next = from;
    while next < to {
        let done = judge.one(next, &mut tally);
        next += 1;
        if let Err(why) = done {
            println!("wrong {}", why.replace('\n', "\\n"));
            if why.contains("KiB") {
                break;
            }
        }
    }
    for line in tally.to_string().lines() {
        println!("count {line}");
    }
    println!("next {next}");
    ExitCode::SUCCESS
}
