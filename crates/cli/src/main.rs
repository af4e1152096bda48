//! The program `reanimator`: reads the command line, runs one subcommand, and ends with its
//! outcome.
//!
//! stdout has data, stderr has messages. Nothing here decides anything about system calls, traces
//! or replay: the other crates do.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "this is the one crate whose business is to print")]

mod args;
mod commands;
mod filter;
mod messages;
mod options;
mod output;
mod traces;

use args::{Command, generate};
use commands::replay::prepare;
use commands::{
    bench, convert, doctor, findings, info, print, record, recover, replay, stat, syscalls, verify,
};
use messages::{Messages, Outcome, failure};

fn main() -> ! {
    failure::install_panic_hook();
    capture::prepare_for_resource_limits();
    capture::set_dumpable();
    let args = args::parse();
    let messages = Messages::from_args(&args.messages);
    let outcome: Outcome = match args.command {
        Command::Record(a) => record::run(&a, &messages),
        Command::Replay(a) => replay::run(&a, &messages),
        Command::Verify(a) => verify::run(&a, &messages),
        Command::Prepare(a) => prepare::run(&a, &messages).into(),
        Command::Bench(a) => bench::run(&a, &messages).into(),
        Command::Convert(a) => convert::run(&a, &messages).into(),
        Command::Print(a) => print::run(&a, &messages).into(),
        Command::Stat(a) => stat::run(&a, &messages),
        Command::Findings(a) => findings::run(&a, &messages),
        Command::Info(a) => info::run(&a, &messages).into(),
        Command::Recover(a) => recover::run(&a, &messages).into(),
        Command::Syscalls(a) => syscalls::run(&a).into(),
        Command::Doctor(a) => doctor::run(&a).into(),
        Command::Man(a) => generate::run_man(&a, args::clap_command()).into(),
        Command::Completions(a) => generate::run_completions(&a, &args::clap_command()).into(),
        Command::Probe(a) => doctor::run_probe(&a),
    };
    outcome.end(&messages)
}
