//! The program `reanimator`: reads what the user typed, hands it to one subcommand, ends as the subcommand says.
//!
//! stdout is data, stderr is talk. Nothing here decides anything about system calls, traces or replay: the crates below do.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "this is the one crate whose business is to print")]

mod args;
mod bench;
mod clock;
mod colour;
mod convert;
mod doctor;
mod failure;
mod filter;
mod generate;
mod info;
mod json;
mod naming;
mod options;
mod outcome;
mod prepare;
mod print;
mod reading;
mod record;
mod recover;
mod replay;
mod stdout;
mod sudo;
mod syscalls;
mod tables;
mod talk;
mod unfinished;
mod units;
mod verify;

use args::Command;
use outcome::Outcome;

fn main() -> ! {
    failure::install_panic_hook();
    capture::outlive_limits();
    capture::own_proc_files();
    let args = args::parse();
    let talk = talk::Talk::new(&args.talk);
    let outcome: Outcome = match args.command {
        Command::Record(a) => record::run(&a, &talk),
        Command::Replay(a) => replay::run(&a, &talk),
        Command::Verify(a) => verify::run(&a, &talk),
        Command::Prepare(a) => prepare::run(&a, &talk).into(),
        Command::Bench(a) => bench::run(&a, &talk).into(),
        Command::Convert(a) => convert::run(&a, &talk).into(),
        Command::Print(a) => print::run(&a, &talk).into(),
        Command::Info(a) => info::run(&a, &talk).into(),
        Command::Recover(a) => recover::run(&a, &talk).into(),
        Command::Syscalls(a) => syscalls::run(&a).into(),
        Command::Doctor(a) => doctor::run(&a).into(),
        Command::Man(a) => generate::man(&a, args::command()).into(),
        Command::Completions(a) => generate::completions(&a, &args::command()).into(),
        Command::Probe(a) => doctor::probe(&a),
    };
    outcome.end(&talk)
}
