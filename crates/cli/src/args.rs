//! What the user can type. Each subcommand's options stand beside its code; here they come
//! together.

pub mod generate;

use crate::commands::replay::prepare;
use crate::commands::{
    bench, convert, doctor, findings, info, print, record, recover, replay, stat, syscalls, verify,
};
use crate::options::MessageArgs;
use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::exit;

/// clap's own, but for what it shows in yellow, which cannot be read on white.
const STYLES: Styles = Styles::styled().invalid(AnsiColor::Magenta.on_default());

/// Record what a program does to files, with all data, and replay it elsewhere
#[derive(Parser, Debug)]
#[command(
    name = "reanimator",
    version,
    styles = STYLES,
    max_term_width = 100,
    infer_subcommands = false,
    arg_required_else_help = true
)]
#[command(after_help = "\
Examples:
  reanimator record -- sqlite3 app.db .dump
      Record a command and its child processes to sqlite3.ra
  reanimator replay
      Replay the newest trace in a new directory, and compare
  reanimator print -e %file sqlite3.ra
      Print the calls that take a file name, as strace does
  reanimator doctor
      Check what this machine allows

Help on a command: reanimator record --help")]
pub struct Args {
    #[command(flatten)]
    pub messages: MessageArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Record(record::Args),
    Replay(replay::Args),
    Prepare(prepare::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Convert(convert::Args),
    Print(print::Args),
    Stat(stat::Args),
    Findings(findings::Args),
    Info(info::Args),
    Recover(recover::Args),
    Syscalls(syscalls::Args),
    Doctor(doctor::Args),
    Man(generate::ManArgs),
    Completions(generate::CompletionsArgs),
    #[command(hide = true)]
    Probe(doctor::ProbeArgs),
}

/// Parses the command line of this process. If it asks for help or the version, or cannot be
/// parsed, prints that and ends the process.
///
/// A command line that cannot be parsed ends `record` with status 125, because any other status
/// could be that of the recorded command. All other commands end with 2.
pub fn parse() -> Args {
    Args::try_parse().unwrap_or_else(|error| {
        let status = match error.use_stderr() {
            false => 0,
            true if crate::messages::failure::is_record() => 125,
            true => 2,
        };
        // The reader of help may have gone (`| head`): nothing to say about that.
        let _gone = error.print();
        exit(status)
    })
}

/// Returns the whole command line as clap describes it, for man pages and completions.
pub fn clap_command() -> clap::Command {
    Args::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::clap_command().debug_assert();
    }

    #[test]
    fn the_front_page() {
        insta::assert_snapshot!(super::clap_command().term_width(110).render_help());
    }

    #[test]
    fn every_command_has_examples() {
        for sub in super::clap_command().get_subcommands().filter(|s| !s.is_hide_set()) {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("reanimator "), "{} shows no example", sub.get_name());
        }
    }
}
